"""A steward makes a region, pins a registry, checks, approves, halts and resumes, by commands."""

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from client.approval import approved_plan
from client.conformance import PassedBefore
from client.folder import RegionFolder
from client.halt import halt_file
from client.policy import Policy
from distillation.audit.result import Access, AuditResult, Method
from distillation.dp.conformance_subject import Check
from privacy.ledger import Ledger
from privacy.noise import gaussian
from protocol.governance import sign_change
from protocol.identity import Identity, Registry, region_uid
from stillroom import region_opening
from stillroom.exits import Exit
from stillroom.main import app
from tests.client.region_builder import World, clock

_RUNNER = CliRunner()
_BUDGET = ("--epsilon", "7", "--delta", "0.01")


@dataclass(frozen=True, slots=True)
class Home:
    """A new region "a", which the registry names, beside the prepared world's others."""

    root: Path
    folder: RegionFolder
    world: World
    registry: Registry

    @property
    def plan(self) -> str:
        """The plan's file."""
        return str(self.world.run.plan)

    def run(self, command: str, *words: str, typed: str = "") -> tuple[int, str]:
        """Run a command on the folder; return its exit code and all that it printed."""
        return _run(command, str(self.folder.root), *words, typed=typed)

    def file(self, name: str, data: bytes) -> str:
        """Write a file beside the folder."""
        (self.root / name).write_bytes(data)
        return str(self.root / name)

    def pin(self) -> None:
        """Pin the registry."""
        file = self.file("registry.bin", self.registry.to_bytes())
        code, said = self.run("pin", file, "--hash", self.registry.hash.hex())
        assert code == Exit.DONE, said

    def copy_artifacts(self) -> None:
        """Have the plan's artifacts in the folder."""
        self.folder.artifacts.rmdir()
        self.folder.artifacts.symlink_to(self.world.run.artifacts, target_is_directory=True)

    def change(self, signers: str) -> bytes:
        """Return a change to another server key, signed by these of the other regions."""
        after = replace(
            self.registry, epoch=1, server_key=Identity.from_private_bytes(b"s" * 32).public_bytes()
        )
        approvers = {region_uid(name): self.world.run.region(name).identity() for name in signers}
        return sign_change(self.registry, after, approvers=approvers).to_bytes()


