"""What a region accepts: its own rules, held against the round that a server proposes.

A policy is made from the plan that the region approved and from what it computed itself. Nothing
in it comes from the server, and every bound is recomputed here: a server that sets the threshold
to one, a cohort of two, or all the weight on one region is refused (Bonawitz et al. 2017, 6.2;
Pasquini et al. 2022, on regions that are shown different models).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from protocol.config import Kem, Recovery, RoundConfig, SignedConfig
from protocol.errors import AbortCode, require
from protocol.fixed_point import Encoding, check_bounds
from protocol.history import History
from protocol.identity import Registry

LEAST_COHORT = 3  # in a cohort of two each region reads the other's delta off the sum
LEAST_HONEST = 3  # regions that are no colluders, in whatever the server can learn the sum of
_CLOSED_SET_FREE = 9  # above it no closed set of survivors can avoid every consenter


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPolicy:
    """The rules of one region for one round.

    Attributes:
        registry: The registry that the region pinned.
        plan_hash: The plan that it approved, 32 bytes.
        round_: The only round that it may take part in now: the one that its model is for. Were a
            round open again once its sum is known, another sum over it would be possible.
        model_hash: The model that it computed itself for this round and the transcript that led
            to it, 32 bytes (`protocol.transcript.start_hash`).
        layout_hash: Its own layout of the trained tensors, 32 bytes.
        encoding: The plan's encoding.
        weights: The plan's weights by uid: these regions are the cohort, no more and no fewer.
        threshold: The plan's number of regions that unmask a sum.
        min_survivors: The plan's smallest number of regions in a sum.
        rotation_seed: What the plan's rotation is made from, 32 bytes; empty without rotation.
        min_cohort: Fewest regions in a round, >= 3; below the default each pair of colluders is
            closer to a third region's delta, so lower it on purpose.
        assumed_colluders: How many regions may share what they know with the server. At least
            this many and three more must weigh a quarter of the heaviest or more.
        max_weight: Largest share of one region.
        differencing: Whether sums that would isolate a few regions, together with those of other
            rounds, are refused. Without it only each region's own noise protects it there.
        kems: Key agreements that the region accepts.
        recoveries: What may happen when a region is lost.
        max_deadline_s: Longest wait of one step that it accepts.
    """

    registry: Registry
    plan_hash: bytes
    round_: int
    model_hash: bytes
    layout_hash: bytes
    encoding: Encoding
    weights: Mapping[bytes, Fraction]
    threshold: int
    min_survivors: int
    rotation_seed: bytes = b""
    min_cohort: int = 5
    assumed_colluders: int = 0
    max_weight: Fraction = Fraction(1, 2)
    differencing: bool = True
    kems: frozenset[Kem] = frozenset({Kem.X25519_ML_KEM_768})
    recoveries: frozenset[Recovery] = frozenset({Recovery.SHARES})
    max_deadline_s: int = 7 * 24 * 3600

    def __post_init__(self) -> None:
        if self.min_cohort < LEAST_COHORT:
            raise ValueError(f"expected min_cohort >= {LEAST_COHORT}, got {self.min_cohort}")


def check_config(
    signed: SignedConfig, *, policy: RegionPolicy, history: History, me: bytes, now: int
) -> None:
    """Check that this region may take part in the round (FSA1, step "start").

    Args:
        signed: What the server sent.
        policy: The region's rules.
        history: The rounds that it accepted before.
        me: The region's uid.
        now: Unix time, seconds.

    Raises:
        AbortError: The code names the first check that failed.
    """
    config, registry = signed.config, policy.registry
    require(
        config.registry_hash == registry.hash,
        AbortCode.REGISTRY_MISMATCH,
        "the round is for another registry than the pinned one; compare the two hashes",
    )
    require(
        now < registry.server_not_after,
        AbortCode.EXPIRED,
        "the server's keys are past their date; the regions must agree on a new registry",
    )
    signed.verify(registry.server_key)
    require(
        config.round_ == policy.round_,
        AbortCode.STALE_ROUND,
        f"expected round {policy.round_}, which this region's model is for, got {config.round_}",
    )
    _check_freshness(config, history)
    _check_artifacts(config, policy)
    _check_cohort(config, policy, me, now)
    check_threshold(config)
    require(
        (config.threshold, config.min_survivors) == (policy.threshold, policy.min_survivors),
        AbortCode.BAD_THRESHOLD,
        f"expected the approved plan's threshold {policy.threshold} and {policy.min_survivors} "
        f"survivors, got {config.threshold} and {config.min_survivors}",
    )
    _check_weights(config, policy)
    _check_encoding(config, policy)
    _check_modes(config, policy)


def check_supported(config: RoundConfig) -> None:
    """Check that this version can run the round.

    Raises:
        AbortError: ``unsupported`` for a round that does not survive the loss of a region,
            ``bad_noise`` for distributed noise.
    """
    require(
        config.recovery is Recovery.SHARES,
        AbortCode.UNSUPPORTED,
        f"expected the recovery {Recovery.SHARES!r}, got {config.recovery!r}; it is not in this "
        "version",
    )
    require(
        config.noise_sigma == 0,
        AbortCode.BAD_NOISE,
        "distributed noise is not in this version; each region's own delta must be private",
    )


def check_threshold(config: RoundConfig) -> None:
    """Check threshold and survivors against the size of the cohort.

    Two lists of survivors cannot both get a threshold of honest consents, because
    2 · threshold > regions + colluders; and every sum has at least three honest regions.

    Raises:
        AbortError: ``bad_threshold``.
    """
    count, threshold, colluders = len(config.cohort), config.threshold, config.assumed_colluders
    least = 2 * count // 3 + 1
    require(
        least <= threshold <= config.min_survivors <= count and 2 * threshold > count + colluders,
        AbortCode.BAD_THRESHOLD,
        f"expected {least} <= threshold <= min_survivors <= {count} and a threshold above half of "
        f"the regions and {colluders} colluders, got {threshold} and {config.min_survivors}",
    )
    require(
        threshold <= config.min_cohort <= count
        and config.min_survivors >= colluders + LEAST_HONEST,
        AbortCode.BAD_THRESHOLD,
        f"expected {threshold} <= min_cohort <= {count} and min_survivors >= "
        f"{colluders + LEAST_HONEST}, got {config.min_cohort} and {config.min_survivors}",
    )


def least_consents(config: RoundConfig, *, survivors: int) -> int:
    """Return how many of so many survivors must consent to a list before anybody unmasks it.

    Up to nine regions it is all of them: a survivor who never saw the list could otherwise be in
    a set that shares masks with itself only.
    """
    return survivors if len(config.cohort) <= _CLOSED_SET_FREE else config.threshold


def check_heavy(weights: Sequence[Fraction], *, colluders: int) -> None:
    """Check that no few regions weigh so much that the others hardly hide them.

    Raises:
        AbortError: ``bad_weights``.
    """
    heavy, needed = sum(4 * weight >= max(weights) for weight in weights), colluders + LEAST_HONEST
    require(
        heavy >= needed,
        AbortCode.BAD_WEIGHTS,
        f"expected at least {needed} regions with a quarter of the largest weight or more, got "
        f"{heavy}",
    )


def _check_freshness(config: RoundConfig, history: History) -> None:
    require(
        not history.has_seen(config.context()),
        AbortCode.REPLAYED_CONTEXT,
        f"round {config.round_} attempt {config.attempt} was accepted before",
    )
    latest = history.latest(config.plan_hash)
    require(
        latest is None or (config.round_, config.attempt) > latest,
        AbortCode.STALE_ROUND,
        f"expected a later (round, attempt) than {latest}, got {config.round_, config.attempt}",
    )


def _check_artifacts(config: RoundConfig, policy: RegionPolicy) -> None:
    for ours, theirs, code, what in (
        (policy.plan_hash, config.plan_hash, AbortCode.PLAN_MISMATCH, "the approved plan"),
        (policy.layout_hash, config.layout_hash, AbortCode.LAYOUT_MISMATCH, "this layout"),
        (policy.model_hash, config.model_hash, AbortCode.MODEL_MISMATCH, "the model computed here"),
    ):
        require(ours == theirs, code, f"expected {what}, {ours.hex()}, got {theirs.hex()}")


def _check_cohort(config: RoundConfig, policy: RegionPolicy, me: bytes, now: int) -> None:
    require(me in config.cohort, AbortCode.BAD_COHORT, "this region is not in the cohort")
    for uid in config.cohort:
        record = policy.registry.record(uid)
        require(
            now < record.not_after,
            AbortCode.EXPIRED,
            f"the registry's record of {record.name!r} is past its date; renew it",
            uid=uid,
        )
    require(
        len(config.cohort) >= policy.min_cohort,
        AbortCode.COHORT_TOO_SMALL,
        f"expected at least {policy.min_cohort} regions, got {len(config.cohort)}",
    )
    require(
        set(config.cohort) == set(policy.weights),
        AbortCode.BAD_COHORT,
        "expected exactly the regions of the approved plan",
    )
    require(
        config.assumed_colluders >= policy.assumed_colluders,
        AbortCode.BAD_COHORT,
        f"expected at least {policy.assumed_colluders} assumed colluders, got "
        f"{config.assumed_colluders}",
    )


def _check_weights(config: RoundConfig, policy: RegionPolicy) -> None:
    approved = tuple(policy.weights[uid] for uid in config.cohort)
    require(
        config.weights == approved, AbortCode.BAD_WEIGHTS, "expected the approved plan's weights"
    )
    require(
        max(config.weights) <= policy.max_weight,
        AbortCode.BAD_WEIGHTS,
        f"expected no share above {policy.max_weight}, got {max(config.weights)}",
    )
    check_heavy(config.weights, colluders=config.assumed_colluders)


def _check_encoding(config: RoundConfig, policy: RegionPolicy) -> None:
    require(
        config.encoding == policy.encoding and config.encoding.fits(len(config.cohort)),
        AbortCode.BAD_ENCODING,
        f"expected the approved plan's encoding of {policy.encoding.dim} coordinates, whose sum "
        "cannot wrap",
    )
    check_bounds(config.encoding)
    require(
        config.rotation_seed == policy.rotation_seed,
        AbortCode.BAD_ENCODING,
        "expected the rotation that the approved plan gives this round",
    )


def _check_modes(config: RoundConfig, policy: RegionPolicy) -> None:
    require(
        config.kem in policy.kems,
        AbortCode.KEM_DOWNGRADE,
        f"expected one of {', '.join(sorted(policy.kems))}, got {config.kem}",
    )
    require(
        config.recovery in policy.recoveries,
        AbortCode.RECOVERY_REFUSED,
        f"expected one of {', '.join(sorted(policy.recoveries))}, got {config.recovery}",
    )
    check_supported(config)
    for name, seconds in config.deadlines.as_dict().items():
        require(
            seconds <= policy.max_deadline_s,
            AbortCode.BAD_DEADLINES,
            f"expected {name} of at most {policy.max_deadline_s} s, got {seconds}",
        )
