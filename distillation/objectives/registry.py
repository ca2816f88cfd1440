"""The closed table of terms: a new objective is its file and one line here.

The names stand in recipes, so they are never renamed or reused. A term's constants are numbers
and travel as text, the shortest that reads back as the same number.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

from distillation.errors import TrainingError
from distillation.objectives.blend import Blend
from distillation.objectives.brier import Brier
from distillation.objectives.features import FeatureCosine, FeatureDistance
from distillation.objectives.generalised_jsd import GeneralisedJsd
from distillation.objectives.hard import TeacherChoice
from distillation.objectives.label import Label
from distillation.objectives.reverse import ReverseKl
from distillation.objectives.smoothing import EntropySmoothing
from distillation.objectives.soft import ForwardKl
from distillation.objectives.values import Term

TERMS: Final[Mapping[str, Callable[..., Term]]] = MappingProxyType(
    {
        "soft": ForwardKl,
        "reverse": ReverseKl,
        "generalised-jsd": GeneralisedJsd,
        "hard": TeacherChoice,
        "label": Label,
        "blend": Blend,
        "feature-cosine": FeatureCosine,
        "feature-distance": FeatureDistance,
        "brier": Brier,
        "entropy-smoothing": EntropySmoothing,
    }
)


def describe(term: Term) -> dict[str, str]:
    """Return a term as its name and its constants, all text; `build` reads it back.

    Raises:
        TrainingError: If the term is not in the table.
    """
    for name, kind in TERMS.items():
        if type(term) is kind:
            return {"term": name} | {c: repr(float(getattr(term, c))) for c in constants(name)}
    raise TrainingError(f"expected one of the terms {', '.join(TERMS)}, got another kind of term")


def build(found: Mapping[str, str]) -> Term:
    """Return the term that `describe` described.

    Raises:
        TrainingError: If the name or a constant is unknown or missing, or a value is refused.
    """
    name = found.get("term", "")
    if name not in TERMS:
        raise TrainingError(f"expected one of the terms {', '.join(TERMS)}, got '{name}'")
    values = {key: value for key, value in found.items() if key != "term"}
    if values.keys() != set(constants(name)):
        raise TrainingError(
            f"expected the constants {list(constants(name))} for '{name}', got {sorted(values)}"
        )
    try:
        numbers = {key: float(Decimal(value)) for key, value in values.items()}
    except InvalidOperation:
        raise TrainingError(f"expected numbers as the constants of '{name}'") from None
    return TERMS[name](**numbers)


def constants(name: str) -> tuple[str, ...]:
    """Return the names of a term's constants, in the order of its definition."""
    fields: Mapping[str, object] = getattr(TERMS[name], "__dataclass_fields__", {})
    return tuple(fields)
