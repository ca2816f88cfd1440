"""The trained part of a language student: what it is cut from, trains, clips and writes back."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from distillation.dp.clipping import Clipping, choose, wrap
from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from distillation.dp.trainer import LocalOptimizer, train_privately
from distillation.errors import TrainingError
from distillation.kinds import Train
from distillation.language.part import LanguagePart
from distillation.language.student import cut_causal
from distillation.language.targets import token_targets
from distillation.language.teacher import CausalTeacher
from distillation.objectives import Objective, Targets
from distillation.top_k import TokenTargets, per_record
from privacy.noise import SecureStream
from tests.distillation.language.causal import (
    LONGEST,
    causal_model,
    second_half_counts,
    tokens,
)

_BLEND = Objective(soft=0.7, label=0.3, temperature=2.0)
_TRAINED = (Train.LORA, Train.LAST, Train.NORMS)
_ALL = [
    *(("llama", train) for train in _TRAINED),
    *(pytest.param("gpt2", train, marks=pytest.mark.slow) for train in _TRAINED),
    *(pytest.param("mistral", train, marks=pytest.mark.slow) for train in _TRAINED),
]
_SOME = tokens(6)


def _part(family: str = "llama", train: Train = Train.LORA, *, layers: int = 2) -> LanguagePart:
    student = cut_causal(causal_model(family), [0, 2, 3])
    return LanguagePart(student, train, max_tokens=LONGEST + 1, layers=layers, rank=2)


def _targets(objective: Objective = _BLEND) -> TokenTargets:
    teacher = CausalTeacher(causal_model(seed=1))
    labels = teacher.label(_SOME, k=5, temperature=objective.temperature)
    return token_targets(second_half_counts(_SOME), labels, length=LONGEST + 1)


def _moved(part: LanguagePart, size: float = 0.2) -> None:
    """Move the trained tensors away from the start, where half of the adapters are zero."""
    chance = np.random.default_rng(1)
    change = chance.normal(size=part.layout.size, scale=size).astype(np.float32)
    part.load(part.vector() + change)


@pytest.mark.parametrize(("family", "train"), _ALL)
def test_a_fresh_part_says_what_the_student_says(family: str, train: Train) -> None:
    """Frozen inputs and the part, one after the other, are the student."""
    part = _part(family, train)
    logits = part.logits(part.module, part.inputs(_SOME))

    for row, ids in enumerate(_SOME.ids):
        plain = part.student(input_ids=torch.tensor([ids])).logits[0]
        torch.testing.assert_close(logits[row, : len(ids)], plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "train"), _ALL)
def test_what_was_trained_is_written_back(family: str, train: Train) -> None:
    """After `write_back` the plain student says what the part says; twice is as once."""
    part = _part(family, train)
    inputs = part.inputs(_SOME)
    before = part.logits(part.module, inputs)
    _moved(part)
    logits = part.logits(part.module, inputs)
    part.write_back()
    part.write_back()

    assert not torch.allclose(before, logits, atol=1e-3)
    for row, ids in enumerate(_SOME.ids):
        plain = part.student(input_ids=torch.tensor([ids])).logits[0]
        torch.testing.assert_close(logits[row, : len(ids)], plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("family", "train"), _ALL)
def test_two_parts_of_equal_students_are_equal(family: str, train: Train) -> None:
    """Everyone makes the same start, adapters included; the head is never in it."""
    one, other = _part(family, train), _part(family, train)

    assert one.layout.hash == other.layout.hash
    assert np.array_equal(one.vector(), other.vector())
    assert not any("embed" in name or "wte" in name for name, _ in one.layout.tensors)


@pytest.mark.parametrize(("family", "train"), _ALL)
def test_vectors_go_in_as_they_come_out(family: str, train: Train) -> None:
    """`load` and `vector` are inverse."""
    part = _part(family, train)
    values = np.arange(part.layout.size, dtype=np.float32)
    part.load(values)

    assert np.array_equal(part.vector(), values)


@pytest.mark.parametrize(("family", "train"), _ALL)
def test_the_fused_loss_is_the_plain_one(family: str, train: Train) -> None:
    """Value and gradient."""
    part, targets = _part(family, train), _targets()
    _moved(part)
    inputs = part.inputs(_SOME)
    fused = part.losses(part.module, inputs, targets, _BLEND)
    plain = per_record(part.logits(part.module, inputs), targets, _BLEND)
    trained = [p for p in part.module.parameters() if p.requires_grad]

    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)
    ours = torch.autograd.grad(fused.sum(), trained)
    theirs = torch.autograd.grad(plain.sum(), trained)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_inputs_are_padded_to_the_public_length_and_the_records_own() -> None:
    """Bit-identical in any company; a longer record is refused."""
    part = _part()
    together = part.inputs(_SOME)

    assert together.values.shape[1] == LONGEST + 1
    for row in (0, 3):
        alone = part.inputs(_SOME.rows([row]))
        assert torch.equal(alone.values[0], together.values[row])
        assert torch.equal(alone.mask[0], together.mask[row])
    with pytest.raises(TrainingError, match="at most 13 tokens"):
        part.inputs(tokens(20, longest=30))


def _terms(clip_norm: str) -> StepTerms:
    return StepTerms(
        noise_multiplier=Decimal("1e-9"),
        clip_norm=Decimal(clip_norm),
        sample_rate=Fraction(1),
        public_size=len(_SOME),
    )


def _brute(part: LanguagePart, targets: TokenTargets, clip_norm: float) -> Tensor:
    """Return the sum of the clipped gradients, one record at a time, without any hook."""
    trained = [p for p in part.module.parameters() if p.requires_grad]
    inputs, total = part.inputs(_SOME), torch.zeros(part.layout.size, dtype=torch.float64)
    for row in torch.arange(len(_SOME)).split(1):
        loss = part.losses(part.module, inputs[row], targets[row], _BLEND)[0]
        flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, trained)]).double()
        total += flat * min(1.0, clip_norm / float(flat.norm()))
    return total


@pytest.mark.parametrize(("family", "train"), _ALL)
def test_clipped_sums_are_those_of_one_record_at_a_time(family: str, train: Train) -> None:
    """By book-keeping, which every part is made for."""
    part, targets = _part(family, train), _targets()
    _moved(part)
    inputs = part.inputs(_SOME)
    expected = _brute(part, targets, 0.05)

    assert choose(part.module).clipping is Clipping.BOOK_KEEPING
    wrapped = wrap(part.module, Clipping.BOOK_KEEPING)
    part.losses(wrapped, inputs, targets, _BLEND).sum().backward()
    params = [p for p in part.module.parameters() if p.requires_grad]
    private = PrivateOptimizer(
        torch.optim.SGD(params, lr=1.0), terms=_terms("0.05"), stream=SecureStream()
    )
    private.clip_and_accumulate()
    found = torch.cat([vars(p)["summed_grad"].flatten() for p in params]).double()

    assert (found - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "rate"), [(Train.LORA, 3.0), (Train.LAST, 0.3), (Train.NORMS, 0.3)]
)
def test_private_training_lowers_the_loss(train: Train, rate: float) -> None:
    """With next to no noise, a few steps fit the records."""
    part, targets = _part(train=train), _targets()
    inputs = part.inputs(_SOME)

    def loss(module: torch.nn.Module, rows: Tensor) -> Tensor:
        some = inputs[rows]
        some.values.requires_grad_()
        return part.losses(module, some, targets[rows], _BLEND)

    before = float(loss(part.module, torch.arange(6)).detach().mean())
    change = train_privately(
        part.module,
        loss,
        records=len(_SOME),
        steps=8,
        terms=_terms("1"),
        optimizer=LocalOptimizer(learning_rate=rate),
        stream=SecureStream(),
    )

    assert {part.full_name(name) for name in change} == {n for n, _ in part.layout.tensors}
    after = float(loss(part.module, torch.arange(6)).detach().mean())
    assert after < 0.97 * before


@pytest.mark.parametrize(
    ("train", "changes", "message"),
    [
        (Train.HEAD, {}, "lora, last, norms"),
        (Train.LAST, {"layers": 4}, "1 to 3"),
        (Train.LAST, {"layers": 0}, "1 to 3"),
        (Train.LORA, {"rank": 0}, "rank >= 1"),
    ],
)
def test_parts_that_are_not_there_are_refused(
    train: Train, changes: dict[str, int], message: str
) -> None:
    """By name."""
    student = cut_causal(causal_model(), [0, 2, 3])
    with pytest.raises(TrainingError, match=message):
        LanguagePart(student, train, max_tokens=8, **changes)


def test_targets_over_classes_are_refused() -> None:
    """They are another task's."""
    part = _part()
    targets = Targets.of_classes(torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64))
    with pytest.raises(TrainingError, match="top-k labels"):
        part.losses(part.module, part.inputs(_SOME), targets, _BLEND)
