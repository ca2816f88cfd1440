"""A head of the demo's size, a recipe and terms, made up; and the faults that are audited."""

from decimal import Decimal
from fractions import Fraction

from transformers import BertConfig

from distillation.audit.white_box import AuditTerms
from distillation.classifier_part import HeadPart
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.kinds import Task, Train
from distillation.objectives import Objective
from distillation.recipe import Recipe
from distillation.students import MeanPoolClassifier, MeanPoolConfig
from privacy.guarantee import Guarantee

TERMS = StepTerms(
    noise_multiplier=Decimal(1),
    clip_norm=Decimal("0.5"),
    sample_rate=Fraction(1, 25),
    public_size=2000,
)
AUDIT = AuditTerms(
    claim=Guarantee(Decimal("5.254"), Decimal("0.00001")),
    steps=400,
    date="2026-01-31",
    who="a test",
)
"""The setting of the design's table: σ = 1, q = 0.04, T = 400, ε = 5.25."""

RECIPE = Recipe(
    task=Task.CLASSIFICATION,
    train=Train.HEAD,
    max_tokens=16,
    objective=Objective(soft=1.0),
    optimizer=LocalOptimizer(learning_rate=0.1, momentum=0.9),
)


def head(*, width: int = 384, outcomes: int = 21) -> HeadPart:
    """Return an untrained head; its encoder is never asked."""
    config = BertConfig(
        vocab_size=30,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    return HeadPart(
        MeanPoolClassifier(
            MeanPoolConfig(
                encoder=config.to_dict(), id2label=dict(enumerate(map(str, range(outcomes))))
            )
        )
    )
