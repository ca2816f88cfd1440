"""What a secure sum costs: FSA1 beside Flower 1.41's own SecAgg, in CPU seconds, in one run.

Both sides sum the same deltas with the same weights, complete graph, threshold floor(2n/3) + 1,
and lose the same regions, after the shares and before the vectors (Flower's round does not survive
an earlier loss). Flower's code and its default parameters are untouched. The two sides do not
promise the same: the output states each side's threat model.
"""

from __future__ import annotations

import one_thread  # noqa: F401  # before numpy

# isort: split
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import flower_secagg
import fsa1_round
from flower_secagg import FlowerFederation
from fsa1_round import Fsa1Round, Variant
from masking import masking
from measure import options, publish, say
from sum_floor import server_floor_s
from sum_task import Cost, Deltas, Task

_SIZES = (8, 16, 64)
_DIMS = (1_000_000, 10_000_000)
_PERCENT_LOST = (0, 10, 30)
_VARIANTS = (Variant(32, rotated=False), Variant(16, rotated=True))
_HEADLINE = _VARIANTS[1]
_FEW = 3
"""Flower clients that mask the whole vector where running all of them would take minutes."""
_METHOD = [
    "CPU seconds of one process, user and system; a client's are over all steps, mean over the "
    "clients that ran whole and were not lost.",
    "Both run as Python runs them: the kernel's work for fresh pages is in their seconds. With "
    "MALLOC_MMAP_MAX_=0 in the environment glibc keeps its memory, which saves Flower more of it.",
    "Linear algebra on one thread, on both sides: OpenBLAS's idle threads spin, on whoever's time.",
    "server_limit: the ratio of a server that only digests, adds, unmasks and decodes the vectors "
    "and checks six signatures a region (bench/sum_floor.py), and does nothing else at all.",
    "Of the smaller tasks (N·d up to 16 million) the cheapest of three runs counts, on both sides.",
    "Regions are lost after the shares and before the vectors: in Flower 1.41 an earlier loss ends "
    "the round.",
    "Not counted on either side: training, transport and the broadcast of the model. Not counted "
    "for Flower: the strategy's own aggregation. Not counted for FSA1: the ledger; after_s apart.",
    "Where vectors were replayed the sum cannot be judged (nmse is null); every other sum is "
    "compared with the plain weighted mean.",
    "Deltas: Student's t with 3 degrees of freedom, 64 layers of log-normal scales, the largest "
    "value 8, which is Flower's clipping range; FSA1's bounds are those of each layer.",
]
_LIMIT_DIM, _LIMIT_TURNS = 10_000_000, 5
_TURNS, _SHORT = 3, 16_000_000
"""How often a task is run of which all regions' coordinates together are at most so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One task on both sides; a ratio above 1 means that FSA1 took less.

    Attributes:
        size: Number of regions, N.
        dim: Number of coordinates, d.
        percent_lost: Share of the regions that were lost, as asked.
        lost: How many that is.
        variant: How FSA1 encoded.
        client_ratio: Flower's CPU seconds of a client over FSA1's of a region.
        server_ratio: The same for the server.
        server_limit: That ratio for a server that does only what `sum_floor` names.
        upload_ratio: The same for the bytes that a region sends.
        flower: Flower's cost.
        fsa1: FSA1's cost.
    """

    size: int
    dim: int
    percent_lost: int
    lost: int
    variant: str
    client_ratio: float
    server_ratio: float
    server_limit: float
    upload_ratio: float
    flower: Cost
    fsa1: Cost


def main() -> None:
    """Measure every cell; print a table and one JSON object."""
    asked = options(__doc__ or "")
    sizes, dims = ((8,), (1_000_000,)) if asked.quick else (_SIZES, _DIMS)
    _warm_up(max(dims))
    began = time.monotonic()
    cells = []
    for cell in measure_cells(sizes, dims):
        say(f"  {time.monotonic() - began:5.0f} s: N={cell.size} d={cell.dim} {cell.variant}")
        cells.append(cell)
    fraction = masking(32, _LIMIT_DIM, turns=_LIMIT_TURNS)["limit_fraction"]
    print(table(cells))
    print(f"mask step at 32 bit, d = {_LIMIT_DIM}: {fraction:.2f} of the speed of AES and one add")
    publish({"quick": asked.quick, **figures(cells), "limit_fraction": fraction}, asked.out)


