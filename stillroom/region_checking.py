"""``stillroom region check``: everything that can be said about a region without spending.

Each check says one sentence. None prints a record, a label, a count of records or a secret.
"""

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from client.approval import check_policy, pinned_registry
from client.canaries import require_auditable
from client.conformance import passed_before
from client.errors import ApprovalRefusedError, ClientError, HaltedError, RegionFolderError
from client.folder import RegionFolder
from client.halt import require_running
from client.incidents import require_usable
from client.materials import Materials, load_materials
from client.policy import Policy
from distillation.errors import DistillationError
from distillation.records import Columns, read_records
from privacy.errors import PrivacyError
from privacy.plan import Plan
from protocol.errors import ProtocolError
from stillroom.exits import Exit, code_of
from stillroom.region_costs import Cost, costs
from stillroom.region_opening import now, open_ledger, read_plan, require_artifacts
from stillroom.region_pinning import require_in_date, require_listed
from stillroom.region_policy import NOT_PINNED

_EXPECTED = (ClientError, PrivacyError, ProtocolError, DistillationError, OSError)
_KEY_FILES = ("identity.key", "ledger.key", "labels.key")


class Outcome(IntEnum):
    """How one check came out; the value is the exit code that it leads to."""

    HOLDS = Exit.DONE
    VIOLATED = Exit.FAILED
    WRONG = Exit.BAD_INPUT
    REFUSED = Exit.REFUSED
    INCOMPLETE = Exit.INCOMPLETE


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        what: What was checked.
        outcome: How it came out.
        text: One sentence.
    """

    what: str
    outcome: Outcome
    text: str


@dataclass(slots=True)
class Checked:
    """What a check found.

    Attributes:
        findings: In the order of the checks.
        costs: What the plan costs, where there is one that can be charged.
    """

    findings: list[Finding] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        """0 only if everything holds; else a violation before a refusal before the rest."""
        found = {one.outcome for one in self.findings}
        worst = (Outcome.VIOLATED, Outcome.WRONG, Outcome.REFUSED, Outcome.INCOMPLETE)
        return next((Exit(one) for one in worst if one in found), Exit.DONE)

    def holds(self, what: str, text: str) -> None:
        """Add what holds."""
        self.findings.append(Finding(what, Outcome.HOLDS, text))

    @contextmanager
    def checking(self, what: str) -> Iterator[None]:
        """Turn an expected error into a finding; a bug keeps its traceback."""
        try:
            yield
        except _EXPECTED as error:
            code = code_of(error) or Exit.INCOMPLETE  # an OSError: it could not be looked at
            if isinstance(error, HaltedError):
                code = Exit.REFUSED
            self.findings.append(Finding(what, Outcome(code), str(error)))


def check_region(folder: RegionFolder, plan_file: Path | None) -> Checked:
    """Check the folder, and the plan against it if there is one.

    Raises:
        PolicyError: If the policy cannot be read; nothing else means anything then.
    """
    checked = Checked()
    policy = Policy.load(folder.policy)
    checked.holds("policy", f"policy.toml of the region {policy.region} is whole")
    for what, check in _CHECKS:
        with checked.checking(what):
            checked.holds(what, check(folder, policy))
    if plan_file is None:
        return checked
    with checked.checking("plan"):
        plan, _ = read_plan(plan_file)
        checked.holds("plan", f"{plan.hash[:16]} of the study {plan.study} is whole")
        _check_plan(checked, folder, policy, plan, plan_file)
    return checked


def _check_plan(
    checked: Checked, folder: RegionFolder, policy: Policy, plan: Plan, plan_file: Path
) -> None:
    with checked.checking("terms"):
        with open_ledger(folder) as ledger:
            paid = ledger.state.paid_by(policy.lineage)
        check_policy(policy, plan, paid=paid)
        checked.holds("terms", "no line of the policy refuses the plan")
        checked.holds("teacher", f"{plan.teacher.lineage} is allowed. {plan.teacher.not_covered}")
    with checked.checking("artifacts and records"):
        require_artifacts(folder, plan_file)
        materials = load_materials(folder, policy, plan)
        require_auditable(materials, plan, policy.region)
        checked.holds(
            "artifacts and records",
            "the artifacts have the plan's hashes, and the records fit teacher and public size",
        )
        _check_trainer(checked, materials, plan, policy.region)
    with checked.checking("cost"):
        with open_ledger(folder) as ledger:
            checked.costs.extend(costs(plan, policy, ledger.state))
        for one in checked.costs:
            one.require()
            for sentence in one.sentences():
                checked.holds("cost", sentence)


def _check_trainer(checked: Checked, materials: Materials, plan: Plan, region: str) -> None:
    """Add the self-test's checks by name; the ledger keeps a result of `approve` and of a start."""
    tested = passed_before.test(materials, plan, region)
    for one in tested.found.findings:
        what = f"trainer, {one.check}"
        if one.passed:
            checked.holds(what, one.expected)
        else:
            text = f"expected that {one.expected}; but {one.came}"
            checked.findings.append(Finding(what, Outcome.VIOLATED, text))
    for check in tested.found.missing:
        text = "this check did not run, so the trainer may not train on records"
        checked.findings.append(Finding(f"trainer, {check}", Outcome.VIOLATED, text))


