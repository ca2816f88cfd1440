"""The public stage in which further teachers answer prompts; what they write is an artifact.

It is made once a run and read back when a run is resumed, so that the student's warm-up is the
same whoever repeats it.
"""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from distillation.data import artifact
from distillation.data.public_text import Declaration, PublicText, declared
from distillation.errors import RecordsError
from distillation.language.answers import Asking, answer_prompts
from distillation.language.teacher import CausalTeacher
from distillation.language.text import Form, read_language
from distillation.model_files import locate
from distillation.planning import recipe_of
from distillation.study import Study
from distillation.teacher import load_tokenizer
from distillation.vocabularies import require_rows
from simulations.progress import Advance


def answered_texts(
    study: Study, tokenizer: PreTrainedTokenizerBase, path: Path, done: Advance
) -> tuple[str, ...]:
    """Return the answers of every teacher that the study names for it, in the study's form.

    Args:
        study: The study.
        tokenizer: The student's.
        path: Where the texts are written, or were.
        done: Told the share that is done.

    Raises:
        RecordsError: If prompts cannot be used or no answer is left.
        TeacherError: If a teacher cannot be had, or cannot answer.
        ArtifactError: If the file there is damaged.
    """
    if not path.exists():
        found = list[PublicText]()
        for place, _ in enumerate(study.warm_up.answers):
            found += _answered(study, place, tokenizer)
            done((place + 1) / len(study.warm_up.answers))
        artifact.write(path, found)
    return tuple(text.text for text in artifact.read(path))


def _answered(
    study: Study, place: int, tokenizer: PreTrainedTokenizerBase
) -> tuple[PublicText, ...]:
    said, recipe = study.warm_up.answers[place], recipe_of(study)
    files = locate(said.model, revision=said.revision, base=study.base)
    teacher, own = CausalTeacher.load(files), load_tokenizer(files)
    require_rows(own, teacher.model, "answering teacher")
    form = Form(recipe.template or Form.TEXT)
    prompts = declared(
        study.base / said.prompts,
        said.text,
        Declaration(origin=Path(said.prompts).name, reason=said.public_because),
    )

    def reads(cell: str) -> bool:
        try:
            read_language([cell], tokenizer, form=form, max_tokens=recipe.max_tokens)
        except RecordsError:
            return False
        return True

    asking = Asking(
        teacher_sha256=files.weights_sha256, form=form, max_new_tokens=said.max_new_tokens
    )
    return answer_prompts(prompts, teacher, own, asking, reads=reads).texts
