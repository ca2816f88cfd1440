"""Only declared answers leave a region, and a vector only if the ledger says so."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from client.egress import EgressError
from client.egress_ledger import check_entries, vector_of
from client.egress_rules import ANSWERS, SIZES
from client.errors import HaltedError
from client.halt import remove_halt, write_halt
from client.handler import RegionHandler
from client.manifest import ManifestError, compare
from privacy.ledger import Ledger
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode
from protocol.messages import Behind, Masked, Pending, Refusal
from protocol.unmask_messages import Consent
from protocol.wire import MAX_CODE_BYTES, Kind
from tests.client import region_builder
from tests.client.egress_tools import Played, gate_of, prepare_for
from tests.client.region_builder import World

START, KEYS, SHARES, ACCEPT, COLLECT, CONSENT, UNMASK, SUM = MessageKind
pytestmark = pytest.mark.slow


def test_a_real_round_passes_and_is_listed(played: Played) -> None:
    """Every stage of every region leaves as it was made; the list names each, the ledger too."""
    for name, gate in played.gates.items():
        answers = [played.answers[name, kind] for kind in MessageKind]
        listed = played.sent(name)[: len(answers)]
        bodies = [answer.body + b"".join(answer.chunks) for answer in answers]

        assert [one.kind for one in listed] == list(MessageKind)
        assert [one.message for one in listed] == [ANSWERS[kind][0] for kind in MessageKind]
        assert [one.size_bytes for one in listed] == list(map(len, bodies))
        assert [one.sha256 for one in listed] == [
            hashlib.sha256(a.body).hexdigest() for a in answers
        ]
        assert {one.round_ for one in listed} == {(0, 0)}
        assert {one.time for one in listed} == {region_builder.clock()}
        assert [one.vector is not None for one in listed] == [k is COLLECT for k in MessageKind]
        assert compare(gate.manifest.read(), gate.ledger.state).agrees


def test_every_request_has_its_declared_answers() -> None:
    """A new kind of request gets nothing but refusals until somebody says what may answer it."""
    assert set(ANSWERS) == set(MessageKind)
    assert {kind for kinds in ANSWERS.values() for kind in kinds} | {Kind.REFUSAL} == set(SIZES)


def test_the_declared_sizes_are_those_of_the_real_messages(played: Played) -> None:
    """To the byte: so many fixed, so many for each region named."""
    others = len(played.gates) - 1
    masked = Masked.from_bytes(played.body(COLLECT))
    lowest = min(played.gates, key=lambda name: played.gates[name].uid)
    found = {
        Kind.PARCEL: (len(played.body(KEYS, region=lowest)), others),
        Kind.SHARES: (len(played.body(SHARES)), others),
        Kind.ACCEPTED: (len(played.body(ACCEPT)), others),
        Kind.MASKED: (len(played.body(COLLECT)) - 32 + 1024 - len(masked.checkpoint), others),
        Kind.CONSENT: (len(played.body(CONSENT)), 0),
        Kind.UNMASK: (len(played.body(UNMASK)), others + 1),
        Kind.RECEIPT: (len(played.body(SUM)), 0),
        Kind.PENDING: (len(Pending(bytes(32)).to_bytes()), 0),
        Kind.BEHIND: (len(Behind(plan_hash=bytes(32), uid=bytes(16), round_=1).to_bytes()), 0),
        Kind.ADVERTISE: (len(played.body(START)), 0),
    }
    declared = {kind: SIZES[kind][0] + SIZES[kind][1] * count for kind, (_, count) in found.items()}

    assert {kind: size for kind, (size, _) in found.items()} == declared
    assert max(map(len, AbortCode)) <= MAX_CODE_BYTES


def test_the_same_answer_may_leave_again(played: Played) -> None:
    """A lost reply is sent as it was; the list says that it left twice."""
    before = len(played.sent("b"))
    answer = played.says(COLLECT, played.answers["b", COLLECT], region="b")

    assert answer == played.answers["b", COLLECT]
    assert [one.vector for one in played.sent("b")[before:]] == [played.sent("b")[4].vector]


def test_an_unknown_request_is_answered_by_refusals_only(played: Played) -> None:
    """The rules know nothing of a kind that is not in the table."""
    rules, body = played.gates["a"].rules, played.body(CONSENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(ANSWERS, CONSENT)
        with pytest.raises(EgressError, match="expected an answer"):
            rules.read(CONSENT, body, ())
        refusal = Refusal(uid=rules.uid, code=AbortCode.INTERNAL)
        assert rules.read(CONSENT, refusal.to_bytes(), ()) == refusal


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        (START, "accept_context"),
        (COLLECT, "send"),
        (UNMASK, "reveal"),
        (SUM, "record_sum"),
    ],
)
def test_a_handler_that_leaves_an_entry_out_is_stopped(
    world: World,
    regions: dict[str, RegionHandler],
    monkeypatch: pytest.MonkeyPatch,
    kind: MessageKind,
    entry: str,
) -> None:
    """The gate looks into the ledger itself: no entry, no answer."""
    ask = prepare_for(kind, world, regions)
    monkeypatch.setattr(Ledger, entry, lambda *values, **named: None)

    with pytest.raises(EgressError, match="ledger"):
        ask(gate_of(world, "a", regions["a"]))


def test_a_vector_leaves_only_after_its_release_is_on_record(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """And the gate's own look at the ledger is what counts: size, hash, one word a parameter."""
    ask = prepare_for(COLLECT, world, regions)
    gate = gate_of(world, "a", regions["a"])
    answer = ask(gate)
    release = gate.ledger.state.released(world.plan.hash, 0, "train")
    size = sum(map(len, answer.chunks))

    assert release is not None
    assert size * 32 == release.payload_bytes * world.plan.sum.bits
    message = Masked.from_bytes(answer.body)
    vector = vector_of(message, map(bytes, answer.chunks))
    bits = 48 - world.plan.sum.bits  # 32 for 16, and 16 for 32
    with pytest.raises(EgressError, match="one word for each"):
        check_entries(gate.ledger.state, message, vector, plan_hash=world.plan.hash, bits=bits)


