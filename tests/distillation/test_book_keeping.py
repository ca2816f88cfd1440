"""Book-keeping gives what one record at a time gives: norms, clipped sums, for every family."""

import warnings
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from distillation.dp.book_keeping import BookKeepingModule
from distillation.dp.books import Book, Grams
from distillation.dp.clipping import Clipping, choose, wrap
from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from distillation.dp.trainer import LocalOptimizer, train_privately
from distillation.dp.units import UnitRows
from distillation.errors import TrainingError
from distillation.objectives import Objective
from privacy.noise import SecureStream
from tests.distillation.families import Corpus, Family, Student, Trained, adapted, student

_OBJECTIVES = {
    "soft": Objective(soft=1.0, temperature=2.0),
    "hard": Objective(soft=0.0, hard=1.0),
    "blend": Objective(soft=0.7, label=0.3),
}
_LENGTHS = (9, 2, 5, 1, 7, 3)
_CLOSE = 1e-5
_CLIPPINGS = [Clipping.BOOK_KEEPING, pytest.param(Clipping.HOOKS, marks=pytest.mark.slow)]
"""The hooks are the fallback: their many cases wait for CI."""
_PERSONS = torch.tensor([0, 1, 0, 2, 0, 1])


def _terms(clip_norm: float = 1.0, **changes: object) -> StepTerms:
    terms: dict[str, object] = {
        "noise_multiplier": Decimal("1e-9"),
        "clip_norm": Decimal(repr(clip_norm)),
        "sample_rate": Fraction(1),
        "public_size": 16,
        "max_records_per_unit": 3,
    }
    return StepTerms(**(terms | changes))  # type: ignore[arg-type]  # built from a table


def _brute(net: nn.Module, corpus: Corpus, objective: Objective, units: Tensor) -> Tensor:
    """Return each unit's gradient of the mean of its losses, (U, d), without any hook."""
    trained = [p for p in net.parameters() if p.requires_grad]
    found = []
    for unit in range(int(units.max()) + 1):
        rows = (units == unit).nonzero()[:, 0]
        loss = torch.stack([corpus.losses(net, row, objective)[0] for row in rows.split(1)]).mean()
        grads = torch.autograd.grad(loss, trained)
        found.append(torch.cat([grad.flatten() for grad in grads]).double())
    return torch.stack(found)


def _backward(
    net: nn.Module, corpus: Corpus, objective: Objective, clipping: Clipping, units: Tensor
) -> tuple[list[nn.Parameter], UnitRows]:
    wrapped = wrap(net, clipping)
    owners = UnitRows.of(units, most=max(1, int(units.bincount().max()) if len(units) else 1))
    with warnings.catch_warnings():  # Opacus's hooks below which nothing is trained
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        losses = corpus.losses(wrapped, torch.arange(len(units)), objective)
        (losses / owners.sizes[units]).sum().backward()
    if isinstance(wrapped, BookKeepingModule):
        wrapped.require_complete()
    return [p for p in net.parameters() if p.requires_grad], owners


def _clipped(params: list[nn.Parameter], owners: UnitRows, clip_norm: float) -> Tensor:
    private = PrivateOptimizer(
        torch.optim.SGD(params, lr=1.0), terms=_terms(clip_norm), stream=SecureStream()
    )
    private.group(owners)
    private.clip_and_accumulate()
    return torch.cat([vars(p)["summed_grad"].flatten() for p in params]).double()


def _norms(params: list[nn.Parameter], owners: UnitRows) -> Tensor:
    grams, found = Grams(), []
    for p in params:
        kept = vars(p)["grad_sample"]
        if isinstance(kept, Book):
            found.append(kept.norms(owners, grams))
        else:
            found.append(owners.add_up(kept).flatten(1).norm(dim=1).double())
    norms: Tensor = torch.stack(found).norm(dim=0)
    return norms


def _same(found: Tensor, wanted: Tensor) -> bool:
    return float((found - wanted).norm()) <= _CLOSE * float(wanted.norm())


@pytest.mark.parametrize("clipping", _CLIPPINGS)
@pytest.mark.parametrize("weights", _OBJECTIVES)
@pytest.mark.parametrize("trained", Trained)
@pytest.mark.parametrize("family", Family)
def test_norms_and_clipped_sums_equal_one_record_at_a_time(
    family: Family, trained: Trained, weights: str, clipping: Clipping
) -> None:
    """For each family, trained set, objective and way of clipping; ragged records."""
    net, corpus, each = student(family, trained), Corpus(_LENGTHS), torch.arange(6)
    objective = _OBJECTIVES[weights]
    brute = _brute(net, corpus, objective, each)
    wanted = brute.norm(dim=1)
    clip_norm = float(wanted.median())
    params, owners = _backward(net, corpus, objective, clipping, each)

    torch.testing.assert_close(_norms(params, owners), wanted, rtol=_CLOSE, atol=1e-9)
    factors = (clip_norm / wanted).clamp(max=1)
    assert _same(_clipped(params, owners, clip_norm), factors @ brute)


