"""The seam between tasks: both kits fit it, refuse each other's parts, and go on after a kill."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch.nn.functional import kl_div

from distillation.classification_kit import ClassificationKit
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.errors import TeacherError, TrainingError
from distillation.held_out import held_out
from distillation.kinds import TRAINED, Task, Train
from distillation.kit import Kit, Labelling, kit_of
from distillation.labels import LabelCache, LabelSource
from distillation.language.teacher import CausalTeacher
from distillation.language_kit import LanguageKit, LanguageTeacher, at_every_position
from distillation.model_files import ModelFiles, locate
from distillation.objectives import Objective, Targets
from distillation.recipe import Recipe
from distillation.records import Records
from distillation.teacher import ClassifierTeacher
from distillation.tokens import LONGEST, Tokens
from distillation.top_k import TokenTargets, TopK, per_record
from distillation.warm_up import WarmUp
from distillation.workbench import Workbench
from privacy.noise import SecureStream
from tests.distillation import tiny
from tests.simulations import tiny_language_study

_K = 5
_SETTINGS = WarmUp(epochs=1)


def _recipe(
    task: Task, train: Train, *, rank: int = 0, trained_layers: int = 0, top_k: int = 0
) -> Recipe:
    return Recipe(
        task=task,
        train=train,
        max_tokens=12,
        objective=Objective(soft=1.0, label=0.5),
        optimizer=LocalOptimizer(learning_rate=0.5),
        rank=rank,
        trained_layers=trained_layers,
        top_k=top_k,
    )


_LORA = _recipe(Task.LANGUAGE_MODEL, Train.LORA, rank=2, trained_layers=1, top_k=_K)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """Return a tiny causal model on disk."""
    folder = tmp_path_factory.mktemp("teacher")
    tiny_language_study.write_teacher(folder)
    return locate(str(folder))


@pytest.fixture
def teacher(files: ModelFiles) -> LanguageTeacher:
    return LanguageKit().load_teacher(files)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[LabelCache]:
    path = tmp_path / "labels.db"
    with LabelCache(path, secret=bytes(32), clock=lambda: 0, retention_s=10) as opened:
        yield opened


def _records(count: int) -> Records:
    names = tuple(f"r:{row}" for row in range(count))
    return Records(
        ids=names, texts=names, labels=(None,) * count, units=names, regions=("",) * count
    )


def test_every_task_has_a_kit() -> None:
    """The table is whole, and each kit is a `Kit` for the type checker and here."""
    found: dict[Task, Kit] = {task: kit_of(task) for task in Task}

    assert isinstance(found[Task.CLASSIFICATION], ClassificationKit)
    assert isinstance(found[Task.LANGUAGE_MODEL], LanguageKit)
    assert found[Task.CLASSIFICATION].form(_LORA) == ""
    assert found[Task.LANGUAGE_MODEL].form(_LORA) == "top-5 at temperature 1.0"


def test_a_task_refuses_the_other_tasks_teacher(
    teacher: LanguageTeacher, files: ModelFiles
) -> None:
    """A classifier kit takes no language model and the reverse; each says what it expected."""
    classifier = ClassificationKit()
    with pytest.raises(TeacherError, match="weight of the classifier"):
        classifier.load_teacher(files)
    with pytest.raises(TeacherError, match="expected a classifier as the teacher"):
        classifier.held_out(None, teacher, tiny.tokens(1), _records(1), _LORA, lambda share: None)  # type: ignore[arg-type]
    with pytest.raises(TeacherError, match="GGUF"):
        classifier.load_teacher(ModelFiles(Path(), "", "", gguf="model.gguf"))
    with pytest.raises(TeacherError, match="remove the key"):
        classifier.prepare_teacher(
            teacher, tiny.tokens(1), _SETTINGS, seed=0, done=lambda share: None
        )


def test_parts_of_equal_students_are_equal(teacher: LanguageTeacher) -> None:
    """Everyone makes the same start: adapters come from a public seed."""
    kit = LanguageKit()
    student = teacher.model
    first, second = (kit.part(student, _LORA) for _ in range(2))

    assert first.layout == second.layout
    assert (first.vector() == second.vector()).all()
    assert all("lora_" in name for name, _ in first.layout.tensors)


def test_a_labelling_that_was_killed_goes_on(
    teacher: LanguageTeacher, cache: LabelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is kept before the next: only the rest is asked for, and no label is another's."""
    monkeypatch.setattr("distillation.language_kit._ASKED", 4)
    asked, left = list[int](), [2]
    original = CausalTeacher.label

    def dying(causal: CausalTeacher, some: Tokens, *, k: int, temperature: float) -> list[TopK]:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        asked.append(len(some))
        return original(causal, some, k=k, temperature=temperature)

    monkeypatch.setattr(CausalTeacher, "label", dying)
    with pytest.raises(KeyboardInterrupt):
        _targets(teacher, tiny.tokens(10, longest=12), cache)
    left[0] = 9
    found = _targets(teacher, tiny.tokens(10, longest=12), cache)
    again = _targets(teacher, tiny.tokens(10, longest=12), cache)

    assert asked == [4, 4, 2]
    assert torch.equal(found.labels.log_probs, again.labels.log_probs)
    assert torch.equal(found.labels.log_tail, again.labels.log_tail)


