"""Which lever moves the default study: each alone, at five budgets, on splits that nothing reports.

The study as it stands runs on new splits (seeds from 100 on; results.md has 0 to 4), then again
with one thing changed at a time. A run is the product's plan, warm-up and trainer without ledgers
and masks. Differences are paired: the same split, teacher and test titles, fresh noise. `--full`
trains more than the head too, on one split at one budget, since it takes minutes. `--keep FOLDER`
keeps answers, warm starts and figures, so that a run that was stopped goes on; `--splits 1` takes
fewer splits.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import one_thread  # noqa: F401 - before anything that loads numpy
import torch
from measure import options, publish, say
from value import FEW, write_study

from distillation.held_out import HeldOut, held_out
from distillation.kinds import ServerRule, Train
from distillation.layout import Vector
from distillation.objectives import Targets
from distillation.planning import PlannedArtifacts, make_plan
from distillation.study import Study
from distillation.teacher import ClassifierTeacher
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.workbench import Workbench, references
from simulations.baselines import final_quality, planned_arm
from simulations.demo_data import Public, Title, read_titles
from simulations.prepare import Bench, region_code_sha256, warmed_up
from simulations.study_data import StudyData

_SEEDS = (100, 101, 102)
_EPSILONS = tuple(map(Decimal, ("0.5", "1", "2", "4", "8")))
_PROMISED = Decimal(2)
"""The default study's ε, at which the dear levers are looked at."""

Change = Callable[[Study], Study]
Pairs = dict[str, list[tuple[float, float]]]
"""Accuracy and macro-F1, split by split, by ε."""


@dataclass(frozen=True, slots=True)
class Lever:
    """One change to the default study.

    Attributes:
        name: In words.
        change: What is changed.
        epsilons: At which budgets.
        is_dear: Whether it takes minutes: run with `--full`, on the first split alone.
    """

    name: str
    change: Change
    epsilons: tuple[Decimal, ...] = (_EPSILONS[0], _PROMISED, _EPSILONS[-1])
    is_dear: bool = False


def _set(table: str, **values: object) -> Change:
    return lambda study: replace(study, **{table: replace(getattr(study, table), **values)})


def _times(table: str, key: str, factor: str) -> Change:
    def change(study: Study) -> Study:
        return _set(table, **{key: getattr(getattr(study, table), key) * Decimal(factor)})(study)

    return change


def _last_layer(study: Study) -> Study:
    study = _set("student", train=Train.LAST)(study)
    return _set("optimizer", average=1)(_set("federation", rounds=4, local_steps=1)(study))


def _adam(rate: str) -> Change:
    return _set(
        "optimizer",
        server=ServerRule.ADAM,
        server_momentum=Decimal("0.5"),
        server_learning_rate=Decimal(rate),
    )


def _before(study: Study) -> Study:
    study = _set("warm_up", generated=0, epochs=5)(study)
    return _set("optimizer", average=1)(_set("privacy", clip_norm=Decimal(2))(study))


LEVERS = (
    Lever("as it stands", lambda study: study, _EPSILONS),
    Lever("as it was: C = 2, last round, 5 epochs on titles", _before, _EPSILONS),
    Lever("no generated text, 5 epochs", _set("warm_up", generated=0, epochs=5), _EPSILONS),
    Lever("half the learning rate", _times("optimizer", "learning_rate", "0.5")),
    Lever("twice the learning rate", _times("optimizer", "learning_rate", "2")),
    Lever("half the clip norm", _times("privacy", "clip_norm", "0.5")),
    Lever("twice the clip norm", _times("privacy", "clip_norm", "2")),
    Lever("every record in each step", _set("federation", sample_rate=Fraction(1))),
    Lever("half the rounds", _set("federation", rounds=5)),
    Lever("twice the rounds", _set("federation", rounds=20)),
    Lever("the last round alone", _set("optimizer", average=1)),
    Lever("server Adam at .01", _adam("0.01")),
    Lever("temperature 1", _set("objective", temperature=Decimal(1))),
    Lever("temperature 4", _set("objective", temperature=Decimal(4))),
    Lever("the last layer with the head", _last_layer, (_PROMISED,), is_dear=True),
)


@dataclass(slots=True)
class Split:
    """One split with its models; what a lever does not touch is made once.

    Attributes:
        study: The study as it stands.
        data: Its records.
        bench: Its models.
        keep: Where answers and warm starts are kept.
        starts: Warm starts that are in use, by what they depend on.
    """

    study: Study
    data: StudyData
    bench: Bench
    keep: Path
    starts: dict[str, "Start"] = field(default_factory=dict)

    @classmethod
    def load(cls, study_file: Path, keep: Path) -> "Split":
        """Read a split and its models."""
        study = Study.load(study_file)
        return cls(study, StudyData.read(study), Bench.load(study), keep)

    def answers(self, name: str) -> torch.Tensor:
        """Return what the teacher says of the private or the test titles, (n, 1, K)."""
        teacher, path = self.bench.teacher, self.keep / f"answers-{name}.pt"
        if not path.exists():
            if not isinstance(teacher, ClassifierTeacher):
                raise TypeError(f"expected a classifier, got {type(teacher).__name__}")
            records = getattr(self.data, name)
            torch.save(teacher.answer(self.bench.tokens(records)).log_probs, path)
        found: torch.Tensor = torch.load(path, weights_only=True)
        return found

    def start(self, study: Study) -> "Start":
        """Return the warm start of a study on this split."""
        said = repr((study.warm_up, study.student))
        if said not in self.starts:
            self.starts[said] = Start.make(self, study)
        return self.starts[said]

    def run(self, change: Change, epsilon: Decimal) -> tuple[float, float]:
        """Return accuracy and macro-F1 after the rounds of a changed study."""
        study = _set("privacy", epsilon=epsilon)(change(self.study))
        start = self.start(study)
        part, weights, benches, test = start.part, start.weights, start.benches, start.test
        files = self.bench.teacher_files  # hashes only: no figure depends on them
        plan = make_plan(
            study,
            PlannedArtifacts(
                teacher=files,
                student=files,
                layout=part.layout,
                public_data_sha256=hashlib.sha256().hexdigest(),
                code_sha256=region_code_sha256(),
            ),
        )
        quality = final_quality(planned_arm(study, plan, benches), part, weights, test)
        return quality.accuracy, quality.macro_f1


