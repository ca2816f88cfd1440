"""A region that took part in an earlier run takes part in the next: same keys, ledger and account.

A simulation of a refresh would show nothing if every region began with an empty account. So a
region's secrets, ledger and encrypted labels are taken over from the earlier run, where they stay
as they are; everything else in its folder belongs to one plan and is made anew.
"""

import shutil
from collections.abc import Callable

from client.folder import RegionFolder, RegionKeys
from privacy.guarantee import Bound
from privacy.ledger import Ledger
from simulations.errors import StudyDataError

_KEYS = ("identity.key", "ledger.key", "labels.key")


def took_part(former: RegionFolder) -> bool:
    """Return whether the earlier run has this region's folder, with its ledger."""
    return former.ledger.is_file()


def take_over(former: RegionFolder, folder: RegionFolder) -> RegionKeys:
    """Copy what belongs to the region and not to a plan; return its public keys.

    Raises:
        StudyDataError: If the earlier folder lacks a part.
    """
    (folder.root / "deltas").mkdir(parents=True, mode=0o700)
    folder.artifacts.mkdir()
    folder.root.chmod(0o700)
    try:
        for name in _KEYS:
            shutil.copy2(former.root / name, folder.root / name)
        for path in sorted(former.root.glob("*.db*")):  # with what SQLite has not merged yet
            shutil.copy2(path, folder.root / path.name)
    except FileNotFoundError as error:
        raise StudyDataError(
            f"expected the region's keys in {former.root}, got no {error.filename}: start from a "
            "run whose regions are whole"
        ) from error
    identity, ledger = folder.identity(), folder.ledger_key()
    return RegionKeys(identity.public_bytes(), ledger.public_bytes())


def granted(folder: RegionFolder, lineage: str, *, clock: Callable[[], int]) -> tuple[Bound, ...]:
    """Return the limits that the account was opened with; a new study cannot raise them.

    Raises:
        StudyDataError: If the ledger has no such account.
        LedgerError: If the ledger cannot be read.
    """
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        account = ledger.state.accounts.get(ledger.state.payer(lineage))
    if account is None:
        raise StudyDataError(
            f"the ledger in {folder.root} has no account {lineage}: is it another region's?"
        )
    return account.limits
