"""The public half of a study: read data, ask the teacher, cut and warm up the student, plan.

No private text is read for it beyond the simulator's own sorting into regions: what comes out,
artifacts and plan, follows from public data, the teacher and the study alone.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from client.folder import write_durably
from distillation.held_out import HeldOut, held_out
from distillation.layout import Vector
from distillation.model_files import ModelFiles, hash_files, locate
from distillation.planning import (
    PlannedArtifacts,
    declaration_of,
    make_plan,
    recipe_of,
    source_sha256,
)
from distillation.records import (
    Columns,
    Records,
    check_labels,
    check_public_size,
    read_records,
    rows_within_cap,
)
from distillation.students import MeanPoolClassifier, cut_student, load_classifier, save_classifier
from distillation.study import DataTable, Study
from distillation.teacher import Answers, ClassifierTeacher, load_tokenizer
from distillation.tokens import Tokens, tokenize
from distillation.trained_part import TrainedPart, trained_part
from distillation.warm_up import WarmUp, warm_up
from privacy.guarantee import Unit
from privacy.lineage import admit
from privacy.plan import Plan
from simulations.errors import StudyDataError
from simulations.progress import Advance, Progress
from simulations.run_folder import Journal, RunFolder

_REGION_CODE = ("client", "distillation", "privacy", "protocol", "server")


@dataclass(frozen=True)
class StudyData:
    """The records of a study, as its files hold them.

    Attributes:
        public: Declared public.
        private: All regions' records.
        test: The public test set, labelled.
        all_labels: Every private record's label, for the full-labelling comparison, if given.
    """

    public: Records
    private: Records
    test: Records
    all_labels: tuple[str | None, ...] | None

    @classmethod
    def read(cls, study: Study) -> "StudyData":
        """Read the files.

        Raises:
            RecordsError: If a file cannot be used.
            StudyDataError: If the regions in the data are not those of the study, or a test
                record has no label.
        """
        private = _read(study, study.private)
        all_labels = None
        if study.private.all_labels is not None:
            columns = Columns(text=study.private.text, label=study.private.all_labels)
            all_labels = read_records(study.base / study.private.source, columns).labels
        if study.privacy.unit is Unit.PERSON:
            private, all_labels = _capped(study, private, all_labels)
        data = cls(_read(study, study.public), private, _read(study, study.test), all_labels)
        _check_regions(study, data.private)
        if None in data.test.labels:
            raise StudyDataError(
                f"expected a label in every row of the test data {study.test.source}: fill the "
                f"column {study.test.label}, or remove the rows without one"
            )
        return data


@dataclass(frozen=True)
class Bench:
    """The models of a study, loaded once.

    Attributes:
        study: The study.
        teacher_files: The teacher's files.
        teacher: The teacher.
        tokenizer: Its tokenizer, and the student's.
    """

    study: Study
    teacher_files: ModelFiles
    teacher: ClassifierTeacher
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def load(cls, study: Study) -> "Bench":
        """Find and load the teacher.

        Raises:
            TeacherError: If it cannot be had, or the study's texts are too long for it.
        """
        files = locate(study.teacher.model, revision=study.teacher.revision, base=study.base)
        teacher = ClassifierTeacher.load(files)
        teacher.require_room(study.teacher.max_tokens)
        return cls(study, files, teacher, load_tokenizer(files))

    def tokens(self, records: Records) -> Tokens:
        """Return the records' tokens."""
        return tokenize(records.texts, self.tokenizer, max_tokens=self.study.teacher.max_tokens)

    def cut(self) -> MeanPoolClassifier:
        """Return the student before any training."""
        model = self.teacher.model
        encoder = model.encoder if isinstance(model, MeanPoolClassifier) else model.base_model
        return cut_student(
            encoder,
            layers=self.study.student.layers,
            classes=self.teacher.outcomes,
            feature_scale=float(self.study.student.feature_scale),
        )


@dataclass(frozen=True)
class Prepared:
    """What the regions and the coordinator start from.

    Attributes:
        plan: The plan.
        student: The warmed-up student.
        part: Its trained part; regions have copies of their own.
        start: The trained tensors before the first round, (d,).
        test: The public test set on that part.
    """

    plan: Plan
    student: MeanPoolClassifier
    part: TrainedPart
    start: Vector
    test: HeldOut


