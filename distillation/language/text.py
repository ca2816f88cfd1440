"""Records for language models: text or chats as token ids, and which tokens count.

A chat is one text cell: a JSON list of messages, ``[{"role": "user", "content": "…"}, …]``, in the
form that chat templates take. It stays one record, so that it has one clipped gradient. Nothing is
packed or cut: packing would put two records into one loss.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from transformers import PreTrainedTokenizerBase

from distillation.errors import RecordsError
from distillation.objectives.instruction import Turn, read_conversation
from distillation.tokens import Tokens

_ROLES = ("system", "user", "assistant")


class Form(StrEnum):
    """How a text cell becomes tokens, and which of them count."""

    TEXT = "text"
    CHAT = "chat"
    CHAT_WHOLE = "chat-whole"


@dataclass(frozen=True, slots=True)
class LanguageTokens(Tokens):
    """The tokens of n records, and which of them are to be predicted.

    Attributes:
        counts: For each token, whether predicting it is part of the record's loss; the first one
            has nothing before it and never counts.
    """

    counts: tuple[tuple[bool, ...], ...]

    def __post_init__(self) -> None:
        pairs = zip(self.ids, self.counts, strict=True)
        if any(len(ids) != len(counts) or counts[0] for ids, counts in pairs):
            raise RecordsError("expected to know of every token but the first whether it counts")

    def rows(self, rows: Sequence[int]) -> "LanguageTokens":
        """Return the tokens of these records."""
        ids = tuple(self.ids[row] for row in rows)
        return LanguageTokens(ids, self.padding, tuple(self.counts[row] for row in rows))


def counts_of(tokens: Tokens) -> tuple[tuple[bool, ...], ...]:
    """Return which tokens are to be predicted: all but the first where nothing else is said."""
    if isinstance(tokens, LanguageTokens):
        return tokens.counts
    return tuple(_all_but_first(ids) for ids in tokens.ids)


def read_language(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, form: Form, max_tokens: int
) -> LanguageTokens:
    """Turn text cells into records; nothing is cut off silently.

    Args:
        texts: One a record.
        tokenizer: The teacher's, which the student shares.
        form: Plain text with an end token, a chat whose assistant's turns count, or a chat in
            which every token counts.
        max_tokens: The longest record.

    Raises:
        RecordsError: If a cell is no such record, too long, or nothing in it counts; names rows,
            never text.
    """
    read = [_read(text, row, tokenizer, form) for row, text in enumerate(texts, start=1)]
    _require(
        [row for row, (ids, _) in enumerate(read, start=1) if len(ids) <= max_tokens],
        len(read),
        f"at most {max_tokens} tokens: raise teacher.max_tokens in the study, or shorten them",
    )
    _require(
        [row for row, (_, counts) in enumerate(read, start=1) if any(counts)],
        len(read),
        "something to predict after their first token: fill these cells or remove the rows",
    )
    return LanguageTokens(
        tuple(ids for ids, _ in read),
        int(tokenizer.pad_token_id or 0),
        tuple(counts for _, counts in read),
    )


def turns_of(cell: str) -> tuple[Turn, ...]:
    """Return the messages of a chat's text cell.

    Raises:
        ValueError: If it is none; without its content.
    """
    try:
        found = json.loads(cell)
    except ValueError:
        raise ValueError("expected a JSON list of messages") from None
    if not isinstance(found, list) or not all(_is_message(each) for each in found):
        raise ValueError(f"expected messages with role ({', '.join(_ROLES)}) and content")
    return tuple(Turn(each["role"], each["content"]) for each in found)


def cell_of(turns: Sequence[Turn]) -> str:
    """Return the text cell of a chat."""
    return json.dumps([{"role": t.role, "content": t.text} for t in turns], ensure_ascii=False)


def _is_message(found: object) -> bool:
    return (
        isinstance(found, dict)
        and found.keys() == {"role", "content"}
        and found["role"] in _ROLES
        and isinstance(found["content"], str)
    )


def _read(
    text: str, row: int, tokenizer: PreTrainedTokenizerBase, form: Form
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return ids and what counts."""
    if form is Form.TEXT:
        ids = (*tokenizer(text, add_special_tokens=False)["input_ids"], _end(tokenizer))
        return ids, _all_but_first(ids)
    try:
        chat = read_conversation(turns_of(text), tokenizer)
    except (RecordsError, ValueError) as error:
        raise RecordsError(f"row {row} is no chat: {error}") from None
    counts = chat.answers if form is Form.CHAT else _all_but_first(chat.ids)
    return chat.ids, counts


def _end(tokenizer: PreTrainedTokenizerBase) -> int:
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise RecordsError("expected a tokenizer with an end-of-text token, this one has none")
    return end


def _all_but_first(ids: Sequence[int]) -> tuple[bool, ...]:
    return tuple(place > 0 for place in range(len(ids)))


def _require(good: list[int], rows: int, what: str) -> None:
    wrong = sorted(set(range(1, rows + 1)) - set(good))
    if wrong:
        shown = ", ".join(map(str, wrong[:5])) + (", …" if len(wrong) > 5 else "")
        raise RecordsError(f"{len(wrong)} texts (rows {shown}) are not as expected: {what}")
