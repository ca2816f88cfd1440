"""The limits of a policy's budget, from TOML and back.

One limit is four keys of ``[budget]``; several are ``[[budget.limits]]`` tables of the same keys,
one for each unit and relation in which the account is charged.
"""

from collections.abc import Mapping
from decimal import Decimal

from privacy.guarantee import Bound, Neighbours, Unit

LIMIT_KEYS = ("unit", "neighbours", "epsilon", "delta")


def limit_to_toml(limit: Bound) -> dict[str, object]:
    """Return a limit as TOML has it."""
    return {
        "unit": limit.unit.value,
        "neighbours": limit.neighbours.value,
        "epsilon": limit.epsilon,
        "delta": limit.delta,
    }


def read_limits(budget: dict[str, object]) -> list[Bound]:
    """Return the limits of either form, at least one.

    Raises:
        ValueError: If both forms are there, or a limit lacks a key, has another, or a wrong value.
        TypeError: If there are no tables where they should be.
        InvalidBudgetError: If a limit is no promise.
    """
    single = [key for key in LIMIT_KEYS if key in budget]
    if "limits" not in budget:
        return [_bound(budget, "budget")]
    if single:
        raise ValueError(
            f"budget.{single[0]}: expected either one limit or [[budget.limits]], got both"
        )
    tables = budget["limits"]
    if not isinstance(tables, list) or not tables:
        raise TypeError("budget.limits: expected [[budget.limits]] tables, at least one")
    return [_bound(table, f"budget.limits {number}") for number, table in enumerate(tables, 1)]


def _bound(table: object, where: str) -> Bound:
    if not isinstance(table, dict):
        raise TypeError(f"{where}: expected a table")
    missing = [key for key in LIMIT_KEYS if key not in table]
    unknown = [key for key in table if key not in LIMIT_KEYS] if where != "budget" else []
    if missing or unknown:
        raise ValueError(
            f"{where}: unknown {', '.join(unknown) or 'nothing'}; missing "
            f"{', '.join(missing) or 'nothing'}"
        )
    return Bound(
        Unit(str(table["unit"])),
        Neighbours(str(table["neighbours"])),
        _number(table, "epsilon", where),
        _number(table, "delta", where),
    )


def _number(table: Mapping[str, object], key: str, where: str) -> Decimal:
    try:
        return Decimal(str(table[key]))
    except ArithmeticError:
        raise ValueError(
            f"{where}: expected a number for {key}, got {str(table[key])[:40]!r}"
        ) from None
