"""Flower's own SecAgg, unmodified, in one process: `SecAggWorkflow` against `secagg_mod`.

The server's workflow and every client's mod run as Flower runs them, through all four stages, with
Flower's default parameters. This file only hands messages over, so what counts is the CPU time
inside the mod (a client) and inside the workflow outside of `send_and_receive` (the server).
Flower documents a semi-honest protocol: parties that follow it and may be curious.

In Flower's favour: the training stand-in, the broadcast of the model, the transport and the
strategy's own aggregation are not counted.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.client.mod import secagg_mod
from flwr.common import (
    Code,
    FitRes,
    Parameters,
    Scalar,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.common.secure_aggregation.secaggplus_constants import (
    RECORD_KEY_CONFIGS,
    RECORD_KEY_STATE,
    Key,
    Stage,
)
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.compat.common import recorddict_compat
from flwr.server import LegacyContext, SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray
from sum_task import SERVER, Cost, Stopwatch, Task

THREAT_MODEL = (
    "Flower 1.41 SecAgg documents a semi-honest protocol: fresh P-384 keys for each round, no "
    "signatures; server and clients are assumed to follow it."
)
SHORT_DIM = 1000
"""Length of the vector of a client whose masked vector is replayed."""
_RUN, _SERVER_NODE = 1, 1
_LOST = 5  # Flower's code for a node that is not there
_KEPT_STAGES = (Stage.SETUP, Stage.SHARE_KEYS)


class FlowerFederation:
    """``size`` clients whose keys and shares serve every task of that size.

    Neither depends on the vector or on who is lost later, so setup and shares run once, whole, and
    each task starts from the state after them.
    """

    def __init__(self, size: int) -> None:
        # Message() reads the identity of the running task, which a SuperLink would have set.
        TaskIdentity.task_id = TaskIdentity.run_id = _RUN
        TaskIdentity.node_id = _SERVER_NODE
        logging.getLogger("flwr").setLevel(logging.ERROR)
        self.kept = _Kept({region: _empty_context(region) for region in range(size)})

    def sum(self, task: Task, *, measured: int | None = None) -> Cost:
        """Run one round.

        Args:
            task: The sum to make.
            measured: How many survivors mask the whole vector; the others go through every stage
                with a short one, and the last measured vector is replayed for them. None: all.

        Raises:
            RuntimeError: If Flower's workflow stopped before the end.
        """
        fresh = not self.kept.replies
        whole = task.survivors[:measured]
        grid = _Grid(task, self.kept, frozenset(whole))
        mean = _run_workflow(grid, task)
        replayed = [] if fresh else ["keys and shares from the first task with as many clients"]
        if len(whole) < len(task.survivors):
            replayed.append(
                f"the masked vectors of {len(task.survivors) - len(whole)} clients: each went "
                f"through every stage with {SHORT_DIM} coordinates and sent a measured vector"
            )
        watch = grid.watch
        for region in whole:
            watch.seconds[region] = self.kept.watch.seconds[region] | watch.seconds[region]
        return Cost(
            client_s=sum(map(watch.total, whole)) / len(whole),
            client_max_s=max(map(watch.total, whole)),
            client_steps_s=watch.mean_steps(whole),
            server_s=watch.total(SERVER),
            server_steps_s=dict(watch.seconds[SERVER]),
            up_bytes=sum(grid.up[region] + self.kept.up[region] for region in whole) / len(whole),
            down_bytes=sum(grid.down[region] for region in whole) / len(whole),
            measured=len(whole),
            replayed=replayed,
            nmse=task.nmse(mean) if len(whole) == len(task.survivors) else None,
        )


@dataclass
class _Kept:
    """What one round of keys and shares left behind."""

    contexts: dict[int, Context]
    states: dict[int, ConfigRecord] = field(default_factory=dict)
    replies: dict[tuple[int, str], RecordDict] = field(default_factory=dict)
    up: dict[int, int] = field(default_factory=dict)
    watch: Stopwatch = field(default_factory=Stopwatch)

    def restore(self, region: int) -> None:
        """Bring a client back to where it had dealt its shares."""
        state = self.contexts[region].state
        state.config_records[RECORD_KEY_STATE] = copy.deepcopy(self.states[region])


class _Grid(Grid):
    """Hands each message to its client's mod at once, and stops the server's clock meanwhile."""

    def __init__(self, task: Task, kept: _Kept, whole: frozenset[int]) -> None:
        self.task, self.kept, self.whole = task, kept, whole
        self.watch = Stopwatch()
        self.up = dict.fromkeys(range(task.size), 0)
        self.down = dict.fromkeys(range(task.size), 0)
        self.lap, self._step = time.process_time(), "configure"
        self._vector = ConfigRecord()

    def count_server(self) -> None:
        """Add the time since the last lap to the server's step: what it does with the replies."""
        self.watch.seconds[SERVER][self._step] += time.process_time() - self.lap

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Return every client's reply; a lost client's is an error."""
        sent = list(messages)
        stage = str(sent[0].content.config_records[RECORD_KEY_CONFIGS][Key.STAGE])
        self.count_server()
        self._step = stage
        replies = [self._deliver(message, stage) for message in sent]
        self.lap = time.process_time()
        return replies

    def _deliver(self, message: Message, stage: str) -> Message:
        region = _region_of(message.metadata.dst_node_id)
        wire = message_to_proto(message)
        wire.metadata.message_id = f"{stage}-{region}"
        self.down[region] += wire.ByteSize()
        message = message_from_proto(wire)
        if stage == Stage.COLLECT_MASKED_VECTORS and region in self.task.lost:
            return Message(Error(_LOST, "lost"), reply_to=message)
        if (region, stage) in self.kept.replies:
            return Message(self.kept.replies[region, stage], reply_to=message)
        return self._call_client(message, region, stage)

    def _call_client(self, message: Message, region: int, stage: str) -> Message:
        fitted = self._fit(region, stage)
        watch = self.kept.watch if stage in _KEPT_STAGES else self.watch
        with watch.step(region, stage):
            reply = secagg_mod(
                message,
                self.kept.contexts[region],
                lambda instruction, _: Message(fitted, reply_to=instruction),
            )
        self._remember(reply, region, stage)
        return reply

    def _fit(self, region: int, stage: str) -> RecordDict:
        """Return what local training would have: made before the clock runs."""
        if stage != Stage.COLLECT_MASKED_VECTORS:
            return RecordDict()
        self.kept.restore(region)
        delta = self.task.deltas.of(region)
        if region not in self.whole:
            delta = delta[:SHORT_DIM]
        parameters = ndarrays_to_parameters([delta])
        result = FitRes(Status(Code.OK, ""), parameters, self.task.examples(region), {})
        return recorddict_compat.fitres_to_recorddict(result, keep_input=False)

    def _remember(self, reply: Message, region: int, stage: str) -> None:
        """Count the reply's bytes; keep what a later message or task replays."""
        records = reply.content.config_records
        if stage == Stage.COLLECT_MASKED_VECTORS:
            if region in self.whole:
                self._vector = records[RECORD_KEY_CONFIGS]
            else:
                records[RECORD_KEY_CONFIGS] = self._vector
        if region in self.whole or stage in _KEPT_STAGES:
            size = message_to_proto(reply).ByteSize()
            if stage in _KEPT_STAGES:
                self.kept.up[region] = self.kept.up.get(region, 0) + size
            else:
                self.up[region] += size
        if stage in _KEPT_STAGES:
            self.kept.replies[region, stage] = reply.content
        if stage == Stage.SHARE_KEYS:
            state = self.kept.contexts[region].state.config_records[RECORD_KEY_STATE]
            self.kept.states[region] = copy.deepcopy(state)

    def set_run(self, run: Run) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Run:
        """Run information, of which there is none."""
        return Run.create_empty(_RUN)

    def get_node_ids(self) -> Iterable[int]:
        """Return all nodes."""
        return [_node_of(region) for region in range(self.task.size)]

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Refuse: the workflow makes its messages itself."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Refuse: the workflow does not use it."""
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Refuse: the workflow does not use it."""
        raise NotImplementedError


class _TakeMean(FedAvg):
    """Takes the workflow's mean as it is: FedAvg would average N copies of it once more."""

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[tuple[ClientProxy, FitRes] | BaseException],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Return the parameters that the workflow has put into every result."""
        return results[0][1].parameters, {}


def _run_workflow(grid: _Grid, task: Task) -> NDArray[np.float64]:
    """Run Flower's workflow once and return its mean, shape (d,)."""
    manager = SimpleClientManager()
    for node in grid.get_node_ids():
        manager.register(GridClientProxy(node, grid, _RUN))
    context = LegacyContext(
        _empty_context(0), strategy=_TakeMean(min_available_clients=2), client_manager=manager
    )
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
    workflow = SecAggWorkflow(reconstruction_threshold=task.threshold)
    grid.lap = time.process_time()
    workflow(grid, context)
    grid.count_server()
    record = context.state.array_records[MAIN_PARAMS_RECORD]
    arrays = parameters_to_ndarrays(
        recorddict_compat.arrayrecord_to_parameters(record, keep_input=True)
    )
    if len(arrays) != 1:
        raise RuntimeError("Flower's workflow stopped before the end; its log says why")
    mean: NDArray[np.float64] = arrays[0].astype(np.float64)
    return mean


def _empty_context(region: int) -> Context:
    return Context(_RUN, _node_of(region), node_config={}, state=RecordDict(), run_config={})


def _node_of(region: int) -> int:
    return region + _SERVER_NODE + 1


def _region_of(node: int) -> int:
    return node - _SERVER_NODE - 1