def _targets(teacher: LanguageTeacher, tokens: Tokens, cache: LabelCache) -> TokenTargets:
    kit = LanguageKit()
    labelling = Labelling(cache, LabelSource("t" * 64, "v" * 64, form=kit.form(_LORA)))
    records = _records(len(tokens))
    return kit.targets(teacher, tokens, records, _LORA, labelling, positions=12)


def test_no_label_is_another_records(teacher: LanguageTeacher, cache: LabelCache) -> None:
    """Though the shortest records are asked for first, each row has its own labels and tokens."""
    tokens = tiny.tokens(10, longest=12)
    found = _targets(teacher, tokens, cache)
    whole = teacher.causal.label(tokens, k=_K, temperature=1.0)

    for row, label in enumerate(whole):
        own = len(tokens.ids[row])
        assert torch.equal(found.labels.ids[row, :own], label.ids)
        torch.testing.assert_close(
            found.labels.log_probs[row, :own], label.log_probs, atol=0.02, rtol=0.01
        )  # the cache keeps fewer digits
        assert tuple(found.reference[row, : own - 1].tolist()) == tokens.ids[row][1:]
        assert found.mask[row].tolist() == [True] * (own - 1) + [False] * (13 - own)


def test_a_language_teacher_answers_in_one_shape(teacher: LanguageTeacher) -> None:
    """Whoever knows no task compares its answers: bits, shape and sum are the record's own."""
    tokens = tiny.tokens(3, longest=12)
    answers = teacher.answer(tokens).log_probs
    alone = teacher.answer(tokens.rows([1])).log_probs

    assert answers.shape[:2] == (3, LONGEST)
    assert torch.equal(answers[1:2], alone)
    own = answers[0, : len(tokens.ids[0])].exp().sum(dim=-1)
    torch.testing.assert_close(own, torch.ones(len(own)), atol=1e-5, rtol=0)
    assert len(teacher.outcomes) == tiny.VOCABULARY


@pytest.mark.parametrize("train", TRAINED[Task.LANGUAGE_MODEL])
def test_every_part_of_a_language_model_trains_privately(
    teacher: LanguageTeacher, train: Train, cache: LabelCache
) -> None:
    """The delta is the layout's, finite, and the student written back says what the part says."""
    recipe = _recipe(Task.LANGUAGE_MODEL, train, rank=2, trained_layers=1, top_k=_K)
    kit, tokens = LanguageKit(), tiny.tokens(6, longest=12)
    part = kit.part(teacher.model, recipe)
    inputs, start = part.inputs(tokens), part.vector()
    labelling = Labelling(cache, LabelSource("t" * 64, "v" * 64, form=kit.form(recipe)))
    targets = kit.targets(
        teacher, tokens, _records(6), recipe, labelling, positions=inputs.mask.shape[1]
    )
    terms = StepTerms(
        noise_multiplier=Decimal(1),
        clip_norm=Decimal("0.1"),
        sample_rate=Fraction(1, 2),
        public_size=6,
    )
    delta = Workbench(inputs, targets).private_update(
        part, start, recipe, steps=2, terms=terms, stream=SecureStream()
    )
    logits = part.logits(part.module, inputs).detach()
    part.write_back()
    ids = torch.tensor([tokens.ids[0]])
    with torch.no_grad():
        whole = teacher.model(input_ids=ids).logits[0]

    assert delta.shape == (part.layout.size,)
    assert 0 < abs(delta).max() < 5
    torch.testing.assert_close(whole, logits[0, : ids.shape[1]], atol=1e-4, rtol=1e-3)


