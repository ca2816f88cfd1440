"""Top-k labels with a tail: what they keep, what they cost, and that bytes give them back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from distillation import golomb
from distillation.errors import LabelCacheError, TeacherError
from distillation.objectives import Objective, Targets
from distillation.top_k import TokenTargets, TopK, per_record
from distillation.top_k_code import STEPS, decode, encode


def _log_probs(*shape: int, seed: int = 0, spread: float = 2.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(*shape, generator=generator)).log_softmax(-1)


@settings(deadline=None)
@given(
    k=st.integers(1, 11),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    seed=st.integers(0, 9999),
)
def test_the_kept_are_the_most_likely_and_all_mass_is_there(
    k: int, temperature: float, seed: int
) -> None:
    """The ids rise, none left out is likelier than one kept, and mass and tail sum to one."""
    whole = _log_probs(3, 4, 12, seed=seed)
    labels = TopK.of(whole, k=k, temperature=temperature)
    left_out = whole.scatter(-1, labels.ids, -torch.inf).amax(-1)

    assert (labels.ids.diff(dim=-1) > 0).all()
    assert (whole.gather(-1, labels.ids).amin(-1) >= left_out).all()
    total = labels.log_probs.exp().sum(-1) + labels.log_tail.exp()
    torch.testing.assert_close(total, torch.ones(3, 4))


@settings(deadline=None)
@given(k=st.integers(1, 11), temperature=st.sampled_from([1.0, 3.0]), seed=st.integers(0, 9999))
def test_the_divergence_is_that_of_two_coarser_distributions(
    k: int, temperature: float, seed: int
) -> None:
    """It is torch's own kl_div over k + 1 outcomes, and never more than over all of them."""
    whole, student = _log_probs(3, 12, seed=seed), _log_probs(3, 12, seed=seed + 1)
    labels = TopK.of(whole, k=k, temperature=temperature)
    q = log_softmax(student / temperature, -1)
    coarse_q = torch.cat(
        [q.gather(-1, labels.ids), q.scatter(-1, labels.ids, -torch.inf).logsumexp(-1, True)], -1
    )
    coarse_p = torch.cat([labels.log_probs, labels.log_tail.unsqueeze(-1)], -1)
    expected = kl_div(coarse_q, coarse_p, reduction="none", log_target=True).sum(-1)
    found = labels.divergence(student) / temperature**2
    p = log_softmax(whole / temperature, -1)
    fine = (p.exp() * (p - q)).sum(-1)

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (found <= fine + 1e-5).all()
    assert (found >= -1e-5).all()


def test_with_enough_places_nothing_changes() -> None:
    """For k ≥ K the labels are the distribution bit by bit, and so is the objective's value."""
    whole, student = _log_probs(5, 1, 7), _log_probs(5, 1, 7, seed=1)
    reference, mask = torch.zeros(5, 1, dtype=torch.int64), torch.ones(5, 1, dtype=torch.bool)
    labels = TopK.of(whole, k=9)
    objective = Objective(soft=1, hard=0.5, label=0.5)
    dense = objective.per_record(student, Targets(whole, reference, mask))

    assert torch.equal(labels.log_probs, whole)
    torch.testing.assert_close(
        per_record(student, TokenTargets(labels, reference, mask), objective), dense
    )


def test_a_record_alone_has_the_loss_it_has_among_others() -> None:
    """Neighbours do not change a record's loss under top-k labels."""
    labels, student = TopK.of(_log_probs(6, 4, 12), k=3), _log_probs(6, 4, 12, seed=1)
    mask = torch.arange(4) < torch.tensor([[1], [2], [3], [4], [2], [1]])
    targets = TokenTargets(labels, torch.ones(6, 4, dtype=torch.int64), mask)
    objective = Objective(soft=1, hard=1, label=1)
    among = per_record(student, targets, objective)
    for row in range(6):
        only = torch.tensor([row])
        torch.testing.assert_close(
            per_record(student[only], targets[only], objective)[0], among[row]
        )


def test_labels_without_an_outcome_or_of_two_shapes_are_refused() -> None:
    """Keeping nothing, or ids and values that do not belong together, is an error."""
    with pytest.raises(TeacherError):
        TopK.of(_log_probs(2, 5), k=0)
    with pytest.raises(TeacherError):
        TopK(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 4), torch.zeros(2))


