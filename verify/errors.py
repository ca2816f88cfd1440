"""Everything this package raises on purpose.

VerifyError
├── MissingEvidenceError      something that the check needs is not there, or cannot be read here
└── ContradictedError         what is there contradicts itself
"""

from __future__ import annotations


class VerifyError(Exception):
    """A run could not be confirmed."""


class MissingEvidenceError(VerifyError):
    """What the check needs is not there or cannot be read; it says nothing against the run."""


class ContradictedError(VerifyError):
    """The evidence contradicts itself."""
