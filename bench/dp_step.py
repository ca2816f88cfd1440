"""What privacy costs a training step: book-keeping, Opacus's hooks and its ghost clipping.

A step here is the forward and backward pass of one micro-batch and what leads to the gradient:
norms, clipping and the clipped sum where it is private, nothing more where it is not. The noise is
drawn once a step, however many micro-batches the step has, so it stands apart. The modes take
turns and the median of each one's ratio to the plain step of the same turn is reported; the time
is the processor's, since the machine may be shared. Memory is the peak of torch's own allocator
above what is there before. The quick check takes a smaller model.
"""

import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import torch
from measure import options, publish, say
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from transformers import BertConfig, BertModel

from distillation.dp.clipping import Clipping, wrap
from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from privacy.noise import SecureStream

_VOCABULARY, _CLASSES, _HEAD_WIDTH = 8000, 8, 64
_BATCH, _TOKENS = 16, 64
_CLIP_NORM = 1.0
_TRAINED = ("lora", "frozen_embeddings", "everything")
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the student is."""

    layers: int = 6
    width: int = 384


class Student(nn.Module):
    """A BERT with a head over the mean of its tokens."""

    def __init__(self, trained: str, size: Size) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=_VOCABULARY,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.width // _HEAD_WIDTH,
            intermediate_size=4 * size.width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        body: nn.Module = BertModel(config, add_pooling_layer=False)
        if trained == "lora":
            lora = LoraConfig(r=8, target_modules=["query", "value"], lora_dropout=0.0)
            body = inject_adapter_in_model(lora, body)
        self.body, self.head = body, nn.Linear(size.width, _CLASSES)
        for name, p in self.body.named_parameters():
            adapter = "lora_" in name
            p.requires_grad_(adapter if trained == "lora" else _is_free(name, trained))

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits, (B, K)."""
        places = torch.arange(ids.shape[1]).expand_as(ids).contiguous()
        hidden = self.body(ids, position_ids=places, token_type_ids=torch.zeros_like(ids))[0]
        out: Tensor = self.head(hidden.mean(1))
        return out


def _is_free(name: str, trained: str) -> bool:
    return trained == "everything" or not name.startswith("embeddings.")


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to take a step.

    Attributes:
        step: Takes it; the gradient of every trained tensor is there afterwards.
        close: Undoes what was attached to the module.
    """

    step: Step
    close: Step


def main() -> None:
    """Measure every trained set and print the table."""
    asked = options(__doc__ or "")
    turns = 12 if asked.full else 2 if asked.quick else 5
    size = Size(layers=4, width=256) if asked.quick else Size()
    figures: dict[str, object] = {
        "batch": _BATCH, "tokens": _TOKENS, "layers": size.layers, "width": size.width,
        "turns": turns,
    }  # fmt: skip
    say(f"{'trained':18} {'way':13} {'time':>6} {'memory':>7}")
    for trained in _TRAINED:
        figures[trained] = measured = measure(trained, size, turns)
        for way in ("", "hooks_", "ghost_"):
            ratios = measured[f"{way}time_ratio"], measured[f"{way}memory_ratio"]
            name = way.rstrip("_") or "book-keeping"
            say(f"{trained:18} {name:13} {ratios[0]:6.2f} {ratios[1]:7.2f}")
    publish(figures, asked.out)


def measure(trained: str, size: Size, turns: int) -> dict[str, float]:
    """Return the ratios of one trained set, and what they are made of."""
    torch.manual_seed(0)
    student = Student(trained, size)
    ids = torch.randint(1, _VOCABULARY, (_BATCH, _TOKENS))
    labels = torch.randint(0, _CLASSES, (_BATCH,))
    ways: dict[str, Callable[[nn.Module, Tensor, Tensor], Mode]] = {
        "plain_": plain, "": book_keeping, "hooks_": hooks, "ghost_": ghost,
    }  # fmt: skip
    times: dict[str, list[float]] = {way: [] for way in ways}
    peaks: dict[str, int] = {}
    for turn in range(turns + 1):
        for way, make in ways.items():
            mode = make(student, ids, labels)
            if turn == 0:  # also warms up
                peaks[way] = peak_bytes(mode.step)
            else:
                times[way].append(seconds(mode.step))
            mode.close()
    found = {"plain_s": statistics.median(times["plain_"]), "plain_bytes": float(peaks["plain_"])}
    for way in ("", "hooks_", "ghost_"):
        ratios = [one / base for one, base in zip(times[way], times["plain_"], strict=True)]
        found[f"{way}time_ratio"] = statistics.median(ratios)
        found[f"{way}memory_ratio"] = peaks[way] / peaks["plain_"]
    found |= noise(student)
    return found


def plain(student: nn.Module, ids: Tensor, labels: Tensor) -> Mode:
    """Return the step without privacy."""
    student.train()

    def step() -> None:
        student.zero_grad(set_to_none=True)
        losses(student, ids, labels).sum().backward()

    return Mode(step, lambda: student.zero_grad(set_to_none=True))


def book_keeping(student: nn.Module, ids: Tensor, labels: Tensor) -> Mode:
    """Return Stillroom's step."""
    return _private(student, ids, labels, Clipping.BOOK_KEEPING)


