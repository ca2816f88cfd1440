"""The public half of a study: read data, ask the teacher, cut and warm up the student, plan.

No private text is read for it beyond the simulator's own sorting into regions: what comes out,
artifacts and plan, follows from public data, the teacher and the study alone.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from client.folder import write_durably
from distillation.data.prompts import Answered
from distillation.data.warm_start import WarmStart
from distillation.experts import together, write_experts
from distillation.former_run import former_run
from distillation.kit import Kit, Measured, kit_of
from distillation.layout import Vector
from distillation.model_files import Expert, ModelFiles, hash_files, locate
from distillation.planning import (
    PlannedArtifacts,
    declaration_of,
    make_plan,
    recipe_of,
    source_sha256,
)
from distillation.recipe import Recipe
from distillation.records import Records, check_public_size
from distillation.study import Study
from distillation.teacher import Teacher, load_tokenizer
from distillation.tokens import Tokens
from distillation.trained_part import TrainedPart
from distillation.vocabularies import require_rows
from distillation.warm_up import WarmUp
from privacy.lineage import admit
from privacy.plan import Plan
from simulations.errors import StudyDataError
from simulations.generated_text import learn_generated, read_record, write_record
from simulations.progress import Advance, Progress
from simulations.run_folder import Journal, RunFolder
from simulations.study_data import StudyData

_REGION_CODE = ("client", "distillation", "privacy", "protocol", "server")


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
    teacher: Teacher
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def load(cls, study: Study) -> "Bench":
        """Find and load the teacher, or all of them.

        Raises:
            TeacherError: If one cannot be had, or the study's texts are too long for it.
        """
        experts = [
            Expert(locate(each.model, revision=each.revision, base=study.base), each.weight)
            for each in study.teacher.all
        ]
        return cls._of(study, together(experts) if len(experts) > 1 else experts[0].files)

    @classmethod
    def _of(cls, study: Study, files: ModelFiles) -> "Bench":
        teacher = kit_of(study.study.task).load_teacher(files)
        teacher.require_room(study.teacher.max_tokens)
        tokenizer = load_tokenizer(files)
        require_rows(tokenizer, teacher.model, "teacher")
        return cls(study, files, teacher, tokenizer)

    @property
    def kit(self) -> Kit:
        """What the study's task does in its own way."""
        return kit_of(self.study.study.task)

    @property
    def recipe(self) -> Recipe:
        """The public constants of local training."""
        return recipe_of(self.study)

    def tokens(self, records: Records) -> Tokens:
        """Return the records' tokens."""
        return self.kit.tokens(records.texts, self.tokenizer, self.recipe)

    def prepared(self, public: Records, run: RunFolder, done: Advance) -> "Bench":
        """Return the bench with a teacher that has read the public text; this one is used up.

        What is in the run's folder already is taken up. The prepared teacher is an artifact of the
        run, with a hash of its own; whose records it knows is unchanged, as the text is public.
        """
        folder = run.artifacts / "teacher"
        if not folder.exists():
            settings = replace(
                _settings(self.study),
                epochs=self.study.teacher.prepare_epochs,
                learning_rate=float(self.study.teacher.prepare_learning_rate),
            )
            tokens, seed = self.tokens(public), self.study.warm_up.seed
            self.kit.prepare_teacher(self.teacher, tokens, settings, seed=seed, done=done)
            partial = run.artifacts / "teacher.partial"
            shutil.rmtree(partial, ignore_errors=True)
            self.kit.save_student(self.teacher.model, self.tokenizer, partial)
            partial.rename(folder)
        return Bench._of(self.study, locate(str(folder)))


@dataclass(frozen=True)
class Prepared:
    """What the regions and the coordinator start from.

    Attributes:
        plan: The plan.
        bench: The study's models, with the teacher as it labels.
        student: The warmed-up student.
        part: Its trained part; regions have copies of their own.
        start: The trained tensors before the first round, (d,).
        test: The public test set on that part.
        warm_start: What was generated for the warm-up and what became of it, if anything was.
    """

    plan: Plan
    bench: Bench
    student: PreTrainedModel
    part: TrainedPart
    start: Vector
    test: Measured
    warm_start: WarmStart | None = None


