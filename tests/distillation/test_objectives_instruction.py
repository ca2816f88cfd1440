"""A conversation is one record, and only what the assistant says is in its loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from distillation.errors import RecordsError
from distillation.objectives import UNLABELLED
from distillation.objectives.instruction import (
    Conversation,
    Turn,
    next_token_targets,
    read_conversation,
)

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As templates of reasoning models do: what the assistant said before the last turn is changed.
_FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] if loop.last or m['role'] != 'assistant' else '...' }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _tokenizer(template: str | None = _CHATML) -> PreTrainedTokenizerBase:
    """Return a tokenizer of single bytes and two marks."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    marks = ["<|im_start|>", "<|im_end|>"]
    vocabulary = {symbol: number for number, symbol in enumerate([*marks, *alphabet])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(marks)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
    tokenizer.chat_template = template
    return tokenizer


def _said(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the mask keeps, as text."""
    kept = [token for token, own in zip(conversation.ids, conversation.answers, strict=True) if own]
    return str(tokenizer.decode(kept))


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<|>"), min_size=1).map(
    lambda text: f"[{text}]"
)


_HEADERS = (
    "{% for m in messages %}<h>{{ m['role'] }}</h>\n\n{{ m['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<h>assistant</h>\n\n{% endif %}"
)
_BRACKETS = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[ASK] {{ m['content'] }} [/ASK]"
    "{% else %} {{ m['content'] }}</s>{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        (_CHATML, "{}<|im_end|>"),
        (_HEADERS, "{}<|im_end|>"),
        (_BRACKETS, " {}</s>"),
    ],
    ids=["marks", "headers", "brackets"],
)
def test_the_loss_is_on_the_answers_of_any_template(template: str, answer: str) -> None:
    """Several turns: role marks, headers without a line end, and answers that nothing opens."""
    tokenizer = _tokenizer(template)
    turns = [
        Turn("user", "a?"),
        Turn("assistant", "b."),
        Turn("user", "c?"),
        Turn("assistant", "d"),
    ]
    conversation = read_conversation(turns, tokenizer)

    assert _said(conversation, tokenizer) == answer.format("b.") + answer.format("d")


@settings(max_examples=40, deadline=None)
@given(
    turns=st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), _TEXT), max_size=5),
    last=_TEXT,
)
def test_the_mask_keeps_what_the_assistant_says_and_its_ends(turns: list[Turn], last: str) -> None:
    """For any turns in any language: the answers with their end marks, and nothing else."""
    tokenizer = _tokenizer()
    whole = [Turn("user", "?"), *turns, Turn("assistant", last)]
    conversation = read_conversation(whole, tokenizer)
    expected = "".join(f"{turn.text}<|im_end|>" for turn in whole if turn.role == "assistant")

    assert _said(conversation, tokenizer) == expected


def test_a_position_predicts_the_token_after_it() -> None:
    """Reference and mask are shifted by one; questions and padding are in neither."""
    first = Conversation((5, 6, 7, 8), (False, False, True, True))
    second = Conversation((5, 9), (False, True))
    reference, mask = next_token_targets([first, second])

    assert reference.tolist() == [
        [UNLABELLED, 7, 8, UNLABELLED],
        [9, UNLABELLED, UNLABELLED, UNLABELLED],
    ]
    assert torch.equal(mask, reference != UNLABELLED)


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    """Its masks would point at other tokens than those that are trained on."""
    turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d")]
    with pytest.raises(RecordsError, match="earlier turns"):
        read_conversation(turns, _tokenizer(_FORGETFUL))


def test_no_answer_or_no_template_is_refused() -> None:
    """There must be something to learn, and a template that says how it looks."""
    with pytest.raises(RecordsError, match="at least one turn"):
        read_conversation([Turn("user", "a")], _tokenizer())
    with pytest.raises(RecordsError, match="somebody else"):
        read_conversation([Turn("assistant", "a")], _tokenizer())
    with pytest.raises(RecordsError, match="chat template"):
        read_conversation([Turn("user", "a"), Turn("assistant", "b")], _tokenizer(None))
