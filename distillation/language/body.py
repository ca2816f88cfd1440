"""The two halves of a causal model's body: what is frozen below, what may be trained above.

Both are bodies of the model's own class, so that masks, positions and norms are transformers' own.
The lower half shares its tensors with the model and has no final norm; the upper one is a copy.
"""

import copy

from torch import nn
from transformers import PreTrainedModel

from distillation.language.families import Family


def lower_half(model: PreTrainedModel, family: Family, below: int) -> nn.Module:
    """Return the embeddings and the layers under ``below``, which are the model's own."""
    body = model.base_model
    layers = list(family.layers(body))
    kept: dict[int, object] = {id(layer): layer for layer in layers[:below]}
    kept |= {id(layer): nn.Identity() for layer in layers[below:]}
    kept |= {id(own): own for own in _embeddings(body, family)}
    kept[id(getattr(body, family.final_norm))] = nn.Identity()
    half = copy.deepcopy(body, kept)  # what is in `kept` is not copied but put there as it is
    _keep(half, family, layers[:below])
    return half


def upper_half(model: PreTrainedModel, family: Family, start: int) -> nn.Module:
    """Return copies of the layers from ``start`` on and of the final norm, without embeddings."""
    body = model.base_model
    layers = list(family.layers(body))
    kept: dict[int, object] = {id(layer): nn.Identity() for layer in layers[:start]}
    kept[id(getattr(body, family.embedding))] = nn.Identity()
    half = copy.deepcopy(body, kept)
    _keep(half, family, list(family.layers(half))[start:])
    if family.places is not None:  # added below already
        nn.init.zeros_(getattr(half, family.places).weight)
    return half.requires_grad_(False)


def _embeddings(body: nn.Module, family: Family) -> list[nn.Module]:
    names = [family.embedding] + ([] if family.places is None else [family.places])
    return [getattr(body, name) for name in names]


def _keep(half: nn.Module, family: Family, layers: list[nn.Module]) -> None:
    setattr(half, family.stack, nn.ModuleList(layers))
    half.config.num_hidden_layers = len(layers)  # type: ignore[union-attr]  # a transformers model
