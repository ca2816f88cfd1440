"""V1: is the file a pack, whole, and signed by those whose keys the auditor gave?

Nothing inside is believed before all of this holds: the container has its one form, every entry is
the one that the manifest lists, none is missing and none is there unlisted, the operator signed the
manifest, every other signature is good, and the registry is the one whose hash the auditor has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from privacy.pack import layout
from privacy.pack.container import Container
from privacy.pack.errors import PackRefusedError
from privacy.pack.manifest import OPERATOR, Manifest, region_signer, signers_of
from protocol.errors import ProtocolError
from protocol.identity import Registry
from verify.auditor_keys import AuditorKeys
from verify.errors import ContradictedError, MissingEvidenceError
from verify.findings import Check, Finding, incomplete, violated


@dataclass(frozen=True, slots=True)
class Opened:
    """A pack that is whole.

    Attributes:
        registry: The registry whose hash the auditor gave.
        signers: Names of the regions that signed it.
    """

    registry: Registry
    signers: frozenset[str]


def open_whole(container: Container, keys: AuditorKeys) -> Opened:
    """Check manifest, signatures and registry.

    Raises:
        ContradictedError: If the pack is not what was signed, or was signed under other keys.
    """
    try:
        _check_entries(container)
        registry = _registry(container, keys)
        signed = _signed(container, registry, keys)
    except PackRefusedError as error:
        raise ContradictedError(str(error)) from error
    if OPERATOR not in signed:
        raise ContradictedError(
            "the operator did not sign MANIFEST: nobody says that this is the run's pack"
        )
    names = {region_signer(record.uid): record.name for record in registry.regions}
    return Opened(registry, frozenset(names[one] for one in signed if one != OPERATOR))


def key_findings(opened: Opened, keys: AuditorKeys) -> Iterator[Finding]:
    """Yield what the registry says otherwise than the auditor's keys."""
    registered = {record.name: record.ledger_key for record in opened.registry.regions}
    where = "registry.bin"
    for name, key in sorted(keys.regions.items()):
        if name not in registered:
            text = "the auditor has its key, and the registry does not know it"
            yield violated(Check.WHOLE, text, region=name, where=where)
        elif registered[name] != key:
            text = "the registry has another ledger's key for it than the auditor was given"
            yield violated(Check.WHOLE, text, region=name, where=where)
    if opened.registry.server_key != keys.server_key:
        text = "the registry has another key of the coordinator than the auditor was given"
        yield violated(Check.WHOLE, text, where=where)
    if keys.cosigner_key not in (None, opened.registry.cosigner_key):
        text = "the registry has another key of the witness than the auditor was given"
        yield violated(Check.WHOLE, text, where=where)


def unsigned(opened: Opened, cohort: Collection[str]) -> Iterator[Finding]:
    """Yield which regions of a run did not sign its pack."""
    for name in sorted(set(cohort) - opened.signers):
        text = "it did not sign MANIFEST: it does not yet say that the pack shows its ledger"
        yield incomplete(Check.WHOLE, text, region=name, where=layout.SIGNATURES)


def require(container: Container, path: str) -> bytes:
    """Return a file that every pack has.

    Raises:
        MissingEvidenceError: If it is not there.
    """
    if path not in container.items:
        raise MissingEvidenceError(f"expected {path} in the pack, got none; ask for a whole pack")
    return container.read(path)


def _check_entries(container: Container) -> None:
    """Compare every entry with what the manifest lists."""
    data = container.read(layout.MANIFEST, most=layout.MAX_MANIFEST_BYTES)
    manifest = Manifest.from_bytes(data)
    listed = manifest.files
    there = set(container.items) - {layout.MANIFEST, layout.SIGNATURES}
    odd = sorted(there ^ set(listed))
    if odd:
        one = odd[0]
        raise PackRefusedError(
            f"{one} is in the pack and not in MANIFEST: somebody added it"
            if one in there
            else f"{one} is in MANIFEST and not in the pack: somebody took it out"
        )
    digests, archive = container.digests(tuple(listed))
    for path, expected in listed.items():
        if digests[path] != expected:
            raise PackRefusedError(f"{path} is not the file that MANIFEST lists: it was changed")
    if archive != manifest.archive:
        raise PackRefusedError("the files are deflated in another way than when they were signed")


def _signed(container: Container, registry: Registry, keys: AuditorKeys) -> frozenset[str]:
    known = {region_signer(record.uid): record.ledger_key for record in registry.regions}
    return signers_of(
        container.read(layout.MANIFEST, most=layout.MAX_MANIFEST_BYTES),
        container.read(layout.SIGNATURES, most=layout.MAX_MANIFEST_BYTES),
        {**known, OPERATOR: keys.server_key},
    )


def _registry(container: Container, keys: AuditorKeys) -> Registry:
    try:
        registry = Registry.from_bytes(require(container, "registry.bin"))
    except (ProtocolError, MissingEvidenceError) as error:
        raise ContradictedError(f"registry.bin cannot be read: {error}") from error
    if registry.hash != keys.registry_hash:
        raise ContradictedError(
            f"expected the registry {keys.registry_hash.hex()[:16]}…, got "
            f"{registry.hash.hex()[:16]}…: the pack is of another federation, or of a time before "
            "or after a change of keys; give the hash that the regions agreed on then"
        )
    return registry