@dataclass(frozen=True, slots=True)
class Start:
    """A warmed-up student over the regions' records and the test titles.

    Attributes:
        part: Its trained part.
        weights: The trained tensors before the first round, (d,).
        benches: Each region's records.
        test: The test titles.
    """

    part: TrainedPart
    weights: Vector
    benches: Mapping[str, Workbench]
    test: HeldOut

    @classmethod
    def make(cls, split: Split, study: Study) -> "Start":
        """Warm a student up as the product does, or take up the one that was kept."""
        bench, data = replace(split.bench, study=study), split.data
        said = repr((study.warm_up, study.student)).encode()
        folder = split.keep / hashlib.sha256(said).hexdigest()[:16]
        if not (folder / "inputs.pt").exists():
            student, _ = warmed_up(study, bench, data.public.texts, lambda share: None)
            bench.kit.save_student(student, bench.tokenizer, folder)
            part = bench.kit.part(student, bench.recipe)
            made = [part.inputs(bench.tokens(records)) for records in (data.private, data.test)]
            torch.save([(inputs.values, inputs.mask) for inputs in made], folder / "inputs.pt")
        part = bench.kit.part(bench.kit.load_student(folder), bench.recipe)
        private, test = (
            FrozenInputs(values, mask)
            for values, mask in torch.load(folder / "inputs.pt", weights_only=True)
        )
        outcomes, rows = bench.teacher.outcomes, data.private.rows_by_region()
        known = references(data.private.labels, outcomes)
        targets = Targets.of_classes(split.answers("private").squeeze(1), known)
        whole = Workbench(private, targets)
        benches = {name: whole.subset(torch.tensor(rows[name])) for name in study.regions}
        labels = references(data.test.labels, outcomes).tolist()
        return cls(
            part, part.vector(), benches, held_out(part, test, labels, split.answers("test"))
        )


def main() -> None:
    """Run every lever on every split and print the table."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--splits", type=int, default=len(_SEEDS))
    kept, rest = parser.parse_known_args()
    asked = options(__doc__ or "", rest)
    titles = read_titles()[:: FEW if asked.quick else 1]
    found: dict[str, Pairs] = {}
    seeds = _SEEDS[: 1 if asked.quick else kept.splits]
    with TemporaryDirectory() as folder:
        for seed in seeds:
            levers = LEVERS[:2] if asked.quick else LEVERS
            dear = asked.full and seed == seeds[0]
            wanted = [lever for lever in levers if dear or not lever.is_dear]
            keep = (kept.keep or Path(folder)) / str(seed)
            for name, values in run_split(keep, titles, seed, wanted).items():
                for at, value in values.items():
                    found.setdefault(name, {}).setdefault(at, []).append(value)
    figures = {name: summarise(pairs, found[LEVERS[0].name]) for name, pairs in found.items()}
    publish({"quick": asked.quick, "seeds": list(seeds), "levers": figures}, asked.out)


def run_split(
    keep: Path, titles: Sequence[Title], seed: int, levers: Sequence[Lever]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Run the levers on one split; return accuracy and macro-F1 by lever and ε.

    Under ``start`` is what the student had before any private step.
    """
    study, results = keep / "study.toml", keep / "results.json"
    if not study.exists():
        write_study(keep, titles, seed, Public.HALF_THE_CHAPTERS)
    split = Split.load(study, keep)
    found = json.loads(results.read_text()) if results.exists() else {}
    for lever in levers:
        if lever.name not in found:
            start = split.start(lever.change(split.study))
            before = start.test.quality(start.weights)
            values = {"start": (before.accuracy, before.macro_f1)}
            values |= {str(one): split.run(lever.change, one) for one in lever.epsilons}
            found[lever.name] = values
            results.write_text(json.dumps(found))
        shown = "  ".join(f"{at}: {a:.3f}/{f:.3f}" for at, (a, f) in found[lever.name].items())
        say(f"  seed {seed}  {lever.name}  {shown}")
    return {lever.name: found[lever.name] for lever in levers}


def summarise(pairs: Pairs, default: Pairs) -> dict[str, object]:
    """Return means by ε, and what they are above the default, split by split."""
    found: dict[str, object] = {}
    for at, values in pairs.items():
        gaps = np.array(values) - np.array(default[at][: len(values)])
        found[at] = {
            "accuracy": float(np.mean(values, axis=0)[0]),
            "macro_f1": float(np.mean(values, axis=0)[1]),
            "above_default": {"accuracy": gaps[:, 0].tolist(), "macro_f1": gaps[:, 1].tolist()},
        }
    return found


if __name__ == "__main__":
    main()
