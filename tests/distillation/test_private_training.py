"""The private trainer does what the accountant assumes: clip, sum, noise, constant divisor."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distillation.dp.clipping import Clipping, wrap
from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from distillation.dp.trainer import LocalOptimizer, train_privately
from distillation.errors import TrainingError
from distillation.kinds import Task, Train
from distillation.objectives import Objective, Targets
from distillation.recipe import Recipe
from distillation.trained_part import TrainedPart
from distillation.workbench import Workbench
from privacy.noise import SecureStream, noise_scale
from tests.distillation import tiny


def _terms(**changes: object) -> StepTerms:
    base = {
        "noise_multiplier": Decimal("2"),
        "clip_norm": Decimal("1"),
        "sample_rate": Fraction(1, 2),
        "public_size": 40,
    }
    return StepTerms(**(base | changes))  # type: ignore[arg-type]  # built from a table


def _recipe(train: Train, **weights: float) -> Recipe:
    return Recipe(
        task=Task.CLASSIFICATION,
        train=train,
        max_tokens=32,
        objective=Objective(
            soft=weights.get("soft", 1.0),
            hard=weights.get("hard", 0.0),
            label=weights.get("label", 0.0),
            temperature=2.0,
        ),
        optimizer=LocalOptimizer(learning_rate=0.5),
    )


def _bench(part: TrainedPart, count: int) -> Workbench:
    records = tiny.tokens(count)
    generator = torch.Generator().manual_seed(7)
    log_probs = torch.randn(count, 3, generator=generator).log_softmax(-1)
    reference = torch.randint(0, 3, (count,), generator=generator)
    return Workbench(part.inputs(records), Targets.of_classes(log_probs, reference))


@pytest.mark.parametrize("clipping", Clipping)
@pytest.mark.parametrize("train", [Train.HEAD, Train.LAST])
@pytest.mark.parametrize("weights", [{"soft": 1.0}, {"soft": 0.0, "hard": 1.0}, {"label": 0.3}])
def test_per_record_gradients_equal_brute_force(
    train: Train, weights: dict[str, float], clipping: Clipping
) -> None:
    """For every trained part, objective and way: what one record at a time gives."""
    part = tiny.part(train)
    bench, recipe = _bench(part, 9), _recipe(train, **weights)
    expected = []
    for row in range(9):
        part.module.zero_grad()
        bench.losses(part, part.module, torch.tensor([row]), recipe).sum().backward()
        expected.append([p.grad.clone() for p in part.module.parameters() if p.grad is not None])
    part.module.zero_grad()
    wrapped = wrap(part.module, clipping)
    bench.losses(part, wrapped, torch.arange(9), recipe).sum().backward()

    for index, found in enumerate(_optimizer(part.module).grad_samples):
        brute = torch.stack([row[index] for row in expected])
        torch.testing.assert_close(found, brute, rtol=1e-4, atol=1e-6)


def _optimizer(module: nn.Module, clip_norm: str = "1") -> PrivateOptimizer:
    sgd = torch.optim.SGD(module.parameters(), lr=1.0)
    return PrivateOptimizer(sgd, terms=_terms(clip_norm=Decimal(clip_norm)), stream=SecureStream())


class _Vector(nn.Module):
    """One trained vector; a record's loss is its inner product with the record's own gradient."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(size, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out.squeeze(-1)


def _sum_before_noise(gradients: Tensor, clipping: Clipping) -> Tensor:
    module = _Vector(gradients.shape[1])
    wrapped = wrap(module, clipping)
    optimizer = _optimizer(module)
    if len(gradients):
        wrapped(gradients.requires_grad_()).sum().backward()
    else:
        optimizer.count_no_record()
    optimizer.clip_and_accumulate()
    total: Tensor = vars(module.layer.weight)["summed_grad"]
    return total.detach().clone()


