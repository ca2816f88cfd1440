"""The head and the loss in one pass over chunks of tokens: (tokens × V) logits never exist.

For each chunk the logits are made in one buffer, turned in place into probabilities, then into the
gradient, and multiplied back with the head. What stays is one loss and one gradient (H,) a token.
Records do not mix: a token's gradient is kept for an upstream gradient of 1 on its record, and is
scaled when the real one is known, which is what clipping by weights needs.

A head that is trained needs the chunks' gradients once more, with the real upstream gradients, so
its chunks are made again in the backward pass; its gradient (V, H) comes on top of the memory.

Source of the idea: the fused linear cross-entropy of Hsu and others 2024 ("Liger Kernel"), section
3.2; the divergence with a tail bucket, the losses by record and the recomputation are ours.
"""

from typing import Protocol

import torch
from torch import Tensor

from distillation.errors import TrainingError
from distillation.objectives.objective import Objective
from distillation.objectives.values import UNLABELLED
from distillation.token_chunks import Chunks, Tokenwise
from distillation.top_k import TokenTargets, require_token_objective

CHUNK = 256  # at V = 49,152 one buffer is 50 MB; `bench/kd_loss.py --full` compares others


class _Context(Protocol):
    """What autograd carries from the forward to the backward pass."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    chunks: Chunks

    def save_for_backward(self, *tensors: Tensor) -> None: ...


def fused_per_record(
    hidden: Tensor,
    head: Tensor,
    targets: TokenTargets,
    objective: Objective,
    *,
    chunk: int = CHUNK,
) -> Tensor:
    """Return one loss a record, (B,), from hidden states and a head without bias.

    Guarantees: value and gradients are those of `top_k.per_record` on ``hidden @ head.T``, up to
    the rounding of another order of additions; padding positions are not even computed.

    Args:
        hidden: (B, T, H), float32.
        head: (V, H), float32.
        targets: Of the same B records.
        objective: Soft, hard and label terms alone.
        chunk: Tokens at a time, >= 1.

    Raises:
        TrainingError: If the objective or the chunk makes no loss, or values are not float32.
    """
    require_token_objective(objective, targets.labels)
    if chunk < 1:
        raise TrainingError(f"expected chunks of at least one token, got {chunk}")
    if hidden.dtype != torch.float32 or head.dtype != torch.float32:
        raise TrainingError(f"expected float32, got {hidden.dtype} and {head.dtype}")
    chunks = Chunks(_tokenwise(targets), objective, chunk)
    loss: Tensor = _Fused.apply(hidden, head, chunks)  # type: ignore[no-untyped-call]  # torch's
    return loss


def _tokenwise(targets: TokenTargets) -> Tokenwise:
    """Return the records' own positions as one list of tokens."""
    own = targets.mask
    counts = own.sum(dim=1)
    record = own.nonzero()[:, 0]
    reference = targets.reference[own]
    return Tokenwise(
        ids=targets.labels.ids[own],
        probs=targets.labels.log_probs[own].exp(),
        choice=targets.labels.choice()[own],
        tail=targets.labels.log_tail[own].exp(),
        reference=reference.clamp(min=0),
        known=(reference != UNLABELLED).float(),
        record=record,
        share=1 / counts[record].float(),
        mask=own,
    )


class _Fused(torch.autograd.Function):
    """The custom gradient; use `fused_per_record`."""

    @staticmethod
    def forward(ctx: _Context, hidden: Tensor, head: Tensor, chunks: Chunks) -> Tensor:
        """Return the losses (B,); keep each token's gradient where the head is frozen."""
        ctx.chunks = chunks
        tokens = hidden[chunks.tokens.mask]
        trained, wanted = ctx.needs_input_grad[1], ctx.needs_input_grad[0]
        by_token = tokens.new_empty(len(tokens))
        gradient = torch.empty_like(tokens) if wanted and not trained else None
        for rows, logits in chunks.logits(tokens, head):
            by_token[rows] = chunks.losses(rows, logits, gradient=wanted and not trained)
            if gradient is not None:
                torch.mm(logits, head, out=gradient[rows])
        ctx.save_for_backward(*((hidden, head) if gradient is None else (gradient,)))
        losses = hidden.new_zeros(len(hidden))
        return losses.index_add_(0, chunks.tokens.record, by_token * chunks.tokens.share)

    @staticmethod
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of hidden (B, T, H) and, if it is trained, of the head (V, H)."""
        tokens = ctx.chunks.tokens
        scale = (upstream[tokens.record] * tokens.share).unsqueeze(1)
        if len(ctx.saved_tensors) == 1:
            by_token = ctx.saved_tensors[0] * scale
            return _in_place_of(by_token, tokens.mask), None, None
        hidden, head = ctx.saved_tensors
        by_token, of_head = _again(ctx.chunks, hidden[tokens.mask], head, scale)
        wanted = ctx.needs_input_grad[0]
        return _in_place_of(by_token, tokens.mask) if wanted else None, of_head, None


def _again(chunks: Chunks, tokens: Tensor, head: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Make every chunk once more, with the upstream gradient known."""
    by_token, of_head = torch.empty_like(tokens), torch.zeros_like(head)
    for rows, logits in chunks.logits(tokens, head):
        chunks.losses(rows, logits, gradient=True)
        torch.mm(logits, head, out=by_token[rows])
        of_head.addmm_(logits.T, tokens[rows] * scale[rows])
    return by_token.mul_(scale), of_head


def _in_place_of(by_token: Tensor, mask: Tensor) -> Tensor:
    full = by_token.new_zeros(*mask.shape, by_token.shape[1])
    full[mask] = by_token
    return full
