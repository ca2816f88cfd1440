"""The conformance self-test: does this trainer do what the accountant assumes? Asked, not trusted.

It runs the region's own trainer, trained part, objective and teacher on made-up records: no budget
is spent, no private record is read, nothing is sent. What it shows, and what it cannot see, is in
docs/conformance.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from distillation.dp.conformance_noise import noise_findings
from distillation.dp.conformance_sampling import sampling_findings
from distillation.dp.conformance_subject import Check, Finding, Subject, broken, make_up
from distillation.dp.conformance_sums import sum_findings
from distillation.dp.optimizer import StepTerms
from distillation.errors import ConformanceError
from distillation.recipe import Recipe
from distillation.teacher import Teacher
from distillation.tokens import Tokens
from distillation.trained_part import TrainedPart

FALSE_ALARM = 1e-7
"""Probability that one check of chance refuses a right trainer; there are ten of them."""


@dataclass(frozen=True, slots=True)
class Conformance:
    """What the self-test found, check by check.

    Attributes:
        findings: One a check; a part of the test that could not run has one that failed.
    """

    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The checks that did not pass."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def missing(self) -> tuple[Check, ...]:
        """The checks that did not run, in the order of `Check`."""
        ran = {finding.check for finding in self.findings}
        return tuple(check for check in Check if check not in ran)

    @property
    def passed(self) -> bool:
        """Whether every check ran and passed."""
        return not self.failed and not self.missing

    def require(self) -> None:
        """Go on only with a trainer that passed.

        Raises:
            ConformanceError: Naming each check that failed, what was expected and what came.
        """
        if self.passed:
            return
        rows = [f"- {f.check}: expected that {f.expected}; but {f.came}" for f in self.failed]
        rows += [f"- {check}: did not run" for check in self.missing]
        raise ConformanceError(
            "this region's training code does not protect records as its plan promises, so it "
            "must not train on them; no record was used and no budget spent. Install the release "
            "that the plan was made for, unchanged, and start again; if this comes back, send "
            "these lines to whoever maintains it:\n" + "\n".join(rows)
        )


def check_trainer(
    part: TrainedPart, recipe: Recipe, terms: StepTerms, *, teacher: Teacher
) -> Conformance:
    """Run every check on the trainer as it would run in a round.

    Guarantees: reads no record; a right trainer fails with probability at most 1e-6; ``part`` has
    its tensors back afterwards.

    Args:
        part: The region's trained part.
        recipe: The plan's recipe.
        terms: The plan's terms of a step.
        teacher: The region's teacher.
    """
    before = part.vector()
    try:
        return Conformance(tuple(_findings(part, recipe, terms, teacher)))
    finally:
        part.load(before)


def _findings(
    part: TrainedPart, recipe: Recipe, terms: StepTerms, teacher: Teacher
) -> Iterator[Finding]:
    try:
        subject = make_up(part, recipe, terms, teacher)
    except Exception as error:  # no record is at stake, and nothing passes that did not run
        yield broken(Check.PAYLOAD, error)
        return
    groups: list[tuple[Check, Callable[[], Iterator[Finding]]]] = [
        (Check.PAYLOAD, lambda: iter([_payload(subject)])),
        (Check.TEACHER, lambda: iter([_teacher(subject)])),
        (Check.SENSITIVITY, lambda: sum_findings(subject)),
        (Check.NOISE_SCALE, lambda: noise_findings(subject, FALSE_ALARM)),
        (Check.SAMPLE_RATE, lambda: sampling_findings(subject, FALSE_ALARM)),
    ]
    for check, findings in groups:
        try:
            yield from findings()
        except Exception as error:  # whatever stops the trainer on made-up records is a finding
            yield broken(check, error)


def _payload(subject: Subject) -> Finding:
    """What moved in the module is what is released: every declared tensor, and nothing else."""
    part = subject.part
    part.load(subject.weights)
    before = {name: value.clone() for name, value in _values(part.module).items()}
    released = subject.released(subject.base(), subject.every_record(), steps=2)
    after = _values(part.module)
    moved = {
        part.full_name(name)
        for name, value in after.items()
        if name not in before or not torch.equal(value, before[name])
    }
    declared = {name for name, _ in part.layout.tensors}
    frozen = {name for name, p in part.module.named_parameters() if not p.requires_grad}
    constants = after.keys() - part.module.state_dict().keys()  # of the code: position numbers
    kept = {part.full_name(name) for name in after.keys() - frozen - constants}
    whole = np.allclose(subject.weights - released, part.vector(), rtol=1e-4, atol=1e-4)
    wrong = sorted((moved ^ declared) | (kept ^ declared))
    return Finding(
        Check.PAYLOAD,
        not wrong and whole,
        f"the payload is the change of the {len(declared)} declared tensors and of no other",
        f"{', '.join(wrong) or 'the tensors are right'}; the change is "
        f"{'theirs' if whole else 'another'}",
    )


def _values(module: nn.Module) -> dict[str, Tensor]:
    """Return every tensor of a module, by name, buffers outside its state too."""
    return {**module.state_dict(), **dict(module.named_buffers())}


def _teacher(subject: Subject) -> Finding:
    """The teacher's answers are the same bits alone, in company, and in another order."""
    ids, padding = subject.tokens.ids, subject.tokens.padding
    among = subject.teacher.answer(subject.tokens)
    turned = subject.teacher.answer(Tokens(ids[::-1], padding))
    alone = [subject.teacher.answer(Tokens((ids[row],), padding)) for row in (0, len(ids) - 1)]
    same = all(
        torch.equal(values, other.flip(0))
        and torch.equal(values[:1], first)
        and torch.equal(values[-1:], last)
        for values, other, first, last in (
            (among.log_probs, turned.log_probs, alone[0].log_probs, alone[1].log_probs),
            (among.features, turned.features, alone[0].features, alone[1].features),
        )
    )
    return Finding(
        Check.TEACHER,
        same,
        "the teacher's answer to a record is the same bits in any company",
        "it is" if same else "it differs",
    )
