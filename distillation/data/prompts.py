"""From declared-public titles to texts with the teacher's answers: generate, filter, ask, filter.

The teacher alone is asked; what comes out follows from public files, the tokenizer and the teacher,
so it costs no ε whatever the student learns from it. What the teacher itself remembers of its own
training texts is another matter: see the lineage of teachers and the audits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedTokenizerBase

from distillation.data.duplicates import Nearness, without_duplicates
from distillation.data.filters import Certainty, Form, Kept, Reason, sure_rows, well_formed
from distillation.data.public_text import PublicText, require_public
from distillation.data.word_mix import WordMix, whole_words, word_mix
from distillation.errors import RecordsError
from distillation.teacher import Answers, ClassifierTeacher, Progress
from distillation.tokens import Tokens, tokenize


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlan:
    """How public prompts are made; public constants.

    Attributes:
        count: How many generated texts are tried, before the filters; 0: curated ones alone.
        seed: Of the generator.
        mix: How a generated text is put together.
        form: What a text must look like.
        nearness: When two are alike.
        certainty: How sure the teacher must be of a generated text; curated ones are all kept.
    """

    count: int
    seed: int = 0
    mix: WordMix = field(default_factory=WordMix)
    form: Form = field(default_factory=Form)
    nearness: Nearness = field(default_factory=Nearness)
    certainty: Certainty = field(default_factory=Certainty)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise RecordsError(f"expected a count of generated texts >= 0, got {self.count}")


@dataclass(frozen=True, slots=True)
class Answered:
    """Public texts with what the teacher says of them, ready for the warm-up.

    Attributes:
        texts: The curated ones first.
        tokens: Theirs.
        answers: The teacher's.
        dropped: How many generated texts were taken away, by reason.
    """

    texts: tuple[PublicText, ...]
    tokens: Tokens
    answers: Answers
    dropped: Mapping[Reason, int]


def generated_prompts(
    curated: Sequence[PublicText],
    tokenizer: PreTrainedTokenizerBase,
    plan: PromptPlan,
    *,
    held_out: Sequence[PublicText] = (),
) -> Kept:
    """Return the generated texts that pass every filter but the teacher's, without the curated.

    Args:
        curated: Declared-public texts, at least one unless the plan's count is 0.
        tokenizer: The teacher's, for its words.
        plan: How texts are generated and filtered.
        held_out: The public test set: no generated text is like one of these.

    Raises:
        RecordsError: If a text is not declared public, or the tokenizer has no whole words.
    """
    curated, held_out = require_public(curated), require_public(held_out)
    if not plan.count:
        return Kept((), {})
    words = whole_words(tokenizer.get_vocab(), plan.mix)
    made = word_mix(curated, words, count=plan.count, settings=plan.mix, seed=plan.seed)
    formed = well_formed(made, plan.form)
    kept = without_duplicates(formed.texts, plan.nearness, against=(*curated, *held_out))
    return Kept(kept.texts, Counter(formed.dropped) + Counter(kept.dropped))


def answered_prompts(
    curated: Sequence[PublicText],
    teacher: ClassifierTeacher,
    tokenizer: PreTrainedTokenizerBase,
    plan: PromptPlan,
    *,
    max_tokens: int,
    held_out: Sequence[PublicText] = (),
    progress: Progress = lambda share: None,
) -> Answered:
    """Return curated and generated texts with the teacher's answers.

    Args:
        curated: Declared-public texts, at least one.
        teacher: Whose answers are wanted.
        tokenizer: The teacher's.
        plan: How texts are generated and filtered.
        max_tokens: Longest text, in tokens.
        held_out: The public test set: no generated text is like one of these.
        progress: Called with the share that is done.

    Raises:
        RecordsError: If a text is not declared public or longer than ``max_tokens``, or there is
            no curated one.
    """
    curated = require_public(curated)
    if not curated:
        raise RecordsError("expected at least one curated public text, got none")
    made = generated_prompts(curated, tokenizer, plan, held_out=held_out)
    texts = (*curated, *made.texts)
    tokens = tokenize([text.text for text in texts], tokenizer, max_tokens=max_tokens)
    answers = teacher.answer(tokens, progress)
    sure = sure_rows(answers.log_probs[len(curated) :], plan.certainty)
    unsure = len(made.texts) - len(sure)
    dropped = Counter(made.dropped) + Counter({Reason.UNSURE_TEACHER: unsure})
    rows = [*range(len(curated)), *(len(curated) + row for row in sure)]
    chosen = torch.tensor(rows)
    return Answered(
        tuple(texts[row] for row in rows),
        Tokens(tuple(tokens.ids[row] for row in rows), tokens.padding),
        Answers(answers.log_probs[chosen], answers.features[chosen]),
        dropped,
    )
