"""The product's own modules, as text and as syntax trees, for the tests of the house rules."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("config", "node", "pipelines", "storage")
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Module:
    """One source file."""

    name: str  # relative path
    text: str
    tree: ast.Module

    def code_lines(self) -> int:
        """Lines that are neither blank, nor comment, nor docstring."""
        documentation = {
            line
            for node in ast.walk(self.tree)
            if isinstance(node, Documented | ast.Module) and (first := _docstring(node)) is not None
            for line in range(first.lineno, (first.end_lineno or first.lineno) + 1)
        }
        return sum(
            1
            for number, line in enumerate(self.text.splitlines(), start=1)
            if number not in documentation and line.strip() and not line.strip().startswith("#")
        )

    def undocumented(self) -> list[str]:
        """Public classes, functions and methods without a docstring, and the module itself."""
        missing = [] if ast.get_docstring(self.tree) else [self.name]
        return missing + [
            f"{self.name}:{node.lineno} {path}"
            for path, node in _public(self.tree, "")
            if not ast.get_docstring(node)
        ]


def modules() -> list[Module]:
    """Every module of the product; migrations are written once and never grow."""
    return [
        Module(str(path.relative_to(REPOSITORY)), text := path.read_text(), ast.parse(text))
        for folder in FOLDERS
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def _docstring(node: Documented | ast.Module) -> ast.Expr | None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return first
    return None


def _public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Documented]]:
    """Public definitions of a module and of its public classes; dunder methods speak for themselves."""
    for child in node.body:
        if not isinstance(child, Documented) or child.name.startswith("_") or _repeats_a_contract(child):
            continue
        path = f"{prefix}{child.name}"
        yield path, child
        if isinstance(child, ast.ClassDef):
            yield from _public(child, f"{path}.")


def _repeats_a_contract(node: Documented) -> bool:
    """Setters repeat their getter, overloads and overrides what they stand for."""
    names = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(names & {"setter", "overload", "override"})
