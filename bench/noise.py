"""What Gaussian noise costs, alone and as a share of a private step with a million parameters.

The steps are the trainer's own, with 64 records: of an encoder layer over records of 32 tokens,
which is what a region with so many trained parameters trains, and of a network of two linear layers
over one vector a record, the cheapest step that there is. Costs are CPU seconds of one thread. What
is compared is timed in turns, and the best of each counts: other work on the machine can only make
one slower.
"""

from __future__ import annotations

import one_thread  # noqa: F401  # before numpy

# isort: split
import os
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from measure import options, publish, say
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from distillation.classifier_part import classifier_part
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer, train_privately
from distillation.kinds import Task, Train
from distillation.objectives import Objective, Targets
from distillation.recipe import Recipe
from distillation.students import cut_student
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.workbench import Workbench
from privacy.noise import SecureStream, gaussian

_RECORDS, _TOKENS, _CLASSES = 64, 32, 2
_WIDTH, _HEADS = 288, 12  # 12 · 288² parameters in an encoder layer
_INPUTS, _HIDDEN = 768, 1302
_STEPS = 8  # in a row, so that what is done once an update counts as it does in a round
_TERMS = StepTerms(
    noise_multiplier=Decimal(1), clip_norm=Decimal(1), sample_rate=Fraction(1), public_size=_RECORDS
)
_STILL = LocalOptimizer(learning_rate=1e-6)
_BYTES = 1 << 24
_AT_A_TIME = 1 << 18
_TARGET = 0.15


def main() -> None:
    """Measure and print."""
    asked = options(__doc__ or "")
    turns = 3 if asked.quick else 25
    torch.manual_seed(1)  # of made-up records and weights
    part, linear = _encoder_layer(), _linear_layers()
    steps = {
        "encoder layer": _share(part.layout.size, _layer_update(part), turns=turns),
        "linear layers": _share(
            sum(p.numel() for p in linear.parameters()), _linear_update(linear), turns=turns
        ),
    }
    figures: dict[str, object] = {
        "records": _RECORDS,
        "tokens": _TOKENS,
        "steps": steps,
        "noise_share_target": _TARGET,
        "ns_a_sample": samplers(1_000_000, turns=turns),
        "ns_a_byte": ciphers(turns=turns),
    }
    for line in table(figures):
        say(line)
    publish(figures, asked.out)


def best(*works: Callable[[], object], turns: int) -> list[float]:
    """Return each work's least CPU time in ns, all taken in turns; the first turn warms up."""
    least = [float("inf")] * len(works)
    for turn in range(turns + 1):
        for i, work in enumerate(works):
            began = time.process_time_ns()
            work()
            if turn:
                least[i] = min(least[i], time.process_time_ns() - began)
    return least


def samplers(count: int, *, turns: int) -> Mapping[str, float]:
    """Compare secret noise with torch's generator, whose state 624 outputs betray."""
    stream = SecureStream()
    ours, torchs = best(
        lambda: gaussian(stream, count, 1.0), lambda: torch.randn(count).double(), turns=turns
    )
    return {"secret, float64": ours / count, "torch.randn, not secret": torchs / count}


def ciphers(*, turns: int) -> Mapping[str, float]:
    """Compare the two streams that the noise could be made from."""
    key = os.urandom(32)
    made: dict[str, Cipher[modes.CTR | None]] = {
        "ChaCha20": Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None),
        "AES-256-CTR": Cipher(algorithms.AES(key), modes.CTR(bytes(16))),
    }
    times = best(*(_keystream(cipher) for cipher in made.values()), turns=turns)
    return {name: spent / _BYTES for name, spent in zip(made, times, strict=True)}


def table(figures: Mapping[str, object]) -> list[str]:
    """Return lines for people."""
    lines, steps = [], figures["steps"]
    if isinstance(steps, Mapping):
        lines += [
            f"{name}: {step['parameters']} parameters, {_RECORDS} records; a step takes "
            f"{step['step_ms']:.1f} ms, its noise {step['noise_ms']:.1f} ms, a share of "
            f"{step['noise_share']:.1%} (target {_TARGET:.0%})"
            for name, step in steps.items()
        ]
    for unit, key in (("ns a sample", "ns_a_sample"), ("ns a byte", "ns_a_byte")):
        found = figures[key]
        if isinstance(found, Mapping):
            lines += [f"{name:<26}{value:8.2f} {unit}" for name, value in found.items()]
    return lines


def _share(parameters: int, update: Callable[[], object], *, turns: int) -> Mapping[str, float]:
    stream = SecureStream()
    spent, noise = best(update, lambda: gaussian(stream, parameters, 1.0), turns=turns)
    step = spent / _STEPS
    return {
        "parameters": parameters,
        "step_ms": step / 1e6,
        "noise_ms": noise / 1e6,
        "noise_share": noise / step,
    }


def _encoder_layer() -> TrainedPart:
    config = BertConfig(
        vocab_size=100,
        hidden_size=_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=_HEADS,
        intermediate_size=4 * _WIDTH,
        max_position_embeddings=_TOKENS,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    classes = [str(number) for number in range(_CLASSES)]
    student = cut_student(encoder, layers=[0], classes=classes, feature_scale=4.0)
    student.train(False)
    return classifier_part(student, Train.LAST, max_tokens=32)


def _layer_update(part: TrainedPart) -> Callable[[], object]:
    log_probs = torch.randn(_RECORDS, _CLASSES).log_softmax(-1)
    bench = Workbench(
        FrozenInputs(
            torch.randn(_RECORDS, _TOKENS, _WIDTH), torch.ones(_RECORDS, _TOKENS, dtype=torch.bool)
        ),
        Targets.of_classes(log_probs, log_probs.argmax(-1)),
    )
    recipe = Recipe(
        task=Task.CLASSIFICATION,
        train=Train.LAST,
        max_tokens=_TOKENS,
        objective=Objective(soft=1.0),
        optimizer=_STILL,
    )
    start = part.vector()
    return lambda: bench.private_update(
        part, start, recipe, steps=_STEPS, terms=_TERMS, stream=SecureStream()
    )


def _linear_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(_INPUTS, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _CLASSES))


def _linear_update(module: nn.Sequential) -> Callable[[], object]:
    values = torch.randn(_RECORDS, 1, _INPUTS)
    classes = torch.randint(0, _CLASSES, (_RECORDS,))

    def loss(wrapped: nn.Module, rows: Tensor) -> Tensor:
        logits = wrapped(values[rows].requires_grad_()).squeeze(1)
        return nn.functional.cross_entropy(logits, classes[rows], reduction="none")

    return lambda: train_privately(
        module,
        loss,
        records=_RECORDS,
        steps=_STEPS,
        terms=_TERMS,
        optimizer=_STILL,
        stream=SecureStream(),
    )


def _keystream(cipher: Cipher[modes.CTR | None]) -> Callable[[], object]:
    context, zeros, target = cipher.encryptor(), bytes(_AT_A_TIME), np.empty(_AT_A_TIME, np.uint8)

    def work() -> None:
        for _ in range(_BYTES // _AT_A_TIME):
            context.update_into(zeros, target.data)

    return work


if __name__ == "__main__":
    main()
