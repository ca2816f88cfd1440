"""A student's warm start on generated public text, with its two files beside the plan.

``artifacts/public-texts.jsonl`` has every text with its origin, ``artifacts/warm-start.json`` says
what was kept, what was dropped and whose answers they are. The plan names the latter, which names
the former and the declared public file.
"""

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from client.folder import write_durably
from distillation.data import artifact
from distillation.data.prompts import Answered, PromptPlan, answered_prompts
from distillation.data.provenance import Generator
from distillation.data.public_text import Declaration, PublicText, declared
from distillation.data.warm_start import RECORD, WarmStart, generator_seed
from distillation.errors import ArtifactError, TeacherError
from distillation.model_files import ModelFiles, hash_files
from distillation.planning import declaration_of
from distillation.students import MeanPoolClassifier
from distillation.study import Study
from distillation.teacher import ClassifierTeacher, Teacher
from distillation.warm_up import WarmUp, warm_up
from privacy.plan import Plan
from simulations.progress import Advance

TEXTS = "public-texts.jsonl"

_ANSWERED = 0.3
"""Share of the stage that is the teacher's: its answers come first."""


def learn_generated(
    study: Study,
    student: PreTrainedModel,
    teacher: Teacher,
    tokenizer: PreTrainedTokenizerBase,
    settings: WarmUp,
    done: Advance,
) -> Answered:
    """Train the student in place on public and generated texts; return them.

    Raises:
        RecordsError: If the public file cannot be used.
        TeacherError: If teacher or student is no classifier.
    """
    if not isinstance(teacher, ClassifierTeacher) or not isinstance(student, MeanPoolClassifier):
        raise TeacherError(
            "expected a classifier and its mean-pool student for generated texts, got a "
            f"{type(teacher).__name__} and a {type(student).__name__}: set warm_up.generated = 0"
        )
    answered = answered_prompts(
        _public(study),
        teacher,
        tokenizer,
        PromptPlan(count=study.warm_up.generated, seed=generator_seed(study.warm_up.seed)),
        max_tokens=study.teacher.max_tokens,
        held_out=_test(study),
        progress=lambda share: done(_ANSWERED * share),
    )
    warm_up(
        student,
        answered.tokens,
        answered.answers,
        settings,
        shuffle=torch.Generator().manual_seed(study.warm_up.seed),  # public data, as ever
        progress=lambda share: done(_ANSWERED + (1 - _ANSWERED) * share),
    )
    return answered


def write_record(
    study: Study, answered: Answered, folder: Path, *, teacher: ModelFiles, student: ModelFiles
) -> WarmStart:
    """Write the texts and the record of the warm start into ``folder``; return the record.

    Raises:
        OSError: If they cannot be written.
    """
    write_durably(folder / TEXTS, artifact.to_bytes(answered.texts))
    made = [text.provenance.generator is Generator.WORD_MIX for text in answered.texts]
    record = WarmStart(
        curated=len(made) - sum(made),
        tried=study.warm_up.generated,
        kept=sum(made),
        dropped={reason: count for reason, count in answered.dropped.items() if count},
        seed=generator_seed(study.warm_up.seed),
        epochs=study.warm_up.epochs,
        public_file=hash_files([study.base / study.public.source]),
        public_texts=artifact.sha256(answered.texts),
        teacher=teacher.weights_sha256,
        declaration=declaration_of(study),
        student=student.weights_sha256,
    )
    write_durably(folder / RECORD, record.to_bytes())
    return record


def read_record(study: Study, folder: Path, plan: Plan) -> WarmStart | None:
    """Return the record that the plan names; None if the study generates no text.

    Raises:
        ArtifactError: If a file is missing or was changed, or says something else than the plan.
    """
    if not study.warm_up.generated:
        return None
    path = folder / RECORD
    if not path.exists():
        raise ArtifactError(
            f"expected {RECORD} beside the plan, found none: copy it from where the plan was made"
        )
    record = WarmStart.from_bytes(path.read_bytes())
    record.require_plan(plan)
    artifact.read(folder / TEXTS, expected_sha256=record.public_texts)
    return record


def _public(study: Study) -> tuple[PublicText, ...]:
    """Return the public file's texts under the study's own declaration."""
    said = Declaration(origin=study.public.origin or "", reason=study.public.reason or "")
    return declared(study.base / study.public.source, study.public.text, said)


def _test(study: Study) -> tuple[PublicText, ...]:
    """Return the test texts: none like them is generated, and none of them is an artifact's."""
    said = Declaration(
        origin=f"the test data {study.test.source} of the study",
        reason="the coordinator holds test data in the open, to measure the student on them",
    )
    return declared(study.base / study.test.source, study.test.text, said)
