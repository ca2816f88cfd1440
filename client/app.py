"""The ClientApp of a deployment: finds this node's region folder and answers for it, by its gate.

The folder is named by the node's own configuration, ``region-folder``, never by the coordinator.
It wires and decides nothing.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from flwr.app import Context

from client.egress import EgressGate, open_gate
from client.errors import RegionFolderError
from client.flower_adapter import make_client_app
from client.folder import RegionFolder
from client.local_log import LocalLog
from client.region import open_region

FOLDER_KEY = "region-folder"


def _now() -> int:
    return int(time.time())


@cache
def _handler(root: Path) -> EgressGate:
    """Open the region once; the warm process keeps teacher, labels and student."""
    folder, trainer = RegionFolder(root), ThreadPoolExecutor(1, "trainer")
    region = open_region(folder, executor=trainer, clock=_now)
    return open_gate(folder, region.handler, ledger=region.ledger, clock=_now)


def _folder(context: Context) -> Path:
    folder = context.node_config.get(FOLDER_KEY)
    if not isinstance(folder, str):
        raise RegionFolderError(
            f"this node's configuration has no {FOLDER_KEY}: start the SuperNode with "
            f"--node-config '{FOLDER_KEY}=\"/path/to/region\"'"
        )
    return Path(folder)


def _report(context: Context, error: Exception) -> None:
    """Keep an error in the region's own log; on the node's console where it has no folder."""
    try:
        LocalLog(RegionFolder(_folder(context)).errors).report(error)
    except (RegionFolderError, OSError) as second:
        print(f"{second}; the error was: {error}", file=sys.stderr)


app = make_client_app(lambda context: _handler(_folder(context)), report=_report)
