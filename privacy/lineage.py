"""May this teacher label these records? What it was trained on decides.

DP-SGD bounds what one record changes only if the record's soft label depends on no other record
of the region. A teacher that was trained, prompted, indexed, calibrated or tokenised on the
region's data breaks that: removing one record then changes every label, in every step, and no
noise multiplier covers it (measured: ``bench/teacher_break.py``). So a teacher is fixed with
respect to the region's data, or its training is charged to the same account, or it is refused.

Students may leak what a teacher was trained on (Jagielski et al. 2023, "Students parrot their
teachers", arXiv 2303.03446): the people behind a private teacher are named as not covered.

What is declared is an attestation of an accountable person; nothing here reads weights or data.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from privacy.canonical import Json
from privacy.errors import LineageRefusedError, MalformedDocumentError
from privacy.fields import Fields
from privacy.guarantee import Bound

_PLAN = re.compile(r"[0-9a-f]{64}")


class TeacherLineage(StrEnum):
    """What the teacher's weights, prompt, index and tokenizer depend on."""

    PUBLIC = "public"
    EXTERNAL_PRIVATE = "external-private"
    EXTERNAL_DP = "external-dp"
    FEDERATED_DP = "federated-dp"
    REGION_DP = "region-dp"
    HELD_OUT = "held-out"
    CROSS_FIT = "cross-fit"
    REGION_PRIVATE = "region-private"
    UNDECLARED = "undeclared"


NEVER = frozenset(
    {TeacherLineage.CROSS_FIT, TeacherLineage.REGION_PRIVATE, TeacherLineage.UNDECLARED}
)
"""Lineages that no declaration and no policy can make admissible."""

WITHOUT_POPULATION = frozenset({TeacherLineage.PUBLIC, TeacherLineage.REGION_DP})
"""Lineages whose people need no name: nobody in particular, or the account's own."""

