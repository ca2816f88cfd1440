"""A plan is approved when policy, artifacts and records allow it; else nothing is charged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from client.approval import approve, approved_plan
from client.errors import ApprovalRefusedError, NotApprovedError
from client.folder import RegionFolder
from distillation.errors import ArtifactError, RecordsError
from privacy.errors import BudgetExceededError, LineageRefusedError
from privacy.ledger import Ledger
from tests.client import region_builder
from tests.client.region_builder import World, clock


@pytest.fixture
def world(tmp_path: Path) -> World:
    return region_builder.make(tmp_path)


def _approve(world: World, name: str = "a") -> None:
    folder = world.run.region(name)
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        approve(folder, world.plan.to_bytes(), ledger=ledger, approved_by="steward")


def _charged(world: World, name: str = "a") -> int:
    with Ledger.open(world.run.region(name).ledger, clock=clock) as ledger:
        return len(ledger.state.plans)


def test_an_approved_plan_is_charged_signed_and_found(world: World) -> None:
    """The ledger has it, the signature is there, and the region can run it."""
    _approve(world)
    folder = world.run.region("a")
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        assert approved_plan(folder, ledger).hash == world.plan.hash
        assert ledger.budget()[0].charged.epsilon > 0
    assert len(folder.approval.read_bytes()) == 64


def test_without_an_approval_there_is_no_plan(world: World) -> None:
    """No file, or a file that was never charged, is no approval."""
    folder = world.run.region("a")
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        with pytest.raises(NotApprovedError, match="approve"):
            approved_plan(folder, ledger)
        folder.plan.write_bytes(world.plan.to_bytes())
        with pytest.raises(NotApprovedError, match="never charged"):
            approved_plan(folder, ledger)


def _policy(old: str, new: str) -> Callable[[RegionFolder], None]:
    def change(folder: RegionFolder) -> None:
        text = folder.policy.read_text()
        assert old in text
        folder.policy.write_text(text.replace(old, new))

    return change


def _records(change: Callable[[list[str]], list[str]]) -> Callable[[RegionFolder], None]:
    def edit(folder: RegionFolder) -> None:
        path = folder.root / "records.csv"
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return edit


def _spoil_recipe(folder: RegionFolder) -> None:
    (folder.artifacts / "recipe.json").write_bytes(b"{}")


def _spoil_registry(folder: RegionFolder) -> None:
    _policy(folder.policy.read_text().split('registry_sha256 = "')[1][:64], "0" * 64)(folder)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (_policy("min_cohort = 5", "min_cohort = 6"), ApprovalRefusedError, "min_cohort"),
        (_policy('max_weight = "1/2"', 'max_weight = "1/10"'), ApprovalRefusedError, "max_weight"),
        (_policy('"public"', '"external-dp"'), LineageRefusedError, "lineages"),
        (_policy('name = "a"', 'name = "z"'), ApprovalRefusedError, "region.name"),
        (_spoil_registry, ApprovalRefusedError, "registry"),
        (_spoil_recipe, ArtifactError, "recipe"),
        (_records(lambda rows: rows + rows[1:]), RecordsError, "public_size"),
        (_records(lambda rows: rows[:3]), RecordsError, "fewer than half"),
        (_records(lambda rows: [*rows[:-1], "w1 w2,unheard,u9"]), RecordsError, "row 12"),
        (_records(lambda rows: [*rows[:-1], ",,u9"]), RecordsError, "row 12"),
        (_records(lambda rows: [*rows[:-1], "w1 " * 40 + ",,u9"]), RecordsError, "max_tokens"),
    ],
    ids=[
        *("small cohort", "large weight", "lineage", "other region", "registry", "recipe"),
        *("too many records", "too few records", "unknown label", "no text", "long text"),
    ],
)
def test_what_refuses_is_named_and_nothing_is_charged(
    world: World, change: Callable[[RegionFolder], None], error: type[Exception], words: str
) -> None:
    """Policy lines, artifacts and rows are named; the account stays as it was."""
    change(world.run.region("a"))
    with pytest.raises(error, match=words) as caught:
        _approve(world)

    assert _charged(world) == 0
    assert "unheard" not in str(caught.value)


def test_an_account_pays_once(world: World) -> None:
    """The policy grants what this plan needs: a second plan finds nothing left."""
    import dataclasses

    _approve(world)
    other = dataclasses.replace(world.plan, study="another")
    folder = world.run.region("a")
    with (
        Ledger.open(folder.ledger, clock=clock) as ledger,
        pytest.raises(BudgetExceededError),
    ):
        approve(folder, other.to_bytes(), ledger=ledger, approved_by="steward")
