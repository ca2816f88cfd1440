"""Distillation against ε: a study's arms at ε = 0.5, 1, 2, 4 and 8, over whole seeds, paired.

    python bench/ladder.py icd-chapters --full --out docs/results/ladder-icd-chapters.json
    python bench/ladder.py packages --full --lists runs/packages-data/lists

A seed is everything that chance decides: the split, the teacher trained on it, the order of the
public warm-up, the noise. What does not depend on ε is made once a seed, by the product's own
stages: teacher, warm-up, test set, and each region's approval and soft labels. A rung is then a
plan made for its ε, unit and slack included, and the arms through the private trainer with that
plan's noise: the researcher's repetitions, without masks and ledgers. Learning rates follow each
arm's noise on each rung, as in the product. Intervals are 95 % t-intervals of the differences, seed
by seed.

The quick check takes one seed, two rungs, every sixth title or person and one epoch: it shows that
all runs, no figure.
"""

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from measure import parser, publish, say
from value import FEW, paired, with_warm_up, write_study

from client.training import step_terms
from distillation.evaluation import Quality
from distillation.model_files import locate
from distillation.planning import PlannedArtifacts, make_plan
from distillation.study import Study
from distillation.workbench import Workbench
from privacy.charging import charge
from privacy.plan import Plan
from privacy.report.parts import ArmName
from simulations import package_data
from simulations.arms import Comparison
from simulations.baselines import final_quality
from simulations.comparisons import arms_of
from simulations.demo_data import Public, read_titles
from simulations.federation import open_federation
from simulations.grid import no_fault
from simulations.lies import Lies
from simulations.prepare import Bench, Prepared, prepare
from simulations.progress import Quiet
from simulations.regions import approve_everywhere, make_parties
from simulations.run_folder import Journal, RunFolder
from simulations.study_data import StudyData

EPSILONS = tuple(map(Decimal, ("0.5", "1", "2", "4", "8")))
QUICK_EPSILONS = EPSILONS[1:4:2]
SEEDS = 5
STUDIES = ("icd-chapters", "packages")

_FIXED = (ArmName.TEACHER, ArmName.PUBLIC_ONLY, ArmName.NO_PRIVACY)
_PRIVATE = (ArmName.DISTILLED, ArmName.WITHOUT_TEACHER)
_RIVALS = (ArmName.WITHOUT_TEACHER, ArmName.PUBLIC_ONLY, ArmName.NO_PRIVACY, ArmName.TEACHER)
LISTS = Path("runs/packages-data/lists")

StudyWriter = Callable[[Path, int], Path]
"""Writes one seed's data, teacher and study into a folder; returns the study's path."""

Pair = tuple[float, float]
"""Accuracy and macro-F1."""


@dataclass(frozen=True, slots=True)
class Ready:
    """One seed of a study, up to what depends on ε.

    Attributes:
        study: The study as it is written.
        data: Its records.
        prepared: Its plan, public student and test set.
        benches: Each region's labelled records.
    """

    study: Study
    data: StudyData
    prepared: Prepared
    benches: Mapping[str, Workbench]


@dataclass(frozen=True, slots=True)
class Climbed:
    """What one seed came to.

    Attributes:
        fixed: The arms that no ε changes.
        rungs: The arms with privacy, by ε.
        noise: Each rung's noise multiplier, charge and the arms' learning rates, by ε.
    """

    fixed: Mapping[ArmName, Pair]
    rungs: Mapping[Decimal, Mapping[ArmName, Pair]]
    noise: Mapping[Decimal, Mapping[str, float]]


def main() -> None:
    """Climb the ladder of one study and print it."""
    parse = parser(__doc__ or "")
    parse.add_argument("study", choices=STUDIES, help="Which study.")
    parse.add_argument("--lists", type=Path, default=LISTS, help="For packages: apt's indices.")
    parse.add_argument("--first-seed", type=int, default=0, help="Others than 0 to tune on.")
    asked = parse.parse_args()
    epsilons = QUICK_EPSILONS if asked.quick else EPSILONS
    seeds = range(asked.first_seed, asked.first_seed + (SEEDS if asked.full else 1))
    write = writer(asked.study, lists=asked.lists, quick=asked.quick)
    began, climbed = time.monotonic(), []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, ready(write(Path(folder), seed)) as one:
            climbed.append(climb(one, epsilons))
            terms = {"unit": one.study.privacy.unit.value, "delta": float(one.study.privacy.delta)}
        say(f"seed {seed}: {time.monotonic() - began:.0f} s so far")
        show(climbed)
    size = {"study": asked.study, "quick": asked.quick, "seeds": list(seeds)}
    publish({**size, **terms, "seconds": time.monotonic() - began, **summarise(climbed)}, asked.out)


def writer(name: str, *, lists: Path, quick: bool) -> StudyWriter:
    """Return what writes one seed of the named study; the data are read once."""
    if name == "packages":
        records = package_data.read_descriptions(lists)
        return lambda folder, seed: _packages(records, folder, seed, quick=quick)
    titles, epochs = read_titles()[:: FEW if quick else 1], 1 if quick else None
    half = Public.HALF_THE_CHAPTERS
    return lambda folder, seed: write_study(folder, titles, seed, half, epochs=epochs)


