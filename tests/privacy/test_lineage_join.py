"""Several models declared as one: the worst lineage wins; nothing is paid or checked less."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest

from privacy.errors import LineageRefusedError
from privacy.lineage import NEVER, Declaration, TeacherLineage, admit
from privacy.lineage_join import continued, joined
from tests.privacy.test_lineage import (
    ADMITTED,
    EVERY_ROW,
    EXTERNAL,
    EXTERNAL_APART,
    FEDERATED,
    FIRST,
    HELD_OUT,
    PRIVATE,
    PUBLIC,
    REGION_DP,
    SECOND,
)


@pytest.mark.parametrize("one", EVERY_ROW)
def test_public_models_add_nothing(one: Declaration) -> None:
    """In either order, what is said is what the other model says."""
    assert joined([one]) == joined([PUBLIC, one]) == joined([one, PUBLIC, PUBLIC]) == one


@pytest.mark.parametrize("lineage", sorted(NEVER))
@pytest.mark.parametrize("other", ADMITTED)
def test_one_refused_model_refuses_all(lineage: TeacherLineage, other: Declaration) -> None:
    """An unknown or private lineage stays what it is in any company."""
    for order in permutations([Declaration(lineage), other, PUBLIC]):
        with pytest.raises(LineageRefusedError):
            admit(joined(order))


def test_populations_and_charges_add_up() -> None:
    """Two trainings with privacy are paid for twice, even if their words are the same."""
    staff = replace(EXTERNAL, population="staff")
    (both,) = joined([EXTERNAL, staff]).surcharge
    (twice,) = joined([EXTERNAL, EXTERNAL]).surcharge

    assert joined([EXTERNAL, staff, PUBLIC]).population == "customers; staff"
    assert both.epsilon == twice.epsilon == Decimal(4)
    assert both.delta == 2 * EXTERNAL.guarantees[0].delta
    admit(joined([EXTERNAL, staff]))


def test_what_is_attested_for_one_is_not_attested_for_all() -> None:
    """A model whose people are apart costs nothing; the other one still does."""
    found = joined([EXTERNAL, EXTERNAL_APART])

    assert found.surcharge == EXTERNAL.guarantees
    assert joined([EXTERNAL_APART, EXTERNAL_APART]).disjoint_attested_by == "a DPO"
    assert joined([EXTERNAL_APART, PRIVATE]).lineage is TeacherLineage.EXTERNAL_PRIVATE
    assert "customers before 2026" in joined([EXTERNAL_APART, PRIVATE]).not_covered


@pytest.mark.parametrize(
    "lacking",
    [
        (PRIVATE, replace(PRIVATE, population=" ")),
        (HELD_OUT, replace(HELD_OUT, public_attested_by="")),
        (EXTERNAL, replace(EXTERNAL, population="")),
        (REGION_DP, replace(REGION_DP, plans=(SECOND,))),
    ],
)
def test_what_one_model_lacks_all_lack(lacking: tuple[Declaration, ...]) -> None:
    """No model's name, attestation or plan stands in for another's."""
    with pytest.raises(LineageRefusedError):
        admit(joined(lacking), plans_on_record={FIRST})


@pytest.mark.parametrize(
    "pair",
    [
        (EXTERNAL, PRIVATE),
        (HELD_OUT, PRIVATE),
        (REGION_DP, PRIVATE),
        (FEDERATED, EXTERNAL),
        (FEDERATED, replace(FEDERATED, guarantees=())),
        (),
    ],
)
def test_what_would_drop_a_payment_is_refused(pair: tuple[Declaration, ...]) -> None:
    """Lineages that ask for different things do not become one."""
    for order in permutations(pair):
        with pytest.raises(LineageRefusedError):
            joined(order)


@pytest.mark.parametrize("former", [PUBLIC, PRIVATE, EXTERNAL, HELD_OUT])
def test_a_student_that_goes_on_needs_the_account_that_paid(former: Declaration) -> None:
    """The earlier plan must be on record; a teacher declared alike is not paid for again."""
    found = continued(former, replace(former, plans=(FIRST,)), SECOND)

    assert found.plans == (FIRST, SECOND)
    assert found.surcharge == former.surcharge
    admit(found, plans_on_record={FIRST, SECOND})
    with pytest.raises(LineageRefusedError, match="no charge"):
        admit(found, plans_on_record={FIRST})


def test_who_was_not_covered_stays_so() -> None:
    """A public teacher does not wash off what the earlier student was distilled from."""
    found = continued(PUBLIC, PRIVATE, FIRST).not_covered

    assert found.startswith(PRIVATE.not_covered)
    assert f"plans {FIRST[:12]}, which the same account paid for" in found