@pytest.mark.parametrize("clipping", Clipping)
@pytest.mark.parametrize("base", [0, 1, 20])
@pytest.mark.parametrize("record", [0.0, 1e-9, 1.0, 1e20, math.nan, math.inf])
def test_one_record_changes_the_clipped_sum_by_at_most_c(
    base: int, record: float, clipping: Clipping
) -> None:
    """Whatever one record holds, huge or NaN, the sum before noise moves by at most C(1+1e-3)."""
    others = torch.randn(base, 8, generator=torch.Generator().manual_seed(1)) * 3
    one = torch.full((1, 8), record)
    with_it = _sum_before_noise(torch.cat([others, one]), clipping)
    moved = with_it - _sum_before_noise(others, clipping)

    assert float(moved.norm()) <= 1 + 1e-3


def test_the_step_is_noise_over_a_public_constant() -> None:
    """An empty region takes the same steps: pure noise of the plan's scale over q times N."""
    module, terms = _Vector(4096), _terms()
    change = train_privately(
        module,
        lambda net, rows: net(torch.zeros(len(rows), 4096, requires_grad=True)),
        records=0,
        steps=3,
        terms=terms,
        optimizer=LocalOptimizer(learning_rate=1.0),
        stream=SecureStream(),
    )["layer.weight"]
    expected = math.sqrt(3) * noise_scale(Decimal(1), Decimal(2)) / 20

    assert float(change.std()) == pytest.approx(expected, rel=0.06)
    assert abs(float(change.mean())) < 5 * expected / 64


def test_noise_differs_between_steps_and_runs() -> None:
    """Two runs from the same weights share no coordinate of noise."""

    def run() -> Tensor:
        return train_privately(
            _Vector(64),
            lambda net, rows: net(torch.zeros(len(rows), 64, requires_grad=True)),
            records=5,
            steps=1,
            terms=_terms(),
            optimizer=LocalOptimizer(learning_rate=1.0),
            stream=SecureStream(),
        )["layer.weight"]

    assert not torch.isclose(run(), run(), atol=1e-9).any()


def test_micro_batches_add_up_to_the_logical_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With noise next to nothing, splitting a batch into pieces changes no delta."""
    part = tiny.part(Train.HEAD)
    bench = _bench(part, 30)
    terms = _terms(noise_multiplier=Decimal("0.000001"), sample_rate=Fraction(1), public_size=30)
    recipe, start = _recipe(Train.HEAD), part.vector()

    def delta(pieces: int) -> np.ndarray:
        monkeypatch.setattr("distillation.dp.trainer._MICRO_BATCH", pieces)
        return bench.private_update(
            part, start, recipe, steps=2, terms=terms, stream=SecureStream()
        )

    np.testing.assert_allclose(delta(512), delta(7), atol=1e-5)


def test_the_delta_moves_every_trained_tensor() -> None:
    """After one step every tensor of the layout has moved."""
    part = tiny.part(Train.LAST)
    bench, start = _bench(part, 20), part.vector()
    delta = bench.private_update(
        part, start, _recipe(Train.LAST), steps=1, terms=_terms(), stream=SecureStream()
    )

    assert all(tensor.any() for tensor in part.layout.unflatten(delta).values())


def test_what_would_leave_without_noise_is_refused() -> None:
    """A frozen parameter, a buffer, batch normalisation and too many records are refused."""
    frozen = _Vector(2)
    frozen.layer.weight.requires_grad_(False)
    for module in (frozen, nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)), nn.Sequential()):
        with pytest.raises(TrainingError):
            _train(module, records=1)
    with pytest.raises(TrainingError, match="public size"):
        _train(_Vector(2), records=41)


def _train(module: nn.Module, *, records: int) -> None:
    train_privately(
        module,
        lambda net, rows: net(torch.zeros(len(rows), 2, requires_grad=True)),
        records=records,
        steps=1,
        terms=_terms(),
        optimizer=LocalOptimizer(learning_rate=1.0),
        stream=SecureStream(),
    )
