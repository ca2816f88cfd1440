"""FSA1 in one process: every region and the coordinator run whole, nothing is replayed.

The same bytes pass between them as over a network, so writing and reading every message counts,
as it does where the product runs. Keys of both kinds, signatures, commitments, digests of every
chunk and the consent round are included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from sum_task import SERVER, Cost, Stopwatch, Task

from protocol.config import Deadlines, Kem, Recovery, RoundConfig
from protocol.coordinator import CoordinatorRound
from protocol.fixed_point import Block, Encoding, decode_sum
from protocol.history import MemoryHistory
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from protocol.region import RegionPolicy, RegionRound

THREAT_MODEL = (
    "FSA1 is meant to keep deltas secret from a server that deviates, helped by fewer than a third "
    "of the regions: pinned Ed25519 identities, fresh X25519 and ML-KEM-768 keys, a signed consent "
    "before any share is shown."
)
_NOW = 1_800_000_000
_LATER = _NOW + 86_400
_AFTER = -2  # a party of its own: a region, when the round is over


@dataclass(frozen=True, slots=True)
class Variant:
    """How the deltas become words.

    Attributes:
        bits: Width of a word.
        rotated: Whether a public random rotation spreads each delta first.
    """

    bits: int
    rotated: bool

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{self.bits} bit" + (", rotated" if self.rotated else "")


class Fsa1Round:
    """One task, one round."""

    def __init__(self, task: Task, variant: Variant) -> None:
        self.task, self.watch = task, Stopwatch()
        self.up = dict.fromkeys(range(task.size), 0)
        self.down = dict.fromkeys(range(task.size), 0)
        federation = Federation(task, variant)
        self.config, self.registry = federation.config, federation.registry
        with self.watch.step(SERVER, "config"):
            self.server = CoordinatorRound(
                config=self.config,
                server_identity=federation.server_identity,
                registry=self.registry,
            )
        self.regions = [
            RegionRound(
                identity=identity,
                policy=federation.policy,
                history=MemoryHistory(),
                now=_NOW,
            )
            for identity in federation.identities
        ]

    def run(self) -> Cost:
        """Go through every step and return what it took."""
        everybody, survivors = range(self.task.size), self.task.survivors
        server, ask = self.server, self._exchange
        ask("keys", everybody, lambda _: server.signed_config, RegionRound.start, server.on_advert)
        ask(
            "ciphertexts",
            everybody,
            lambda _: server.roster(),
            RegionRound.on_roster,
            server.on_encaps,
        )
        ask("deal", everybody, server.encaps_for, RegionRound.on_encaps, server.on_shares)
        ask("accept", everybody, server.shares_for, RegionRound.on_shares, server.on_accepted)
        for region in survivors:
            self._send_vector(region)
        ask(
            "consent",
            survivors,
            lambda _: server.survivors(),
            RegionRound.on_survivors,
            server.on_consent,
        )
        ask(
            "reveal",
            survivors,
            lambda _: server.consents(),
            RegionRound.on_consents,
            server.on_unmask,
        )
        return self._cost(self._close())

    def _exchange(
        self,
        step: str,
        regions: Iterable[int],
        request: Callable[[bytes], bytes],
        answer: Callable[[RegionRound, bytes], bytes],
        take: Callable[[bytes], None],
    ) -> None:
        """Give each region what it waits for, then the server all replies."""
        replies = []
        for region in regions:
            with self.watch.step(SERVER, step):
                sent = request(self.config.cohort[region])
            self.down[region] += len(sent)
            with self.watch.step(region, step):
                reply = answer(self.regions[region], sent)
            self.up[region] += len(reply)
            replies.append(reply)
        for reply in replies:
            with self.watch.step(SERVER, step):
                take(reply)

    def _send_vector(self, region: int) -> None:
        delta = self.task.deltas.of(region)
        # The region's ledger holds this hash since the release, with or without a secure sum.
        digest = hashlib.sha256(delta.data).digest()
        with self.watch.step(SERVER, "add"):
            members = self.server.members()
        self.down[region] += len(members)
        with self.watch.step(region, "mask"):
            masked, chunks = self.regions[region].mask(members, delta, payload_sha256=digest)
        self.up[region] += len(masked) + sum(map(len, chunks))
        with self.watch.step(SERVER, "add"):
            self.server.on_masked(masked, chunks)

    def _close(self) -> NDArray[np.float64]:
        """Return the survivors' weighted mean, as a region has it once it checked the sum."""
        with self.watch.step(SERVER, "remove masks, decode"):
            published = self.server.close()
            decode_sum(
                published.words,
                encoding=self.config.encoding,
                weights=self.config.weights,
                rotation_seed=self.config.rotation_seed,
            )
        words = b"".join(published.chunks())
        with self.watch.step(_AFTER, "check and decode"):
            published.transcript.check(self.registry)
            return published.outcome.mean(words, config=self.config)

    def _cost(self, mean: NDArray[np.float64]) -> Cost:
        regions, watch = self.task.survivors, self.watch
        return Cost(
            client_s=sum(map(watch.total, regions)) / len(regions),
            client_max_s=max(map(watch.total, regions)),
            client_steps_s=watch.mean_steps(regions),
            server_s=watch.total(SERVER),
            server_steps_s=dict(watch.seconds[SERVER]),
            up_bytes=sum(self.up[region] for region in regions) / len(regions),
            down_bytes=sum(self.down[region] for region in regions) / len(regions),
            measured=len(regions),
            nmse=self.task.nmse(mean),
            after_s=watch.total(_AFTER),
        )


