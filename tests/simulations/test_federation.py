"""What a federation does when rounds stay void, processes die, and data come in other files."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from client.training import LocalTraining
from distillation.errors import StudyError
from distillation.evaluation import Quality
from distillation.held_out import HeldOut
from distillation.layout import Vector
from privacy.ledger import Ledger
from privacy.ledger_entries import Context, Release, Reserve, Reveal, Send
from protocol.config import Deadlines
from protocol.coordinator import CoordinatorRound
from protocol.envelope import Envelope, MessageKind
from protocol.unmask_messages import Survivors
from simulations.errors import SimulationError
from simulations.grid import Moment
from simulations.lies import Lies
from simulations.simulate import Options, simulate
from tests.simulations import tiny_study
from tests.simulations.tiny_study import REGIONS, TinyStudy
from verify.findings import Outcome
from verify.ledger_check import check_ledgers
from verify.sums_check import check_sums

_FIRST_NODE = 2
_ROOT = Path(__file__).parents[2]
Key = tuple[int, int]


@pytest.fixture
def study(tmp_path: Path) -> TinyStudy:
    return tiny_study.make(tmp_path / "study", rounds=2)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def _entries(out: Path, region: str) -> list[object]:
    path = out / "regions" / region / "ledger.db"
    with Ledger.open(path, clock=lambda: 2**40) as ledger:
        return [entry.payload for entry in ledger.entries()]


def _draws(out: Path, region: str, kind: type[Reserve] | type[Release]) -> list[Key]:
    """Return (round, draw) of each entry of this kind, in order."""
    return [(e.round, e.draw) for e in _entries(out, region) if isinstance(e, kind)]


_SHORT = Deadlines(advertise_s=2, encaps_s=2, shares_s=2, masked_s=2, consent_s=2, unmask_s=2)


def _mute_once(lost: str) -> Callable[[int, str, Moment], bool]:
    """Lose b's first answer to messages of one kind."""
    struck: list[int] = []

    def fault(node: int, kind: str, moment: Moment) -> bool:
        if node == _FIRST_NODE + 1 and kind == lost and moment is Moment.AFTER and not struck:
            struck.append(node)
            return True
        return False

    return fault


