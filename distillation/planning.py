"""From a study to the plan that stewards approve: σ solved, weights, range, hashes, charge.

Everything in the plan follows from the study and from the artifacts beside it; nothing is read
from private data. Whoever has both can make the plan again and compare hashes.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal
from pathlib import Path

from distillation.dp.trainer import LocalOptimizer
from distillation.former_run import former_run
from distillation.kinds import ServerRule, Task, Template, Train
from distillation.layout import Layout
from distillation.model_files import ModelFiles
from distillation.objectives import Objective, Weighted
from distillation.objectives.registry import build
from distillation.recipe import Recipe
from distillation.region_weights import capped_weights
from distillation.step_size import learning_rate
from distillation.study import Study
from distillation.study_task_checks import term_of
from privacy.guarantee import Neighbours, Unit
from privacy.lineage import Declaration
from privacy.lineage_join import continued, joined
from privacy.noise import noise_scale
from privacy.plan import (
    TRAIN,
    Artifacts,
    OptimizerName,
    OptimizerTerms,
    Plan,
    PlannedAudit,
    SumTerms,
)

_NOISE_WIDTHS = 8
"""Standard deviations of the noise that the encoded range covers on each side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedArtifacts:
    """What travels beside the plan, located and hashed.

    Attributes:
        teacher: The teacher's files.
        student: The student's files, before the first round.
        layout: The trained tensors.
        public_data_sha256: Hash of the public file, or of the record of a warm start on
            generated text, which names that file; hex.
        code_sha256: Hash of the code that runs in a region, hex.
    """

    teacher: ModelFiles
    student: ModelFiles
    layout: Layout
    public_data_sha256: str
    code_sha256: str


def recipe_of(study: Study) -> Recipe:
    """Return the public constants of local training."""
    goal, train = study.objective, study.student.train
    is_language_model = study.study.task is Task.LANGUAGE_MODEL
    on_top = train in (Train.LORA, Train.NORMS)
    return Recipe(
        task=study.study.task,
        train=study.student.train,
        max_tokens=study.teacher.max_tokens,
        objective=Objective(
            soft=float(goal.soft),
            hard=float(goal.hard),
            label=float(goal.label),
            temperature=float(goal.temperature),
            more=tuple(Weighted(float(each.weight), build(term_of(each))) for each in goal.more),
        ),
        optimizer=LocalOptimizer(
            learning_rate=float(learning_rate(study)),
            momentum=float(study.optimizer.momentum),
        ),
        template="" if study.teacher.template is Template.TEXT else study.teacher.template.value,
        rank=study.student.rank if train is Train.LORA else 0,
        trained_layers=study.student.trained_layers if on_top else 0,
        top_k=study.labels.top_k if is_language_model else 0,
    )


def declaration_of(study: Study) -> Declaration:
    """Return what the study says about its teacher, or about all of them as one.

    Where the student goes on from an earlier run, what that run's plan says is in it too.

    Raises:
        StudyError: If the run that the student goes on from cannot be read.
        LineageRefusedError: If their lineages do not become one.
    """
    teachers = (*study.teacher.all, *study.warm_up.answers)
    found = joined([teacher.declaration for teacher in teachers])
    former = former_run(study)
    return found if former is None else continued(found, former.plan.teacher, former.plan.hash)


