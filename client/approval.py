"""A steward approves a plan: checks first, then the charge, then the region's signature.

The simulator calls the same function with ``approved_by = simulation``; there is no other way to
charge an account, and nothing trains without it.
"""

from collections.abc import Callable, Collection

from client.canaries import check_audit_policy, flip_coins, require_auditable
from client.conformance import require_conformance
from client.errors import ApprovalRefusedError, NotApprovedError, RegionFolderError
from client.folder import RegionFolder, write_durably
from client.incidents import require_usable
from client.materials import Materials, load_materials
from client.policy import Policy
from distillation.model_files import ModelFiles
from distillation.teacher import Teacher
from privacy.errors import LineageRefusedError
from privacy.ledger import Ledger
from privacy.lineage import admit
from privacy.plan import TRAIN, Plan
from protocol.errors import AbortError
from protocol.identity import Registry, region_uid, verify


def approve(
    folder: RegionFolder,
    plan_bytes: bytes,
    *,
    ledger: Ledger,
    approved_by: str,
    load_teacher: Callable[[ModelFiles], Teacher] | None = None,
) -> Materials:
    """Check a plan against policy, artifacts, records and trainer; charge the account; sign.

    Guarantees: nothing is charged unless every check passed; the charge is durable before the
    signature exists. To approve the same plan again charges nothing, and finishes what a crash
    left undone.

    Args:
        folder: The region's folder.
        plan_bytes: The plan's canonical JSON.
        ledger: The region's ledger.
        approved_by: Who read and approved it.
        load_teacher: Loads a checked teacher; None: as the plan's task loads it.

    Returns:
        The materials that were checked, ready to train with.

    Raises:
        ApprovalRefusedError: If the policy or an artifact refuses.
        LineageRefusedError: If the teacher may not label these records.
        BudgetExceededError: If the account cannot pay.
        AccountFrozenError: If an incident stopped it.
        RecordsError: If the records are not usable under this plan.
        ConformanceError: If the trainer does not protect records as the plan promises.
    """
    policy = Policy.load(folder.policy)
    plan = Plan.from_bytes(plan_bytes)
    require_usable(folder, ledger.state, policy.lineage)
    check_policy(policy, plan, paid=ledger.state.paid_by(policy.lineage))
    pinned_registry(folder, policy)
    materials = load_materials(folder, policy, plan, load_teacher=load_teacher)
    require_auditable(materials, plan, policy.region)
    require_conformance(materials, plan, policy.region, ledger)
    for lineage in policy.lineages_merged:
        if ledger.state.payer(lineage) != ledger.state.payer(policy.lineage):
            ledger.merge_accounts(policy.lineage, lineage, approved_by)
    if plan.hash not in ledger.state.plans:  # else it was charged, and this process died here
        ledger.admit_plan(plan, policy.region, approved_by, lineage=policy.lineage)
    flip_coins(folder, plan, ledger)
    approved_by = ledger.state.plans[plan.hash].approval.approved_by  # whoever was charged for it
    write_durably(folder.plan, plan_bytes)
    signature = folder.identity().sign(
        "approval",
        context=bytes.fromhex(plan.hash),
        uid=region_uid(policy.region),
        body=approved_by.encode(),
    )
    write_durably(folder.approval, signature)
    return materials


def approved_plan(folder: RegionFolder, ledger: Ledger) -> Plan:
    """Return the plan that this region approved, as the ledger knows it.

    Raises:
        NotApprovedError: If there is none, or the file is not the one that was charged.
    """
    try:
        plan = Plan.from_bytes(folder.plan.read_bytes())
    except FileNotFoundError:
        raise NotApprovedError(
            "this region has not approved a plan: its steward must approve one first"
        ) from None
    if plan.hash not in ledger.state.plans:
        raise NotApprovedError(
            f"the plan {plan.hash[:12]} in the region's folder was never charged to its ledger: "
            "approve it again"
        )
    _check_signature(folder, plan, ledger.state.plans[plan.hash].approval.approved_by)
    return plan


