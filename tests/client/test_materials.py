"""A region labels its records once, trains on its own rows, and remembers what it accepted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from client.approval import approve
from client.checkpoints import SeenCheckpoints
from client.errors import NotApprovedError
from client.folder import RegionFolder
from client.ledger_history import LedgerHistory
from client.materials import Materials
from client.region import open_region
from distillation.errors import LabelCacheError
from distillation.teacher import Answers, ClassifierTeacher
from distillation.tokens import Tokens
from distillation.workbench import Workbench
from privacy.errors import ReplayedContextError
from privacy.ledger import Ledger
from protocol.identity import Registry, region_uid
from tests.client import region_builder
from tests.client.region_builder import World, clock


@pytest.fixture
def folder(prepared: World, tmp_path: Path) -> RegionFolder:
    """Return a region that approved the plan."""
    folder = region_builder.fresh(prepared, tmp_path / "run").run.region("a")
    _approve(prepared, folder)
    return folder


def _approve(prepared: World, folder: RegionFolder) -> Materials:
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        return approve(folder, prepared.plan.to_bytes(), ledger=ledger, approved_by="steward")


def _open(folder: RegionFolder, *, now: Callable[[], int] = clock) -> Workbench:
    with ThreadPoolExecutor(1) as trainer:
        region = open_region(folder, executor=trainer, clock=now)
        region.ledger.close()
    return region.bench


def test_the_bench_has_one_row_a_record(prepared: World, folder: RegionFolder) -> None:
    """Soft labels are the teacher's, references the region's own, in the order of the file."""
    materials, bench = _approve(prepared, folder), _open(folder)
    answers = materials.teacher.answer(materials.tokens)
    labels = list(materials.records.labels)

    assert len(bench) == len(materials.records) > 0
    assert torch.equal(bench.classes.log_probs, answers.log_probs)
    assert [int(n) >= 0 for n in bench.targets.reference[:, 0]] == [x is not None for x in labels]


def test_a_second_start_does_not_ask_the_teacher(
    folder: RegionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels come from the encrypted cache, bit by bit, until they expire."""
    first, asked = _open(folder).classes.log_probs, list[int]()
    original = ClassifierTeacher.answer

    def counting(teacher: ClassifierTeacher, tokens: Tokens) -> Answers:
        asked.append(len(tokens))
        return original(teacher, tokens)

    monkeypatch.setattr(ClassifierTeacher, "answer", counting)
    second = _open(folder).classes.log_probs
    assert asked == []
    late = _open(folder, now=lambda: clock() + 31 * 24 * 3600).classes.log_probs

    assert torch.equal(first, second)
    assert torch.equal(first, late)
    assert asked == [len(first)]


def test_another_regions_labels_do_not_open(folder: RegionFolder) -> None:
    """A cache of another key, or a damaged one, is an error or is computed again."""
    first = _open(folder).classes.log_probs
    (folder.root / "labels.key").write_bytes(bytes(32))
    assert torch.equal(_open(folder).classes.log_probs, first)
    folder.labels.write_bytes(b"no cache at all, at any length" * 40)
    with pytest.raises(LabelCacheError):
        _open(folder)


def test_a_region_without_approval_does_not_open(prepared: World, tmp_path: Path) -> None:
    """No plan, no labels, no training: the teacher never sees a record."""
    folder = region_builder.fresh(prepared, tmp_path / "run").run.region("b")
    with pytest.raises(NotApprovedError):
        _open(folder)

    assert not folder.labels.exists()


def _history(folder: RegionFolder, ledger: Ledger) -> LedgerHistory:
    registry = Registry.from_bytes(folder.registry.read_bytes())
    seen = SeenCheckpoints(folder.checkpoints, registry)
    return LedgerHistory(ledger, region_uid(ledger.state.region), folder.ledger_key(), seen)


def test_the_ledger_remembers_rounds_over_restarts(prepared: World, folder: RegionFolder) -> None:
    """What was accepted is seen, the last place is known, and nothing earlier is accepted."""
    plan = bytes.fromhex(prepared.plan.hash)
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        history = _history(folder, ledger)
        assert history.latest(plan) is None
        history.accept(plan_hash=plan, round_=0, attempt=1, context=b"c" * 32)
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        history = _history(folder, ledger)
        assert history.has_seen(b"c" * 32)
        assert not history.has_seen(b"d" * 32)
        assert history.latest(plan) == (0, 1)
        for attempt, context in ((1, b"d" * 32), (0, b"e" * 32), (2, b"c" * 32)):
            with pytest.raises(ReplayedContextError):
                history.accept(plan_hash=plan, round_=0, attempt=attempt, context=context)
