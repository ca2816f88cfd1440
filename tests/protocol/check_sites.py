"""Where the checks of a module are, and the same module with one of them off.

A check is a ``raise`` of an error by its name, or a call, as a statement, of something whose name
has require, check or verify in it or is ``end``. Off means: the branch with the ``raise`` is never
taken, or the statement does nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

CHECK_CALL = re.compile(r"require|check|verify|^end$")


@dataclass(frozen=True, slots=True)
class Site:
    """A statement that checks something, in a block of statements.

    Attributes:
        owner: The node that holds the block.
        block: The list with the statement in it; for a branch of an ``if``, that branch.
        statement: The ``raise`` or the call.
    """

    owner: ast.AST
    block: list[ast.stmt]
    statement: ast.stmt

    @property
    def line(self) -> int:
        """The line of the condition where there is one, else of the statement."""
        node = self.owner if self._is_first_branch() else self.statement
        return int(getattr(node, "lineno", self.statement.lineno))

    def switch_off(self) -> None:
        """Change the tree: the branch is never taken, or the statement does nothing.

        A condition is still evaluated, for the names that it binds.
        """
        if isinstance(self.owner, ast.If) and isinstance(self.statement, ast.Raise):
            never = ast.Constant(not self._is_first_branch())
            both = ast.Tuple([self.owner.test, never], ast.Load())
            self.owner.test = ast.Subscript(both, ast.Constant(1), ast.Load())
        else:
            self.block[self.block.index(self.statement)] = ast.copy_location(
                ast.Pass(), self.statement
            )
        ast.fix_missing_locations(self.owner)

    def _is_first_branch(self) -> bool:
        return isinstance(self.owner, ast.If) and self.block is self.owner.body


def sites(tree: ast.AST) -> list[Site]:
    """Return the checks of a module, in one order for one source."""
    found: list[Site] = []
    for owner in ast.walk(tree):
        for name in "body", "orelse", "finalbody":
            block = getattr(owner, name, None)
            if isinstance(block, list):
                found += [Site(owner, block, each) for each in _checks_of(block)]
    return sorted(found, key=lambda site: (site.statement.lineno, site.statement.col_offset))


def _checks_of(block: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in block:
        match statement:
            case ast.Raise(exc=ast.Call(func=called)) if _name(called).endswith("Error"):
                yield statement
            case ast.Expr(value=ast.Call(func=called)) if CHECK_CALL.search(_name(called)):
                yield statement


def _name(called: ast.expr) -> str:
    match called:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def mutant(path: Path, position: int) -> CodeType:
    """Return the module's code with one check off."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sites(tree)[position].switch_off()
    return compile(tree, str(path), "exec", dont_inherit=True)
