"""The chats of a language-model study: one person a record, one part and one region a person."""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from distillation.errors import RecordsError
from distillation.language.text import turns_of
from distillation.records import Columns, Records, read_records
from simulations.chat_data import (
    CHATS_PACKAGE,
    Shares,
    chat_records,
    part_of,
    read_chats,
    region_of,
    sides,
    write_files,
)
from tests.distillation.language.words import word_tokenizer

_MAX_TOKENS = 16


def _turn(person: str, *texts: str) -> list[dict[str, str]]:
    return [{"sender": person, "text": text, "timestamp": ""} for text in texts]


def _conversations(people: int = 40) -> dict[str, Mapping[str, object]]:
    """Return two conversations a pair, and one without a question."""
    found: dict[str, Mapping[str, object]] = {}
    for number in range(0, people, 2):
        one, other = f"p{number}", f"p{number + 1}"
        for place in range(2):
            found[f"{number}-{place}"] = {
                "prompt": "who are you",
                "messages": [
                    _turn(one, "hello  you", f"a student {number} {place}"),
                    _turn(other, f"a chat of yours {number} {place}"),
                    _turn(one, "who are you"),
                ],
            }
    found["no question"] = {"prompt": None, "messages": [_turn("p0", "never a record")]}
    return found


def _records(most: int = 4, people: int = 40) -> Records:
    chats = sides(_conversations(people))
    return chat_records(chats, word_tokenizer(), max_tokens=_MAX_TOKENS, most=most)


def test_a_record_is_one_persons_words_after_the_question() -> None:
    """Nothing of the other one is in it, and turns are whole."""
    records = _records(people=2)
    said = {person: set[str]() for person in records.units}
    for text, person in zip(records.texts, records.units, strict=True):
        system, question, answer = turns_of(text)
        assert (system.role, question.text) == ("system", "who are you")
        said[person].update(answer.text.split("\n"))

    assert said["p0"] == {"hello you a student 0 0", "hello you a student 0 1", "who are you"}
    assert said["p1"] == {"a chat of yours 0 0", "a chat of yours 0 1"}


def test_no_record_is_longer_than_allowed() -> None:
    """Counted with the chat template."""
    tokenizer = word_tokenizer()
    for text in _records().texts:
        rendered = str(tokenizer.apply_chat_template(json.loads(text), tokenize=False))
        assert len(tokenizer(rendered)["input_ids"]) <= _MAX_TOKENS


def test_the_cap_depends_on_ones_own_chats_alone() -> None:
    """With more people in the data, everyone keeps the records that they had."""
    few, many = _records(most=1, people=4), _records(most=1, people=40)
    kept = dict(zip(many.units, many.texts, strict=True))

    assert len(few) == 4
    assert all(kept[person] == text for person, text in zip(few.units, few.texts, strict=True))


def test_nobody_is_in_two_parts_or_regions(tmp_path: Path) -> None:
    """Every record is in one file, and a person's records are together."""
    records, shares = _records(), Shares(public=30, test=30)
    write_files(records, tmp_path, shares=shares)
    people, count = dict[str, set[str]](), 0
    for name in ("public", "records", "test"):
        columns = Columns(text="text", unit="person", region="region")
        own = read_records(tmp_path / f"{name}.jsonl", columns)
        people[name] = set(own.units)
        count += len(own)
        assert all(part_of(person, shares) == name for person in own.units)
        pairs = zip(own.units, own.regions, strict=True)
        assert all(region == region_of(person) for person, region in pairs)

    assert count == len(records)
    assert sum(map(len, people.values())) == len(set(records.units))


def test_what_is_no_conversation_is_refused() -> None:
    """As are shares that leave nobody, a cap of nothing and a tokenizer without a template."""
    with pytest.raises(RecordsError, match="expected conversations"):
        sides({"x": {"prompt": "who", "messages": [[{"text": "hello"}]]}})
    with pytest.raises(RecordsError, match="expected conversations"):
        sides({"x": 3})
    with pytest.raises(RecordsError, match="1 to 98"):
        Shares(public=60, test=40)
    with pytest.raises(RecordsError, match="cap"):
        _records(most=0)


@pytest.mark.slow
def test_the_package_holds_what_is_said_of_it() -> None:
    """Where it is installed: more than a thousand participants answer a question."""
    try:
        importlib.metadata.distribution(CHATS_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{CHATS_PACKAGE} is not installed")
    people = {chat.person for chat in read_chats()}

    assert 1000 < len(people) <= 1315
