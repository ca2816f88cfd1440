"""The trained part is a copy with the student's names; what it learned is what is saved."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from distillation.classifier_part import classifier_part
from distillation.errors import ArtifactError, TrainingError
from distillation.kinds import TRAINED, Task, Train
from distillation.students import MeanPoolClassifier
from distillation.teacher import ClassifierTeacher
from distillation.tokens import Tokens
from distillation.trained_part import TrainedPart
from tests.distillation import tiny


@pytest.fixture(params=TRAINED[Task.CLASSIFICATION])
def part(request: pytest.FixtureRequest) -> TrainedPart:
    return tiny.part(request.param)


def _moved(part: TrainedPart) -> np.ndarray:
    noise = np.random.default_rng(0).normal(scale=0.1, size=part.layout.size)
    return part.vector() + noise.astype(np.float32)


def test_the_layout_names_tensors_of_the_student(part: TrainedPart) -> None:
    """Every name and shape is a parameter of the student, with the student's values at first.

    Adapters lie beside the student's linear layers and change nothing at first.
    """
    own = dict(part.student.named_parameters())
    tensors = part.layout.unflatten(part.vector())
    beside = {name for name in tensors if ".lora_" in name}

    assert tensors.keys() - beside <= own.keys()
    assert all(torch.equal(tensors[name], own[name]) for name in tensors.keys() - beside)
    assert {f"{name.partition('.lora_')[0]}.weight" for name in beside} <= own.keys()
    assert all(
        name.endswith(".lora_A.default.weight") or not tensors[name].any() for name in beside
    )


def test_the_head_alone_or_with_tensors_of_the_last_layers() -> None:
    """Nothing below is trained: three classes over sixteen features, and what was asked for."""
    student = tiny.student_model()
    head = classifier_part(student, Train.HEAD, max_tokens=32).layout
    layers = student.encoder.encoder.layer
    width = layers[1].intermediate.dense.out_features
    kept = {"head.bias", "head.weight"}
    beside = {
        Train.LAST: sum(p.numel() for p in layers[1].parameters()),
        Train.NORMS: 2 * 2 * 16,
        Train.LORA: 3 * (4 * (16 + 16) + 2 * (16 + width)),
    }

    assert {name for name, _ in head.tensors} == kept
    assert head.size == 3 * 16 + 3
    for train, count in beside.items():
        names = {
            name
            for name, _ in classifier_part(student, train, max_tokens=32, rank=3).layout.tensors
        }
        assert (
            classifier_part(student, train, max_tokens=32, rank=3).layout.size == head.size + count
        )
        assert {name.split(".layer.")[1][0] for name in names - kept} == {"1"}


@pytest.mark.parametrize("train", [Train.NORMS, Train.LORA, Train.LAST])
def test_as_many_layers_as_there_are_may_have_trained_tensors(train: Train) -> None:
    """Of the tiny student's two layers one or both; the student's answers stay what they are."""
    student, tokens = tiny.student_model(), tiny.tokens(9)
    whole = ClassifierTeacher(student).answer(tokens).log_probs
    part = classifier_part(student, train, max_tokens=32, layers=2)
    logits = part.logits(part.module, part.inputs(tokens)).log_softmax(-1)
    numbers = {name.split(".layer.")[1][0] for name, _ in part.layout.tensors if "layer." in name}

    assert numbers == {"0", "1"}
    torch.testing.assert_close(logits, whole, atol=1e-5, rtol=1e-4)
    for count in (0, 3):
        with pytest.raises(TrainingError, match="1 to 2 of the last layers"):
            classifier_part(student, train, max_tokens=32, layers=count)


def test_a_vector_is_loaded_as_it_is(part: TrainedPart) -> None:
    """What was set is what is read, bit by bit; another size is refused."""
    vector = _moved(part)
    part.load(vector)

    assert np.array_equal(part.vector(), vector)
    with pytest.raises(ArtifactError, match="expected a vector"):
        part.load(vector[:-1])


def test_training_a_copy_does_not_touch_the_student(part: TrainedPart) -> None:
    """Nor its frozen inputs: they are the same before and after other weights were loaded."""
    tokens = tiny.tokens(9)
    before = {name: p.detach().clone() for name, p in part.student.named_parameters()}
    inputs = part.inputs(tokens)
    part.load(_moved(part))

    assert torch.equal(part.inputs(tokens).values, inputs.values)
    assert all(torch.equal(p, before[name]) for name, p in part.student.named_parameters())


def test_the_inputs_have_one_row_a_record(part: TrainedPart) -> None:
    """As many positions as the part needs: one pooled, or one a token; the rest is zero."""
    tokens = tiny.tokens(9)
    inputs = part.inputs(tokens)
    needed = [len(ids) if inputs.mask.shape[1] > 1 else 1 for ids in tokens.ids]

    assert inputs.mask.sum(dim=1).tolist() == needed
    assert not inputs.values[~inputs.mask].any()
    assert len(inputs[torch.tensor([3, 1])]) == 2


def test_no_record_sets_the_shape_of_the_others(part: TrainedPart) -> None:
    """Alone or beside a long record, the inputs are the same bits in the same public shape."""
    tokens = tiny.tokens(9)
    longest = max(range(9), key=lambda row: len(tokens.ids[row]))
    others = [row for row in range(9) if row != longest]
    alone = part.inputs(Tokens(tuple(tokens.ids[row] for row in others), tokens.padding))

    assert alone.values.shape[1] == alone.mask.shape[1] == part.length
    assert torch.equal(alone.values, part.inputs(tokens).values[others])


@pytest.mark.parametrize("train", [Train.NORMS, Train.LORA, Train.LAST])
def test_a_record_above_the_public_length_is_refused(train: Train) -> None:
    """Its positions would be another shape for everybody."""
    part = classifier_part(tiny.student_model(), train, max_tokens=7)
    with pytest.raises(TrainingError, match="at most 7 tokens"):
        part.inputs(tiny.tokens(9))


def test_the_saved_student_answers_as_the_trained_part(part: TrainedPart, tmp_path: Path) -> None:
    """Loaded by transformers in another process, it gives what was measured in this one."""
    tokens, vector = tiny.tokens(12), _moved(part)
    part.load(vector)
    logits = part.logits(part.module, part.inputs(tokens)).log_softmax(-1)
    part.write_back()
    part.student.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)

    assert isinstance(loaded, MeanPoolClassifier)
    torch.testing.assert_close(
        ClassifierTeacher(loaded).answer(tokens).log_probs, logits, atol=1e-5, rtol=1e-4
    )
