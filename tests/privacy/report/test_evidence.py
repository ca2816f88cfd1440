from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from privacy.accountant import PldAccountant
from privacy.errors import MalformedDocumentError, UnknownEntryError
from privacy.events import Gaussian, SampledGaussian
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.ledger import Ledger
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import TRAIN, Plan
from privacy.report.from_ledger import evidence_of, region_of
from privacy.report.html import render
from privacy.report.model import Report
from privacy.report.protection import DELTAS, Basis, computed, protection_of
from privacy.report.recomputed import LedgerCopy, completed, differences
from tests.privacy.builders import DIGEST, NOON, RECORD_LIMIT, noon, ready_ledger, small_plan
from tests.privacy.report.builders import sample

pytestmark = pytest.mark.slow
PLAN = small_plan()
ADD = Neighbours.ADD_OR_REMOVE_ONE


def bodies_of(path: Path, plan: Plan, name: str, *, rounds: int = 2) -> Sequence[bytes]:
    """The ledger of a region that did some rounds, with notes and a halt."""
    with Ledger.create(path, region=name, clock=noon) as ledger:
        ledger.open_account("patients", [RECORD_LIMIT])
        ledger.admit_plan(plan, name, "a steward")
        ledger.record_data_version("patients", "ab" * 32)
        passed = {"plan": plan.hash, "code": DIGEST, "subject": DIGEST, "passed": ["payload"]}
        ledger.note("conformance", {**passed, "failed": []})
        for number in range(rounds):
            context = bytes([number]) * 32
            ledger.accept_context(plan.hash, number, 1, context)
            draw = ledger.reserve(plan.hash, number, TRAIN, 2)
            ledger.release(plan.hash, number, TRAIN, draw, DIGEST, 8)
            ledger.send(plan.hash, number, TRAIN, context, DIGEST, 12, "coordinator")
        _ = ledger.reserve(plan.hash, rounds, TRAIN, 2)
        ledger.note("halt", {"state": "halted"})
        return ledger.bodies()


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sequence[bytes]]:
    folder = tmp_path_factory.mktemp("ledgers")
    return {name: bodies_of(folder / f"{name}.db", PLAN, name) for name in PLAN.cohort}


@pytest.fixture(scope="module")
def report(ledgers: dict[str, Sequence[bytes]]) -> Report:
    copies = {name: LedgerCopy(bodies) for name, bodies in ledgers.items()}
    return completed(_run_report(ledgers), PLAN, copies, created_at="2027-01-16T08:00:00Z")


def _run_report(ledgers: dict[str, Sequence[bytes]]) -> Report:
    from privacy.ledger_state import fold_all

    regions = tuple(region_of(fold_all(bodies), PLAN) for bodies in ledgers.values())
    return sample(study=PLAN.study, plan=PLAN.hash, regions=regions)


def test_evidence_is_what_the_entries_say(report: Report) -> None:
    """Releases, messages, steps, approval, self-test, notes and the tree over them."""
    one = report.ledgers[1]
    assert (one.region, one.lineage, one.absorbed) == ("north", "patients", ())
    (limit,) = one.limits
    assert limit.granted == RECORD_LIMIT
    assert limit.left == RECORD_LIMIT.guarantee.minus(limit.charged)
    (plan,) = one.plans
    assert (plan.approved_by, plan.approved_at, plan.plan) == ("a steward", NOON, PLAN.hash)
    (train,) = one.mechanisms
    assert (train.max_steps, train.reserved_steps, train.released_steps) == (10, 6, 4)
    assert [it.round for it in one.released] == [it.round for it in one.messages] == [1, 2]
    assert one.bytes_out == 24
    (test,) = one.self_tests
    assert (test.at, test.passed, test.failed) == (NOON, ("payload",), ())
    assert [it.topic for it in one.noted] == ["data-version", "halt"]
    assert one.integrity.entries == 15
    assert [(it.round, it.steps) for it in one.executed] == [(1, 2), (2, 4)]
    assert one.executed[-1].epsilon < limit.charged.epsilon


def test_the_claim_comes_first_and_the_other_relation_beside_it(report: Report) -> None:
    """What was charged, then what replacing one costs; nothing about persons without a cap."""
    north = report.ledgers[1]
    charged, swapped = north.protection
    assert (charged.bound, charged.basis) == (report.regions[1].charged, Basis.CHARGED)
    assert swapped.bound.relation == (Unit.RECORD, Neighbours.REPLACE_ONE)
    assert swapped.basis is Basis.COMPUTED
    assert swapped.bound.epsilon > charged.bound.epsilon
    assert "Nothing is said about persons" in north.notes[0]


def test_a_report_from_ledgers_follows_from_them(
    report: Report, ledgers: dict[str, Sequence[bytes]]
) -> None:
    """Also after it was written and read; and it is a page with all its charts."""
    again = Report.from_json(report.to_json())
    assert again == report
    assert differences(again, PLAN, ledgers) == ()
    page = render(report)
    assert page.count("<svg") == 9
    assert "Not a guarantee" in page


