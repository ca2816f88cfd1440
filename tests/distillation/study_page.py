"""The tables of docs/study.md, from the declarations; run as a script, it writes them there."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any

from distillation.answers_table import AnswersTable
from distillation.learning_tables import TermTable
from distillation.study_file import toml_name
from distillation.study_tables import OPTIONAL_TABLES, TABLES, GatesTable
from distillation.study_values import plain, type_name
from distillation.teacher_table import ExpertTable

PAGE = Path(__file__).parents[2] / "docs" / "study.md"
BEGIN = "<!-- begin: made by `python -m tests.distillation.study_page` "
BEGIN += "from distillation/study_tables.py -->\n"
END = "<!-- end -->\n"


def sections() -> str:
    """Return one section a table; the three data tables share one."""
    kinds: dict[type, list[str]] = {}
    for name, kind in TABLES.items():
        kinds.setdefault(kind, []).append(name)
        if name == "evaluation":
            kinds[GatesTable] = ["evaluation.gates"]
        if name == "teacher":
            kinds[ExpertTable] = ["[teacher.more]"]
        if name == "warm_up":
            kinds[AnswersTable] = ["[warm_up.answers]"]
        if name == "objective":
            kinds[TermTable] = ["[objective.more]"]
    return "\n".join(_section(names, kind) for kind, names in kinds.items())


def page() -> str:
    """Return the page with its tables made again."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + sections() + "\n" + END + after


def _section(names: list[str], kind: type) -> str:
    heading = ", ".join(f"`[{name}]`" for name in names)
    optional = names[0] in (*OPTIONAL_TABLES, "evaluation.gates") or names[0].startswith("[")
    intro = (kind.__doc__ or "") + (" May be left out." if optional else "")
    hints = typing.get_type_hints(kind)
    rows = [_row(field, hints) for field in dataclasses.fields(kind)]
    head = "| key | type | default | meaning |\n|---|---|---|---|\n"
    return f"### {heading}\n\n{intro}\n\n{head}" + "".join(rows)


def _row(field: "Field[Any]", hints: Mapping[str, Any]) -> str:
    kind, bounds = type_name(hints[field.name]), field.metadata["bounds"]
    if bounds is not None:
        kind += f" {bounds}"
    doc = field.metadata["doc"]
    if field.metadata["later"]:
        later = ", ".join(f"`{choice}`" for choice in field.metadata["later"])
        doc += f" In a later version: {later}."
    return f"| `{toml_name(field)}` | {kind} | {_default(field)} | {doc} |\n"


def _default(field: "Field[Any]") -> str:
    if field.default is MISSING or field.name == "lineage":  # None only to word its refusal
        return "**needed**"
    if field.default in (None, ()) or dataclasses.is_dataclass(field.default):
        return "absent"
    value = plain(field.default)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
