"""Low-rank adapters on the linear layers of attention and feed-forward, through peft.

The student is saved without adapters: what they learned is added to the layers that they adapt. So
whoever loads a student needs no peft, and a refresh starts from plain weights.
"""

import math
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from distillation.errors import TrainingError

_SEED = 20210617  # public: everyone makes the same start; no privacy rests on it


def add_adapters(
    body: nn.Module, linears: Collection[str], *, rank: int, transposed: bool = False
) -> None:
    """Put adapters beside a frozen body's linear layers, in place; only they are trained.

    The first factor is drawn as in peft but from a public seed, the second one is zero, so that
    the start is the student itself. The scale is 1: the learning rate is the only step size.

    Args:
        body: The layers to adapt.
        linears: The last part of the layers' names.
        rank: Of each adapter, >= 1.
        transposed: Whether the layers keep their weights as (in, out).

    Raises:
        TrainingError: If the rank is below 1, or peft is not installed.
    """
    if rank < 1:
        raise TrainingError(f"expected adapters of a rank >= 1, got {rank}")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise TrainingError(
            "adapters need the package peft: pip install peft, or train 'last' or 'norms'"
        ) from error
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        lora_dropout=0.0,
        target_modules=list(linears),
        fan_in_fan_out=transposed,
    )
    inject_adapter_in_model(config, body)
    chance = torch.Generator().manual_seed(_SEED)
    for name, p in body.named_parameters():
        p.requires_grad_("lora_" in name)
        if "lora_A" in name:
            bound = 1 / math.sqrt(p.shape[1])  # kaiming_uniform_ with a = √5, as peft has it
            nn.init.uniform_(p, -bound, bound, generator=chance)


def merged(module: nn.Module) -> dict[str, Tensor]:
    """Return the trained tensors as a model without adapters has them, by name."""
    adapted = dict(_adapted(module))
    trained = ((name, p) for name, p in module.named_parameters() if p.requires_grad)
    return adapted | {name: p.detach() for name, p in trained if "lora_" not in name}


@torch.no_grad()
def _adapted(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, layer in module.named_modules():
        base = getattr(layer, "base_layer", None)
        if base is not None:
            change: Tensor = layer.get_delta_weight("default")
            yield f"{name}.weight", base.weight + change
