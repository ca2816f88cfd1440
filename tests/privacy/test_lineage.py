from __future__ import annotations

from decimal import Decimal

import pytest

from privacy.canonical import dumps, loads
from privacy.errors import LineageRefusedError, MalformedDocumentError
from privacy.fields import Fields
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import Declaration, TeacherLineage, admit

TRAINED = Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal(2), Decimal("0.000001"))
ADMITTED = [
    Declaration(TeacherLineage.PUBLIC),
    Declaration(TeacherLineage.EXTERNAL_PRIVATE, population="customers before 2026"),
    Declaration(TeacherLineage.EXTERNAL_DP, population="customers", guarantees=(TRAINED,)),
    Declaration(TeacherLineage.EXTERNAL_DP, population="customers", disjoint_attested_by="a DPO"),
]


@pytest.mark.parametrize("declaration", ADMITTED)
def test_a_teacher_fixed_before_the_data_is_admitted(declaration: Declaration) -> None:
    """Public and external teachers label each record without knowing the others."""
    admit(declaration)


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        (Declaration(TeacherLineage.EXTERNAL_PRIVATE), "name it"),
        (Declaration(TeacherLineage.EXTERNAL_PRIVATE, population="  "), "name it"),
        (Declaration(TeacherLineage.EXTERNAL_DP, guarantees=(TRAINED,)), "name it"),
        (Declaration(TeacherLineage.EXTERNAL_DP, population="customers"), "declare one of them"),
        (Declaration(TeacherLineage.FEDERATED_DP), "not yet accounted for in this version"),
        (Declaration(TeacherLineage.REGION_DP), "not yet accounted for in this version"),
        (Declaration(TeacherLineage.REGION_PRIVATE), "change every label"),
        (Declaration(TeacherLineage.UNDECLARED), "not declared"),
    ],
)
def test_any_other_teacher_is_refused_with_a_reason(declaration: Declaration, reason: str) -> None:
    """Each refusal says in a sentence why, and what to do."""
    with pytest.raises(LineageRefusedError, match=reason):
        admit(declaration)


@pytest.mark.parametrize("declaration", ADMITTED)
def test_a_declaration_survives_the_round_trip(declaration: Declaration) -> None:
    """A declaration in a plan is read as it was written."""
    value = loads(dumps(declaration.to_json()))
    assert Declaration.from_fields(Fields(value, where="teacher")) == declaration


def test_an_unknown_lineage_is_not_read() -> None:
    """A lineage that this release does not know is not guessed."""
    value = {**Declaration(TeacherLineage.PUBLIC).to_json(), "lineage": "trusted"}
    with pytest.raises(MalformedDocumentError, match="one of public"):
        Declaration.from_fields(Fields(value, where="teacher"))


def test_the_teachers_cost_is_passed_on_unless_its_people_are_others() -> None:
    """Only an external-dp teacher without attested disjointness has a surcharge."""
    assert [declaration.surcharge for declaration in ADMITTED] == [(), (), (TRAINED,), ()]


@pytest.mark.parametrize("declaration", ADMITTED[1:])
def test_the_population_is_named_as_not_covered(declaration: Declaration) -> None:
    """The report can say whom the guarantee leaves out."""
    assert declaration.population in declaration.not_covered
