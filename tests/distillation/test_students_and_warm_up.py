"""Students are cut from teachers, learn in the open, and load in one line."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from distillation.classifier_part import classifier_part
from distillation.errors import TeacherError, TrainingError
from distillation.kinds import TRAINED, Task, Train
from distillation.students import cut_student, encoder_layers, load_classifier
from distillation.teacher import Answers, ClassifierTeacher
from distillation.warm_up import WarmUp, warm_up
from tests.distillation import tiny


def test_a_student_keeps_the_chosen_layers() -> None:
    """Its layers are the teacher's, bit by bit; its head knows nothing yet."""
    encoder = tiny.encoder()
    student = cut_student(encoder, layers=[0, 2], classes=tiny.CLASSES, feature_scale=1.0)
    for new, old in enumerate([0, 2]):
        kept = encoder_layers(student.encoder)[new].state_dict()
        for name, value in encoder_layers(encoder)[old].state_dict().items():
            assert torch.equal(kept[name], value)

    assert not student.head.weight.any()


@pytest.mark.parametrize("layers", [[], [3], [1, 0], [0, 0], [-1]])
def test_layers_that_are_not_there_are_refused(layers: list[int]) -> None:
    """Missing, doubled or descending layers are named."""
    with pytest.raises(TeacherError, match=r"student\.layers"):
        cut_student(tiny.encoder(), layers=layers, classes=tiny.CLASSES, feature_scale=1.0)


def test_a_student_loads_in_one_line(tmp_path: Path) -> None:
    """What was saved gives the same logits through transformers' own class."""
    student, batch = tiny.student_model(), torch.ones(2, 5, dtype=torch.int64)
    student.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)

    assert torch.equal(loaded(batch, batch).logits, student(batch, batch).logits)


def test_a_folder_without_a_classifier_is_refused(tmp_path: Path) -> None:
    """An empty folder and a pickle are no teacher."""
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(TeacherError):
        load_classifier(tmp_path)


def test_the_trained_part_alone_is_the_student() -> None:
    """Frozen inputs and the trained part give the logits of the whole student."""
    student, tokens = tiny.student_model(), tiny.tokens(12)
    whole = ClassifierTeacher(student).answer(tokens).log_probs
    for train in TRAINED[Task.CLASSIFICATION]:
        part = classifier_part(student, train, max_tokens=32)
        logits = part.logits(part.module, part.inputs(tokens))
        torch.testing.assert_close(logits.log_softmax(-1), whole, atol=1e-5, rtol=1e-4)


def test_what_was_trained_is_written_back() -> None:
    """Loading a vector and writing it back changes the student's own tensors, and only those."""
    student = tiny.student_model()
    part = classifier_part(student, Train.LAST, max_tokens=32)
    before = {name: p.clone() for name, p in student.named_parameters()}
    part.load(part.vector() + 1)
    part.write_back()
    changed = {n for n, p in student.named_parameters() if not torch.equal(p, before[n])}

    assert changed == {name for name, _ in part.layout.tensors}


def test_warm_up_brings_the_student_closer_and_leaves_embeddings_alone() -> None:
    """The teacher's answers are matched better; the embeddings are the same bits."""
    teacher, tokens = ClassifierTeacher(tiny.teacher_model()), tiny.tokens(40)
    answers = teacher.answer(tokens)
    student = cut_student(tiny.encoder(), layers=[0, 2], classes=tiny.CLASSES, feature_scale=4.0)
    embeddings = student.encoder.embeddings.word_embeddings.weight.clone()
    far = _distance(ClassifierTeacher(student).answer(tokens), answers)
    shares: list[float] = []
    settings = WarmUp(epochs=10, batch_size=8)
    warm_up(
        student, tokens, answers, settings,
        shuffle=torch.Generator().manual_seed(0), progress=shares.append,
    )  # fmt: skip

    assert _distance(ClassifierTeacher(student).answer(tokens), answers) < far / 2
    assert torch.equal(student.encoder.embeddings.word_embeddings.weight, embeddings)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_no_epoch_leaves_the_student_as_it_was_cut() -> None:
    """Then every tensor is the teacher's, and all of them can still be trained."""
    student, tokens = tiny.student_model(), tiny.tokens(4)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    answers = ClassifierTeacher(tiny.teacher_model()).answer(tokens)
    warm_up(student, tokens, answers, WarmUp(epochs=0), shuffle=torch.Generator())

    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert all(p.requires_grad for p in student.parameters())


def test_the_order_is_the_only_chance_in_a_warm_up() -> None:
    """The same seed gives the same student, bit by bit; another seed another one."""

    def weights(seed: int) -> torch.Tensor:
        student, tokens = tiny.student_model(), tiny.tokens(20)
        answers = ClassifierTeacher(tiny.teacher_model()).answer(tokens)
        shuffle = torch.Generator().manual_seed(seed)
        warm_up(student, tokens, answers, WarmUp(epochs=1, batch_size=4), shuffle=shuffle)
        return student.head.weight.detach()

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_without_the_feature_term_the_width_does_not_matter() -> None:
    """A student of another hidden size learns from the distribution alone."""
    tokens, student = tiny.tokens(6), tiny.student_model()
    answers = Answers(torch.zeros(6, 1, 3).log_softmax(-1), torch.zeros(6, 99))
    far = ClassifierTeacher(student).answer(tokens).log_probs.std()
    settings = WarmUp(epochs=20, feature_weight=0.0)
    warm_up(student, tokens, answers, settings, shuffle=torch.Generator().manual_seed(0))

    assert ClassifierTeacher(student).answer(tokens).log_probs.std() < far


def test_features_of_another_width_are_refused() -> None:
    """A feature term between different hidden sizes is an error, not a broadcast."""
    tokens = tiny.tokens(4)
    answers = Answers(torch.zeros(4, 1, 3), torch.zeros(4, 99))
    with pytest.raises(TrainingError, match="feature_weight"):
        warm_up(tiny.student_model(), tokens, answers, WarmUp(epochs=1), shuffle=torch.Generator())


def _distance(one: Answers, other: Answers) -> float:
    return float((one.log_probs.exp() - other.log_probs.exp()).abs().sum())
