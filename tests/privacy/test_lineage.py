from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.canonical import Json, dumps, loads
from privacy.errors import LineageRefusedError, MalformedDocumentError
from privacy.fields import Fields
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.ledger import Ledger
from privacy.lineage import NEVER, Declaration, TeacherLineage, admit
from tests.privacy.builders import RECORD_LIMIT, noon, small_plan

TRAINED = Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal(2), Decimal("0.000001"))
REPLACED = Bound(Unit.RECORD, Neighbours.REPLACE_ONE, Decimal(3), Decimal("0.000001"))
FIRST, SECOND = "1" * 64, "2" * 64

PUBLIC = Declaration(TeacherLineage.PUBLIC)
PRIVATE = Declaration(TeacherLineage.EXTERNAL_PRIVATE, population="customers before 2026")
EXTERNAL = Declaration(TeacherLineage.EXTERNAL_DP, population="customers", guarantees=(TRAINED,))
EXTERNAL_APART = replace(EXTERNAL, guarantees=(), disjoint_attested_by="a DPO")
FEDERATED = Declaration(
    TeacherLineage.FEDERATED_DP,
    population="patients of 2025",
    guarantees=(TRAINED,),
    plans=(FIRST, SECOND),
)
REGION_DP = Declaration(TeacherLineage.REGION_DP, plans=(FIRST,))
HELD_OUT = Declaration(
    TeacherLineage.HELD_OUT, population="records of 2024", public_attested_by="the board"
)

ADMITTED = [PUBLIC, PRIVATE, EXTERNAL, EXTERNAL_APART, FEDERATED, HELD_OUT]
EVERY_ROW = [*ADMITTED, REGION_DP]
BLANK = "  "


@pytest.mark.parametrize("declaration", ADMITTED)
def test_a_teacher_fixed_before_the_data_is_admitted(declaration: Declaration) -> None:
    """These label each record without knowing the others, whatever the account holds."""
    admit(declaration)
    admit(declaration, plans_on_record={FIRST})
    assert declaration.not_covered.endswith(".")  # whoever is admitted, somebody is left out


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        (replace(PRIVATE, population=""), "name it"),
        (replace(PRIVATE, population=BLANK), "name it"),
        (replace(EXTERNAL, population=""), "name it"),
        (replace(EXTERNAL, guarantees=()), "declare one of them"),
        (replace(EXTERNAL_APART, disjoint_attested_by=BLANK), "declare one of them"),
        (replace(EXTERNAL, guarantees=(TRAINED, TRAINED)), "declare one, their sum"),
        (replace(FEDERATED, population=""), "name it"),
        (replace(FEDERATED, plans=()), "take them from those plans' reports"),
        (replace(FEDERATED, guarantees=()), "declare what those plans were charged"),
        (replace(REGION_DP, plans=()), "take them from those plans' reports"),
        (REGION_DP, "no charge for 111111111111"),
        (replace(HELD_OUT, public_attested_by=BLANK), "declare the held-out records public"),
        (Declaration(TeacherLineage.CROSS_FIT, "somebody"), "all the others' labels"),
        (Declaration(TeacherLineage.REGION_PRIVATE), "change every label"),
        (Declaration(TeacherLineage.UNDECLARED), "not declared"),
    ],
)
def test_any_other_teacher_is_refused_with_a_reason(declaration: Declaration, reason: str) -> None:
    """Each refusal says in a sentence why, and what to do."""
    with pytest.raises(LineageRefusedError, match=reason) as refusal:
        admit(declaration)

    assert ":" in str(refusal.value)


def test_a_teacher_that_the_account_paid_for_is_admitted() -> None:
    """Its training on these records is one more charge of the same account."""
    admit(REGION_DP, plans_on_record={FIRST, SECOND})

    assert REGION_DP.surcharge == ()


def test_the_record_that_counts_is_the_accounts_own(tmp_path: Path) -> None:
    """A real ledger: a plan that another account of the same region paid for is no payment."""
    trained = small_plan(study="teacher")
    teacher = replace(REGION_DP, plans=(trained.hash,))
    with Ledger.create(tmp_path / "ledger.db", region="north", clock=noon) as ledger:
        for lineage in ("patients", "staff"):
            ledger.open_account(lineage, [RECORD_LIMIT])
        ledger.admit_plan(trained, "north", "a steward", lineage="patients")
        plans = ledger.state.plans

    paid_by = {
        lineage: {plan for plan, entry in plans.items() if entry.approval.lineage == lineage}
        for lineage in ("patients", "staff")
    }
    admit(teacher, plans_on_record=paid_by["patients"])
    with pytest.raises(LineageRefusedError, match="no charge for"):
        admit(teacher, plans_on_record=paid_by["staff"])


def test_every_plan_behind_a_regions_own_teacher_must_be_paid() -> None:
    """One plan on record does not stand for another."""
    with pytest.raises(LineageRefusedError, match="222222222222"):
        admit(replace(REGION_DP, plans=(FIRST, SECOND)), plans_on_record={FIRST})