_ON_PLANS = frozenset({TeacherLineage.FEDERATED_DP, TeacherLineage.REGION_DP})
"""Lineages that rest on earlier plans of this system."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an accountable person says about the teacher.

    Attributes:
        lineage: Where it comes from.
        population: Whose data it was trained on; needed unless public or the account's own.
        guarantees: What its training promised or was charged, one for each unit and relation,
            several trainings added up; for external-dp and federated-dp.
        disjoint_attested_by: Who attests that nobody is both in its training data and in a
            region; empty if nobody does.
        plans: SHA-256 of every plan that trained it, hex, for federated-dp and region-dp; and
            whatever the lineage, of every plan whose release the student starts from.
        public_attested_by: For held-out: who declares the part that trained it public.
    """

    lineage: TeacherLineage
    population: str = ""
    guarantees: tuple[Bound, ...] = ()
    disjoint_attested_by: str = ""
    plans: tuple[str, ...] = ()
    public_attested_by: str = ""

    def __post_init__(self) -> None:
        wrong = [plan for plan in self.plans if not _PLAN.fullmatch(plan)]
        if wrong or list(self.plans) != sorted(set(self.plans)):
            raise MalformedDocumentError(
                "expected the teacher's plans as 64 hexadecimal digits each, ascending, each "
                f"once, got {', '.join(plan[:70] for plan in self.plans)}"
            )

    @property
    def surcharge(self) -> tuple[Bound, ...]:
        """What a plan with this teacher costs on top of its own steps.

        It follows from the plan alone, so that whoever checks a ledger computes the same charge.
        A federated-dp teacher whose plans this account paid for may leave its guarantees out,
        and is then not paid for twice (see ``admit``).
        """
        has_price = self.lineage in (TeacherLineage.EXTERNAL_DP, TeacherLineage.FEDERATED_DP)
        if not has_price or self.disjoint_attested_by.strip():
            return ()
        return self.guarantees

    @property
    def not_covered(self) -> str:
        """Whom the guarantee of a plan with this teacher does not cover, in a sentence or two."""
        of_student = self.plans and self.lineage not in _ON_PLANS
        further = f" The student starts from a release of the plans {self._plans_said}, which the "
        further += "same account paid for."
        return self._not_covered_by_teacher + (further if of_student else "")

    @property
    def _not_covered_by_teacher(self) -> str:
        who = self.population.strip()
        match self.lineage:
            case TeacherLineage.PUBLIC:
                return "Not covered: what the public training data of the teacher already tell."
            case TeacherLineage.EXTERNAL_DP:
                return (
                    f"{self.population}: covered by the guarantee of the teacher's own training "
                    "only, which this system has not checked."
                )
            case TeacherLineage.FEDERATED_DP:
                return (
                    f"{self.population}: covered by what the earlier plans {self._plans_said} "
                    "were charged only, each in its own region's account."
                )
            case TeacherLineage.REGION_DP:
                return (
                    f"{who or 'The records of this account'}: covered by the same account, which "
                    f"paid for the teacher's training too (plans {self._plans_said})."
                )
            case TeacherLineage.HELD_OUT:
                return (
                    f"Not covered: {who or 'the held-out records that trained the teacher'}, "
                    f"which {self.public_attested_by.strip() or 'nobody'} declares public."
                )
            case _:
                return f"Not covered: {who or 'whoever the teacher was trained on'}."

    @property
    def _plans_said(self) -> str:
        return ", ".join(plan[:12] for plan in self.plans)

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        return {
            "lineage": self.lineage,
            "population": self.population,
            "guarantees": [bound.to_json() for bound in self.guarantees],
            "disjoint_attested_by": self.disjoint_attested_by,
            "plans": [{"sha256": plan} for plan in self.plans],
            "public_attested_by": self.public_attested_by,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            MalformedDocumentError: If a field is missing, unknown or of another form.
            InvalidBudgetError: If a guarantee is none.
        """
        declaration = cls(
            lineage=fields.choice("lineage", TeacherLineage),
            population=fields.text("population"),
            guarantees=tuple(map(Bound.from_fields, fields.objects("guarantees"))),
            disjoint_attested_by=fields.text("disjoint_attested_by"),
            plans=tuple(map(_plan, fields.objects("plans"))),
            public_attested_by=fields.text("public_attested_by"),
        )
        fields.close()
        return declaration


def _plan(fields: Fields) -> str:
    plan = fields.hex_bytes("sha256", size=32)
    fields.close()
    return plan


_REFUSALS = {
    TeacherLineage.CROSS_FIT: (
        "a teacher that labels each record after training on the others lets one record change "
        "all the others' labels, which no noise here covers: use a teacher that never saw these "
        "records"
    ),
    TeacherLineage.REGION_PRIVATE: (
        "a teacher that was trained, prompted, indexed or calibrated on the region's data lets "
        "one record change every label, which no noise here covers: use one that never saw them, "
        "or train it with differential privacy under a plan of this account (region-dp)"
    ),
    TeacherLineage.UNDECLARED: (
        "the teacher's lineage is not declared: find out what it was trained on and declare it "
        "(public, external-private, external-dp, federated-dp or region-dp)"
    ),
}


def admit(
    declaration: Declaration,
    *,
    plans_on_record: Collection[str] = (),
    teacher_sha256: str = "",
    known_teachers: Collection[str] | None = None,
) -> None:
    """Refuse a teacher with which the plan's guarantee would not hold.

    Args:
        declaration: What is said about it.
        plans_on_record: Hashes of the plans that were charged to the account that will pay, and
            to no other account; without them, no earlier plan counts as paid.
        teacher_sha256: Hash of the teacher's files, as the plan names it.
        known_teachers: Hashes that the steward allows; None: the steward keeps no such list.

    Raises:
        LineageRefusedError: With the reason, and what to do.
    """
    if known_teachers is not None and teacher_sha256 not in known_teachers:
        raise LineageRefusedError(
            f"the teacher {teacher_sha256[:16] or 'without a hash'} is not on the steward's list "
            "of teachers, so nobody here vouches for what it was trained on: check its files, and "
            "add their hash to the policy"
        )
    lineage = declaration.lineage
    if lineage in _REFUSALS:
        raise LineageRefusedError(_REFUSALS[lineage])
    if lineage not in WITHOUT_POPULATION and not declaration.population.strip():
        raise LineageRefusedError(
            f"a teacher of lineage {lineage} needs the population its training data describe, "
            "since the report must say whom the guarantee does not cover: name it"
        )
    _check_guarantees(declaration)
    _check_plans(declaration, plans_on_record)
    if lineage is TeacherLineage.HELD_OUT and not declaration.public_attested_by.strip():
        raise LineageRefusedError(
            "a teacher trained on records that the region held out leaves those records without "
            "any guarantee: use another teacher, or have the person who may decide it declare "
            "the held-out records public, and keep them out of the records to label"
        )


def _check_guarantees(declaration: Declaration) -> None:
    relations = [bound.relation for bound in declaration.guarantees]
    if len(set(relations)) < len(relations):
        raise LineageRefusedError(
            "the teacher has two guarantees for one unit and relation: declare one, their sum"
        )
    paid = declaration.guarantees or declaration.disjoint_attested_by.strip()
    if declaration.lineage is TeacherLineage.EXTERNAL_DP and not paid:
        raise LineageRefusedError(
            "an external-dp teacher needs the (ε, δ) of its training, or somebody who attests "
            "that its people and the regions' are disjoint: declare one of them"
        )


def _check_plans(declaration: Declaration, plans_on_record: Collection[str]) -> None:
    """Check the references to earlier plans, where the lineage rests on them."""
    lineage = declaration.lineage
    missing = [plan[:12] for plan in declaration.plans if plan not in plans_on_record]
    if lineage not in _ON_PLANS:
        if missing:
            raise LineageRefusedError(
                f"the student starts from a release of {', '.join(missing)}, for which the account "
                "that would pay has no charge, so what that release tells of its records is not "
                "paid for: start from a release of plans of this account, or cut a new student"
            )
        return
    if not declaration.plans:
        raise LineageRefusedError(
            f"a {lineage} teacher needs the hashes of the plans that trained it, since their "
            "charge is what it rests on: take them from those plans' reports and declare them"
        )
    if lineage is TeacherLineage.REGION_DP and missing:
        raise LineageRefusedError(
            f"the account that would pay has no charge for {', '.join(missing)}, which trained "
            "the teacher, so its training on these records is not paid for: name plans of this "
            "account, or declare federated-dp with what they were charged elsewhere"
        )
    paid = declaration.guarantees or declaration.disjoint_attested_by.strip()
    if lineage is TeacherLineage.FEDERATED_DP and missing and not paid:
        raise LineageRefusedError(
            f"this account did not pay for {', '.join(missing)}, which trained the teacher, and "
            "the same people may be in both: declare what those plans were charged, or have "
            "somebody attest that their people and this region's are disjoint"
        )
