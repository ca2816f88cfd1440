"""Each kind of term against its formula, and the table that names them all."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from distillation.errors import TrainingError
from distillation.objectives import UNLABELLED, Objective, Outputs, Targets, Term, Weighted
from distillation.objectives.blend import Blend
from distillation.objectives.brier import Brier
from distillation.objectives.ensemble import mixture
from distillation.objectives.features import FeatureCosine, FeatureDistance
from distillation.objectives.generalised_jsd import GeneralisedJsd
from distillation.objectives.registry import TERMS, build, constants, describe
from distillation.objectives.reverse import ReverseKl
from distillation.objectives.smoothing import EntropySmoothing

_VECTORS = Path(__file__).parents[1] / "vectors" / "generalised_jsd.json"
_SETTINGS = {"beta": 0.3, "temperature": 2.0, "alpha": 0.7, "strength": 0.4}


def _case(seed: int = 0) -> tuple[Outputs, Targets]:
    """Return six records of up to four positions over five outcomes."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 4, 5, generator=generator)
    log_probs = torch.randn(6, 4, 5, generator=generator).log_softmax(-1)
    reference = torch.randint(UNLABELLED, 5, (6, 4), generator=generator)
    mask = torch.rand(6, 4, generator=generator) < 0.7
    ours = tuple(torch.randn(6, 4, 3, generator=generator) for _ in range(2))
    theirs = tuple(torch.randn(6, 4, 3, generator=generator) for _ in range(2))
    return Outputs(logits, ours), Targets(log_probs, reference, mask, theirs)


def _term(name: str) -> Term:
    return TERMS[name](**{constant: _SETTINGS[constant] for constant in constants(name)})


@pytest.mark.parametrize("name", sorted(TERMS))
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_record_alone_has_the_loss_and_gradient_it_has_among_others(name: str, seed: int) -> None:
    """For every term of the table: neither value nor gradient depends on neighbours."""
    outputs, targets = _case(seed)
    objective = Objective(soft=0.1, more=(Weighted(0.5, _term(name)),))
    among, gradients = _with_gradients(objective, outputs, targets)
    for row in range(6):
        only = torch.tensor([row])
        features = tuple(layer[only] for layer in outputs.features)
        alone, own = _with_gradients(
            objective, Outputs(outputs.logits[only], features), targets[only]
        )
        torch.testing.assert_close(alone[0], among[row])
        for found, expected in zip(own, gradients, strict=True):
            torch.testing.assert_close(found[0], expected[row])


def _with_gradients(
    objective: Objective, outputs: Outputs, targets: Targets
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the losses and the gradients of their sum, zero for what a term does not see."""
    leaves = tuple(x.clone().requires_grad_() for x in (outputs.logits, *outputs.features))
    losses = objective.per_record(leaves[0], targets, features=leaves[1:])
    return losses.detach(), torch.autograd.grad(losses.sum(), leaves, materialize_grads=True)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_padding_does_not_count(name: str) -> None:
    """For every term of the table: whatever stands at a padding position, the loss is the same."""
    outputs, targets = _case()
    objective = Objective(more=(Weighted(1.0, _term(name)),))
    elsewhere = ~targets.mask.unsqueeze(-1)
    changed = tuple(layer + 7 * elsewhere for layer in outputs.features)

    torch.testing.assert_close(
        objective.per_record(outputs.logits, targets, features=outputs.features),
        objective.per_record(
            outputs.logits + 7 * elsewhere * torch.arange(5), targets, features=changed
        ),
    )


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_term_is_read_back_from_its_description(name: str) -> None:
    """Names and constants survive the way through text."""
    term = _term(name)
    described = describe(term)

    assert described["term"] == name
    assert build(described) == term


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"term": "unknown"},
        {"term": "blend"},
        {"term": "soft", "temperature": "1.0", "more": "1"},
        {"term": "soft", "temperature": "warm"},
        {"term": "soft", "temperature": "0"},
        {"term": "soft", "temperature": "NaN"},
        {"term": "generalised-jsd", "beta": "1.5", "temperature": "1"},
        {"term": "blend", "alpha": "-0.1", "temperature": "1"},
        {"term": "entropy-smoothing", "strength": "2"},
    ],
)
def test_a_description_without_meaning_is_refused(found: dict[str, str]) -> None:
    """Unknown names, missing or extra constants and values out of range are refused."""
    with pytest.raises(TrainingError):
        build(found)


def test_a_term_outside_the_table_has_no_name() -> None:
    """What a recipe cannot name cannot be agreed on."""

    class Own:
        def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
            return targets.mask.float()

    with pytest.raises(TrainingError, match="another kind"):
        describe(Own())


def test_generalised_jsd_is_that_of_trl() -> None:
    """Vectors from TRL's own function, see the file, for β from 0 to 1 and two temperatures."""
    places = torch.arange(30, dtype=torch.float64).reshape(2, 3, 5)
    outputs = Outputs(3 * torch.sin(1.7 * places))
    teacher = (3 * torch.cos(0.9 * places)).log_softmax(-1)
    targets = Targets(teacher, torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))
    for case in json.loads(_VECTORS.read_text(encoding="utf-8"))["cases"]:
        term = GeneralisedJsd(beta=case["beta"], temperature=case["temperature"])
        expected = torch.tensor(case["losses"], dtype=torch.float64)
        torch.testing.assert_close(
            term.per_position(outputs, targets), expected, rtol=1e-7, atol=1e-9
        )