def test_an_earlier_federation_is_paid_once() -> None:
    """What the account paid is not paid again; what it did not pay is, unless people differ."""
    paid_before = replace(FEDERATED, guarantees=())
    admit(paid_before, plans_on_record={FIRST, SECOND})

    assert paid_before.surcharge == ()
    assert FEDERATED.surcharge == (TRAINED,)
    assert replace(FEDERATED, disjoint_attested_by="a DPO").surcharge == ()


def test_a_part_paid_federation_must_say_its_price() -> None:
    """A plan that this account did not pay for has a cost somebody must state."""
    with pytest.raises(LineageRefusedError, match="222222222222"):
        admit(replace(FEDERATED, guarantees=()), plans_on_record={FIRST})


@pytest.mark.parametrize("lineage", sorted(NEVER))
@given(record=st.sets(st.sampled_from([FIRST, SECOND])), name=st.text(max_size=8))
def test_nothing_that_is_declared_admits_a_teacher_that_knows_the_records(
    lineage: TeacherLineage, record: set[str], name: str
) -> None:
    """No attestation, guarantee or plan makes these safe."""
    declaration = Declaration(lineage, name, (TRAINED,), name, (FIRST,), name)
    with pytest.raises(LineageRefusedError):
        admit(declaration, plans_on_record=record, teacher_sha256=FIRST, known_teachers={FIRST})


@pytest.mark.parametrize("declaration", ADMITTED)
def test_a_teacher_with_an_unknown_hash_is_refused(declaration: Declaration) -> None:
    """Where the steward keeps a list, a teacher that is not on it is nobody's word."""
    admit(declaration, teacher_sha256=FIRST, known_teachers={FIRST})
    for unknown in (SECOND, ""):
        with pytest.raises(LineageRefusedError, match="add their hash to the policy"):
            admit(declaration, teacher_sha256=unknown, known_teachers={FIRST})


@pytest.mark.parametrize("declaration", EVERY_ROW)
def test_a_declaration_survives_the_round_trip(declaration: Declaration) -> None:
    """A declaration in a plan is read as it was written."""
    value = loads(dumps(declaration.to_json()))
    assert Declaration.from_fields(Fields(value, where="teacher")) == declaration


def test_an_unknown_lineage_is_not_read() -> None:
    """A lineage that this release does not know is not guessed."""
    value = {**PUBLIC.to_json(), "lineage": "trusted"}
    with pytest.raises(MalformedDocumentError, match="one of public"):
        Declaration.from_fields(Fields(value, where="teacher"))


@pytest.mark.parametrize("key", sorted(PUBLIC.to_json()))
def test_a_declaration_has_exactly_its_fields(key: str) -> None:
    """A missing field is named, and so is one too many."""
    value = PUBLIC.to_json()
    with pytest.raises(MalformedDocumentError, match="unknown field comment"):
        Declaration.from_fields(Fields({**value, "comment": ""}, where="teacher"))
    del value[key]
    with pytest.raises(MalformedDocumentError, match=key):
        Declaration.from_fields(Fields(value, where="teacher"))


def test_a_named_plan_is_a_hash_and_nothing_else() -> None:
    """A reference with a comment beside it is another document."""
    plans: Json = [{"sha256": FIRST, "comment": ""}]
    with pytest.raises(MalformedDocumentError, match="unknown field comment"):
        Declaration.from_fields(Fields({**FEDERATED.to_json(), "plans": plans}, where="teacher"))


@pytest.mark.parametrize(
    "plans", [("1",), (FIRST.replace("1", "A"),), (SECOND, FIRST), (FIRST,) * 2]
)
def test_plans_have_one_spelling(plans: tuple[str, ...]) -> None:
    """Two plans that mean the same have the same bytes, so hashes are sorted and whole."""
    with pytest.raises(MalformedDocumentError, match="64 hexadecimal digits"):
        replace(FEDERATED, plans=plans)


def test_the_teachers_cost_is_passed_on_unless_its_people_are_others() -> None:
    """External-dp and federated-dp without attested disjointness have a surcharge."""
    costs = [declaration.surcharge for declaration in EVERY_ROW]
    assert costs == [(), (), (TRAINED,), (), (TRAINED,), (), ()]


def test_a_blank_attestation_waives_nothing() -> None:
    """Spaces are nobody's name: the teacher's cost is added as without them."""
    for declaration in (EXTERNAL, FEDERATED):
        assert replace(declaration, disjoint_attested_by=BLANK).surcharge == (TRAINED,)


def test_each_relation_has_its_own_guarantee() -> None:
    """A teacher may promise in several units and relations, once in each."""
    both = replace(EXTERNAL, guarantees=(TRAINED, REPLACED))
    admit(both)

    assert both.surcharge == (TRAINED, REPLACED)


@pytest.mark.parametrize("declaration", EVERY_ROW[1:])
def test_the_population_is_named_as_not_covered(declaration: Declaration) -> None:
    """The report can say whom the guarantee leaves out, in one sentence."""
    assert declaration.population in declaration.not_covered
    assert declaration.not_covered.endswith(".")


def test_what_covers_the_teachers_people_is_said() -> None:
    """Plans are named where they are what covers; the declarer where data became public."""
    assert FIRST[:12] in REGION_DP.not_covered
    assert "The records of this account" in REGION_DP.not_covered
    assert SECOND[:12] in FEDERATED.not_covered
    assert "the board declares public" in HELD_OUT.not_covered
