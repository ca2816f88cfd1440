"""Healing on public text, and what is measured on held-out text."""

import math

import pytest
import torch
from transformers import PreTrainedModel

from distillation.errors import TrainingError
from distillation.kinds import Train
from distillation.language.held_out import LanguageHeldOut, language_held_out
from distillation.language.part import LanguagePart
from distillation.language.student import cut_causal
from distillation.language.teacher import CausalTeacher
from distillation.language.warm_up import Healing, heal
from distillation.objectives import Objective
from distillation.tokens import Tokens
from tests.distillation.language.causal import (
    FAMILIES,
    LONGEST,
    VOCABULARY,
    causal_model,
    second_half_counts,
    tokens,
)

_TEXT = Tokens(tuple((3, 4, 5, 6, 7, 8)[: 4 + row % 3] for row in range(12)), 0)


def _held_out(student: PreTrainedModel, teacher: CausalTeacher, some: Tokens) -> LanguageHeldOut:
    part = LanguagePart(student, Train.NORMS, max_tokens=LONGEST)
    return language_held_out(part, some, teacher.mark(some, k=VOCABULARY))


def _heal(model: PreTrainedModel, settings: Healing, teacher: CausalTeacher | None = None) -> None:
    objective = settings.objective
    labels = (
        None if teacher is None else teacher.label(_TEXT, k=8, temperature=objective.temperature)
    )
    heal(model, _TEXT, labels, settings, shuffle=torch.Generator().manual_seed(0))


def _embedding(model: PreTrainedModel) -> torch.Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()


@pytest.mark.parametrize("family", FAMILIES)
def test_healing_makes_the_text_likely(family: str) -> None:
    """Perplexity falls; embeddings and the tied head stay as they were."""
    student, teacher = cut_causal(causal_model(family), [0, 3]), CausalTeacher(causal_model())
    embedding = _embedding(student).clone()
    before = _held_out(student, teacher, _TEXT)
    start = before.quality(before.part.vector())
    _heal(student, Healing(epochs=6, batch_size=4, learning_rate=3e-3))
    after = _held_out(student, teacher, _TEXT)
    end = after.quality(after.part.vector())

    assert end.perplexity < 0.8 * start.perplexity
    assert torch.equal(embedding, _embedding(student))
    assert all(p.requires_grad for p in student.parameters())


@pytest.mark.slow
def test_healing_with_the_teacher_moves_towards_it() -> None:
    """The divergence falls."""
    student, teacher = cut_causal(causal_model(), [0, 3]), CausalTeacher(causal_model())
    held_out = _held_out(student, teacher, _TEXT)
    start = held_out.quality(held_out.part.vector())
    objective = Objective(soft=1.0)
    _heal(
        student,
        Healing(epochs=6, batch_size=4, learning_rate=3e-3, objective=objective),
        teacher,
    )
    after = _held_out(student, teacher, _TEXT)

    assert after.quality(after.part.vector()).teacher_kl < 0.9 * start.teacher_kl


def test_a_teacher_is_prepared_in_its_last_layers_alone() -> None:
    """The others do not change, and the public text becomes more likely to it."""
    model = causal_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    _heal(model, Healing(epochs=1, learning_rate=3e-3, layers=1))
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}

    assert changed
    assert all(name.startswith(("model.layers.3.", "model.norm.")) for name in changed)


def test_healing_repeats() -> None:
    """The shuffle is the only randomness."""
    one, other = (cut_causal(causal_model(), [0, 3]) for _ in range(2))
    for student in (one, other):
        _heal(student, Healing(epochs=2, batch_size=5))

    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_no_epochs_leave_the_model_as_it_is() -> None:
    """Nothing is trained."""
    student = cut_causal(causal_model(), [0, 3])
    before = [p.detach().clone() for p in student.parameters()]
    _heal(student, Healing(epochs=0))

    assert all(torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))


def test_the_rate_rises_and_falls() -> None:
    """Never above the learning rate, never zero within the run."""
    rates = [Healing(epochs=1, learning_rate=0.5, rise=0.25).rate(step, 8) for step in range(8)]

    assert rates[1] == max(rates) == 0.5
    assert rates[0] == 0.25
    assert 0 < rates[-1] < 0.1


def test_what_cannot_heal_is_refused() -> None:
    """A soft objective without labels, layers that are not there, rates out of range."""
    student = cut_causal(causal_model(), [0, 3])
    with pytest.raises(TrainingError, match="teacher's labels"):
        _heal(student, Healing(epochs=1, objective=Objective(soft=1.0)))
    with pytest.raises(TrainingError, match="at most 2 layers"):
        _heal(student, Healing(epochs=1, layers=3))
    with pytest.raises(TrainingError, match="rise"):
        Healing(epochs=1, rise=1.0)
    with pytest.raises(TrainingError, match="epochs"):
        Healing(epochs=-1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_figures_are_those_of_whole_logits(family: str) -> None:
    """Perplexity, accuracy, agreement and divergence, computed the long way."""
    student = cut_causal(causal_model(family), [0, 1, 3])
    model = causal_model(family, seed=5)
    some = second_half_counts(tokens(5))
    held_out = _held_out(student, CausalTeacher(model), some)
    quality, teacher_quality = held_out.quality(held_out.part.vector()), held_out.teacher_quality()

    rows = []
    for ids, counts in zip(some.ids, some.counts, strict=True):
        own = torch.tensor(counts[1:])
        pair = [m(input_ids=torch.tensor([ids])).logits[0, :-1][own] for m in (student, model)]
        rows.append((*(p.log_softmax(-1) for p in pair), torch.tensor(ids[1:])[own]))
    ours, theirs, follows = (torch.cat(column) for column in zip(*rows, strict=True))

    assert quality.nll == pytest.approx(_nll(ours, follows), rel=1e-4)
    assert teacher_quality.nll == pytest.approx(_nll(theirs, follows), rel=1e-4)
    assert quality.accuracy == pytest.approx(float((ours.argmax(-1) == follows).float().mean()))
    agreed = (ours.argmax(-1) == theirs.argmax(-1)).float().mean()
    assert quality.agreement == pytest.approx(float(agreed))
    divergence = (theirs.exp() * (theirs - ours)).sum(-1).mean()
    assert quality.teacher_kl == pytest.approx(float(divergence.detach()), rel=1e-3)
    assert (teacher_quality.agreement, teacher_quality.teacher_kl) == (1.0, 0.0)


def _nll(log_probs: torch.Tensor, follows: torch.Tensor) -> float:
    return -float(log_probs.detach().gather(-1, follows[:, None]).mean())


def test_a_student_that_is_the_teacher_is_measured_as_it() -> None:
    """The whole teacher as a student: no divergence, full agreement, its own perplexity."""
    teacher = CausalTeacher(causal_model())
    held_out = _held_out(causal_model(), teacher, tokens(5))
    quality, own = held_out.quality(held_out.part.vector()), held_out.teacher_quality()

    assert quality.agreement == own.agreement == 1
    assert quality.teacher_kl == pytest.approx(0, abs=1e-5)
    assert math.isclose(quality.perplexity, own.perplexity, rel_tol=1e-4)


def test_a_test_set_needs_labels_at_temperature_one() -> None:
    """Another temperature's labels would measure another teacher."""
    teacher, some = CausalTeacher(causal_model()), tokens(2)
    part = LanguagePart(cut_causal(causal_model(), [0]), Train.NORMS, max_tokens=LONGEST)
    with pytest.raises(TrainingError, match="temperature 1"):
        language_held_out(part, some, teacher.mark(some, k=3, temperature=2.0))
