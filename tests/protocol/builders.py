"""A small federation that many tests of this package start from; every key in it is public."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.config import Deadlines, RoundConfig, SignedConfig
from protocol.coordinator import CoordinatorRound
from protocol.encoding import tagged_hash
from protocol.fixed_point import Block, Encoding
from protocol.history import History, MemoryHistory
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from protocol.messages import Advertise, Roster
from protocol.region import RegionPolicy, RegionRound

NOW = 1_800_000_000
LATER = NOW + 86_400
NAMES = ("avonlea", "brindle", "corrie", "dunmore", "elster", "farrow", "garnet", "hollin")

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
    ) -> None:
        names = tuple(sorted(NAMES[:size], key=region_uid))
        shares = shares or (1,) * size
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
            cohort=self.uids,
            weights=self.weights,
            threshold=size,
            min_cohort=size,
            min_survivors=size,
            deadlines=Deadlines(advertise_s=60, masked_s=3600),
        )
        self.policy = RegionPolicy(
            registry=self.registry,
            plan_hash=self.config.plan_hash,
            model_hash=self.config.model_hash,
            layout_hash=self.config.layout_hash,
            encoding=self.encoding,
            weights=dict(zip(self.uids, self.weights, strict=True)),
            min_cohort=3,
            max_weight=Fraction(1),
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

    def advertised(self) -> tuple[CoordinatorRound, Mapping[str, RegionRound]]:
        """Return a round in which every region's keys are with the server."""
        server = self.coordinator()
        regions = {name: self.region(name) for name in self.names}
        for region in regions.values():
            server.on_advert(region.start(server.signed_config))
        return server, regions

    def keyed(self) -> tuple[CoordinatorRound, Mapping[str, RegionRound]]:
        """Return a round in which every region has everybody's keys."""
        server, regions = self.advertised()
        for region in regions.values():
            region.on_roster(server.roster())
        return server, regions

    def deltas(self, seed: int = 0) -> Mapping[str, Delta]:
        """Return a delta for each region, within the bound."""
        generator = np.random.default_rng(seed)
        bound = self.encoding.blocks[0].bound
        return {name: generator.uniform(-bound, bound, self.encoding.dim) for name in self.names}


def roster_of(server: CoordinatorRound) -> Roster:
    """Return the server's roster as a value."""
    return Roster.from_bytes(server.roster())


def with_advert(roster: Roster, advert: Advertise) -> bytes:
    """Return a roster in which ``advert`` stands for its region."""
    adverts = {old.uid: old for old in roster.adverts} | {advert.uid: advert}
    return Roster(roster.context, tuple(adverts[uid] for uid in sorted(adverts))).to_bytes()
