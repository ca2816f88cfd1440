"""Faults of a real deployment on this machine: a killed executor, a bundle that a region refuses.

``make loopback`` is the run without faults; these, ``make deployment``, take minutes. They say
nothing about the steps of a round: only that it ends, and what the files say.
"""

import json
from pathlib import Path

import pytest
from flwr.common.constant import ErrorCode

from simulations.loopback import deployed, outcome
from simulations.loopback_deployment import Deployment, executor

pytestmark = [
    pytest.mark.deployment,
    # Flower's builder asks pathspec for a name that pathspec deprecated.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
]

_VICTIM = "north"
_LIMIT_S = 400.0


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower is imported in this process too, to make the bundle."""
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    monkeypatch.setenv("FLWR_DISABLE_UPDATE_CHECK", "1")
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flwr"))


def _await_message(one: Deployment, region: str, *, said: str) -> None:
    one.processes.wait_for(
        f"the executor of {region} has {said} a message",
        lambda: f" {said} " in one.processes.log(executor(region)),
        until=one.until,
        alive=["superlink", executor(region)],
    )


def _lost(one: Deployment) -> set[str]:
    """Return why the coordinator got no reply, as its transcript says."""
    lines = (one.study.run.root / "transcript.jsonl").read_text().splitlines()
    return {found["reason"] for line in lines if "reason" in (found := json.loads(line))}


def test_an_executor_killed_in_the_middle_of_a_message_is_replaced(tmp_path: Path) -> None:
    """The SuperNode reports the message as lost after a minute; then the rounds go on to the end.

    The region was lost before the first sum, so that it stays out of the later ones: the difference
    of two sums would be its delta. The new process finds the region as its files say, checks the
    sums that it missed, and countersigns them.
    """
    with deployed(tmp_path / "loopback", rounds=2, limit_s=_LIMIT_S) as one:
        one.submit()
        _await_message(one, _VICTIM, said="received")
        one.processes.kill(executor(_VICTIM))
        one.start_executor(_VICTIM)
        one.wait()

        result = outcome(one.study)
        assert result.finished == result.rounds, one.processes.tail("run")
        assert f"error {ErrorCode.CLIENT_APP_CRASHED}" in _lost(one)
        assert all(result.sent[name] == 2 for name in result.sent if name != _VICTIM)
        assert result.sent[_VICTIM] == 0
        log = one.processes.log(executor(_VICTIM))
        assert log.count(" ready") == 2
        assert log.count(" answered query.sum") == result.rounds


def test_a_region_refuses_a_bundle_that_it_does_not_allow(tmp_path: Path) -> None:
    """Nothing of it is unpacked there, nothing leaves, and the harness does not wait for ever."""
    with deployed(
        tmp_path / "loopback", rounds=1, limit_s=_LIMIT_S, allow={_VICTIM: "0" * 64}
    ) as one:
        one.submit()
        one.wait()

        result = outcome(one.study)
        assert not result.complete
        assert result.sent[_VICTIM] == 0
        assert f"error {ErrorCode.INVALID_FAB}" in _lost(one)
        assert " refused " in one.processes.log(executor(_VICTIM))
        assert " answered " not in one.processes.log(executor(_VICTIM))
        for region in one.nodes:
            assert not (one.root / f"node-{region}" / "apps").exists()
