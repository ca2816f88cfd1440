"""A chunk of tokens: its logits become its losses, and in the same buffer its gradients.

All is in place, because at a vocabulary of 49,152 every further buffer is as large as the logits.
With z the logits, T the temperature, p the teacher over k tokens and a tail, q the student:

    soft:   T² · Σ p (log p − log q)      gradient at a kept token   T · (q − p)
                                          gradient in the tail       T · q · (1 − p_tail / q_tail)
    class:  −log q(c) at T = 1            gradient                   q − 1[c]

where the p of a position sum to one; if they do not quite, q is times their sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distillation.objectives.objective import Objective

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenwise:
    """The targets of N tokens, and whose they are.

    Attributes:
        ids: (N, k), int64.
        probs: Of the kept outcomes, (N, k).
        choice: The most likely outcome, (N,), int64.
        tail: Of all others, (N,).
        reference: (N,), int64, 0 where there is none.
        known: (N,), 1.0 where there is a reference.
        record: Which record a token belongs to, (N,), int64.
        share: One over the record's number of tokens, (N,).
        mask: Where the tokens stand, (B, T), bool.
    """

    ids: Tensor
    probs: Tensor
    choice: Tensor
    tail: Tensor
    reference: Tensor
    known: Tensor
    record: Tensor
    share: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Chunks:
    """How N tokens are gone through, ``size`` at a time.

    Attributes:
        tokens: The targets.
        objective: Soft, hard and label terms.
        size: Tokens of a chunk.
    """

    tokens: Tokenwise
    objective: Objective
    size: int

    def logits(self, hidden: Tensor, head: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield each chunk's place and logits (c, V), always in the same memory."""
        buffer = hidden.new_empty(min(self.size, len(hidden)), len(head))
        for start in range(0, len(hidden), self.size):
            rows = slice(start, min(start + self.size, len(hidden)))
            part = buffer[: rows.stop - start]
            torch.mm(hidden[rows], head.T, out=part)
            yield rows, part

    def losses(self, rows: slice, logits: Tensor, *, gradient: bool) -> Tensor:
        """Return the losses (c,) and leave the gradient (c, V) in ``logits`` if asked."""
        soft, temperature = self.objective.soft, self.objective.temperature
        classes = self._classes(rows)
        if not soft or temperature == 1 or not classes:
            at = temperature if soft else 1.0
            return self._pass(rows, logits, classes, soft=soft, at=at, gradient=gradient)
        other = logits.clone()  # soft and class terms see different probabilities
        loss = self._pass(rows, other, classes, soft=0.0, at=1.0, gradient=gradient)
        loss += self._pass(rows, logits, [], soft=soft, at=temperature, gradient=gradient)
        if gradient:
            logits.add_(other)
        return loss

    def _classes(self, rows: slice) -> list[tuple[Tensor, Tensor]]:
        """Return the classes to be named, (c, 1), and the weight of each, (c, 1)."""
        tokens, found = self.tokens, []
        if self.objective.hard:
            choice = tokens.choice[rows].unsqueeze(1)
            found.append((choice, tokens.probs.new_full(choice.shape, self.objective.hard)))
        if self.objective.label:
            weight = self.objective.label * tokens.known[rows].unsqueeze(1)
            found.append((tokens.reference[rows].unsqueeze(1), weight))
        return found

    def _pass(
        self,
        rows: slice,
        logits: Tensor,
        classes: list[tuple[Tensor, Tensor]],
        *,
        soft: float,
        at: float,
        gradient: bool,
    ) -> Tensor:
        """Return the losses of the soft term and of ``classes`` at one temperature, (c,)."""
        ids, probs = self.tokens.ids[rows], self.tokens.probs[rows]
        tail = self.tokens.tail[rows].unsqueeze(1)
        named = [logits.gather(1, wanted) for wanted, _ in classes]
        if at != 1:
            logits.div_(at)
        found = _softmax_apart(logits, ids)
        rest, total = found.rest, found.total
        loss = torch.zeros_like(total)
        for (_, weight), value in zip(classes, named, strict=True):
            loss += weight * (found.level - value)
        if soft:
            entropy = torch.xlogy(probs, probs).sum(dim=1, keepdim=True) + torch.xlogy(tail, tail)
            cross = (probs * found.log_kept).sum(dim=1, keepdim=True) + tail * (rest / total).log()
            loss += soft * at**2 * (entropy - cross)
        if gradient:
            mass = soft * at * (probs.sum(dim=1, keepdim=True) + tail)
            mass += sum(weight for _, weight in classes)
            logits.mul_(mass / total - soft * at * tail / rest)
            logits.scatter_(1, ids, mass * found.log_kept.exp() - soft * at * probs)
            for wanted, weight in classes:
                logits.scatter_add_(1, wanted, -weight)
        return loss.squeeze(1)


@dataclass(frozen=True, slots=True)
class _Apart:
    """A softmax whose kept outcomes are taken out: (c, k) and (c, 1)."""

    log_kept: Tensor
    rest: Tensor
    total: Tensor
    level: Tensor


def _softmax_apart(logits: Tensor, ids: Tensor) -> _Apart:
    """Turn ``logits`` (c, V) into exponentials in place, with zeros at ``ids``."""
    top, most = logits.gather(1, ids), logits.amax(dim=1, keepdim=True)
    logits.sub_(most).exp_()
    # What is left is the tail itself: one minus the kept would lose the digits of a small one.
    logits.scatter_(1, ids, 0.0)
    rest = logits.sum(dim=1, keepdim=True).clamp_(min=_TINY)
    total = rest + (top - most).exp_().sum(dim=1, keepdim=True)
    level = most + total.log()
    return _Apart(top - level, rest, total, level)
