"""What a student is asked to match, one loss a record; each kind of term is a file of its own."""

from distillation.objectives.objective import Objective, Weighted
from distillation.objectives.values import UNLABELLED, Outputs, Targets, Term

__all__ = ["UNLABELLED", "Objective", "Outputs", "Targets", "Term", "Weighted"]
