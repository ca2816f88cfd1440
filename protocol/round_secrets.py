"""Everything of one round that a region must not show, in one place, so that it can be dropped.

It is never stored, shows in no ``repr``, and cannot be pickled or copied. What is needed no longer
goes at once: keys after the agreement, pair secrets and its own seed after masking, shares at the
end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from protocol.config import Kem
from protocol.dealing import Dealt
from protocol.errors import OutOfOrderError
from protocol.keys import Encapsulated, PairSecret, RoundKeys, encapsulate
from protocol.messages import Advertise
from protocol.sealing import DealtShares
from protocol.share_messages import Encaps
from protocol.unmask_messages import RevealedShare

Value = TypeVar("Value")


@dataclass(slots=True, repr=False, eq=False)
class RoundSecrets:
    """One region's secrets of one round.

    Attributes:
        keys: Its key agreement keys, until pairs have agreed.
        encapsulated: What it shares with each peer by KEM, until then.
        pairs: What it shares with each peer, until it has masked.
        dealt: What it dealt, until it has masked.
        own_share: Its own share of its self mask's secret, from masking on.
        held: What each accepted peer dealt to it.
    """

    keys: RoundKeys | None = field(default=None, repr=False)
    encapsulated: dict[bytes, Encapsulated] = field(default_factory=dict, repr=False)
    pairs: dict[bytes, PairSecret] = field(default_factory=dict, repr=False)
    dealt: Dealt | None = field(default=None, repr=False)
    own_share: RevealedShare | None = field(default=None, repr=False)
    held: dict[bytes, DealtShares] = field(default_factory=dict, repr=False)

    def make_keys(self, kem: Kem, randomness: Callable[[int], bytes]) -> tuple[bytes, bytes]:
        """Draw fresh keys; return the public X25519 key and KEM key, which may be empty."""
        self.keys = RoundKeys(kem, randomness)
        return self.keys.x25519_key(), self.keys.kem_key()

    def encapsulate(self, advert: Advertise) -> bytes:
        """Draw a KEM secret for a higher peer; return the ciphertext that carries it.

        Raises:
            AbortError: ``malformed``, with the peer's uid, if its key is none.
        """
        made = encapsulate(advert.kem_key, peer=advert.uid)
        self.encapsulated[advert.uid] = made
        return made.ciphertext

    def decapsulate(self, message: Encaps) -> None:
        """Take a lower peer's KEM secret.

        Raises:
            AbortError: ``malformed``, with the peer's uid, for a ciphertext of another size.
        """
        keys = present(self.keys)
        made = keys.decapsulate(message.ciphertext, peer=message.uid)
        self.encapsulated[message.uid] = made

    def agree(self, me: bytes, advert: Advertise, roster_hash: bytes) -> None:
        """Agree on the pair's secret with a peer whose KEM secret is there.

        Raises:
            AbortError: ``malformed``, with the peer's uid, for a key of low order.
        """
        self.pairs[advert.uid] = present(self.keys).pair_secret(
            me=me,
            peer=advert.uid,
            peer_key=advert.x25519_key,
            roster_hash=roster_hash,
            kem=self.encapsulated[advert.uid],
        )

    def drop_keys(self) -> None:
        """Drop what the agreement needed."""
        self.keys, self.encapsulated = None, {}

    def seeds(self, me: bytes, peers: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Return the seeds whose masks are added, its own among them, and those subtracted."""
        pairs = sorted((peer, self.pairs[peer].seed) for peer in peers)
        add = [present(self.dealt).self_seed, *(seed for peer, seed in pairs if peer > me)]
        return add, [seed for peer, seed in pairs if peer < me]

    def drop_seeds(self) -> None:
        """Drop what masking needed; the shares stay."""
        self.own_share = present(self.dealt).own_share
        self.pairs, self.dealt = {}, None

    def self_shares(self, me: bytes, dealers: Sequence[bytes]) -> tuple[RevealedShare, ...]:
        """Return its shares of these regions' self masks, its own region's too."""
        own = present(self.own_share)
        return tuple(own if uid == me else self.held[uid].own for uid in dealers)

    def escrow_shares(self, dealers: Sequence[bytes]) -> tuple[RevealedShare, ...]:
        """Return its shares of what opens these peers' escrows."""
        return tuple(self.held[uid].escrow for uid in dealers)

    def __reduce__(self) -> NoReturn:
        raise TypeError("RoundSecrets are secrets of one round: they cannot be copied or stored")


def present(value: Value | None) -> Value:
    """Return what must be there at this point of the round.

    Raises:
        OutOfOrderError: If it is not.
    """
    if value is None:
        raise OutOfOrderError("the round has not come this far; call start first")
    return value
