"""The recipe: what a region does between receiving weights and releasing a delta.

It travels out of band, as one canonical JSON file; its hash is in the plan that the steward
approves, so that nobody can change a learning rate or an objective afterwards.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from distillation.dp.trainer import LocalOptimizer
from distillation.errors import ArtifactError, TrainingError
from distillation.kinds import Task, Train
from distillation.objectives import Objective, Weighted
from distillation.objectives.registry import build, describe
from privacy.canonical import Json, dumps, loads
from privacy.errors import MalformedDocumentError

_KIND = "stillroom/recipe/v1"
_KEYS = {
    "kind", "task", "train", "max_tokens", "template", "soft", "hard", "label", "temperature",
    "learning_rate", "momentum",
}  # fmt: skip
_COUNTS = ("rank", "trained_layers", "top_k")
_OPTIONAL = {*_COUNTS, "more"}
"""Only written where they say something: a recipe without them has the bytes it always had."""

_UNREADABLE = (
    ArithmeticError, KeyError, MalformedDocumentError, TrainingError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Public constants of local training.

    Attributes:
        task: What the student does.
        train: Which tensors are trained.
        max_tokens: Longest record, in tokens.
        objective: Weights and temperature.
        optimizer: Local optimizer.
        template: How a record becomes the teacher's input; empty: as it is.
        rank: Of the low-rank adapters; 0: there are none.
        trained_layers: From how many of the top layers tensors are trained; 0: as ``train`` says.
        top_k: Outcomes that a soft label keeps at a position, beside the rest; 0: all.
    """

    task: Task
    train: Train
    max_tokens: int
    objective: Objective
    optimizer: LocalOptimizer
    template: str = ""
    rank: int = 0
    trained_layers: int = 0
    top_k: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ArtifactError(f"expected a recipe with max_tokens >= 1, got {self.max_tokens}")
        if min(self.rank, self.trained_layers, self.top_k) < 0:
            raise ArtifactError("expected no negative rank, trained_layers or top_k in a recipe")
        if self.train is Train.LORA and not self.rank:
            raise ArtifactError("expected a recipe of adapters with their rank, got none")

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        said: dict[str, Json] = {
            "kind": _KIND,
            "task": self.task.value,
            "train": self.train.value,
            "max_tokens": self.max_tokens,
            "template": self.template,
            "soft": _text(self.objective.soft),
            "hard": _text(self.objective.hard),
            "label": _text(self.objective.label),
            "temperature": _text(self.objective.temperature),
            "learning_rate": _text(self.optimizer.learning_rate),
            "momentum": _text(self.optimizer.momentum),
        }
        said |= {key: getattr(self, key) for key in _COUNTS if getattr(self, key)}
        if self.objective.more:
            said["more"] = [_term(each) for each in self.objective.more]
        return dumps(said)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Recipe":
        """Read a recipe.

        Raises:
            ArtifactError: If the bytes are not the canonical JSON of a recipe of this version.
        """
        try:
            recipe = cls._read(data)
        except _UNREADABLE as error:
            raise ArtifactError(
                f"expected a recipe of kind {_KIND}, got something else: was it made by another "
                "release, or edited?"
            ) from error
        if recipe.to_bytes() != data:
            raise ArtifactError("the recipe is not in canonical form: it was edited by hand")
        return recipe

    @classmethod
    def _read(cls, data: bytes) -> "Recipe":
        found = loads(data)
        if not isinstance(found, dict) or found.keys() - _OPTIONAL != _KEYS:
            raise ValueError("wrong keys")
        if found["kind"] != _KIND:
            raise ValueError("another kind")
        number = {
            key: float(Decimal(str(found[key])))
            for key in ("soft", "hard", "label", "temperature", "learning_rate", "momentum")
        }
        return cls(
            task=Task(str(found["task"])),
            train=Train(str(found["train"])),
            max_tokens=int(str(found["max_tokens"])),
            template=str(found["template"]),
            objective=Objective(
                soft=number["soft"],
                hard=number["hard"],
                label=number["label"],
                temperature=number["temperature"],
                more=_further(found.get("more", [])),
            ),
            optimizer=LocalOptimizer(
                learning_rate=number["learning_rate"], momentum=number["momentum"]
            ),
            **{key: int(str(found.get(key, 0))) for key in _COUNTS},
        )


def at_rate(recipe: Recipe, rate: float) -> Recipe:
    """Return the recipe with another learning rate."""
    return replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=rate))


def _term(each: Weighted) -> dict[str, Json]:
    """Return a further term as the registry describes it, with its weight."""
    return {"weight": _text(each.weight), **describe(each.term)}


def _further(found: Json) -> tuple[Weighted, ...]:
    if not isinstance(found, list):
        raise TypeError("expected a list of terms")
    terms = []
    for item in found:
        if not isinstance(item, Mapping):
            raise TypeError("expected a term")
        said = {key: str(value) for key, value in item.items() if key != "weight"}
        terms.append(Weighted(float(Decimal(str(item["weight"]))), build(said)))
    return tuple(terms)


def _text(value: float) -> str:
    """Return the shortest decimal string that reads back as the same float."""
    return repr(float(value))
