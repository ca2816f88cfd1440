"""A region's records are labelled once, keep their rows, and give a delta of the layout."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.errors import TrainingError
from distillation.kinds import TRAINED, Task, Train
from distillation.labels import LabelCache, LabelSource
from distillation.objectives import UNLABELLED, Objective, Targets
from distillation.recipe import Recipe
from distillation.teacher import Answers, ClassifierTeacher
from distillation.tokens import Tokens
from distillation.workbench import Workbench, references, soft_labels, unit_numbers
from privacy.noise import SecureStream
from tests.distillation import tiny

_SOURCE = LabelSource("t" * 64, "v" * 64)


class _Counting(ClassifierTeacher):
    """A teacher that remembers how many records it was asked about."""

    def __init__(self) -> None:
        super().__init__(tiny.teacher_model())
        self.asked: list[int] = []

    def answer(self, tokens: Tokens, *rest: object) -> Answers:
        self.asked.append(len(tokens))
        return super().answer(tokens)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[LabelCache]:
    path = tmp_path / "labels.db"
    with LabelCache(path, secret=bytes(32), clock=lambda: 0, retention_s=10) as opened:
        yield opened


def _labels(
    teacher: ClassifierTeacher, tokens: Tokens, rows: list[int], cache: LabelCache
) -> torch.Tensor:
    return soft_labels(
        teacher,
        Tokens(tuple(tokens.ids[row] for row in rows), tokens.padding),
        cache=cache,
        source=_SOURCE,
        record_ids=[f"r:{row}" for row in rows],
        texts=[f"text {row}" for row in rows],
    )


def test_only_what_is_not_in_the_cache_is_asked(cache: LabelCache) -> None:
    """Cached and new labels come in the order of the records, the same bits as without a cache."""
    teacher, tokens = _Counting(), tiny.tokens(12)
    whole = teacher.answer(tokens).log_probs
    for rows in ([3, 1, 8], [8, 0, 1, 5, 3], list(range(12)), [11, 2]):
        assert torch.equal(_labels(teacher, tokens, rows, cache), whole[rows])

    assert teacher.asked == [12, 3, 2, 7]


def test_a_labelling_that_was_killed_goes_on(
    cache: LabelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is kept before the next is asked for: only the rest is asked for again."""
    monkeypatch.setattr("distillation.workbench._ASKED", 4)
    teacher, tokens = _Counting(), tiny.tokens(10)
    whole, rows = teacher.answer(tokens).log_probs, list(range(10))
    with monkeypatch.context() as patch:
        answer = teacher.answer

        def dying(some: Tokens) -> Answers:
            if len(teacher.asked) == 3:
                raise KeyboardInterrupt
            return answer(some)

        patch.setattr(teacher, "answer", dying)
        with pytest.raises(KeyboardInterrupt):
            _labels(teacher, tokens, rows, cache)

    assert torch.equal(_labels(teacher, tokens, rows, cache), whole)
    assert teacher.asked == [10, 4, 4, 2]


def test_a_changed_text_is_asked_again(cache: LabelCache) -> None:
    """A label belongs to record and text: an edited record gets its own."""
    teacher, tokens = _Counting(), tiny.tokens(2)
    for text in ("one", "two"):
        soft_labels(
            teacher,
            Tokens(tokens.ids[:1], tokens.padding),
            cache=cache,
            source=_SOURCE,
            record_ids=["r:0"],
            texts=[text],
        )

    assert teacher.asked == [1, 1]


def test_a_label_is_its_number_and_none_is_unlabelled() -> None:
    """Numbers follow the teacher's outcomes; an unknown label is an error, never a class."""
    assert references(["b", None, "a"], ["a", "b"]).tolist() == [1, UNLABELLED, 0]
    with pytest.raises(KeyError):
        references(["z"], ["a", "b"])


def _bench(count: int, train: Train) -> Workbench:
    log_probs = torch.randn(count, 3, generator=torch.Generator().manual_seed(2)).log_softmax(-1)
    targets = Targets.of_classes(log_probs, torch.arange(count) % 3)
    return Workbench(tiny.part(train).inputs(tiny.tokens(count)), targets)


