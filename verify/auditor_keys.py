"""What the auditor trusts: keys and hashes from outside the pack, in one small TOML file.

    format = "stillroom-auditor-keys/1"
    registry = "…"            # hash of the registry that the regions agreed on
    server = "…"              # the coordinator's signing key
    cosigner = "…"            # the witness's key; leave out where there is none
    witnesses = 1             # cosigned checkpoints asked for, of each ledger
    [regions]
    north = "…"               # the key that signs north's ledger

All are 64 hexadecimal digits. Whoever gets them from the pack, or from whoever made it, checks
nothing but that the maker agrees with himself.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from privacy.canonical import Json
from privacy.errors import MalformedDocumentError
from privacy.fields import Fields
from protocol.identity import Registry
from verify.errors import BadKeysError

FORMAT = "stillroom-auditor-keys/1"
MAX_KEYS_BYTES = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditorKeys:
    """The keys that a check rests on; 32 bytes each.

    Attributes:
        registry_hash: Of the registry that the regions agreed on.
        server_key: The coordinator's.
        cosigner_key: The witness's; None without one.
        witnesses: How many cosigned checkpoints each ledger must have: 0 or 1.
        regions: The ledger's key of each region, by name.
    """

    registry_hash: bytes
    server_key: bytes
    cosigner_key: bytes | None
    witnesses: int
    regions: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if not self.regions:
            raise BadKeysError("expected the ledger's key of at least one region, got none")
        if self.witnesses and self.cosigner_key is None:
            raise BadKeysError("expected the cosigner's key, since witnesses are asked for")

    @classmethod
    def of_registry(cls, registry: Registry) -> Self:
        """Return what a registry says; its hash must be known from elsewhere to mean anything."""
        return cls(
            registry_hash=registry.hash,
            server_key=registry.server_key,
            cosigner_key=registry.cosigner_key,
            witnesses=0,
            regions={record.name: record.ledger_key for record in registry.regions},
        )

    def to_toml(self) -> str:
        """Return the file."""
        lines = [f'format = "{FORMAT}"', f'registry = "{self.registry_hash.hex()}"']
        lines.append(f'server = "{self.server_key.hex()}"')
        if self.cosigner_key is not None:
            lines.append(f'cosigner = "{self.cosigner_key.hex()}"')
        lines += [f"witnesses = {self.witnesses}", "", "[regions]"]
        # A TOML basic string has the escapes of a JSON string.
        lines += [
            f'{json.dumps(name)} = "{key.hex()}"' for name, key in sorted(self.regions.items())
        ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, data: bytes) -> Self:
        """Read the file.

        Raises:
            BadKeysError: If it is anything else.
        """
        if len(data) > MAX_KEYS_BYTES:
            raise BadKeysError(f"expected at most {MAX_KEYS_BYTES} bytes of keys, got {len(data)}")
        try:
            parsed: dict[str, Json] = tomllib.loads(data.decode())
            return cls._read(parsed)
        except (ValueError, RecursionError, MalformedDocumentError) as error:
            raise BadKeysError(f"the auditor's keys cannot be read: {error}") from error

    @classmethod
    def _read(cls, parsed: Mapping[str, Json]) -> Self:
        fields = Fields(parsed, where="keys")
        values = fields.mapping("regions")
        regions = Fields(values, where="keys.regions")
        found = fields.text("format")
        if found != FORMAT:
            raise BadKeysError(f"expected keys of the format {FORMAT}, got {found[:40]!r}")
        cosigner = _key(fields, "cosigner") if "cosigner" in parsed else None
        keys = cls(
            registry_hash=_key(fields, "registry"),
            server_key=_key(fields, "server"),
            cosigner_key=cosigner,
            witnesses=fields.integer("witnesses", most=1) if "witnesses" in parsed else 0,
            regions={name: _key(regions, name) for name in values},
        )
        fields.close()
        return keys


def _key(fields: Fields, name: str) -> bytes:
    return bytes.fromhex(fields.hex_bytes(name, size=32))
