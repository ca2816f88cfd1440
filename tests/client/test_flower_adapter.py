"""Nothing but the declared fields leaves a region, and never the text of an error."""

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.errors import PolicyError
from client.flower_adapter import answer
from distillation.errors import RecordsError
from privacy.errors import BudgetExceededError
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode, AbortError, OutOfOrderError
from protocol.messages import Refusal

_SECRET = "row 17: somebody, a diagnosis"


class _Region:
    """Answers with a vector, or fails."""

    uid = bytes(range(16))

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        if self._error is not None:
            raise self._error
        return Envelope(b"answer", (b"one", b"two"))


@pytest.fixture(autouse=True)
def _task() -> None:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1


def _message(content: RecordDict | None = None) -> Message:
    sent = RecordDict({"m": ConfigRecord({"m": b"question"})}) if content is None else content
    return Message(sent, 2, MessageKind.TRAIN_MASKED.value)


def _ask(region: _Region, message: Message) -> tuple[Message, list[Exception]]:
    told: list[Exception] = []
    kind = MessageKind.TRAIN_MASKED
    return answer(message, kind, lambda: region, report=told.append), told


def _code(reply: Message) -> AbortCode:
    body = reply.content.config_records["m"]["m"]
    assert isinstance(body, bytes)
    return Refusal.from_bytes(body).code


def test_a_reply_has_the_message_and_its_chunks_only() -> None:
    """One record with one value, one with the raw chunks; no metrics, no counts."""
    reply, told = _ask(_Region(), _message())

    assert sorted(reply.content) == ["c", "m"]
    assert dict(reply.content.config_records["m"]) == {"m": b"answer"}
    assert [a.data for a in reply.content.array_records["c"].values()] == [b"one", b"two"]
    assert not reply.content.metric_records
    assert not told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError(_SECRET), AbortCode.INTERNAL),
        (RecordsError(_SECRET), AbortCode.REFUSED_LOCALLY),
        (PolicyError(_SECRET), AbortCode.REFUSED_LOCALLY),
        (BudgetExceededError(_SECRET), AbortCode.REFUSED_LOCALLY),
        (OutOfOrderError(_SECRET), AbortCode.OUT_OF_ORDER),
        (AbortError(AbortCode.MODEL_MISMATCH, _SECRET), AbortCode.MODEL_MISMATCH),
    ],
)
def test_an_error_leaves_as_a_fixed_word(error: Exception, code: AbortCode) -> None:
    """Its text goes to the region's own log; the coordinator gets a code."""
    reply, told = _ask(_Region(error), _message())

    assert _code(reply) is code
    assert not reply.has_error()
    assert "somebody" not in repr(reply.content)
    assert told == [error]


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"m": ConfigRecord({"m": "text"})}),
        RecordDict({"m": ConfigRecord({"m": b"x", "extra": 1})}),
        RecordDict({"m": ConfigRecord({"m": b"x"}), "n": MetricRecord({"n": 1})}),
        RecordDict({"m": ConfigRecord({"m": b"x"}), "more": ConfigRecord({})}),
        RecordDict({"m": ArrayRecord()}),
    ],
)
def test_anything_undeclared_in_a_request_is_refused(content: RecordDict) -> None:
    """Other records, other keys, other types: malformed."""
    reply, _ = _ask(_Region(), _message(content))

    assert _code(reply) is AbortCode.MALFORMED


def test_a_region_that_cannot_open_still_shows_nothing() -> None:
    """The search for the region is inside the border too."""

    def missing() -> _Region:
        raise PolicyError(_SECRET)

    told: list[Exception] = []
    reply = answer(_message(), MessageKind.TRAIN_START, missing, report=told.append)

    assert _code(reply) is AbortCode.REFUSED_LOCALLY
    assert len(told) == 1
