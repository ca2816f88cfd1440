from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import (
    AccountFrozenError,
    BudgetExceededError,
    DuplicateEntryError,
    LedgerCorruptError,
    LedgerError,
    MissingReleaseError,
    MissingReserveError,
    PrivacyError,
    ReplayedContextError,
    UnknownEntryError,
)
from privacy.events import Gaussian
from privacy.guarantee import NOTHING, Bound, Guarantee, Neighbours, Unit
from privacy.ledger_entries import (
    Account,
    Approval,
    Context,
    Entry,
    Freeze,
    Genesis,
    Lift,
    Merge,
    Note,
    Payload,
    Release,
    Reserve,
    Reveal,
    Send,
    Sum,
)
from privacy.ledger_state import LedgerState, fold, fold_all
from tests.privacy.test_ledger_entries import PAYLOADS

A, B = "aa" * 32, "bb" * 32
CTX, CTX2 = "c1" * 32, "c2" * 32
SUM, SUM2 = "51" * 32, "52" * 32
ADD, SWAP = Neighbours.ADD_OR_REMOVE_ONE, Neighbours.REPLACE_ONE


def bound(epsilon: str, delta: str = "0.00001", neighbours: Neighbours = ADD) -> Bound:
    return Bound(Unit.RECORD, neighbours, Decimal(epsilon), Decimal(delta))


def approval(
    plan: str,
    *,
    steps: int = 5,
    charges: Sequence[Bound] = (bound("1"),),
    lineage: str = "patients",
) -> Approval:
    return Approval(
        plan,
        lineage,
        Unit.RECORD,
        None,
        {"train": Gaussian(Decimal(1), steps)},
        tuple(charges),
        "me",
    )


GENESIS = Genesis("north")
ACCOUNT = Account("patients", (bound("2", "0.0001"),))
OPEN: list[Payload] = [GENESIS, ACCOUNT, approval(A)]
RESERVED: list[Payload] = [*OPEN, Context(A, 1, 1, CTX), Reserve(A, 1, "train", 1, 2)]
RELEASED: list[Payload] = [*RESERVED, Release(A, 1, "train", 1, SUM, 8)]
SENT: list[Payload] = [*RELEASED, Send(A, 1, "train", CTX, SUM, 8, "server")]
ALL, FEWER = "01" * 16 + "02" * 16, "01" * 16
REVEALED: list[Payload] = [*SENT, Reveal(A, 1, CTX, ALL, SUM)]
FIRST: list[Payload] = [
    *OPEN,
    Context(A, 0, 0, CTX),
    Reserve(A, 0, "train", 1, 2),
    Release(A, 0, "train", 1, SUM, 8),
    Reveal(A, 0, CTX, ALL, SUM),
]


STAFF = Account("staff", (bound("1.5", "0.0001"),))
OTHER_RELATION = Account("staff", (bound("1.5", neighbours=SWAP),))
TWO: list[Payload] = [*OPEN, STAFF]
MERGE = Merge("patients", "staff", "me")
FREEZE = Freeze("patients", "an audit exceeds the claim", {"bound": "2.5"}, "me")
LIFT = Lift("patients", (bound("0.25"),), "the audit was wrong", "me", "00" * 64)


def body(state: LedgerState, payload: Payload, *, time: int = 0) -> bytes:
    """The payload as the next entry of ``state``."""
    return Entry(state.size + 1, time, state.head, "00" * 16, payload).to_bytes()


def folded(payloads: Sequence[Payload]) -> LedgerState:
    state = LedgerState()
    for payload in payloads:
        state = fold(state, body(state, payload))
    return state


