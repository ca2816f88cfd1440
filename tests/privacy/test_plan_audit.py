"""A plan says what audit it declares, and one that declares none is the plan that it was."""

from dataclasses import replace

import pytest

from privacy.errors import MalformedDocumentError, PlanRefusedError
from privacy.guarantee import Neighbours, Unit
from privacy.plan import Plan, PlannedAudit
from tests.privacy.builders import small_plan


def test_a_declared_audit_is_read_back_and_changes_the_hash() -> None:
    """What a steward approves names the audit."""
    plan = small_plan()
    declared = replace(plan, audit=PlannedAudit(20))

    assert Plan.from_bytes(declared.to_bytes()) == declared
    assert declared.hash != plan.hash
    assert b'"audit"' not in plan.to_bytes()


@pytest.mark.parametrize("old", [b"white-box-one-run", b'"canaries":20'])
def test_another_kind_of_audit_is_refused(old: bytes) -> None:
    """A client that cannot run it does not approve it."""
    new = b"black-box" if b"white" in old else b'"canaries":20,"seed":1'
    data = replace(small_plan(), audit=PlannedAudit(20)).to_bytes().replace(old, new)
    with pytest.raises(MalformedDocumentError):
        Plan.from_bytes(data)


def test_an_audit_is_of_records_and_not_of_most_of_the_training() -> None:
    """No canary stands for a person or for a replaced record; too few show nothing."""
    plan = small_plan()
    most = plan.regions[0].public_size // 2
    with pytest.raises(PlanRefusedError, match="at least 20"):
        PlannedAudit(19)
    with pytest.raises(PlanRefusedError, match="at most half"):
        replace(plan, audit=PlannedAudit(most + 1))
    for change in ({"unit": Unit.PERSON}, {"neighbours": Neighbours.REPLACE_ONE}):
        with pytest.raises(PlanRefusedError, match="a canary is one record"):
            replace(plan, audit=PlannedAudit(20), **change)
