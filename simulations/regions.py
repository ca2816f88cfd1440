"""The simulator in the place of the stewards: one folder, policy and approval a region.

Each region gets its own records file, keys, ledger and policy, made from the study; the plan is
approved by the same function that a steward's command calls, with ``approved_by = simulation``.
"""

import csv
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from client.approval import approve, approved_plan
from client.folder import RegionFolder, RegionKeys, create_keys, open_account, write_durably
from client.materials import Materials, load_materials
from client.policy import Policy
from distillation.former_run import former_run
from distillation.model_files import ModelFiles
from distillation.records import Records
from distillation.study import Study
from distillation.teacher import Teacher
from privacy.charging import charge
from privacy.guarantee import Bound, Neighbours
from privacy.ledger import Ledger
from privacy.plan import Plan
from protocol.identity import Identity, RegionRecord, Registry
from simulations.going_on import granted, take_over, took_part
from simulations.run_folder import RunFolder

APPROVED_BY = "simulation"
_YEAR_S = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Parties:
    """Who takes part.

    Attributes:
        registry: Everybody's public keys.
        server: The coordinator's signing key.
    """

    registry: Registry
    server: Identity


def make_parties(
    study: Study, plan: Plan, private: Records, run: RunFolder, *, clock: Callable[[], int]
) -> Parties:
    """Make every party's folder, or read them where the registry is there already.

    The registry is written last: with it, all keys, policies and ledgers are whole.
    """
    registry_file = run.server / "registry.bin"
    if registry_file.exists():
        server = Identity.from_private_bytes((run.server / "identity.key").read_bytes())
        return Parties(Registry.from_bytes(registry_file.read_bytes()), server)
    server, cosigner = _server_keys(run.server)
    former = former_run(study)
    earlier = None if former is None else RunFolder(former.folder)
    keys = {
        name: _region_keys(run.region(name), None if earlier is None else earlier.region(name))
        for name in study.regions
    }
    registry = _registry(keys, server, cosigner, not_after=clock() + _YEAR_S)
    rows = private.rows_by_region()
    for name in study.regions:
        folder = run.region(name)
        _write_records(folder.root / "records.csv", private.subset(rows[name]))
        write_durably(folder.registry, registry.to_bytes())
        _link(folder.artifacts, run.artifacts)
        policy = _policy(study, plan, name, registry)
        if folder.ledger.exists():
            limit, *more = granted(folder, policy.lineage, clock=clock)
            replace(policy, limit=limit, more_limits=tuple(more)).save(folder.policy)
        else:
            open_account(folder, policy, clock=clock)
    write_durably(registry_file, registry.to_bytes())
    return Parties(registry, server)


def approve_everywhere(
    run: RunFolder,
    regions: Mapping[str, object],
    plan: Plan,
    *,
    load_teacher: Callable[[ModelFiles], Teacher],
    clock: Callable[[], int],
) -> dict[str, Materials]:
    """Have every region check and approve the plan; one that did so before only checks again.

    Raises:
        ApprovalRefusedError: If a region refuses; those before it have been charged.
        BudgetExceededError: If an account cannot pay.
        RecordsError: If a region's records do not fit the plan.
    """
    ready = {}
    for name in regions:
        folder = run.region(name)
        with Ledger.open(folder.ledger, clock=clock) as ledger:
            if plan.hash in ledger.state.plans and folder.approval.exists():
                known = approved_plan(folder, ledger)
                policy = Policy.load(folder.policy)
                ready[name] = load_materials(folder, policy, known, load_teacher=load_teacher)
            else:
                ready[name] = approve(
                    folder,
                    plan.to_bytes(),
                    ledger=ledger,
                    approved_by=APPROVED_BY,
                    load_teacher=load_teacher,
                )
    return ready


def _policy(study: Study, plan: Plan, name: str, registry: Registry) -> Policy:
    """Return the policy of a steward who grants what the study says, or what the plan needs."""
    epsilon, delta = study.regions[name].budget_epsilon, study.regions[name].budget_delta
    need = charge(plan, name).epsilon
    return Policy(
        region=name,
        source="records.csv",
        text="text",
        label="label",
        unit="unit",
        lineage=f"{name}-records",
        limit=Bound(
            plan.unit,
            Neighbours.ADD_OR_REMOVE_ONE,
            need if epsilon is None else epsilon,
            plan.delta if delta is None else delta,
        ),
        lineages=(plan.teacher.lineage,),
        registry_sha256=registry.hash.hex(),
        min_cohort=min(study.federation.min_cohort, len(study.regions)),
        max_weight=max(Fraction(1, 2), max(region.weight for region in plan.regions)),
        assumed_colluders=study.federation.assumed_colluders,
        any_survivors=study.federation.any_survivors,
        label_days=30,
        max_canaries=0 if plan.audit is None else plan.audit.canaries,
    )


def _server_keys(folder: Path) -> tuple[Identity, Identity]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = []
    for name in ("identity.key", "cosigner.key"):
        identity = Identity.generate()
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(identity.private_bytes())
        keys.append(identity)
    return keys[0], keys[1]


def _region_keys(folder: RegionFolder, former: RegionFolder | None) -> RegionKeys:
    """Make a region's keys, or take over those of an earlier run, with its ledger.

    A folder that an interrupted start left behind is made again.
    """
    if folder.root.exists():
        shutil.rmtree(folder.root)
    if former is not None and took_part(former):
        return take_over(former, folder)
    return create_keys(folder)


def _registry(
    keys: Mapping[str, RegionKeys], server: Identity, cosigner: Identity, *, not_after: int
) -> Registry:
    records = [
        RegionRecord(
            name=name,
            identity_key=own.identity_key,
            ledger_key=own.ledger_key,
            not_after=not_after,
        )
        for name, own in keys.items()
    ]
    return Registry(
        epoch=0,
        quorum=2 * len(keys) // 3 + 1,
        regions=tuple(sorted(records, key=lambda record: record.uid)),
        server_key=server.public_bytes(),
        cosigner_key=cosigner.public_bytes(),
        server_not_after=not_after,
    )


def _write_records(path: Path, records: Records) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "unit"])
        rows = zip(records.texts, records.labels, records.units, strict=True)
        writer.writerows([text, label or "", unit] for text, label, unit in rows)


def _link(folder: Path, artifacts: Path) -> None:
    """Let a region see the run's artifacts; a deployment copies them and checks their hashes."""
    folder.rmdir()
    there = os.path.relpath(artifacts.resolve(), folder.parent.resolve())  # a run may be moved
    folder.symlink_to(there, target_is_directory=True)