def make_plan(study: Study, artifacts: PlannedArtifacts) -> Plan:
    """Return the plan of a study.

    Raises:
        PlanRefusedError: If the plan contradicts itself.
        InvalidBudgetError: If no noise multiplier keeps the promise.
    """
    sizes = {name: region.public_size for name, region in study.regions.items()}
    weights = capped_weights(sizes)
    terms = Plan.create(
        study=study.study.name,
        unit=study.privacy.unit,
        neighbours=Neighbours.ADD_OR_REMOVE_ONE,
        epsilon=study.privacy.epsilon,
        delta=study.privacy.delta,
        clip_norm=study.privacy.clip_norm,
        rounds=study.federation.rounds,
        local_steps=study.federation.local_steps,
        sample_rate=study.federation.sample_rate,
        public_sizes=sizes,
        weights=weights,
        max_records_per_unit={
            name: region.max_records_per_unit for name, region in study.regions.items()
        },
        max_records_per_person=_declared_caps(study),
        sum_terms=_sum_terms(study, Decimal(1)),
        optimizer=_optimizer_terms(study),
        artifacts=Artifacts(
            layout=artifacts.layout.hash.hex(),
            student=artifacts.student.weights_sha256,
            recipe=recipe_of(study).hash,
            public_data=artifacts.public_data_sha256,
            teacher=artifacts.teacher.weights_sha256,
            tokenizer=artifacts.teacher.tokenizer_sha256,
            code=artifacts.code_sha256,
        ),
        teacher=declaration_of(study),
    )
    canaries = study.privacy.audit_canaries
    declared = PlannedAudit(canaries) if canaries else None
    return replace(_with_range(terms, study), audit=declared)


def _optimizer_terms(study: Study) -> OptimizerTerms:
    said = study.optimizer
    averaged = "averaged-" if said.average > 1 else ""
    return OptimizerTerms(
        name=OptimizerName(averaged + said.server.value),
        learning_rate=said.server_learning_rate,
        momentum=said.server_momentum,
        average=said.average,
        second_momentum=said.server_second_momentum if said.server is ServerRule.ADAM else None,
        adaptivity=said.server_adaptivity if said.server is ServerRule.ADAM else None,
    )


def source_sha256(packages: Mapping[str, Path]) -> str:
    """Return the hash of the packages' Python files: the identity of the code in a region."""
    total = hashlib.sha256()
    for name in sorted(packages):
        root = packages[name]
        for file in sorted(root.rglob("*.py")):
            place = f"{name}/{file.relative_to(root).as_posix()}"
            total.update(hashlib.sha256(place.encode()).digest())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _declared_caps(study: Study) -> dict[str, int]:
    """Return the caps on a person's records that a study of records declares.

    One is the key's default and so no declaration: taken for one, a study that says nothing
    about persons would promise them something.
    """
    if study.privacy.unit is Unit.PERSON:
        return {}
    caps = {name: region.max_records_per_unit for name, region in study.regions.items()}
    return {name: cap for name, cap in caps.items() if cap > 1}


def _sum_terms(study: Study, value_range: Decimal) -> SumTerms:
    terms, threshold = study.federation, 2 * len(study.regions) // 3 + 1
    return SumTerms(
        threshold=threshold,
        min_survivors=terms.min_survivors or max(threshold, terms.assumed_colluders + 3),
        assumed_colluders=terms.assumed_colluders,
        any_survivors=terms.any_survivors,
        bits=terms.bits,
        rotate=terms.rotate,
        value_range=value_range,
    )


def _with_range(plan: Plan, study: Study) -> Plan:
    """Return the plan with a range that covers what one region's delta can be.

    A coordinate of K steps of rate η is a gradient part of at most η K N C / B, taken at its
    usual size η K C, plus noise of standard deviation η √K s / B for the smallest region.
    """
    steps, rate = plan.local_steps, float(learning_rate(study))
    rate /= 1 - float(study.optimizer.momentum)
    scale = noise_scale(plan.clip_norm, plan.regions[0].component(TRAIN).noise_multiplier)
    batch = min(float(r.public_size * r.component(TRAIN).sample_rate) for r in plan.regions)
    noise = _NOISE_WIDTHS * math.sqrt(steps) * rate * scale / batch
    reach = Decimal(steps * rate * float(plan.clip_norm) + noise)
    rounded = reach.quantize(Decimal("0.0001"), rounding=ROUND_UP)
    return replace(plan, sum=_sum_terms(study, rounded))
