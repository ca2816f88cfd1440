"""The tables ``[[warm_up.answers]]`` of a study: teachers that answer public prompts as text."""

from dataclasses import dataclass

from distillation.study_file import Bounds, key
from distillation.teacher_table import ModelTable


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersTable(ModelTable):
    """One teacher, of any vocabulary, that answers public prompts for a student's warm-up."""

    prompts: str = key("A CSV, JSONL or Parquet file of declared-public prompts.")
    text: str = key("Its column of the prompt.", default="text")
    public_because: str = key("Why everybody may see the prompts; the texts' file says so.")
    max_new_tokens: int = key(
        "Longest answer, in this teacher's tokens.", default=32, bounds=Bounds(least=1, most=512)
    )

    def __post_init__(self) -> None:
        ModelTable.__post_init__(self)
        if not self.public_because.strip():
            raise ValueError(
                "public_because: expected why the prompts are public, such as a licence, got "
                "nothing: private records must never be prompts"
            )
