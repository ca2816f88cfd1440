"""Everything this package raises on purpose.

PrivacyError
├── MalformedDocumentError    the bytes are not canonical JSON, or not of this version
├── InvalidBudgetError        an (ε, δ) that is no promise at all: zero, negative, NaN, δ too large
├── UnsupportedEventError     the accountant has no sound bound for this event
├── PlanRefusedError          a plan that contradicts itself, or is not the plan that was approved
├── BudgetExceededError       the account or the component has less left than was asked for
├── LineageRefusedError       the teacher may depend on the records it labels
└── LedgerError               the ledger cannot, or must not, take this entry
    ├── LedgerCorruptError    the file is damaged, or somebody changed it
    ├── LedgerVersionError    a later release wrote it
    ├── LedgerBusyError       another process holds the write lock
    ├── LedgerStorageError    the disk is full, read-only, or not a local one
    ├── LedgerClockError      the clock went back
    ├── UnknownEntryError     names a plan, component, account or context that was never entered
    ├── DuplicateEntryError   this was entered before, with other content
    ├── AccountFrozenError    the account was stopped by an incident
    ├── MissingReserveError   a release without the reserve that pays for it
    ├── MissingReleaseError   a send without the release that it carries
    └── ReplayedContextError  a round that this region accepted before
"""

from __future__ import annotations


class PrivacyError(Exception):
    """Something about budget, plan or ledger forbids to go on."""


class MalformedDocumentError(PrivacyError):
    """The bytes are not a document of this version."""


class InvalidBudgetError(PrivacyError):
    """The (ε, δ) is no promise at all."""


class UnsupportedEventError(PrivacyError):
    """The accountant has no sound bound for this event."""


class PlanRefusedError(PrivacyError):
    """The plan contradicts itself or is not the one that was approved."""


class BudgetExceededError(PrivacyError):
    """The account or the component has less left than was asked for."""


class LineageRefusedError(PrivacyError):
    """The teacher may depend on the records it labels."""


class LedgerError(PrivacyError):
    """The ledger cannot, or must not, take this entry."""


class LedgerCorruptError(LedgerError):
    """The ledger's file is damaged, or somebody changed it."""


class LedgerVersionError(LedgerError):
    """A later release wrote this ledger."""


class LedgerBusyError(LedgerError):
    """Another process holds the ledger's write lock."""


class LedgerStorageError(LedgerError):
    """The disk is full, read-only, or not a local one."""


class LedgerClockError(LedgerError):
    """The clock went back by more than a correction explains."""


class UnknownEntryError(LedgerError):
    """The entry names something that was never entered."""


class DuplicateEntryError(LedgerError):
    """The same thing was entered before, with other content."""


class AccountFrozenError(LedgerError):
    """An incident stopped the account: nothing is spent, released or sent under it."""


class MissingReserveError(LedgerError):
    """A release without the reserve that pays for it."""


class MissingReleaseError(LedgerError):
    """A send without the release that it carries."""


class ReplayedContextError(LedgerError):
    """A round that this region accepted before, or one older than its last."""
