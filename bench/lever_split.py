"""One split of the default study for `levers.py`: models, warm starts and answers, made once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import one_thread  # noqa: F401 - before anything that loads numpy
import torch

from distillation.held_out import HeldOut, held_out
from distillation.kinds import Train
from distillation.layout import Vector
from distillation.learning_tables import RANK
from distillation.objectives import Targets
from distillation.planning import PlannedArtifacts, make_plan
from distillation.study import Study
from distillation.teacher import ClassifierTeacher
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.workbench import Workbench, references
from simulations.baselines import final_quality, planned_arm
from simulations.prepare import Bench, region_code_sha256, warmed_up
from simulations.study_data import StudyData


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

    def run(self, study: Study, *, draws: int) -> tuple[float, float]:
        """Return accuracy and macro-F1 after the rounds of a changed study, means of the draws."""
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
        arm = planned_arm(study, plan, benches)
        found = [final_quality(arm, part, weights, test) for _ in range(draws)]
        return fmean(one.accuracy for one in found), fmean(one.macro_f1 for one in found)


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
        made_of = replace(study.student, train=Train.HEAD, rank=RANK)  # the warm-up trains all
        folder = split.keep / _name(study.warm_up, made_of)
        if not (folder / "config.json").exists():
            student, _ = warmed_up(study, bench, data.public.texts, lambda share: None)
            bench.kit.save_student(student, bench.tokenizer, folder)
        part = bench.kit.part(bench.kit.load_student(folder), bench.recipe)
        head = study.student.train is Train.HEAD  # everything else reads the same hidden states
        below = folder / f"{'features' if head else 'states'}.pt"
        if not below.exists():
            made = [part.inputs(bench.tokens(records)) for records in (data.private, data.test)]
            torch.save([(inputs.values, inputs.mask) for inputs in made], below)
        private, test = (
            FrozenInputs(values, mask) for values, mask in torch.load(below, weights_only=True)
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


def _name(*settings: object) -> str:
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