def prepare(
    study: Study, data: StudyData, bench: Bench, run: RunFolder, journal: Journal, show: Progress
) -> Prepared:
    """Make artifacts and plan in the run's folder, or take up those that are there whole.

    The regions check all of this again; here it is checked before anything takes time.

    Raises:
        LineageRefusedError: If no region may use such a teacher.
        RecordsError: If the records do not fit the teacher or the declared sizes.
        PlanRefusedError: If the study makes no plan.
        StudyDataError: If the plan that is there was made for other training constants.
    """
    former = former_run(study)
    admit(declaration_of(study), plans_on_record=former.plans if former else ())
    for name, rows in data.private.rows_by_region().items():
        own, size = data.private.subset(rows), study.regions[name].public_size
        check_public_size(own, name, size, unit=study.privacy.unit)
    kit = bench.kit
    for records in (data.test, data.private):
        kit.check_records(records, bench.teacher)
    for records in (data.public, data.private, data.test):
        bench.tokens(records)  # refuses a text that is too long, or holds nothing to read
    if study.teacher.prepare_epochs:
        title = "The teacher reads the public text"
        with journal.stage("teacher preparation"), show.stage(title) as done:
            bench = bench.prepared(data.public, run, done)
    if not run.plan.exists():
        answers = _answers(study, bench, run, journal, show)
        with journal.stage("public warm-up"), show.stage("Public warm-up of the student") as done:
            student, answered = warmed_up(study, bench, (*data.public.texts, *answers), done)
        _write_artifacts(study, bench, student, answered, run)
    plan = _plan_of(run, bench)
    record = read_record(study, run.artifacts, plan)
    loaded = kit.load_student(run.artifacts / "student")
    part = kit.part(loaded, bench.recipe)
    start = part.vector()
    with journal.stage("test set"), show.stage("Teacher and student on the test set") as done:
        test = held_out_set(bench, part, data.test, done)
    return Prepared(plan, bench, loaded, part, start, test, record)


def _plan_of(run: RunFolder, bench: Bench) -> Plan:
    plan = Plan.from_bytes(run.plan.read_bytes())
    if bench.recipe.hash != plan.artifacts.recipe:
        raise StudyDataError(
            "expected the training constants of the run's plan, got others from its study: another "
            "release made the plan; start a new run in another folder"
        )
    return plan


def start_of(study: Study, bench: Bench) -> PreTrainedModel:
    """Return the student before its public warm-up: cut from the teacher, or an earlier release.

    Raises:
        StudyError: If there is no such release.
        TeacherError: If it does not fit the teacher, or cannot be cut so.
    """
    former = former_run(study)
    if former is None:
        return bench.kit.cut_student(bench.teacher, study.student)
    return former.load_student(bench.kit, bench.tokenizer, bench.teacher.outcomes)


def _answers(
    study: Study, bench: Bench, run: RunFolder, journal: Journal, show: Progress
) -> tuple[str, ...]:
    """Return what the teachers of [[warm_up.answers]] write, as texts of the study's form."""
    if not study.warm_up.answers:
        return ()
    from simulations.answers import answered_texts  # classifiers need no language models

    path = run.artifacts / "answers.jsonl"
    with journal.stage("answers"), show.stage("Further teachers answer public prompts") as done:
        return answered_texts(study, bench.tokenizer, path, done)


def warmed_up(
    study: Study, bench: Bench, public: Sequence[str], done: Advance
) -> tuple[PreTrainedModel, Answered | None]:
    """Return the student after its public warm-up, and the texts where some were generated."""
    student = start_of(study, bench)
    settings = _settings(study)
    if study.warm_up.generated:
        tokenizer = bench.tokenizer
        return student, learn_generated(study, student, bench.teacher, tokenizer, settings, done)
    bench.kit.warm_up(
        student,
        bench.teacher,
        bench.kit.tokens(public, bench.tokenizer, bench.recipe),
        settings,
        recipe=bench.recipe,
        seed=study.warm_up.seed,
        done=done,
    )
    return student, None


def _settings(study: Study) -> WarmUp:
    terms = study.warm_up
    return WarmUp(
        epochs=terms.epochs,
        batch_size=terms.batch_size,
        learning_rate=float(terms.learning_rate),
        head_learning_rate=float(terms.head_learning_rate),
        feature_weight=float(terms.feature_weight),
    )


def held_out_set(bench: Bench, part: TrainedPart, records: Records, done: Advance) -> Measured:
    """Return the public test set on a trained part."""
    tokens = bench.tokens(records)
    return bench.kit.held_out(part, bench.teacher, tokens, records, bench.recipe, done)


def _write_artifacts(
    study: Study, bench: Bench, student: PreTrainedModel, answered: Answered | None, run: RunFolder
) -> None:
    folder = run.artifacts / "student"
    bench.kit.save_student(student, bench.tokenizer, folder)
    teacher = run.artifacts / "teacher"
    if bench.teacher_files.experts:
        write_experts(bench.teacher_files, teacher)
    elif not teacher.exists():
        teacher.symlink_to(bench.teacher_files.folder, target_is_directory=True)
    (run.artifacts / "recipe.json").write_bytes(recipe_of(study).to_bytes())
    files, learned_from = locate(str(folder)), hash_files([study.base / study.public.source])
    if answered is not None:  # the record names the file, and what was made out of it
        answering = bench.teacher_files
        learned_from = write_record(
            study, answered, run.artifacts, teacher=answering, student=files
        ).hash
    plan = make_plan(
        study,
        PlannedArtifacts(
            teacher=bench.teacher_files,
            student=files,
            layout=bench.kit.part(student, bench.recipe).layout,
            public_data_sha256=learned_from,
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
