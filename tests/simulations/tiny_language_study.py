"""A language-model study small enough for seconds: a tiny random Llama, words as tokens."""

import csv
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.simulations.tiny_study import REGIONS, SIZE, TinyStudy

_WORDS = [f"w{number}" for number in range(57)]
_STUDY = """\
[study]
name = "tiny-language"
task = "language-model"
seeds = 1
[data.public]
source = "public.csv"
[data.private]
source = "records.csv"
region = "region"
[data.test]
source = "test.csv"
[teacher]
model = "teacher"
lineage = "public"
max_tokens = 16
prepare_epochs = 1
[student]
layers = [0, 2]
train = "lora"
rank = 2
[labels]
top_k = 8
[objective]
soft = 1.0
label = 0.5
temperature = 1.0
[privacy]
epsilon = 3
delta = 1e-3
[federation]
rounds = {rounds}
local_steps = 2
sample_rate = 0.5
[optimizer]
server = "adam"
server_learning_rate = 0.05
average = 2
[warm_up]
epochs = 1
batch_size = 4
[evaluation]
cost = false
"""


def make(folder: Path, *, rounds: int = 2) -> TinyStudy:
    """Write teacher, texts and study into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_teacher(folder / "teacher")
    chance = random.Random(0)
    private = [[_text(chance), region] for region in REGIONS for _ in range(SIZE)]
    _write(folder / "records.csv", [["text", "region"], *private])
    _write(folder / "public.csv", [["text"], *([_text(chance)] for _ in range(12))])
    _write(folder / "test.csv", [["text"], *([_text(chance)] for _ in range(10))])
    regions = "\n".join(f"[regions.{name}]\npublic_size = {SIZE + 2}" for name in REGIONS)
    (folder / "study.toml").write_text(_STUDY.format(rounds=rounds) + regions)
    return TinyStudy(folder)


def write_teacher(folder: Path, *, words: int = len(_WORDS), seed: int = 0) -> None:
    """Write a Llama of three layers and its tokenizer, which knows the first so many words."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=words + 3,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            initializer_range=0.3,  # a teacher that is sure of something
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {
        word: number for number, word in enumerate(["[PAD]", "[UNK]", "[END]", *_WORDS[:words]])
    }
    made = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", eos_token="[END]"
    ).save_pretrained(folder)


def _text(chance: random.Random) -> str:
    """Return words that follow each other more often than not."""
    start = chance.randrange(len(_WORDS))
    return " ".join(
        _WORDS[(start + step + chance.randint(0, 1)) % len(_WORDS)]
        for step in range(chance.randint(3, 9))
    )


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
