"""A deployment on the loopback interface: the programs that a coordinator and its regions start.

One SuperLink with TLS and node authentication, one SuperExec that starts its ServerApp, and for
each region a SuperNode and a pinned executor. Every program is a process of its own, started with
the options that deploy/README.md explains; every role has a FLWR_HOME of its own.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import client
from simulations.loopback_keys import NodeKeys, ServerKeys, make_node_keys, make_server_keys
from simulations.loopback_processes import LoopbackError, Processes, free_ports, listens
from simulations.loopback_study import LoopbackStudy

_HOST = "127.0.0.1"
_SUPERLINK, _SUPEREXEC, _RUN = "superlink", "superexec", "run"
_CONNECTION = "loopback"
ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # six programs with torch on one machine
    # Flower's programs start each other by name: those of this installation must be found first.
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
}
"""Nothing here calls home, and nothing takes all cores."""


@dataclass(frozen=True, slots=True)
class Node:
    """One region's SuperNode and executor.

    Attributes:
        region: The region's name.
        keys: Its node's files.
        port: Of the SuperNode's Runtime API.
    """

    region: str
    keys: NodeKeys
    port: int


@dataclass(slots=True)
class Deployment:
    """All programs of one deployment, and what they are started with.

    Attributes:
        root: Where each role has its folder.
        study: The parties' folders and the plan.
        processes: The programs.
        until: When to give up, on the monotonic clock.
        port: The SuperLink's.
        keys: The SuperLink's files.
        nodes: By region.
        fab_sha256: The hash of the bundle that this source tree makes.
    """

    root: Path
    study: LoopbackStudy
    processes: Processes
    until: float
    port: int = field(init=False)
    keys: ServerKeys = field(init=False)
    nodes: Mapping[str, Node] = field(init=False)
    fab_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """Make keys, ports and folders; start nothing yet."""
        regions = self.study.plan.cohort
        self.port, *ports = free_ports(1 + len(regions))
        self.keys = make_server_keys(self.root / "superlink")
        self.nodes = {
            name: Node(name, make_node_keys(self.root / f"node-{name}"), port)
            for name, port in zip(regions, ports, strict=True)
        }
        self.fab_sha256 = bundle_sha256()
        operator = self.root / "operator"
        operator.mkdir()
        (operator / "config.toml").write_text(
            f'[superlink]\ndefault = "{_CONNECTION}"\n[superlink.{_CONNECTION}]\n'
            f'address = "{_HOST}:{self.port}"\nroot-certificates = "{self.keys.authority}"\n'
        )

    def start_coordinator(self) -> None:
        """Start the SuperLink, and the SuperExec that will start its ServerApp."""
        folder, keys = self.root / "superlink", self.keys
        self.processes.start(
            _SUPERLINK,
            [
                _program("flower-superlink"),
                *("--host", _HOST, "--port", str(self.port)),
                *("--ssl-certfile", str(keys.certificate), "--ssl-keyfile", str(keys.key)),
                *("--ssl-ca-certfile", str(keys.authority), "--enable-supernode-auth"),
                *("--database", str(folder / "state.db")),
                "--disable-runtime-dependency-installation",
                *("--isolation", "process", "--superexec-auth-secret-file", str(keys.secret)),
            ],
            folder=folder,
            FLWR_HOME=str(folder),
        )
        self._await("the SuperLink listens", self.port, _SUPERLINK)
        self.processes.start(
            _SUPEREXEC,
            [
                _program("flower-superexec"),
                *("--runtime-api-address", f"{_HOST}:{self.port}"),
                *("--root-certificates", str(keys.authority)),
                *("--superexec-auth-secret-file", str(keys.secret)),
            ],
            folder=folder,
            FLWR_HOME=str(folder),
            STILLROOM_SERVER_FOLDER=str(self.study.run.root),
        )

    def register_nodes(self) -> None:
        """Tell the SuperLink each node's public key; no other node may join."""
        names = []
        for node in self.nodes.values():
            names.append(f"register-{node.region}")
            public = str(node.keys.public)
            self._operate(
                names[-1], "supernode", "register", public, _CONNECTION, "--name", node.region
            )
        self.processes.wait_for(
            "all nodes are registered",
            lambda: all(self.processes.finished(name) is not None for name in names),
            until=self.until,
            alive=[_SUPERLINK],
        )
        for name in names:
            if self.processes.finished(name) != 0:
                raise LoopbackError(f"{name} failed:\n{self.processes.tail(name)}")

    def start_node(self, region: str) -> None:
        """Start a region's SuperNode."""
        node, folder = self.nodes[region], self.root / f"node-{region}"
        region_folder = self.study.run.region(region).root.resolve()
        self.processes.start(
            f"supernode-{region}",
            [
                *(sys.executable, "-m", "client.supernode"),
                *("--superlink", f"{_HOST}:{self.port}"),
                *("--root-certificates", str(self.keys.authority)),
                *("--auth-supernode-private-key", str(node.keys.private)),
                *("--host", _HOST, "--port", str(node.port)),
                *("--node-config", f'region-folder="{region_folder}"'),
                *("--isolation", "process", "--superexec-auth-secret-file", str(node.keys.secret)),
            ],
            folder=folder,
            FLWR_HOME=str(folder),
        )

    def start_executor(self, region: str, *, allow: str | None = None) -> None:
        """Start a region's executor.

        Args:
            region: Its name.
            allow: SHA-256 of the bundle that the region allows; this source tree's if left out.
        """
        node, folder = self.nodes[region], self.root / f"node-{region}"
        self.processes.start(
            executor(region),
            [
                *(sys.executable, "-m", "client.executor"),
                *("--runtime", f"{_HOST}:{node.port}"),
                *("--allow", allow or self.fab_sha256),
                *("--secret-file", str(node.keys.secret)),
            ],
            folder=folder,
            FLWR_HOME=str(folder),
        )

    def await_nodes(self) -> None:
        """Wait until every SuperNode is there for its executor."""
        for node in self.nodes.values():
            name = f"supernode-{node.region}"
            self._await(f"the SuperNode of {node.region} listens", node.port, name)

    def submit(self) -> None:
        """Submit the run; the program that did so then follows its log until it ends."""
        self._operate(_RUN, "run", str(source_tree()), _CONNECTION, "--stream")

    def wait(self) -> None:
        """Wait until the run has ended, one way or the other.

        Raises:
            LoopbackError: If the time is up, or a program without which it cannot end is gone.
        """
        alive = [_SUPERLINK, _SUPEREXEC, *(f"supernode-{name}" for name in self.nodes)]
        self.processes.wait_for(
            "the run has ended",
            lambda: self.processes.finished(_RUN) is not None,
            until=self.until,
            alive=alive,
        )

    def _operate(self, name: str, *arguments: str) -> None:
        """Run the operator's command line."""
        folder = self.root / "operator"
        command = [_program("flwr"), *arguments]
        self.processes.start(name, command, folder=folder, FLWR_HOME=str(folder))

    def _await(self, what: str, port: int, name: str) -> None:
        self.processes.wait_for(what, lambda: listens(port), until=self.until, alive=[name])


def executor(region: str) -> str:
    """Return what a region's executor is called among the processes."""
    return f"executor-{region}"


def source_tree() -> Path:
    """Return the folder that ``flwr run`` makes the bundle from.

    Raises:
        LoopbackError: If stillroom is installed without it.
    """
    if (
        client.__file__ is None
        or not (tree := Path(client.__file__).resolve().parent.parent)
        .joinpath("pyproject.toml")
        .is_file()
    ):
        raise LoopbackError("expected stillroom installed from its source tree, as 'make' does")
    return tree


def bundle_sha256() -> str:
    """Return the hash of the bundle, as a region's steward gets it from ``flwr build``."""
    from flwr.cli.build import build_fab_from_disk

    return hashlib.sha256(build_fab_from_disk(source_tree())).hexdigest()


def _program(name: str) -> str:
    """Return one of Flower's programs from the environment that this runs in."""
    return str(Path(sys.executable).parent / name)
