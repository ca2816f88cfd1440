"""Trainers with one fault each, planted in the real one.

A fault replaces one small piece of the trainer, its optimizer, sampler, objective or teacher; all
else is the real thing. As a program (``make conformance``), this runs the self-test on the right
trainer many times and ends with ``N runs, M false alarms``; the exit code is 1 for more than one
false alarm in a thousand runs.
"""

import argparse
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distillation.classifier_part import HeadPart, TopPart
from distillation.dp import trainer
from distillation.dp.conformance import Conformance, check_trainer
from distillation.dp.conformance_subject import Check
from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.kinds import Task, Train
from distillation.objectives import Objective, Targets
from distillation.recipe import Recipe
from distillation.students import MeanPoolClassifier
from distillation.teacher import Answers, ClassifierTeacher
from distillation.tokens import Tokens
from distillation.trained_part import FrozenInputs, TrainedPart
from privacy.noise import SecureStream, gaussian, poisson_sample
from tests.distillation import tiny

TERMS = StepTerms(
    noise_multiplier=Decimal("1.1"),
    clip_norm=Decimal("0.5"),
    sample_rate=Fraction(1, 50),
    public_size=1000,
)
Plant = Callable[[pytest.MonkeyPatch], None]


def parts(train: Train) -> tuple[TrainedPart, Recipe, StepTerms, ClassifierTeacher]:
    """Return a tiny trained part, a recipe, `TERMS` and a tiny teacher."""
    recipe = Recipe(
        task=Task.CLASSIFICATION,
        train=train,
        max_tokens=32,
        objective=Objective(soft=1.0, label=0.5, temperature=2.0),
        optimizer=LocalOptimizer(learning_rate=0.5, momentum=0.9),
        rank=1 if train is Train.LORA else 0,
    )
    teacher = ClassifierTeacher(tiny.teacher_model())
    return tiny.part(train), recipe, TERMS, teacher


def check(train: Train = Train.HEAD) -> Conformance:
    """Run the self-test on a tiny student and teacher, with whatever is planted."""
    part, recipe, terms, teacher = parts(train)
    return check_trainer(part, recipe, terms, teacher=teacher)


class _Counting(PrivateOptimizer):
    """Knows how many records are in the drawn batch."""

    drawn = 0

    def clip_and_accumulate(self) -> None:
        self.drawn = len(self.grad_samples[0])
        super().clip_and_accumulate()

    def replace_noise(self, change: Callable[[int, Tensor], Tensor]) -> None:
        """Add the right noise, then put ``change(place, noise)`` in its place."""
        sums = [p.summed_grad for p in self.params]
        super().add_noise()
        for place, (p, total) in enumerate(zip(self.params, sums, strict=True)):
            p.grad = total + change(place, p.grad - total)


class NoiseOverRootBatch(_Counting):
    def add_noise(self) -> None:
        self.replace_noise(lambda _, noise: noise / max(1, self.drawn) ** 0.5)


class NoiseByDrawnBatch(_Counting):
    def add_noise(self) -> None:
        self.replace_noise(lambda _, noise: noise * self.drawn / self._terms.batch_constant)


class NoNoiseInEmptyStep(_Counting):
    def add_noise(self) -> None:
        self.replace_noise(lambda _, noise: noise * (self.drawn > 0))


class OneTensorWithoutNoise(_Counting):
    def add_noise(self) -> None:
        self.replace_noise(lambda place, noise: noise * (place == 0))


class OneCoordinateWithoutNoise(_Counting):
    def add_noise(self) -> None:
        def change(place: int, noise: Tensor) -> Tensor:
            changed = noise.clone()
            changed.view(-1)[0] *= place
            return changed

        self.replace_noise(change)


class SameNoiseEveryStep(_Counting):
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]  # handed on as they are
        self.kept: dict[int, Tensor] = {}

    def add_noise(self) -> None:
        self.replace_noise(lambda place, noise: self.kept.setdefault(place, noise))


class NoClipping(PrivateOptimizer):
    def clip_and_accumulate(self) -> None:
        self.max_grad_norm = 1e30
        super().clip_and_accumulate()


