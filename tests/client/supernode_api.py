"""A SuperNode's real Runtime API on a free port, holding messages as a SuperLink would bring them.

Flower's own loop stores the message, the run and the pushed bundle; only the SuperLink is missing.
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from flwr.app import Error, Message, RecordDict
from flwr.cli.build import build_fab_from_disk
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.main import create_app
from flwr.supernode.nodestate import NodeState, NodeStateFactory
from flwr.supernode.start_client_internal import _pull_and_store_message

SECRET = b"between the SuperNode and its executor"
NODE, RUN = 7, 11


@dataclass(frozen=True, slots=True)
class Reply:
    """What the SuperNode would send to the SuperLink."""

    error: Error | None
    content: RecordDict | None


@dataclass(frozen=True, slots=True)
class SuperNode:
    """A SuperNode without a SuperLink.

    Attributes:
        address: Of its Runtime API.
        factory: Its state.
    """

    address: str
    factory: NodeStateFactory

    @property
    def _state(self) -> NodeState:
        return self.factory.state()

    def receive(self, content: RecordDict, fab: bytes) -> None:
        """Take a message up, as Flower's loop does when the SuperLink has one."""
        TaskIdentity.task_id = TaskIdentity.run_id = RUN
        TaskIdentity.node_id = 1
        message = Message(content, NODE, "query.anything")
        tree = get_object_tree(message)
        message.metadata.__dict__["_message_id"] = tree.object_id
        objects = {name: part.deflate() for name, part in get_all_nested_objects(message).items()}
        run, pushed = Run.create_empty(RUN), Fab(sha256(fab), fab, {})
        run.fab_hash, run.fab_id, run.fab_version = pushed.hash_str, "pushed/pushed", "1.0.0"
        stored = _pull_and_store_message(
            state=self._state,
            object_store=self.factory.objectstore_factory.store(),
            node_config={"region-folder": "/region"},
            receive=lambda: (message, tree),
            get_run=lambda number: run,
            get_fab=lambda name, number: pushed,
            pull_object=lambda number, name: objects[name],
            confirm_message_received=lambda number, name: None,
            trusted_entities=None,
        )
        assert stored == RUN

    def replies(self) -> list[Reply]:
        """Return what its loop would send now."""
        return [self._read(message) for message in self._state.get_messages_legacy(is_reply=True)]

    def _read(self, message: Message) -> Reply:
        if message.has_error():
            return Reply(message.error, None)
        store = self.factory.objectstore_factory.store()
        name = message.metadata.message_id
        tree = store.get_object_tree(name)
        contents = {
            part.object_id: store.get(part.object_id) or b"" for part in iterate_object_tree(tree)
        }
        whole = inflate_object_from_contents(name, contents)
        assert isinstance(whole, Message)
        return Reply(None, whole.content)


@contextmanager
def serve(secret: bytes = SECRET) -> Iterator[SuperNode]:
    """Serve the Runtime API until the context is left."""
    factory = NodeStateFactory(ObjectStoreFactory())
    factory.state().set_node_id(NODE)
    app = create_app(state_factory=factory, superexec_auth_secret=secret)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield SuperNode(f"127.0.0.1:{port}", factory)
    finally:
        server.should_exit = True
        thread.join()


def bundle(folder: Path, *, marker: Path) -> bytes:
    """Return a bundle whose app leaves a file behind when it is imported or run."""
    folder.mkdir()
    (folder / "pushed.py").write_text(f"open({str(marker)!r}, 'w').close()\napp = None\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "pushed"\nversion = "1.0.0"\nlicense = "Apache-2.0"\n'
        '[tool.flwr.app]\npublisher = "pushed"\nfab-include = ["pushed.py"]\n'
        '[tool.flwr.app.components]\nserverapp = "pushed:app"\nclientapp = "pushed:app"\n'
    )
    return build_fab_from_disk(folder)


def sha256(data: bytes) -> str:
    """Return the hash that names a bundle."""
    return hashlib.sha256(data).hexdigest()
