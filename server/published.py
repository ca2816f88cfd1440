"""The finished rounds on the coordinator's disk: what it published, and who countersigned it.

    rounds/00003.transcript   the signed messages that prove the survivors' consent
    rounds/00003.sum          the words of the sum
    rounds/00003.receipts     the regions' receipts

A region that missed rounds gets them from here, and an auditor checks them (``verify``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from protocol.differencing import SurvivorSet
from protocol.identity import SERVER_UID
from protocol.outcome import Outcome
from protocol.share_messages import Parcel
from protocol.transcript import PublishedSum, Transcript, transcript_hash
from server.checkpoint import write_whole


@dataclass(frozen=True, slots=True)
class PublishedRounds:
    """A folder of finished rounds; each file is there whole or not at all."""

    folder: Path

    def save(self, round_: int, published: PublishedSum) -> None:
        """Keep a round's transcript and sum, durably."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(round_, "sum"), *published.chunks())
        write_whole(self._file(round_, "transcript"), published.transcript.to_bytes())

    def save_receipts(self, round_: int, receipts: Iterable[bytes]) -> None:
        """Keep what the regions signed about a round."""
        parcel = Parcel(bytes(32), SERVER_UID, tuple(receipts))
        write_whole(self._file(round_, "receipts"), parcel.to_bytes())

    def transcript(self, round_: int) -> bytes:
        """Return a round's transcript."""
        return self._file(round_, "transcript").read_bytes()

    def last_hash(self, finished: int) -> bytes:
        """Return the hash of the last of so many rounds' transcripts; empty before the first."""
        return transcript_hash(self.transcript(finished - 1)) if finished else b""

    def words(self, round_: int) -> bytes:
        """Return a round's sum."""
        return self._file(round_, "sum").read_bytes()

    def survivors(self, round_: int) -> SurvivorSet:
        """Return the regions in a round's sum, 16 bytes each."""
        outcome = Transcript.from_bytes(self.transcript(round_)).outcome
        return frozenset(Outcome.from_bytes(outcome).survivors)

    def _file(self, round_: int, kind: str) -> Path:
        return self.folder / f"{round_:05d}.{kind}"
