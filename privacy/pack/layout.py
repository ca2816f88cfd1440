"""What may be in a pack, under which name, and how large it may be.

The list is closed: a reader refuses every other name before it looks at a byte of it. A name is
ASCII, relative, and of one spelling, so that no two names meet on any file system.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from privacy.pack.errors import PackRefusedError

MANIFEST = "MANIFEST"
SIGNATURES = "MANIFEST.note"

MAX_PATH_BYTES = 240
MAX_FILES = 20_000
MAX_PACK_BYTES = 1 << 30
MAX_FILE_BYTES = 1 << 26
MAX_TOTAL_BYTES = 1 << 30
MAX_MANIFEST_BYTES = 1 << 23

_PART = r"[A-Za-z0-9_%~-][A-Za-z0-9._%~-]*"
_ALLOWED = re.compile(
    r"MANIFEST|MANIFEST\.note"
    r"|report\.(?:json|html|pdf)|schema\.json|plan\.json|registry\.bin"
    rf"|ledger/{_PART}\.(?:jsonl|checkpoint|cosigned)"
    rf"|approvals/{_PART}\.signature"
    r"|server/transcript\.jsonl"
    r"|rounds-[0-9]{5}\.zip"
    r"|rounds/[0-9]{5}\.(?:transcript|receipts|sum)"
    rf"|(?:config|evidence)/{_PART}"
)


def require_allowed(path: str) -> None:
    """Refuse a name that has no place in a pack.

    Raises:
        PackRefusedError: With the name.
    """
    if len(path) > MAX_PATH_BYTES or not _ALLOWED.fullmatch(path):
        raise PackRefusedError(
            f"expected only the files that a pack has, got {path[:MAX_PATH_BYTES]!r}; a file that "
            "nobody asked for is no evidence"
        )


def region_part(region: str) -> str:
    """Return what stands for a region's name in a file's name: itself where it is plain."""
    encoded = quote(region, safe="")
    return "%2E" + encoded[1:] if encoded.startswith(".") else encoded


def ledger_path(region: str) -> str:
    """Return where a region's entries are, one body a line."""
    return f"ledger/{region_part(region)}.jsonl"


def checkpoint_path(region: str) -> str:
    """Return where the checkpoint of a region's whole ledger is."""
    return f"ledger/{region_part(region)}.checkpoint"


def cosigned_path(region: str) -> str:
    """Return where the last checkpoint is that a witness cosigned."""
    return f"ledger/{region_part(region)}.cosigned"


def approval_path(region: str) -> str:
    """Return where a region's signature of the plan is."""
    return f"approvals/{region_part(region)}.signature"
