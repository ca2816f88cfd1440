"""The tables of a study that say what is learned and how: student, objective, optimizer.

The other tables, and what holds for all of them, are in `distillation.study_tables`.
"""

from dataclasses import dataclass
from decimal import Decimal

from distillation.answers_table import AnswersTable
from distillation.kinds import ServerRule, Train
from distillation.study_file import Bounds, check_bounds, key

FROM_TEACHER = "teacher"
"""The value of student.from that names no folder."""

RANK, TRAINED_LAYERS, FEATURE_SCALE = 8, 1, Decimal(8)
"""Where the study says nothing."""

_AT_LEAST_ONE = Bounds(least=1)
_NOT_NEGATIVE = Bounds(least=0)
_POSITIVE = Bounds(above=0)
_SHARE = Bounds(least=0, most=1)
_MOMENTUM = Bounds(least=0, below=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentTable:
    """What the student is made of, and which part of it learns privately."""

    from_: str = key(
        "What the student starts from: `teacher`, from whose layers it is cut, or the folder of an "
        "earlier run, whose released student goes on.",
        default=FROM_TEACHER,
    )
    layers: tuple[int, ...] = key(
        "Which of the teacher's layers it keeps, from 0, ascending; needed where it is cut from "
        "the teacher.",
        default=(),
    )
    train: Train = key(
        "Which tensors are trained privately: of a classifier the `head` alone, or with the "
        "layers' `norms`, low-rank adapters (`lora`) or the whole `last` layer; of a language "
        "model the same without the head, which is frozen.",
        default=Train.HEAD,
        later=("all-but-embeddings", "all"),
    )
    rank: int = key(
        "Rank of the adapters; for `lora` only.", default=RANK, bounds=Bounds(least=1, most=512)
    )
    trained_layers: int = key(
        "How many of the student's top layers have adapters, or trained norms; for `lora` and "
        "`norms` only.",
        default=TRAINED_LAYERS,
        bounds=_AT_LEAST_ONE,
    )
    feature_scale: Decimal = key(
        "Length of the pooled features of a student that is cut from its teacher.",
        default=FEATURE_SCALE,
        bounds=_POSITIVE,
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.from_ != FROM_TEACHER:
            self._check_going_on()
            return
        ascending = tuple(sorted(set(self.layers)))
        if not self.layers or self.layers != ascending or self.layers[0] < 0:
            raise ValueError(
                "layers: expected numbers of layers, from 0, ascending, each once, such as "
                f"[0, 5]; got {list(self.layers)[:40]}"
            )
        if self.trained_layers > len(self.layers):
            raise ValueError(
                f"trained_layers: expected at most the student's {len(self.layers)} layers, got "
                f"{self.trained_layers}"
            )

    def _check_going_on(self) -> None:
        if not self.from_.strip():
            raise ValueError("from: expected 'teacher' or the folder of an earlier run, got none")
        if self.layers:
            raise ValueError(
                "layers: a student that goes on from an earlier run keeps the layers it has: "
                'remove this key, or cut a new student with from = "teacher"'
            )
        if self.feature_scale != FEATURE_SCALE:
            raise ValueError(
                "feature_scale: a student that goes on from an earlier run keeps its own: remove "
                "this key"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsTable:
    """What is kept of the teacher's distribution over a vocabulary; for language models."""

    top_k: int = key(
        "k: how many of the most likely tokens are kept at a position; all others are one more.",
        default=50,
        bounds=Bounds(least=1, most=4096),
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TermTable:
    """One more term of the objective, as `[[objective.more]]`; each has its own constants."""

    term: str = key(
        "`reverse`, `generalised-jsd`, `blend`, `brier`, `entropy-smoothing`, `soft`, `hard` and "
        "`label` at a temperature of their own, or, where hidden states are trained, "
        "`feature-cosine` and `feature-distance`."
    )
    weight: Decimal = key("Its weight.", bounds=_POSITIVE)
    temperature: Decimal | None = key(
        "T; for `soft`, `reverse`, `generalised-jsd` and `blend`.", default=None, bounds=_POSITIVE
    )
    alpha: Decimal | None = key(
        "The teacher's share of a `blend`; the label has the rest.", default=None, bounds=_SHARE
    )
    beta: Decimal | None = key(
        "The teacher's share of the mixture in `generalised-jsd`.", default=None, bounds=_SHARE
    )
    strength: Decimal | None = key(
        "How much of the label `entropy-smoothing` spreads at most.", default=None, bounds=_SHARE
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveTable:
    """What the student imitates: a weighted sum, of which at least one weight is above 0."""

    soft: Decimal = key(
        "Weight of the teacher's soft labels.", default=Decimal(1), bounds=_NOT_NEGATIVE
    )
    hard: Decimal = key(
        "Weight of the teacher's most likely class.", default=Decimal(0), bounds=_NOT_NEGATIVE
    )
    label: Decimal = key(
        "Weight of the given label, where there is one; needs `data.private.label`.",
        default=Decimal(0),
        bounds=_NOT_NEGATIVE,
    )
    temperature: Decimal = key(
        "T, of the soft labels.",
        default=Decimal(2),
        bounds=_POSITIVE,
    )
    more: tuple[TermTable, ...] = key("Further terms, as below.", default=())

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.soft + self.hard + self.label and not self.more:
            raise ValueError(
                "expected a weight above 0, got soft, hard and label all 0: there would be "
                "nothing to learn; set soft = 1.0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerTable:
    """SGD in a region; at the server a rule on the mean of what the regions changed.

    The server's part is post-processing: whatever it is, it costs no ε.
    """

    learning_rate: Decimal | None = key(
        "Of a region's private steps; absent: where only a `head` is trained, by plain steps, so "
        "large that the noise of the whole run moves a logit by 0.4 and one step by no more than "
        "12, whatever ε is; else 1.",
        default=None,
        bounds=_POSITIVE,
    )
    momentum: Decimal = key("Of a region's private steps.", default=Decimal(0), bounds=_MOMENTUM)
    server: ServerRule = key("The server's rule.", default=ServerRule.SGD)
    server_learning_rate: Decimal = key("Of the server.", default=Decimal(1), bounds=_POSITIVE)
    server_momentum: Decimal = key(
        "Of the server; with `adam` the memory of the mean (β₁).",
        default=Decimal(0),
        bounds=_MOMENTUM,
    )
    server_second_momentum: Decimal = key(
        "Memory of the squares (β₂); for `adam` only.", default=Decimal("0.99"), bounds=_MOMENTUM
    )
    server_adaptivity: Decimal = key(
        "What is added to the root of the squares (τ); for `adam` only.",
        default=Decimal("0.001"),
        bounds=_POSITIVE,
    )
    average: int = key(
        "The student that is released is the mean of those after the last so many rounds.",
        default=1,
        bounds=Bounds(least=1, most=64),
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpTable:
    """Training on public data before the first round; it costs no ε."""

    epochs: int = key("Passes over the public data; 0: none.", default=5, bounds=_NOT_NEGATIVE)
    batch_size: int = key("Public records in one step.", default=32, bounds=_AT_LEAST_ONE)
    learning_rate: Decimal = key(
        "Of the student's layers.", default=Decimal("0.0003"), bounds=_POSITIVE
    )
    head_learning_rate: Decimal = key("Of its head.", default=Decimal("0.01"), bounds=_POSITIVE)
    feature_weight: Decimal = key(
        "Weight of the feature term: 1 less the cosine between the student's and the teacher's "
        "embedding.",
        default=Decimal(10),
        bounds=_NOT_NEGATIVE,
    )
    seed: int = key(
        "Order of the public records, and the words of generated ones.",
        default=0,
        bounds=_NOT_NEGATIVE,
    )
    generated: int = key(
        "How many further public texts are generated for the teacher to answer, before filters: "
        "words of its tokenizer beside words of public texts. For classification only; needs "
        "`data.public.origin` and `reason`.",
        default=0,
        bounds=Bounds(least=0, most=1_000_000),
    )
    answers: tuple[AnswersTable, ...] = key(
        "Teachers that answer public prompts for it, as below; for language models.", default=()
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.generated and not self.epochs:
            raise ValueError(
                f"generated: expected epochs >= 1 to learn from {self.generated} generated texts, "
                "got 0: nothing would be learned from them; set epochs, or generated = 0"
            )
