"""Every way to make a pack say something else fails, also for whoever holds some of the keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.cosignatures import ledger_origin
from privacy.errors import UnsupportedEventError
from privacy.events import MixtureOfGaussians, SampledGaussian
from privacy.guarantee import Neighbours
from privacy.ledger_entries import Approval, Entry, Note, Payload, body_hash
from privacy.notes import Checkpoint, sign_note
from privacy.pack.bodies import from_lines, to_lines
from privacy.tree import leaf_hash, root
from tests.verify.made_run import MadeRun, made_run
from tests.verify.repacking import Edit, contents, resigned, unsigned_change
from verify.checkpoints_check import Kept
from verify.evidence import cost_of
from verify.findings import Check, Outcome
from verify.pack_check import check_pack

OTHERS = ("east", "west")
Change = Callable[[Payload], Payload]
Files = dict[str, bytes]


def _drop(*paths: str) -> Edit:
    def edit(files: Files) -> None:
        for path in paths:
            del files[path]

    return edit


def _put(path: str, data: bytes) -> Edit:
    def edit(files: Files) -> None:
        files[path] = data

    return edit


def _swap(one: str, two: str) -> Edit:
    def edit(files: Files) -> None:
        files[one], files[two] = files[two], files[one]

    return edit


def _replace(path: str, old: bytes, new: bytes) -> Edit:
    def edit(files: Files) -> None:
        changed = files[path].replace(old, new, 1)
        if changed == files[path]:
            raise AssertionError(f"{old!r} is not in {path}")
        files[path] = changed

    return edit


def _report(change: Callable[[dict[str, object]], object]) -> Edit:
    """Change north's part of the report."""

    def edit(files: Files) -> None:
        report = json.loads(files["report.json"])
        change(next(one for one in report["regions"] if one["name"] == "north"))
        files["report.json"] = json.dumps(
            report, separators=(",", ":"), sort_keys=True, ensure_ascii=False
        ).encode()

    return edit


def _cut_ledger(count: int) -> Edit:
    def edit(files: Files) -> None:
        bodies = from_lines(files["ledger/north.jsonl"])
        files["ledger/north.jsonl"] = to_lines(bodies[:-count])

    return edit


def _reorder(files: Files) -> None:
    bodies = list(from_lines(files["ledger/north.jsonl"]))
    bodies[-1], bodies[-2] = bodies[-2], bodies[-1]
    files["ledger/north.jsonl"] = to_lines(bodies)