def _check_signature(folder: RegionFolder, plan: Plan, approved_by: str) -> None:
    region = Policy.load(folder.policy).region
    try:
        verify(
            folder.identity().public_bytes(),
            folder.approval.read_bytes(),
            "approval",
            context=bytes.fromhex(plan.hash),
            uid=region_uid(region),
            body=approved_by.encode(),
        )
    except (FileNotFoundError, AbortError) as error:
        raise NotApprovedError(
            f"the approval of plan {plan.hash[:12]} was not signed, or not with this region's key: "
            "approve it again; it is charged once"
        ) from error


def check_policy(policy: Policy, plan: Plan, *, paid: Collection[str]) -> None:
    """Refuse a plan that goes beyond the policy, naming the line that refuses.

    Args:
        policy: The region's.
        plan: The plan.
        paid: Hashes of the plans that the region's account was charged for.

    Raises:
        ApprovalRefusedError: With the policy's key in the message.
        LineageRefusedError: If no policy could allow this teacher.
    """
    names = [region.name for region in plan.regions]
    if policy.region not in names:
        raise ApprovalRefusedError(
            f"region.name: the plan is for {', '.join(names)}, this region is {policy.region}"
        )
    if len(names) < policy.min_cohort:
        raise ApprovalRefusedError(
            f"federation.min_cohort: the plan sums over {len(names)} regions, the policy asks "
            f"for at least {policy.min_cohort}"
        )
    largest = max(region.weight for region in plan.regions)
    if largest > policy.max_weight:
        raise ApprovalRefusedError(
            f"federation.max_weight: one region has weight {largest}, the policy allows "
            f"{policy.max_weight}"
        )
    _check_sum(policy, plan)
    more = [part.name for part in plan.region(policy.region).components if part.name != TRAIN]
    if more:
        raise ApprovalRefusedError(
            f"plan.components: this release's client runs {TRAIN} only, and the plan would charge "
            f"for {', '.join(more)} too: leave them out"
        )
    check_audit_policy(policy, plan)
    admit(
        plan.teacher,
        plans_on_record=paid,
        teacher_sha256=plan.artifacts.teacher,
        known_teachers=policy.teachers,
    )
    if plan.teacher.lineage not in policy.lineages:
        raise LineageRefusedError(
            f"teacher.lineages: the plan's teacher is {plan.teacher.lineage}, the policy allows "
            f"{', '.join(policy.lineages)}"
        )


def _check_sum(policy: Policy, plan: Plan) -> None:
    if plan.sum.min_survivors < policy.min_survivors:
        raise ApprovalRefusedError(
            f"federation.min_survivors: the plan allows sums of {plan.sum.min_survivors} regions, "
            f"the policy asks for at least {policy.min_survivors}"
        )
    if plan.sum.assumed_colluders < policy.assumed_colluders:
        raise ApprovalRefusedError(
            f"federation.assumed_colluders: the plan assumes {plan.sum.assumed_colluders} regions "
            f"that work with the coordinator, the policy at least {policy.assumed_colluders}"
        )
    if plan.sum.any_survivors and not policy.any_survivors:
        raise ApprovalRefusedError(
            "federation.any_survivors: the plan allows sums that together would isolate a few "
            "regions, the policy does not"
        )


def pinned_registry(folder: RegionFolder, policy: Policy) -> Registry:
    """Return the registry in the region's folder, if it is the one that the policy pins.

    Raises:
        ApprovalRefusedError: If it is another one.
        RegionFolderError: If there is none.
    """
    try:
        registry = Registry.from_bytes(folder.registry.read_bytes())
    except FileNotFoundError:
        raise RegionFolderError(
            "the region's folder has no registry: pin the one that the regions agreed on "
            "(stillroom region pin)"
        ) from None
    if registry.hash.hex() != policy.registry_sha256:
        raise ApprovalRefusedError(
            "federation.registry_sha256: the registry in the region's folder is not the pinned "
            "one: compare it with the other regions"
        )
    return registry