def test_one_distribution_stands_at_every_position(teacher: LanguageTeacher) -> None:
    """The made-up records of the self-test train a language student by its own loss."""
    part = LanguageKit().part(teacher.model, _LORA)
    tokens = tiny.tokens(4, longest=12)
    chance = torch.Generator().manual_seed(0)
    log_probs = torch.randn(4, tiny.VOCABULARY, generator=chance).log_softmax(-1)
    targets = Targets.of_classes(log_probs, torch.arange(4))
    bench = Workbench(part.inputs(tokens), targets)
    losses = bench.losses(part, part.module, torch.arange(4), _LORA)
    spread = at_every_position(targets, bench.inputs.mask, _LORA.objective, k=_K)
    logits = part.logits(part.module, bench.inputs)

    torch.testing.assert_close(losses, per_record(logits, spread, _LORA.objective))
    assert isinstance(spread, TokenTargets)
    with pytest.raises(TrainingError, match="top-k labels of tokens"):
        _ = Workbench(bench.inputs, spread).classes


def test_a_classifiers_part_refuses_top_k_labels() -> None:
    """Another task's targets are no classes: said, not broadcast."""
    recipe = _recipe(Task.CLASSIFICATION, Train.HEAD)
    part = ClassificationKit().part(tiny.student_model(), recipe)
    inputs = part.inputs(tiny.tokens(2))
    label = TopK.of(torch.randn(2, 1, 3).log_softmax(-1), k=2)
    targets = TokenTargets(label, torch.zeros(2, 1, dtype=torch.int64), inputs.mask)
    with pytest.raises(TrainingError, match="another task's part"):
        Workbench(inputs, targets).losses(part, part.module, torch.arange(2), recipe)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (_LORA, "adapters of rank 2 on the last layer"),
        (
            _recipe(Task.LANGUAGE_MODEL, Train.NORMS, trained_layers=2, top_k=_K),
            "the norms of the last 2 layers and the final norm",
        ),
        (
            _recipe(Task.LANGUAGE_MODEL, Train.LAST, top_k=_K),
            "the last layer and the final norm",
        ),
        (_recipe(Task.CLASSIFICATION, Train.HEAD), "the classification head"),
        (
            _recipe(Task.CLASSIFICATION, Train.LAST),
            "the last layer and the classification head",
        ),
        (
            _recipe(Task.CLASSIFICATION, Train.NORMS, trained_layers=1),
            "the norms of the last layer and the classification head",
        ),
        (
            _recipe(Task.CLASSIFICATION, Train.LORA, rank=3, trained_layers=2),
            "adapters of rank 3 on the last 2 layers and the classification head",
        ),
    ],
)
def test_what_is_trained_is_said_in_words(recipe: Recipe, words: str) -> None:
    """The report names the tensors that private records may change."""
    assert kit_of(recipe.task).describe_part(recipe) == words


@pytest.mark.parametrize(("train", "rank"), [(Train.NORMS, 0), (Train.LORA, 3)])
def test_a_classifiers_part_is_what_its_recipe_says(train: Train, rank: int) -> None:
    """Its layers, its rank and its length."""
    recipe = _recipe(Task.CLASSIFICATION, train, rank=rank, trained_layers=2)
    part = ClassificationKit().part(tiny.student_model(), recipe)
    shapes = [shape for name, shape in part.layout.tensors if "lora_A" in name]
    numbers = {name.split(".layer.")[1][0] for name, _ in part.layout.tensors if "layer." in name}

    assert numbers == {"0", "1"}
    assert {shape[0] for shape in shapes} == ({rank} if rank else set())
    assert part.length == recipe.max_tokens


def test_the_divergence_from_the_teacher_is_torchs() -> None:
    """Mean KL(teacher ‖ student) of a classifier's test set, as `torch.nn.functional` has it."""
    recipe, student = _recipe(Task.CLASSIFICATION, Train.HEAD), tiny.student_model()
    part, tokens = ClassificationKit().part(student, recipe), tiny.tokens(5)
    teacher = ClassifierTeacher(tiny.teacher_model())
    labels = [row % 3 for row in range(5)]
    test = held_out(part, part.inputs(tokens), labels, teacher.answer(tokens).log_probs)
    ours = torch.from_numpy(test.probabilities(part.vector())).log()
    expected = kl_div(ours, torch.from_numpy(test.teacher), reduction="batchmean")

    assert test.divergence(part.vector()) == pytest.approx(float(expected))
    assert float(expected) > 0