class Federation:
    """Keys, registry, plan constants and policy, made before the clock runs."""

    def __init__(self, task: Task, variant: Variant) -> None:
        names = sorted((f"region-{number}" for number in range(task.size)), key=region_uid)
        self.identities = [Identity.generate() for _ in names]
        self.server_identity = Identity.generate()
        self.registry = Registry(
            epoch=1,
            quorum=task.threshold,
            regions=tuple(
                RegionRecord(
                    name=name,
                    identity_key=identity.public_bytes(),
                    ledger_key=Identity.generate().public_bytes(),
                    not_after=_LATER,
                )
                for name, identity in zip(names, self.identities, strict=True)
            ),
            server_key=self.server_identity.public_bytes(),
            cosigner_key=Identity.generate().public_bytes(),
            server_not_after=_LATER,
        )
        examples = [task.examples(region) for region in range(task.size)]
        weights = tuple(Fraction(count, sum(examples)) for count in examples)
        digest = hashlib.sha256(b"bench").digest()
        rotation_seed = digest if variant.rotated else b""
        # As many as the threshold bears; the smallest sum must hold three regions beside them.
        colluders = min(-(-task.size // 3) - 1, task.threshold - 3)
        layers = zip(task.deltas.layer_sizes(), task.deltas.bounds(rotation_seed), strict=True)
        encoding = Encoding.for_regions(
            task.size,
            bits=variant.bits,
            blocks=tuple(Block(length, bound) for length, bound in layers),
        )
        self.config = RoundConfig(
            plan_hash=digest,
            round_=1,
            model_hash=digest,
            layout_hash=digest,
            registry_hash=self.registry.hash,
            encoding=encoding,
            rotation_seed=rotation_seed,
            cohort=tuple(map(region_uid, names)),
            weights=weights,
            threshold=task.threshold,
            min_cohort=task.size,
            min_survivors=task.threshold,
            assumed_colluders=colluders,
            kem=Kem.X25519_ML_KEM_768,
            recovery=Recovery.SHARES,
            deadlines=Deadlines(
                advertise_s=60, encaps_s=60, shares_s=60, masked_s=60, consent_s=60, unmask_s=60
            ),
        )
        self.policy = RegionPolicy(
            registry=self.registry,
            plan_hash=digest,
            round_=self.config.round_,
            model_hash=digest,
            layout_hash=digest,
            encoding=encoding,
            weights=dict(zip(self.config.cohort, weights, strict=True)),
            threshold=task.threshold,
            min_survivors=task.threshold,
            rotation_seed=rotation_seed,
            min_cohort=min(5, task.size),
            assumed_colluders=colluders,
        )
