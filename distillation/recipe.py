"""The recipe: what a region does between receiving weights and releasing a delta.

It travels out of band, as one canonical JSON file; its hash is in the plan that the steward
approves, so that nobody can change a learning rate or an objective afterwards.
"""

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from distillation.dp.trainer import LocalOptimizer
from distillation.errors import ArtifactError, TrainingError
from distillation.kinds import Task, Train
from distillation.objectives import Objective
from privacy.canonical import dumps, loads
from privacy.errors import MalformedDocumentError

_KIND = "stillroom/recipe/v1"
_KEYS = {
    "kind", "task", "train", "max_tokens", "template", "soft", "hard", "label", "temperature",
    "learning_rate", "momentum",
}  # fmt: skip


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
    """

    task: Task
    train: Train
    max_tokens: int
    objective: Objective
    optimizer: LocalOptimizer
    template: str = ""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ArtifactError(f"expected a recipe with max_tokens >= 1, got {self.max_tokens}")

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return dumps(
            {
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
        )

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
        if not isinstance(found, dict) or found.keys() != _KEYS or found["kind"] != _KIND:
            raise ValueError("wrong keys")
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
            ),
            optimizer=LocalOptimizer(
                learning_rate=number["learning_rate"], momentum=number["momentum"]
            ),
        )


def _text(value: float) -> str:
    """Return the shortest decimal string that reads back as the same float."""
    return repr(float(value))