def test_what_leaves_is_the_gates_own_copy(world: World, regions: dict[str, RegionHandler]) -> None:
    """Memory that the handler changes afterwards does not change what was hashed."""
    ask, kept = prepare_for(COLLECT, world, regions), list[bytearray]()

    def keep(kind: MessageKind, answer: Envelope) -> Envelope:
        kept.extend(bytearray(chunk) for chunk in answer.chunks)
        return Envelope(answer.body, tuple(memoryview(chunk) for chunk in kept))

    answer = ask(gate_of(world, "a", regions["a"], lie=keep))
    before = b"".join(answer.chunks)
    kept[0][:8] = b"row 17..".ljust(8)

    assert b"".join(answer.chunks) == before


def test_a_stop_while_the_handler_answers_keeps_the_answer_in(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """The gate looks for the steward's stop after all else; the refusal itself still leaves."""
    folder = world.run.region("a")

    def halt(kind: MessageKind, answer: Envelope) -> Envelope:
        write_halt(folder, reason="a patient objected", now=1)
        return answer

    ask = prepare_for(CONSENT, world, regions)
    gate = gate_of(world, "a", regions["a"], lie=halt)
    with pytest.raises(HaltedError):
        ask(gate)
    remove_halt(folder)

    assert [one.message for one in gate.manifest.read().sent] == [Kind.REFUSAL]
    assert Consent.from_bytes(ask(gate_of(world, "a", regions["a"])).body).uid == gate.uid


def test_nothing_leaves_that_cannot_be_listed(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """A full disk costs the round, not the list; afterwards the same answer leaves."""
    ask, file = prepare_for(COLLECT, world, regions), world.run.region("a").root / "sent.jsonl"
    gate = gate_of(world, "a", regions["a"])
    file.mkdir()
    with pytest.raises(ManifestError) as caught:
        ask(gate)
    file.rmdir()

    assert any("refusal is not in the manifest" in note for note in caught.value.__notes__)
    assert ask(gate).chunks
    assert compare(gate.manifest.read(), gate.ledger.state).agrees


def test_a_line_that_somebody_removed_shows(played: Played, tmp_path: Path) -> None:
    """The ledger has the vector still; and a vector that it has not is told apart."""
    gate = played.gates["c"]
    lines = gate.manifest.path.read_bytes().splitlines(keepends=True)
    (vector,) = {one.vector for one in played.sent("c") if one.vector is not None}
    file = tmp_path / "sent.jsonl"
    file.write_bytes(b"".join(line for line in lines if b"vector" not in line))
    missing = compare(replace(gate.manifest, path=file).read(), gate.ledger.state)
    file.write_bytes(b"".join(lines).replace(vector.sha256.encode(), b"0" * 64))
    changed = compare(replace(gate.manifest, path=file).read(), gate.ledger.state)

    assert (missing.unrecorded, missing.unlisted) == ((), (vector,))
    assert changed.unrecorded == (replace(vector, sha256="0" * 64),)
    assert changed.unlisted == (vector,)
