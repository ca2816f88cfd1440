"""Every objective gives a record a value that depends on that record alone."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from distillation.errors import TrainingError
from distillation.objectives import UNLABELLED, Objective, Targets, Weighted
from distillation.objectives.brier import Brier


def _targets(
    records: int, positions: int, outcomes: int, seed: int
) -> tuple[torch.Tensor, Targets]:
    generator = torch.Generator().manual_seed(seed)
    shape = (records, positions, outcomes)
    log_probs = torch.randn(shape, generator=generator).log_softmax(-1)
    reference = torch.randint(UNLABELLED, outcomes, shape[:2], generator=generator)
    mask = torch.rand(shape[:2], generator=generator) < 0.7
    mask[:, 0] = True
    return torch.randn(shape, generator=generator), Targets(log_probs, reference, mask)


_WEIGHTS = st.tuples(*[st.sampled_from([0.0, 0.3, 1.0])] * 3).filter(any)


@settings(deadline=None)
@given(
    weights=_WEIGHTS,
    temperature=st.sampled_from([0.5, 1.0, 4.0]),
    positions=st.integers(1, 5),
    seed=st.integers(0, 10_000),
)
def test_a_record_alone_has_the_loss_it_has_among_others(
    weights: tuple[float, float, float], temperature: float, positions: int, seed: int
) -> None:
    """For every blend, temperature and length: neighbours do not change a record's loss."""
    soft, hard, label = weights
    objective = Objective(soft=soft, hard=hard, label=label, temperature=temperature)
    logits, targets = _targets(6, positions, 4, seed)
    among = objective.per_record(logits, targets)
    for row in range(6):
        only = torch.tensor([row])
        alone = objective.per_record(logits[only], targets[only])
        torch.testing.assert_close(alone[0], among[row])


def test_soft_is_the_scaled_kl_divergence_of_torch() -> None:
    """T² · KL(teacher ‖ student) as torch's own kl_div gives it."""
    logits, targets = _targets(5, 1, 7, 3)
    expected = 9.0 * kl_div(
        log_softmax(logits / 3, -1), log_softmax(targets.log_probs / 3, -1),
        reduction="none", log_target=True,
    ).sum((1, 2))  # fmt: skip

    torch.testing.assert_close(
        Objective(soft=1, temperature=3).per_record(logits, targets), expected
    )


def test_hard_follows_the_teacher_and_label_the_reference() -> None:
    """Hard is cross-entropy with the teacher's choice; label skips records without one."""
    logits, targets = _targets(8, 1, 3, 5)
    choice = targets.log_probs.argmax(-1)[:, 0]
    torch.testing.assert_close(
        Objective(soft=0, hard=1).per_record(logits, targets),
        cross_entropy(logits[:, 0], choice, reduction="none"),
    )
    unlabelled = targets.reference[:, 0] == UNLABELLED
    by_label = Objective(soft=0, label=1).per_record(logits, targets)

    assert unlabelled.any()
    assert (by_label[unlabelled] == 0).all()
    assert (by_label[~unlabelled] > 0).all()


def test_padding_positions_do_not_count() -> None:
    """Whatever stands at a padding position, the loss stays the same."""
    logits, targets = _targets(4, 5, 3, 1)
    changed = torch.where(targets.mask.unsqueeze(-1), logits, logits + 100)
    objective = Objective(soft=1, hard=1, label=1)

    torch.testing.assert_close(
        objective.per_record(logits, targets), objective.per_record(changed, targets)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Objective(soft=0.0),
        lambda: Objective(soft=-1.0),
        lambda: Objective(soft=1.0, temperature=0.0),
        lambda: Objective(soft=float("nan")),
        lambda: Objective(soft=1.0, more=(Weighted(-1.0, Brier()),)),
        lambda: Objective(more=(Weighted(0.0, Brier()),)),
    ],
    ids=["no weight", "negative", "cold", "not a number", "negative term", "no term"],
)
def test_an_objective_without_meaning_is_refused(make: Callable[[], Objective]) -> None:
    """No weights, negative weights and temperatures that are not above zero are refused."""
    with pytest.raises(TrainingError):
        make()


def test_further_terms_add_to_the_first_three() -> None:
    """The sum is that of the parts, each with its weight."""
    logits, targets = _targets(5, 3, 4, 9)
    both = Objective(soft=1, more=(Weighted(0.5, Brier()),)).per_record(logits, targets)
    soft = Objective(soft=1).per_record(logits, targets)
    brier = Objective(more=(Weighted(1.0, Brier()),)).per_record(logits, targets)

    torch.testing.assert_close(both, soft + 0.5 * brier)
