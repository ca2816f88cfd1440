"""The transcript is one JSON object a line, also after the coordinator died while it wrote."""

import json
from pathlib import Path

from server.transcript import Transcript


def test_events_are_appended_with_their_fields(tmp_path: Path) -> None:
    """Each add is one line; a second process goes on in the same file."""
    Transcript(tmp_path / "t.jsonl").add("void", missing=["a", "b"], round=1)
    Transcript(tmp_path / "t.jsonl").add("lost", node="7")
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]

    assert lines == [
        {"event": "void", "missing": ["a", "b"], "round": 1},
        {"event": "lost", "node": "7"},
    ]


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """Wherever a crash cut it, the whole lines before and after are read by an auditor."""
    path = tmp_path / "t.jsonl"
    Transcript(path).add("lost", node="7")
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole + whole[:cut])
        Transcript(path).add("lost", node="8")
        nodes = [json.loads(line)["node"] for line in path.read_text().splitlines()]
        assert nodes == ["7", "8"]
