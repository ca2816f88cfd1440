"""Whatever a handler says, made up or changed by a byte: only declared answers leave."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.egress import EgressError
from client.egress_rules import ANSWERS
from client.errors import ClientError
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode
from protocol.messages import Advertise, Behind, Checkpoint, Masked, Refusal
from protocol.share_messages import Accepted, Encaps, Parcel, Shares
from protocol.unmask_messages import Unmask
from protocol.wire import MAGIC, UID_BYTES, Kind, split_chunks
from tests.client.egress_tools import QUESTION, Played

START, KEYS, SHARES, ACCEPT, COLLECT, CONSENT, UNMASK, SUM = MessageKind
pytestmark = pytest.mark.slow


def _with_other_vector(played: Played, change: Callable[[bytes], bytes]) -> Envelope:
    """Return region a's vector, changed, with hashes and a signature that fit it."""
    masked = Masked.from_bytes(played.body(COLLECT))
    vector = change(b"".join(played.answers["a", COLLECT].chunks))
    chunks = split_chunks(vector)
    hashes = tuple(hashlib.sha256(chunk).digest() for chunk in chunks)
    other = replace(masked, size_bytes=len(vector), chunk_hashes=hashes)
    return Envelope(played.signed(other), chunks)


def _flipped(data: bytes) -> bytes:
    return bytes((data[0] ^ 1,)) + data[1:]


_LIES: dict[str, tuple[MessageKind, Callable[[Played], Envelope]]] = {
    "a text": (START, lambda p: Envelope(b"row 17: a diagnosis")),
    "nothing": (START, lambda p: Envelope(b"")),
    "no bytes": (START, lambda p: Envelope(bytearray(p.body(START)))),  # type: ignore[arg-type]
    "a text in the place of a code": (
        START,
        lambda p: Envelope(
            Refusal(uid=p.gates["a"].uid, code=AbortCode.INTERNAL).to_bytes()[:-12]
            + b"\0\0\0\6row 17"
        ),
    ),
    "an answer to another request": (START, lambda p: p.answers["a", CONSENT]),
    "a vector at another time": (UNMASK, lambda p: p.answers["a", COLLECT]),
    "bytes after the message": (START, lambda p: Envelope(p.body(START) + b"row 17")),
    "chunks after a message that has none": (
        START,
        lambda p: Envelope(p.body(START), (b"row 17",)),
    ),
    "another region's message": (START, lambda p: p.answers["b", START]),
    "a message that nobody signed": (
        CONSENT,
        lambda p: Envelope(p.body(CONSENT)[:-64] + b"row 17".ljust(64)),
    ),
    "a note in the place of a checkpoint": (
        START,
        lambda p: Envelope(
            p.signed(
                replace(
                    Advertise.from_bytes(p.body(START)),
                    checkpoints=(Checkpoint(p.gates["b"].uid, b"row 17"),),
                )
            )
        ),
    ),
    "a round that was never accepted": (
        START,
        lambda p: Envelope(
            p.signed(replace(Advertise.from_bytes(p.body(START)), context=bytes(32)))
        ),
    ),
    "a text among the ciphertexts": (
        KEYS,
        lambda p: Envelope(replace(Parcel.from_bytes(p.body(KEYS)), items=(b"row 17",)).to_bytes()),
    ),
    "a ciphertext for a region outside the plan": (
        KEYS,
        lambda p: Envelope(
            Parcel(
                Parcel.from_bytes(p.body(KEYS)).roster_hash,
                p.gates["a"].uid,
                (
                    Encaps(
                        roster_hash=Parcel.from_bytes(p.body(KEYS)).roster_hash,
                        uid=p.gates["a"].uid,
                        recipient=b"\xff" * 16,
                    )
                    .signed_by(p.identity("a"))
                    .to_bytes(),
                ),
            ).to_bytes()
        ),
    ),
    "peers outside the plan": (
        ACCEPT,
        lambda p: Envelope(
            replace(Accepted.from_bytes(p.body(ACCEPT)), peers=(b"\xff" * 16,))
            .signed_by(p.identity("a"))
            .to_bytes()
        ),
    ),
    "another region's dealings": (
        SHARES,
        lambda p: Envelope(
            replace(
                Shares.from_bytes(p.body(SHARES)),
                dealings=tuple(
                    replace(one, signature=bytes(64))
                    for one in Shares.from_bytes(p.body(SHARES)).dealings
                ),
            )
            .signed_by(p.identity("a"))
            .to_bytes()
        ),
    ),
    "another vector of the same size": (COLLECT, lambda p: _with_other_vector(p, _flipped)),
    "a longer vector": (COLLECT, lambda p: _with_other_vector(p, lambda data: data + b"row 17")),
    "a shorter vector": (COLLECT, lambda p: _with_other_vector(p, lambda data: data[:-4])),
    "other chunks than declared": (
        COLLECT,
        lambda p: Envelope(
            p.body(COLLECT),
            tuple(_flipped(bytes(c)) for c in p.answers["a", COLLECT].chunks),
        ),
    ),
    "a chunk more": (
        COLLECT,
        lambda p: Envelope(p.body(COLLECT), (*p.answers["a", COLLECT].chunks, b"row 17")),
    ),
    "no chunks": (COLLECT, lambda p: Envelope(p.body(COLLECT))),
    "shares for fewer survivors": (
        UNMASK,
        lambda p: Envelope(
            p.signed(
                replace(
                    Unmask.from_bytes(p.body(UNMASK)),
                    self_shares=Unmask.from_bytes(p.body(UNMASK)).self_shares[1:],
                )
            )
        ),
    ),
    "another plan": (
        START,
        lambda p: Envelope(Behind(plan_hash=bytes(32), uid=p.gates["a"].uid, round_=1).to_bytes()),
    ),
    "a receipt of no sum": (
        SUM,
        lambda p: Envelope(
            p.body(SUM)[:54] + bytes(32) + p.body(SUM)[86:],
        ),
    ),
}


