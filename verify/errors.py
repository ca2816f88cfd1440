"""Everything this package raises on purpose.

VerifyError
├── MissingEvidenceError      something that the check needs is not there, or cannot be read here
├── ContradictedError         what is there contradicts itself
└── BadKeysError              what the auditor gave the check is no key, hash or checkpoint
"""

from __future__ import annotations


class VerifyError(Exception):
    """A run could not be confirmed."""


class MissingEvidenceError(VerifyError):
    """What the check needs is not there or cannot be read; it says nothing against the run."""


class ContradictedError(VerifyError):
    """The evidence contradicts itself."""


class BadKeysError(VerifyError):
    """What the auditor trusts cannot be read: bad input, not a finding."""