@settings(deadline=None)
@given(
    k=st.integers(1, 60),
    vocabulary=st.sampled_from([61, 300, 5000]),
    spread=st.sampled_from([0.0, 1.0, 4.0, 20.0]),
    temperature=st.sampled_from([1.0, 2.0]),
    seed=st.integers(0, 9999),
)
def test_bytes_give_the_labels_back_within_the_bound(
    k: int, vocabulary: int, spread: float, temperature: float, seed: int
) -> None:
    """Ids and choice exactly, every √p within the stated bound, all mass there."""
    labels = TopK.of(
        _log_probs(4, vocabulary, seed=seed, spread=spread), k=k, temperature=temperature
    )
    read = decode(encode(labels))
    total = read.log_probs.double().exp().sum(-1) + read.log_tail.double().exp()
    # A position's k + 1 roots are off by at most half a step, or one and a half for one of them;
    # scaling a vector whose length is off by d to length one moves it by at most d again.
    bound = 2 * (((k * 0.25) + 2.25) ** 0.5 / STEPS)
    apart = torch.cat(
        [
            (labels.log_probs.double() / 2).exp() - (read.log_probs.double() / 2).exp(),
            ((labels.log_tail.double() / 2).exp() - (read.log_tail.double() / 2).exp())[:, None],
        ],
        -1,
    )

    assert torch.equal(read.ids, labels.ids)
    assert read.temperature == temperature
    assert (read.log_probs.isfinite() & read.log_tail.isfinite().unsqueeze(-1)).all()
    torch.testing.assert_close(total, torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-5)
    assert float(apart.norm(dim=-1).max()) <= bound
    chosen = read.log_probs.gather(-1, labels.log_probs.argmax(-1, keepdim=True)).squeeze(-1)
    assert (chosen == read.log_probs.amax(-1)).all()
    others = read.log_probs.sort(dim=-1, descending=True).values
    assert k == 1 or (others[:, 0] > others[:, 1]).all()


@pytest.mark.parametrize("vocabulary", [49_152, 262_144])
def test_fifty_outcomes_take_at_most_114_bytes_a_token(vocabulary: int) -> None:
    """Even where the ids are spread evenly, which takes the most, and with little error."""
    labels = TopK.of(_log_probs(64, vocabulary), k=50)
    data = encode(labels)
    read = decode(data)
    error = (labels.log_probs.exp() * (labels.log_probs - read.log_probs)).sum(-1)
    error = error + labels.log_tail.exp() * (labels.log_tail - read.log_tail)

    assert len(data) / 64 <= 114
    assert float(error.mean()) <= 2e-4


def test_a_classifiers_labels_go_through_bytes_bit_by_bit() -> None:
    """Where nothing is left out nothing is rounded."""
    labels = TopK.of(_log_probs(3, 5), k=5)
    read = decode(encode(labels))

    assert torch.equal(read.log_probs, labels.log_probs)
    assert torch.equal(read.ids, labels.ids)
    assert torch.isneginf(read.log_tail).all()


@settings(deadline=None)
@given(data=st.binary(max_size=200), start=st.sampled_from([0, 1, 17, 60]))
def test_any_bytes_are_labels_or_an_error(data: bytes, start: int) -> None:
    """Bytes that are none, or the beginning of good ones with others behind, raise one error."""
    good = encode(TopK.of(_log_probs(2, 30), k=4))
    try:
        read = decode(good[:start] + data)
    except LabelCacheError:
        return
    assert read.log_probs.shape == read.ids.shape


@settings(deadline=None)
@given(numbers=st.lists(st.integers(0, 1 << 19), max_size=50), order=st.integers(0, 20))
def test_golomb_codes_give_the_numbers_back(numbers: list[int], order: int) -> None:
    """For any numbers and order, and what stands behind the code is not touched."""
    array = np.array(numbers, np.int64)
    bits = golomb.write(array, order)
    behind = np.concatenate([bits, np.ones(9, np.uint8)])
    read, taken = golomb.read(behind, len(numbers), order)

    assert read.tolist() == numbers
    assert taken == len(bits)


def test_golomb_codes_are_those_of_the_video_standard() -> None:
    """ITU-T H.264, table 9-2: 0 is 1, 1 is 010, 4 is 00101; here the two parts stand apart."""
    assert golomb.write(np.array([0]), 0).tolist() == [1]
    assert golomb.write(np.array([1]), 0).tolist() == [0, 1, 0]
    assert golomb.write(np.array([4]), 0).tolist() == [0, 0, 1, 0, 1]
