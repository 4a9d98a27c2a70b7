"""Source of Python modules, read from their files without importing them: what they define, by name."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType

Bindings = Mapping[str, list[ast.stmt]]
"""The statements of a module or class that bind a name or alter its value, by name. Imports are of one name
each; `*` holds the star imports."""
Import = ast.Import | ast.ImportFrom
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef

_LIBRARIES = (Path(os.__file__).resolve().parent, Path(__file__).resolve().parents[1])
"""The standard library and toyflow."""


class NoSourceError(Exception):
    """The source of something cannot be read: it was typed into an interpreter, say, or is compiled."""


@dataclass(frozen=True)
class Module:
    """The source of a module; `package` is what its relative imports start from."""

    name: str
    package: str
    bindings: Bindings


def read_module(name: str, home: str) -> Module | None:
    """The module `name`; None where it does not exist or belongs to the standard library, toyflow or an
    installed package other than `home`.

    Raises:
        NoSourceError: it is compiled.
        OSError, SyntaxError, ValueError: its file cannot be read.
    """
    if name in ("__main__", "__mp_main__"):
        return _main()
    if (spec := _located(name)) is None:
        return None
    folders = [*(spec.submodule_search_locations or ())]
    file = spec.origin if spec.has_location else None
    if file is None and not folders:
        return None  # built in
    path = Path(file or folders[0]).resolve()
    installed = not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
    if top(name) != home and (installed or any(map(path.is_relative_to, _LIBRARIES))):
        return None
    if file is not None and path.suffix != ".py":
        raise NoSourceError(name)
    package = name if folders else name.rpartition(".")[0]
    return Module(name, package, _read(path) if file is not None else {})


def top(module: str) -> str:
    """The top-level package of a module."""
    return module.partition(".")[0]


@cache
def bindings_of(statements: tuple[ast.stmt, ...]) -> Bindings:
    """What the statements of a module or class bind."""
    bindings: dict[str, list[ast.stmt]] = {}
    for statement in statements:
        if isinstance(statement, ast.Import):
            parts = {_bound(alias): ast.Import([alias]) for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            module, level = statement.module, statement.level
            parts = {_bound(alias): ast.ImportFrom(module, [alias], level) for alias in statement.names}
        else:
            parts = dict.fromkeys(_changed(statement), statement)
        for name, part in parts.items():
            bindings.setdefault(name, []).append(part)
    return bindings


@cache
def text_of(node: ast.AST) -> str:
    """The source of a definition in one form, without comments, docstrings and formatting."""
    return ast.unparse(node)


@cache
def names_of(node: ast.AST) -> tuple[str, ...]:
    """What a definition names, sorted: variables that are not its own, attributes and what it imports."""
    text = text_of(node).replace("nonlocal ", "global ")  # as it may be from within a function
    return tuple(sorted(_names(compile(text, "", "exec", dont_inherit=True))))


def _located(name: str) -> ModuleSpec | None:
    """Where a module is, whether or not it is imported."""
    if (spec := getattr(sys.modules.get(name), "__spec__", None)) is not None:
        return spec
    parent, path = name.rpartition(".")[0], None
    if parent:
        package = _located(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        path = list(package.submodule_search_locations)
    return next(filter(None, (finder.find_spec(name, path) for finder in sys.meta_path)), None)


def _main() -> Module:
    """The script or notebook that runs. Of a notebook's cells, the last one that binds a name counts."""
    main = sys.modules["__main__"]
    if (file := getattr(main, "__file__", None)) is not None:
        return Module("__main__", getattr(main, "__package__", None) or "", _read(Path(file).resolve()))
    bindings: dict[str, list[ast.stmt]] = {}
    for cell in getattr(main, "In", ()):
        try:
            bindings |= bindings_of(_statements(cell))
        except SyntaxError:
            continue  # this cell did not run
    return Module("__main__", "", bindings)


def _read(file: Path) -> Bindings:
    return _read_as_of(file, file.stat().st_mtime_ns)


@cache
def _read_as_of(file: Path, modified: int) -> Bindings:
    """`modified` tells the versions of the file apart in the cache."""
    return bindings_of(_statements(file.read_bytes()))


@cache
def _statements(text: str | bytes) -> tuple[ast.stmt, ...]:
    """The statements of a module, without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, Definition | ast.Module) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tuple(tree.body)


def _changed(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds or whose values it alters, as `TABLE[1] = 2` and `TABLE.append(3)`."""
    if isinstance(statement, Definition):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, Definition):
            yield node.name
        elif isinstance(node, ast.alias):
            yield _bound(node)
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func)


def _bound(alias: ast.alias) -> str:
    return alias.asname or top(alias.name)


def _root(node: ast.AST) -> Iterator[str]:
    """The variable that a chain of attributes and items starts from."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))
