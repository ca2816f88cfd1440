"""What a region trains with: the plan's artifacts, each checked by hash, and its own records.

Whatever is wrong with them is found here, in the region, before a plan is approved; a round in
progress never fails in a way that depends on the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from client.errors import ApprovalRefusedError
from client.folder import RegionFolder
from client.policy import Policy
from distillation.errors import ArtifactError
from distillation.labels import LabelCache, LabelSource
from distillation.model_files import ModelFiles, locate
from distillation.objectives import Targets
from distillation.recipe import Recipe
from distillation.record_rules import require_per_record
from distillation.records import (
    Columns,
    Records,
    capped,
    check_labels,
    check_public_size,
    read_records,
)
from distillation.students import MeanPoolClassifier, load_classifier
from distillation.teacher import ClassifierTeacher, load_tokenizer
from distillation.tokens import Tokens, tokenize
from distillation.trained_part import TrainedPart, trained_part
from distillation.workbench import Workbench, references, soft_labels, unit_numbers
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
    teacher: ClassifierTeacher
    teacher_files: ModelFiles
    records: Records
    tokens: Tokens
    unit: Unit

    def workbench(self, cache: LabelCache) -> Workbench:
        """Label the records and run the frozen part of the student over them.

        Raises:
            LabelCacheError: If a cached label does not open.
        """
        source = LabelSource(
            self.teacher_files.weights_sha256,
            self.teacher_files.tokenizer_sha256,
            self.recipe.template,
        )
        log_probs = soft_labels(
            self.teacher,
            self.tokens,
            cache=cache,
            source=source,
            record_ids=self.records.ids,
            texts=self.records.texts,
        )
        reference = references(self.records.labels, self.teacher.outcomes).unsqueeze(1)
        mask = torch.ones(log_probs.shape[:2], dtype=torch.bool)
        targets = Targets(log_probs, reference, mask)
        units = unit_numbers(self.records.units) if self.unit is Unit.PERSON else None
        return Workbench(self.part.inputs(self.tokens), targets, units=units)


def load_materials(
    folder: RegionFolder,
    policy: Policy,
    plan: Plan,
    *,
    load_teacher: Callable[[ModelFiles], ClassifierTeacher] = ClassifierTeacher.load,
) -> Materials:
    """Load and check the artifacts and the records.

    Args:
        folder: The region's folder.
        policy: Its policy.
        plan: The plan whose artifacts these should be.
        load_teacher: Loads a checked teacher; a simulation loads it once for all regions.

    Raises:
        ApprovalRefusedError: If an artifact is not the one that the plan names.
        RecordsError: If the records are not usable under this plan.
        TeacherError: If a model cannot be loaded.
    """
    teacher_files = locate(str(folder.artifacts / "teacher"))
    student_files = locate(str(folder.artifacts / "student"))
    recipe = _recipe(folder)
    student = load_classifier(student_files.folder)
    if not isinstance(student, MeanPoolClassifier):
        raise ApprovalRefusedError(
            f"expected a student of kind stillroom-mean-pool, got {type(student).__name__}"
        )
    part = trained_part(student, recipe.train)
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
    teacher = load_teacher(teacher_files)
    teacher.require_room(recipe.max_tokens)
    records = _records(folder, policy, plan)
    check_labels(records, teacher.outcomes)
    terms = plan.region(policy.region)
    check_public_size(records, policy.region, terms.public_size, unit=plan.unit)
    tokens = tokenize(records.texts, load_tokenizer(teacher_files), max_tokens=recipe.max_tokens)
    return Materials(recipe, part, teacher, teacher_files, records, tokens, plan.unit)


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
