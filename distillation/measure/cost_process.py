"""The process that `distillation.measure.cost` starts: load one model, time it, print one line.

Reads one JSON object from standard input. It does nothing else, so that its memory is the model's.
"""

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.measure.cost import Cost
from distillation.model_files import locate
from distillation.students import load_classifier
from distillation.teacher import load_tokenizer
from distillation.tokens import Batch, padded_batch, tokenize

_WARM_UP = 5
_ROWS = 32
_MOST_TOKENS = 512
_STATUS = Path("/proc/self/status")


def main() -> None:
    """Measure what standard input asks for."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    libraries = peak_memory_bytes()
    files = locate(asked["folder"])
    tokenizer, model = load_tokenizer(files), load_classifier(files.folder)
    texts = asked["texts"]
    latencies = _latencies(model, tokenizer, texts)
    cost = Cost(
        parameters=sum(p.numel() for p in model.parameters()),
        size_bytes=sum(f.stat().st_size for f in files.folder.iterdir() if f.is_file()),
        latency_p50_ms=float(np.quantile(latencies, 0.5)),
        latency_p95_ms=float(np.quantile(latencies, 0.95)),
        records_per_s=_rate(model, tokenizer, texts),
        peak_memory_bytes=peak_memory_bytes(),
        libraries_bytes=libraries,
        threads=torch.get_num_threads(),
        texts=len(texts),
    )
    print(json.dumps(cost.to_dict()))


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held.

    Linux carries ``ru_maxrss`` over from the parent of a process; VmHWM starts anew with it.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _latencies(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[float]:
    """Return the milliseconds that each text takes alone, tokens included."""
    found = []
    for text in [*texts[:_WARM_UP], *texts]:
        began = time.perf_counter()
        _answer(model, _batch(tokenizer, [text]))
        found.append(1000 * (time.perf_counter() - began))
    return found[len(texts[:_WARM_UP]) :]


def _rate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> float:
    """Return records a second in batches, the shortest first, as a service would order them."""
    ordered = sorted(texts, key=len)
    began = time.perf_counter()
    for start in range(0, len(ordered), _ROWS):
        _answer(model, _batch(tokenizer, ordered[start : start + _ROWS]))
    return len(ordered) / (time.perf_counter() - began)


def _batch(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Batch:
    return padded_batch(tokenize(texts, tokenizer, max_tokens=_MOST_TOKENS), range(len(texts)))


@torch.no_grad()
def _answer(model: PreTrainedModel, batch: Batch) -> None:
    model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)


if __name__ == "__main__":
    main()