@pytest.mark.parametrize("name", _LIES)
def test_an_answer_that_is_not_declared_does_not_leave(played: Played, name: str) -> None:
    """Whatever the handler says; what leaves, and is listed, is a refusal."""
    kind, lie = _LIES[name]
    before = len(played.sent())
    with pytest.raises(EgressError):
        played.says(kind, lie(played))

    assert [one.message for one in played.sent()[before:]] == [Kind.REFUSAL]


_KINDS = st.sampled_from(MessageKind)
_BODIES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda kind, rest: MAGIC + bytes((1, kind)) + rest,
        st.sampled_from(Kind),
        st.binary(max_size=200),
    ),
)
_CHUNKS = st.lists(st.binary(max_size=40), max_size=3).map(tuple)


@settings(deadline=None)
@given(kind=_KINDS, body=_BODIES, chunks=_CHUNKS)
def test_of_any_bytes_only_a_declared_message_leaves(
    played: Played, kind: MessageKind, body: bytes, chunks: tuple[bytes, ...]
) -> None:
    """Whatever a handler makes up: an error of the gate, or the very bytes of a known message."""
    try:
        answer = played.says(kind, Envelope(body, chunks))
    except EgressError:
        return
    assert answer == Envelope(body)
    assert Kind(body[5]) in (*ANSWERS[kind], Kind.REFUSAL)


@settings(deadline=None)
@given(kind=_KINDS, data=st.data())
def test_no_byte_of_a_signed_answer_can_be_changed(
    played: Played, kind: MessageKind, data: st.DataObject
) -> None:
    """So an answer has no room for a byte of anything else, wherever it is put."""
    body = played.body(kind)
    at = data.draw(st.integers(0, len(body) - 1), label="at")
    other = data.draw(st.integers(1, 255), label="difference")
    changed = body[:at] + bytes((body[at] ^ other,)) + body[at + 1 :]
    for tried in (changed, body[:at], body + body[at:]):
        with pytest.raises(EgressError):
            played.says(kind, Envelope(tried, played.answers["a", kind].chunks))


_SECRET = "row 17: somebody, a diagnosis"


@settings(deadline=None, max_examples=30)
@given(kind=_KINDS, text=st.text(), code=st.sampled_from(AbortCode))
def test_a_refusal_is_one_of_few_strings_of_bytes(
    played: Played, kind: MessageKind, text: str, code: AbortCode
) -> None:
    """The region's own uid and a fixed word; a handler may send it, and no other one."""
    own = Refusal(uid=played.gates["a"].uid, code=code).to_bytes()
    other = Refusal(uid=text.encode(errors="replace")[:16].ljust(UID_BYTES), code=code)

    assert played.says(kind, Envelope(own)) == Envelope(own)
    with pytest.raises(EgressError):
        played.says(kind, Envelope(other.to_bytes()))


def test_the_list_tells_nothing_that_did_not_leave(played: Played) -> None:
    """Only fixed words, numbers and hashes: a list that is shown around gives nothing away."""
    says: list[Exception] = [ClientError(_SECRET), OSError(2, "no such file", _SECRET)]

    @dataclass(frozen=True, slots=True)
    class Fails:
        uid: bytes
        error: Exception

        def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
            raise self.error

    gate = played.gates["d"]
    for error in says:
        with pytest.raises(type(error)):
            replace(gate, handler=Fails(gate.uid, error)).handle(START, QUESTION)
    data = gate.manifest.path.read_bytes()

    assert b"somebody" not in data
    assert os.fsencode(played.world.run.root) not in data
