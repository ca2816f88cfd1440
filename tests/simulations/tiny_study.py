"""A study small enough to run whole in a second or two: real files, a real tokenizer, tiny BERT."""

import csv
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from tests.distillation import tiny

REGIONS = ("a", "b", "c", "d", "e")
SIZE = 12
_WORDS = [f"w{number}" for number in range(tiny.VOCABULARY - 3)]
SPOKEN = ["".join(word) for word in itertools.product("bdkg", "aou", "mnltr")][: len(_WORDS)]
"""Words of letters, as many: a generator of text takes no others."""


@dataclass(frozen=True, slots=True)
class TinyStudy:
    """Where the study is, and how it is written."""

    folder: Path
    name: str = "study.toml"

    @property
    def file(self) -> Path:
        """The study."""
        return self.folder / self.name

    def edit(self, old: str, new: str) -> None:
        """Change the study file."""
        text = self.file.read_text()
        if old not in text:
            raise ValueError(f"the study has no {old!r}")
        self.file.write_text(text.replace(old, new))

    def records(self) -> list[list[str]]:
        """Return the private rows, the header first."""
        with (self.folder / "records.csv").open() as file:
            return list(csv.reader(file))

    def write_records(self, rows: list[list[str]]) -> None:
        """Replace the private rows."""
        _write(self.folder / "records.csv", rows)


def make(folder: Path, *, rounds: int = 3, words: Sequence[str] = _WORDS) -> TinyStudy:
    """Write teacher, data and study into ``folder``; the teacher knows ``words``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_teacher(folder / "teacher", known=words)
    chance = random.Random(0)
    private = [
        [
            _text(chance, words),
            chance.choice(["", "", *tiny.CLASSES]),
            chance.choice(tiny.CLASSES),
            region,
        ]
        for region in REGIONS
        for _ in range(SIZE)
    ]
    for labelled, region in enumerate(REGIONS):  # each region has coded something
        private[labelled * SIZE][1] = tiny.CLASSES[labelled % 3]
        private[labelled * SIZE][3] = region
    _write(folder / "records.csv", [["text", "kind", "all", "region"], *private])
    _write(folder / "public.csv", [["text"], *([_text(chance, words)] for _ in range(10))])
    test = ([_text(chance, words), chance.choice(tiny.CLASSES)] for _ in range(15))
    _write(folder / "test.csv", [["text", "kind"], *test])
    (folder / "study.toml").write_text(_study(rounds))
    return TinyStudy(folder)


def audited(folder: Path, *, canaries: int) -> TinyStudy:
    """Return a study of one long round that declares an audit, small in what it claims."""
    study = make(folder, rounds=1)
    head, *rows = study.records()
    study.write_records([head, *(rows * 4)])
    study.edit(f"public_size = {SIZE + 2}", f"public_size = {4 * SIZE + canaries}")
    study.edit("epsilon = 3", f"epsilon = 0.25\naudit_canaries = {canaries}")
    study.edit("local_steps = 2", "local_steps = 20")
    study.edit("[warm_up]", "[optimizer]\nlearning_rate = 0.01\n[warm_up]")
    return study


def _text(chance: random.Random, words: Sequence[str]) -> str:
    return " ".join(chance.choices(words, k=chance.randint(2, 6)))


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_teacher(
    folder: Path,
    *,
    seed: int = 0,
    order: tuple[int, ...] = (0, 1, 2),
    known: Sequence[str] = _WORDS,
) -> None:
    """Write a teacher, its classes in this order; the order changes no answer."""
    model = tiny.teacher_model(seed=seed)
    with torch.no_grad():
        for values in (model.head.weight, model.head.bias):
            values.copy_(values[list(order)].clone())
    model.config.id2label = {new: tiny.CLASSES[old] for new, old in enumerate(order)}
    model.config.label2id = {tiny.CLASSES[old]: new for new, old in enumerate(order)}
    model.save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", *known])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
    ).save_pretrained(folder)


def _study(rounds: int) -> str:
    regions = "\n".join(f"[regions.{name}]\npublic_size = {SIZE + 2}" for name in REGIONS)
    return f"""
[study]
name = "tiny"
seeds = 1
[data.public]
source = "public.csv"
[data.private]
source = "records.csv"
label = "kind"
all_labels = "all"
region = "region"
[data.test]
source = "test.csv"
label = "kind"
[teacher]
model = "teacher"
lineage = "public"
max_tokens = 16
[student]
layers = [0, 2]
[privacy]
epsilon = 3
delta = 1e-3
[federation]
rounds = {rounds}
local_steps = 2
sample_rate = 0.5
[warm_up]
epochs = 1
[evaluation]
cost = false
{regions}
"""
