"""Which statements of a module count, and what they define."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any


def counted(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that count."""
    for statement in body:
        match statement:
            case ast.Pass() | ast.Expr(ast.Constant(str())):
                pass  # a docstring, of whatever stands above it
            case ast.FunctionDef(decorator_list=marks) if any(map(_is_hook_mark, marks)):
                pass
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                yield from counted(statement.orelse)
            case _:
                yield statement


def _is_hook_mark(mark: ast.expr) -> bool:
    match mark.func if isinstance(mark, ast.Call) else mark:
        case ast.Name("hookimpl") | ast.Attribute(attr="hookimpl"):
            return True
    return False


def computes(statement: ast.stmt) -> bool:
    """Whether a statement does more than import a module or set a name such as `__all__`."""
    match statement:
        case ast.Import() | ast.ImportFrom():
            return False
        case ast.Assign(targets=[ast.Name(id=name)]):
            return not (name.startswith("__") and name.endswith("__"))
    return True


def names_in(body: Sequence[Any]) -> Iterator[str]:
    """Every name that statements of a module may define or import, `*` among them."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name
                continue
            case ast.Import() | ast.ImportFrom():
                yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.With():
                stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
                yield from (node.id for node in stored if isinstance(node.ctx, ast.Store))
        for inner in ("body", "orelse", "finalbody", "handlers"):
            yield from names_in(getattr(statement, inner, ()))


def called_paths(tree: ast.Module) -> Iterator[str]:
    """Every path that `import a.b.c` lets the code call, so a, a.b and a.b.c."""
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for path in (alias.name for alias in node.names if alias.asname is None):
                parts = path.split(".")
                yield from (".".join(parts[: n + 1]) for n in range(len(parts)))
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            block = getattr(node, inner, ())
            if isinstance(block, list):  # the body of a lambda or of a conditional expression is no list
                waiting += block
