"""What every bench shares: its options, the machine it ran on, one JSON object on stdout."""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_PACKAGES = ("torch", "opacus", "transformers", "flwr", "dp-accounting", "cryptography", "numpy")


def options(description: str, given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return ``quick`` (a check within 50 s), ``full`` (the documented table) and ``out``.

    Args:
        description: What the bench measures.
        given: What was asked for; None: the command line.
    """
    return parser(description).parse_args(given)


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of what every bench can be asked, to add to."""
    found = argparse.ArgumentParser(description=description)
    size = found.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="end within 50 s on two cores")
    size.add_argument("--full", action="store_true", help="make the documented table")
    found.add_argument("--out", type=Path, help="keep the JSON in this file too")
    return found


def machine() -> dict[str, object]:
    """Return what a figure depends on: processor, cores, versions, commit, time."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = lines[0].partition(":")[2].strip() if lines else model
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "commit": commit.stdout.strip() or "unknown",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def publish(figures: dict[str, object], out: Path | None) -> None:
    """Print one JSON object with the machine, and keep it if asked."""
    text = json.dumps({**figures, "machine": machine()}, indent=2, ensure_ascii=False)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Print a line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)