class OneTensorNotClipped(PrivateOptimizer):
    def clip_and_accumulate(self) -> None:
        last = self.params[-1]
        raw = last.grad_sample.sum(dim=0)
        super().clip_and_accumulate()
        last.summed_grad = raw


class EachTensorClipped(PrivateOptimizer):
    def clip_and_accumulate(self) -> None:
        for p, grad in zip(self.params, self.grad_samples, strict=True):
            norms = grad.flatten(1).norm(dim=1)
            p.summed_grad = torch.einsum("i,i...", _factors(norms, self.max_grad_norm), grad)


class BatchClipped(PrivateOptimizer):
    def clip_and_accumulate(self) -> None:
        sums = [grad.sum(dim=0) for grad in self.grad_samples]
        _clip_together(self, sums)


class MeanClipped(PrivateOptimizer):
    """The loop of many a script: mean of the batch, `clip_grad_norm_`, times the batch."""

    def clip_and_accumulate(self) -> None:
        count = len(self.grad_samples[0])
        _clip_together(self, [grad.sum(dim=0) / max(1, count) for grad in self.grad_samples])
        for p in self.params:
            p.summed_grad = p.summed_grad * count


class ClippedToTwice(PrivateOptimizer):
    """A record whose clip norm is not the one that the noise is scaled to."""

    def clip_and_accumulate(self) -> None:
        self.max_grad_norm = 2 * float(self._terms.clip_norm)
        super().clip_and_accumulate()


class EachRecordOfAPersonClipped(PrivateOptimizer):
    def group(self, units: object) -> None:
        super().group(None)


class NaNGoesThrough(PrivateOptimizer):
    def clip_and_accumulate(self) -> None:
        grads = self.grad_samples
        norms = torch.stack([grad.flatten(1).norm(dim=1) for grad in grads]).norm(dim=0)
        for p, grad in zip(self.params, grads, strict=True):
            p.summed_grad = torch.einsum("i,i...", _factors(norms, self.max_grad_norm), grad)


class MeanOverDrawnBatch(_Counting):
    def scale_grad(self) -> None:
        for p in self.params:
            p.grad /= max(1, self.drawn)


def _factors(norms: Tensor, clip_norm: float) -> Tensor:
    return (clip_norm / (norms + 1e-6)).clamp(max=1.0)


def _clip_together(optimizer: PrivateOptimizer, sums: list[Tensor]) -> None:
    norm = torch.stack([total.norm() for total in sums]).norm()
    for p, total in zip(optimizer.params, sums, strict=True):
        p.summed_grad = total * _factors(norm, optimizer.max_grad_norm)


def _optimizer(kind: type[PrivateOptimizer]) -> Plant:
    return lambda patch: patch.setattr("distillation.dp.trainer.PrivateOptimizer", kind)


Noise = Callable[[SecureStream, int, float], NDArray[np.float64]]


def _noise(noise: Noise) -> Plant:
    return lambda patch: patch.setattr("distillation.dp.optimizer.gaussian", noise)


def _times(factor: float) -> Plant:
    return _noise(lambda stream, count, scale: factor * gaussian(stream, count, scale))


def _laplace(stream: SecureStream, count: int, scale: float) -> NDArray[np.float64]:
    coins = stream.words(count).astype(np.float64) / 2**64 - 0.5
    noise: NDArray[np.float64] = (
        -np.sign(coins) * scale / np.sqrt(2) * np.log1p(-2 * np.abs(coins) * (1 - 1e-12))
    )
    return noise


def _seeded_once(patch: pytest.MonkeyPatch) -> None:
    class Seeded(PrivateOptimizer):
        def add_noise(self) -> None:
            self._generator = vars(self).get("_generator") or np.random.default_rng(0)
            for p in self.params:
                scale = float(self._terms.noise_multiplier * self._terms.clip_norm)
                noise = self._generator.normal(0, scale, p.numel())
                p.grad = p.summed_grad + torch.from_numpy(noise).float().view_as(p)
                p.summed_grad = None

    patch.setattr("distillation.dp.trainer.PrivateOptimizer", Seeded)


def _seeded_each_tensor(stream: SecureStream, count: int, scale: float) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(0, scale, count)


