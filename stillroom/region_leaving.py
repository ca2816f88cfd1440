"""``stillroom region sent``: what left the region for the coordinator, in a steward's words."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from client.folder import RegionFolder
from client.manifest import Comparison, Departure, compare, manifest_of
from protocol.wire import Kind
from stillroom.exits import Exit
from stillroom.region_opening import open_ledger

_PLAIN = {
    Kind.ADVERTISE: "public keys for a round",
    Kind.BEHIND: "note that sums are missing here",
    Kind.PARCEL: "key parts for other regions, encrypted for them",
    Kind.SHARES: "shares for other regions, encrypted for them",
    Kind.ACCEPTED: "note whose shares are good",
    Kind.MASKED: "masked update",
    Kind.PENDING: "note that training still runs",
    Kind.CONSENT: "consent to one sum",
    Kind.UNMASK: "shares that unmask one sum",
    Kind.RECEIPT: "receipt of a sum",
    Kind.REFUSAL: "refusal, one fixed word",
}
"""What each message is; those are all that may leave."""


@dataclass(frozen=True, slots=True)
class Group:
    """All answers of one kind.

    Attributes:
        message: Which.
        count: How many left, repeated ones too.
        size_bytes: Of all of them together.
        last: When the latest left, Unix seconds.
    """

    message: Kind
    count: int
    size_bytes: int
    last: int

    def sentence(self) -> str:
        """Return the group as one line."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.last))
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{_PLAIN[self.message]}: {times}, {self.size_bytes:,} bytes in all, last on {stamp}"

    def to_json(self) -> dict[str, object]:
        """Return the group as JSON has it."""
        return {
            "message": self.message.name.lower(),
            "what": _PLAIN[self.message],
            "count": self.count,
            "bytes": self.size_bytes,
            "last": self.last,
        }


@dataclass(frozen=True, slots=True)
class Left:
    """What left a region.

    Attributes:
        groups: In the order in which a round sends them.
        updates: Masked updates that differ; one that is sent again counts once.
        torn: Lines that were cut short.
        comparison: The list beside the ledger.
    """

    groups: tuple[Group, ...]
    updates: int
    torn: int
    comparison: Comparison

    @property
    def exit_code(self) -> Exit:
        """0 if list and ledger agree, 1 if an update left unrecorded, 4 if lines are missing."""
        if self.comparison.unrecorded:
            return Exit.FAILED
        return Exit.INCOMPLETE if self.comparison.unlisted else Exit.DONE

    def sentences(self) -> Iterator[str]:
        """Yield what a steward reads."""
        yield "left for the coordinator, and nothing else:" if self.groups else "nothing has left"
        for group in self.groups:
            yield f"  {group.sentence()}"
        if self.torn:
            yield f"lines that a sudden stop cut short: {self.torn}; no masked update was in them"
        yield from self._verdict()

    def to_json(self) -> dict[str, object]:
        """Return the same as JSON has it."""
        return {
            "sent": [group.to_json() for group in self.groups],
            "updates": self.updates,
            "torn_lines": self.torn,
            "agrees": self.comparison.agrees,
            "unrecorded": [vector.sha256 for vector in self.comparison.unrecorded],
            "unlisted": [vector.sha256 for vector in self.comparison.unlisted],
        }

    def _verdict(self) -> Iterator[str]:
        both = self.updates - len(self.comparison.unrecorded)
        yield f"masked updates that are in this list and in the ledger, byte for byte: {both}"
        for vector in self.comparison.unrecorded:
            yield (
                f"NOT IN THE LEDGER: an update of {vector.size_bytes:,} bytes, sha256 "
                f"{vector.sha256}: halt the region, keep its folder as it is, and find out which "
                "program sent it"
            )
        for vector in self.comparison.unlisted:
            yield (
                f"only in the ledger: an update of {vector.size_bytes:,} bytes, sha256 "
                f"{vector.sha256}: the client was stopped just before it left, or the list is "
                "younger than the ledger, or somebody removed a line; count it as sent"
            )


def what_left(folder: RegionFolder) -> Left:
    """Return what left a region, and whether its ledger agrees; nothing is written.

    Raises:
        ManifestError: If somebody changed the list.
        LedgerError: If the ledger cannot be read.
    """
    departures = manifest_of(folder).read()
    with open_ledger(folder) as ledger:
        comparison = compare(departures, ledger.state)
    updates = {one.vector for one in departures.sent if one.vector is not None}
    return Left(tuple(_groups(departures.sent)), len(updates), departures.torn, comparison)


def _groups(sent: Iterable[Departure]) -> Iterator[Group]:
    by_message: dict[Kind, list[Departure]] = {}
    for one in sent:
        by_message.setdefault(one.message, []).append(one)
    for message in _PLAIN:
        found = by_message.get(message, [])
        if found:
            size, last = sum(one.size_bytes for one in found), max(one.time for one in found)
            yield Group(message, len(found), size, last)
