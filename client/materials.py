"""What a region trains with: the plan's artifacts, each checked by hash, and its own records.

Whatever is wrong with them is found here, in the region, before a plan is approved; a round in
progress never fails in a way that depends on the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from client.errors import ApprovalRefusedError
from client.folder import RegionFolder
from client.policy import Policy
from distillation.data.warm_start import RECORD, WarmStart
from distillation.errors import ArtifactError
from distillation.experts import locate_teacher
from distillation.kit import Labelling, kit_of
from distillation.labels import LabelCache, LabelSource
from distillation.model_files import ModelFiles, locate
from distillation.recipe import Recipe
from distillation.record_rules import require_per_record
from distillation.records import (
    Columns,
    Records,
    capped,
    check_public_size,
    read_records,
)
from distillation.teacher import Teacher
from distillation.tokens import Tokens
from distillation.trained_part import TrainedPart
from distillation.vocabularies import shared_tokenizer
from distillation.workbench import AnyTargets, Workbench, unit_numbers
from privacy.guarantee import Unit
from privacy.plan import Plan


@dataclass(frozen=True, slots=True)
class Materials:
    """Everything that one region needs to take part in one plan.

    Attributes:
        recipe: Public constants of local training.
        part: The trained part of the student, at its start.
        teacher: The teacher.
        teacher_files: Where it is, and its hashes.
        records: The region's records.
        tokens: Their tokens.
        unit: What the plan protects.
    """

    recipe: Recipe
    part: TrainedPart
    teacher: Teacher
    teacher_files: ModelFiles
    records: Records
    tokens: Tokens
    unit: Unit

    def workbench(self, cache: LabelCache) -> Workbench:
        """Label the records and run the frozen part of the student over them.

        Raises:
            LabelCacheError: If a cached label does not open.
        """
        inputs = self.part.inputs(self.tokens)
        targets = self.targets(cache, positions=inputs.mask.shape[1])
        units = unit_numbers(self.records.units) if self.unit is Unit.PERSON else None
        return Workbench(inputs, targets, units=units)

    def targets(self, cache: LabelCache, *, positions: int) -> AnyTargets:
        """Return what the teacher says of the records, and what they say themselves.

        Args:
            cache: Of the region; labels that are in it are not asked for again.
            positions: T of the trained part's inputs.

        Raises:
            LabelCacheError: If a cached label does not open.
        """
        kit = kit_of(self.recipe.task)
        source = LabelSource(
            self.teacher_files.weights_sha256,
            self.teacher_files.tokenizer_sha256,
            self.recipe.template,
            kit.form(self.recipe),
        )
        return kit.targets(
            self.teacher,
            self.tokens,
            self.records,
            self.recipe,
            Labelling(cache, source),
            positions=positions,
        )


def load_materials(
    folder: RegionFolder,
    policy: Policy,
    plan: Plan,
    *,
    load_teacher: Callable[[ModelFiles], Teacher] | None = None,
) -> Materials:
    """Load and check the artifacts and the records.

    Args:
        folder: The region's folder.
        policy: Its policy.
        plan: The plan whose artifacts these should be.
        load_teacher: Loads a checked teacher; a simulation loads it once for all regions. None: as
            the plan's task loads it.

    Raises:
        ApprovalRefusedError: If an artifact is not the one that the plan names.
        ArtifactError: If the record of a warm start is not the plan's, or there is no recipe.
        RecordsError: If the records are not usable under this plan.
        TeacherError: If a model cannot be loaded.
    """
    teacher_files = locate_teacher(folder.artifacts / "teacher")
    student_files = locate(str(folder.artifacts / "student"))
    recipe = _recipe(folder)
    kit = kit_of(recipe.task)
    student = kit.load_student(student_files.folder)
    part = kit.part(student, recipe)
    require_per_record(student, part.module)
    _require_hashes(
        [
            ("teacher", teacher_files.weights_sha256, plan.artifacts.teacher),
            ("tokenizer", teacher_files.tokenizer_sha256, plan.artifacts.tokenizer),
            ("student", student_files.weights_sha256, plan.artifacts.student),
            ("recipe", recipe.hash, plan.artifacts.recipe),
            ("layout", part.layout.hash.hex(), plan.artifacts.layout),
        ]
    )
    _require_warm_start(folder, plan)
    tokenizer = shared_tokenizer(teacher_files, student_files, student)
    teacher = (load_teacher or kit.load_teacher)(teacher_files)
    teacher.require_room(recipe.max_tokens)
    records = _records(folder, policy, plan)
    kit.check_records(records, teacher)
    terms = plan.region(policy.region)
    check_public_size(records, policy.region, terms.public_size, unit=plan.unit)
    tokens = kit.tokens(records.texts, tokenizer, recipe)
    return Materials(recipe, part, teacher, teacher_files, records, tokens, plan.unit)


def _require_warm_start(folder: RegionFolder, plan: Plan) -> None:
    """Check the record of generated public text, where one travelled with the plan."""
    path = folder.artifacts / RECORD
    if path.exists():
        WarmStart.from_bytes(path.read_bytes()).require_plan(plan)


def _recipe(folder: RegionFolder) -> Recipe:
    path = folder.artifacts / "recipe.json"
    try:
        return Recipe.from_bytes(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(
            "the region's artifacts have no recipe.json: copy it from beside the plan"
        ) from None


def _require_hashes(rows: Sequence[tuple[str, str, str]]) -> None:
    for name, found, expected in rows:
        if found != expected:
            raise ApprovalRefusedError(
                f"the {name} in the region's artifacts is not the plan's: expected sha256 "
                f"{expected[:16]}…, found {found[:16]}…; fetch it again from beside the plan"
            )


def _records(folder: RegionFolder, policy: Policy, plan: Plan) -> Records:
    columns = Columns(text=policy.text, label=policy.label, unit=policy.unit)
    records = read_records(folder.root / policy.source, columns)
    terms = plan.region(policy.region)
    cap = terms.max_records_per_person
    if plan.unit is Unit.RECORD and cap is None:
        return records
    if policy.unit is None:
        raise ApprovalRefusedError(
            "the plan says something about persons, but the policy names no column of persons: "
            "set data.unit"
        )
    if plan.unit is Unit.PERSON:
        return capped(records, terms.max_records_per_unit)
    if cap is not None and len(capped(records, cap)) < len(records):
        raise ApprovalRefusedError(
            f"the plan declares at most {cap} records of one person, and somebody has more here: "
            "raise max_records_per_unit in the study and make a new plan, or protect persons"
        )
    return records