@pytest.mark.parametrize("train", TRAINED[Task.CLASSIFICATION])
def test_some_records_are_those_records(train: Train) -> None:
    """A subset has the rows' inputs and targets, in the order that was asked for."""
    bench, rows = _bench(9, train), torch.tensor([7, 2])
    some = bench.subset(rows)

    assert len(some) == 2
    assert torch.equal(some.inputs.values, bench.inputs.values[rows])
    assert torch.equal(some.inputs.mask, bench.inputs.mask[rows])
    assert torch.equal(some.classes.log_probs, bench.classes.log_probs[rows])
    assert some.targets.reference[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize("train", TRAINED[Task.CLASSIFICATION])
def test_a_records_loss_does_not_depend_on_its_batch(train: Train) -> None:
    """In any company and order, each record's loss is its own."""
    bench, part = _bench(9, train), tiny.part(train)
    recipe = _recipe(train)
    whole = bench.losses(part, part.module, torch.arange(9), recipe)
    for rows in ([4], [8, 4, 0], [4, 4]):
        some = bench.losses(part, part.module, torch.tensor(rows), recipe)
        torch.testing.assert_close(some, whole[rows], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("train", TRAINED[Task.CLASSIFICATION])
def test_a_delta_starts_from_the_given_weights(train: Train) -> None:
    """Whatever the part held before, the delta has the layout's size and is finite."""
    part, bench = tiny.part(train), _bench(9, train)
    start = part.vector()
    part.load(start + 100)
    delta = bench.private_update(
        part, start, _recipe(train), steps=2, terms=_terms(10), stream=SecureStream()
    )

    assert delta.shape == start.shape
    assert delta.dtype.name == "float32"
    assert abs(delta).max() < 50
    torch.testing.assert_close(
        torch.from_numpy(part.vector()), torch.from_numpy(start + delta), atol=1e-5, rtol=1e-5
    )


def test_more_records_than_the_public_size_do_not_train() -> None:
    """The divisor is a public constant: a region that outgrew it is refused before any step."""
    part, bench = tiny.part(Train.HEAD), _bench(9, Train.HEAD)
    with pytest.raises(TrainingError, match="public size 8"):
        bench.private_update(
            part,
            part.vector(),
            _recipe(Train.HEAD),
            steps=1,
            terms=_terms(8),
            stream=SecureStream(),
        )


def _terms(public_size: int) -> StepTerms:
    return StepTerms(
        noise_multiplier=Decimal(1),
        clip_norm=Decimal(1),
        sample_rate=Fraction(1, 2),
        public_size=public_size,
        max_records_per_unit=4,
    )


def _recipe(train: Train) -> Recipe:
    return Recipe(
        task=Task.CLASSIFICATION,
        train=train,
        max_tokens=32,
        objective=Objective(soft=1.0, label=0.5, temperature=2.0),
        optimizer=LocalOptimizer(learning_rate=0.5),
        rank=1 if train is Train.LORA else 0,
    )


@pytest.mark.parametrize("train", TRAINED[Task.CLASSIFICATION])
def test_a_persons_records_are_one_clipped_gradient(train: Train) -> None:
    """Persons with four, two and one record: each moves the weights by its own clipped mean."""
    part, plain = tiny.part(train), _bench(7, train)
    units = unit_numbers(["ann", "bob", "ann", "eve", "bob", "ann", "ann"])
    bench = Workbench(plain.inputs, plain.targets, units=units)
    named = {n: p for n, p in part.module.named_parameters() if p.requires_grad}
    start, tensors = part.vector(), list(named.values())
    expected = torch.zeros(len(start), dtype=torch.float64)
    names = [part.full_name(name) for name in named]
    for unit in range(3):
        rows = (units == unit).nonzero()[:, 0]
        loss = bench.losses(part, part.module, rows, _recipe(train)).mean()
        grads = torch.autograd.grad(loss, tensors)
        flat = part.layout.flatten(dict(zip(names, grads, strict=True)))
        gradient = torch.from_numpy(flat).double()
        expected -= gradient * min(1.0, 0.1 / float(gradient.norm()))
    terms = replace(
        _terms(3),
        sample_rate=Fraction(1),
        clip_norm=Decimal("0.1"),
        noise_multiplier=Decimal("1e-9"),
    )
    recipe = replace(_recipe(train), optimizer=LocalOptimizer(learning_rate=3.0))
    delta = bench.private_update(part, start, recipe, steps=1, terms=terms, stream=SecureStream())

    found = torch.from_numpy(delta).double()
    assert float((found - expected).norm()) <= 1e-4 * float(expected.norm())


def test_units_are_numbered_as_they_appear_and_stay_dense() -> None:
    """A subset has the units of its rows, without a gap; without units each record is one."""
    bench = _bench(4, Train.HEAD)
    units = unit_numbers(["b", "a", "b", "c"])
    grouped = Workbench(bench.inputs, bench.targets, units=units)
    some = grouped.subset(torch.tensor([3, 0, 2]))

    assert units.tolist() == [0, 1, 0, 2]
    assert some.units is not None
    assert some.units.tolist() == [1, 0, 0]
    assert (grouped.unit_count, some.unit_count, bench.unit_count) == (3, 2, 4)
