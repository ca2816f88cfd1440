"""``python -m verify PACK --keys FILE``: the check alone, where nothing else is installed.

It needs cryptography, dp-accounting and numpy. Exit codes: 0 holds, 1 violated, 2 bad input,
4 incomplete.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from verify.command import check_files
from verify.errors import BadKeysError
from verify.telling import as_json, lines

BAD_INPUT = 2


def main(words: list[str] | None = None) -> int:
    """Check a pack, print what was found and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m verify", description=(__doc__ or "")[:90])
    parser.add_argument("pack", type=Path, help="the pack")
    parser.add_argument("--keys", type=Path, required=True, help="the keys that you trust, TOML")
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a checkpoint that you kept"
    )
    parser.add_argument("--since", type=Path, help="an earlier pack of the same accounts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(words)
    try:
        result = check_files(
            asked.pack, keys=asked.keys, checkpoints=asked.checkpoint, since=asked.since
        )
    except BadKeysError as error:
        print(f"verify: {error}", file=sys.stderr)
        return BAD_INPUT
    if asked.json:
        print(json.dumps(as_json(result), indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(result)))
    code: int = result.outcome.value
    return code


if __name__ == "__main__":
    sys.exit(main())
