"""Real causal models of every family, small enough for milliseconds; random weights."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from distillation.language.text import LanguageTokens
from distillation.tokens import Tokens

VOCABULARY, WIDTH, LONGEST = 40, 16, 12
FAMILIES = [
    "llama",
    "gpt2",
    pytest.param("mistral", marks=pytest.mark.slow),  # the row of llama
]

_SIZES: dict[str, dict[str, object]] = {
    "llama": {
        "num_hidden_layers": 4, "hidden_size": WIDTH, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 24, "tie_word_embeddings": True,
    },
    "gpt2": {"n_layer": 4, "n_embd": WIDTH, "n_head": 2, "n_positions": 32},
}  # fmt: skip
_SIZES["mistral"] = _SIZES["llama"] | {"sliding_window": None}
MODELS = tuple(_SIZES)


def causal_model(family: str = "llama", *, seed: int = 0) -> PreTrainedModel:
    """Return a model with four layers, a tied head and a window of 32 tokens or more."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(family, vocab_size=VOCABULARY, **_SIZES[family])
        if family != "gpt2":
            config.max_position_embeddings = 32
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        for p in model.parameters():  # no zero, no one: what multiplies by a weight is seen
            nn.init.normal_(p, std=0.3)
    model.train(False)
    return model


def tokens(count: int, *, seed: int = 0, longest: int = LONGEST) -> Tokens:
    """Return ``count`` random records of 2 to ``longest`` tokens."""
    chance = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        size = int(torch.randint(2, longest + 1, (1,), generator=chance))
        ids = torch.randint(1, VOCABULARY, (size,), generator=chance)
        rows.append(tuple(int(i) for i in ids))
    return Tokens(tuple(rows), padding=0)


def second_half_counts(some: Tokens) -> LanguageTokens:
    """Return the records with only the second half of their tokens to be predicted."""
    counts = tuple(
        tuple(place > 0 and 2 * place >= len(ids) for place in range(len(ids))) for ids in some.ids
    )
    return LanguageTokens(some.ids, some.padding, counts)