@pytest.mark.parametrize("clipping", _CLIPPINGS)
@pytest.mark.parametrize("family", Family)
def test_a_person_is_clipped_as_one(family: Family, clipping: Clipping) -> None:
    """Persons of three, two and one record: the gradient of each one's mean loss, clipped once."""
    net, corpus, objective = student(family), Corpus(_LENGTHS), _OBJECTIVES["soft"]
    brute = _brute(net, corpus, objective, _PERSONS)
    wanted = brute.norm(dim=1)
    clip_norm = float(wanted.median())
    params, owners = _backward(net, corpus, objective, clipping, _PERSONS)

    torch.testing.assert_close(_norms(params, owners), wanted, rtol=_CLOSE, atol=1e-9)
    factors = (clip_norm / wanted).clamp(max=1)
    assert _same(_clipped(params, owners, clip_norm), factors @ brute)


@pytest.mark.parametrize("clipping", _CLIPPINGS)
@pytest.mark.parametrize("persons", [False, True])
@pytest.mark.parametrize("family", Family)
def test_a_nan_record_adds_nothing(family: Family, persons: bool, clipping: Clipping) -> None:
    """Nor does its person; the others' sum is what it is without them."""
    net, corpus, objective = student(family), Corpus(_LENGTHS), _OBJECTIVES["soft"]
    units = _PERSONS if persons else torch.arange(6)
    brute = _brute(net, corpus, objective, units)
    corpus.spoil(2)
    params, owners = _backward(net, corpus, objective, clipping, units)
    brute[units[2]] = 0

    assert _same(_clipped(params, owners, 1e6), brute.sum(0))


@pytest.mark.parametrize("family", Family)
def test_one_record_alone(family: Family) -> None:
    """A batch of one is no special case."""
    net, corpus, one = student(family), Corpus([4]), torch.zeros(1, dtype=torch.int64)
    brute = _brute(net, corpus, _OBJECTIVES["blend"], one)
    params, owners = _backward(net, corpus, _OBJECTIVES["blend"], Clipping.BOOK_KEEPING, one)

    assert _same(_clipped(params, owners, 1e6), brute[0])


@pytest.mark.parametrize("family", Family)
def test_every_family_is_booked_without_being_asked(family: Family) -> None:
    """Book-keeping is chosen, takes whole steps, and moves only what is trained."""
    net, corpus = student(family), Corpus(_LENGTHS)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    change = _train(net, corpus)

    assert choose(net).clipping is Clipping.BOOK_KEEPING
    assert change.keys() == {name for name, p in net.named_parameters() if p.requires_grad}
    for name, p in net.named_parameters():
        assert torch.equal(p, before[name]) == (name not in change)


def _train(net: nn.Module, corpus: Corpus, **options: object) -> dict[str, Tensor]:
    return train_privately(
        net,
        lambda module, rows: corpus.losses(module, rows, _OBJECTIVES["soft"]),
        records=len(corpus.ids),
        steps=2,
        terms=_terms(noise_multiplier=Decimal("0.5")),
        optimizer=LocalOptimizer(learning_rate=0.1),
        stream=SecureStream(),
        **options,  # type: ignore[arg-type]  # handed on as they are
    )


def test_a_frozen_base_notes_nothing() -> None:
    """With adapters, only they and the head keep activations; the base is left alone."""
    net, corpus = student(Family.LORA), Corpus(_LENGTHS)
    _backward(net, corpus, _OBJECTIVES["soft"], Clipping.BOOK_KEEPING, torch.arange(6))
    noted = {n for n, p in net.named_parameters() if vars(p).get("grad_sample") is not None}

    assert noted == {n for n, p in net.named_parameters() if "lora_" in n or "head." in n}
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("targets", "dora", "name"),
    [("embed_tokens", False, "lora_embedding_A"), ("q_proj", True, "lora_magnitude_vector")],
)
def test_adapters_without_per_record_gradients_are_refused(
    targets: str, dora: bool, name: str
) -> None:
    """On an embedding, or with a magnitude of their own: before any step, by name."""
    net = adapted(targets, dora=dora)
    with pytest.raises(TrainingError, match=name):
        _train(net, Corpus(_LENGTHS))


