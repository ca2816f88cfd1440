"""The closed choices of a study, free of heavy imports, so that a wrong study fails at once."""

from collections.abc import Mapping
from enum import StrEnum


class Task(StrEnum):
    """What the student does."""

    CLASSIFICATION = "classification"
    LANGUAGE_MODEL = "language-model"


class Train(StrEnum):
    """Which tensors are trained privately."""

    HEAD = "head"
    LAST = "last"
    LORA = "lora"
    NORMS = "norms"


class Template(StrEnum):
    """How a record's text becomes what a model reads, and what of it counts."""

    TEXT = "text"
    CHAT = "chat"
    CHAT_WHOLE = "chat-whole"


class ServerRule(StrEnum):
    """How the mean of the regions' changes moves the student."""

    SGD = "sgd"
    ADAM = "adam"


TRAINED: Mapping[Task, tuple[Train, ...]] = {
    Task.CLASSIFICATION: (Train.HEAD, Train.NORMS, Train.LORA, Train.LAST),
    Task.LANGUAGE_MODEL: (Train.LORA, Train.LAST, Train.NORMS),
}
"""The trained sets that each task offers."""
