"""The parts of the loopback deployment that need no Flower: keys, and programs that end."""

import contextlib
import os
import signal
import ssl
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from simulations.loopback import Outcome
from simulations.loopback_keys import ServerKeys, make_node_keys, make_server_keys
from simulations.loopback_processes import LoopbackError, Processes, free_ports, listens

_FOREVER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
_DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('here', flush=True); time.sleep(600)",
]
_PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time;"
    " child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    " print('child', child.pid, flush=True); time.sleep(600)",
]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_whoever_trusts_the_authority_accepts_the_server(tmp_path: Path, host: str) -> None:
    """A real handshake, with the host name checked, by both names of this machine."""
    keys = make_server_keys(tmp_path / "superlink")
    assert _handshake(keys, host=host, trusting=keys.authority) == "TLSv1.3"


def test_nobody_else_and_nowhere_else(tmp_path: Path) -> None:
    """Another run's authority, or another host name: no connection."""
    keys, others = (make_server_keys(tmp_path / name) for name in ("superlink", "other"))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"signature|issuer"):
        _handshake(keys, host="localhost", trusting=others.authority)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        _handshake(keys, host="example.org", trusting=keys.authority)


def _handshake(keys: ServerKeys, *, host: str, trusting: Path) -> str | None:
    """Let a client and a server shake hands in memory; return the protocol's version."""
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(keys.certificate, keys.key)
    calling = ssl.create_default_context(cafile=str(trusting))
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(down, up, server_hostname=host)
    server = listening.wrap_bio(up, down, server_side=True)
    for _ in range(3):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return client.version()


def test_a_nodes_keys_are_a_pair_and_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    """ECDSA P-384 in OpenSSH's form; whatever is secret has mode 600."""
    server, node = make_server_keys(tmp_path / "superlink"), make_node_keys(tmp_path / "node")
    private = load_ssh_private_key(node.private.read_bytes(), None)
    public = load_ssh_public_key(node.public.read_bytes())

    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP384R1)
    assert private.public_key() == public
    for secret in (server.key, server.secret, node.private, node.secret):
        assert secret.stat().st_mode & 0o777 == 0o600
    assert server.secret.read_bytes() != node.secret.read_bytes()


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path / "logs", environment={"LOOPBACK": "1"})


def _await(processes: Processes, name: str, text: str) -> None:
    processes.wait_for(
        f"{name} says {text}",
        lambda: text in processes.log(name),
        until=time.monotonic() + 20,
        alive=[name],
    )


def test_all_programs_are_stopped_with_what_they_started(
    processes: Processes, tmp_path: Path
) -> None:
    """A child in a program's group ends with it; a program of the same kind elsewhere does not."""
    with processes, Processes(tmp_path / "other", environment={}) as other:
        other.start("program", _FOREVER, folder=tmp_path)
        processes.start("program", _FOREVER, folder=tmp_path)
        processes.start("parent", _PARENT, folder=tmp_path)
        _await(processes, "program", "here")
        _await(processes, "parent", "child")
        child = int(processes.log("parent").split()[1])
        processes.stop_all()

        assert processes.finished("program") == processes.finished("parent") == -signal.SIGTERM
        assert other.finished("program") is None
        assert not _lives(child)


def test_a_program_can_be_killed_and_started_again(processes: Processes, tmp_path: Path) -> None:
    """Its log goes on; two at a time under one name are refused."""
    with processes:
        processes.start("program", _FOREVER, folder=tmp_path)
        with pytest.raises(LoopbackError, match="running already"):
            processes.start("program", _FOREVER, folder=tmp_path)
        _await(processes, "program", "here")
        processes.kill("program")
        assert processes.finished("program") == -signal.SIGKILL
        processes.start("program", _FOREVER, folder=tmp_path)
        _await(processes, "program", "here\nhere")


def test_a_wait_ends_with_the_programs_last_words_or_with_the_time(
    processes: Processes, tmp_path: Path
) -> None:
    """Neither a dead program nor a slow one keeps the harness waiting."""
    fails = [sys.executable, "-c", "import sys; print('because'); sys.exit(3)"]
    with processes:
        processes.start("fails", fails, folder=tmp_path)
        processes.start("program", _FOREVER, folder=tmp_path)
        with pytest.raises(LoopbackError, match=r"fails ended \(3\) before .*\n?.*\nbecause"):
            processes.wait_for("never", bool, until=time.monotonic() + 20, alive=["fails"])
        with pytest.raises(LoopbackError, match="time is up, and not yet: never"):
            processes.wait_for("never", bool, until=time.monotonic(), alive=["program"])


@pytest.mark.slow
def test_a_program_that_ignores_sigterm_is_killed(processes: Processes, tmp_path: Path) -> None:
    """After the grace that every program gets."""
    with processes:
        processes.start("deaf", _DEAF, folder=tmp_path)
        _await(processes, "deaf", "here")
        processes.stop("deaf")
        assert processes.finished("deaf") == -signal.SIGKILL


def test_free_ports_are_distinct_and_nothing_listens_there() -> None:
    """As far as anybody can say of a port that is not held."""
    ports = free_ports(6)
    assert len(set(ports)) == 6
    assert not any(map(listens, ports))


@pytest.mark.parametrize(
    ("finished", "sent", "complete"),
    [(2, {"a": 2, "b": 2}, True), (1, {"a": 2, "b": 2}, False), (2, {"a": 2, "b": 1}, False)],
)
def test_a_run_is_complete_if_coordinator_and_regions_say_so(
    finished: int, sent: dict[str, int], complete: bool
) -> None:
    """One region whose ledger lacks one round is enough to fail."""
    assert Outcome(2, finished, sent).complete is complete


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
