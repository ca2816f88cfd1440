"""Do teacher and student read text alike? If not, their distributions are over different things.

A token's number means the same to both only if both have the same vocabulary: soft labels are
compared number by number. So two tokenizers are refused unless they name every number alike.
"""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.errors import TeacherError
from distillation.model_files import ModelFiles
from distillation.teacher import load_tokenizer


def shared_tokenizer(
    teacher: ModelFiles, student: ModelFiles, model: PreTrainedModel
) -> PreTrainedTokenizerBase:
    """Return the tokenizer that teacher and student share.

    Args:
        teacher: The teacher's files.
        student: The student's.
        model: The student.

    Raises:
        TeacherError: If there is none, or they have not the same.
    """
    tokenizer, own = load_tokenizer(teacher), load_tokenizer(student)
    require_same_vocabulary(tokenizer, own)
    require_rows(own, model, "student")
    return tokenizer


def require_same_vocabulary(
    teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase
) -> None:
    """Check that both tokenizers give every token the same number.

    Raises:
        TeacherError: Saying how they differ.
    """
    theirs, ours = teacher.get_vocab(), student.get_vocab()
    if theirs == ours:
        return
    raise TeacherError(
        f"expected teacher and student to share one vocabulary, got {len(theirs)} and {len(ours)} "
        f"tokens, of which {len(theirs.items() & ours.items())} have the same number: soft labels "
        "are compared number by number, so cut the student from this teacher, or choose a teacher "
        "with the student's tokenizer"
    )


def same_reading(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Return whether both tokenizers give every token the same number and the same special role."""
    roles = [(each.get_vocab(), each.special_tokens_map) for each in (one, other)]
    return roles[0] == roles[1]


def require_rows(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, whose: str) -> None:
    """Check that a model has an embedding for every token of the tokenizer beside it.

    Raises:
        TeacherError: If it has fewer.
    """
    rows = int(model.get_input_embeddings().num_embeddings)  # type: ignore[arg-type]  # a Module
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= rows:
        raise TeacherError(
            f"expected the {whose}'s tokenizer to number its tokens below {rows}, as the model's "
            f"embeddings do, got {largest}: this is another model's tokenizer"
        )
