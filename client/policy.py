"""A region's policy: what its steward allows, in one TOML file that no coordinator can change.

Bounds, not wishes: a plan that stays within them may be approved, anything else is refused with
the name of the line that refused it.

A budget has one limit, as four keys of ``[budget]``, or one for each unit and relation, as
``[[budget.limits]]`` tables.
"""

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import tomli_w

from client.errors import PolicyError
from client.policy_limits import LIMIT_KEYS, limit_to_toml, read_limits
from privacy.errors import InvalidBudgetError
from privacy.guarantee import Bound
from privacy.lineage import NEVER, TeacherLineage
from protocol.policy import LEAST_COHORT

_KEYS = {
    "region": {"name"},
    "data": {"source", "text", "label", "unit"},
    "budget": {"lineage", "unit", "neighbours", "epsilon", "delta", "limits", "overlaps"},
    "teacher": {"lineages", "sha256"},
    "federation": {
        "registry_sha256",
        "min_cohort",
        "min_survivors",
        "max_weight",
        "assumed_colluders",
        "any_survivors",
        "max_canaries",
    },
    "retention": {"label_days"},
}
_OPTIONAL = {
    ("data", "label"),
    ("data", "unit"),
    *(("budget", key) for key in (*LIMIT_KEYS, "limits", "overlaps")),
    ("teacher", "sha256"),
    ("federation", "min_survivors"),
    ("federation", "assumed_colluders"),
    ("federation", "any_survivors"),
    ("federation", "max_canaries"),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one region allows.

    Attributes:
        region: The region's name, as in plans and in the registry.
        source: The records' file, relative to the region's folder.
        text: Column of the text.
        label: Column of the label, if there is one.
        unit: Column of the privacy unit; None: each record is one.
        lineage: Name of the data's account, the same for all its versions.
        limit: What may ever be spent on it.
        more_limits: The same in further units and relations; a plan is charged in each.
        lineages_merged: Other accounts of this region's ledger that hold some of the same
            records; they and this one become one account, which owes what each owed.
        lineages: Teachers that may label the records, by where they come from.
        teachers: Hashes of the teachers that may; None: the steward keeps no list.
        registry_sha256: Hash of the registry that this region pinned, hex.
        min_cohort: Fewest regions in a plan.
        min_survivors: Fewest regions in a sum.
        max_weight: Largest share of one region in a sum.
        assumed_colluders: How many regions may work with the coordinator, at least.
        any_survivors: Whether a plan may allow sums that together would isolate a few regions.
        label_days: How long a soft label is kept.
        max_canaries: Most made-up records that a plan may add to the training, to audit it.
    """

    region: str
    source: str
    text: str
    label: str | None
    unit: str | None
    lineage: str
    limit: Bound
    more_limits: tuple[Bound, ...] = ()
    lineages_merged: tuple[str, ...] = ()
    lineages: tuple[TeacherLineage, ...]
    teachers: tuple[str, ...] | None = None
    registry_sha256: str
    min_cohort: int
    min_survivors: int = LEAST_COHORT
    max_weight: Fraction
    assumed_colluders: int = 0
    any_survivors: bool = False
    label_days: int
    max_canaries: int = 0

    def __post_init__(self) -> None:
        if self.min_cohort < LEAST_COHORT:
            raise PolicyError(
                f"federation.min_cohort: expected at least {LEAST_COHORT}, got {self.min_cohort}; "
                "of two regions each reads the other's delta off the sum"
            )
        if self.min_survivors < LEAST_COHORT:
            raise PolicyError(
                f"federation.min_survivors: expected at least {LEAST_COHORT}, got "
                f"{self.min_survivors}"
            )
        if not 0 < self.max_weight <= 1:
            raise PolicyError(f"federation.max_weight: expected (0, 1], got {self.max_weight}")
        if self.assumed_colluders < 0:
            raise PolicyError(
                f"federation.assumed_colluders: expected at least 0, got {self.assumed_colluders}"
            )
        if self.max_canaries < 0:
            raise PolicyError(
                f"federation.max_canaries: expected at least 0, got {self.max_canaries}"
            )
        if self.label_days < 1:
            raise PolicyError(f"retention.label_days: expected at least 1, got {self.label_days}")
        _check_budget(self)
        _check_teachers(self)

    @property
    def limits(self) -> tuple[Bound, ...]:
        """What may ever be spent, one bound for each unit and relation."""
        return (self.limit, *self.more_limits)

    def save(self, path: Path) -> None:
        """Write the policy as TOML."""
        data = {"source": self.source, "text": self.text, "label": self.label, "unit": self.unit}
        budget: dict[str, object] = {"lineage": self.lineage}
        if self.lineages_merged:
            budget["overlaps"] = list(self.lineages_merged)
        if self.more_limits:
            budget["limits"] = [limit_to_toml(limit) for limit in self.limits]
        else:
            budget |= limit_to_toml(self.limit)
        teacher: dict[str, object] = {"lineages": [lineage.value for lineage in self.lineages]}
        if self.teachers is not None:
            teacher["sha256"] = list(self.teachers)
        tables = {
            "region": {"name": self.region},
            "data": {key: value for key, value in data.items() if value is not None},
            "budget": budget,
            "teacher": teacher,
            "federation": {
                "registry_sha256": self.registry_sha256,
                "min_cohort": self.min_cohort,
                "min_survivors": self.min_survivors,
                "max_weight": str(self.max_weight),
                "assumed_colluders": self.assumed_colluders,
                "any_survivors": self.any_survivors,
                "max_canaries": self.max_canaries,
            },
            "retention": {"label_days": self.label_days},
        }
        path.write_text(tomli_w.dumps(tables), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Policy":
        """Read a policy.

        Raises:
            PolicyError: If the file is missing, no TOML, or has a wrong or unknown key.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        except FileNotFoundError:
            raise PolicyError(
                f"there is no policy at {path}: name the folder of a region, such as those that a "
                "simulation leaves under regions/"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PolicyError(f"{path.name} is not valid TOML: {error}") from error
        _check_keys(tables, path.name)
        try:
            return cls._read(tables)
        except (ValueError, KeyError, TypeError, ArithmeticError, InvalidBudgetError) as error:
            raise PolicyError(f"{path.name}: {error}") from error

    @classmethod
    def _read(cls, tables: dict[str, dict[str, object]]) -> "Policy":
        data, teacher, federation = tables["data"], tables["teacher"], tables["federation"]
        limit, *more_limits = read_limits(tables["budget"])
        lineages = _texts(teacher["lineages"], "teacher.lineages")
        return cls(
            region=_text(tables, "region", "name"),
            source=_text(tables, "data", "source"),
            text=_text(tables, "data", "text"),
            label=_text(tables, "data", "label") if "label" in data else None,
            unit=_text(tables, "data", "unit") if "unit" in data else None,
            lineage=_text(tables, "budget", "lineage"),
            limit=limit,
            more_limits=tuple(more_limits),
            lineages_merged=_texts(tables["budget"].get("overlaps", []), "budget.overlaps"),
            lineages=tuple(TeacherLineage(name) for name in lineages),
            teachers=_texts(teacher["sha256"], "teacher.sha256") if "sha256" in teacher else None,
            registry_sha256=_text(tables, "federation", "registry_sha256"),
            min_cohort=int(str(federation["min_cohort"])),
            min_survivors=int(str(federation.get("min_survivors", LEAST_COHORT))),
            max_weight=Fraction(str(federation["max_weight"])),
            assumed_colluders=int(str(federation.get("assumed_colluders", 0))),
            any_survivors=_flag(federation.get("any_survivors", False)),
            max_canaries=int(str(federation.get("max_canaries", 0))),
            label_days=int(str(tables["retention"]["label_days"])),
        )


def _check_budget(policy: Policy) -> None:
    relations = [limit.relation for limit in policy.limits]
    twice = sorted(
        {f"{unit}, {how}" for unit, how in relations if relations.count((unit, how)) > 1}
    )
    if twice:
        raise PolicyError(
            f"budget.limits: expected one limit for each unit and relation, got several for "
            f"{'; '.join(twice)}: keep the smallest"
        )
    if policy.lineage in policy.lineages_merged or len(set(policy.lineages_merged)) < len(
        policy.lineages_merged
    ):
        raise PolicyError(
            "budget.overlaps: expected names of other accounts, each once, got "
            f"{', '.join(policy.lineages_merged)} for the account {policy.lineage}"
        )


def _check_teachers(policy: Policy) -> None:
    never = NEVER & set(policy.lineages)
    if never:
        raise PolicyError(
            f"teacher.lineages: no policy can allow {', '.join(sorted(never))}; such a "
            "teacher voids the guarantee of every record"
        )
    wrong = [teacher for teacher in policy.teachers or () if not _SHA256.fullmatch(teacher)]
    if wrong:
        raise PolicyError(
            "teacher.sha256: expected 64 hexadecimal digits in lower case, got "
            f"{wrong[0][:70]!r}: take the hash from the plan's artifacts.teacher"
        )


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise TypeError(f"{where}: expected a list of texts")
    return tuple(value)


def _text(tables: dict[str, dict[str, object]], table: str, key: str) -> str:
    value = tables[table][key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{table}.{key}: expected text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("federation.any_survivors: expected true or false")
    return value


def _check_keys(tables: dict[str, object], name: str) -> None:
    unknown = [table for table in tables if table not in _KEYS]
    missing = []
    for table, keys in _KEYS.items():
        found = tables.get(table)
        if not isinstance(found, dict):
            missing.append(f"[{table}]")
            continue
        unknown += [f"{table}.{key}" for key in found if key not in keys]
        missing += [
            f"{table}.{key}" for key in sorted(keys - found.keys()) if (table, key) not in _OPTIONAL
        ]
    if unknown or missing:
        raise PolicyError(
            f"{name}: unknown {', '.join(unknown) or 'nothing'}; missing "
            f"{', '.join(missing) or 'nothing'}: a policy has exactly the keys that "
            "client/policy.py lists"
        )