def _hide_last_round(files: Files) -> None:
    for kind in ("transcript", "receipts"):
        del files[f"rounds/00001.{kind}"]
    events = files["server/transcript.jsonl"].splitlines(keepends=True)
    files["server/transcript.jsonl"] = b"".join(events[: len(events) // 2])


def _drop_event(kind: bytes) -> Edit:
    def edit(files: Files) -> None:
        events = files["server/transcript.jsonl"].splitlines(keepends=True)
        gone = next(line for line in events if b'"event": "' + kind in line)
        files["server/transcript.jsonl"] = b"".join(e for e in events if e != gone)

    return edit


def _leave_out_north(files: Files) -> None:
    for path in [path for path in files if path.split("/")[-1].startswith("north.")]:
        del files[path]
    report = json.loads(files["report.json"])
    report["regions"] = [one for one in report["regions"] if one["name"] != "north"]
    files["report.json"] = json.dumps(report, separators=(",", ":"), sort_keys=True).encode()


ATTACKS: dict[str, tuple[Edit, Check]] = {
    "a smaller ε": (
        _report(lambda r: r.update(charged={**r["charged"], "epsilon": "0.001"})),  # type: ignore[dict-item]
        Check.FIGURES,
    ),
    "a vector less": (_report(lambda r: r.update(sent=[])), Check.FIGURES),
    "a figure left out": (_report(lambda r: r.pop("charged")), Check.FIGURES),
    "a huge number": (_report(lambda r: r.update(max_steps=10**4000)), Check.WHOLE),
    "another name": (_report(lambda r: r.update(name="nord")), Check.FIGURES),
    "a report of another plan": (
        _replace("report.json", b'"plan":"', b'"plan":"0'),
        Check.FIGURES,
    ),
    "no report at all": (_put("report.json", b"[]"), Check.WHOLE),
    "an entry edited": (
        _replace("ledger/north.jsonl", b'"steps":2', b'"steps":1'),
        Check.LEDGERS,
    ),
    "an entry with a huge number": (
        _replace("ledger/north.jsonl", b'"steps":2', b'"steps":' + b"9" * 5000),
        Check.LEDGERS,
    ),
    "entries in another order": (_reorder, Check.LEDGERS),
    "an entry dropped": (_cut_ledger(1), Check.CHECKPOINTS),
    "a round's entries dropped": (_cut_ledger(6), Check.CHECKPOINTS),
    "a hidden round": (_hide_last_round, Check.VECTORS),
    "a hidden round, its record kept": (
        _drop("rounds/00001.transcript", "rounds/00001.receipts"),
        Check.VECTORS,
    ),
    "rounds exchanged": (
        _swap("rounds/00000.transcript", "rounds/00001.transcript"),
        Check.VECTORS,
    ),
    "receipts exchanged": (_swap("rounds/00000.receipts", "rounds/00001.receipts"), Check.VECTORS),
    "a vector off the record": (_drop_event(b"masked"), Check.VECTORS),
    "a sum off the record": (_drop_event(b"outcome"), Check.VECTORS),
    "a line cut off": (
        _replace("server/transcript.jsonl", b'"event": "outcome"', b'"event": "outcom'),
        Check.VECTORS,
    ),
    "ledgers exchanged": (_swap("ledger/north.jsonl", "ledger/west.jsonl"), Check.LEDGERS),
    "checkpoints exchanged": (
        _swap("ledger/north.checkpoint", "ledger/west.checkpoint"),
        Check.CHECKPOINTS,
    ),
    "the witness left out": (_drop("ledger/north.cosigned"), Check.CHECKPOINTS),
    "the witness replaced": (
        _swap("ledger/north.checkpoint", "ledger/north.cosigned"),
        Check.WHOLE,
    ),
    "a region left out": (_leave_out_north, Check.CHECKPOINTS),
    "a stranger's ledger": (_put("ledger/south.jsonl", b"{}\n"), Check.LEDGERS),
    "another plan": (_replace("plan.json", b'"study":"made"', b'"study":"fake"'), Check.PLAN),
    "a region that nobody knows": (
        _replace("plan.json", b'"name":"west"', b'"name":"yonder"'),
        Check.LEDGERS,
    ),
    "a plan that is none": (_replace("plan.json", b'"rounds":4', b'"rounds":3'), Check.WHOLE),
    "another recipe": (_put("config/recipe.json", b"{}"), Check.PLAN),
    "another's approval": (
        _swap("approvals/north.signature", "approvals/west.signature"),
        Check.PLAN,
    ),
    "another registry": (_replace("registry.bin", b"north", b"nordh"), Check.WHOLE),
    "an audit above the claim": (
        _put("evidence/audit.json", b'{"kind":"stillroom/audit/v1","lower_bound":"19"}'),
        Check.TESTS,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_whoever_holds_no_key_changes_nothing(
    made: MadeRun, pack: Path, tmp_path: Path, name: str
) -> None:
    """Below the old signatures every change is found before anything is believed."""
    changed = tmp_path / "changed.zip"
    changed.write_bytes(unsigned_change(pack, ATTACKS[name][0]))
    (found,) = check_pack(changed, made.auditor_keys).findings

    assert (found.outcome, found.check) == (Outcome.VIOLATED, Check.WHOLE)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "the witness replaced"])
@pytest.mark.parametrize(
    "regions",
    [("north",), pytest.param((), marks=pytest.mark.slow)],
    ids=["operator and north", "operator"],
)
def test_the_operators_key_and_one_regions_are_not_enough(
    made: MadeRun, pack: Path, tmp_path: Path, name: str, regions: tuple[str, ...]
) -> None:
    """Signed again, every lie contradicts what somebody else signed; the finding says which."""
    edit, check = ATTACKS[name]
    files = contents(pack)
    edit(files)
    changed = tmp_path / "changed.zip"
    changed.write_bytes(resigned(files, made, regions=regions))
    result = check_pack(changed, made.auditor_keys)

    assert result.outcome is Outcome.VIOLATED
    assert check in {one.check for one in result.findings if one.outcome is Outcome.VIOLATED}


def _rechained(bodies: list[bytes], change: Change) -> list[bytes]:
    """Write a ledger again from the first entry on, as only its owner can."""
    forged: list[bytes] = []
    for body in bodies:
        entry = Entry.from_bytes(body)
        payload = change(entry.payload)
        previous = body_hash(forged[-1]) if forged else entry.previous
        seq = len(forged) + 1
        forged.append(replace(entry, seq=seq, payload=payload, previous=previous).to_bytes())
    return forged


def _signed_by_north(made: MadeRun, bodies: list[bytes]) -> bytes:
    north = made.region("north")
    origin = ledger_origin(north.uid)
    text = Checkpoint(origin, len(bodies), root([leaf_hash(b) for b in bodies])).to_text()
    return sign_note(text, name=origin, key=north.key)


def _as_north(made: MadeRun, files: Files, bodies: list[bytes]) -> None:
    """Put a ledger that north made up, and every checkpoint that north alone can make."""
    files["ledger/north.jsonl"] = to_lines(bodies)
    files["ledger/north.checkpoint"] = _signed_by_north(made, bodies)
    files.pop("ledger/north.cosigned", None)


def _cheaper(payload: Payload) -> Payload:
    if isinstance(payload, Approval):
        (charge,) = payload.charges
        return replace(payload, charges=(replace(charge, epsilon=Decimal("0.001")),))
    return payload


def _failed_before(payload: Payload) -> Payload:
    if isinstance(payload, Note):
        return replace(payload, content={**payload.content, "failed": ["sensitivity: 2"]})
    return payload


OWN_LEDGER: dict[str, tuple[Change, Check]] = {
    "a charge below its cost": (_cheaper, Check.LEDGERS),
    "the same entries, written again": (
        lambda payload: (
            replace(payload, approved_by="nobody") if isinstance(payload, Approval) else payload
        ),
        Check.CHECKPOINTS,
    ),
    "a self-test that failed": (_failed_before, Check.TESTS),
}


@pytest.mark.parametrize("name", OWN_LEDGER)
def test_a_region_cannot_write_its_ledger_again(
    made: MadeRun, pack: Path, tmp_path: Path, name: str
) -> None:
    """With north's keys and the operator's: others signed checkpoints of the ledger as it was."""
    change, check = OWN_LEDGER[name]
    files = contents(pack)
    bodies = list(from_lines(files["ledger/north.jsonl"]))
    _as_north(made, files, _rechained(bodies, change))
    changed = tmp_path / "changed.zip"
    changed.write_bytes(resigned(files, made, regions=("north",)))
    result = check_pack(changed, replace(made.auditor_keys, witnesses=0))

    assert result.outcome is Outcome.VIOLATED
    assert check in {one.check for one in result.findings if one.outcome is Outcome.VIOLATED}


def test_a_region_that_tested_other_code_is_asked_for_its_list(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """The list is of the others' code: nothing speaks against it, and north's is not shown."""

    def other_code(payload: Payload) -> Payload:
        if isinstance(payload, Note):
            return replace(payload, content={**payload.content, "code": "0" * 64})
        return payload

    files = contents(pack)
    bodies = list(from_lines(files["ledger/north.jsonl"]))
    _as_north(made, files, _rechained(bodies, other_code))
    changed = tmp_path / "changed.zip"
    changed.write_bytes(resigned(files, made, regions=("north",)))
    found = check_pack(changed, made.auditor_keys).findings
    plan = [one for one in found if one.check is Check.PLAN]

    assert [(one.outcome, one.region) for one in plan] == [(Outcome.INCOMPLETE, "north")]
    assert "ask it for a list of its own" in plan[0].text


def test_only_a_kept_checkpoint_shows_an_end_that_everybody_cuts_off(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """All keys together can drop what nobody kept; the auditor's old checkpoint is not theirs."""
    north = made.region("north")
    kept = Kept(north.checkpoint(), "mail.note", given=True)
    files = contents(pack)
    _as_north(made, files, list(from_lines(files["ledger/north.jsonl"]))[:-1])
    changed = tmp_path / "changed.zip"
    changed.write_bytes(resigned(files, made, regions=("east", "north", "west")))
    keys = replace(made.auditor_keys, witnesses=0)

    assert check_pack(changed, keys).outcome is Outcome.HOLDS
    (found,) = check_pack(changed, keys, [kept]).findings
    assert (found.outcome, found.region, found.where) == (
        Outcome.VIOLATED,
        "north",
        "mail.note",
    )
    assert "its end was cut off" in found.text


def test_a_kept_checkpoint_that_nobody_signed_says_nothing(made: MadeRun, pack: Path) -> None:
    """The auditor's own mistake is not held against the run."""
    west = made.region("west").checkpoint().decode()
    north = made.region("north")
    forged = west.replace(ledger_origin(made.region("west").uid), ledger_origin(north.uid))
    kept = Kept(forged.encode(), "odd.note", given=True)
    (found,) = check_pack(pack, made.auditor_keys, [kept]).findings

    assert (found.outcome, found.check) == (Outcome.INCOMPLETE, Check.CHECKPOINTS)


def test_keys_of_another_federation_confirm_nothing(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """A pack that agrees with itself is not enough: the auditor's own keys decide."""
    other = made_run(tmp_path / "other", seed="other", rounds=0)
    keys = made.auditor_keys
    for wrong in (
        other.auditor_keys,
        replace(keys, registry_hash=bytes(32)),
        replace(keys, server_key=other.server.public_bytes()),
        replace(keys, cosigner_key=other.cosigner.public_bytes()),
        replace(keys, regions={**keys.regions, "north": bytes(32)}),
        replace(keys, regions={**keys.regions, "south": bytes(32)}),
    ):
        assert check_pack(pack, wrong).outcome is Outcome.VIOLATED


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_byte_can_be_another(made: MadeRun, pack: Path, data: st.DataObject) -> None:
    """Whichever single byte of a pack is changed, the check does not hold."""
    whole = bytearray(pack.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    changed = made.root / "one-byte.zip"
    changed.write_bytes(whole)

    assert check_pack(changed, made.auditor_keys).outcome is not Outcome.HOLDS


@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_whatever_is_inside_the_check_ends_with_a_finding(
    made: MadeRun, pack: Path, data: st.DataObject
) -> None:
    """Signed by everybody, any file may hold anything: it is told, and nothing is raised."""
    files = contents(pack)
    path = data.draw(st.sampled_from(sorted(files)))
    whole = files[path]
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, min(len(whole), start + 40)))
    files[path] = whole[:start] + data.draw(st.binary(max_size=40)) + whole[stop:]
    changed = made.root / "anything.zip"
    changed.write_bytes(resigned(files, made, regions=("east", "north", "west")))

    outcome = check_pack(changed, made.auditor_keys).outcome
    assert outcome is not Outcome.HOLDS or files[path] == whole or path == "report.html"


@pytest.mark.slow
def test_no_byte_can_be_another_anywhere(made: MadeRun, pack: Path, tmp_path: Path) -> None:
    """The same at every place of headers, directory and signatures, and at one in ninety-seven."""
    whole = pack.read_bytes()
    changed = tmp_path / "changed.zip"
    ends = 900  # the manifest and its note stand at the front, the directory at the end
    places = {*range(ends), *range(len(whole) - ends, len(whole)), *range(0, len(whole), 97)}
    for place in sorted(places):
        other = bytearray(whole)
        other[place] ^= 1
        changed.write_bytes(other)
        assert check_pack(changed, made.auditor_keys).outcome is Outcome.VIOLATED, place


@pytest.mark.parametrize("noise", ["0.0001", "0.02"])
def test_a_price_that_would_take_all_memory_is_not_computed(noise: str) -> None:
    """A stranger's event with next to no noise is refused by a bound that costs nothing."""
    event = SampledGaussian(Decimal(noise), Fraction(1, 2), 2**40)
    with pytest.raises(UnsupportedEventError, match="it is not computed"):
        cost_of(event, Decimal("0.00001"), Neighbours.ADD_OR_REMOVE_ONE)
    several = MixtureOfGaussians(Decimal(noise), Fraction(1, 2), 100, 1)
    with pytest.raises(UnsupportedEventError, match="anybody grants"):
        cost_of(several, Decimal("0.00001"), Neighbours.ADD_OR_REMOVE_ONE)
