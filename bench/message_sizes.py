"""How large the messages of one round are: ``python bench/message_sizes.py [N ...]``.

It plays a whole round with the real classes, hybrid keys and the checkpoints of a second round,
with N = 5 and 64 unless told otherwise, and prints a Markdown table of bytes. A vector has one
coordinate here: a real one adds its own bytes and, for each further 4 MiB, a hash of 32 bytes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import numpy as np

from client.checkpoints import sign_checkpoint
from privacy.ledger import Ledger
from protocol.config import Deadlines, Kem, Recovery, RoundConfig, SignedConfig
from protocol.coordinator import CoordinatorRound
from protocol.envelope import MessageKind
from protocol.fixed_point import Block, Encoding
from protocol.history import MemoryHistory
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from protocol.messages import Advertise, Checkpoint, Collect, Masked, Roster
from protocol.region import RegionPolicy, RegionRound
from protocol.share_messages import Accepted, Dealing, Encaps, Members, Parcel, Shares
from protocol.transcript import Receipt, Transcript, transcript_hash
from protocol.unmask_messages import Consent, Survivors, Unmask

_NOW, _LATER = 1_800_000_000, 1_800_086_400
_HASH = bytes(32)

START, ENCAPS, SHARES, ACCEPT = (
    MessageKind.TRAIN_START,
    MessageKind.QUERY_ENCAPS,
    MessageKind.QUERY_SHARES,
    MessageKind.QUERY_ACCEPT,
)
MASKED, CONSENT, UNMASK, SUM = (
    MessageKind.TRAIN_MASKED,
    MessageKind.QUERY_CONSENT,
    MessageKind.QUERY_UNMASK,
    MessageKind.QUERY_SUM,
)
DOWN, UP = "to a region", "from a region"

# What travels, in the order of the round; a parcel holds messages of its second kind.
_MESSAGES: dict[tuple[MessageKind, str], tuple[type, ...]] = {
    (START, DOWN): (SignedConfig,),
    (START, UP): (Advertise,),
    (ENCAPS, DOWN): (Roster,),
    (ENCAPS, UP): (Parcel, Encaps),
    (SHARES, DOWN): (Parcel, Encaps),
    (SHARES, UP): (Shares,),
    (ACCEPT, DOWN): (Parcel, Dealing),
    (ACCEPT, UP): (Accepted,),
    (MASKED, DOWN): (Collect, Members),
    (MASKED, UP): (Masked,),
    (CONSENT, DOWN): (Survivors,),
    (CONSENT, UP): (Consent,),
    (UNMASK, DOWN): (Parcel, Consent),
    (UNMASK, UP): (Unmask,),
    (SUM, DOWN): (Transcript,),
    (SUM, UP): (Receipt,),
}

Sizes = dict[tuple[MessageKind, str], list[int]]


class _Seen(MemoryHistory):
    """A history that has seen a checkpoint of every other region, as after a first round."""

    def __init__(self, seen: Sequence[Checkpoint]) -> None:
        super().__init__()
        self._seen = tuple(seen)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return what it has seen."""
        return self._seen


class _Federation:
    """``size`` regions, their registry, one round."""

    def __init__(self, size: int) -> None:
        identities = {f"region-{number}": Identity.generate() for number in range(size)}
        ledgers = {name: Identity.generate() for name in identities}
        server = Identity.generate()
        records = [
            RegionRecord(
                name=name,
                identity_key=identity.public_bytes(),
                ledger_key=ledgers[name].public_bytes(),
                not_after=_LATER,
            )
            for name, identity in identities.items()
        ]
        registry = Registry(
            epoch=1,
            quorum=size // 2 + 1,
            regions=tuple(sorted(records, key=lambda record: record.uid)),
            server_key=server.public_bytes(),
            cosigner_key=Identity.generate().public_bytes(),
            server_not_after=_LATER,
        )
        least, uids = 2 * size // 3 + 1, tuple(record.uid for record in registry.regions)
        config = RoundConfig(
            plan_hash=_HASH,
            round_=1,
            model_hash=_HASH,
            layout_hash=_HASH,
            registry_hash=registry.hash,
            encoding=Encoding.for_regions(size, bits=32, blocks=(Block(1, 1.0),)),
            rotation_seed=_HASH,
            cohort=uids,
            weights=(Fraction(1, size),) * size,
            threshold=least,
            min_cohort=least,
            min_survivors=least,
            kem=Kem.X25519_ML_KEM_768,
            recovery=Recovery.SHARES,
            deadlines=Deadlines(advertise_s=60, masked_s=3600),
        )
        policy = RegionPolicy(
            registry=registry,
            plan_hash=config.plan_hash,
            round_=config.round_,
            model_hash=config.model_hash,
            layout_hash=config.layout_hash,
            encoding=config.encoding,
            rotation_seed=config.rotation_seed,
            weights=dict(zip(uids, config.weights, strict=True)),
            threshold=least,
            min_survivors=least,
            min_cohort=3,
        )
        self.identities = {region_uid(name): one for name, one in identities.items()}
        self.notes = _checkpoints({region_uid(name): key for name, key in ledgers.items()})
        self.server = CoordinatorRound(config=config, server_identity=server, registry=registry)
        self.regions = [
            RegionRound(
                identity=self.identities[uid],
                policy=policy,
                history=_Seen([Checkpoint(u, self.notes[u]) for u in uids if u != uid]),
                now=_NOW,
            )
            for uid in uids
        ]


