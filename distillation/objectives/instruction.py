"""Instruction: a conversation as one record, with the loss on the assistant's turns only.

The chat template decides where a turn begins and ends: the text is rendered once whole and once up
to each turn, and a token is the assistant's if it lies between the two. A template that renders
an earlier turn otherwise once a later one is there is refused: its masks would mean nothing.

Source: the loss on completions alone is that of Wei and others 2021 ("FLAN"). Several turns stay
one record, so that one conversation has one clipped gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from distillation.errors import RecordsError
from distillation.objectives.values import UNLABELLED

_ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says; ``role`` is "system", "user" or "assistant"."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """One record as tokens.

    Attributes:
        ids: Its token ids.
        answers: Which of them the assistant says, the end of its turn included.
    """

    ids: tuple[int, ...]
    answers: tuple[bool, ...]


def read_conversation(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase) -> Conversation:
    """Render ``turns`` with the tokenizer's chat template.

    Raises:
        RecordsError: If there is no template, no turn of the assistant or one before all others,
            or the template renders earlier turns otherwise when later ones follow.
    """
    if not any(turn.role == _ASSISTANT for turn in turns) or turns[0].role == _ASSISTANT:
        raise RecordsError(
            "expected a conversation with at least one turn of the assistant, and none before "
            "somebody else has spoken"
        )
    whole = _render(turns, tokenizer, ask=False)
    spans = _answer_spans(turns, whole, tokenizer)
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = encoded["input_ids"]
    offsets: list[tuple[int, int]] = encoded["offset_mapping"]
    # A token that straddles a border is the assistant's only if it begins inside its turn.
    answers = tuple(
        start < end and any(first <= start < last for first, last in spans)
        for start, end in offsets
    )
    return Conversation(tuple(ids), answers)


def next_token_targets(conversations: Sequence[Conversation]) -> tuple[Tensor, Tensor]:
    """Return reference and mask, each (B, T): position t predicts the token at t + 1.

    Only predictions of the assistant's tokens are in the mask; T is the longest record's length,
    so that logits of the padded batch fit as they are.
    """
    longest = max(len(each.ids) for each in conversations)
    reference = torch.full((len(conversations), longest), UNLABELLED)
    mask = torch.zeros(len(conversations), longest, dtype=torch.bool)
    for row, each in enumerate(conversations):
        answered = torch.tensor(each.answers[1:], dtype=torch.bool)
        mask[row, : len(answered)] = answered
        following = torch.tensor(each.ids[1:], dtype=torch.int64)
        reference[row, : len(answered)] = torch.where(answered, following, UNLABELLED)
    return reference, mask


def _answer_spans(
    turns: Sequence[Turn], whole: str, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[int, int]]:
    """Return where in ``whole`` the assistant speaks, in characters."""
    spans = []
    for place, turn in enumerate(turns):
        if turn.role != _ASSISTANT:
            continue
        before = _render(turns[:place], tokenizer, ask=True)
        after = _render(turns[: place + 1], tokenizer, ask=False)
        if not (after.startswith(before) and whole.startswith(after)):
            raise RecordsError(
                "expected a chat template that renders a turn alike whatever follows it; this one "
                "changes earlier turns, so the assistant's tokens cannot be told apart: use the "
                "template of an instruction model without hidden reasoning"
            )
        spans.append((len(before), len(after.rstrip())))  # the line end is the template's
    return spans


def _render(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, *, ask: bool) -> str:
    if not tokenizer.chat_template:
        raise RecordsError("expected a tokenizer with a chat template, this one has none")
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask))
