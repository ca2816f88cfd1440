"""Everything this package raises on purpose.

ProtocolError
├── MalformedMessageError     the bytes (or values) are not a message of this version
├── OutOfOrderError           a valid message, or a call, at the wrong moment of the round
├── AbortError                a check failed; ``code`` names it, ``uid`` the peer at fault if any
└── RoundVoidError            too few regions answered; the attempt yields nothing

Only an `AbortCode` ever leaves a region: the text of an error stays where it was raised.
"""

from __future__ import annotations

from enum import StrEnum


class AbortCode(StrEnum):
    """Why a round was left. The fixed words are all that a peer is told."""

    REPLAYED_CONTEXT = "replayed_context"
    STALE_ROUND = "stale_round"
    WRONG_CONTEXT = "wrong_context"
    BAD_COHORT = "bad_cohort"
    UNKNOWN_REGION = "unknown_region"
    REGISTRY_MISMATCH = "registry_mismatch"
    EXPIRED = "expired"
    COHORT_TOO_SMALL = "cohort_too_small"
    BAD_THRESHOLD = "bad_threshold"
    BAD_ENCODING = "bad_encoding"
    BAD_NOISE = "bad_noise"
    BAD_WEIGHTS = "bad_weights"
    BAD_DEADLINES = "bad_deadlines"
    KEM_DOWNGRADE = "kem_downgrade"
    RECOVERY_REFUSED = "recovery_refused"
    UNSUPPORTED = "unsupported"
    MODEL_MISMATCH = "model_mismatch"
    LAYOUT_MISMATCH = "layout_mismatch"
    PLAN_MISMATCH = "plan_mismatch"
    OWN_KEY_REPLACED = "own_key_replaced"
    BAD_SIGNATURE = "bad_signature"
    DUPLICATE_KEYS = "duplicate_keys"
    TOO_FEW_KEYS = "too_few_keys"
    LEDGER_BEHIND = "ledger_behind"
    ROSTER_MISMATCH = "roster_mismatch"
    BAD_BOX = "bad_box"
    BAD_SHARE = "bad_share"
    WRONG_DEALING = "wrong_dealing"
    BAD_ESCROW = "bad_escrow"
    SEED_MISMATCH = "seed_mismatch"
    TOO_FEW_SHARES = "too_few_shares"
    BAD_MEMBERS = "bad_members"
    BAD_BASE = "bad_base"
    BAD_SURVIVORS = "bad_survivors"
    UNKNOWN_SURVIVOR = "unknown_survivor"
    TOO_FEW_SURVIVORS = "too_few_survivors"
    BAD_CHECKPOINT = "bad_checkpoint"
    DIFFERENCING = "differencing"
    ALREADY_REVEALED = "already_revealed"
    TOO_FEW_CONSENTS = "too_few_consents"
    BAD_TRANSCRIPT = "bad_transcript"
    BAD_LENGTH = "bad_length"
    BAD_DIGEST = "bad_digest"
    NONFINITE_INPUT = "nonfinite_input"
    MALFORMED = "malformed"
    OUT_OF_ORDER = "out_of_order"
    ROUND_VOID = "round_void"
    REFUSED_LOCALLY = "refused_locally"
    INTERNAL = "internal"


class ProtocolError(Exception):
    """The secure sum cannot go on as asked.

    Attributes:
        code: What a peer may be told about it.
    """

    code = AbortCode.INTERNAL


class MalformedMessageError(ProtocolError):
    """The bytes, or the values, are not a message of this version."""

    code = AbortCode.MALFORMED


class OutOfOrderError(ProtocolError):
    """A valid message or call at the wrong moment; a replay counts as one."""

    code = AbortCode.OUT_OF_ORDER


class AbortError(ProtocolError):
    """A check failed, and whoever made it leaves the round.

    Attributes:
        code: Which check.
        uid: The peer whose message failed it, or None where no single peer is at fault.
    """

    def __init__(self, code: AbortCode, message: str, *, uid: bytes | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.uid = uid


class RoundVoidError(ProtocolError):
    """Too few regions answered; what came is useless without them.

    Attributes:
        missing: Names of those that did not, ascending.
    """

    code = AbortCode.ROUND_VOID

    def __init__(self, *, missing: tuple[str, ...], phase: str, least: int, came: int) -> None:
        super().__init__(
            f"the attempt is void: expected at least {least} regions to send their {phase}, got "
            f"{came}; none came from {', '.join(missing) or 'those that were left out'}; start "
            "another attempt when they are back"
        )
        self.missing = missing


def require(holds: bool, code: AbortCode, message: str, *, uid: bytes | None = None) -> None:
    """Check something.

    Raises:
        AbortError: With this code, message and uid, unless ``holds``.
    """
    if not holds:
        raise AbortError(code, message, uid=uid)