SMALL = st.integers(0, 3)
DRAWS = st.integers(1, 3)
PLANS = st.sampled_from([A, B])
STEPS: st.SearchStrategy[Payload] = st.one_of(
    PLANS.map(lambda plan: Reserve(plan, 1, "train", 1, 2)),
    st.builds(Reserve, PLANS, SMALL, st.just("train"), DRAWS, st.integers(1, 3)),
    st.builds(Release, PLANS, SMALL, st.just("train"), DRAWS, st.sampled_from([SUM, SUM2]), SMALL),
    st.builds(Context, PLANS, SMALL, SMALL, st.sampled_from([CTX, CTX2])),
    st.builds(
        Send,
        PLANS,
        SMALL,
        st.just("train"),
        st.sampled_from([CTX, CTX2]),
        st.sampled_from([SUM, SUM2]),
        SMALL,
        st.just("server"),
    ),
    st.builds(
        Reveal,
        PLANS,
        SMALL,
        st.sampled_from([CTX, CTX2]),
        st.sampled_from([ALL, FEWER]),
        st.sampled_from([SUM, SUM2]),
    ),
    st.builds(Sum, PLANS, SMALL, st.sampled_from([CTX, CTX2]), st.sampled_from([ALL, FEWER])),
    st.sampled_from(
        [
            Account("staff", (bound("1.2", "0.0001"),)),
            Merge("patients", "staff", "me"),
            Merge("staff", "patients", "me"),
        ]
    ),
    st.builds(
        approval,
        PLANS,
        lineage=st.sampled_from(["patients", "staff"]),
        charges=st.sampled_from(["0.7", "1", "1.5"]).map(lambda epsilon: [bound(epsilon)]),
    ),
)


def _charged(
    state: LedgerState, lineage: str, relations: Iterable[tuple[Unit, Neighbours]]
) -> dict[tuple[Unit, Neighbours], Guarantee]:
    """Add up anew what the plans that an account pays for cost."""
    total = dict.fromkeys(relations, NOTHING)
    for plan in state.plans.values():
        if state.payer(plan.approval.lineage) == lineage:
            for charge in plan.approval.charges:
                total[charge.relation] += charge.guarantee
    return total


@settings(max_examples=200)
@given(steps=st.lists(st.one_of(STEPS, PAYLOADS), max_size=30))
def test_no_sequence_of_entries_overspends(steps: list[Payload]) -> None:
    """Whatever is tried in whatever order, integers and charges stay within what was granted."""
    state = folded(OPEN)
    for payload in steps:
        with contextlib.suppress(PrivacyError):
            state = fold(state, body(state, payload))

    for account in state.accounts.values():
        for limit in account.limits:
            assert limit.guarantee.covers(account.charged[limit.relation])
    assert all(
        account.charged == _charged(state, lineage, account.charged)
        for lineage, account in state.accounts.items()
    )
    assert {state.payer(plan.approval.lineage) for plan in state.plans.values()} <= set(
        state.accounts
    )
    assert not set(state.merged) & set(state.accounts)
    assert set(state.merged.values()) <= set(state.accounts)
    _check_steps(state)


def _check_steps(state: LedgerState) -> None:
    """Check that what was done under each plan was reserved, released and accepted before."""
    for plan in state.plans.values():
        for part in plan.components.values():
            spent = [draw.steps for draws in part.reserves.values() for draw in draws]
            assert sum(spent) == part.reserved_steps <= part.max_steps
            assert part.executed_steps <= part.reserved_steps
            assert set(part.releases) <= set(part.reserves)
            assert {send.round for send in part.sends.values()} <= set(part.releases)
            assert set(part.sends) <= set(plan.contexts)
        assert list(plan.sums) == list(range(len(plan.sums)))
        for round_, reveal in plan.reveals.items():
            released = [part.releases.get(round_) for part in plan.components.values()]
            assert reveal.payload_sha256 in {one.payload_sha256 for one in released if one}
            assert plan.sums.get(round_) is None or reveal.survivors == plan.sums[round_].survivors


@given(steps=st.lists(STEPS, max_size=12))
def test_a_refused_entry_leaves_no_trace(steps: list[Payload]) -> None:
    """Folding the accepted bodies from nothing gives the very state that was reached."""
    state = LedgerState()
    accepted: list[bytes] = []
    for payload in [*OPEN, *steps]:
        candidate = body(state, payload)
        with contextlib.suppress(PrivacyError):
            state = fold(state, candidate)
            accepted.append(candidate)
    assert fold_all(accepted) == state


