"""What a region checks before it consents to a list of survivors, and before it gives its shares.

An auditor checks the consents in the same way (``transcript``). A code names the check that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from protocol.config import RoundConfig
from protocol.differencing import allows
from protocol.errors import AbortCode, require
from protocol.history import History
from protocol.identity import Registry
from protocol.policy import LEAST_HONEST, check_heavy, least_consents
from protocol.region_checks import check_roster_hash
from protocol.unmask_messages import Consent, Survivors


def check_survivors(
    message: Survivors,
    *,
    me: bytes,
    members: Sequence[bytes],
    checkpoint: bytes,
    config: RoundConfig,
    max_weight: Fraction,
) -> None:
    """Check whose vectors the sum will hold.

    Raises:
        AbortError: ``bad_survivors``, ``unknown_survivor``, ``too_few_survivors``,
            ``bad_checkpoint`` or ``bad_weights``.
    """
    survivors = message.survivors
    require(
        me in survivors,
        AbortCode.BAD_SURVIVORS,
        "expected this region among the survivors: it sent its vector",
    )
    require(
        set(survivors) <= set(members),
        AbortCode.UNKNOWN_SURVIVOR,
        "expected survivors that this region shares a mask with",
    )
    least = max(config.threshold, config.min_survivors)
    require(
        len(survivors) >= least,
        AbortCode.TOO_FEW_SURVIVORS,
        f"expected at least {least} survivors, got {len(survivors)}",
    )
    own = [note.note for note in message.checkpoints if note.uid == me]
    require(
        own == ([checkpoint] if checkpoint else []),
        AbortCode.BAD_CHECKPOINT,
        "expected the checkpoint that this region sent with its vector",
    )
    of = dict(zip(config.cohort, config.weights, strict=True))
    weights = [of[uid] for uid in survivors]
    check_heavy(weights, colluders=config.assumed_colluders)
    largest = max(weights) / sum(weights)
    require(
        largest <= max_weight,
        AbortCode.BAD_WEIGHTS,
        f"expected no share of the sum above {max_weight}, got {largest}",
    )


def check_one_view(
    survivors: tuple[bytes, ...],
    *,
    config: RoundConfig,
    payload_sha256: bytes,
    history: History,
    differencing: bool,
) -> None:
    """Check that this sum shows no more than those that this region helped with before.

    Raises:
        AbortError: ``already_revealed`` if it gave shares for other survivors, or for another
            delta, in an earlier attempt of this round; ``differencing`` if sums of several rounds
            would isolate a few regions.
    """
    plan, round_ = config.plan_hash, config.round_
    before = history.revealed(plan, round_)
    require(
        before is None or (before.survivors, before.payload_sha256) == (survivors, payload_sha256),
        AbortCode.ALREADY_REVEALED,
        f"this region gave its shares for round {round_} already, for other survivors: a second "
        "sum would show the difference; only those survivors can be summed again",
    )
    least = config.assumed_colluders + LEAST_HONEST
    require(
        not differencing or allows(history.survivor_sets(plan), frozenset(survivors), least=least),
        AbortCode.DIFFERENCING,
        f"with the sums of earlier rounds this one would show fewer than {least} regions apart "
        "from the others; wait for the missing regions and start another attempt",
    )


def check_consents(
    consents: Sequence[Consent],
    *,
    config: RoundConfig,
    survivors: tuple[bytes, ...],
    survivors_hash: bytes,
    roster_hash: bytes,
    registry: Registry,
    me: bytes | None = None,
) -> None:
    """Check that enough distinct survivors consented to exactly one list; an auditor does, too.

    Args:
        consents: As received.
        config: The round.
        survivors: The list.
        survivors_hash: Its hash.
        roster_hash: The round and its keys.
        registry: Everybody's keys.
        me: A region that must be among them, if any.

    Raises:
        AbortError: ``roster_mismatch``, ``bad_survivors`` (another list, a stranger, one region
            twice, or not this one), ``bad_signature`` or ``too_few_consents``.
    """
    signers: set[bytes] = set()
    for consent in consents:
        check_roster_hash(consent.roster_hash, roster_hash)
        require(
            consent.survivors_hash == survivors_hash
            and consent.uid in survivors
            and consent.uid not in signers,
            AbortCode.BAD_SURVIVORS,
            f"expected consents of distinct survivors to one list, got another from "
            f"{consent.uid.hex()}: the server shows different regions different lists",
            uid=consent.uid,
        )
        consent.verify(registry.record(consent.uid).identity_key)
        signers.add(consent.uid)
    require(
        me is None or me in signers,
        AbortCode.BAD_SURVIVORS,
        "expected this region's own consent among the others",
    )
    least = least_consents(config, survivors=len(survivors))
    require(
        len(signers) >= least,
        AbortCode.TOO_FEW_CONSENTS,
        f"expected the consents of {least} survivors, got {len(signers)}",
    )