def _run(command: str, *words: str, typed: str = "") -> tuple[int, str]:
    result = _RUNNER.invoke(app, ["region", command, *words], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def _init(
    root: Path, records: Path, *more: str, budget: Sequence[str] = _BUDGET
) -> tuple[int, str]:
    fixed = ("--name", "a", "--text", "text", "--label", "label", "--lineage", "notes")
    size = ("--public-size", "14")
    return _run("init", str(root), "--records", str(records), *fixed, *size, *budget, *more)


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands' clock is that of the prepared world."""
    monkeypatch.setattr(region_opening, "time", SimpleNamespace(time=clock))


@pytest.fixture
def records(prepared: World) -> Path:
    """Region a's records."""
    return prepared.run.region("a").root / "records.csv"


@pytest.fixture
def home(prepared: World, records: Path, tmp_path: Path) -> Home:
    """A region that was made by the command; nothing is pinned."""
    code, said = _init(tmp_path / "region", records)
    assert code == Exit.DONE, said
    folder = RegionFolder(tmp_path / "region")
    others = prepared.parties.registry
    own = (folder.identity().public_bytes(), folder.ledger_key().public_bytes())
    entered = tuple(
        replace(one, identity_key=own[0], ledger_key=own[1]) if one.name == "a" else one
        for one in others.regions
    )
    return Home(tmp_path, folder, prepared, replace(others, regions=entered))


@pytest.fixture
def ready(home: Home) -> Home:
    """The same with registry and artifacts."""
    home.pin()
    home.copy_artifacts()
    return home


def test_a_new_region_is_its_owners_alone(home: Home) -> None:
    """Folder, keys and ledger are closed to others; the ledger grants what was typed."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.folder.root.iterdir()}
    (budget,) = json.loads(home.run("budget", "--json")[1])

    assert stat.S_IMODE(home.folder.root.stat().st_mode) == 0o700
    assert {modes[name] for name in ("identity.key", "ledger.key", "labels.key")} == {0o600}
    assert modes["ledger.db"] == 0o600
    assert (budget["account"], budget["epsilon_granted"], budget["delta"]) == (
        "notes",
        "7",
        "1.00e-2",
    )


def test_init_prints_the_public_keys_and_no_secret(records: Path, tmp_path: Path) -> None:
    """What is printed goes into the registry; the private keys stay in their files."""
    code, said = _init(tmp_path / "region", records, "--json")
    folder, shown = RegionFolder(tmp_path / "region"), json.loads(said)
    secrets = [(folder.root / f"{name}.key").read_bytes() for name in ("identity", "ledger")]

    assert code == Exit.DONE
    assert shown["identity_key"] == folder.identity().public_bytes().hex()
    assert shown["ledger_key"] == folder.ledger_key().public_bytes().hex()
    assert all(secret.hex() not in said for secret in secrets)


def test_the_policy_is_read_as_it_was_asked_for(records: Path, tmp_path: Path) -> None:
    """Every option is in the file, explained, and means what it says."""
    words = ("--unit", "unit", "--teacher", "public", "--teacher", "external-dp")
    bounds = ("--min-cohort", "4", "--max-weight", "1/3", "--label-days", "7")
    code, _ = _init(tmp_path / "region", records, *words, *bounds)
    file = tmp_path / "region" / "policy.toml"
    policy = Policy.load(file)

    assert code == Exit.DONE
    assert (policy.unit, policy.min_cohort, str(policy.max_weight)) == ("unit", 4, "1/3")
    assert [*policy.lineages] == ["public", "external-dp"]
    assert (policy.label_days, policy.source) == (7, str(records.resolve()))
    assert file.read_text().count("#") > 15


@pytest.mark.parametrize(
    ("budget", "more", "words"),
    [
        (("--epsilon", "0", "--delta", "0.01"), (), "ε > 0"),
        (("--epsilon", "-1", "--delta", "0.01"), (), "ε > 0"),
        (("--epsilon", "nan", "--delta", "0.01"), (), "NaN"),
        (("--epsilon", "inf", "--delta", "0.01"), (), "finite"),
        (("--epsilon", "much", "--delta", "0.01"), (), "--epsilon"),
        (("--epsilon", "1", "--delta", "0"), (), "δ > 0"),
        (("--epsilon", "1", "--delta", "nan"), (), "NaN"),
        (("--epsilon", "1", "--delta", "0.0715"), (), "1/14"),
        (_BUDGET, ("--min-cohort", "2"), "min_cohort"),
        (_BUDGET, ("--min-survivors", "2"), "min_survivors"),
        (_BUDGET, ("--max-weight", "two"), "--max-weight"),
        (_BUDGET, ("--teacher", "region-private"), "region-private"),
        (_BUDGET, ("--unit", "patient"), "patient"),
        (_BUDGET, ("--name", "a\nb"), "--name"),
        (_BUDGET, ("--lineage", ""), "printable"),
        (_BUDGET, ("--public-size", "0"), "public-size"),
        (_BUDGET, ("--public-size", "11"), "at most 11"),
    ],
)
def test_a_region_that_cannot_be_is_not_begun(
    records: Path, tmp_path: Path, budget: Sequence[str], more: Sequence[str], words: str
) -> None:
    """A sentence, exit code 2, and no folder that would have to be cleared away."""
    code, said = _init(tmp_path / "region", records, *more, budget=budget)

    assert code == Exit.BAD_INPUT
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "region").exists()


def test_a_region_is_made_once(home: Home, records: Path) -> None:
    """A second time nothing is touched: keys and ledger are those of the first."""
    before = {path: path.read_bytes() for path in home.folder.root.glob("*.*")}
    code, said = _init(home.folder.root, records)

    assert code == Exit.BAD_INPUT
    assert "already" in said
    assert {path: path.read_bytes() for path in home.folder.root.glob("*.*")} == before


@pytest.mark.parametrize(
    ("typed", "code", "pinned"),
    [("same\n", Exit.DONE, True), ("no\n", Exit.REFUSED, False), ("", Exit.INCOMPLETE, False)],
)
def test_a_registry_is_pinned_once_its_hash_was_compared(
    home: Home, typed: str, code: Exit, pinned: bool
) -> None:
    """The hash is shown in groups of four, and nothing is written before the answer."""
    file = home.file("registry.bin", home.registry.to_bytes())
    found, said = home.run("pin", file, typed=typed)
    digest = home.registry.hash.hex()

    assert found == code
    assert f"{digest[:4]} {digest[4:8]} {digest[8:12]}" in said
    assert home.folder.registry.exists() == pinned
    assert (Policy.load(home.folder.policy).registry_sha256 == digest) == pinned


def test_a_pin_changes_one_line_of_the_policy(home: Home) -> None:
    """The steward's own comments and values stay."""
    file = home.folder.policy
    file.write_text("# mine\n" + file.read_text().replace("label_days = 30", "label_days = 9"))
    before = file.read_text().splitlines()
    home.pin()
    home.pin()
    after = file.read_text().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]

    assert changed == [f'registry_sha256 = "{home.registry.hash.hex()}"']