@pytest.mark.parametrize(
    ("before", "payload", "error"),
    [
        ([], ACCOUNT, LedgerCorruptError),
        ([GENESIS], GENESIS, LedgerCorruptError),
        ([GENESIS], approval(A), UnknownEntryError),
        ([GENESIS], Account("patients", ()), LedgerError),
        ([GENESIS], Account("patients", (bound("1"), bound("2"))), LedgerError),
        ([GENESIS, ACCOUNT], ACCOUNT, DuplicateEntryError),
        ([GENESIS, ACCOUNT], approval(A, charges=[bound("2.001")]), BudgetExceededError),
        ([GENESIS, ACCOUNT], approval(A, charges=[bound("1", "0.001")]), BudgetExceededError),
        ([GENESIS, ACCOUNT], approval(A, charges=[]), LedgerError),
        ([GENESIS, ACCOUNT], approval(A, charges=[bound("1", neighbours=SWAP)]), LedgerError),
        ([GENESIS, ACCOUNT], approval(A, charges=[bound("1"), bound("1")]), LedgerError),
        (
            [GENESIS, ACCOUNT],
            Approval(A, "patients", Unit.RECORD, None, {}, (bound("1"),), "me"),
            LedgerError,
        ),
        (OPEN, approval(A), DuplicateEntryError),
        (OPEN, approval(B, charges=[bound("1.001")]), BudgetExceededError),
        (OPEN, Context(B, 1, 1, CTX), UnknownEntryError),
        (OPEN, Reserve(B, 1, "train", 1, 2), UnknownEntryError),
        (OPEN, Reserve(A, 1, "count", 1, 2), UnknownEntryError),
        (OPEN, Reserve(A, 1, "train", 1, 6), BudgetExceededError),
        (OPEN, Reserve(A, 1, "train", 2, 2), DuplicateEntryError),
        (OPEN, Release(A, 1, "train", 1, SUM, 8), MissingReserveError),
        (RESERVED, Context(A, 2, 1, CTX), ReplayedContextError),
        (RESERVED, Context(A, 1, 1, CTX2), ReplayedContextError),
        (RESERVED, Context(A, 0, 9, CTX2), ReplayedContextError),
        (RESERVED, Reserve(A, 1, "train", 1, 2), DuplicateEntryError),
        (RESERVED, Reserve(A, 2, "train", 1, 4), BudgetExceededError),
        (RESERVED, Release(A, 1, "train", 2, SUM, 8), MissingReserveError),
        (RESERVED, Release(A, 2, "train", 1, SUM, 8), MissingReserveError),
        (RESERVED, Send(A, 1, "train", CTX, SUM, 8, "server"), MissingReleaseError),
        (
            [*RESERVED, Reserve(A, 1, "train", 2, 2)],
            Release(A, 1, "train", 1, SUM, 8),
            MissingReserveError,
        ),
        (RELEASED, Reserve(A, 1, "train", 2, 2), DuplicateEntryError),
        (RELEASED, Release(A, 1, "train", 1, SUM2, 8), DuplicateEntryError),
        (RELEASED, Send(A, 1, "train", CTX2, SUM, 8, "server"), UnknownEntryError),
        (
            [*RELEASED, Context(A, 2, 1, CTX2)],
            Send(A, 1, "train", CTX2, SUM, 8, "server"),
            UnknownEntryError,
        ),
        (SENT, Send(A, 1, "train", CTX, SUM2, 8, "server"), DuplicateEntryError),
        (RESERVED, Reveal(A, 1, CTX, ALL, SUM), MissingReleaseError),
        (SENT, Reveal(A, 1, CTX, ALL, SUM2), MissingReleaseError),
        (SENT, Reveal(A, 1, CTX2, ALL, SUM), UnknownEntryError),
        (SENT, Reveal(A, 2, CTX, ALL, SUM), UnknownEntryError),
        (SENT, Reveal(B, 1, CTX, ALL, SUM), UnknownEntryError),
        (REVEALED, Reveal(A, 1, CTX, FEWER, SUM), DuplicateEntryError),
        (
            [*REVEALED, Context(A, 1, 2, CTX2)],
            Reveal(A, 1, CTX2, FEWER, SUM),
            DuplicateEntryError,
        ),
        (OPEN, Sum(B, 0, CTX, ALL), UnknownEntryError),
        (OPEN, Sum(A, 1, CTX, ALL), DuplicateEntryError),
        (FIRST, Sum(A, 0, CTX, FEWER), DuplicateEntryError),
        (OPEN, Merge("patients", "staff", "me"), UnknownEntryError),
        (OPEN, Merge("staff", "patients", "me"), UnknownEntryError),
        (OPEN, Merge("patients", "patients", "me"), DuplicateEntryError),
        ([*OPEN, OTHER_RELATION], Merge("patients", "staff", "me"), LedgerError),
        ([*TWO, approval(B, lineage="staff")], MERGE, BudgetExceededError),
        ([*TWO, MERGE], MERGE, UnknownEntryError),
        ([*TWO, MERGE], approval(B, lineage="staff"), UnknownEntryError),
        ([*TWO, MERGE], approval(B), BudgetExceededError),
        ([*TWO, MERGE], STAFF, DuplicateEntryError),
        ([*FIRST, Sum(A, 0, CTX, ALL)], Sum(A, 0, CTX2, ALL), DuplicateEntryError),
        ([*FIRST, Sum(A, 0, CTX, ALL)], Context(A, 0, 1, CTX2), ReplayedContextError),
        ([*FIRST[:-1], Sum(A, 0, CTX, ALL)], Reveal(A, 0, CTX, FEWER, SUM), DuplicateEntryError),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused(
    before: Sequence[Payload], payload: Payload, error: type[PrivacyError]
) -> None:
    """Each rule of the ledger has its own error."""
    state = folded(before)
    with pytest.raises(error):
        fold(state, body(state, payload))


@pytest.mark.parametrize("payload", [RELEASED[-1], SENT[-1], Note("self-test", {"passed": True})])
def test_the_same_again_spends_nothing(payload: Payload) -> None:
    """A repeated release or send, like a note, changes no number."""
    state = folded(SENT)
    assert fold(state, body(state, payload)).plans == state.plans


def test_a_retry_sends_the_same_release_under_a_new_context() -> None:
    """A new attempt of a round needs no new draw."""
    retry: list[Payload] = [Context(A, 1, 2, CTX2), Send(A, 1, "train", CTX2, SUM2, 8, "server")]
    state = folded([*SENT, *retry])
    assert state.plans[A].components["train"].reserved_steps == 2
    assert len(state.plans[A].components["train"].sends) == 2


def test_a_retry_reveals_for_the_same_survivors_only() -> None:
    """Under a new context, on record again; what was revealed stays what it was."""
    retry = Reveal(A, 1, CTX2, ALL, SUM)
    state = folded([*REVEALED, Context(A, 1, 2, CTX2), retry])
    assert state.revealed(A, 1) == REVEALED[-1]
    assert state.reveals(B) == {}
    assert state.revealed(A, 2) is None


def test_merged_accounts_owe_what_both_owed() -> None:
    """Of the limits the lower one stays: neither steward's promise becomes weaker."""
    cheap = approval(B, lineage="staff", charges=[bound("0.25")])
    state = folded([*TWO, cheap, MERGE])
    account = state.accounts["patients"]
    assert set(state.accounts) == {"patients"}
    assert account.limits == (bound("1.5", "0.0001"),)
    assert account.charged[Unit.RECORD, ADD] == Guarantee(Decimal("1.25"), Decimal("0.00002"))
    assert (state.payer("staff"), state.payer("patients")) == ("patients", "patients")


def test_a_plan_goes_on_after_its_account_was_merged() -> None:
    """It was charged in full before; its steps are its own."""
    cheap = approval(B, lineage="staff", charges=[bound("0.25")])
    state = folded([*TWO, cheap, MERGE, Reserve(B, 0, "train", 1, 5)])
    assert state.plans[B].components["train"].reserved_steps == 5
    with pytest.raises(BudgetExceededError):
        fold(state, body(state, Reserve(B, 1, "train", 1, 1)))


def test_a_chain_of_merges_leads_to_the_account_that_is_left() -> None:
    """Every former name pays there."""
    guests = Account("guests", (bound("1.5", "0.0001"),))
    state = folded([*TWO, guests, Merge("staff", "patients", "me"), Merge("guests", "staff", "me")])
    assert {state.payer(name) for name in ("patients", "staff", "guests")} == {"guests"}
    assert set(state.accounts) == {"guests"}


def test_published_sums_come_in_order() -> None:
    """With this region and without it; other plans have their own."""
    state = folded([*FIRST, Sum(A, 0, CTX, ALL), Sum(A, 1, CTX2, FEWER)])
    assert [published.survivors for published in state.sums(A).values()] == [ALL, FEWER]
    assert state.sums(B) == {}


def test_the_state_answers_what_the_client_asks() -> None:
    """Draws, releases, sends, contexts and the last round are looked up by plan."""
    state = folded(SENT)
    assert state.reserved(A, 1, "train") == (RESERVED[-1],)
    assert state.released(A, 1, "train") == RELEASED[-1]
    assert state.sent(A, "train", bytes.fromhex(CTX)) == SENT[-1]
    assert state.seen_contexts(A) == {bytes.fromhex(CTX)}
    assert state.last_round(A) == (1, 1)
    assert state.reserved(B, 1, "train") == ()
    assert state.released(B, 1, "train") is None
    assert state.sent(B, "train", b"") is None
    assert state.seen_contexts(B) == frozenset()
    assert state.last_round(B) is None


@pytest.mark.parametrize("drop", range(len(SENT) - 1))
def test_a_dropped_entry_is_noticed(drop: int) -> None:
    """Without any one entry but the last, the chain does not fold."""
    bodies: list[bytes] = []
    state = LedgerState()
    for payload in SENT:
        bodies.append(body(state, payload))
        state = fold(state, bodies[-1])
    with pytest.raises(LedgerCorruptError):
        fold_all(bodies[:drop] + bodies[drop + 1 :])


def test_time_does_not_run_backwards() -> None:
    """An entry older than the one before is damage."""
    state = fold(LedgerState(), body(LedgerState(), GENESIS, time=10))
    with pytest.raises(LedgerCorruptError, match="time"):
        fold(state, body(state, ACCOUNT, time=9))


@pytest.mark.parametrize(
    "payload",
    [
        Reserve(A, 1, "train", 1, 2),
        Release(A, 0, "train", 1, SUM, 8),
        Send(A, 0, "train", CTX, SUM2, 8, "server"),
    ],
    ids=lambda payload: payload.KIND,
)
def test_nothing_is_spent_or_leaves_while_an_account_is_frozen(payload: Payload) -> None:
    """Also what was reserved or released before; after the lift it goes on, and is charged more."""
    before = [*OPEN, Context(A, 0, 0, CTX), Reserve(A, 0, "train", 1, 2)]
    if isinstance(payload, Send):
        before.append(Release(A, 0, "train", 1, SUM, 8))
    if isinstance(payload, Reserve):
        before = list(OPEN)
    frozen = folded([*before, FREEZE])
    owed = frozen.accounts["patients"].charged[Unit.RECORD, ADD].epsilon

    with pytest.raises(AccountFrozenError, match="an audit exceeds the claim"):
        fold(frozen, body(frozen, payload))
    usable = fold(frozen, body(frozen, LIFT))
    after = fold(usable, body(usable, payload))
    assert after.accounts["patients"].charged[Unit.RECORD, ADD].epsilon == owed + Decimal("0.25")
    assert after.accounts["patients"].frozen == ""


def test_a_frozen_account_approves_no_plan() -> None:
    """Whatever is left of it."""
    frozen = folded([GENESIS, ACCOUNT, FREEZE])
    with pytest.raises(AccountFrozenError):
        fold(frozen, body(frozen, approval(A)))


@pytest.mark.parametrize(
    ("payloads", "last", "error"),
    [
        (OPEN, LIFT, LedgerError),
        ([*OPEN, FREEZE], replace(LIFT, reason=" "), LedgerError),
        ([*OPEN, FREEZE], replace(LIFT, lifted_by=""), LedgerError),
        ([*OPEN, FREEZE], replace(LIFT, charges=()), LedgerError),
        ([*OPEN, FREEZE], replace(LIFT, charges=(bound("100"),)), BudgetExceededError),
        (OPEN, replace(FREEZE, reason=""), LedgerError),
        (OPEN, replace(FREEZE, lineage="nobody"), UnknownEntryError),
    ],
)
def test_a_freeze_is_lifted_by_name_and_with_a_charge(
    payloads: list[Payload], last: Payload, error: type[Exception]
) -> None:
    """Not frozen, no reason, nobody who answers, no charge, or more than the account has left."""
    state = folded(payloads)
    with pytest.raises(error):
        fold(state, body(state, last))


def test_a_merge_carries_the_freeze() -> None:
    """Two accounts that are one are frozen if either was."""
    state = folded([*TWO, replace(FREEZE, lineage="staff"), MERGE])
    assert state.frozen("patients") == state.frozen("staff") == FREEZE.reason
