"""A plan is approved when policy, artifacts and records allow it; else nothing is charged."""

import dataclasses
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from client.approval import approve, approved_plan
from client.errors import ApprovalRefusedError, NotApprovedError
from client.folder import RegionFolder
from client.region import open_region
from distillation.errors import ArtifactError, RecordsError
from privacy.errors import BudgetExceededError, LineageRefusedError
from privacy.ledger import Ledger
from protocol.errors import AbortError
from protocol.identity import region_uid, verify
from tests.client import region_builder
from tests.client.region_builder import World, clock


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    return region_builder.fresh(prepared, tmp_path / "run")


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


def test_an_approval_that_this_region_did_not_sign_is_none(world: World) -> None:
    """A signature that is gone, or of another key: the plan is charged, but nobody approved it."""
    _approve(world)
    folder = world.run.region("a")
    good = folder.approval.read_bytes()
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        for bad in (b"", good[:-1] + b"x", bytes(64)):
            folder.approval.write_bytes(bad)
            with pytest.raises(NotApprovedError, match=r"not signed|not with this"):
                approved_plan(folder, ledger)
        folder.approval.unlink()
        with pytest.raises(NotApprovedError, match="approve it again"):
            approved_plan(folder, ledger)
        folder.approval.write_bytes(good)
        assert approved_plan(folder, ledger).hash == world.plan.hash


def test_another_registry_than_the_pinned_one_opens_no_region(world: World) -> None:
    """Whoever can write the file cannot thereby change who signs for whom."""
    _approve(world)
    folder = world.run.region("a")
    other = replace(world.parties.registry, epoch=7)
    folder.registry.write_bytes(other.to_bytes())
    with (
        ThreadPoolExecutor(1) as trainer,
        pytest.raises(ApprovalRefusedError, match="registry_sha256"),
    ):
        open_region(folder, executor=trainer, clock=clock)


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


def _other_recipe(folder: RegionFolder) -> None:
    path = folder.artifacts / "recipe.json"
    path.write_bytes(path.read_bytes().replace(b'"temperature":"2.0"', b'"temperature":"9.0"'))


def _no_recipe(folder: RegionFolder) -> None:
    (folder.artifacts / "recipe.json").unlink()


def _other(model: str, file: str) -> Callable[[RegionFolder], None]:
    """Change a file of a model: another byte, the same meaning."""

    def change(folder: RegionFolder) -> None:
        own = folder.artifacts / model
        if own.is_symlink():
            whole = own.resolve()
            own.unlink()
            shutil.copytree(whole, own)
        (own / file).write_bytes((own / file).read_bytes() + b"\n")

    return change


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (_other_recipe, ApprovalRefusedError, "recipe .* is not the plan's"),
        (_no_recipe, ArtifactError, r"no recipe\.json"),
        (_other("teacher", "config.json"), ApprovalRefusedError, "teacher .* is not the plan's"),
        (_other("teacher", "tokenizer.json"), ApprovalRefusedError, "tokenizer .* is not the"),
        (_other("student", "config.json"), ApprovalRefusedError, "student .* is not the plan's"),
        (_records(lambda rows: [*rows[:-1], "NaN,,u9"]), RecordsError, "row 12"),
        (_records(lambda rows: [*rows[:-1], '"\t",,u9']), RecordsError, "row 12"),
        (lambda folder: (folder.root / "records.csv").unlink(), RecordsError, "no file"),
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
        *("other recipe", "no recipe", "other teacher", "other tokenizer", "other student"),
        *("not a text", "blank text", "no records"),
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


def test_an_approval_that_died_after_the_charge_is_finished_by_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account pays once, whatever is missing afterwards: the plan, or its signature."""
    folder = world.run.region("a")

    def die(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("client.approval.write_durably", die)
        with pytest.raises(KeyboardInterrupt):
            _approve(world)
    assert not folder.plan.exists()
    _approve(world)
    folder.approval.unlink()
    _approve(world)

    with Ledger.open(folder.ledger, clock=clock) as ledger:
        assert approved_plan(folder, ledger).hash == world.plan.hash
        assert len(ledger.state.plans) == 1
    assert len(folder.approval.read_bytes()) == 64


def test_the_approval_is_the_regions_signature(world: World) -> None:
    """Whoever has the registry can check it, for this plan, region and approver, and no other."""
    _approve(world)
    folder, key = world.run.region("a"), world.parties.registry.record(region_uid("a")).identity_key
    signature, context = folder.approval.read_bytes(), bytes.fromhex(world.plan.hash)

    def check(context: bytes, uid: bytes, body: bytes) -> None:
        verify(key, signature, "approval", context=context, uid=uid, body=body)

    check(context, region_uid("a"), b"steward")
    for other in (
        (bytes(32), region_uid("a"), b"steward"),
        (context, region_uid("b"), b"steward"),
        (context, region_uid("a"), b"somebody"),
    ):
        with pytest.raises(AbortError):
            check(*other)


def test_an_edited_plan_is_no_approved_one(world: World) -> None:
    """The ledger holds the hash: a plan that was changed in the folder is not run."""
    _approve(world)
    folder = world.run.region("a")
    other = dataclasses.replace(world.plan, study="edited")
    folder.plan.write_bytes(other.to_bytes())
    with (
        Ledger.open(folder.ledger, clock=clock) as ledger,
        pytest.raises(NotApprovedError, match="never charged"),
    ):
        approved_plan(folder, ledger)


def test_an_account_pays_once(world: World) -> None:
    """The policy grants what this plan needs: a second plan finds nothing left."""
    _approve(world)
    other = dataclasses.replace(world.plan, study="another")
    folder = world.run.region("a")
    with (
        Ledger.open(folder.ledger, clock=clock) as ledger,
        pytest.raises(BudgetExceededError),
    ):
        approve(folder, other.to_bytes(), ledger=ledger, approved_by="steward")
