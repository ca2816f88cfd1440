"""V4 and V6: do the report's figures follow from the ledgers and the plan?

The report is read as plain JSON, so that reports of earlier and later releases are read alike.
Which figures are held against the ledger is decided here and never by the pack: ``recomputed``
makes them anew from the evidence. The schema beside a report marks what a verifier recomputes;
what it marks and nothing here knows is not passed over, the check is then incomplete.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from privacy.canonical import Json
from privacy.errors import PrivacyError
from verify.case import Case
from verify.findings import Check, Finding, incomplete, violated
from verify.recomputed import KNOWN, PARTS, executed_epsilon, figures
from verify.report_parts import CURRENT_PARTS, check_current, is_current
from verify.schema_marks import marked_paths

WHERE = "report.json"
_TOLERANCE = 1e-3


def check_report(case: Case) -> Iterator[Finding]:
    """Yield what the report says otherwise than its evidence."""
    if case.report.get("plan") != case.plan.hash:
        text = f"the report is about the plan {str(case.report.get('plan'))[:16]}…, not plan.json"
        yield violated(Check.FIGURES, text, where=WHERE)
    reported = _by_name(case.report)
    for name in sorted(set(reported) ^ set(case.plan.cohort)):
        told = "is not in the plan" if name in reported else "is left out of the report"
        yield violated(Check.FIGURES, f"a region that {told}", region=name, where=WHERE)
    for name, ledger in case.ledgers.items():
        if name in reported:
            expected = figures(ledger.state, case.plan, name)
            for text in _differences(expected, reported[name]):
                yield violated(Check.FIGURES, text, region=name, where=WHERE)
            yield from _check_executed(case, name, reported[name])
    yield from _check_parts(case)
    yield from check_current(case)
    yield from _check_marks(case)


def executed_notes(case: Case) -> Iterator[str]:
    """Yield what the executed steps come to, for information."""
    for name, ledger in case.ledgers.items():
        try:
            found = executed_epsilon(ledger.state, case.plan)
        except PrivacyError:
            continue  # `check_report` has said so
        if found is not None:
            yield (
                f"{name}: the released steps of this plan come to ε = {found:.3f} at the plan's "
                "δ; for information, the guarantee is what was charged"
            )


def _by_name(report: Mapping[str, Json]) -> Mapping[str, Mapping[str, Json]]:
    """Return the report's regions by name; what is none is left out, and found missing then."""
    regions = report.get("regions")
    found = {}
    for one in regions if isinstance(regions, list) else ():
        if isinstance(one, Mapping) and isinstance(name := one.get("name"), str):
            found[name] = one
    return found


def _differences(expected: Mapping[str, Json], reported: Mapping[str, Json]) -> Iterator[str]:
    for key, value in expected.items():
        if key == "sent":
            yield from _vectors(value, reported.get(key, ""))
        elif key not in reported:
            yield f"the report leaves out {key}, which is {_short(value)}"
        elif reported[key] != value:
            told = _short(reported[key])
            yield f"{key} is {_short(value)} by ledger and plan; the report says {told}"


def _vectors(expected: Json, reported: Json) -> Iterator[str]:
    ours, theirs = _counted(expected), _counted(reported)
    for one in sorted(ours - theirs):
        yield f"a vector that left is not in the report: {one[:200]}"
    for one in sorted(theirs - ours):
        yield f"the report has a vector that is not in the ledger: {one[:200]}"


def _counted(items: Json) -> Counter[str]:
    rows = items if isinstance(items, list) else []
    return Counter(json.dumps(one, sort_keys=True) for one in rows)


def _check_executed(case: Case, name: str, reported: Mapping[str, Json]) -> Iterator[Finding]:
    """Hold the executed ε against what was charged, and against what the report says of it."""
    try:
        found = executed_epsilon(case.ledgers[name].state, case.plan)
    except PrivacyError as error:
        text = f"what its released steps cost cannot be computed: {error}"
        yield incomplete(Check.EXECUTED, text, region=name, where=WHERE)
        return
    if found is None:
        return
    state = case.ledgers[name].state
    account = state.accounts[state.payer(state.plans[case.plan.hash].approval.lineage)]
    charged = account.charged[case.plan.promise.relation].epsilon
    if found > float(charged) + _TOLERANCE:
        text = f"its released steps cost ε = {found:.3f}, more than the ε = {charged} charged"
        yield violated(Check.EXECUTED, text, region=name, where=WHERE)
    told = reported.get("executed_epsilon")
    if isinstance(told, str) and not _close(told, found):
        text = f"its released steps cost ε = {found:.3f}; the report says {told[:20]}"
        yield violated(Check.EXECUTED, text, region=name, where=WHERE)


def _close(told: str, found: float) -> bool:
    try:
        return abs(float(told) - found) <= _TOLERANCE
    except ValueError:
        return False


def _check_parts(case: Case) -> Iterator[Finding]:
    """Compare the parts of a report that are about the run as a whole."""
    for path, make in PARTS.items():
        told, expected = at(case.report, path), make(case.plan)
        if told is not None and told != expected:
            text = f"{path} is {_short(expected)} by the plan; the report says {_short(told)}"
            yield violated(Check.FIGURES, text, where=WHERE)


def _check_marks(case: Case) -> Iterator[Finding]:
    """Yield what the schema says is recomputed, and nothing here recomputes."""
    data = case.files.read("schema.json")
    if data is None:
        return
    try:
        marked = marked_paths(json.loads(data))
    except (ValueError, RecursionError) as error:
        yield violated(Check.FIGURES, f"it is no schema: {error}", where="schema.json")
        return
    known = KNOWN | (CURRENT_PARTS if is_current(case.report) else frozenset())
    there = {path for path in marked if _is_there(case.report, path.split("."))}
    unknown = sorted(path for path in there if not _is_known(path, known))
    if unknown:
        text = (
            f"the schema says that {', '.join(unknown[:12])} can be recomputed, and this release "
            "does not know how: use the release that made the report, or a later one"
        )
        yield incomplete(Check.FIGURES, text, where="schema.json")


def _is_known(path: str, known: frozenset[str]) -> bool:
    """Return whether a path, or what it is part of, is recomputed here."""
    parts = path.split(".")
    return any(".".join(parts[:count]) in known for count in range(1, len(parts) + 1))


def _is_there(value: Json, path: Sequence[str]) -> bool:
    if not path:
        return True
    if isinstance(value, list):
        return any(_is_there(item, path) for item in value)
    return isinstance(value, Mapping) and path[0] in value and _is_there(value[path[0]], path[1:])


def at(report: Mapping[str, Json], path: str) -> Json | None:
    """Return what stands under a path of names, or None."""
    value: Json = report
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:120] + "…"
