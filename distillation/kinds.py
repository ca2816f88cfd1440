"""The closed choices of a study, free of heavy imports, so that a wrong study fails at once."""

from enum import StrEnum


class Task(StrEnum):
    """What the student does."""

    CLASSIFICATION = "classification"


class Train(StrEnum):
    """Which tensors are trained privately."""

    HEAD = "head"
    LAST = "last"
