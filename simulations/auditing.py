"""A study's trainer under attack, before any region is asked: canaries that it made up itself.

The plan's own trainer, trained part, objective, clipping, sampling and noise run on made-up records
for as many steps as the plan charges. No region's record is read and nothing is charged. The
student is the one before its public warm-up; what the trainer does with a record does not depend
on the weights it starts from.
"""

from dataclasses import dataclass
from pathlib import Path

from client.training import step_terms
from distillation.audit.white_box import AuditTerms, TrainingAudit, audit_training
from distillation.model_files import hash_files
from distillation.planning import PlannedArtifacts, make_plan
from distillation.study import Study
from privacy.charging import charge
from privacy.guarantee import Bound
from privacy.plan import TRAIN
from simulations.prepare import Bench, region_code_sha256, start_of


@dataclass(frozen=True, slots=True)
class StudyAudit:
    """What the audit of a study's trainer found.

    Attributes:
        claim: What the plan charges a region, which the attacks were held against.
        found: Bounds and estimates.
    """

    claim: Bound
    found: TrainingAudit


def audit_study(study_file: Path, *, canaries: int, runs: int, date: str, who: str) -> StudyAudit:
    """Attack the trainer of a study's plan.

    Args:
        study_file: The study.
        canaries: How many in a run.
        runs: Independent runs; they share the chance of a false accusation.
        date: The day, as 2026-01-31.
        who: Who runs it.

    Raises:
        StudyError: If the study does not fit.
        TeacherError: If the teacher cannot be had.
        PlanRefusedError: If the study makes no plan.
        AuditError: If the audit would mean nothing, such as for a unit of several records.
    """
    study = Study.load(study_file)
    bench = Bench.load(study)
    student = start_of(study, bench)
    part = bench.kit.part(student, bench.recipe)
    plan = make_plan(
        study,
        PlannedArtifacts(
            teacher=bench.teacher_files,
            student=bench.teacher_files,  # there is no other yet; the terms do not depend on it
            layout=part.layout,
            public_data_sha256=hash_files([study.base / study.public.source]),
            code_sha256=region_code_sha256(),
        ),
    )
    region = plan.regions[0]  # all share σ, q, C and the steps; a public size is only a divisor
    cost = charge(plan, region.name)
    terms = AuditTerms(
        claim=cost,
        steps=region.component(TRAIN).max_steps,
        canaries=canaries,
        runs=runs,
        date=date,
        who=who,
    )
    found = audit_training(part, bench.recipe, step_terms(plan, region.name), terms)
    return StudyAudit(Bound(plan.unit, plan.neighbours, cost.epsilon, cost.delta), found)
