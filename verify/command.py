"""The check of a pack as one call: files in, a result out; both commands are thin around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from privacy.notes import MAX_NOTE_BYTES
from verify.auditor_keys import MAX_KEYS_BYTES, AuditorKeys
from verify.checkpoints_check import Kept
from verify.errors import BadKeysError
from verify.findings import Outcome, Result
from verify.pack_check import check_pack, compare_packs


def check_files(
    pack: Path, *, keys: Path, checkpoints: Sequence[Path] = (), since: Path | None = None
) -> Result:
    """Check a pack, and where an earlier one is given also that it goes on from there.

    Args:
        pack: The pack.
        keys: The auditor's keys (``auditor_keys``).
        checkpoints: Signed notes that the auditor kept from before.
        since: An earlier pack of the same accounts.

    Raises:
        BadKeysError: If keys or checkpoints cannot be read.
    """
    trusted = AuditorKeys.from_toml(_read(keys, most=MAX_KEYS_BYTES))
    kept = [Kept(_read(one, most=MAX_NOTE_BYTES), one.name, given=True) for one in checkpoints]
    result = check_pack(pack, trusted, kept)
    if since is None or result.outcome is Outcome.VIOLATED:
        return result
    compared = compare_packs(since, pack, trusted)
    return Result(
        result.findings + compared.findings, result.regions, result.notes + compared.notes
    )


def _read(path: Path, *, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BadKeysError(f"expected a file at {path}, got: {error.strerror}") from error
    if len(data) > most:
        raise BadKeysError(f"expected at most {most} bytes in {path.name}, got more")
    return data
