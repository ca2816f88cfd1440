"""What a coordinator sees of regions: every reply of real federations, as Flower's wire has it."""

import ast
import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_to_proto
from flwr.supercore.task_identity import TaskIdentity

import client.app
import server.app
from client.app import FOLDER_KEY
from client.executor_runtime import REASONS
from client.folder import RegionFolder
from client.local_log import LocalLog
from client.manifest import compare, manifest_of
from client.materials import load_materials
from client.policy import Policy
from privacy.ledger import Ledger
from protocol.envelope import MessageKind
from protocol.errors import AbortCode
from protocol.messages import Refusal
from protocol.wire import MAGIC, Kind
from simulations.grid import LocalGrid
from tests.client.region_builder import World, clock, fresh

_SECRET = "row-17-somebody-a-diagnosis"
_HERE = Path(client.app.__file__).parent
pytestmark = pytest.mark.slow


class _Watched(LocalGrid):
    """A grid that keeps every reply as it came over the wire."""

    def __init__(
        self, apps: Mapping[int, ClientApp], node_configs: Mapping[int, Mapping[str, str]]
    ) -> None:
        super().__init__(apps, node_configs=node_configs)
        self.replies: list[Message] = []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there, and keep them."""
        ready = list(super().pull_messages(message_ids))
        self.replies.extend(ready)
        return ready


def _context(**node_config: str) -> Context:
    return Context(1, 1, node_config=dict(node_config), state=RecordDict(), run_config={})


def _run(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Run a plan by the apps of a deployment, and return every reply."""
    monkeypatch.setattr("client.app._now", clock)
    monkeypatch.setenv(server.app.FOLDER, str(world.run.root))
    folders = {
        node: {FOLDER_KEY: str(world.run.region(name).root)}
        for node, name in enumerate(world.plan.cohort, start=2)
    }
    grid = _Watched(dict.fromkeys(folders, client.app.app), folders)
    with grid:
        server.app.main(grid, _context())
    return grid.replies


def _body(reply: Message) -> bytes:
    body = reply.content.config_records["m"]["m"]
    assert isinstance(body, bytes)
    return body


def _shape(reply: Message) -> tuple[object, ...]:
    """Return what can be measured of a reply without reading it."""
    content = reply.content
    values = [(name, key, type(value).__name__, len(value) if isinstance(value, bytes) else None)
              for name, record in content.config_records.items()
              for key, value in record.items()]  # fmt: skip
    arrays = [(name, key, array.dtype, array.shape, array.stype, len(array.data))
              for name, record in content.array_records.items()
              for key, array in record.items()]  # fmt: skip
    size = message_to_proto(reply).content.ByteSize()
    return list(content), values, arrays, len(content.metric_records), size


def _shapes(replies: Iterable[Message]) -> dict[tuple[int, str], list[tuple[object, ...]]]:
    """Return the shapes by node and request; "not ready yet" depends on the machine's load."""
    found: dict[tuple[int, str], list[tuple[object, ...]]] = {}
    for reply in replies:
        if _body(reply)[5] != Kind.PENDING:
            key = (reply.metadata.src_node_id, reply.metadata.message_type)
            found.setdefault(key, []).append(_shape(reply))
    return found


def test_every_reply_of_a_federation_holds_declared_keys_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record with one value for every kind of request, raw chunks after two kinds; no count."""
    replies = _run(world, monkeypatch)
    kinds = {reply.metadata.message_type for reply in replies}

    assert kinds == set(MessageKind)
    for reply in replies:
        chunks = _body(reply)[5] in (Kind.MASKED, Kind.RECEIPT)  # a receipt: what to cosign
        assert not reply.has_error()
        assert sorted(reply.content) == (["c", "m"] if chunks else ["m"])
        assert list(reply.content.config_records["m"]) == ["m"]
        assert _body(reply).startswith(MAGIC)
        assert not reply.content.metric_records
    for name in world.plan.cohort:
        folder = world.run.region(name)
        listed = manifest_of(folder).read()
        with Ledger.open(folder.ledger, clock=clock) as ledger:
            sends = ledger.state.plans[world.plan.hash].components["train"].sends
            assert compare(listed, ledger.state).agrees
        assert len(sends) == world.plan.rounds
        assert listed.torn == 0
    listed_in_all = sum(
        len(manifest_of(world.run.region(name)).read().sent) for name in world.plan.cohort
    )
    assert listed_in_all == len(replies)


def _without_one_record(world: World, name: str) -> None:
    """Take a record out of a region's data; its file says so, and what is loaded from it."""
    folder = world.run.region(name)
    file = folder.root / "records.csv"
    with file.open(newline="") as opened:
        rows = list(csv.reader(opened))
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows(rows[:-1])
    policy = Policy.load(folder.policy)
    before = world.materials[name].records
    after = load_materials(folder, policy, world.plan, load_teacher=lambda _: world.bench.teacher)
    assert len(after.records.ids) == len(before.ids) - 1