def measure_cells(sizes: tuple[int, ...], dims: tuple[int, ...]) -> Iterator[Cell]:
    """Yield the cells of some sizes and dimensions."""
    for size in sizes:
        flower = FlowerFederation(size)
        for dim in dims:
            deltas = Deltas(dim, size)
            for percent in _PERCENT_LOST:
                yield from measure_task(Task.losing(deltas, percent), percent, flower)


def measure_task(task: Task, percent_lost: int, flower: FlowerFederation) -> Iterator[Cell]:
    """Run one task on both sides and yield a cell for each of FSA1's variants."""
    turns = _TURNS if task.size * task.dim <= _SHORT else 1
    measured = _measured(task, percent_lost)
    theirs = _cheapest([flower.sum(task, measured=measured) for _ in range(turns)])
    for variant in _VARIANTS:
        ours = _cheapest([Fsa1Round(task, variant).run() for _ in range(turns)])
        yield Cell(
            size=task.size,
            dim=task.dim,
            percent_lost=percent_lost,
            lost=len(task.lost),
            variant=variant.name,
            client_ratio=theirs.client_s / ours.client_s,
            server_ratio=theirs.server_s / ours.server_s,
            server_limit=theirs.server_s / server_floor_s(task, variant),
            upload_ratio=theirs.up_bytes / ours.up_bytes,
            flower=theirs,
            fsa1=ours,
        )


def _cheapest(costs: list[Cost]) -> Cost:
    """Return the least that a client and the server took: another program's load only adds."""
    client = min(costs, key=lambda cost: cost.client_s)
    server = min(costs, key=lambda cost: cost.server_s)
    return replace(client, server_s=server.server_s, server_steps_s=server.server_steps_s)


def _measured(task: Task, percent_lost: int) -> int | None:
    """Return how many Flower clients run whole: all, but in five of the cells with 64."""
    whole = task.size < max(_SIZES) or (task.dim == min(_DIMS) and percent_lost == 30)
    return None if whole else _FEW


def figures(cells: list[Cell]) -> dict[str, object]:
    """Return the headline, what is behind it, and every cell."""
    best = max(
        (cell for cell in cells if cell.variant == _HEADLINE.name),
        key=lambda cell: (cell.size, cell.dim, cell.percent_lost),
    )
    return {
        "headline": f"N={best.size}, d={best.dim}, {best.percent_lost} % lost, {best.variant}",
        "client_ratio": best.client_ratio,
        "server_ratio": best.server_ratio,
        "bytes_per_parameter": best.fsa1.up_bytes / best.dim,
        "flower_bytes_per_parameter": best.flower.up_bytes / best.dim,
        "threat_models": [flower_secagg.THREAT_MODEL, fsa1_round.THREAT_MODEL],
        "method": _METHOD,
        "cells": [asdict(cell) for cell in cells],
    }


def table(cells: list[Cell]) -> str:
    """Return the cells as lines of text."""
    lines = [
        flower_secagg.THREAT_MODEL,
        fsa1_round.THREAT_MODEL,
        "CPU: ms of a client (all steps), s of the server; Flower / FSA1. MB: sent by a client.",
        f"{'N':>3} {'d':>9} {'lost':>4} {'FSA1':16} {'client ms':>15} {'x':>5} {'server s':>15} "
        f"{'x':>6} {'limit':>6} {'MB':>13} {'NMSE':>17}",
    ]
    for cell in cells:
        theirs, ours = cell.flower, cell.fsa1
        error = "replayed" if theirs.nmse is None else f"{theirs.nmse:.1e}"
        lines.append(
            f"{cell.size:3} {cell.dim:9} {cell.lost:4} {cell.variant:16} "
            f"{theirs.client_s * 1e3:7.1f}/{ours.client_s * 1e3:7.1f} {cell.client_ratio:5.1f} "
            f"{theirs.server_s:7.3f}/{ours.server_s:7.3f} {cell.server_ratio:6.1f} "
            f"{cell.server_limit:6.1f} "
            f"{theirs.up_bytes / 1e6:6.2f}/{ours.up_bytes / 1e6:6.2f} {error:>8}/{ours.nmse:.1e}"
        )
    return "\n".join(lines)


def _warm_up(dim: int) -> None:
    """Load what is loaded once, and let memory grow, on both sides, before anything is measured."""
    list(measure_task(Task.losing(Deltas(dim, 4), 0), 0, FlowerFederation(4)))


if __name__ == "__main__":
    main()