def hooks(student: nn.Module, ids: Tensor, labels: Tensor) -> Mode:
    """Return the step over Opacus's per-record gradients."""
    return _private(student, ids, labels, Clipping.HOOKS)


def ghost(student: nn.Module, ids: Tensor, labels: Tensor) -> Mode:
    """Return Opacus's ghost clipping: norms in one backward pass, the sum in a second."""
    wrapped = GradSampleModuleFastGradientClipping(
        student, loss_reduction="sum", max_grad_norm=_CLIP_NORM, use_ghost_clipping=True
    ).train()

    def step() -> None:
        student.zero_grad(set_to_none=True)
        each = losses(wrapped, ids, labels)
        each.sum().backward(retain_graph=True)
        factors = wrapped.get_clipping_coef()
        student.zero_grad(set_to_none=True)
        wrapped.disable_hooks()
        (factors * each).sum().backward()
        wrapped.enable_hooks()

    return Mode(step, wrapped.to_standard_module)


def losses(student: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    """Return one loss a record, (B,)."""
    return nn.functional.cross_entropy(student(ids), labels, reduction="none")


def _private(student: nn.Module, ids: Tensor, labels: Tensor, clipping: Clipping) -> Mode:
    wrapped = wrap(student, clipping)
    private = optimizer_of(student)

    def step() -> None:
        private.zero_grad(set_to_none=True)
        losses(wrapped, ids, labels).sum().backward()
        private.clip_and_accumulate()

    def close() -> None:
        private.zero_grad(set_to_none=True)
        wrapped.to_standard_module()

    return Mode(step, close)


def optimizer_of(student: nn.Module) -> PrivateOptimizer:
    """Return the private optimizer of the trained tensors."""
    trained = [p for p in student.parameters() if p.requires_grad]
    terms = StepTerms(
        noise_multiplier=Decimal(1),
        clip_norm=Decimal(repr(_CLIP_NORM)),
        sample_rate=Fraction(1, 10),
        public_size=10 * _BATCH,
    )
    return PrivateOptimizer(torch.optim.SGD(trained, lr=0.1), terms=terms, stream=SecureStream())


def noise(student: nn.Module) -> Mapping[str, float]:
    """Return the seconds that the noise of one step takes, and for how many values."""
    private = optimizer_of(student)
    for p in private.params:
        p.summed_grad = torch.zeros_like(p)
    took = seconds(private.add_noise)
    student.zero_grad(set_to_none=True)
    return {"noise_s": took, "trained_values": float(sum(p.numel() for p in private.params))}


def seconds(step: Step) -> float:
    """Return the processor time of a step."""
    start = time.process_time()
    step()
    return time.process_time() - start


def peak_bytes(step: Step) -> int:
    """Return the most bytes that a step holds at once, above those held before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    moves = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]")
    held = peak = 0
    for _, moved in moves:
        held += moved
        peak = max(peak, held)
    return peak


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        main()
