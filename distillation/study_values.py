"""From TOML values to exact Python values and back: no guessing, no rounding.

Knows types, not keys: which key wants what is said in `distillation.study_tables`.
"""

import dataclasses
import decimal
import types
import typing
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from distillation.errors import StudyError
from privacy.canonical import MAX_INTEGER
from privacy.fields import MAX_DIGITS

_MAX_TEXT = 2000
_MAX_SIGNIFICANT = decimal.DefaultContext.prec
"""More digits than this would be rounded by the arithmetic of plans."""


def type_name(kind: Any) -> str:
    """Return how a type is called in messages and in the documentation."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return type_name(next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return f"list of {type_name(args[0])}s"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(f"`{choice}`" for choice in kind)
    names = {Decimal: "number", Fraction: "number", int: "integer", str: "text"}
    return names.get(kind, "true or false" if kind is bool else "table")


def convert(value: object, kind: Any, where: str) -> object:
    """Return a value of a TOML file as ``kind``.

    Raises:
        StudyError: If it is of another type, or out of what any key takes; names ``where``.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return convert(value, next(arg for arg in args if arg is not type(None)), where)
    if origin is tuple and isinstance(value, list):
        return tuple(convert(item, args[0], where) for item in value)
    return _convert_single(value, kind, where)


def _convert_single(value: object, kind: Any, where: str) -> object:
    if isinstance(kind, type) and issubclass(kind, StrEnum) and isinstance(value, str):
        return _choice(value, kind, where)
    if kind in (Decimal, Fraction) and type(value) in (int, Decimal):
        return _number(typing.cast("int | Decimal", value), kind, where)  # one of the two above
    if kind is str and isinstance(value, str):
        if len(value) > _MAX_TEXT:
            raise StudyError(f"{where}: expected at most {_MAX_TEXT} characters: shorten it")
        return value
    if kind is int and type(value) is int:
        if abs(value) > MAX_INTEGER:
            raise StudyError(f"{where}: expected an integer below 2^53: choose a smaller one")
        return value
    if kind is bool and isinstance(value, bool):
        return value
    raise StudyError(f"{where}: expected {type_name(kind)}, got {describe(value)}")


def _choice(value: str, kind: type[StrEnum], where: str) -> StrEnum:
    if value not in list(kind):
        raise StudyError(f"{where}: expected one of {', '.join(kind)}; got '{value[:80]}'")
    return kind(value)


def _number(value: int | Decimal, kind: type, where: str) -> Decimal | Fraction:
    number = Decimal(value)
    if not number.is_finite():
        raise StudyError(f"{where}: expected a finite number, got {number}")
    # An exponent of a million would exhaust the memory; plans write numbers without any.
    digits, exponent = number.as_tuple().digits, int(number.as_tuple().exponent)
    short = number.adjusted() < MAX_DIGITS and exponent > -MAX_DIGITS
    if not short or len(digits) > _MAX_SIGNIFICANT or len(f"{number.copy_abs():f}") > MAX_DIGITS:
        raise StudyError(
            f"{where}: expected a number of at most {_MAX_SIGNIFICANT} digits when it is "
            "written without exponent: shorten it"
        )
    number = number or Decimal(0)  # not -0, which plans cannot write
    return Fraction(number) if kind is Fraction else number


def plain(value: object) -> object:
    """Return a value as TOML has it; a table without the keys that are None.

    Raises:
        StudyError: If a fraction has no finite decimal form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(f.name.rstrip("_"), getattr(value, f.name)) for f in dataclasses.fields(value)]
        return {name: plain(item) for name, item in pairs if item is not None}
    if isinstance(value, Fraction):
        return _decimal_of(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def _decimal_of(value: Fraction) -> Decimal:
    with decimal.localcontext() as context:
        context.prec = 3 * MAX_DIGITS
        number = Decimal(value.numerator) / Decimal(value.denominator)
    if Fraction(number) != value:
        raise StudyError(f"expected a rate with a finite decimal form, got {value}: round it")
    return number


def describe(value: object) -> str:
    """Return what a value is, and it, shortened, for a message."""
    kinds = {str: "text", bool: "a truth value", int: "an integer", Decimal: "a number"}
    kinds |= {list: "a list", dict: "a table"}
    name = kinds.get(type(value), "a date or time")
    if isinstance(value, list | dict):
        return name
    shown = str(value)
    return f"{name} ({shown if len(shown) <= 60 else shown[:60] + '…'})"
