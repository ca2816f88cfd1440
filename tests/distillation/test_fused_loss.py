"""The fused loss is the plain loss: values, and gradients for any weights of the records."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distillation.errors import TrainingError
from distillation.fused_loss import fused_per_record
from distillation.objectives import UNLABELLED, Objective, Weighted
from distillation.objectives.brier import Brier
from distillation.top_k import TokenTargets, TopK, per_record

_V, _H = 37, 8
_Loss = Callable[[Tensor, Tensor], Tensor]


def _case(
    lengths: list[int], *, k: int, temperature: float, seed: int
) -> tuple[Tensor, Tensor, TokenTargets, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(1, *lengths))
    log_probs = (3 * torch.randn(*shape, _V, generator=generator)).log_softmax(-1)
    reference = torch.randint(UNLABELLED, _V, shape, generator=generator)
    mask = torch.arange(shape[1]) < torch.tensor(lengths).unsqueeze(1)
    labels = TopK.of(log_probs, k=k, temperature=temperature)
    hidden = torch.randn(*shape, _H, generator=generator)
    head = torch.randn(_V, _H, generator=generator)
    weights = torch.randn(len(lengths), generator=generator)
    return hidden, head, TokenTargets(labels, reference, mask), weights


def _with_gradients(
    loss: _Loss, hidden: Tensor, head: Tensor, weights: Tensor, *, trained: bool
) -> list[Tensor]:
    hidden, head = hidden.clone().requires_grad_(), head.clone().requires_grad_(trained)
    losses = loss(hidden, head)
    wanted = (hidden, head) if trained else (hidden,)
    return [losses.detach(), *torch.autograd.grad(losses, wanted, weights)]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    weights=st.tuples(*[st.sampled_from([0.0, 0.4, 1.0])] * 3).filter(any),
    k=st.sampled_from([1, 2, 5, 20, _V - 1, _V, _V + 3]),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 5.0]),
    chunk=st.sampled_from([1, 2, 3, 7, 100]),
    trained=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_fused_equals_plain(
    lengths: list[int],
    weights: tuple[float, float, float],
    k: int,
    temperature: float,
    chunk: int,
    trained: bool,
    seed: int,
) -> None:
    """Over k, temperature, chunks and ragged lengths, for any upstream gradient of the records."""
    soft, hard, label = weights
    objective = Objective(soft=soft, hard=hard, label=label, temperature=temperature)
    hidden, head, targets, upstream = _case(lengths, k=k, temperature=temperature, seed=seed)
    fused = _with_gradients(
        lambda h, w: fused_per_record(h, w, targets, objective, chunk=chunk),
        hidden, head, upstream, trained=trained,
    )  # fmt: skip
    plain = _with_gradients(
        lambda h, w: per_record(h @ w.T, targets, objective),
        hidden, head, upstream, trained=trained,
    )  # fmt: skip
    for found, expected in zip(fused, plain, strict=True):
        scale = max(1.0, float(expected.abs().max()))
        assert float((found - expected).abs().max()) <= 1e-5 * scale


def test_the_gradient_of_one_record_stays_in_its_rows() -> None:
    """With an upstream gradient on one record alone, no other record's states get any."""
    hidden, head, targets, _ = _case([3, 5, 2], k=4, temperature=2, seed=1)
    hidden.requires_grad_()
    losses = fused_per_record(hidden, head, targets, Objective(soft=1, temperature=2), chunk=2)
    (gradient,) = torch.autograd.grad(losses[1], hidden)

    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2]].abs().sum() == 0


def test_gradients_can_be_asked_for_twice() -> None:
    """Norms first, weights after: two backward passes over one forward pass."""
    hidden, head, targets, _ = _case([3, 5, 2], k=4, temperature=1, seed=2)
    for trained in (False, True):
        leaves = (hidden.clone().requires_grad_(), head.clone().requires_grad_(trained))
        losses = fused_per_record(*leaves, targets, Objective(soft=1))
        first = torch.autograd.grad(losses.sum(), leaves[0], retain_graph=True)[0]
        again = torch.autograd.grad((3 * losses).sum(), leaves[0])[0]

        torch.testing.assert_close(again, 3 * first)


def test_a_loss_without_gradients_needs_none() -> None:
    """In evaluation there is nothing to differentiate, and the losses are the same."""
    hidden, head, targets, _ = _case([3, 5], k=4, temperature=1, seed=3)
    objective = Objective(soft=1, label=1)
    with torch.no_grad():
        evaluated = fused_per_record(hidden, head, targets, objective)
    trained = fused_per_record(hidden.requires_grad_(), head, targets, objective)

    assert torch.equal(evaluated, trained.detach())


def test_a_confident_student_keeps_the_digits_of_its_tail() -> None:
    """Where the tail has 1e-9 of the mass, the loss is that of double precision."""
    head = torch.eye(8)
    hidden = torch.tensor([[[21.0, 1, 0, 0, 0, 0, 0, 0]]])
    labels = TopK.of(torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(4)), k=2)
    targets = TokenTargets(labels, torch.tensor([[0]]), torch.tensor([[True]]))
    found = fused_per_record(hidden, head, targets, Objective(soft=1))
    exact = per_record(hidden.double(), targets, Objective(soft=1))

    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


def test_what_cannot_be_fused_is_refused() -> None:
    """Other terms, another temperature, empty chunks and half precision are refused."""
    hidden, head, targets, _ = _case([2], k=3, temperature=2, seed=0)
    right = Objective(soft=1, temperature=2)
    with pytest.raises(TrainingError, match="whole distribution"):
        fused_per_record(hidden, head, targets, Objective(more=(Weighted(1.0, Brier()),)))
    with pytest.raises(TrainingError, match="at temperature 1"):
        fused_per_record(hidden, head, targets, Objective(soft=1))
    with pytest.raises(TrainingError, match="at least one token"):
        fused_per_record(hidden, head, targets, right, chunk=0)
    with pytest.raises(TrainingError, match="float32"):
        fused_per_record(hidden.half(), head.half(), targets, right)