def _keys(folder: RegionFolder, policy: Policy) -> str:
    for load in (folder.identity, folder.ledger_key, folder.labels_key):
        load()
    open_to_others = [
        path.name
        for path in (folder.root.resolve(), *(folder.root / name for name in _KEY_FILES))
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_others:
        raise RegionFolderError(
            f"others than the owner may use {', '.join(open_to_others)}: chmod 700 the folder and "
            "chmod 600 its keys; if somebody may have read a key, have it replaced in the registry"
        )
    return "the three keys are there, and only their owner can read them"


def _registry(folder: RegionFolder, policy: Policy) -> str:
    require_pinned(folder, policy)
    registry = pinned_registry(folder, policy)
    require_listed(folder, policy, registry)
    require_in_date(registry, at=now())
    return (
        f"epoch {registry.epoch} with {len(registry.regions)} regions is pinned, in date, and "
        "has this region's keys"
    )


def _running(folder: RegionFolder, policy: Policy) -> str:
    require_running(folder)
    return "the region is not halted"


def _account(folder: RegionFolder, policy: Policy) -> str:
    with open_ledger(folder) as ledger:
        state = ledger.state
    require_usable(folder, state, policy.lineage)
    return f"the account {state.payer(policy.lineage)} is not frozen"


def _records(folder: RegionFolder, policy: Policy) -> str:
    columns = Columns(text=policy.text, label=policy.label, unit=policy.unit)
    read_records(folder.root / policy.source, columns)
    return "the records can be read and have the policy's columns"


def _ledger(folder: RegionFolder, policy: Policy) -> str:
    with open_ledger(folder) as ledger:
        state = ledger.state
    if state.region != policy.region:
        raise ApprovalRefusedError(
            f"region.name: the ledger is of {state.region}, the policy of {policy.region}"
        )
    account = state.accounts.get(state.payer(policy.lineage))
    if account is None or not set(policy.limits).issubset(account.limits):
        raise ApprovalRefusedError(
            "budget: the policy's budget is not the one that the ledger granted, and the ledger "
            "counts: correct the policy"
        )
    return f"all {state.size} entries follow from each other, and grant what the policy says"


_CHECKS: tuple[tuple[str, Callable[[RegionFolder, Policy], str]], ...] = (
    ("keys", _keys),
    ("registry", _registry),
    ("ledger", _ledger),
    ("account", _account),
    ("records", _records),
    ("running", _running),
)


def require_pinned(folder: RegionFolder, policy: Policy) -> None:
    """Check that there is a registry at all.

    Raises:
        ApprovalRefusedError: If none was pinned.
    """
    if policy.registry_sha256 == NOT_PINNED or not folder.registry.is_file():
        raise ApprovalRefusedError(
            "federation.registry_sha256: no registry is pinned yet: stillroom region pin "
            f"{folder.root} REGISTRY"
        )
