"""How long the trainer's self-test takes, for a head and for an encoder's last layer.

The student has the sizes of the encoders that regions use (384 wide, 12 heads) and random weights;
the tests are the ones that a region runs. Costs are CPU seconds of one thread; of several runs the
best counts: other work on the machine can only make one slower.
"""

from __future__ import annotations

import one_thread  # noqa: F401  # before numpy

# isort: split
import time
from decimal import Decimal
from fractions import Fraction

import torch
from measure import options, publish, say
from transformers import BertConfig, BertModel

from distillation.classifier_part import classifier_part
from distillation.dp.conformance import check_trainer
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.kinds import Task, Train
from distillation.objectives import Objective
from distillation.recipe import Recipe
from distillation.students import MeanPoolClassifier, cut_student
from distillation.teacher import ClassifierTeacher

_CLASSES = ("a", "b", "c")
_TARGET_S = 5.0
_TERMS = StepTerms(
    noise_multiplier=Decimal("1.1"),
    clip_norm=Decimal("0.5"),
    sample_rate=Fraction(1, 50),
    public_size=1000,
)


def main() -> None:
    """Measure and print."""
    asked = options(__doc__ or "")
    turns = 2 if asked.quick else 5
    found = {train.value: measured(train, turns=turns) for train in (Train.HEAD, Train.LAST)}
    for name, figures in found.items():
        say(
            f"{name:<6}{figures['trained_parameters']:>10} trained parameters "
            f"{figures['cpu_s']:6.2f} CPU s (target {_TARGET_S:g})"
        )
    publish({"self_test": found, "target_s": _TARGET_S, "turns": turns}, asked.out)


def measured(train: Train, *, turns: int) -> dict[str, float]:
    """Return the cost of one self-test, after one that warms up.

    Raises:
        ConformanceError: If the trainer fails it; no figure is given then.
    """
    student = _model()
    part, teacher = classifier_part(student, train, max_tokens=32), ClassifierTeacher(_model())
    recipe = Recipe(
        task=Task.CLASSIFICATION,
        train=train,
        max_tokens=64,
        objective=Objective(soft=1.0, label=0.5, temperature=2.0),
        optimizer=LocalOptimizer(learning_rate=0.5, momentum=0.9),
    )
    least = float("inf")
    for turn in range(turns + 1):
        began = time.process_time()
        check_trainer(part, recipe, _TERMS, teacher=teacher).require()
        if turn:
            least = min(least, time.process_time() - began)
    return {"trained_parameters": part.layout.size, "cpu_s": least}


def _model() -> MeanPoolClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of random weights
        config = BertConfig(
            vocab_size=1000,
            hidden_size=384,
            num_hidden_layers=2,
            num_attention_heads=12,
            intermediate_size=1536,
            max_position_embeddings=64,
        )
        encoder = BertModel(config, add_pooling_layer=False)
        encoder.train(False)
        model = cut_student(encoder, layers=[0, 1], classes=_CLASSES, feature_scale=4.0)
        torch.nn.init.normal_(model.head.weight)
    model.train(False)
    return model


if __name__ == "__main__":
    main()
