"""What the distilled student is compared with, and why each comparison is fair.

All arms start from the same public student and see the same records in the same regions. Those
with noise use the plan's (q, σ, C) for the plan's rounds and steps, so they would cost the same ε;
each may have its own learning rate. Nothing here is charged or released.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from distillation.evaluation import Quality
from distillation.kinds import Task
from distillation.learning_tables import FROM_TEACHER
from distillation.objectives import Objective
from distillation.planning import recipe_of
from distillation.recipe import Recipe, at_rate
from distillation.step_size import feature_length, fitting_rate, follows_noise, learning_rate
from distillation.study import Study
from distillation.workbench import Workbench, references
from privacy.charging import charge
from privacy.report.parts import Arm, ArmName, TokenFigures, figure
from simulations import baselines
from simulations.arms import Comparison
from simulations.language_comparisons import language_comparisons
from simulations.prepare import Prepared
from simulations.progress import Advance
from simulations.study_data import StudyData

_LONGER = 10
"""The arm without privacy takes this many times the rounds, as steps are free, in smaller ones."""
_WITHOUT_NOISE = 1.0
"""Its rate where the study leaves the rate to the noise; half of a rate that a study gives."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the comparisons came to.

    Attributes:
        arms: For the report, the teacher first.
        qualities: What each arm showed, one a seed.
    """

    arms: tuple[Arm, ...]
    qualities: Mapping[ArmName, Sequence[Quality]]


def compare(
    study: Study,
    data: StudyData,
    prepared: Prepared,
    benches: Mapping[str, Workbench],
    released: Quality,
    done: Advance,
    *,
    unprepared: Mapping[str, Workbench] | None = None,
) -> Compared:
    """Run every arm of the study and return what each came to.

    Args:
        study: The study.
        data: Its records.
        prepared: Plan, public student and test set.
        benches: Each region's labelled records.
        unprepared: The same with the labels of the teacher before its preparation, if it had one.
        released: The quality of the student that the federation released: the first seed.
        done: Told the share that is done.
    """
    again = _distilled(study, prepared, benches)
    wanted = []
    if study.baselines.run and study.study.task is Task.LANGUAGE_MODEL:
        wanted = language_comparisons(study, again.arm, unprepared)
    elif study.baselines.run:
        wanted = _comparisons(study, data, prepared, again.arm)
    runs = (len(wanted) + 1) * study.study.seeds
    finished = 0

    def repeat(comparison: Comparison, seeds: int) -> list[Quality]:
        nonlocal finished
        found = []
        for _ in range(seeds if comparison.repeated else min(seeds, 1)):
            found.append(
                baselines.final_quality(
                    comparison.arm, prepared.part, prepared.start, prepared.test
                )
            )
            finished += 1
            done(min(1.0, finished / runs))
        return found

    epsilon = max(charge(prepared.plan, name).epsilon for name in prepared.plan.cohort)
    seeds = study.study.seeds
    found: dict[ArmName, Sequence[Quality]] = {
        ArmName.TEACHER: [prepared.test.teacher_quality()],
        ArmName.DISTILLED: [released, *repeat(again, seeds - 1 if study.baselines.run else 0)],
        ArmName.PUBLIC_ONLY: [prepared.test.quality(prepared.start)],
    }
    arms = [
        _fixed(ArmName.TEACHER, found[ArmName.TEACHER][0]),
        _release(again, found[ArmName.DISTILLED], epsilon),
        _fixed(
            ArmName.PUBLIC_ONLY,
            found[ArmName.PUBLIC_ONLY][0],
            goes_on=study.student.from_ != FROM_TEACHER,
        ),
    ]
    for one in wanted:
        cost = None if one.arm.terms is None else epsilon
        found[one.name] = repeat(one, seeds)
        arms.append(_measured(one, found[one.name], cost))
    if study.study.task is Task.LANGUAGE_MODEL:
        arms = [replace(arm, tokens=_tokens(found[arm.name])) for arm in arms]
    return Compared(tuple(arms), found)


def _tokens(found: Sequence[Quality]) -> TokenFigures:
    return TokenFigures(
        perplexity=figure(math.exp(statistics.fmean(each.nll for each in found))),
        agreement=figure(statistics.fmean(each.agreement for each in found)),
    )


def arms_of(
    study: Study, data: StudyData, prepared: Prepared, benches: Mapping[str, Workbench]
) -> dict[ArmName, Comparison]:
    """Return the distilled arm and all that it is compared with, not yet run.

    Args:
        study: The study.
        data: Its records.
        prepared: The plan whose noise they have, and the public student.
        benches: Each region's labelled records.
    """
    distilled = _distilled(study, prepared, benches)
    rivals = _comparisons(study, data, prepared, distilled.arm)
    return {one.name: one for one in (distilled, *rivals)}


def _comparisons(
    study: Study, data: StudyData, prepared: Prepared, distilled: baselines.Arm
) -> list[Comparison]:
    found = [
        Comparison(
            ArmName.HARD_LABELS,
            "Teacher's single answers",
            "The same, with only the teacher's most likely class of each record.",
            replace(distilled, recipe=_recipe(study, hard=1.0)),
        ),
        Comparison(
            ArmName.NO_PRIVACY,
            "Distilled without privacy",
            "The teacher's soft labels on all records, without clipping and noise.",
            replace(
                distilled,
                recipe=at_rate(distilled.recipe, _plain_rate(study)),
                terms=None,
                rounds=_LONGER * distilled.rounds,
            ),
            note=f"{_LONGER} times the rounds at the learning rate {_plain_rate(study):g}; no "
            "guarantee.",
            repeated=False,
        ),
    ]
    labelled = {name: baselines.labelled_only(bench) for name, bench in distilled.benches.items()}
    if all(len(bench) for bench in labelled.values()):
        found.insert(0, _without_teacher(study, distilled, labelled))
    if data.all_labels is not None:
        found.append(_all_true(study, data, prepared, distilled))
    return found


def _distilled(study: Study, prepared: Prepared, benches: Mapping[str, Workbench]) -> Comparison:
    return Comparison(
        ArmName.DISTILLED,
        "Distilled student",
        "The teacher's labels on all of the regions' records, with privacy.",
        baselines.planned_arm(study, prepared.plan, benches),
    )


def _without_teacher(
    study: Study, distilled: baselines.Arm, labelled: Mapping[str, Workbench]
) -> Comparison:
    terms = {
        name: baselines.resized(distilled.terms[name], bench.unit_count)
        for name, bench in labelled.items()
        if distilled.terms is not None
    }
    recipe = _recipe(study, label=1.0)
    arm = replace(distilled, recipe=recipe, benches=labelled, terms=terms)
    return Comparison(
        ArmName.WITHOUT_TEACHER,
        "Without the teacher",
        "The labels that the regions have, with the same privacy.",
        replace(arm, recipe=at_rate(recipe, _label_rate(study, arm))),
        note="Batches are drawn from the labelled records only.",
    )


def _all_true(
    study: Study, data: StudyData, prepared: Prepared, distilled: baselines.Arm
) -> Comparison:
    outcomes = list((prepared.student.config.id2label or {}).values())
    rows = data.private.rows_by_region()
    benches = {}
    for name, bench in distilled.benches.items():
        reference = references([(data.all_labels or ())[row] for row in rows[name]], outcomes)
        targets = replace(bench.classes, reference=reference.unsqueeze(1))
        benches[name] = replace(bench, targets=targets)
    return Comparison(
        ArmName.ALL_TRUE_LABELS,
        "If every record had a true label",
        "True labels on all records, with the same privacy; no region has them.",
        replace(distilled, recipe=_recipe(study, label=1.0), benches=benches),
    )


def _recipe(study: Study, *, hard: float = 0.0, label: float = 0.0) -> Recipe:
    objective = Objective(
        soft=0.0, hard=hard, label=label, temperature=float(study.objective.temperature)
    )
    return replace(recipe_of(study), objective=objective)


def _plain_rate(study: Study) -> float:
    return _WITHOUT_NOISE if follows_noise(study) else float(learning_rate(study)) / 2


def _label_rate(study: Study, arm: baselines.Arm) -> float:
    said = study.baselines.label_learning_rate
    if said is None and follows_noise(study):
        noise, clip_norm = baselines.noise(arm), float(study.privacy.clip_norm)
        said = fitting_rate(noise, clip_norm=clip_norm, feature_length=feature_length(study))
    return arm.recipe.optimizer.learning_rate if said is None else float(said)


def _fixed(name: ArmName, quality: Quality, *, goes_on: bool = False) -> Arm:
    words = {
        ArmName.TEACHER: ("Teacher", "The teacher itself, as it came."),
        ArmName.PUBLIC_ONLY: (
            "Public data only",
            "The student after its public warm-up; it never saw private data.",
        ),
    }
    title, description = words[name]
    if goes_on:
        title = "Before this study"
        description = "The earlier release after its public warm-up; this study taught it nothing."
    return Arm.measured(
        name,
        title=title,
        description=description,
        accuracies=[quality.accuracy],
        macro_f1s=[quality.macro_f1],
        is_fixed=True,
    )


def _release(comparison: Comparison, found: Sequence[Quality], epsilon: Decimal) -> Arm:
    return Arm.measured(
        comparison.name,
        title=comparison.title,
        description=comparison.description,
        accuracies=[quality.accuracy for quality in found],
        macro_f1s=[quality.macro_f1 for quality in found],
        epsilon=epsilon,
        is_private_release=True,
        note="The first seed is the release, through ledgers and masks; the others are the "
        "researcher's repetitions with fresh noise.",
    )


def _measured(comparison: Comparison, found: Sequence[Quality], epsilon: Decimal | None) -> Arm:
    return Arm.measured(
        comparison.name,
        title=comparison.title,
        description=comparison.description,
        accuracies=[quality.accuracy for quality in found],
        macro_f1s=[quality.macro_f1 for quality in found],
        epsilon=epsilon,
        is_fixed=not comparison.repeated,
        note=comparison.note,
    )