def test_reverse_is_torchs_own_divergence_the_other_way_round() -> None:
    """T² · KL(student ‖ teacher) as torch's kl_div gives it."""
    outputs, targets = _case()
    q, p = log_softmax(outputs.logits / 2, -1), log_softmax(targets.log_probs / 2, -1)
    expected = 4 * kl_div(p, q, reduction="none", log_target=True).sum(-1)

    torch.testing.assert_close(ReverseKl(temperature=2).per_position(outputs, targets), expected)


def test_a_blend_is_the_two_terms_that_the_old_fields_give() -> None:
    """α of the soft term and 1 − α of the label term."""
    outputs, targets = _case()
    old = Objective(soft=0.7, label=0.3, temperature=2)
    new = Objective(more=(Weighted(1.0, Blend(alpha=0.7, temperature=2)),))

    torch.testing.assert_close(
        new.per_record(outputs.logits, targets), old.per_record(outputs.logits, targets)
    )


def test_brier_is_the_squared_distance_to_the_label() -> None:
    """By its definition, and zero where there is no label."""
    outputs, targets = _case()
    found = Brier().per_position(outputs, targets)
    for record in range(6):
        for position in range(4):
            label = int(targets.reference[record, position])
            truth = torch.nn.functional.one_hot(torch.tensor(max(label, 0)), 5)
            distance = (softmax(outputs.logits[record, position], -1) - truth).square().sum()
            expected = distance if label != UNLABELLED else torch.zeros(())
            torch.testing.assert_close(found[record, position], expected)


def test_smoothing_is_torchs_own_with_an_amount_for_each_position() -> None:
    """A sure teacher smooths nothing, one that knows nothing smooths by the whole strength."""
    outputs, targets = _case()
    labelled = targets.reference.clamp(min=0)
    flat = Targets(torch.full((6, 4, 5), -math.log(5)), labelled, targets.mask)
    sure = Targets(torch.tensor([0.0] + [-torch.inf] * 4).expand(6, 4, 5), labelled, targets.mask)
    term = EntropySmoothing(strength=0.4)
    for given_, amount in ((flat, 0.4), (sure, 0.0)):
        expected = cross_entropy(
            outputs.logits.movedim(-1, 1), labelled, label_smoothing=amount, reduction="none"
        )
        torch.testing.assert_close(term.per_position(outputs, given_), expected)
    assert (term.per_position(outputs, targets)[targets.reference == UNLABELLED] == 0).all()


def test_features_compare_directions_or_normalised_coordinates() -> None:
    """Zero for the teacher's own states scaled; by the definitions for others."""
    outputs, targets = _case()
    same = Outputs(outputs.logits, tuple(3 * layer for layer in targets.features))
    for term in (FeatureCosine(), FeatureDistance()):
        assert term.per_position(same, targets).abs().max() < 1e-3  # LayerNorm adds 1e-5
    ours, theirs = outputs.features, targets.features
    cosines = [
        1 - (s * t).sum(-1) / (s.norm(dim=-1) * t.norm(dim=-1))
        for s, t in zip(ours, theirs, strict=True)
    ]
    torch.testing.assert_close(FeatureCosine().per_position(outputs, targets), sum(cosines))

    def norm(hidden: Tensor) -> Tensor:
        centred = hidden - hidden.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    distances = [(norm(s) - norm(t)).square().mean(-1) for s, t in zip(ours, theirs, strict=True)]
    torch.testing.assert_close(FeatureDistance().per_position(outputs, targets), sum(distances))


def test_features_that_do_not_pair_up_are_refused() -> None:
    """None at all, one too few, or another width."""
    outputs, targets = _case()
    for features in ((), outputs.features[:1], tuple(f[..., :2] for f in outputs.features)):
        with pytest.raises(TrainingError, match="in pairs"):
            FeatureCosine().per_position(Outputs(outputs.logits, features), targets)


def test_a_mixture_is_the_weighted_mean_of_the_teachers() -> None:
    """Probabilities are averaged, weights scaled to one, a teacher of weight zero left out."""
    first, second = _case(1)[1].log_probs, _case(2)[1].log_probs
    expected = (first.exp() + 3 * second.exp()) / 4
    torch.testing.assert_close(mixture([first, second], [1, 3]).exp(), expected)
    torch.testing.assert_close(mixture([first, second], [2, 0]), first)


@pytest.mark.parametrize("weights", [[], [1.0], [0.0, 0.0], [1.0, -1.0], [1.0, math.nan]])
def test_weights_that_make_no_mixture_are_refused(weights: list[float]) -> None:
    """One weight a teacher, none negative, not all zero."""
    with pytest.raises(TrainingError):
        mixture([torch.zeros(1, 1, 2)] * 2, weights)


def test_teachers_over_other_outcomes_make_no_mixture() -> None:
    """All teachers name the same outcomes."""
    with pytest.raises(TrainingError, match="same positions"):
        mixture([torch.zeros(1, 1, 2), torch.zeros(1, 1, 3)], [1, 1])