class _Tied(nn.Module):
    """An embedding whose table is also the last layer's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.last = nn.Linear(3, 5, bias=False)
        self.last.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.last(torch.tanh(self.table(ids)))
        return out.logsumexp(-1).sum(-1)


def test_tied_tensors_go_to_the_hooks_by_name() -> None:
    """The choice says which tensor; the hooks' gradients are those of one record at a time."""
    torch.manual_seed(0)
    net, ids = _Tied(), torch.randint(0, 5, (4, 6), generator=torch.Generator().manual_seed(1))
    choice = choose(net)
    weight = net.table.weight
    brute = torch.stack([torch.autograd.grad(net(row).sum(), weight)[0] for row in ids.split(1)])
    wrapped = wrap(net, choice.clipping)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        wrapped(ids).sum().backward()

    assert choice.clipping is Clipping.HOOKS
    assert choice.because == ("last.weight (tied to table.weight)",)
    torch.testing.assert_close(vars(weight)["grad_sample"], brute)
    with pytest.raises(TrainingError, match=r"table\.weight"):
        BookKeepingModule(net)


class _Elsewhere(nn.Module):
    """Uses a layer's weight outside the layer as well."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x) @ self.layer.weight
        return out.sum(-1)


class _Idle(nn.Module):
    """Has a layer that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.idle = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out.squeeze(-1)


class _Shared(nn.Module):
    """Adds one row of position embeddings to every record of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Embedding(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.places(torch.zeros(1, dtype=torch.int64))
        return (out**2).sum(-1)


@pytest.mark.parametrize(
    ("net", "name"),
    [(_Elsewhere(), "layer.weight"), (_Idle(), "idle.weight"), (_Shared(), "places.weight")],
)
def test_what_the_books_would_miss_is_refused_by_name(net: nn.Module, name: str) -> None:
    """A use outside the layer, no use, a use that the whole batch shares."""
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TrainingError, match=name.replace(".", r"\.")):
        train_privately(
            net,
            lambda module, rows: module(x[rows]),
            records=5,
            steps=1,
            terms=_terms(),
            optimizer=LocalOptimizer(learning_rate=1.0),
            stream=SecureStream(),
        )


class _InPlace(nn.Module):
    """Adds to a layer's input after the layer ran."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x * 2
        out: Tensor = self.layer(hidden)
        hidden += 1
        return out.sum(-1)


def test_an_input_that_was_changed_in_place_is_found() -> None:
    """The books would hold another input than the layer saw."""
    with pytest.raises(TrainingError, match="changed in place"):
        BookKeepingModule(_InPlace())(torch.ones(2, 3)).sum().backward()


class _Twice(nn.Module):
    """Runs one layer two times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(torch.tanh(self.layer(x)))
        return out.square().sum(-1)


def test_a_layer_that_runs_twice_adds_up_both_uses() -> None:
    """The norm has the products between the two uses as well."""
    torch.manual_seed(1)
    net, x = _Twice(), torch.randn(4, 3)
    params = list(net.parameters())
    brute = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(net(row).sum(), params)])
            for row in x.split(1)
        ]
    ).double()
    BookKeepingModule(net)(x).sum().backward()
    owners = UnitRows.single(4)

    torch.testing.assert_close(_norms(params, owners), brute.norm(dim=1), rtol=_CLOSE, atol=0)
    assert _same(_clipped(params, owners, 1e6), brute.sum(0))


def test_an_unknown_layer_falls_back_to_the_hooks() -> None:
    """A convolution is Opacus's to do, and the reason is there for the report."""
    choice = choose(nn.Sequential(nn.Conv1d(2, 2, 1), nn.Linear(3, 1)))

    assert choice.clipping is Clipping.HOOKS
    assert choice.because == ("0 (Conv1d)",)