@contextmanager
def ready(study_file: Path) -> Iterator[Ready]:
    """Do what a run does before its first round: warm-up, plan, approvals, soft labels."""
    study, show = Study.load(study_file), Quiet()
    run = RunFolder(study_file.parent / "run")
    run.open(study_file, resume=False)
    journal = Journal(run.root / "events.jsonl")
    data = StudyData.read(study)
    prepared = prepare(study, data, Bench.load(study), run, journal, show)
    parties = make_parties(study, prepared.plan, data.private, run, clock=_clock)
    materials = approve_everywhere(
        run,
        study.regions,
        prepared.plan,
        load_teacher=lambda files: prepared.bench.teacher,
        clock=_clock,
    )
    with open_federation(
        run,
        prepared,
        parties,
        materials,
        clock=_clock,
        fault=no_fault,
        lies=Lies(),
        journal=journal,
        show=show,
    ) as federation:
        yield Ready(study, data, prepared, federation.benches)


def climb(one: Ready, epsilons: Sequence[Decimal]) -> Climbed:
    """Run the arms without ε once, and those with privacy on every rung."""
    test, start = one.prepared.test, one.prepared.start
    arms = _arms(one, one.study, one.prepared.plan)
    fixed = {
        ArmName.TEACHER: _pair(test.teacher_quality()),
        ArmName.PUBLIC_ONLY: _pair(test.quality(start)),
        ArmName.NO_PRIVACY: _run(arms[ArmName.NO_PRIVACY], one.prepared),
    }
    rungs, noise = {}, {}
    for epsilon in epsilons:
        study = replace(one.study, privacy=replace(one.study.privacy, epsilon=epsilon))
        plan = plan_for(study, one.prepared)
        arms = _arms(one, study, plan)
        rungs[epsilon] = {name: _run(arms[name], one.prepared) for name in _PRIVATE}
        noise[epsilon] = {
            "noise_multiplier": _sigma(plan),
            "charged_epsilon": float(charge(plan, plan.cohort[0]).epsilon),
            **{f"{n.value}_rate": arms[n].arm.recipe.optimizer.learning_rate for n in _PRIVATE},
        }
    return Climbed(fixed, rungs, noise)


def plan_for(study: Study, prepared: Prepared) -> Plan:
    """Return the plan that the product makes of the study, for the artifacts that are there."""
    known = prepared.plan.artifacts
    student = locate(str(study.base / "run" / "artifacts" / "student"))
    artifacts = PlannedArtifacts(
        teacher=prepared.bench.teacher_files,
        student=student,
        layout=prepared.part.layout,
        public_data_sha256=known.public_data,
        code_sha256=known.code,
    )
    return make_plan(study, artifacts)


def summarise(climbed: Sequence[Climbed]) -> dict[str, object]:
    """Return every arm's figures and the paired differences from the distilled student."""
    fixed = {name: [seed.fixed[name] for seed in climbed] for name in _FIXED}
    rungs = {}
    for epsilon, noise in climbed[0].noise.items():
        private = {name: [seed.rungs[epsilon][name] for seed in climbed] for name in _PRIVATE}
        figures = {name.value: values for name, values in (fixed | private).items()}
        rungs[f"{epsilon:f}"] = {
            **noise,
            "arms": {name.value: _figures(values) for name, values in private.items()},
            "distilled_minus": {name.value: paired(figures, name.value) for name in _RIVALS},
        }
    return {
        "without_epsilon": {name.value: _figures(values) for name, values in fixed.items()},
        "epsilon": rungs,
    }


def show(climbed: Sequence[Climbed]) -> None:
    """Print what there is so far for people: accuracies, and what distillation adds."""
    fixed = {name: np.mean([seed.fixed[name][0] for seed in climbed]) for name in _FIXED}
    say("  " + " · ".join(f"{name.value} {value:.3f}" for name, value in fixed.items()))
    for epsilon in climbed[0].rungs:
        own = {n: np.mean([seed.rungs[epsilon][n][0] for seed in climbed]) for n in _PRIVATE}
        say(f"  ε {epsilon:f}: " + " · ".join(f"{n.value} {value:.3f}" for n, value in own.items()))


def _packages(
    records: Sequence[package_data.Description], folder: Path, seed: int, *, quick: bool
) -> Path:
    """Write one split; for the check of every sixth person, with regions that are as much smaller.

    The study's own sizes are public bounds that hold for every split of this release.
    """
    if quick:
        people = sorted({record.maintainer for record in records})
        some = set(people[::FEW])
        records = [record for record in records if record.maintainer in some]
    study = package_data.write_study(records, folder, seed=seed)
    text = study.read_text(encoding="utf-8")
    text = with_warm_up(text, seed=seed, epochs=1 if quick else None)
    if quick:
        text = re.sub(r"(?<=public_size = )\d+", _smaller, text)
    study.write_text(text, encoding="utf-8")
    return study


def _smaller(size: re.Match[str]) -> str:
    return str(int(size[0]) * 4 // (3 * FEW))  # a third of room more: small samples vary


def _arms(one: Ready, study: Study, plan: Plan) -> dict[ArmName, Comparison]:
    return arms_of(study, one.data, replace(one.prepared, plan=plan), one.benches)


def _run(comparison: Comparison, prepared: Prepared) -> Pair:
    return _pair(final_quality(comparison.arm, prepared.part, prepared.start, prepared.test))


def _pair(quality: Quality) -> Pair:
    return float(quality.accuracy), float(quality.macro_f1)


def _sigma(plan: Plan) -> float:
    """Return the plan's noise multiplier: the same in all regions, as q and steps are."""
    return float(step_terms(plan, plan.cohort[0]).noise_multiplier)


def _figures(values: Sequence[Pair]) -> dict[str, object]:
    spread = np.std(values, axis=0, ddof=len(values) > 1)
    mean = np.mean(values, axis=0)
    return {
        "accuracy": mean[0],
        "macro_f1": mean[1],
        "sd": list(spread),
        "seeds": [list(each) for each in values],
    }


def _clock() -> int:
    return int(time.time())


if __name__ == "__main__":
    main()
