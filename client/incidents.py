"""An account's stop and its way back, as this region's people and its client see them.

Whoever may write the ledger may freeze: to stop must be easy, and costs nobody's privacy. To go on
takes the region's identity key. The ledger's rules ask for a lift's name, reason and charge; that
this region signed it for that very place is checked here, before anything is approved, drawn or
sent under an account that was frozen once. A lift that somebody else wrote stays without effect:
the account is as frozen as before, until it is frozen anew and lifted by the region.
"""

from decimal import Decimal

from client.errors import NotApprovedError
from client.folder import RegionFolder
from privacy.errors import AccountFrozenError, MalformedDocumentError
from privacy.fields import Fields
from privacy.guarantee import Bound
from privacy.ledger import Ledger
from privacy.ledger_entries import Freeze, Lift
from privacy.ledger_values import LedgerState, Lifted
from protocol.errors import AbortError
from protocol.identity import region_uid, verify

LABEL = "lift"
"""What the region signs a lift for."""


def lift_account(
    folder: RegionFolder,
    ledger: Ledger,
    *,
    lineage: str,
    epsilon: Decimal,
    delta: Decimal,
    reason: str,
    by: str,
) -> None:
    """Let a frozen account be used again, charged and signed.

    Args:
        folder: The region's folder, which has its key.
        ledger: Its ledger.
        lineage: Whose account.
        epsilon: What is charged against each of its limits, > 0.
        delta: And its δ.
        reason: What the cause was, and why it cannot come again.
        by: Who answers for that.

    Raises:
        AccountFrozenError: If the charge is less than what the finding showed.
        LedgerError: If the account is not frozen, or reason or name is missing.
        BudgetExceededError: If the account cannot pay the charge.
    """
    identity, state = folder.identity(), ledger.state
    least = least_charge(folder, ledger, lineage)
    if state.frozen(lineage) and epsilon < least:
        raise AccountFrozenError(
            f"an audit showed ε = {least} more than was charged, and the charge is {epsilon}: "
            "charge at least what it showed, or leave the account frozen"
        )
    account = state.accounts.get(state.payer(lineage))
    charges = [
        Bound(limit.unit, limit.neighbours, epsilon, delta)
        for limit in (account.limits if account else ())
    ]

    def sign(said: bytes, previous: bytes) -> bytes:
        return identity.sign(LABEL, context=previous, uid=region_uid(state.region), body=said)

    ledger.lift(lineage, charges, reason, lifted_by=by, sign=sign)


def require_usable(folder: RegionFolder, state: LedgerState, lineage: str) -> None:
    """Go on only with an account that is not frozen, and whose lifts this region signed.

    Raises:
        AccountFrozenError: If it is frozen, or was lifted by somebody else.
        RegionFolderError: If the region's key is not there.
    """
    reason = state.frozen(lineage)
    if reason:
        raise AccountFrozenError(
            f"the account {state.payer(lineage)!r} is frozen ({reason}): find the cause, then say "
            "stillroom region lift, with a charge for what was found"
        )
    lifts = state.lifts(lineage)
    if not lifts:
        return
    key = folder.identity().public_bytes()
    for one in lifts:
        if not _is_signed(one, state.region, key):
            raise AccountFrozenError(
                f"the freeze of the account {state.payer(lineage)!r} was lifted in the name of "
                f"{one.lift.lifted_by!r}, and not with this region's key: it stays frozen; find "
                "out who wrote it, then freeze it again and say stillroom region lift"
            )


def require_usable_plan(folder: RegionFolder, state: LedgerState, plan_hash: str) -> None:
    """Go on only if the account that pays for an approved plan may be used.

    Raises:
        AccountFrozenError: If it may not.
        NotApprovedError: If no account pays for the plan.
    """
    if plan_hash not in state.plans:
        raise NotApprovedError(f"the plan {plan_hash[:12]} was never charged to this ledger")
    require_usable(folder, state, state.plans[plan_hash].approval.lineage)


def least_charge(folder: RegionFolder, ledger: Ledger, lineage: str) -> Decimal:
    """Return what a lift has to charge at least: the most that an audit's bound exceeds its claim.

    All freezes since the region's own last lift count: another freeze hides none of them.

    Raises:
        MalformedDocumentError: If a freeze's evidence holds an audit that is none.
    """
    state, key = ledger.state, folder.identity().public_bytes()
    excesses: list[Decimal] = []
    for entry in ledger.entries():
        payload = entry.payload
        if not isinstance(payload, Freeze | Lift):
            continue
        if state.payer(payload.lineage) != state.payer(lineage):
            continue
        if isinstance(payload, Freeze):
            excesses += _excesses(payload)
        elif _is_signed(Lifted(payload, entry.previous), state.region, key):
            excesses = []
    return max(excesses, default=Decimal(0))


def _excesses(freeze: Freeze) -> list[Decimal]:
    audits = freeze.evidence.get("audits", [])
    if not isinstance(audits, list):
        raise MalformedDocumentError("expected a list of audits in the evidence of a freeze")
    fields = [Fields(audit, where="evidence.audits") for audit in audits]
    found = [(one.decimal("lower_bound"), one.decimal("claim")) for one in fields]
    return [max(Decimal(0), bound - claim) for bound, claim in found]


def _is_signed(lifted: Lifted, region: str, key: bytes) -> bool:
    try:
        verify(
            key,
            bytes.fromhex(lifted.lift.signature),
            LABEL,
            context=bytes.fromhex(lifted.previous),
            uid=region_uid(region),
            body=lifted.lift.said,
        )
    except AbortError:  # an answer here, not an error: each caller says what follows from it
        return False
    return True