def test_neighbouring_data_under_the_same_noise_give_replies_of_the_same_shape(
    approved: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record more or less changes no key, no type and no size of any reply."""
    shapes = []
    for number in range(2):
        world = fresh(approved, tmp_path / str(number))
        if number:
            _without_one_record(world, "a")
        monkeypatch.setattr("privacy.noise._fresh_key", lambda: bytes(48))
        shapes.append(_shapes(_run(world, monkeypatch)))

    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == len(approved.plan.cohort) * len(MessageKind)


def _no_policy(folder: RegionFolder) -> None:
    folder.policy.unlink()


def _wrong_policy(folder: RegionFolder) -> None:
    folder.policy.write_text(f'[region]\nname = "{_SECRET}"\n')


def _no_ledger(folder: RegionFolder) -> None:
    folder.ledger.write_bytes(_SECRET.encode() * 500)


def _no_records(folder: RegionFolder) -> None:
    (folder.root / "records.csv").write_text(f"{_SECRET}\n{_SECRET}\n")


def _no_key(folder: RegionFolder) -> None:
    (folder.root / "identity.key").write_text(_SECRET)


def _no_list(folder: RegionFolder) -> None:
    (folder.root / "sent.jsonl").mkdir()


@pytest.mark.parametrize(
    "spoil", [_no_policy, _wrong_policy, _no_ledger, _no_records, _no_key, _no_list]
)
def test_a_broken_region_answers_by_one_fixed_word(
    approved: World,
    tmp_path: Path,
    spoil: Callable[[RegionFolder], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Texts of errors, paths and records stay in its own log, whatever part of it broke."""
    monkeypatch.setattr("client.app._now", clock)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    world = fresh(approved, tmp_path / _SECRET)
    folder = world.run.region("a")
    spoil(folder)
    request = RecordDict({"m": ConfigRecord({"m": world.round(0).signed_config})})
    message = Message(request, 2, MessageKind.TRAIN_START.value)
    reply = client.app.app(message, _context(**{FOLDER_KEY: str(folder.root)}))
    sent = message_to_proto(reply).SerializeToString()

    assert _SECRET.encode() not in sent
    assert str(tmp_path).encode() not in sent
    assert not reply.has_error()
    assert _shape(reply)[0] == ["m"]
    assert Refusal.from_bytes(_body(reply)).code in set(AbortCode)
    assert LocalLog(folder.errors).last()


def test_a_request_that_cannot_be_read_is_listed_as_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list has every answer of an open region, also to what never reached its handler."""
    monkeypatch.setattr("client.app._now", clock)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    folder = world.run.region("a")
    message = Message(RecordDict({"m": ConfigRecord({"m": 1})}), 2, MessageKind.TRAIN_START.value)
    reply = client.app.app(message, _context(**{FOLDER_KEY: str(folder.root)}))
    (listed,) = manifest_of(folder).read().sent

    assert Refusal.from_bytes(_body(reply)).code is AbortCode.MALFORMED
    assert (listed.kind, listed.message) == (MessageKind.TRAIN_START, Kind.REFUSAL)
    assert listed.sha256 == hashlib.sha256(_body(reply)).hexdigest()


def _calls(file: Path) -> set[str]:
    """Return the names of what a file calls."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            name = node.func
            found.add(name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", ""))
    return found


def test_there_is_one_door() -> None:
    """Flower's records are made in one file, its messages in two; the app has its region's gate."""
    files = {file.name: _calls(file) for file in _HERE.glob("*.py")}
    records = {"RecordDict", "ConfigRecord", "ArrayRecord", "MetricRecord"}

    assert {name for name, calls in files.items() if calls & records} == {"flower_adapter.py"}
    assert {name for name, calls in files.items() if "Message" in calls} == {
        "flower_adapter.py",
        "executor_runtime.py",
    }
    assert {name for name, calls in files.items() if "push_message" in calls} == {
        "executor_runtime.py"
    }
    assert "open_gate" in files["app.py"]
    assert all("/" not in text and "{" not in text for text in REASONS.values())