def prepare(
    study: Study, data: StudyData, bench: Bench, run: RunFolder, journal: Journal, show: Progress
) -> Prepared:
    """Make artifacts and plan in the run's folder, or take up those that are there whole.

    The regions check all of this again; here it is checked before anything takes time.

    Raises:
        LineageRefusedError: If no region may use such a teacher.
        RecordsError: If the records do not fit the teacher or the declared sizes.
        PlanRefusedError: If the study makes no plan.
    """
    admit(declaration_of(study))
    for name, rows in data.private.rows_by_region().items():
        own, size = data.private.subset(rows), study.regions[name].public_size
        check_public_size(own, name, size, unit=study.privacy.unit)
    check_labels(data.test, bench.teacher.outcomes)
    check_labels(data.private, bench.teacher.outcomes)
    for records in (data.public, data.private, data.test):
        bench.tokens(records)  # refuses a text that is too long, or holds nothing to read
    if not run.plan.exists():
        with journal.stage("public warm-up"), show.stage("Public warm-up of the student") as done:
            student = warmed_up(study, bench, data.public, done)
        _write_artifacts(study, data, bench, student, run)
    plan = Plan.from_bytes(run.plan.read_bytes())
    loaded = load_classifier(run.artifacts / "student")
    if not isinstance(loaded, MeanPoolClassifier):
        raise StudyDataError(f"{run.artifacts / 'student'} holds another kind of student")
    part = trained_part(loaded, study.student.train)
    start = part.vector()
    with journal.stage("test set"), show.stage("Teacher and student on the test set") as done:
        test = held_out_set(bench, part, data.test, done)
    return Prepared(plan, loaded, part, start, test)


def warmed_up(study: Study, bench: Bench, public: Records, done: Advance) -> MeanPoolClassifier:
    """Return the student after its public warm-up."""
    tokens, student = bench.tokens(public), bench.cut()
    answers = bench.teacher.answer(tokens, lambda share: done(0.3 * share))
    terms = study.warm_up
    settings = WarmUp(
        epochs=terms.epochs,
        batch_size=terms.batch_size,
        learning_rate=float(terms.learning_rate),
        head_learning_rate=float(terms.head_learning_rate),
        feature_weight=float(terms.feature_weight),
    )
    order = torch.Generator().manual_seed(terms.seed)  # public data: no privacy rests on it
    warm_up(
        student, tokens, answers, settings, shuffle=order, progress=lambda s: done(0.3 + 0.7 * s)
    )
    return student


def held_out_set(bench: Bench, part: TrainedPart, records: Records, done: Advance) -> HeldOut:
    """Return the public test set on a trained part."""
    tokens = bench.tokens(records)
    answers: Answers = bench.teacher.answer(tokens, done)
    index = {name: number for number, name in enumerate(bench.teacher.outcomes)}
    labels = [index[label] for label in records.labels if label is not None]
    return held_out(part, part.inputs(tokens), labels, answers.log_probs)


def _write_artifacts(
    study: Study, data: StudyData, bench: Bench, student: MeanPoolClassifier, run: RunFolder
) -> None:
    folder = run.artifacts / "student"
    save_classifier(student, bench.tokenizer, folder)
    teacher = run.artifacts / "teacher"
    if not teacher.exists():
        teacher.symlink_to(bench.teacher_files.folder, target_is_directory=True)
    (run.artifacts / "recipe.json").write_bytes(recipe_of(study).to_bytes())
    plan = make_plan(
        study,
        PlannedArtifacts(
            teacher=bench.teacher_files,
            student=locate(str(folder)),
            layout=trained_part(student, study.student.train).layout,
            public_data_sha256=hash_files([study.base / study.public.source]),
            code_sha256=region_code_sha256(),
        ),
    )
    write_durably(run.plan, plan.to_bytes())


def region_code_sha256() -> str:
    """Return the hash of the installed code that runs in a region."""
    roots = {}
    for name in _REGION_CODE:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise StudyDataError(f"the package {name} is not installed")
        roots[name] = Path(spec.origin).parent
    return source_sha256(roots)


def _capped(
    study: Study, private: Records, all_labels: tuple[str | None, ...] | None
) -> tuple[Records, tuple[str | None, ...] | None]:
    """Return what stays of every region's records under its cap, and their labels."""
    kept = []
    for name, rows in private.rows_by_region().items():
        most = study.regions[name].max_records_per_unit if name in study.regions else 1
        kept += [rows[place] for place in rows_within_cap(private.subset(rows), most)]
    kept.sort()
    return private.subset(kept), all_labels and tuple(all_labels[row] for row in kept)


def _read(study: Study, table: DataTable) -> Records:
    columns = Columns(text=table.text, label=table.label, unit=table.unit, region=table.region)
    return read_records(study.base / table.source, columns)


def _check_regions(study: Study, private: Records) -> None:
    found, declared = set(private.regions), set(study.regions)
    if found != declared:
        raise StudyDataError(
            f"the regions in {study.private.source} and in the study differ: only in the data "
            f"{', '.join(sorted(found - declared)) or 'none'}; only in the study "
            f"{', '.join(sorted(declared - found)) or 'none'}: add or remove [regions.NAME] tables"
        )
