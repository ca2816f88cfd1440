"""What both sides must agree on to the bit: the recipe, the layout, the server's step."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distillation.aggregate import ModelState, ServerOptimizer, Squares, advance
from distillation.dp.trainer import LocalOptimizer
from distillation.errors import ArtifactError, TrainingError
from distillation.kinds import Task, Train
from distillation.layout import Layout
from distillation.objectives import Objective, Weighted
from distillation.objectives.blend import Blend
from distillation.objectives.brier import Brier
from distillation.recipe import Recipe

_POSITIVE = st.floats(0.001, 100, allow_nan=False)


_MORE = st.lists(
    st.builds(
        Weighted,
        _POSITIVE,
        st.builds(Blend, alpha=st.floats(0, 1), temperature=_POSITIVE) | st.builds(Brier),
    ),
    max_size=3,
).map(tuple)


@given(
    rate=_POSITIVE,
    soft=_POSITIVE,
    temperature=_POSITIVE,
    train=st.sampled_from(Train),
    more=_MORE,
)
def test_a_recipe_survives_the_round_trip(
    rate: float, soft: float, temperature: float, train: Train, more: tuple[Weighted, ...]
) -> None:
    """Whatever its numbers, a recipe reads back the same, with the same hash."""
    recipe = Recipe(
        task=Task.CLASSIFICATION,
        train=train,
        max_tokens=64,
        objective=Objective(soft=soft, temperature=temperature, more=more),
        optimizer=LocalOptimizer(learning_rate=rate),
        rank=3 if train is Train.LORA else 0,
    )
    again = Recipe.from_bytes(recipe.to_bytes())

    assert again == recipe
    assert again.hash == recipe.hash
    assert dataclasses.replace(recipe, max_tokens=32).hash != recipe.hash


@given(data=st.binary(max_size=200))
def test_anything_else_is_no_recipe(data: bytes) -> None:
    """Any bytes are a recipe or an ArtifactError."""
    with pytest.raises(ArtifactError):
        Recipe.from_bytes(data)


_RECIPE = Recipe(
    task=Task.CLASSIFICATION,
    train=Train.HEAD,
    max_tokens=64,
    objective=Objective(soft=1.0, temperature=2.0),
    optimizer=LocalOptimizer(learning_rate=0.5),
)


@given(place=st.integers(0, 250), cut=st.integers(0, 6), typed=st.text(max_size=6))
def test_an_edited_recipe_is_refused_or_is_what_it_says(place: int, cut: int, typed: str) -> None:
    """Whatever is typed into it: refused, or a recipe whose canonical bytes these are."""
    whole = _RECIPE.to_bytes()
    data = whole[:place] + typed.encode("utf-8", "replace") + whole[place + cut :]
    assert _canonical_or_refused(data) in (data, b"")


def _canonical_or_refused(data: bytes) -> bytes:
    """Return the bytes of the recipe that was read, or nothing if it was refused."""
    try:
        return Recipe.from_bytes(data).to_bytes()
    except ArtifactError:
        return b""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"learning_rate":"0.5"', '"learning_rate":"nan"'),
        ('"learning_rate":"0.5"', '"learning_rate":"-0.5"'),
        ('"learning_rate":"0.5"', '"learning_rate":"inf"'),
        ('"momentum":"0.0"', '"momentum":"1.0"'),
        ('"momentum":"0.0"', '"momentum":"-0.1"'),
        ('"soft":"1.0"', '"soft":"nan"'),
        ('"temperature":"2.0"', '"temperature":"0.0"'),
        ('"max_tokens":64', '"max_tokens":0'),
        ('"max_tokens":64', '"max_tokens":"64"'),
        ('"task":"classification"', '"task":"anything"'),
        ('"train":"head"', '"train":"all"'),
        ('"template":""', '"template":"","extra":1'),
        ('"template":"",', ""),
        ('"learning_rate":"0.5"', '"learning_rate":"0.50"'),
        ("{", "{ "),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(old: str, new: str) -> None:
    """Impossible numbers, unknown words, other keys and another spelling are no recipe."""
    text = _RECIPE.to_bytes().decode()
    assert text.count(old) == 1
    with pytest.raises(ArtifactError):
        Recipe.from_bytes(text.replace(old, new).encode())


@given(
    deltas=st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), max_size=6),
    rate=st.floats(0.1, 2),
    momentum=st.floats(0, 0.95),
    squares=st.none() | st.builds(Squares, st.floats(0, 0.999), st.floats(1e-8, 1)),
    average=st.integers(1, 4),
)
def test_both_sides_compute_the_same_model(
    deltas: list[list[float]], rate: float, momentum: float, squares: Squares | None, average: int
) -> None:
    """The hash after any rounds is the same when every state goes over the disk in between."""
    optimizer = ServerOptimizer(
        learning_rate=rate, momentum=momentum, squares=squares, average=average
    )
    server = region = ModelState.start(np.array([1, -2, 3], dtype=np.float32))
    for delta in deltas:
        server = advance(server, np.array(delta), optimizer)
        region = advance(ModelState.from_arrays(region.arrays()), np.array(delta), optimizer)

    assert server.hash == region.hash
    assert (server.released == region.released).all()


@pytest.mark.parametrize("terms", [(0.0, 0.0), (-1.0, 0.0), (1.0, 1.0), (1.0, -0.1), (np.nan, 0.0)])
def test_a_server_optimizer_that_diverges_by_design_is_refused(terms: tuple[float, float]) -> None:
    """A rate that is not positive, or a momentum outside [0, 1), is an error."""
    with pytest.raises(TrainingError, match="server learning rate"):
        ServerOptimizer(learning_rate=terms[0], momentum=terms[1])


def test_the_server_step_is_momentum_on_the_mean_delta() -> None:
    """Two steps by hand: v = βv + Δ, w = w + ηv."""
    optimizer = ServerOptimizer(learning_rate=0.5, momentum=0.9)
    state = ModelState.start(np.array([1.0, 2.0], dtype=np.float32))
    once = advance(state, np.array([0.2, -0.4]), optimizer)
    twice = advance(once, np.array([0.2, -0.4]), optimizer)

    np.testing.assert_allclose(once.weights, [1.1, 1.8])
    np.testing.assert_allclose(twice.weights, [1.1 + 0.5 * 0.38, 1.8 - 0.5 * 0.76], rtol=1e-6)
    assert len({state.hash, once.hash, twice.hash}) == 3


def test_adam_is_what_its_paper_says() -> None:
    """Two steps by hand (Reddi et al. 2021, algorithm 2): m, s, and w + η m / (√s + τ)."""
    optimizer = ServerOptimizer(learning_rate=0.5, momentum=0.9, squares=Squares(0.99, 0.001))
    state, delta = ModelState.start(np.array([1.0, 2.0], dtype=np.float32)), np.array([0.2, -0.4])
    weights, mean, squares = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    for _ in range(2):
        state = advance(state, delta, optimizer)
        mean = 0.9 * mean + 0.1 * delta
        squares = 0.99 * squares + 0.01 * delta**2
        weights = weights + 0.5 * mean / (np.sqrt(squares) + 0.001)

    np.testing.assert_allclose(state.weights, weights, rtol=1e-6)
    np.testing.assert_allclose(state.squares, squares)


def test_what_is_released_is_the_mean_of_the_last_rounds() -> None:
    """With a mean over 2, the rounds go on as without it, and the last two are averaged."""
    plain = averaged = ModelState.start(np.array([0.0, 4.0], dtype=np.float32))
    rounds = []
    for step in ([1.0, 0.0], [1.0, -2.0], [4.0, 1.0]):
        plain = advance(plain, np.array(step), ServerOptimizer())
        averaged = advance(averaged, np.array(step), ServerOptimizer(average=2))
        rounds.append(plain.weights)
        assert (averaged.weights == plain.weights).all()

    assert (averaged.released == (rounds[1] + rounds[2]) / 2).all()
    assert (plain.released == plain.weights).all()
    assert averaged.hash != plain.hash


@pytest.mark.parametrize("terms", [(1.0, 0.1), (-0.1, 0.1), (0.9, 0.0), (0.9, np.inf), (0.9, -1)])
def test_squares_that_diverge_by_design_are_refused(terms: tuple[float, float]) -> None:
    """A memory outside [0, 1), or nothing added to the root, is an error; so is a mean of none."""
    with pytest.raises(TrainingError, match="second momentum"):
        Squares(*terms)
    with pytest.raises(TrainingError, match="at least 1 round"):
        ServerOptimizer(average=0)


def test_old_states_and_recipes_keep_their_bytes() -> None:
    """What says nothing new is written as it always was: hashes on record stay true."""
    state = ModelState(np.array([1, 2], dtype=np.float32), np.array([0.5, 0.25]))

    # Made by the release before there were squares and means.
    digest = "ce019e9a46936332732c6c9079d43f20092c5acf30487cada1ac29d9af683376"
    assert state.hash.hex() == digest
    assert set(state.arrays()) == {"weights", "velocity"}
    assert _RECIPE.to_bytes() == (
        b'{"hard":"0.0","kind":"stillroom/recipe/v1","label":"0.0","learning_rate":"0.5",'
        b'"max_tokens":64,"momentum":"0.0","soft":"1.0","task":"classification",'
        b'"temperature":"2.0","template":"","train":"head"}'
    )


def test_a_language_models_recipe_says_what_else_it_needs() -> None:
    """Rank, layers and k are in its bytes, so in the plan's hash; it reads back the same."""
    recipe = dataclasses.replace(
        _RECIPE, task=Task.LANGUAGE_MODEL, train=Train.LORA, rank=4, trained_layers=2, top_k=50
    )

    assert Recipe.from_bytes(recipe.to_bytes()) == recipe
    for change in ({"rank": 5}, {"trained_layers": 1}, {"top_k": 49}, {"template": "chat"}):
        assert dataclasses.replace(recipe, **change).hash != recipe.hash
    with pytest.raises(ArtifactError, match="no negative rank"):
        dataclasses.replace(recipe, rank=-1)


