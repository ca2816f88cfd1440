"""Book-keeping clipping as one more gradient-sample module of Opacus: one forward, one backward.

Each trained layer notes its input and its output's gradient; autograd does not compute the weights'
gradients at all, since the clipped sum replaces them. So a private step costs an ordinary one, plus
the norms. Frozen layers note nothing.
Source: Bu, Wang, Zha, Karypis 2023, "Differentially private optimization on large foundation
models", arXiv 2210.00038, algorithm 1.
"""

from functools import partial

import torch
from opacus.grad_sample import AbstractGradSampleModule
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from distillation.dp.books import Book
from distillation.dp.layers import Entry, Rule, rule_of
from distillation.errors import TrainingError


def unknown_layers(module: nn.Module) -> list[str]:
    """Return what keeps a module from book-keeping, by name; empty: nothing."""
    found, owners = [], dict[int, str]()
    for name, layer in module.named_modules():
        own = {n: p for n, p in layer.named_parameters(recurse=False) if p.requires_grad}
        if own and rule_of(layer) is None:
            found.append(f"{name or 'the module'} ({type(layer).__name__})")
        for inner, p in own.items():
            full = f"{name}.{inner}" if name else inner
            if owners.setdefault(id(p), full) != full:
                found.append(f"{full} (tied to {owners[id(p)]})")
    return found


class BookKeepingModule(AbstractGradSampleModule):  # type: ignore[misc]  # Opacus is untyped
    """A module whose backward pass leaves a `Book` or a small tensor in each ``grad_sample``.

    Guarantees: a trained tensor that the forward pass used outside its own layer, and which the
    books would miss, is found by `require_complete`.
    """

    def __init__(self, module: nn.Module) -> None:
        """Attach to ``module``, of which `unknown_layers` found nothing.

        Raises:
            TrainingError: If it has a layer that no rule covers, or tied tensors.
        """
        unknown = unknown_layers(module)
        if unknown:
            raise TrainingError(f"book-keeping does not cover {unknown}: use Opacus's hooks")
        super().__init__(module, loss_reduction="sum")
        self._handles: list[RemovableHandle] = []
        self._covered: list[nn.Parameter] = []
        for layer in module.modules():
            own = [p for p in layer.parameters(recurse=False) if p.requires_grad]
            rule = rule_of(layer)
            if own and rule is not None:
                self._covered += own
                self._handles.append(layer.register_forward_pre_hook(partial(_hide, own)))
                note = partial(_attach, own, rule)
                self._handles.append(layer.register_forward_hook(note, always_call=True))

    def require_complete(self) -> None:
        """Check, after a backward pass, that the books hold the whole gradient.

        Raises:
            TrainingError: If a trained tensor was used outside its layer, or not at all.
        """
        trained = [(n, p) for n, p in self._module.named_parameters() if p.requires_grad]
        outside = [name for name, p in trained if p.grad is not None]
        if outside:
            raise TrainingError(
                f"the trained tensors {outside} are used outside their own layers, so that their "
                "per-record gradients would be wrong: untie or freeze them"
            )

    def remove_hooks(self) -> None:
        """Detach from the module."""
        while self._handles:
            self._handles.pop().remove()
        for p in self._covered:
            p.requires_grad_(True)


def _hide(own: list[nn.Parameter], layer: nn.Module, args: tuple[object, ...]) -> None:
    """Keep autograd from the weights' gradients while the layer runs."""
    for p in own:
        p.requires_grad_(False)


def _attach(
    own: list[nn.Parameter], rule: Rule, layer: nn.Module, args: tuple[object, ...], out: object
) -> None:
    """Have the layer's output note its gradient; the weights are trained again."""
    for p in own:
        p.requires_grad_(True)
    if not torch.is_grad_enabled() or not isinstance(out, Tensor):
        return
    if not args or not isinstance(args[0], Tensor):
        raise TrainingError(f"expected the input of a {type(layer).__name__} as first argument")
    if not out.requires_grad:  # nothing below is trained: the gradient ends here
        out.requires_grad_()
    x = args[0].detach()
    out.register_hook(partial(_note, rule, layer, x, x._version))


@torch.no_grad()
def _note(rule: Rule, layer: nn.Module, x: Tensor, version: int, grad: Tensor) -> None:
    if x._version != version:  # autograd would notice, but it does not keep this input
        raise TrainingError(
            f"the input of a {type(layer).__name__} was changed in place after the layer ran: "
            "write the operation without a trailing underscore"
        )
    entries = rule(layer, x, grad.detach())
    for name, p in layer.named_parameters(recurse=False):
        if p.requires_grad:
            known: Entry | None = vars(p).get("grad_sample")
            new = entries[name]
            vars(p)["grad_sample"] = new if known is None else _both(known, new)


def _both(first: Entry, second: Entry) -> Entry:
    """Return the entry of a layer that ran twice."""
    if isinstance(first, Book) and isinstance(second, Book):
        return first.joined(second)
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first + second
    raise TrainingError("one tensor is used by layers of two kinds: untie it")