def _checkpoints(keys: dict[bytes, Identity]) -> dict[bytes, bytes]:
    """Return a checkpoint of one ledger, signed as every region signs its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        with Ledger.create(path, region="region-0", clock=lambda: _NOW) as ledger:
            return {uid: sign_checkpoint(ledger, key, uid) for uid, key in keys.items()}


def play(size: int) -> Sizes:
    """Play a round in which everybody answers and return the bytes of each message."""
    one, sizes = _Federation(size), defaultdict[tuple[MessageKind, str], list[int]](list)
    server = one.server

    def ask(
        kind: MessageKind,
        request: Callable[[bytes], bytes],
        answer: Callable[[RegionRound, bytes], bytes],
        take: Callable[[bytes], None],
    ) -> None:
        for asked, region in [(request(region.uid), region) for region in one.regions]:
            reply = answer(region, asked)
            sizes[kind, DOWN].append(len(asked))
            sizes[kind, UP].append(len(reply))
            take(reply)

    ask(START, lambda _: server.signed_config, RegionRound.start, server.on_advert)
    ask(ENCAPS, lambda _: server.roster(), RegionRound.on_roster, server.on_encaps)
    ask(SHARES, server.encaps_for, RegionRound.on_encaps, server.on_shares)
    ask(ACCEPT, server.shares_for, RegionRound.on_shares, server.on_accepted)
    members, delta = server.members(), np.zeros(1)
    for region in one.regions:
        masked, chunks = region.mask(
            members, delta, payload_sha256=_HASH, checkpoint=one.notes[region.uid]
        )
        server.on_masked(masked, chunks)
        sizes[MASKED, DOWN].append(len(Collect(server.context).to_bytes()) + len(members))
        sizes[MASKED, UP].append(len(masked))
    ask(CONSENT, lambda _: server.survivors(), RegionRound.on_survivors, server.on_consent)
    ask(UNMASK, lambda _: server.consents(), RegionRound.on_consents, server.on_unmask)
    transcript = server.close().transcript.to_bytes()
    for region in one.regions:
        receipt = Receipt(
            context=server.context, uid=region.uid, transcript_hash=transcript_hash(transcript)
        )
        sizes[SUM, DOWN].append(len(transcript))
        sizes[SUM, UP].append(len(receipt.signed_by(one.identities[region.uid]).to_bytes()))
    return sizes


def table(counts: Iterable[int]) -> str:
    """Return the Markdown table: the largest message of each kind, and a region's mean round."""
    played = {count: play(count) for count in counts}
    sizes = [f"N = {count}" for count in played]
    rows = [["transport", DOWN, *sizes, UP, *sizes]]
    rows.append(["---", *["---", *["--:"] * len(played)] * 2])
    for kind in dict.fromkeys(kind for kind, _ in _MESSAGES):
        row = [f"`{kind.value}`"]
        for way in (DOWN, UP):
            types = _MESSAGES[kind, way]
            row.append(f"{_name(types)}: {_fields(types[-1])}")
            row += [f"{max(one[kind, way]):,}" for one in played.values()]
        rows.append(row)
    rows.append(["all", *_means(played, DOWN), *_means(played, UP)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _means(played: Mapping[int, Sizes], way: str) -> list[str]:
    """Return what a region gets or sends in the whole round, the mean of all regions."""
    sums = {
        count: sum(sum(found) for (_, where), found in sizes.items() if where == way)
        for count, sizes in played.items()
    }
    return ["mean of the regions", *(f"{total / count:,.0f}" for count, total in sums.items())]


def _name(types: tuple[type, ...]) -> str:
    if types[0] is Parcel:
        return f"`Parcel` of `{types[1].__name__}`"
    return ", ".join(f"`{one.__name__}`" for one in types)


def _fields(message: type) -> str:
    """Return a message's fields in words, its signature last."""
    names = [field.name.strip("_").replace("_", " ") for field in fields(message)]
    signed = "signature" in names
    names = [name for name in names if name != "signature"] + ["signature"] * signed
    return ", ".join(names)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("regions", nargs="*", type=int, default=[5, 64], metavar="N")
    print(table(parser.parse_args().regions))


if __name__ == "__main__":
    main()
