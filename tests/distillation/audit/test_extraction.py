"""Extraction from real, tiny language models: counted trigrams, and a GPT-2 of two layers."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from distillation.audit.errors import AuditError
from distillation.audit.extraction import Ids, PlantedSequence, exposure, extract

VOCABULARY, LENGTH = 50, 4


def _sequences(count: int, seed: int) -> list[Ids]:
    chance = np.random.default_rng(seed)
    return [tuple(map(int, chance.permutation(VOCABULARY)[: 2 + LENGTH])) for _ in range(count)]


def _canaries(count: int) -> list[PlantedSequence]:
    return [
        PlantedSequence(ids[:2], ids[2:], planted=row % 2 == 0)
        for row, ids in enumerate(_sequences(count, 1))
    ]


class Trigrams:
    """A language model that counts: the third token after two."""

    def __init__(self, texts: Sequence[Ids]) -> None:
        self._counts: defaultdict[Ids, Counter[int]] = defaultdict(Counter)
        for text in texts:
            for place in range(len(text) - 2):
                self._counts[text[place : place + 2]][text[place + 2]] += 1

    def generate(self, beginning: Ids, count: int) -> Ids:
        """Return the likeliest tokens, 0 where nothing is known."""
        text = beginning
        for _ in range(count):
            known = self._counts[text[-2:]].most_common(1)
            text += (known[0][0] if known else 0,)
        return text[len(beginning) :]

    def log_likelihood(self, beginning: Ids, ending: Ids) -> float:
        """Return the ending's, with one added to each count."""
        text, total = beginning, 0.0
        for token in ending:
            known = self._counts[text[-2:]]
            total += float(np.log((known[token] + 1) / (known.total() + VOCABULARY)))
            text += (token,)
        return total


def test_planted_endings_come_out_of_a_model_that_remembers() -> None:
    """Trigrams of the planted texts give all of them, and none of the controls."""
    canaries = _canaries(20)
    model = Trigrams([c.beginning + c.ending for c in canaries if c.planted])

    found = extract(model.generate, canaries)

    assert found.planted.value == 1.0
    assert found.planted.low > 0.6
    assert found.controls.value == 0.0
    assert found.controls.high < 0.4


def test_exposure_ranks_the_planted_ending() -> None:
    """First of 256: 8 bits. A model that knows nothing shows 0 bits: a tie is no exposure."""
    canary = _canaries(2)[0]
    others = [ids[2:] for ids in _sequences(255, 2)]

    remembering = Trigrams([canary.beginning + canary.ending])

    assert exposure(remembering.log_likelihood, canary, others) == pytest.approx(8.0)
    assert exposure(Trigrams([]).log_likelihood, canary, others) == pytest.approx(0.0)


def test_controls_are_needed() -> None:
    """Without controls, what was guessed looks like what was remembered."""
    with pytest.raises(AuditError, match="controls"):
        extract(lambda _, n: (0,) * n, [c for c in _canaries(4) if c.planted])
    with pytest.raises(AuditError, match="other endings"):
        exposure(lambda _, __: 0.0, _canaries(1)[0], [])


@pytest.mark.slow
def test_a_small_gpt2_gives_away_what_it_was_trained_on() -> None:
    """A GPT-2 of two layers, trained on ten texts, gives most endings; untrained, none."""
    canaries = _canaries(20)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=VOCABULARY, n_positions=8, n_embd=32, n_layer=2, n_head=2)
        )
        fresh = extract(_greedy(model), canaries)
        _train(model, [c.beginning + c.ending for c in canaries if c.planted])

    found = extract(_greedy(model), canaries)

    assert fresh.planted.value == 0.0
    assert found.planted.value > 0.7
    assert found.controls.value == 0.0


def _train(model: GPT2LMHeadModel, texts: Sequence[Ids]) -> None:
    ids = torch.tensor(texts)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()


class _greedy:  # noqa: N801  # reads as a function
    def __init__(self, model: GPT2LMHeadModel) -> None:
        self._model = model.eval()

    @torch.no_grad()
    def __call__(self, beginning: Ids, count: int) -> Ids:
        text = beginning
        for _ in range(count):
            logits = self._model(input_ids=torch.tensor([text])).logits
            text += (int(logits[0, -1].argmax()),)
        return text[len(beginning) :]
