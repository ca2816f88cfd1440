"""Attacks on a released student in a folder: who was trained on, and what can it be made to say.

A classifier is asked for the log-probability of each record's label, a language model for that of
each text, a token's mean. With a reference, a model that saw none of the records such as the
student before the first round, the score is by how much the student is surer than it: what is easy
in itself then speaks for nobody's membership. This is the step of LiRA (Carlini et al. 2022,
arXiv 2112.03570) that needs no shadow models.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distillation.audit.errors import AuditError
from distillation.audit.extraction import Ids, PlantedSequence, exposure
from distillation.audit.membership import Membership, membership
from distillation.audit.told_apart import LEAST, Separation, separation, told_apart
from distillation.errors import TeacherError
from distillation.language.models import load_causal
from distillation.language.teacher import CausalTeacher
from distillation.measure.answering import answer, judge
from distillation.model_files import locate
from distillation.records import Records
from distillation.teacher import load_tokenizer

_RANKED = 16
"""Planted endings whose exposure is looked at, and the controls beside each: n² questions."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a language model gives away of endings.

    Attributes:
        separation: Endings that it goes on with word for word: of members, and of others.
        exposure_bits: Mean exposure of the members' endings among others'.
        chance_bits: The mean exposure where nothing was learned.
        most_bits: The most that so many others could show.
        ending: Tokens in an ending.
    """

    separation: Separation
    exposure_bits: float
    chance_bits: float
    most_bits: float
    ending: int


@dataclass(frozen=True, slots=True)
class Attacked:
    """What a released student gives away of these records.

    Attributes:
        separation: Whether members are told apart.
        membership: The ROC curve, with what (ε, δ) allows if a claim was given.
        extracted: Of a language model; None for a classifier.
    """

    separation: Separation
    membership: Membership
    extracted: Extracted | None

    @property
    def leaks(self) -> bool:
        """Whether members are told apart, or their endings are."""
        found = [self.separation, *([self.extracted.separation] if self.extracted else [])]
        return any(one.advantage > 0 for one in found)


def attack(
    student: Path,
    members: Records,
    others: Records,
    *,
    reference: Path | None,
    ending: int,
    claim: tuple[float, float],
) -> Attacked:
    """Attack a student by its answers alone.

    Args:
        student: Its folder.
        members: Records that it was trained on.
        others: Records like them that it was not.
        reference: Folder of a model that saw neither, or None.
        ending: Tokens of a text that a language model is asked for.
        claim: (ε, δ) whose limits are shown beside the ROC curve.

    Raises:
        AuditError: If there are too few records.
        TeacherError: If a folder holds no such model.
        RecordsError: If a record cannot be read by it, or has no label.
    """
    scores = [_scores(student, records, reference) for records in (members, others)]
    inside, outside = scores
    coins = np.arange(len(inside) + len(outside)) < len(inside)
    return Attacked(
        told_apart(inside, outside),
        membership(np.concatenate(scores), coins, epsilon=claim[0], delta=claim[1]),
        _extract(student, members, others, ending) if is_language_model(student) else None,
    )


def is_language_model(folder: Path) -> bool:
    """Return whether a folder's configuration is that of a causal language model.

    Raises:
        TeacherError: If there is no configuration.
    """
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kinds = found.get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise TeacherError(
            f"expected a student in {folder}, found no config.json that can be read: name the "
            "folder that holds its model.safetensors"
        ) from error
    return any("CausalLM" in str(kind) or "LMHead" in str(kind) for kind in kinds)


def _scores(student: Path, records: Records, reference: Path | None) -> NDArray[np.float64]:
    of_student = _sureness(student, records)
    return of_student if reference is None else of_student - _sureness(reference, records)


def _sureness(folder: Path, records: Records) -> NDArray[np.float64]:
    """Return how likely each record is to a model: its label, or its text a token, in nats."""
    if is_language_model(folder):
        model, texts = _language_model(folder, records)
        found = [_log_probs(model, ids)[1:].mean().item() for ids in texts]
        return np.array(found, dtype=np.float64)
    judged = judge(answer(folder, records), records)
    own = judged.probabilities[np.arange(len(records)), judged.labels]
    return np.log(np.maximum(own, np.finfo(np.float64).tiny))


def _language_model(folder: Path, records: Records) -> tuple[PreTrainedModel, list[Ids]]:
    files = locate(str(folder))
    model = CausalTeacher(load_causal(files.folder, gguf=files.gguf)).model
    tokenizer = load_tokenizer(files)
    texts = [
        tuple(map(int, tokenizer(text, add_special_tokens=False)["input_ids"]))
        for text in records.texts
    ]
    short = [row for row, ids in enumerate(texts, start=1) if len(ids) < 2]
    if short:
        raise AuditError(f"expected texts of at least two tokens, not so in row {short[0]}")
    return model, texts


def _extract(student: Path, members: Records, others: Records, ending: int) -> Extracted:
    model, inside = _language_model(student, members)
    _, outside = _language_model(student, others)
    cut = {True: _cut(inside, ending, planted=True), False: _cut(outside, ending, planted=False)}
    hits = {
        planted: sum(_goes_on(model, one.beginning, ending) == one.ending for one in some)
        for planted, some in cut.items()
    }
    controls = list(dict.fromkeys(one.ending for one in cut[False]))[:_RANKED]
    bits = [
        exposure(
            lambda beginning, end: _likelihood(model, beginning, end),
            one,
            [end for end in controls if end != one.ending],
        )
        for one in cut[True][:_RANKED]
    ]
    return Extracted(
        separation(hits[True], len(cut[True]), hits[False], len(cut[False])),
        float(np.mean(bits)),
        float(np.log2(len(controls) + 1) - np.log2(np.arange(1, len(controls) + 2)).mean()),
        float(np.log2(len(controls) + 1)),
        ending,
    )


def _cut(texts: Sequence[Ids], ending: int, *, planted: bool) -> list[PlantedSequence]:
    """Return each text in two; one that is no longer than an ending has nothing to begin with."""
    long = [ids for ids in texts if len(ids) > ending]
    if len(long) < LEAST:
        raise AuditError(
            f"expected at least {LEAST} texts of more than {ending} tokens on each side, got "
            f"{len(long)}: choose a shorter --ending, or use more records"
        )
    return [PlantedSequence(ids[:-ending], ids[-ending:], planted) for ids in long]


@torch.no_grad()
def _log_probs(model: PreTrainedModel, ids: Ids) -> torch.Tensor:
    """Return the log-probability of each token after those before it, (T,); 0 for the first."""
    row = torch.tensor([ids], dtype=torch.int64)
    hidden = model.base_model(input_ids=row, use_cache=False).last_hidden_state[0]
    said = (hidden @ model.get_output_embeddings().weight.T).double().log_softmax(-1)
    own = said[:-1].gather(1, row[0, 1:, None])[:, 0]
    return torch.cat([torch.zeros(1, dtype=torch.float64), own])


def _likelihood(model: PreTrainedModel, beginning: Ids, ending: Ids) -> float:
    return float(_log_probs(model, (*beginning, *ending))[len(beginning) :].sum())


@torch.no_grad()
def _goes_on(model: PreTrainedModel, beginning: Ids, count: int) -> Ids:
    """Return the likeliest next tokens, one after the other."""
    ids = list(beginning)
    for _ in range(count):
        row = torch.tensor([ids], dtype=torch.int64)
        hidden = model.base_model(input_ids=row, use_cache=False).last_hidden_state[0, -1]
        ids.append(int((hidden @ model.get_output_embeddings().weight.T).argmax()))
    return tuple(ids[len(beginning) :])
