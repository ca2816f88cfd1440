from __future__ import annotations

from dataclasses import replace

from protocol.history import MemoryHistory, Reveal
from protocol.messages import Checkpoint

REVEAL = Reveal(
    plan_hash=b"p",
    round_=1,
    context=b"c",
    survivors=(b"a", b"b"),
    payload_sha256=b"d",
)


def test_a_history_knows_what_it_accepted() -> None:
    """Contexts are remembered for ever, the place by plan."""
    history = MemoryHistory()
    assert history.latest(b"p") is None
    history.accept(plan_hash=b"p", round_=1, attempt=2, context=b"c")
    history.accept(plan_hash=b"p", round_=3, attempt=0, context=b"d")
    assert history.latest(b"p") == (3, 0)
    assert history.latest(b"q") is None
    assert history.has_seen(b"c")
    assert history.has_seen(b"d")
    assert not history.has_seen(b"e")


def test_a_history_knows_what_it_revealed() -> None:
    """By plan and round; the first reveal of a round is the one that stays."""
    history = MemoryHistory()
    assert history.revealed(b"p", 1) is None
    history.reveal(REVEAL)
    history.reveal(replace(REVEAL, survivors=(b"b", b"c")))
    assert history.revealed(b"p", 1) == REVEAL
    assert history.revealed(b"p", 2) is None
    assert history.revealed(b"q", 1) is None


def test_the_sums_of_a_plan_are_those_of_its_rounds() -> None:
    """Another plan's are not held against it: it starts from another model."""
    history = MemoryHistory()
    assert history.survivor_sets(b"p") == ()
    history.reveal(REVEAL)
    history.reveal(replace(REVEAL, round_=2, survivors=(b"b", b"c")))
    history.reveal(replace(REVEAL, plan_hash=b"q", survivors=(b"z",)))
    assert history.survivor_sets(b"p") == (frozenset({b"a", b"b"}), frozenset({b"b", b"c"}))


def test_a_history_in_memory_has_no_ledger() -> None:
    """It shows no checkpoint, believes none, and is behind none."""
    history = MemoryHistory()
    history.saw([Checkpoint(b"u" * 16, b"note")])
    assert history.checkpoints() == ()
    assert not history.is_behind(b"note")
