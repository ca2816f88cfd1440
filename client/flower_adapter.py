"""The region's edge to Flower, and the only place where a reply is made.

A reply holds one `ConfigRecord` with one value, the message, and the chunks of the vector where
there is one; nothing is counted, no metric, no number of examples. Flower would send an
exception's text to the server, so none gets that far: whatever goes wrong leaves as one of the
protocol's fixed codes, and the text goes to the region's own log.

Whether an answer may leave at all is not decided here, but by the gate before it (``egress``).
"""

from collections.abc import Callable
from contextlib import suppress

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client.answers import Handler, RefusalKeeper, code_of, refusal
from protocol.envelope import Envelope, MessageKind
from protocol.errors import MalformedMessageError
from protocol.wire import UID_BYTES

__all__ = ["Handler", "answer", "code_of", "make_client_app"]

_MESSAGE, _CHUNKS = "m", "c"


def make_client_app(
    handler_for: Callable[[Context], Handler], *, report: Callable[[Context, Exception], None]
) -> ClientApp:
    """Return the ClientApp that answers the protocol's messages, and no others.

    Args:
        handler_for: Finds the region of a node.
        report: Told of every error, and of which node, in the region; nothing of it leaves.
    """
    app = ClientApp()

    def route(kind: MessageKind) -> Callable[[Message, Context], Message]:
        return lambda message, context: answer(
            message,
            kind,
            lambda: handler_for(context),
            report=lambda error: report(context, error),
        )

    for kind in MessageKind:
        category, action = kind.value.split(".")
        (app.train if category == "train" else app.query)(action)(route(kind))
    return app


def answer(
    message: Message,
    kind: MessageKind,
    find_handler: Callable[[], Handler],
    *,
    report: Callable[[Exception], None],
) -> Message:
    """Return the reply to one message; it never raises.

    A region that cannot even be opened answers under a uid of zeros.
    """
    uid = bytes(UID_BYTES)
    try:
        handler = find_handler()
        uid = handler.uid
        content = _write(handler.handle(kind, _request(handler, kind, message)))
    except Exception as error:  # the border: an unexpected error's text may hold a record
        with suppress(Exception):  # and so may the error of a log that could not be written
            report(error)
        content = _write(refusal(uid, error))
    return Message(content, reply_to=message)


def _request(handler: Handler, kind: MessageKind, message: Message) -> Envelope:
    """Read a request; the refusal of an unreadable one is listed like any other."""
    try:
        return _read(message.content)
    except Exception as error:  # a stranger's bytes: whatever they break, a refusal leaves for it
        if isinstance(handler, RefusalKeeper):
            handler.keep_refusal(kind, error)
        raise


def _read(content: RecordDict) -> Envelope:
    """Read the two declared records.

    Raises:
        MalformedMessageError: If there is anything else.
    """
    record = content.config_records.get(_MESSAGE, ConfigRecord())
    body = record.get(_MESSAGE)
    if set(content) - {_MESSAGE, _CHUNKS} or list(record) != [_MESSAGE]:
        raise MalformedMessageError("expected one message and its chunks, got other records")
    if not isinstance(body, bytes):
        raise MalformedMessageError(f"expected the message as bytes, got {type(body).__name__}")
    return Envelope(body, _read_chunks(content) if _CHUNKS in content else ())


def _read_chunks(content: RecordDict) -> tuple[bytes, ...]:
    arrays = content.array_records.get(_CHUNKS, ArrayRecord())
    if not arrays or list(arrays) != [f"{number:08d}" for number in range(len(arrays))]:
        raise MalformedMessageError("expected one or more chunks, numbered in order from 0")
    for array in arrays.values():
        if (array.dtype, tuple(array.shape), array.stype) != ("uint8", (len(array.data),), "raw"):
            raise MalformedMessageError("expected each chunk as raw bytes of the stated length")
    return tuple(array.data for array in arrays.values())


def _write(reply: Envelope) -> RecordDict:
    content = RecordDict({_MESSAGE: ConfigRecord({_MESSAGE: reply.body})})
    if reply.chunks:
        content[_CHUNKS] = ArrayRecord(
            {
                f"{number:08d}": Array("uint8", (len(chunk),), "raw", bytes(chunk))
                for number, chunk in enumerate(reply.chunks)
            }
        )
    return content
