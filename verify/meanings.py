"""What each part of a pack's check means to whoever reads a finding; and what no check can see."""

from __future__ import annotations

from collections.abc import Mapping

from verify.findings import Check, Outcome

CHECKED: Mapping[Check, str] = {
    Check.WHOLE: "the pack is whole, as its operator and its regions signed it",
    Check.LEDGERS: "every ledger keeps its own rules, and every charge covers its events",
    Check.CHECKPOINTS: "no ledger was cut, rewritten or exchanged since anybody kept a checkpoint",
    Check.EXECUTED: "what was executed costs no more than the report says",
    Check.VECTORS: "every vector that the coordinator took was entered by the region that sent it",
    Check.FIGURES: "the report's figures follow from the ledgers and the plan",
    Check.PLAN: "plan, approvals, rounds, code and report are about one and the same plan",
    Check.TEACHER: "the report covers no more people than the teacher's origin allows",
    Check.TESTS: "the trainer passed its self-test before it touched a record; audits agree",
    Check.HISTORY: "the later pack goes on where the earlier one ended",
}

_AGAINST: Mapping[Check, str] = {
    Check.WHOLE: "somebody changed the pack, or packed it from other files than were signed",
    Check.LEDGERS: "the region's account cannot be relied on: more may have been spent",
    Check.CHECKPOINTS: "the ledger shown is not the one that was kept: spending may be hidden",
    Check.EXECUTED: "more noise was consumed than is reported",
    Check.VECTORS: "something left a region, or was summed, that is not on both sides' record",
    Check.FIGURES: "the report says something that its own evidence does not",
    Check.PLAN: "something else was run, charged or reported than was approved",
    Check.TEACHER: "the guarantee is claimed for people whom it does not cover",
    Check.TESTS: "the promise of the trainer was not tested, or the test failed",
    Check.HISTORY: "one of the two packs does not show the account as it was",
}

_MISSING = "nothing speaks against the run here; ask for what is missing and check again"

UNSEEN = (
    "that noise was added, and that it is secret: it was tested and attested, not proven",
    "that the data are what was declared, and that no other copy of them was used",
    "that the teacher is what its owner attests",
    "that nothing left a region in another way than by its messages",
    "that a person has records in one region only",
    "that the regions' machines and keys were theirs alone, and ran the code that they hashed",
    "that each sum is the sum: nobody but the coordinator vouches for that",
    "figures of quality: they were measured on records that are not in the pack",
    "what a region and all who keep its checkpoints left out together",
)


def meaning(check: Check, outcome: Outcome) -> str:
    """Return what a finding of this kind means to whoever relies on the report."""
    if outcome is Outcome.INCOMPLETE:
        return _MISSING
    return _AGAINST.get(check, "the evidence contradicts the report")
