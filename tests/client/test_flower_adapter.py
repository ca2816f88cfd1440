"""Nothing but the declared fields leaves a region, and never the text of an error."""

from pathlib import Path

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.serde import message_to_proto
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st

from client.errors import PolicyError
from client.flower_adapter import answer, code_of
from client.local_log import LocalLog
from distillation.errors import RecordsError
from privacy.errors import BudgetExceededError
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode, AbortError, OutOfOrderError, ProtocolError
from protocol.messages import Refusal

_SECRET = "row 17: somebody, a diagnosis"
_ANSWER = Envelope(b"answer", (b"one", b"two"))


class _Region:
    """Answers with a vector, or fails."""

    uid = bytes(range(16))

    def __init__(self, error: Exception | None = None, *, answer: Envelope = _ANSWER) -> None:
        self._error, self._answer = error, answer

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        if self._error is not None:
            raise self._error
        return self._answer


@pytest.fixture(autouse=True, scope="module")
def _task() -> None:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1


def _message(content: RecordDict | None = None) -> Message:
    sent = RecordDict({"m": ConfigRecord({"m": b"question"})}) if content is None else content
    return Message(sent, 2, MessageKind.TRAIN_MASKED.value)


def _with_chunks(record: ArrayRecord | ConfigRecord | MetricRecord) -> RecordDict:
    return RecordDict({"m": ConfigRecord({"m": b"x"}), "c": record})


def _chunk(*, dtype: str = "uint8", stype: str = "raw", size: int = 3) -> Array:
    return Array(dtype, (size,), stype, b"abc")


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
        _with_chunks(ConfigRecord({"aside": "text"})),
        _with_chunks(MetricRecord({"n": 1})),
        _with_chunks(ArrayRecord()),
        _with_chunks(ArrayRecord({"aside": _chunk()})),
        _with_chunks(ArrayRecord({"00000000": _chunk(), "00000002": _chunk()})),
        _with_chunks(ArrayRecord({"00000001": _chunk(), "00000000": _chunk()})),
        _with_chunks(ArrayRecord({"00000000": _chunk(dtype="float32")})),
        _with_chunks(ArrayRecord({"00000000": _chunk(stype="numpy.ndarray")})),
        _with_chunks(ArrayRecord({"00000000": _chunk(size=7)})),
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


@pytest.mark.parametrize("error", [ValueError(_SECRET), RecordsError(_SECRET)])
def test_a_log_that_fails_lets_nothing_out(error: Exception) -> None:
    """A full disk, or a text that cannot be written: the code leaves all the same, alone."""

    def full(error: Exception) -> None:
        raise OSError(f"no space left for: {error}")

    region = _Region(error)
    reply = answer(_message(), MessageKind.TRAIN_START, lambda: region, report=full)

    assert not reply.has_error()
    assert _code(reply) is code_of(error)


def _shape(reply: Message) -> tuple[object, ...]:
    """Return what can be measured of a reply without reading it."""
    content = reply.content
    values = [(name, key, len(value)) for name, record in content.config_records.items()
              for key, value in record.items() if isinstance(value, bytes)]  # fmt: skip
    arrays = [(name, key, array.dtype, array.shape, array.stype, len(array.data))
              for name, record in content.array_records.items()
              for key, array in record.items()]  # fmt: skip
    return list(content), values, arrays, message_to_proto(reply).content.ByteSize()


_SIZES = st.tuples(st.integers(1, 64), st.lists(st.integers(1, 64), max_size=3))


@given(sizes=_SIZES, data=st.data())
def test_a_reply_shows_the_size_of_its_envelope_and_nothing_of_its_bytes(
    sizes: tuple[int, list[int]], data: st.DataObject
) -> None:
    """Regions with different private data and envelopes of one size: the same keys and sizes."""
    body, chunks = sizes

    def private(size: int) -> bytes:
        return data.draw(st.binary(min_size=size, max_size=size))

    one, other = (
        _ask(_Region(answer=Envelope(private(body), tuple(map(private, chunks)))), _message())[0]
        for _ in range(2)
    )

    assert _shape(one) == _shape(other)


@given(texts=st.tuples(st.text(), st.text()))
def test_a_refusal_does_not_depend_on_the_errors_text(texts: tuple[str, str]) -> None:
    """Two errors of one class, whatever they say, give the same bytes."""
    one, other = (_ask(_Region(RecordsError(text)), _message())[0] for text in texts)

    assert message_to_proto(one).content == message_to_proto(other).content


def test_a_code_that_is_no_fixed_word_does_not_leave() -> None:
    """An error that carries a text in the place of its code is answered as a bug of ours."""

    class OddError(ProtocolError):
        code = _SECRET  # type: ignore[assignment]

    reply, told = _ask(_Region(OddError(_SECRET)), _message())

    assert _code(reply) is AbortCode.INTERNAL
    assert [type(error) for error in told] == [OddError]


def test_what_was_noted_on_an_error_is_in_the_log_too(tmp_path: Path) -> None:
    """Two things went wrong: both are in the one line, however many lines they had."""
    error = ValueError("one\ntwo")
    error.add_note("three\nfour")
    LocalLog(tmp_path / "errors.log").report(error)

    assert LocalLog(tmp_path / "errors.log").last().endswith("ValueError: one two; three four")