def test_an_edited_figure_does_not_follow(
    report: Report, ledgers: dict[str, Sequence[bytes]]
) -> None:
    """Whichever part it is in, the part is named."""
    north = report.ledgers[1]
    smaller = replace(north.protection[1], right_guesses=Decimal("0.5"))
    edited = replace(north, protection=(north.protection[0], smaller))
    lie = replace(report, ledgers=(report.ledgers[0], edited, report.ledgers[2]))
    assert differences(lie, PLAN, ledgers) == (
        "ledgers does not follow from the plan and the ledgers",
    )
    lie = replace(report, claims=("No loss at all.", *report.claims[1:]))
    assert differences(lie, PLAN, ledgers) == (
        "claims does not follow from the plan and the ledgers",
    )


def test_a_missing_ledger_makes_no_report(ledgers: dict[str, Sequence[bytes]]) -> None:
    """There is nothing to say about a region whose ledger nobody has."""
    with pytest.raises(MalformedDocumentError, match="none of east"):
        completed(sample(), PLAN, {"north": LedgerCopy(ledgers["north"])})


def test_another_plan_is_not_reported(ledgers: dict[str, Sequence[bytes]]) -> None:
    """Evidence needs the plan that was approved."""
    with pytest.raises(UnknownEntryError, match="not there"):
        evidence_of(ledgers["north"], small_plan(study="another"))


def test_a_cap_on_records_gives_figures_for_persons(tmp_path: Path) -> None:
    """Beside those for records: charged by no limit, computed from the same plan."""
    regions = tuple(replace(it, max_records_per_person=2) for it in PLAN.regions)
    plan = replace(PLAN, regions=regions)
    one = evidence_of(bodies_of(tmp_path / "l.db", plan, "north"), plan)
    relations = [it.bound.relation for it in one.protection]
    assert relations == [(unit, neighbours) for unit in Unit for neighbours in Neighbours]
    by_relation = {it.bound.relation: it for it in one.protection}
    person = by_relation[(Unit.PERSON, ADD)]
    assert person.bound.epsilon > by_relation[(Unit.RECORD, ADD)].bound.epsilon
    assert by_relation[(Unit.PERSON, Neighbours.REPLACE_ONE)].profile == ()
    assert one.notes == ()
    assert len(evidence_of(one_bodies(tmp_path), plan, all_relations=False).protection) == 1


def one_bodies(folder: Path) -> Sequence[bytes]:
    """The entries of the ledger that the test before made."""
    with Ledger.open(folder / "l.db", clock=noon) as ledger:
        return ledger.bodies()


def test_a_teacher_without_a_curve_leaves_the_claim_alone(tmp_path: Path) -> None:
    """Its (ε, δ) is in the charge; no other δ and no other relation is invented."""
    bound = Bound(Unit.RECORD, ADD, Decimal("0.5"), Decimal("0.000001"))
    teacher = Declaration(TeacherLineage.EXTERNAL_DP, "people", guarantees=(bound,))
    plan = small_plan(teacher=teacher)
    with ready_ledger(tmp_path / "l.db", plan) as ledger:
        one = evidence_of(ledger.bodies(), plan)
    (only,) = one.protection
    assert (only.profile, only.mu, only.opinions) == ((), None, ())
    assert "a teacher's guarantee" in one.notes[0]
    assert only.right_guesses > Decimal("0.5")


def test_two_plans_add_up_at_every_delta(tmp_path: Path) -> None:
    """By basic composition at half of δ each, so that no order of plans matters."""
    other = small_plan(study="second")
    with ready_ledger(tmp_path / "l.db", PLAN) as ledger:
        ledger.admit_plan(other, "north", "a steward")
        one = evidence_of(ledger.bodies(), PLAN, all_relations=False)
    (only,) = one.protection
    event = SampledGaussian(Decimal(8), Fraction(1, 10), 10)
    for point in only.profile:
        each = PldAccountant().epsilon(event, float(point.delta) / 2)
        assert float(point.epsilon) == pytest.approx(2 * each, abs=0.0025)
    assert len(one.plans) == 2


def test_figures_of_one_gaussian_are_those_of_the_formula() -> None:
    """σ = 1: μ = 1, and right guesses Φ(1/2) = 0.6915; all rounded towards the attacker."""
    event = Gaussian(Decimal(1), 1)
    bound = computed([(event, Decimal("0.00001"))], unit=Unit.RECORD, neighbours=ADD)
    assert bound.epsilon == pytest.approx(Decimal("4.378"), abs=Decimal("0.002"))
    found = protection_of(bound, Basis.COMPUTED, [event])
    assert Decimal("0.6914") < found.right_guesses < Decimal("0.693")
    assert found.mu is not None
    assert 1 <= found.mu <= Decimal("1.15")
    assert [it.delta for it in found.profile] == list(DELTAS)
    best = (Decimal("0.0183"), Decimal("0.0924"), Decimal("0.3892"))
    for odds, exact in zip(found.odds, best, strict=True):
        assert exact - Decimal("0.0002") <= odds.true_positives <= exact * Decimal("1.05")
