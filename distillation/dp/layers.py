"""What each kind of layer writes in its book; a kind that is not here is left to Opacus's hooks.

A rule turns a layer's input and the gradient of its output into the per-record gradients of its
own tensors: small ones as they are, (B, d), matrices as a `Book`.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import layer_norm
from transformers.pytorch_utils import Conv1D

from distillation.dp.books import Book, LookupBook, OuterBook

Entry: TypeAlias = Tensor | Book
Rule: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Mapping[str, Entry]]
"""Maps a layer, its input and its output's gradient to the entry of each tensor, by name."""

_CLOSE = 1e-4


def rule_of(layer: nn.Module) -> Rule | None:
    """Return the rule of a layer's own tensors, None if its kind is not known."""
    kind = type(layer)
    if isinstance(layer, nn.Embedding):
        return _embedding if kind is nn.Embedding and _is_plain(layer) else None
    if kind in _RULES:
        return _RULES[kind]
    return _scale if _only_scales(layer) else None


def _linear(layer: nn.Module, x: Tensor, grad: Tensor) -> Mapping[str, Entry]:
    x, grad = _positions(x), _positions(grad)
    return {"weight": OuterBook(grad, x), **_bias(layer, grad)}


def _conv1d(layer: nn.Module, x: Tensor, grad: Tensor) -> Mapping[str, Entry]:
    """GPT-2's linear layer has its weight the other way round."""
    x, grad = _positions(x), _positions(grad)
    return {"weight": OuterBook(x, grad), **_bias(layer, grad)}


def _embedding(layer: nn.Module, x: Tensor, grad: Tensor) -> Mapping[str, Entry]:
    ids, grad = x.reshape(len(x), -1), _positions(grad)
    weight: Tensor = layer.weight  # type: ignore[assignment]  # attribute of a Module
    padding = vars(layer)["padding_idx"]
    if padding is not None:  # torch gives the padding's row no gradient
        grad = grad.masked_fill(ids.eq(padding).unsqueeze(-1), 0)
    return {"weight": LookupBook(ids, grad, rows=len(weight))}


def _layer_norm(layer: nn.Module, x: Tensor, grad: Tensor) -> Mapping[str, Entry]:
    shape, eps = layer.normalized_shape, layer.eps
    scaled = grad * layer_norm(x, shape, eps=eps)  # type: ignore[arg-type]  # attributes of a Module
    entries = {"weight": _over_positions(scaled, layer), "bias": _over_positions(grad, layer)}
    return {name: entries[name] for name, _ in layer.named_parameters(recurse=False)}


@torch.no_grad()
def _scale(layer: nn.Module, x: Tensor, grad: Tensor) -> Mapping[str, Entry]:
    """For an output that is affine in one vector: its slope is found by asking the layer itself."""
    weight: Tensor = layer.weight  # type: ignore[assignment]  # attribute of a Module
    ones, zeros = torch.ones_like(weight), torch.zeros_like(weight)
    slope = functional_call(layer, {"weight": ones}, (x,))
    slope = slope - functional_call(layer, {"weight": zeros}, (x,))
    return {"weight": _over_positions(grad * slope, layer)}


_RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    Conv1D: _conv1d,
    nn.LayerNorm: _layer_norm,
}


def _is_plain(layer: nn.Embedding) -> bool:
    return layer.max_norm is None and not layer.scale_grad_by_freq and not layer.sparse


def _only_scales(layer: nn.Module) -> bool:
    """Return whether a normalisation proves on made-up input that it only scales by its weight."""
    own = dict(layer.named_parameters())
    if not type(layer).__name__.endswith("RMSNorm") or [*own] != ["weight"]:
        return False
    weight = own["weight"]
    if weight.dim() != 1:
        return False
    chance = torch.Generator().manual_seed(0)  # no privacy rests on it
    x = torch.randn(2, 3, len(weight), generator=chance, dtype=weight.dtype)
    back = torch.randn(2, 3, len(weight), generator=chance, dtype=weight.dtype)
    with torch.enable_grad():
        other = torch.randn(weight.shape, generator=chance, dtype=weight.dtype).requires_grad_()
        out = functional_call(layer, {"weight": other}, (x,))
        (right,) = torch.autograd.grad(out, other, back)
    found = _scale(layer, x, back)["weight"].sum(0)
    return torch.allclose(found, right, rtol=_CLOSE, atol=_CLOSE)


def _bias(layer: nn.Module, grad: Tensor) -> Mapping[str, Entry]:
    return {} if layer.bias is None else {"bias": grad.sum(1)}


def _positions(values: Tensor) -> Tensor:
    """Return (B, T, d), whatever stands between the batch and the features."""
    return values.unsqueeze(1) if values.dim() == 2 else values.flatten(1, -2)


def _over_positions(values: Tensor, layer: nn.Module) -> Tensor:
    """Return the sum over all but the batch and the shape of the weight."""
    own = next(layer.parameters(recurse=False)).shape
    return values.reshape(len(values), -1, *own).sum(1)
