"""Everything this package raises on purpose.

PackError (a PrivacyError)
├── PackRefusedError          the bytes are not the one container of their contents, or too large
└── PackSourceError           what should be packed is not there, or has no place in a pack
"""

from __future__ import annotations

from privacy.errors import PrivacyError


class PackError(PrivacyError):
    """A pack could not be written or read."""


class PackRefusedError(PackError):
    """The bytes are no pack: nothing of their contents was looked at."""


class PackSourceError(PackError):
    """What should be packed is not there, or cannot be part of a pack."""
