"""What a distilled language model is compared with: four mixtures, with privacy and without.

Every private record has its text, so the student without a teacher learns from the text alone. The
other mixtures are the teacher's labels alone, and the study's own mixture with the labels of the
teacher as it was before it read the public text. All start from the same public student, see the
same records and take as many steps, on as large a share of them.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from client.materials import Materials
from distillation.labels import LabelCache
from distillation.objectives import Objective
from distillation.recipe import Recipe, at_rate
from distillation.study import Study
from distillation.workbench import Workbench
from privacy.report.parts import ArmName
from simulations import baselines
from simulations.arms import Comparison
from simulations.prepare import Bench
from simulations.progress import Advance

_KEPT_S = 24 * 3600
_CALMER = 3
"""Unclipped gradients are longer: at the private arms' learning rate the student diverges."""


@dataclass(frozen=True, slots=True)
class _Mixture:
    """One way to mix text and teacher.

    Attributes:
        with_privacy: Its name at the plan's ε.
        without: Its name without privacy.
        title: A few words.
        description: What was trained on what.
        objective: The mixture; None: the study's.
        unprepared: Whether the teacher's labels are those from before its preparation.
    """

    with_privacy: ArmName
    without: ArmName
    title: str
    description: str
    objective: Objective | None = None
    unprepared: bool = False


def language_comparisons(
    study: Study, distilled: baselines.Arm, unprepared: Mapping[str, Workbench] | None
) -> list[Comparison]:
    """Return the arms of a language-model study, without the released one.

    Args:
        study: The study.
        distilled: The released student's own arm.
        unprepared: The regions' records with the labels of the unprepared teacher, if it was
            prepared.
    """
    sampled = Fraction(study.federation.sample_rate)
    found = [_no_privacy(ArmName.NO_PRIVACY, "The study's mixture", distilled, sampled)]
    for mixture in _mixtures(study):
        if mixture.unprepared and unprepared is None:
            continue
        arm = replace(
            distilled,
            recipe=_mixed(distilled.recipe, mixture.objective),
            benches=unprepared if mixture.unprepared and unprepared else distilled.benches,
        )
        found += [
            Comparison(mixture.with_privacy, mixture.title, mixture.description, arm),
            _no_privacy(mixture.without, mixture.title, arm, sampled),
        ]
    return found


def unprepared_benches(
    study: Study,
    materials: Mapping[str, Materials],
    benches: Mapping[str, Workbench],
    done: Advance,
) -> dict[str, Workbench]:
    """Return the regions' records with the labels of the teacher as it came.

    The labels lie in a temporary folder, each region's under a key of its own that is thrown away.

    Args:
        study: The study, of a teacher that was prepared.
        materials: Each region's records.
        benches: The same records as the federation trained on them.
        done: Told the share that is done.

    Raises:
        DistillationError: If the teacher cannot be loaded again.
    """
    bench, found = Bench.load(study), dict[str, Workbench]()
    with tempfile.TemporaryDirectory() as folder:
        for name, own in materials.items():
            raw = replace(own, teacher=bench.teacher, teacher_files=bench.teacher_files)
            with LabelCache(
                Path(folder) / f"{name}.sqlite",
                secret=os.urandom(32),
                clock=lambda: int(time.time()),
                retention_s=_KEPT_S,
            ) as cache:
                positions = benches[name].inputs.mask.shape[1]
                targets = raw.targets(cache, positions=positions)
                found[name] = replace(benches[name], targets=targets)
            done(len(found) / len(materials))
    return found


def _mixtures(study: Study) -> tuple[_Mixture, ...]:
    temperature = float(study.objective.temperature)
    return (
        _Mixture(
            ArmName.WITHOUT_TEACHER,
            ArmName.WITHOUT_TEACHER_NO_PRIVACY,
            "Text only",
            "The records' own next tokens, without the teacher.",
            Objective(soft=0.0, label=1.0, temperature=temperature),
        ),
        _Mixture(
            ArmName.SOFT_ONLY,
            ArmName.SOFT_ONLY_NO_PRIVACY,
            "Teacher only",
            "The teacher's distributions at the records' tokens, without the tokens themselves.",
            Objective(soft=1.0, temperature=temperature),
        ),
        _Mixture(
            ArmName.UNPREPARED,
            ArmName.UNPREPARED_NO_PRIVACY,
            "Unprepared teacher",
            "The study's mixture, with labels of the teacher before it read the public text.",
            unprepared=True,
        ),
    )


def _no_privacy(name: ArmName, title: str, arm: baselines.Arm, sampled: Fraction) -> Comparison:
    return Comparison(
        name,
        f"{title}, no privacy",
        "As many steps on batches of the same share of the records, without clipping and noise.",
        replace(arm, recipe=_calmer(arm.recipe), terms=None, sampled=sampled),
        note=f"At 1/{_CALMER} of the learning rate; no guarantee.",
        repeated=False,
    )


def _calmer(recipe: Recipe) -> Recipe:
    return at_rate(recipe, recipe.optimizer.learning_rate / _CALMER)


def _mixed(recipe: Recipe, objective: Objective | None) -> Recipe:
    return recipe if objective is None else replace(recipe, objective=objective)