@pytest.mark.parametrize(
    "more",
    [
        '{"term":"brier"}',
        '{"term":"x","weight":"1.0"}',
        '{"term":"brier","weight":"-1.0"}',
        '{"term":"brier","weight":"1"}',
        '{"term":"brier","weight":"1.0","alpha":"0.5"}',
        '"brier"',
    ],
)
def test_a_further_term_that_makes_no_sense_is_refused(more: str) -> None:
    """Without a weight, with an unknown name or constant, or in another spelling: no recipe."""
    text = _RECIPE.to_bytes().decode().replace('"momentum"', f'"more":[{more}],"momentum"')
    text = text.replace(f'"more":[{more}],"momentum":"0.0"', f'"momentum":"0.0","more":[{more}]')
    with pytest.raises(ArtifactError):
        Recipe.from_bytes(text.encode())


def test_a_state_survives_the_disk() -> None:
    """Arrays and back: the same hash, so the chain goes on."""
    state = advance(
        ModelState.start(np.ones(3, dtype=np.float32)), np.full(3, 0.1), ServerOptimizer()
    )

    assert ModelState.from_arrays(state.arrays()).hash == state.hash


@pytest.mark.parametrize("delta", [np.zeros(2), np.array([0.0, np.nan, 0.0])])
def test_a_mean_that_does_not_fit_is_refused(delta: np.ndarray) -> None:
    """Another size or a NaN never becomes a model."""
    with pytest.raises(TrainingError):
        advance(ModelState.start(np.ones(3, dtype=np.float32)), delta, ServerOptimizer())


def test_a_layout_flattens_and_unflattens() -> None:
    """Tensors to a vector and back are the same, whatever their order."""
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([9.0])}
    layout = Layout.of(tensors)
    back = layout.unflatten(layout.flatten(tensors))

    assert layout.size == 7
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert layout.hash != Layout.of({"b": tensors["b"]}).hash
    with pytest.raises(ArtifactError):
        layout.flatten({"b": tensors["b"]})
    with pytest.raises(ArtifactError):
        layout.unflatten(np.zeros(3, dtype=np.float32))