def test_only_a_registry_with_this_regions_keys_is_pinned(home: Home) -> None:
    """One that has others in its place, is past its date or too small is refused."""
    foreign = home.world.parties.registry
    past = replace(home.registry, server_not_after=clock())
    small = replace(
        home.registry,
        quorum=3,
        regions=tuple(one for one in home.registry.regions if one.name != "e"),
    )
    without = replace(small, regions=tuple(one for one in home.registry.regions if one.name != "a"))
    for registry, words in (
        (foreign, "other keys"),
        (past, "past its date"),
        (small, "min_cohort"),
        (without, "no region a"),
    ):
        file = home.file("registry.bin", registry.to_bytes())
        code, said = home.run("pin", file, "--hash", registry.hash.hex())
        assert (code, words in said) == (Exit.REFUSED, True), said

    assert not home.folder.registry.exists()


def test_another_registry_needs_the_regions_signatures(ready: Home) -> None:
    """Not by itself, not with too few signatures or another hash; by a signed change it is."""
    after = replace(
        ready.registry, epoch=1, server_key=Identity.from_private_bytes(b"s" * 32).public_bytes()
    )
    file = ready.file("next.bin", after.to_bytes())
    few = ready.file("few.bin", ready.change("bcd"))
    change = ready.file("change.bin", ready.change("bcde"))
    digest = ("--hash", after.hash.hex())
    refused = [
        ready.run("pin", file, *digest),
        ready.run("pin", "--change", few, *digest),
        ready.run("pin", "--change", change, "--hash", "00"),
        ready.run("pin", "--change", file, *digest),
    ]
    unchanged = Policy.load(ready.folder.policy).registry_sha256
    code, said = ready.run("pin", "--change", change, *digest, "--json")

    assert [found for found, _ in refused] == [Exit.REFUSED] * 4
    assert unchanged == ready.registry.hash.hex()
    assert (code, json.loads(said)["epoch"]) == (Exit.DONE, 1)
    assert Policy.load(ready.folder.policy).registry_sha256 == after.hash.hex()
    assert ready.folder.registry.read_bytes() == after.to_bytes()


def test_a_pin_that_a_crash_cut_is_finished_by_the_same_command(ready: Home) -> None:
    """With the policy written and the registry not, the change is still the one to give."""
    change = ready.file("change.bin", ready.change("bcde"))
    ready.run("pin", "--change", change, typed="same\n")
    after = ready.folder.registry.read_bytes()
    ready.folder.registry.write_bytes(ready.registry.to_bytes())  # as the crash left it
    cut, _ = ready.run("check")
    code, _ = ready.run("pin", "--change", change, typed="same\n")

    assert cut == Exit.REFUSED
    assert code == Exit.DONE
    assert ready.folder.registry.read_bytes() == after


def test_what_a_plan_costs_is_said_before_anything_is_spent(ready: Home) -> None:
    """ε with δ, unit and relation, what is left, and how far it goes; the ledger is as before."""
    before = ready.folder.ledger.read_bytes()
    code, said = ready.run("check", "--plan", ready.plan)
    _, shown = ready.run("check", "--plan", ready.plan, "--json")
    (cost,) = json.loads(shown)["costs"]

    assert code == Exit.DONE, said
    assert "the plan costs (ε = 2.999, δ = 0.001), record, add-or-remove-one" in said
    assert "(ε = 4.001, δ = 0.009)" in said
    assert "1 more plan of this kind" in said
    assert (cost["further_plans"], cost["further_rounds"]) == (1, 3)
    assert ready.folder.ledger.read_bytes() == before


