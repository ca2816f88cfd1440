"""An ensemble of classifiers as one teacher: the weighted mean of their distributions.

Every objective then works on the mixture (Hinton, Vinyals, Dean 2015, section 5). All experts read
the same tokens and know the same classes, in any order; the first one's order is the student's.
Hidden states, and the student that is cut, are the first one's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from distillation.errors import TeacherError
from distillation.model_files import ModelFiles
from distillation.objectives.ensemble import mixture
from distillation.teacher import ClassifierTeacher, load_tokenizer
from distillation.tokens import Batch
from distillation.vocabularies import require_rows, same_reading


class EnsembleTeacher(ClassifierTeacher):
    """Several classifiers that answer as one.

    Guarantees: those of `ClassifierTeacher`: the mixture is made batch by batch, within the
    forward pass that is checked for its independence of company.
    """

    def __init__(self, experts: Sequence[ClassifierTeacher], weights: Sequence[float]) -> None:
        """Take classifiers over one set of classes.

        Raises:
            TeacherError: If there are none, or one knows other classes.
        """
        if not experts:
            raise TeacherError("expected at least one teacher, got none")
        self._experts, self._weights = tuple(experts), tuple(weights)
        super().__init__(experts[0].model)
        self._columns = [self._order(number) for number in range(len(experts))]

    @classmethod
    def load(cls, files: ModelFiles) -> "EnsembleTeacher":
        """Load every expert.

        Raises:
            TeacherError: If one is no classifier, reads other tokens, or knows other classes.
        """
        tokenizer = load_tokenizer(files.experts[0].files)
        experts = []
        for number, expert in enumerate(files.experts, start=1):
            if expert.files.gguf is not None:
                raise TeacherError(
                    f"expected classifiers in safetensors, teacher {number} is the GGUF file "
                    f"{expert.files.gguf}, which holds a language model: leave it out"
                )
            own = load_tokenizer(expert.files)
            if not same_reading(tokenizer, own):
                raise TeacherError(
                    f"expected all teachers of a mixture to have one tokenizer, teacher {number} "
                    "has another than the first: records are read once, so mix teachers of one "
                    "tokenizer, or name one teacher"
                )
            experts.append(ClassifierTeacher.load(expert.files))
            require_rows(own, experts[-1].model, f"teacher {number}")
        return cls(experts, [float(expert.weight) for expert in files.experts])

    def require_room(self, max_tokens: int) -> None:
        """Check that records of up to ``max_tokens`` fit every expert.

        Raises:
            TeacherError: If one has fewer positions.
        """
        super().require_room(max_tokens)
        for expert in self._experts[1:]:
            expert.require_room(max_tokens)

    @torch.no_grad()
    def _answer_batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mixture's log-probabilities (B, K) and the first expert's features (B, H)."""
        said = [expert._answer_batch(batch) for expert in self._experts]
        own = [
            log_probs[:, columns]
            for (log_probs, _), columns in zip(said, self._columns, strict=True)
        ]
        return mixture([each.unsqueeze(1) for each in own], self._weights).squeeze(1), said[0][1]

    def _order(self, number: int) -> list[int]:
        """Return where an expert has each of the first one's classes."""
        names = self._experts[number].outcomes
        lacking = [name for name in self.outcomes if name not in names]
        further = [name for name in names if name not in self.outcomes]
        if lacking or further:
            raise TeacherError(
                f"expected all teachers of a mixture to know the same classes, teacher "
                f"{number + 1} lacks {_said(lacking)} and has {_said(further)} beside the first "
                "one's: rename the classes in its config.json, or leave it out"
            )
        return [names.index(name) for name in self.outcomes]


def _said(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return shown or "none"