def _one_number(stream: SecureStream, count: int, scale: float) -> NDArray[np.float64]:
    return np.full(count, gaussian(stream, 1, scale)[0])


def _twins(stream: SecureStream, count: int, scale: float) -> NDArray[np.float64]:
    return np.repeat(gaussian(stream, (count + 1) // 2, scale), 2)[:count]


Sampler = Callable[[SecureStream, int, Fraction], NDArray[np.int64]]


def _sampler(make: Callable[[], Sampler]) -> Plant:
    return lambda patch: patch.setattr("distillation.dp.trainer.poisson_sample", make())


def _as_it_is(sampler: Sampler) -> Plant:
    return _sampler(lambda: sampler)


def _epochs(*, shuffled: bool) -> Sampler:
    """Return a sampler that goes through all records in batches of one size."""
    left: list[int] = []

    def draw(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
        size = round(population * rate)
        if len(left) < size:
            order = np.argsort(stream.words(population)) if shuffled else np.arange(population)
            left[:] = order.tolist()
        taken, left[:] = left[:size], left[size:]
        return np.array(taken, dtype=np.int64)

    return draw


def _fixed_size(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    order = np.argsort(stream.words(population))
    return np.sort(order[: round(population * rate)]).astype(np.int64)


def _replacement(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    size = len(poisson_sample(stream, population, rate))
    return (stream.words(size) % np.uint64(max(1, population))).astype(np.int64)


def _truncated(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    return poisson_sample(stream, population, rate)[: round(population * rate)]


def _more_often(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    return poisson_sample(stream, population, min(Fraction(1), rate * Fraction(13, 10)))


def _in_pairs(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    if rate == 1:
        return np.arange(population, dtype=np.int64)
    half = poisson_sample(stream, population // 2, rate)
    return np.sort(np.concatenate([2 * half, 2 * half + 1]))


def _hard_ones_twice(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    """Draw one kind of record with twice the chance, at the expense of another."""
    if rate == 1:
        return np.arange(population, dtype=np.int64)
    drawn = poisson_sample(stream, population, rate)
    more = poisson_sample(stream, population, rate)
    return np.union1d(drawn[drawn % 20 != 7], more[more % 20 == 3])


def _sticky() -> Sampler:
    """Return a sampler that draws a new batch every other step only."""
    kept: list[NDArray[np.int64]] = []

    def draw(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
        if rate < 1 and kept:
            return kept.pop()
        batch = poisson_sample(stream, population, rate)
        if rate < 1:
            kept.append(batch)
        return batch

    return draw


def _records_for_persons(patch: pytest.MonkeyPatch) -> None:
    """Each record is sampled and clipped alone, whoever it belongs to."""
    train = trainer.train_privately

    def without_units(*args: object, **options: object) -> dict[str, Tensor]:
        return train(*args, **{**options, "units": None})  # type: ignore[arg-type]  # as they are

    patch.setattr("distillation.workbench.train_privately", without_units)


def _batch_norm(patch: pytest.MonkeyPatch) -> None:
    def logits(part: HeadPart, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        out: Tensor = module(inputs.values - inputs.values.mean(dim=0, keepdim=True))
        return out

    patch.setattr(HeadPart, "logits", logits)


def _token_mean(patch: pytest.MonkeyPatch) -> None:
    right = Objective.per_record

    def per_record(
        objective: Objective, logits: Tensor, targets: Targets, *, features: tuple[Tensor, ...] = ()
    ) -> Tensor:
        return right(objective, logits, targets, features=features) / targets.mask.sum()

    patch.setattr(Objective, "per_record", per_record)


def _longest_sets_shape(patch: pytest.MonkeyPatch) -> None:
    """Records are padded to the longest there is."""
    right = TopPart.inputs

    def inputs(part: TopPart, tokens: Tokens) -> FrozenInputs:
        longest, found = max(map(len, tokens.ids)), right(part, tokens)
        return FrozenInputs(found.values[:, :longest], found.mask[:, :longest])

    patch.setattr(TopPart, "inputs", inputs)


def _long_scales_others(patch: pytest.MonkeyPatch) -> None:
    """Inputs are scaled by the longest record there is."""
    right = HeadPart.inputs

    def inputs(part: HeadPart, tokens: Tokens) -> FrozenInputs:
        found = right(part, tokens)
        return FrozenInputs(found.values / max(map(len, tokens.ids)), found.mask)

    patch.setattr(HeadPart, "inputs", inputs)


class _Memory(nn.Module):
    """A running mean of what went by."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.detach().mean()
        return x


def _buffer(patch: pytest.MonkeyPatch) -> None:
    """The head remembers its inputs in a buffer, and the trainer lets it."""
    make = HeadPart.__init__

    def remembering(part: HeadPart, student: MeanPoolClassifier) -> None:
        make(part, student)
        part.module = nn.Sequential(OrderedDict(head=part.module, memory=_Memory()))

    patch.setattr(HeadPart, "__init__", remembering)
    patch.setattr(HeadPart, "full_name", lambda part, name: name if "." in name else f"head.{name}")
    patch.setattr("distillation.dp.trainer._refuse_uncovered", lambda module: None)


def _buffer_refused(patch: pytest.MonkeyPatch) -> None:
    """The same, and the trainer refuses it, as it should."""
    refuse = trainer._refuse_uncovered
    _buffer(patch)
    patch.setattr("distillation.dp.trainer._refuse_uncovered", refuse)


def _one_tensor_kept_back(patch: pytest.MonkeyPatch) -> None:
    """The bias is trained and noised, but the payload says that it stood still."""

    def train(module: nn.Module, *args: object, **options: object) -> dict[str, Tensor]:
        change = trainer.train_privately(module, *args, **options)  # type: ignore[arg-type]
        change["bias"] = torch.zeros_like(change["bias"])
        return change

    patch.setattr("distillation.workbench.train_privately", train)


def _calibrated_teacher(patch: pytest.MonkeyPatch) -> None:
    right = ClassifierTeacher.answer

    def answer(teacher: ClassifierTeacher, tokens: Tokens) -> Answers:
        found = right(teacher, tokens)
        centred = found.log_probs - found.log_probs.mean(dim=0, keepdim=True)
        return Answers(centred.log_softmax(-1), found.features)

    patch.setattr(ClassifierTeacher, "answer", answer)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, how it gets into the trainer, and which check must notice.

    Attributes:
        name: What is wrong.
        caught_by: The check.
        plant: Puts it there until the end of the test.
        train: Which trained part it is in.
    """

    name: str
    caught_by: Check
    plant: Plant
    train: Train = Train.HEAD


SIXTEEN = (
    Fault("no noise", Check.NOISE_SCALE, _times(0.0)),
    Fault("noise at half σ", Check.NOISE_SCALE, _times(0.5)),
    Fault("noise at 0.9 σ", Check.NOISE_SCALE, _times(0.9)),
    Fault("noise over the root of the batch", Check.NOISE_SCALE, _optimizer(NoiseOverRootBatch)),
    Fault("the same noise every step", Check.FRESH_STEPS, _optimizer(SameNoiseEveryStep)),
    Fault("one tensor without noise", Check.NOISE_EVERYWHERE, _optimizer(OneTensorWithoutNoise)),
    Fault("no clipping", Check.SENSITIVITY, _optimizer(NoClipping)),
    Fault("the batch's sum is clipped", Check.SENSITIVITY, _optimizer(BatchClipped)),
    Fault("each tensor is clipped to C", Check.SENSITIVITY, _optimizer(EachTensorClipped)),
    Fault("inputs are centred on the batch", Check.SENSITIVITY, _batch_norm),
    Fault("mean over the drawn batch", Check.DIVISOR, _optimizer(MeanOverDrawnBatch)),
    Fault("shuffled epochs", Check.SAMPLE_RECORDS, _sampler(lambda: _epochs(shuffled=True))),
    Fault("a fixed batch size", Check.SAMPLE_SIZES, _as_it_is(_fixed_size)),
    Fault("a fixed order", Check.SAMPLE_RECORDS, _sampler(lambda: _epochs(shuffled=False))),
    Fault("batches cut off at the mean", Check.SAMPLE_SIZES, _as_it_is(_truncated)),
    Fault("a sample rate of 1.3 q", Check.SAMPLE_RATE, _as_it_is(_more_often)),
)
"""The sixteen that the design measured."""

THREE = (
    Fault("a mean over the batch's tokens", Check.COMPANY, _token_mean),
    Fault("a NaN goes through", Check.NON_FINITE, _optimizer(NaNGoesThrough)),
    Fault("a buffer beside the noised tensors", Check.PAYLOAD, _buffer),
)
"""The three that it adds."""

MORE = (
    Fault("the batch's mean is clipped", Check.SENSITIVITY, _optimizer(MeanClipped)),
    Fault("one tensor is not clipped", Check.SENSITIVITY, _optimizer(OneTensorNotClipped)),
    Fault("clipped to 2 C", Check.SENSITIVITY, _optimizer(ClippedToTwice)),
    Fault(
        "each record of a person is clipped",
        Check.SENSITIVITY,
        _optimizer(EachRecordOfAPersonClipped),
    ),
    Fault("a person's records are drawn alone", Check.SAMPLE_RECORDS, _records_for_persons),
    Fault("noise by the drawn batch", Check.NOISE_SCALE, _optimizer(NoiseByDrawnBatch)),
    Fault("an empty step without noise", Check.EMPTY_STEP, _optimizer(NoNoiseInEmptyStep)),
    Fault(
        "one coordinate without noise",
        Check.NOISE_EVERYWHERE,
        _optimizer(OneCoordinateWithoutNoise),
    ),
    Fault("a fixed seed", Check.FRESH_DRAWS, _seeded_once),
    Fault("a seed for every tensor", Check.FRESH_COORDINATES, _noise(_seeded_each_tensor)),
    Fault("one number for a whole tensor", Check.FRESH_COORDINATES, _noise(_one_number)),
    Fault("neighbours share their noise", Check.FRESH_COORDINATES, _noise(_twins)),
    Fault("Laplace noise", Check.NOISE_SHAPE, _noise(_laplace)),
    Fault("sampling with replacement", Check.SAMPLE_RECORDS, _as_it_is(_replacement)),
    Fault("one kind of record drawn more", Check.SAMPLE_RECORDS, _as_it_is(_hard_ones_twice)),
    Fault("neighbours drawn together", Check.SAMPLE_INDEPENDENCE, _as_it_is(_in_pairs)),
    Fault("every batch twice", Check.SAMPLE_INDEPENDENCE, _sampler(_sticky)),
    Fault("the longest record sets the shape", Check.LENGTH, _longest_sets_shape, Train.LAST),
    Fault("the longest record scales all inputs", Check.LENGTH, _long_scales_others),
    Fault("a buffer that the trainer refuses", Check.PAYLOAD, _buffer_refused),
    Fault("a tensor missing from the payload", Check.PAYLOAD, _one_tensor_kept_back),
    Fault("a teacher centred on its batch", Check.TEACHER, _calibrated_teacher),
)
"""What else goes wrong in practice."""

CANNOT_EXIST = {
    "batch normalisation in the frozen encoder": (
        "it runs in evaluation mode and once a record; a forward that mixes rows is given one "
        "row at a time (`test_a_forward_that_mixes_rows_falls_back_to_one_row`)"
    ),
    "batch normalisation in the trained part": "the trainer refuses the module by name",
    "padding that counts as tokens": (
        "every record has the same public number of positions, so it says nothing of another one; "
        "that it does not count is tested (`test_the_trained_part_alone_is_the_student`)"
    ),
    "dynamic loss scaling": "all training is in float32, and there is no scaler to switch on",
    "sequence packing": "a record has a row of its own; nothing joins two",
}
"""Faults of the design that have no place in this trainer, and why."""


def _alarms(_: int) -> list[str]:
    """Return what a right trainer was accused of in one run."""
    torch.set_num_threads(1)
    return [f"{finding.check}: {finding.came}" for finding in check().failed]


def main() -> int:
    """Count false alarms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    alarms = 0
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for found in pool.map(_alarms, range(options.runs)):
            alarms += bool(found)
            for line in found:
                print(line, flush=True)
    print(f"{options.runs} runs, {alarms} false alarms")
    return int(alarms > max(1, options.runs // 1000))


if __name__ == "__main__":
    sys.exit(main())