@pytest.mark.slow
def test_a_check_shows_the_trainers_self_test_by_name(
    ready: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All nineteen, each with what holds; of a trainer with half the noise, what does not."""
    code, said = ready.run("check", "--plan", ready.plan)
    monkeypatch.setattr("distillation.dp.optimizer.gaussian", lambda *drawn: gaussian(*drawn) / 2)
    monkeypatch.setattr("stillroom.region_checking.passed_before", PassedBefore())
    wrong, then = ready.run("check", "--plan", ready.plan)

    assert (code, wrong) == (Exit.DONE, Exit.FAILED), said
    assert [f"holds · trainer, {check}: " in said for check in Check] == [True] * 19
    assert "violated · trainer, noise scale: expected that noise of the plan's scale" in then
    assert "holds · trainer, sample rate: " in then


def test_a_check_says_what_is_missing(home: Home) -> None:
    """Registry and artifacts: each with the command that brings it."""
    code, said = home.run("check")
    home.pin()
    after, then = home.run("check")
    without, sentence = home.run("check", "--plan", home.plan)

    assert (code, "stillroom region pin" in said) == (Exit.REFUSED, True)
    assert after == Exit.DONE, then
    assert (without, "cp -r" in sentence) == (Exit.BAD_INPUT, True)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("min_cohort = 5", "min_cohort = 6", Exit.REFUSED, "federation.min_cohort"),
        ('lineages = ["public"]', "lineages = []", Exit.REFUSED, "teacher.lineages"),
        ("epsilon = 7", "epsilon = 9", Exit.REFUSED, "the ledger"),
        ('text = "text"', 'text = "other"', Exit.BAD_INPUT, "other"),
        ('name = "a"', 'name = "b"', Exit.REFUSED, "region.name"),
        ("[budget]", "[budgets]", Exit.BAD_INPUT, "budgets"),
    ],
)
def test_a_check_names_the_line_that_refuses(
    ready: Home, old: str, new: str, code: Exit, words: str
) -> None:
    """A policy that was edited is held against plan, ledger, registry and records."""
    text = ready.folder.policy.read_text()
    assert old in text
    ready.folder.policy.write_text(text.replace(old, new))
    found, said = ready.run("check", "--plan", ready.plan)

    assert (found, words in said) == (code, True), said


def test_a_key_that_others_can_read_is_found(ready: Home) -> None:
    """So is one that is gone."""
    key = ready.folder.root / "ledger.key"
    key.chmod(0o640)
    code, said = ready.run("check")
    key.unlink()
    gone, then = ready.run("check")

    assert (code, "ledger.key" in said) == (Exit.BAD_INPUT, True)
    assert (gone, "no ledger.key" in then) == (Exit.BAD_INPUT, True)


def test_an_approval_needs_the_regions_name(ready: Home) -> None:
    """Another word or no answer charges nothing; the name charges once, and once only."""
    words = ("--plan", ready.plan, "--by", "A. Steward")
    answers = [ready.run("approve", *words, typed=typed)[0] for typed in ("", "b\n")]
    before = json.loads(ready.run("budget", "--json")[1])[0]["epsilon_charged"]
    code, said = ready.run("approve", *words, typed="a\n")
    again, already = ready.run("approve", "--plan", ready.plan, "--by", "another", "--yes")
    after = json.loads(ready.run("budget", "--json")[1])[0]["epsilon_charged"]

    assert answers == [Exit.INCOMPLETE, Exit.REFUSED]
    assert (before, after) == ("0", "2.999")
    assert (code, "(ε = 2.999, δ = 0.001)" in said) == (Exit.DONE, True)
    assert (again, "approved already" in already) == (Exit.DONE, True)
    with Ledger.open(ready.folder.ledger, clock=clock) as ledger:
        plan = approved_plan(ready.folder, ledger)
        assert ledger.state.plans[plan.hash].approval.approved_by == "A. Steward"


def test_the_budget_says_what_the_rest_buys(ready: Home) -> None:
    """Before a plan nothing is promised; after it, plans at its price and the rounds left."""
    (none,) = json.loads(ready.run("budget", "--json")[1])
    unknown = " ".join(ready.run("budget")[1].split())
    ready.run("approve", "--plan", ready.plan, "--by", "A. Steward", "--yes")
    (row,) = json.loads(ready.run("budget", "--json")[1])
    said = " ".join(ready.run("budget")[1].split())

    plan = ready.world.plan
    rounds = plan.rounds + plan.slack_rounds
    assert (none["further_plans"], none["rounds_left"]) == (None, None)
    assert "no plan is approved yet" in unknown
    assert (row["further_plans"], row["rounds_left"]) == (1, rounds)  # 7 - 2.999 pays once more
    assert row["further_rounds"] == rounds + plan.rounds
    assert "pays for 1 more plan at the price of the last one" in said
    assert f"the approved plan has {rounds} rounds left, slack included" in said


def test_an_approval_that_a_crash_cut_is_finished_under_its_first_name(ready: Home) -> None:
    """The charge stands; whoever finishes it, the signature fits the ledger's name."""
    words = ("--plan", ready.plan, "--yes", "--json", "--by")
    ready.run("approve", *words, "A. Steward")
    ready.folder.approval.unlink()
    code, said = ready.run("approve", *words, "another")

    assert (code, json.loads(said)["approved_before"]) == (Exit.DONE, False)
    with Ledger.open(ready.folder.ledger, clock=clock) as ledger:
        assert approved_plan(ready.folder, ledger).hash == ready.world.plan.hash


def test_a_plan_that_the_account_cannot_pay_is_refused(
    prepared: World, records: Path, home: Home, tmp_path: Path
) -> None:
    """By check and by approve, with what is left; nobody is asked for a name."""
    home.pin()
    home.copy_artifacts()
    poor = tmp_path / "poor"
    _init(poor, records, budget=("--epsilon", "2", "--delta", "0.01"))
    for name in ("identity.key", "ledger.key"):
        (poor / name).write_bytes((home.folder.root / name).read_bytes())
    registry = home.file("registry.bin", home.registry.to_bytes())
    _run("pin", str(poor), registry, "--hash", home.registry.hash.hex())
    checked, said = _run("check", str(poor), "--plan", home.plan)
    code, then = _run("approve", str(poor), "--plan", home.plan, "--by", "x", "--yes")

    assert (code, "(ε = 2, δ = 0.01)" in then) == (Exit.REFUSED, True), then
    assert checked == Exit.BAD_INPUT  # its artifacts are missing as well
    assert "refused · cost" in said


def test_a_halt_is_seen_by_check_and_taken_back_by_resume(home: Home) -> None:
    """Twice is once; the reason is in the folder and in nothing that is printed."""
    home.pin()
    first, again = (home.run("halt", "--reason", word) for word in ("Miller", "other"))
    checked, said = home.run("check")
    stored = halt_file(home.folder).read_text()
    resumed, then = home.run("resume", "--json")
    last = json.loads(home.run("resume", "--json")[1])
    after, _ = home.run("check")

    assert [first[0], again[0], resumed, after] == [Exit.DONE] * 4
    assert "halted already" in again[1]
    assert (checked, "halted since" in said) == (Exit.REFUSED, True)
    assert "Miller" in stored
    assert "Miller" not in first[1] + again[1] + said
    assert (json.loads(then)["was_halted"], last["was_halted"]) == (True, False)


def test_a_freeze_is_seen_by_budget_check_and_approve_until_it_is_lifted(ready: Home) -> None:
    """Reason and name are in the ledger; the region's name is asked for before the charge."""
    frozen, said = ready.run("freeze", "--reason", "the audit of 3 May", "--by", "A. Auditor")
    (row,) = json.loads(ready.run("budget", "--json")[1])
    _, shown = ready.run("budget")
    checked, findings = ready.run("check")
    refused, why = ready.run("approve", "--plan", ready.plan, "--by", "x", "--yes")
    words = ("--reason", "a false alarm", "--by", "A. Steward", "--epsilon", "0.5", "--delta")
    declined, _ = ready.run("lift", *words, "1e-4", typed="b\n")
    lifted, _ = ready.run("lift", *words, "1e-4", typed="a\n")
    (after,) = json.loads(ready.run("budget", "--json")[1])
    approved, then = ready.run("approve", "--plan", ready.plan, "--by", "x", "--yes")

    assert (frozen, "tell the data protection officer" in said) == (Exit.DONE, True)
    assert row["frozen"] == "the audit of 3 May"
    assert "FROZEN: the audit of 3 May" in shown
    assert (checked, "refused · account" in findings) == (Exit.REFUSED, True)
    assert (refused, "is frozen" in why) == (Exit.REFUSED, True)
    assert (declined, lifted) == (Exit.REFUSED, Exit.DONE)
    assert (after["frozen"], after["epsilon_charged"]) == (None, "0.5")
    assert (approved, "approved plan" in then) == (Exit.DONE, True)


def test_a_freeze_brings_audits_that_are_above_their_claim(home: Home) -> None:
    """Its lift then has to pay for the bound; an audit that found nothing is no evidence."""
    loud, quiet = _audit(lower_bound="3.5"), _audit(lower_bound="0.5")
    words = ("--reason", "an audit", "--by", "A. Auditor", "--audit")
    none, said = home.run("freeze", *words, home.file("quiet.json", quiet))
    junk, _ = home.run("freeze", *words, home.file("junk.json", b"{}"))
    done, _ = home.run("freeze", *words, home.file("loud.json", loud))
    lift = ("--reason", "x", "--by", "y", "--delta", "1e-4", "--yes", "--epsilon")
    cheap, why = home.run("lift", *lift, "0.4")
    paid, _ = home.run("lift", *lift, "0.5")

    assert (none, "above its claim" in said) == (Exit.BAD_INPUT, True)
    assert (junk, done) == (Exit.BAD_INPUT, Exit.DONE)
    assert (cheap, "0.5 more" in why) == (Exit.REFUSED, True)
    assert paid == Exit.DONE


def _audit(*, lower_bound: str) -> bytes:
    """Return an audit's result with the claim ε = 3."""
    return AuditResult(
        method=Method.GAUSSIAN,
        access=Access.WHITE_BOX,
        canaries=100,
        guesses=100,
        right=100,
        delta=Decimal("0.001"),
        confidence=Decimal("0.95"),
        lower_bound=Decimal(lower_bound),
        cap=Decimal(4),
        power=Decimal("0.5"),
        claim=Decimal(3),
        date="2026-05-03",
        who="A. Auditor",
    ).to_bytes()


def test_a_region_with_a_damaged_ledger_can_be_halted(home: Home) -> None:
    """The stop holds, the exit code says that the ledger does not know of it; resume refuses."""
    home.folder.ledger.write_bytes(b"no ledger")
    code, said = home.run("halt", "--reason", "x")
    resumed, _ = home.run("resume")

    assert (code, "is halted, but" in said) == (Exit.INCOMPLETE, True)
    assert resumed == Exit.FAILED
    assert halt_file(home.folder).exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("check", ()),
        ("pin", ("registry.bin",)),
        ("approve", ("--plan", "plan.json", "--by", "x")),
        ("halt", ("--reason", "x")),
        ("resume", ()),
    ],
)
def test_a_folder_without_a_region_is_one_sentence(
    tmp_path: Path, command: str, words: Sequence[str]
) -> None:
    """Exit code 2, and the folder stays empty; each command has help with an example."""
    code, said = _run(command, str(tmp_path), *words)
    helped, example = _run(command, "--help")

    assert (code, "no region in" in said) == (Exit.BAD_INPUT, True)
    assert (helped, "Example: stillroom region" in example) == (Exit.DONE, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["pin", "approve"])
def test_json_asks_nothing(ready: Home, command: str) -> None:
    """A machine that did not confirm is told which option confirms."""
    words = {
        "pin": ("--json", ready.file("r.bin", ready.registry.to_bytes())),
        "approve": ("--json", "--plan", ready.plan, "--by", "x"),
    }[command]
    code, said = ready.run(command, *words)

    assert (code, "--json asks nothing" in said) == (Exit.BAD_INPUT, True)
