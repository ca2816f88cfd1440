"""A plan may declare more than this release's client can do; then it is not approved."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from client.approval import check_policy
from client.errors import ApprovalRefusedError
from client.policy import Policy
from privacy.plan_components import Component, ComponentKind
from tests.client.region_builder import World


def test_a_plan_with_more_than_training_is_refused_by_name(prepared: World) -> None:
    """It would be charged for scores that no client of this release sends."""
    score = Component("score", Decimal(500), Fraction(1), 4, ComponentKind.SCALAR)
    plan = prepared.plan
    more = replace(
        plan, regions=tuple(replace(r, components=(*r.components, score)) for r in plan.regions)
    )
    policy = Policy.load(prepared.run.region("a").policy)

    check_policy(policy, plan, paid=())
    with pytest.raises(ApprovalRefusedError, match=r"plan\.components: .* runs train only.*score"):
        check_policy(policy, more, paid=())
