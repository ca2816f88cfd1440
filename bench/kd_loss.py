"""What the fused loss saves: time and memory beside the plain loss over whole logits.

Sixteen records of 128 tokens, hidden size 576, a vocabulary of 49,152, the teacher's 50 most likely
tokens and a tail, as for SmolLM2-135M. Both losses end in gradients of the hidden states; the
trained head adds its own. Times are wall clock of the machine's cores, the two taken in turns, and
the ratio is the median of the turns' ratios. Memory is what the loss adds to the peak resident set
of a process of its own, so that the allocator's own waste counts too.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from measure import options, publish, say
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the process that measures memory

from distillation.fused_loss import CHUNK, fused_per_record
from distillation.objectives import Objective
from distillation.top_k import TokenTargets, TopK, per_record

_RECORDS, _TOKENS, _VOCABULARY, _HIDDEN, _K = 16, 128, 49152, 576, 50
_MEMORY_TARGET_MB, _TIME_TARGET = 130, 0.90
_ONE = "--one"


def main() -> None:
    """Measure and print."""
    asked = options(__doc__ or "")
    turns = 2 if asked.quick else 7
    heads = (False,) if asked.quick else (False, True)
    found = {
        "trained head" if trained else "frozen head": _times(turns, trained) for trained in heads
    }
    memory = {
        f"{kind}, {'trained' if trained else 'frozen'} head": _memory(kind, trained)
        for kind in (("fused",) if asked.quick else ("fused", "plain"))
        for trained in heads
    }
    frozen = found["frozen head"]
    figures: dict[str, object] = {
        "extra_mb": memory["fused, frozen head"],
        "extra_mb_target": _MEMORY_TARGET_MB,
        "time_ratio": frozen["ratio"],
        "time_ratio_target": _TIME_TARGET,
        "ms_a_token": found,
        "extra_mb_of_all": memory,
        "ms_a_token_by_chunk": {} if asked.quick else _chunks(turns),
        "sizes": {
            "records": _RECORDS, "tokens": _TOKENS, "vocabulary": _VOCABULARY,
            "hidden": _HIDDEN, "k": _K, "chunk": CHUNK, "turns": turns,
        },
    }  # fmt: skip
    for line in table(figures):
        say(line)
    publish(figures, asked.out)


def table(figures: Mapping[str, object]) -> list[str]:
    """Return lines for people."""
    lines = [
        f"extra memory {figures['extra_mb']:.0f} MB (target {_MEMORY_TARGET_MB}), "
        f"time {figures['time_ratio']:.2f} of the plain loss (target {_TIME_TARGET:.2f})"
    ]
    times, memory = figures["ms_a_token"], figures["extra_mb_of_all"]
    if isinstance(times, Mapping):
        for name, row in times.items():
            lines.append(
                f"{name:<14}{row['fused']:7.3f} ms a token fused, {row['plain']:7.3f} plain, "
                f"ratio {row['ratio']:.2f} ({row['least']:.2f} to {row['most']:.2f})"
            )
    if isinstance(memory, Mapping):
        lines += [f"{name:<21}{value:8.0f} MB" for name, value in memory.items()]
    chunks = figures["ms_a_token_by_chunk"]
    if isinstance(chunks, Mapping):
        lines += [f"chunks of {size:<11}{value:8.3f} ms a token" for size, value in chunks.items()]
    return lines


def _case() -> tuple[Tensor, Tensor, TokenTargets]:
    """Return hidden states, a head and full-length targets, all random."""
    torch.manual_seed(1)
    hidden = torch.randn(_RECORDS, _TOKENS, _HIDDEN)
    head = torch.randn(_VOCABULARY, _HIDDEN) * 0.04
    shape = (_RECORDS, _TOKENS)
    stride = _VOCABULARY // _K
    ids = torch.arange(_K) * stride + torch.randint(0, stride, (*shape, _K))  # rising, distinct
    scores = torch.randn(*shape, _K + 1).log_softmax(dim=-1)
    labels = TopK(ids, scores[..., :-1], scores[..., -1])
    reference = torch.randint(0, _VOCABULARY, shape)
    return hidden, head, TokenTargets(labels, reference, torch.ones(shape, dtype=torch.bool))


def _work(kind: str, trained: bool, chunk: int = CHUNK) -> Callable[[], None]:
    hidden, head, targets = _case()
    hidden.requires_grad_()
    head.requires_grad_(trained)
    objective = Objective(soft=1.0)

    def work() -> None:
        hidden.grad = head.grad = None
        if kind == "fused":
            losses = fused_per_record(hidden, head, targets, objective, chunk=chunk)
        else:
            losses = per_record(hidden @ head.T, targets, objective)
        losses.mean().backward()

    return work


def _times(turns: int, trained: bool) -> dict[str, float]:
    """Return milliseconds a token, the two in turns; the first turn warms up."""
    works = {kind: _work(kind, trained) for kind in ("fused", "plain")}
    spent: dict[str, list[float]] = {kind: [] for kind in works}
    for _ in range(turns + 1):
        for kind, work in works.items():
            began = time.perf_counter()
            work()
            spent[kind].append((time.perf_counter() - began) * 1e3 / (_RECORDS * _TOKENS))
    fused, plain = spent["fused"][1:], spent["plain"][1:]
    ratios = [ours / theirs for ours, theirs in zip(fused, plain, strict=True)]
    return {
        "fused": statistics.median(fused),
        "plain": statistics.median(plain),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def _chunks(turns: int) -> dict[str, float]:
    """Return milliseconds a token of the fused loss with a frozen head, the sizes in turns."""
    works = {size: _work("fused", trained=False, chunk=size) for size in (64, 128, 256, 512)}
    spent: dict[int, list[float]] = {size: [] for size in works}
    for _ in range(turns):
        for size, work in works.items():
            began = time.perf_counter()
            work()
            spent[size].append((time.perf_counter() - began) * 1e3 / (_RECORDS * _TOKENS))
    return {str(size): statistics.median(times) for size, times in spent.items()}


def _memory(kind: str, trained: bool) -> float:
    """Return what one pass adds to a fresh process's peak, in MB of 10**6 bytes."""
    done = subprocess.run(
        [sys.executable, __file__, _ONE, kind, str(int(trained))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(json.loads(done.stdout))


def _one(kind: str, trained: bool) -> float:
    """Measure in this process, after a small pass that loads the kernels."""
    work = _work(kind, trained)
    small = torch.randn(64, 64, requires_grad=True)
    (small @ small.T).log_softmax(-1).sum().backward()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts from here
    before = _peak()
    work()
    return (_peak() - before) / 1e6


def _peak() -> int:
    """Return the largest resident set of this program in bytes.

    Not getrusage's ru_maxrss: a program inherits it from the one that started it.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("expected Linux, which tells a process its peak memory as VmHWM")


if __name__ == "__main__":
    if _ONE in sys.argv:
        print(json.dumps(_one(sys.argv[2], bool(int(sys.argv[3])))))
    else:
        main()