@pytest.mark.slow
def test_a_void_attempt_sends_the_same_delta_under_new_masks(
    study: TinyStudy, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reserve and one release, but two contexts and two different vectors, in every region."""
    monkeypatch.setattr("simulations.federation.DEADLINES", _SHORT)
    simulate(study.file, out, Options(fault=_mute_once("query.consent")))

    for region in REGIONS:
        entries = _entries(out, region)
        sends = [e for e in entries if isinstance(e, Send) and e.round == 0]
        assert _draws(out, region, Reserve) == _draws(out, region, Release) == [(0, 1), (1, 1)]
        assert len({send.wire_sha256 for send in sends}) == len(sends) == 2
        assert sum(isinstance(e, Context) for e in entries) == 3
        assert len(_reveals(out, region)) == 2
    assert check_ledgers(out).outcome is Outcome.HOLDS
    assert check_sums(out).outcome is Outcome.HOLDS


def _reveals(out: Path, region: str) -> dict[int, set[str]]:
    """Return the lists of survivors that a region gave shares for, by round."""
    found: dict[int, set[str]] = {}
    for entry in _entries(out, region):
        if isinstance(entry, Reveal):
            found.setdefault(entry.round, set()).add(entry.survivors)
    return found


_STEPS = [
    "train.start",
    "query.encaps",
    "query.shares",
    "query.accept",
    "train.masked",
    "query.consent",
    "query.unmask",
    "query.sum",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "any_survivors"), [*((step, False) for step in _STEPS), ("query.unmask", True)]
)
def test_a_region_that_dies_in_a_step_of_the_first_round_costs_no_run(
    study: TinyStudy, out: Path, step: str, any_survivors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed for good before or after its vector: the others finish, and every file agrees.

    Where it died after the survivors were fixed, the first sum holds it; a later sum without it
    would show its delta, so that run stops unless the plan allows any survivors.
    """
    monkeypatch.setattr("simulations.federation.DEADLINES", _SHORT)
    rule = f"any_survivors = {str(any_survivors).lower()}"
    study.edit("[federation]", f"[federation]\n{rule}")
    dead: list[int] = []

    def die(node: int, kind: str, moment: Moment) -> bool:
        if node == _FIRST_NODE + 1 and kind == step:
            dead.append(node)
        return bool(dead) and node == _FIRST_NODE + 1

    if step in ("query.unmask", "query.sum") and not any_survivors:
        with pytest.raises(SimulationError, match="isolate"):
            simulate(study.file, out, Options(fault=die))
        assert check_sums(out).outcome is Outcome.HOLDS
        return
    report = simulate(study.file, out, Options(fault=die)).report

    assert [one.round for one in report.rounds] == [0, 1, 2]
    assert check_ledgers(out).outcome is Outcome.HOLDS
    assert check_sums(out).outcome is Outcome.HOLDS
    assert all(len(lists) == 1 for lists in _reveals(out, "a").values())


@pytest.mark.slow
@pytest.mark.parametrize("step", _STEPS[:-1])
def test_a_region_that_lies_costs_the_others_a_region(
    study: TinyStudy, out: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One changed byte in an answer of b: no wrong sum, and the run ends."""
    monkeypatch.setattr("simulations.federation.DEADLINES", _SHORT)
    told: list[str] = []

    def lie(kind: MessageKind, answer: Envelope) -> Envelope:
        if kind.value != step or told:
            return answer
        told.append(step)
        body = bytearray(answer.body)
        body[len(body) // 2] ^= 1
        return Envelope(bytes(body), answer.chunks)

    report = simulate(study.file, out, Options(lies=Lies(regions={"b": lie}))).report

    assert [one.round for one in report.rounds] == [0, 1, 2]
    assert check_sums(out).outcome is Outcome.HOLDS


class _TwoLists(CoordinatorRound):
    """Shows one region another list of survivors than the others, to get both kinds of share."""

    def survivors(self) -> bytes:
        data = super().survivors()
        honest = Survivors.from_bytes(data)
        victim = honest.survivors[-1]
        self._asked = getattr(self, "_asked", 0) + 1
        if self._asked > 1:
            return data
        others = tuple(uid for uid in honest.survivors if uid != victim)
        notes = tuple(note for note in honest.checkpoints if note.uid != victim)
        lie = Survivors(roster_hash=honest.roster_hash, survivors=others, checkpoints=notes)
        self._survivors = lie.signed_by(self._identity)
        return self._survivors.to_bytes()


@pytest.mark.slow
def test_a_coordinator_that_leaves_a_region_out_of_the_list_gets_no_second_list(
    study: TinyStudy, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four consent to a sum without the fifth; nobody ever helps with one that holds it.

    In the next round the same lie would leave three, which no region accepts.
    """
    monkeypatch.setattr("simulations.federation.DEADLINES", _SHORT)
    with pytest.raises(SimulationError, match="too_few_survivors"):
        simulate(study.file, out, Options(lies=Lies(open_round=_TwoLists)))

    lists = [_reveals(out, region) for region in REGIONS]
    assert sum(bool(found) for found in lists) == 4
    assert all(found.keys() <= {0} for found in lists)
    assert len(set().union(*(found.get(0, set()) for found in lists))) == 1


_KILLED_AFTER = """
import os, signal, sys
from pathlib import Path
from client.handler import RegionHandler
from protocol.identity import region_uid
from simulations.simulate import Options, simulate

original = RegionHandler.handle

def handle(handler, kind, request):
    answer = original(handler, kind, request)
    at = (handler.uid, kind.value, handler._chain.next_round)
    if at == (region_uid("c"), sys.argv[3], 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

RegionHandler.handle = handle
simulate(Path(sys.argv[1]), Path(sys.argv[2]), Options())
"""


def _killed_after(step: str, study: TinyStudy, out: Path) -> int:
    """Run the study in a process that kills itself after c answered ``step`` in round 1."""
    return subprocess.run(
        [sys.executable, "-c", _KILLED_AFTER, str(study.file), str(out), step],
        env={**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        timeout=120,
    ).returncode


@pytest.mark.slow
@pytest.mark.parametrize("step", _STEPS[:-1])
def test_killed_in_any_state_a_region_reveals_for_one_list_a_round(
    study: TinyStudy, out: Path, step: str
) -> None:
    """Kill -9 right after each step of the second round, then a restart: no second reveal."""
    assert _killed_after(step, study, out) == -signal.SIGKILL
    simulate(study.file, out, Options(resume=True))

    for region in REGIONS:
        lists = {round_: len(found) for round_, found in _reveals(out, region).items()}
        assert lists == {0: 1, 1: 1}
        assert [round_ for round_, _ in _draws(out, region, Release)] == [0, 1]
    assert check_ledgers(out).outcome is Outcome.HOLDS
    assert check_sums(out).outcome is Outcome.HOLDS


_DEATHS = {
    "reserve": [(0, 1), (1, 1)],
    "train": [(0, 1), (1, 1), (1, 2)],
    "release": [(0, 1), (1, 1), (1, 2)],
}


@pytest.mark.slow
@pytest.mark.parametrize("step", _DEATHS)
def test_a_run_that_died_while_training_resumes_within_its_slack(
    study: TinyStudy, out: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reserve it is drawn anew, once; each round is released once, others are untouched."""
    died: list[str] = []
    with monkeypatch.context() as patch:
        _in_training(patch, lambda region, round_, at: _stop(died, (region, round_, at), step))
        with pytest.raises(KeyboardInterrupt):
            simulate(study.file, out, Options())
    simulate(study.file, out, Options(resume=True))

    assert _draws(out, "c", Reserve) == _DEATHS[step]
    assert [round_ for round_, _ in _draws(out, "c", Release)] == [0, 1]
    assert _draws(out, "a", Reserve) == _draws(out, "a", Release) == [(0, 1), (1, 1)]
    assert check_ledgers(out).outcome is Outcome.HOLDS


def _stop(died: list[str], at: tuple[str, int, str], step: str) -> None:
    if at == ("c", 1, step) and not died:
        died.append(step)
        raise KeyboardInterrupt


@pytest.mark.slow
def test_a_region_whose_training_always_fails_costs_the_others_nothing(
    study: TinyStudy, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reserves are burnt and nothing of it is released; the sums are over the others."""
    study.edit("[federation]", "[federation]\nany_survivors = true")

    def fail(region: str, round_: int, step: str) -> None:
        if region == "c" and step == "release":
            raise OSError("no space left")

    with monkeypatch.context() as patch:
        _in_training(patch, fail)
        report = simulate(study.file, out, Options()).report

    assert _draws(out, "c", Reserve) == [(0, 1), (1, 1)]
    assert _draws(out, "c", Release) == []
    assert (report.regions[2].reserved_steps, report.regions[2].released_steps) == (4, 0)
    assert any("changing sets" in mark for mark in report.marks)
    assert "no space left" in (out / "regions" / "c" / "errors.log").read_text()
    assert check_ledgers(out).outcome is Outcome.HOLDS
    assert check_sums(out).outcome is Outcome.HOLDS


def _in_training(patch: pytest.MonkeyPatch, act: Callable[[str, int, str], None]) -> None:
    """Call ``act`` with region, round and step before each durable step of a draw."""
    original = LocalTraining.delta

    def delta(training: LocalTraining, round_: int, weights: object) -> object:
        def on_step(step: str) -> None:
            act(training.region, round_, step)

        object.__setattr__(training, "on_step", on_step)
        return original(training, round_, weights)  # type: ignore[arg-type]

    patch.setattr(LocalTraining, "delta", delta)


_KILLED = """
import os, signal, sys
from pathlib import Path
from client.handler import RegionHandler
from client.training import LocalTraining
from simulations.simulate import Options, simulate

original = LocalTraining.delta

def delta(training, round_, weights):
    def on_step(step):
        if (training.region, round_, step) == ("c", 1, "release"):
            os.kill(os.getpid(), signal.SIGKILL)
    object.__setattr__(training, "on_step", on_step)
    return original(training, round_, weights)

LocalTraining.delta = delta
simulate(Path(sys.argv[1]), Path(sys.argv[2]), Options())
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_run_that_resumes(study: TinyStudy, out: Path) -> None:
    """Without any cleanup, from one process to the next: one burnt reserve, no second release."""
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(study.file), str(out)],
        env={**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    report = simulate(study.file, out, Options(resume=True)).report

    assert _draws(out, "c", Reserve) == [(0, 1), (1, 1), (1, 2)]
    assert _draws(out, "c", Release) == [(0, 1), (1, 2)]
    assert report.regions[2].reserved_steps == 6
    assert report.regions[2].released_steps == 4
    assert check_ledgers(out).outcome is Outcome.HOLDS


_WRITERS: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    "jsonl": lambda frame, path: frame.write_ndjson(path),
    "parquet": lambda frame, path: frame.write_parquet(path),
}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", _WRITERS)
def test_three_regions_with_files_of_their_own_kind(
    study: TinyStudy, out: Path, suffix: str
) -> None:
    """JSONL and Parquet walk the path of CSV; three regions are enough, and the report says so."""
    for name in ("public", "records", "test"):
        frame = pl.read_csv(study.folder / f"{name}.csv")
        if name == "records":
            frame = frame.filter(pl.col("region").is_in(["a", "b", "c"]))
        _WRITERS[suffix](frame, study.folder / f"{name}.{suffix}")
        (study.folder / f"{name}.csv").unlink()
        study.edit(f"{name}.csv", f"{name}.{suffix}")
    for gone in ("d", "e"):
        study.edit(f"[regions.{gone}]\npublic_size = {tiny_study.SIZE + 2}", "")
    study.edit("[federation]", "[federation]\nmin_cohort = 3")
    report = simulate(study.file, out, Options()).report

    assert [region.name for region in report.regions] == ["a", "b", "c"]
    assert any("Only 3 regions" in mark for mark in report.marks)
    assert check_ledgers(out).outcome is Outcome.HOLDS


@pytest.mark.parametrize("kept", [1, 2])
def test_fewer_than_three_regions_are_no_study(study: TinyStudy, out: Path, kept: int) -> None:
    """Of two regions each would read the other's delta off the sum: no setting allows it."""
    for gone in REGIONS[kept:]:
        study.edit(f"[regions.{gone}]\npublic_size = {tiny_study.SIZE + 2}", "")
    study.edit("[federation]", f"[federation]\nmin_cohort = {kept}")
    with pytest.raises(StudyError, match="min_cohort"):
        simulate(study.file, out, Options())

    assert not out.exists()


@pytest.mark.slow
def test_a_run_that_died_twice_still_knows_every_round(
    study: TinyStudy, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Died between a round and its evaluation, then again: the report has all rounds."""
    original = HeldOut.quality
    asked: list[int] = []

    def quality(test: HeldOut, weights: Vector) -> Quality:
        asked.append(1)
        if len(asked) in (2, 5):  # after the first round; in the comparisons
            raise KeyboardInterrupt
        return original(test, weights)

    monkeypatch.setattr(HeldOut, "quality", quality)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            simulate(study.file, out, Options(resume=resume))
    report = simulate(study.file, out, Options(resume=True)).report

    assert [one.round for one in report.rounds] == [0, 1, 2]
    assert all(_draws(out, region, Release) == [(0, 1), (1, 1)] for region in REGIONS)
