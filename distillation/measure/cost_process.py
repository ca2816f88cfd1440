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

from distillation.language.models import load_causal
from distillation.language.text import Form, read_language
from distillation.measure.cost import Cost
from distillation.model_files import locate
from distillation.students import load_classifier
from distillation.teacher import load_tokenizer
from distillation.tokens import Tokens, padded_batch, tokenize

_WARM_UP = 5
_ROWS = 32
_LANGUAGE_ROWS = 4
"""Fewer, as each token has logits of a whole vocabulary: 256 of 49,152 are 50 MB."""
_MOST_TOKENS = 512
_STATUS = Path("/proc/self/status")


class _Timed:
    """One loaded model, ready to be asked for texts.

    Args:
        folder: The model with its tokenizer.
        form: How a language model reads a text; None: it is a classifier.
    """

    def __init__(self, folder: str, form: str | None) -> None:
        files = locate(folder)
        self.folder = files.folder
        self.batch = _ROWS if form is None else _LANGUAGE_ROWS
        self._tokenizer = load_tokenizer(files)
        self._form = None if form is None else Form(form)
        if form is None:
            self.model = load_classifier(files.folder)
        else:
            self.model = load_causal(files.folder, gguf=files.gguf)

    @torch.no_grad()
    def answer(self, texts: Sequence[str]) -> None:
        """Answer them as one batch, tokens included."""
        tokens: Tokens
        if self._form is None:
            tokens = tokenize(texts, self._tokenizer, max_tokens=_MOST_TOKENS)
        else:
            tokens = read_language(texts, self._tokenizer, form=self._form, max_tokens=_MOST_TOKENS)
        batch = padded_batch(tokens, range(len(texts)))
        self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)


def main() -> None:
    """Measure what standard input asks for; nothing, where it asks nothing."""
    question = sys.stdin.read()
    if not question:
        return
    asked = json.loads(question)
    torch.set_num_threads(asked["threads"])
    libraries = peak_memory_bytes()
    timed, texts = _Timed(asked["folder"], asked["form"]), asked["texts"]
    latencies = _latencies(timed, texts)
    cost = Cost(
        parameters=sum(p.numel() for p in timed.model.parameters()),
        size_bytes=sum(f.stat().st_size for f in timed.folder.iterdir() if f.is_file()),
        latency_p50_ms=float(np.quantile(latencies, 0.5)),
        latency_p95_ms=float(np.quantile(latencies, 0.95)),
        records_per_s=_rate(timed, texts),
        batch=timed.batch,
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


def _latencies(timed: _Timed, texts: Sequence[str]) -> list[float]:
    """Return the milliseconds that each text takes alone, tokens included."""
    found = []
    for text in [*texts[:_WARM_UP], *texts]:
        began = time.perf_counter()
        timed.answer([text])
        found.append(1000 * (time.perf_counter() - began))
    return found[len(texts[:_WARM_UP]) :]


def _rate(timed: _Timed, texts: Sequence[str]) -> float:
    """Return records a second in batches, the shortest first, as a service would order them."""
    ordered = sorted(texts, key=len)
    began = time.perf_counter()
    for start in range(0, len(ordered), timed.batch):
        timed.answer(ordered[start : start + timed.batch])
    return len(ordered) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
