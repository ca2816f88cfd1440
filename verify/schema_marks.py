"""Which fields of a report its schema marks as recomputed, as paths of names.

The schema comes with the report and may be anybody's: what it marks can only add to what is
checked, and reading it costs a bounded number of steps, whatever it refers to.
"""

from __future__ import annotations

from collections.abc import Iterator

MARK = "x-recomputed"
_MAX_STEPS = 50_000
_MAX_DEPTH = 24
_DEFINITIONS = "#/$defs/"


def marked_paths(schema: object) -> frozenset[str]:
    """Return the marked properties; what is below one counts with it, and items add no name.

    Raises:
        ValueError: If it refers to itself so often that it would not end.
    """
    whole = schema if isinstance(schema, dict) else {}
    definitions = whole.get("$defs")
    found: set[str] = set()
    left: list[tuple[object, tuple[str, ...]]] = [(whole, ())]
    for _ in range(_MAX_STEPS):
        if not left:
            return frozenset(found)
        node, path = left.pop()
        if not isinstance(node, dict) or len(path) > _MAX_DEPTH:
            continue
        if node.get(MARK) is True and path:
            found.add(".".join(path))
        else:
            left += _below(node, path, definitions)
    raise ValueError(f"expected a schema of at most {_MAX_STEPS} parts, got more")


def _below(
    node: dict[str, object], path: tuple[str, ...], definitions: object
) -> Iterator[tuple[object, tuple[str, ...]]]:
    properties, reference = node.get("properties"), node.get("$ref")
    if isinstance(properties, dict):
        yield from ((one, (*path, name)) for name, one in properties.items())
    if "items" in node:
        yield node["items"], path
    if isinstance(reference, str) and isinstance(definitions, dict):
        yield definitions.get(reference.removeprefix(_DEFINITIONS)), path
