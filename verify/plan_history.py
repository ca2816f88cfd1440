"""What one plan fixes otherwise than another, in words: value by value, regions alike together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from privacy.canonical import Json, loads
from privacy.plan import Plan
from verify.wording import short


def plan_differences(earlier: Plan, later: Plan) -> Iterator[str]:
    """Yield a sentence that names both plans, then one for each value that is another now."""
    if earlier.hash == later.hash:
        yield f"both packs are about one plan, {later.hash[:16]}…"
        return
    yield f"the plan is another: {earlier.hash[:16]}… then, {later.hash[:16]}… now"
    then, now = _values(earlier), _values(later)
    changes: dict[tuple[str, str, str], list[str]] = {}
    for region, name in dict.fromkeys((*then, *now)):
        pair = then.get((region, name), "nothing"), now.get((region, name), "nothing")
        if pair[0] != pair[1]:
            changes.setdefault((name, *pair), []).append(region)
    for (name, was, is_now), regions in changes.items():
        whose = f" of {', '.join(regions)}" if regions != [""] else ""
        yield f"in the plan, {name}{whose} was {was} and is now {is_now}"


def _values(plan: Plan) -> dict[tuple[str, str], str]:
    """Return every value of a plan by region, empty for the plan's own, and name."""
    whole = loads(plan.to_bytes())
    found: dict[tuple[str, str], str] = {}
    for path, value in _leaves(whole, ()):
        region = path[1] if path[0] == "regions" and len(path) > 2 else ""
        name = path[2:] if region else path
        *place, leaf = (part.replace("_", " ") for part in name)
        found[region, f"{leaf} ({', '.join(place)})" if place else leaf] = short(value)
    return found


def _leaves(value: Json, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Yield what has no parts; items of a list are called by their names where they have some."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            name = item.get("name") if isinstance(item, Mapping) else None
            yield from _leaves(item, (*path, name if isinstance(name, str) else str(number)))
    elif path[-1] != "name":
        yield path, value