def test_persons_train_and_are_counted_as_units() -> None:
    """Three persons fit a public size of three, six records would not; a gap is refused."""
    corpus = Corpus(_LENGTHS)

    def train(units: Tensor | None) -> dict[str, Tensor]:
        return train_privately(
            student(Family.MLP),
            lambda module, rows: corpus.losses(module, rows, _OBJECTIVES["soft"]),
            records=6,
            steps=1,
            terms=_terms(1e6, public_size=3, noise_multiplier=Decimal("1e-12")),
            optimizer=LocalOptimizer(learning_rate=3.0),
            stream=SecureStream(),
            units=units,
        )

    change = torch.cat([value.flatten() for value in train(_PERSONS).values()]).double()
    brute = _brute(student(Family.MLP), corpus, _OBJECTIVES["soft"], _PERSONS)
    torch.testing.assert_close(change, -brute.sum(0), rtol=1e-4, atol=1e-5)
    with pytest.raises(TrainingError, match="public size 3"):
        train(None)
    with pytest.raises(TrainingError, match="without a gap"):
        train(_PERSONS * 2)
    with pytest.raises(TrainingError, match="the unit of 6 records"):
        train(_PERSONS[:5])


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("clipping", Clipping)
def test_empty_batches_between_persons_are_noised_steps(clipping: Clipping) -> None:
    """At a rate at which most batches are empty and some are not, every step is taken."""
    corpus = Corpus(_LENGTHS)
    change = train_privately(
        student(Family.MLP, Trained.NO_EMBEDDINGS),
        lambda module, rows: corpus.losses(module, rows, _OBJECTIVES["soft"]),
        records=6,
        steps=40,
        terms=_terms(0.1, sample_rate=Fraction(1, 5), noise_multiplier=Decimal(1)),
        optimizer=LocalOptimizer(learning_rate=1.0),
        stream=SecureStream(),
        units=_PERSONS,
        clipping=clipping,
    )
    flat = torch.cat([value.flatten() for value in change.values()])
    expected = 40**0.5 * 0.1 / (Fraction(1, 5) * 16)  # the noise of 40 steps over q times N

    assert float(flat.std()) == pytest.approx(float(expected), rel=0.3)


def _pieces(units: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many units each micro-batch of one step has, by the plan's cap of three."""
    corpus, seen = Corpus(_LENGTHS), []

    def loss(module: nn.Module, rows: Tensor) -> Tensor:
        seen.append(len(units[rows].unique()))
        return corpus.losses(module, rows, _OBJECTIVES["soft"])

    monkeypatch.setattr("distillation.dp.trainer._MICRO_BATCH", 6)
    monkeypatch.setattr("distillation.dp.trainer._BOOKED", 6)
    train_privately(
        student(Family.MLP),
        loss,
        records=6,
        steps=1,
        terms=_terms(0.5),
        optimizer=LocalOptimizer(learning_rate=1.0),
        stream=SecureStream(),
        units=units,
    )
    return seen


def test_the_largest_person_sets_no_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two units a piece, whether somebody has one record or three: the cap is the plan's."""
    for units in (torch.arange(6), _PERSONS, torch.tensor([0, 0, 1, 2, 3, 4])):
        assert set(_pieces(units, monkeypatch)[:-1]) == {2}


def test_a_unit_above_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that the plan does not allow would be a shape of their own."""
    with pytest.raises(TrainingError, match="more records than the 3 that the plan allows"):
        _pieces(torch.tensor([0, 0, 0, 0, 1, 2]), monkeypatch)


def test_micro_batches_never_split_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pieces, the clipped sum is the same."""
    corpus = Corpus(_LENGTHS)

    def change(size: int) -> Tensor:
        monkeypatch.setattr("distillation.dp.trainer._MICRO_BATCH", size)
        found = train_privately(
            student(Family.BERT),
            lambda module, rows: corpus.losses(module, rows, _OBJECTIVES["soft"]),
            records=6,
            steps=1,
            terms=_terms(0.5, noise_multiplier=Decimal("1e-12")),
            optimizer=LocalOptimizer(learning_rate=1.0),
            stream=SecureStream(),
            units=_PERSONS,
        )
        return torch.cat([value.flatten() for value in found.values()])

    torch.testing.assert_close(change(1), change(512), rtol=1e-4, atol=1e-6)


def test_an_optimizer_of_other_tensors_is_found_after_one_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that does not move the module's own tensors stops the training."""
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self, closure=None: None)
    with pytest.raises(TrainingError, match=r"did not move.*weight"):
        train_privately(
            nn.Linear(2, 1),
            lambda module, rows: module(torch.ones(len(rows), 2)).squeeze(-1),
            records=4,
            steps=1,
            terms=_terms(noise_multiplier=Decimal(1)),
            optimizer=LocalOptimizer(learning_rate=1.0),
            stream=SecureStream(),
        )


class _Counter(Student):
    """Counts its batches in a buffer that its state does not show."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Embedding(30, 8)))
        self.register_buffer("count", torch.zeros(1), persistent=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        self.count += ids.float().mean()
        return super().forward(ids, mask)


def test_a_buffer_that_changes_is_refused() -> None:
    """It would carry one step's records to the next, past the noise."""
    with pytest.raises(TrainingError, match="count"):
        _train(_Counter(), Corpus(_LENGTHS))
