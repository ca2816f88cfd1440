"""A small federation that many tests of this package start from; every key in it is public."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.config import Deadlines, Kem, Recovery, RoundConfig, SignedConfig
from protocol.coordinator import CoordinatorRound
from protocol.encoding import enc, tagged_hash
from protocol.fixed_point import Block, Encoding, encode
from protocol.history import History, MemoryHistory
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from protocol.masks import Words, word_type
from protocol.messages import Advertise, Roster
from protocol.region import RegionPolicy, RegionRound
from protocol.share_messages import Members
from protocol.transcript import PublishedSum
from protocol.wire import Chunk

NOW = 1_800_000_000
LATER = NOW + 86_400
NAMES = (
    "avonlea",
    "brindle",
    "corrie",
    "dunmore",
    "elster",
    "farrow",
    "garnet",
    "hollin",
    "inver",
    "jarrow",
    "kelso",
    "lorne",
)

Delta = NDArray[np.float64]


@cache
def identity(name: str) -> Identity:
    """Return the signing key that this name always has in tests."""
    return Identity.from_private_bytes(tagged_hash("test/identity", name))


def randomness(label: str) -> Callable[[int], bytes]:
    """Return a source of bytes that is the same in every run."""
    count = 0

    def read(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{label}/{count}".encode()).digest(size)

    return read


@cache
def registry_of(names: tuple[str, ...], not_after: int = LATER) -> Registry:
    """Return the registry of these regions."""
    records = [
        RegionRecord(
            name=name,
            identity_key=identity(name).public_bytes(),
            ledger_key=identity(name + "/ledger").public_bytes(),
            not_after=not_after,
        )
        for name in names
    ]
    return Registry(
        epoch=1,
        quorum=len(names) // 2 + 1,
        regions=tuple(sorted(records, key=lambda record: record.uid)),
        server_key=identity("server").public_bytes(),
        cosigner_key=identity("cosigner").public_bytes(),
        server_not_after=LATER,
    )


class Federation:
    """``size`` regions, their registry (one region larger), one plan and one round."""

    def __init__(
        self,
        size: int = 4,
        *,
        dim: int = 5,
        bits: int = 32,
        bound: float = 1.0,
        shares: tuple[int, ...] | None = None,
        threshold: int | None = None,
        kem: Kem = Kem.X25519_ML_KEM_768,
        rotation_seed: bytes = b"",
    ) -> None:
        names = tuple(sorted(NAMES[:size], key=region_uid))
        shares = shares or (1,) * size
        least = threshold or 2 * size // 3 + 1
        self.names = names
        self.registry = registry_of((*NAMES[:size], "outsider"))
        self.uids = tuple(map(region_uid, names))
        self.weights = tuple(Fraction(share, sum(shares)) for share in shares)
        self.encoding = Encoding.for_regions(size, bits=bits, blocks=(Block(dim, bound),))
        self.config = RoundConfig(
            plan_hash=tagged_hash("test/plan"),
            round_=3,
            model_hash=tagged_hash("test/model"),
            layout_hash=tagged_hash("test/layout"),
            registry_hash=self.registry.hash,
            encoding=self.encoding,
            rotation_seed=rotation_seed,
            cohort=self.uids,
            weights=self.weights,
            threshold=least,
            min_cohort=least,
            min_survivors=least,
            kem=kem,
            recovery=Recovery.SHARES,
            deadlines=Deadlines(advertise_s=60, masked_s=3600),
        )
        self.policy = RegionPolicy(
            registry=self.registry,
            plan_hash=self.config.plan_hash,
            round_=self.config.round_,
            model_hash=self.config.model_hash,
            layout_hash=self.config.layout_hash,
            encoding=self.encoding,
            rotation_seed=rotation_seed,
            weights=dict(zip(self.uids, self.weights, strict=True)),
            threshold=least,
            min_survivors=least,
            min_cohort=3,
            max_weight=Fraction(1),
            kems=frozenset({kem}),
        )

    def region(
        self, name: str, *, history: History | None = None, now: int = NOW, **policy: Any
    ) -> RegionRound:
        """Return a region at the start of its round, with some rules changed."""
        return RegionRound(
            identity=identity(name),
            policy=replace(self.policy, **policy),
            history=history or MemoryHistory(),
            now=now,
            randomness=randomness(name),
        )

    def signed(self, **changes: Any) -> bytes:
        """Return the configuration, with some fields changed, signed by the server."""
        config = replace(self.config, **changes)
        return SignedConfig.sign(config, identity("server")).to_bytes()

    def coordinator(self, **changes: Any) -> CoordinatorRound:
        """Return the server at the start of its round."""
        return CoordinatorRound(
            config=replace(self.config, **changes),
            server_identity=identity("server"),
            registry=self.registry,
        )

    def deltas(self, seed: int = 0) -> Mapping[str, Delta]:
        """Return a delta for each region, within the bound."""
        generator = np.random.default_rng(seed)
        bound = self.encoding.blocks[0].bound
        return {name: generator.uniform(-bound, bound, self.encoding.dim) for name in self.names}

    def play(
        self, *, histories: Mapping[str, History] | None = None, policy: Any = None, **changes: Any
    ) -> Play:
        """Return a round in which nobody has sent anything yet."""
        known, rules = histories or {}, dict(policy or {})
        rules.setdefault("round_", changes.get("round_", self.config.round_))
        server = self.coordinator(**changes)
        regions = {name: self.region(name, history=known.get(name), **rules) for name in self.names}
        return Play(self, server, regions)


STAGES = ("advertise", "key", "deal", "accept", "mask", "consent", "unmask")


@dataclass
class Play:
    """A round in progress; each stage is one exchange with every region that is still there.

    Attributes:
        federation: Whose round.
        server: The honest server.
        regions: Those that are there; delete one, and it is lost from here on.
        inputs: The delta of each region.
    """

    federation: Federation
    server: CoordinatorRound
    regions: dict[str, RegionRound]
    inputs: Mapping[str, Delta] = field(default_factory=dict)
    masked: dict[str, tuple[bytes, tuple[Chunk, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs = self.inputs or self.federation.deltas()

    def until(self, stage: str) -> Play:
        """Play every stage before this one."""
        for name in STAGES[: STAGES.index(stage)]:
            getattr(self, name)()
        return self

    def lose(self, *names: str) -> Play:
        """Lose these regions for good."""
        for name in names:
            del self.regions[name]
        return self

    def advertise(self) -> None:
        for region in self.regions.values():
            self.server.on_advert(region.start(self.server.signed_config))

    def key(self) -> None:
        roster = self.server.roster()
        for region in self.regions.values():
            self.server.on_encaps(region.on_roster(roster))

    def deal(self) -> None:
        for region in self.regions.values():
            self.server.on_shares(region.on_encaps(self.server.encaps_for(region.uid)))

    def accept(self) -> None:
        for region in self.regions.values():
            self.server.on_accepted(region.on_shares(self.server.shares_for(region.uid)))

    def mask(self) -> None:
        members = self.server.members()
        for name, region in self.regions.items():
            if region.uid in Members.from_bytes(members).uids:
                self.masked[name] = region.mask(
                    members, self.inputs[name], payload_sha256=payload(name)
                )
                self.server.on_masked(*self.masked[name])

    def consent(self) -> None:
        survivors = self.server.survivors()
        for region in self._survivors():
            self.server.on_consent(region.on_survivors(survivors))

    def unmask(self) -> None:
        consents = self.server.consents()
        for region in self._survivors():
            self.server.on_unmask(region.on_consents(consents))

    def finish(self) -> PublishedSum:
        """Play the whole round."""
        self.until("unmask")
        self.unmask()
        return self.server.close()

    def _survivors(self) -> list[RegionRound]:
        return [one for one in self.regions.values() if one.uid in self.server.expected]

    def expected_sum(self, names: Iterable[str]) -> Words:
        """Return the sum of these regions' words, encoded without any mask."""
        config = self.federation.config
        total = np.zeros(config.dim, word_type(config.encoding.bits))
        for name in names:
            region = self.regions.get(name) or self.federation.region(name)
            total += encode(
                self.inputs[name],
                encoding=config.encoding,
                weights=config.weights,
                me=config.cohort.index(region.uid),
                rounding_key=rounding_key(config, name),
                rotation_seed=config.rotation_seed,
            ).words
        return total


def payload(name: str) -> bytes:
    """Return the hash that stands for this region's released delta."""
    return tagged_hash("test/payload", name)


def rounding_key(config: RoundConfig, name: str) -> bytes:
    """Return the key by which a region rounds in every attempt of a round."""
    secret = identity(name).sign(
        "rounding",
        context=config.plan_hash,
        uid=region_uid(name),
        body=enc(config.round_, payload(name)),
    )
    return tagged_hash("rounding", secret)


def with_advert(roster: Roster, advert: Advertise) -> bytes:
    """Return a roster in which ``advert`` stands for its region."""
    adverts = {old.uid: old for old in roster.adverts} | {advert.uid: advert}
    return Roster(roster.context, tuple(adverts[uid] for uid in sorted(adverts))).to_bytes()
