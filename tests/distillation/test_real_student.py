"""The demo's own encoder and student, on real titles: what the tiny ones show holds here too."""

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from distillation.classifier_part import classifier_part
from distillation.dp.clipping import Clipping, wrap
from distillation.kinds import TRAINED, Task, Train
from distillation.model_files import ModelFiles, locate
from distillation.objectives import Objective, Targets
from distillation.students import MeanPoolClassifier, cut_student
from distillation.teacher import ClassifierTeacher, load_tokenizer
from distillation.tokens import Tokens, tokenize
from simulations.demo_data import ENCODER_PACKAGE, read_titles

pytestmark = pytest.mark.slow
_CLASSES = tuple("abcdefg")


@pytest.fixture(scope="module")
def files() -> ModelFiles:
    return locate(f"package:{ENCODER_PACKAGE}")


@pytest.fixture(scope="module")
def student(files: ModelFiles) -> MeanPoolClassifier:
    encoder = AutoModel.from_pretrained(files.folder, add_pooling_layer=False)
    student = cut_student(encoder, layers=[0, 5], classes=_CLASSES, feature_scale=8.0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        student.head.weight.copy_(torch.randn(student.head.weight.shape, generator=generator) / 8)
    return student


@pytest.fixture(scope="module")
def tokens(files: ModelFiles) -> Tokens:
    texts = [title.text for title in read_titles()[::120]]
    return tokenize(texts, load_tokenizer(files), max_tokens=64)


@pytest.mark.parametrize("clipping", Clipping)
@pytest.mark.parametrize("train", TRAINED[Task.CLASSIFICATION])
def test_per_record_gradients_equal_brute_force(
    student: MeanPoolClassifier, tokens: Tokens, train: Train, clipping: Clipping
) -> None:
    """For every trained part, at the demo's temperature."""
    few = Tokens(tokens.ids[:6], tokens.padding)
    part = classifier_part(student, train, max_tokens=32)
    inputs = part.inputs(few)
    log_probs = torch.randn(6, 7, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    targets = Targets.of_classes(log_probs, torch.full((6,), -1))
    objective = Objective(soft=1.0, temperature=2.0)
    brute: list[list[Tensor]] = []
    for row in range(6):
        part.module.zero_grad()
        only = torch.tensor([row])
        logits = part.logits(part.module, inputs[only])
        objective.per_record(logits, targets[only]).sum().backward()
        brute.append([p.grad.clone() for p in part.module.parameters() if p.grad is not None])
    part.module.zero_grad()
    inputs.values.requires_grad_()
    wrapped = wrap(part.module, clipping)
    objective.per_record(part.logits(wrapped, inputs), targets).sum().backward()
    for index, p in enumerate(q for q in part.module.parameters() if q.requires_grad):
        expected = torch.stack([row[index] for row in brute])
        kept = vars(p)["grad_sample"]
        found = kept if isinstance(kept, Tensor) else kept.written_out()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_real_titles_are_labelled_alike_in_any_company(
    student: MeanPoolClassifier, tokens: Tokens
) -> None:
    """Real lengths, real weights: not one bit of a label depends on the other titles."""
    teacher = ClassifierTeacher(student)
    among = teacher.answer(tokens).log_probs
    for rows in ([7], [7, 8], list(range(len(tokens) - 1, -1, -1))):
        some = Tokens(tuple(tokens.ids[row] for row in rows), tokens.padding)
        assert torch.equal(teacher.answer(some).log_probs, among[rows])
