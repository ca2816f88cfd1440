"""``stillroom region init``: a new region's folder, with everything but the registry."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from client.errors import RegionFolderError
from client.folder import RegionFolder, RegionKeys, create_keys, open_account
from client.policy import Policy
from distillation.records import Columns, check_public_size, read_records
from privacy.errors import InvalidBudgetError
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import TeacherLineage
from protocol.errors import MalformedMessageError
from protocol.identity import RegionRecord
from stillroom.region_opening import now
from stillroom.region_policy import NOT_PINNED, write_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a steward decides about a new region.

    Attributes:
        name: The region's name, as in plans and in the registry.
        records: The records' file; it stays where it is.
        columns: Which column holds what.
        lineage: Name of the data's account.
        protects: What the account's limit is about.
        neighbours: Its relation.
        epsilon: As typed.
        delta: As typed.
        public_size: A public bound on the number of units.
        teachers: By where they come from.
        min_cohort: Fewest regions in a plan.
        min_survivors: Fewest regions in a sum.
        max_weight: Largest share of one region, as typed.
        assumed_colluders: How many regions may work with the coordinator.
        label_days: How long a soft label is kept.
    """

    name: str
    records: Path
    columns: Columns
    lineage: str
    protects: Unit
    neighbours: Neighbours
    epsilon: str
    delta: str
    public_size: int
    teachers: tuple[TeacherLineage, ...]
    min_cohort: int
    min_survivors: int
    max_weight: str
    assumed_colluders: int
    label_days: int


def make_region(root: Path, wishes: Wishes) -> tuple[RegionFolder, RegionKeys]:
    """Make keys, policy and ledger; nothing is made unless every wish can be granted.

    Raises:
        RegionFolderError: If the folder is not free, or the name or a number is no such thing.
        InvalidBudgetError: If the budget is no promise.
        PolicyError: If a bound is none.
        RecordsError: If the records cannot be read, or are not as many as declared.
    """
    folder = RegionFolder(root)
    _require_free(folder)
    _require_names(wishes)
    policy = _policy(root, wishes)
    records = read_records(wishes.records, wishes.columns)
    check_public_size(records, wishes.name, wishes.public_size, unit=wishes.protects)
    keys = create_keys(folder)
    open_account(folder, policy, clock=lambda: now())
    write_policy(folder.policy, policy, public_size=wishes.public_size)
    return folder, keys


def _policy(root: Path, wishes: Wishes) -> Policy:
    source, home = wishes.records.resolve(), root.resolve()
    inside = source.is_relative_to(home)
    return Policy(
        region=wishes.name,
        source=str(source.relative_to(home) if inside else source),
        text=wishes.columns.text,
        label=wishes.columns.label,
        unit=wishes.columns.unit,
        lineage=wishes.lineage,
        limit=_limit(wishes),
        lineages=wishes.teachers,
        registry_sha256=NOT_PINNED,
        min_cohort=wishes.min_cohort,
        min_survivors=wishes.min_survivors,
        max_weight=_fraction(wishes.max_weight),
        assumed_colluders=wishes.assumed_colluders,
        label_days=wishes.label_days,
    )


def _limit(wishes: Wishes) -> Bound:
    """Return the budget, if it is a promise to so many units.

    Raises:
        InvalidBudgetError: If it is none.
    """
    epsilon = number(wishes.epsilon, "--epsilon")
    delta = number(wishes.delta, "--delta")
    limit = Bound(wishes.protects, wishes.neighbours, epsilon, delta)
    if Fraction(delta) * wishes.public_size >= 1:
        raise InvalidBudgetError(
            f"expected --delta below 1/{wishes.public_size}, one over the public size, got "
            f"{delta}: a larger one allows to publish a whole record"
        )
    return limit


def number(text: str, option: str) -> Decimal:
    """Return the number that an option has.

    Raises:
        RegionFolderError: If it has none.
    """
    try:
        return Decimal(text)
    except ArithmeticError:
        raise RegionFolderError(f"{option}: expected a number, got {text!r}") from None


def _fraction(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ArithmeticError):
        raise RegionFolderError(
            f"--max-weight: expected a share such as 1/2 or 0.5, got {text!r}"
        ) from None


def _require_free(folder: RegionFolder) -> None:
    if folder.policy.exists() or folder.ledger.exists():
        raise RegionFolderError(
            f"{folder.root} holds a region already: choose another folder; its budget is granted "
            "once, so a second ledger for the same records would grant it twice"
        )


def _require_names(wishes: Wishes) -> None:
    """Refuse names that the registry or the policy's TOML cannot hold."""
    columns = wishes.columns
    names = (wishes.lineage, columns.text, columns.label, columns.unit, str(wishes.records))
    if not all(name is None or (name and name.isprintable()) for name in names):
        raise RegionFolderError("expected printable names of file, columns and lineage")
    try:
        RegionRecord(name=wishes.name, identity_key=bytes(32), ledger_key=bytes(32), not_after=0)
    except MalformedMessageError as error:
        raise RegionFolderError(f"--name: {error}") from error
