"""A frozen account releases nothing, and goes on only by what the region itself signed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from client.approval import approve
from client.folder import RegionFolder, create_keys, open_account
from client.handler import RegionHandler
from client.incidents import least_charge, lift_account, require_usable
from client.policy import Policy
from client.region import open_region
from privacy.canonical import Json
from privacy.errors import AccountFrozenError, BudgetExceededError, LedgerError
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.ledger import Ledger
from privacy.ledger_entries import Lift, Release, Reserve, Send
from protocol.envelope import MessageKind
from protocol.identity import Identity, region_uid
from tests.client import region_builder
from tests.client.region_builder import World, ask, clock, play

LINEAGE = "tiny"
AUDIT = {"lower_bound": "3.5", "claim": "3"}
LIMIT = Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal(7), Decimal("0.01"))
CHARGE = (Decimal("0.5"), Decimal("0.0001"))


@pytest.fixture
def folder(tmp_path: Path) -> RegionFolder:
    """A region's folder with its key, and an account with more than one plan costs."""
    folder = RegionFolder(tmp_path / "region")
    create_keys(folder)
    with Ledger.create(folder.ledger, region="a", clock=clock) as ledger:
        ledger.open_account(LINEAGE, [LIMIT])
    return folder


@pytest.fixture
def ledger(folder: RegionFolder) -> Iterator[Ledger]:
    """The folder's ledger, open."""
    with Ledger.open(folder.ledger, clock=clock) as opened:
        yield opened


def _freeze(ledger: Ledger, **evidence: Json) -> None:
    ledger.freeze(LINEAGE, "an audit", evidence=evidence, frozen_by="A. Auditor")


def _lift(folder: RegionFolder, ledger: Ledger, epsilon: Decimal = CHARGE[0]) -> None:
    lift_account(
        folder,
        ledger,
        lineage=LINEAGE,
        epsilon=epsilon,
        delta=CHARGE[1],
        reason="the noise was halved; mended",
        by="A. Steward",
    )


def _forge(ledger: Ledger, sign: Callable[[bytes, bytes], bytes]) -> None:
    charges = [replace(LIMIT, epsilon=CHARGE[0], delta=CHARGE[1])]
    ledger.lift(LINEAGE, charges, "nothing was wrong", lifted_by="A. Steward", sign=sign)


def test_a_lift_is_charged_and_the_account_goes_on(folder: RegionFolder, ledger: Ledger) -> None:
    """Frozen, then usable again, and what the finding cost is gone."""
    _freeze(ledger, audits=[AUDIT])
    with pytest.raises(AccountFrozenError, match="an audit"):
        require_usable(folder, ledger.state, LINEAGE)
    _lift(folder, ledger)
    require_usable(folder, ledger.state, LINEAGE)
    (view,) = ledger.budget()

    assert view.charged.epsilon == CHARGE[0]
    assert ledger.state.frozen(LINEAGE) == ""


def test_a_lift_charges_at_least_what_the_audits_showed(
    folder: RegionFolder, ledger: Ledger
) -> None:
    """A second freeze without evidence does not make the first one's cheaper."""
    _freeze(ledger, audits=[AUDIT, {"lower_bound": "3.25", "claim": "3"}])
    _freeze(ledger)

    assert least_charge(folder, ledger, LINEAGE) == Decimal("0.5")
    with pytest.raises(AccountFrozenError, match=r"0\.5 more"):
        _lift(folder, ledger, Decimal("0.499"))
    _lift(folder, ledger)
    _freeze(ledger)
    assert least_charge(folder, ledger, LINEAGE) == 0


def test_an_account_that_cannot_pay_stays_frozen(folder: RegionFolder, ledger: Ledger) -> None:
    """And one that is not frozen is not lifted."""
    with pytest.raises(LedgerError, match="not frozen"):
        _lift(folder, ledger)
    _freeze(ledger)
    with pytest.raises(BudgetExceededError):
        _lift(folder, ledger, Decimal(8))

    assert ledger.state.frozen(LINEAGE) == "an audit"


