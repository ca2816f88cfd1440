from __future__ import annotations

from protocol.history import MemoryHistory


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
