"""A real encoder, teacher and student, small enough for milliseconds; random weights."""

import torch
from transformers import BertConfig, BertModel

from distillation.classifier_part import classifier_part
from distillation.kinds import Train
from distillation.students import MeanPoolClassifier, MeanPoolConfig, cut_student
from distillation.tokens import Tokens
from distillation.trained_part import TrainedPart

VOCABULARY = 60
CLASSES = ("a", "b", "c")


def encoder(*, layers: int = 3, seed: int = 0) -> BertModel:
    """Return a BERT with hidden size 16."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=64,
        )
        model = BertModel(config, add_pooling_layer=False)
        model.train(False)
        return model


def teacher_model(*, seed: int = 0) -> MeanPoolClassifier:
    """Return a classifier over `CLASSES` with a random head."""
    body = encoder(seed=seed)
    config = MeanPoolConfig(
        encoder=body.config.to_dict(),
        feature_scale=4.0,
        id2label=dict(enumerate(CLASSES)),
        label2id={name: index for index, name in enumerate(CLASSES)},
    )
    model = MeanPoolClassifier(config)
    model.encoder.load_state_dict(body.state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.head.weight.copy_(torch.randn(model.head.weight.shape, generator=generator))
    model.train(False)
    return model


def student_model(*, seed: int = 0) -> MeanPoolClassifier:
    """Return a student with the teacher's layers 0 and 2 and a random head."""
    student = cut_student(encoder(seed=seed), layers=[0, 2], classes=CLASSES, feature_scale=4.0)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        student.head.weight.copy_(torch.randn(student.head.weight.shape, generator=generator))
    return student


def part(train: Train) -> TrainedPart:
    """Return the trained part of a tiny student, for records of up to 32 tokens."""
    return classifier_part(student_model(), train, max_tokens=32)


def tokens(count: int, *, seed: int = 0, longest: int = 20) -> Tokens:
    """Return ``count`` random records of 2 to ``longest`` tokens."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        length = int(torch.randint(2, longest + 1, (1,), generator=generator))
        ids = torch.randint(1, VOCABULARY, (length,), generator=generator)
        rows.append(tuple(int(i) for i in ids))
    return Tokens(tuple(rows), padding=0)