def test_a_lift_of_somebody_else_has_no_effect(folder: RegionFolder, ledger: Ledger) -> None:
    """Not without a signature, not with another key; the region's own way back stays open."""
    stranger = Identity.generate()
    for sign in (
        lambda said, previous: bytes(64),
        lambda said, previous: stranger.sign(
            "lift", context=previous, uid=region_uid("a"), body=said
        ),
    ):
        _freeze(ledger, audits=[AUDIT])
        _forge(ledger, sign)
        with pytest.raises(AccountFrozenError, match="not with this region's key"):
            require_usable(folder, ledger.state, LINEAGE)
    _freeze(ledger)
    assert least_charge(folder, ledger, LINEAGE) == Decimal("0.5")  # no forged lift paid for it
    _lift(folder, ledger)

    require_usable(folder, ledger.state, LINEAGE)


def test_a_signed_lift_serves_once(folder: RegionFolder, ledger: Ledger) -> None:
    """Its bytes and signature, entered again after another freeze, lift nothing."""
    _freeze(ledger)
    _lift(folder, ledger)
    (first,) = (e.payload for e in ledger.entries() if isinstance(e.payload, Lift))
    _freeze(ledger)
    ledger.lift(
        first.lineage,
        first.charges,
        first.reason,
        lifted_by=first.lifted_by,
        sign=lambda said, previous: bytes.fromhex(first.signature),
    )

    with pytest.raises(AccountFrozenError, match="not with this region's key"):
        require_usable(folder, ledger.state, LINEAGE)


def _kinds(handler: RegionHandler) -> list[type]:
    entries = handler._training.ledger.entries()
    return [type(e.payload) for e in entries if isinstance(e.payload, Reserve | Release | Send)]


def _account(handler: RegionHandler) -> str:
    ledger = handler._training.ledger
    return next(iter(ledger.state.accounts))


def test_a_frozen_region_draws_nothing(regions: dict[str, RegionHandler]) -> None:
    """A running client learns of it from its ledger, before a step is reserved."""
    training = regions["a"]._training
    training.ledger.freeze(_account(regions["a"]), "an audit", evidence={}, frozen_by="me")
    with pytest.raises(AccountFrozenError):
        training.delta(0, training.materials.part.vector())

    assert _kinds(regions["a"]) == []


def test_what_was_drawn_before_a_freeze_does_not_leave(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """The delta is released in the ledger, and no message carries it."""
    one = world.round(0)
    play(one, regions, until=MessageKind.TRAIN_MASKED)
    current = regions["a"]._require_current()
    assert current.delta is not None
    current.delta.result(timeout=60)
    with Ledger.open(world.run.region("a").ledger, clock=clock) as other:
        other.freeze(_account(regions["a"]), "an audit", evidence={}, frozen_by="me")
    with pytest.raises(AccountFrozenError):
        ask(one, regions["a"], MessageKind.TRAIN_MASKED)

    assert _kinds(regions["a"]) == [Reserve, Release]


def test_a_frozen_account_approves_no_plan(prepared: World, tmp_path: Path) -> None:
    """Before the trainer is tested or anything is charged."""
    world = region_builder.fresh(prepared, tmp_path / "run")
    home = world.run.region("a")
    with Ledger.open(home.ledger, clock=clock) as opened:
        (account,) = opened.state.accounts
        opened.freeze(account, "an audit", evidence={}, frozen_by="me")
        with pytest.raises(AccountFrozenError):
            approve(home, world.plan.to_bytes(), ledger=opened, approved_by="steward")

        assert not opened.state.plans
        assert not home.plan.exists()


@pytest.mark.slow
def test_a_running_client_ignores_a_forged_lift(prepared: World, tmp_path: Path) -> None:
    """The ledger's rules take it, as they know no keys; the client draws nothing all the same."""
    world = region_builder.fresh(prepared, tmp_path / "run")
    home = world.run.region("a")
    policy = replace(Policy.load(home.policy), lineage=LINEAGE, limit=LIMIT)
    home.ledger.unlink()
    open_account(home, policy, clock=clock)
    with Ledger.open(home.ledger, clock=clock) as ledger:
        materials = approve(home, world.plan.to_bytes(), ledger=ledger, approved_by="steward")
    with ThreadPoolExecutor(1) as trainer:
        region = open_region(home, executor=trainer, clock=clock, materials=materials)
        with region.ledger as ledger:
            training, weights = region.handler._training, materials.part.vector()
            _freeze(ledger)
            _forge(ledger, lambda said, previous: bytes(64))
            with pytest.raises(AccountFrozenError, match="not with this region's key"):
                training.delta(0, weights)
            drawn = _kinds(region.handler)
            _freeze(ledger)
            _lift(home, ledger)
            training.delta(0, weights)

            assert drawn == []
            assert _kinds(region.handler) == [Reserve, Release]
