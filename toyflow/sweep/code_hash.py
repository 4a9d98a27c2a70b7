"""Hashes of Python source, so that results which changed code made can be told from current ones.

The hash of a function or class covers its source and, recursively, the functions, classes and module-level
assignments that it may mean by the names in it, and, for a method, the members of the instance's classes. It is
read from the modules' files, so neither what is imported nor what a module-level variable holds at the moment
matters. Comments, docstrings and formatting do not count. Of run-time values, only those count that an
instance was given (its plain attributes) or that a closure holds.

Code counts wherever it lies, except for the standard library, toyflow (its version is kept with each result)
and installed packages (in site-packages): a new version of those is not noticed, unless the hashed code is in
that package itself.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DIGITS = 16
"""Of a hash, in hexadecimal."""
UNKNOWN = "unknown"
"""In place of a hash, where source cannot be read."""

_LIBRARIES = (Path(os.__file__).resolve().parent, Path(__file__).resolve().parents[1])
"""The standard library and toyflow."""
_Import = ast.Import | ast.ImportFrom
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Bindings = Mapping[str, list[ast.stmt]]
"""The statements of a module or class that bind or alter a name, by name."""


class NoSourceError(Exception):
    """The source of something cannot be read: it was typed into an interpreter, say, or is compiled."""


def is_foreign(thing: Any) -> bool:
    """Whether a class, a function or an instance's class is from outside of toyflow, whose own code has
    versions instead of hashes."""
    return _top(_module_of(thing)) != "toyflow"


def hash_of(thing: type | FunctionType) -> str:
    """The hash of a class or function; UNKNOWN where some of its source cannot be read."""
    return _hash(thing, lambda walk: walk.visit_value(thing))


def hash_of_attribute(instance: object, name: str) -> str:
    """The hash of an instance's attribute `name`, such as a method, with all that it uses of the instance;
    UNKNOWN where some of its source cannot be read."""
    return _hash(instance, lambda walk: walk.visit_attribute(instance, name))


def _hash(thing: Any, visit: Any) -> str:
    walk = _Walk(_top(_module_of(thing)))
    try:
        visit(walk)
    except (NoSourceError, OSError, TypeError, ValueError, SyntaxError, ImportError):
        return UNKNOWN
    return walk.digest.hexdigest()[:DIGITS]


@dataclass(frozen=True)
class _Module:
    """The source of a module."""

    name: str
    package: str
    """That its relative imports start from."""
    bindings: _Bindings


class _Walk:
    """Visits each definition once, in an order that depends on the source alone."""

    def __init__(self, home: str) -> None:
        """`home` is the top-level package whose code counts even where it is installed."""
        self.digest = hashlib.sha256()
        self._home = home
        self._classes: list[tuple[_Bindings, _Module]] = []
        """The members of the classes of the instance whose method is visited."""
        self._methods: list[type] = []
        self._values: Mapping[str, Any] = {}
        self._seen: dict[int, Any] = {}
        """By id; kept, so that no other object gets the id."""

    def visit_attribute(self, instance: object, name: str) -> None:
        nodes = list(self._nodes_of_classes(type(instance)))
        self._classes = [(_bindings(tuple(node.body)), module) for node, module in nodes]
        self._methods = [cls for cls in type(instance).__mro__ if self._counts(cls)]
        for node, module in nodes:
            for decorator in node.decorator_list:
                self._visit(decorator, module)
        called_unnamed = {n for members, _ in self._classes for n in members if n.startswith("__")}
        self._follow(called_unnamed - {"__doc__"}, None, None)
        self._seen.clear()  # again, now with the values, which those would take all of
        self._values = _given(instance, [node for node, _ in nodes])
        self._follow({name}, None, None)

    def visit_value(self, value: Any) -> None:
        """Visit what an attribute or a closure holds."""
        if value is None or isinstance(
            value, bool | int | float | complex | str | bytes | range | slice | Enum | torch.dtype
        ):
            self._add(repr(value))
        elif isinstance(value, Tensor | np.ndarray):
            self._add(_content(value))
        elif isinstance(value, set | frozenset):
            self._add(repr(sorted(map(repr, value))))
        elif id(value) not in self._seen:
            self._seen[id(value)] = value
            self._add(type(value).__name__)
            if isinstance(value, list | tuple):
                self._visit_values(value)
            elif isinstance(value, Mapping):
                self._visit_values(part for pair in value.items() for part in pair)
            elif isinstance(value, partial):
                self._visit_values((value.func, value.args, value.keywords))
            elif isinstance(value, MethodType):
                self._visit_values((value.__func__, value.__self__))
            elif isinstance(function := inspect.unwrap(value) if callable(value) else value, FunctionType):
                self._visit_definition(function)
                self._visit_closure(function)
            elif isinstance(value, type):
                self._visit_definition(value)
            elif self._counts(type(value)):
                nodes = list(self._nodes_of_classes(type(value)))
                for node, module in nodes:
                    self._visit(node, module)
                if not isinstance(value, nn.Module):
                    self._visit_values(_given(value, [node for node, _ in nodes]).values())

    def _visit_values(self, values: Iterable[Any]) -> None:
        for value in values:
            self.visit_value(value)

    def _visit_definition(self, thing: type | FunctionType) -> None:
        if self._counts(thing):
            for node, module in self._nodes_of(thing):
                self._visit(node, module)

    def _visit_closure(self, function: FunctionType) -> None:
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:  # a name that is not bound yet
                continue
            if value not in self._methods if isinstance(value, type) else True:
                self.visit_value(value)

    def _visit(self, node: ast.AST, module: _Module) -> None:
        if id(node) not in self._seen:
            self._seen[id(node)] = node
            self._add(_text(node))
            self._follow(_names(node), node, module)

    def _follow(self, names: Iterable[str], node: ast.AST | None, module: _Module | None) -> None:
        """Visit whatever `node`, a piece of `module`, may mean by `names`."""
        names = sorted(names)
        spaces = list(self._classes)
        if module is not None and node is not None:
            spaces.append((module.bindings, module))
            for statement in ast.walk(node):
                if isinstance(statement, _Import):
                    spaces += self._imported(statement, module)
        for bindings, home in spaces:  # which grow
            for name in [*names, "*"]:
                for found in bindings.get(name, ()):
                    if isinstance(found, _Import):
                        spaces += [space for space in self._imported(found, home) if space not in spaces]
                    else:
                        self._visit(found, home)
        for name in names:
            for cls in self._methods:
                if isinstance(method := vars(cls).get(name), FunctionType):
                    self._visit_closure(method)
            if name in self._values:
                self._add(name)
                self.visit_value(self._values[name])

    def _imported(
        self, statement: _Import, module: _Module, above: tuple[ast.AST, ...] = ()
    ) -> list[tuple[_Bindings, _Module]]:
        """Visit the definitions that a statement imports; the modules that it imports, to look up names in."""
        if statement in above:
            return []
        found: list[_Module | None] = []
        spaces: list[tuple[_Bindings, _Module]] = []
        for alias in statement.names:
            if isinstance(statement, ast.Import):
                found += [self._module(name) for name in accumulate(alias.name.split("."), "{}.{}".format)]
                continue
            base = resolve_name("." * statement.level + (statement.module or ""), module.package)
            if (source := self._module(base)) is None:
                continue
            found.append(source if alias.name == "*" else self._module(f"{base}.{alias.name}"))
            for part in source.bindings.get(alias.name, ()):
                if isinstance(part, _Import):
                    spaces += self._imported(part, source, (*above, statement))
                else:
                    self._visit(part, source)
            if alias.name != "*":
                spaces.append(({}, source))
        spaces += [(own.bindings, own) for own in found if own is not None]
        if not spaces:
            self._add(ast.unparse(statement))
        return spaces

    def _counts(self, thing: type | FunctionType) -> bool:
        """Whether the code of a class or function counts."""
        return _top(thing.__module__) == self._home or self._module(thing.__module__) is not None

    def _nodes_of_classes(self, cls: type) -> Iterator[tuple[ast.ClassDef, _Module]]:
        """The definitions of a class and its bases, where their code counts."""
        for base in cls.__mro__:
            if self._counts(base):
                for node, module in self._nodes_of(base):
                    if isinstance(node, ast.ClassDef):
                        yield node, module

    def _nodes_of(self, thing: type | FunctionType) -> list[tuple[ast.AST, _Module]]:
        """The definitions of a class or function. Raises NoSourceError."""
        module = self._module(thing.__module__)
        first, *rest = [name for name in thing.__qualname__.split(".") if name != "<locals>"]
        nodes: list[ast.AST] = []
        if module is not None and first == "<lambda>":
            nodes, rest = [node for bound in module.bindings.values() for node in bound], [first]
        elif module is not None:
            nodes = [node for node in module.bindings.get(first, ()) if not isinstance(node, _Import)]
        for name in rest:
            inner = {id(node): node for outer in nodes for node in ast.walk(outer)}.values()
            if name == "<lambda>" and isinstance(thing, FunctionType):
                line = thing.__code__.co_firstlineno
                nodes = [node for node in inner if isinstance(node, ast.Lambda) and node.lineno == line]
            else:
                nodes = [node for node in inner if isinstance(node, _Definition) and node.name == name]
        if module is None or not nodes:
            raise NoSourceError(thing.__qualname__)
        return [(node, module) for node in nodes]

    def _module(self, name: str | None) -> _Module | None:
        """The source of a module; None where its code does not count. Raises NoSourceError."""
        if name in ("__main__", "__mp_main__"):
            return _main()
        spec = _located(name) if name else None
        places = [*(spec.submodule_search_locations or ())] if spec else []
        file = spec.origin if spec is not None and spec.has_location else None
        if file is None and not places:
            return None
        where = Path(file or places[0]).resolve()
        installed = {"site-packages", "dist-packages"} & set(where.parts)
        if _top(name) != self._home and (installed or any(map(where.is_relative_to, _LIBRARIES))):
            return None
        package = name if places else name.rpartition(".")[0]
        if file is None:
            return _Module(name, package, {})  # a folder of modules
        if where.suffix != ".py":
            raise NoSourceError(name)
        return _Module(name, package, _bindings_of_file(where, where.stat().st_mtime_ns))

    def _add(self, text: str) -> None:
        self.digest.update(f"{len(text)}:{text}".encode())


def _located(name: str) -> ModuleSpec | None:
    """Where a module is, without importing it or its packages."""
    if (spec := getattr(sys.modules.get(name), "__spec__", None)) is not None:
        return spec
    parent, path = name.rpartition(".")[0], None
    if parent:
        package = _located(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        path = list(package.submodule_search_locations)
    return next(filter(None, (finder.find_spec(name, path) for finder in sys.meta_path)), None)


def _main() -> _Module:
    """The script or notebook that runs. Of a notebook's cells, the last one that binds a name counts."""
    main = sys.modules["__main__"]
    package = getattr(main, "__package__", None) or ""
    if (file := getattr(main, "__file__", None)) is not None:
        where = Path(file).resolve()
        return _Module("__main__", package, _bindings_of_file(where, where.stat().st_mtime_ns))
    bindings: dict[str, list[ast.stmt]] = {}
    for cell in getattr(main, "In", ()):
        try:
            bindings |= _bindings(_statements(cell))
        except SyntaxError:
            continue  # the cell did not run
    return _Module("__main__", package, bindings)


@cache
def _bindings_of_file(file: Path, changed: int) -> _Bindings:
    """Of a module's file that was `changed` at a time in nanoseconds."""
    return _bindings(_statements(file.read_text(encoding="utf-8")))


@cache
def _statements(text: str) -> tuple[ast.stmt, ...]:
    """The statements of a module, without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, _Definition | ast.Module) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tuple(tree.body)


@cache
def _bindings(statements: tuple[ast.stmt, ...]) -> _Bindings:
    """What the statements of a module or class bind. Each import is one of a single name."""
    bindings: dict[str, list[ast.stmt]] = {}
    for statement in statements:
        if isinstance(statement, ast.Import):
            parts = {_bound(alias): ast.Import([alias]) for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            module, level = statement.module, statement.level
            parts = {_bound(alias): ast.ImportFrom(module, [alias], level) for alias in statement.names}
        else:
            parts = dict.fromkeys(_touched(statement), statement)
        for name, part in parts.items():
            bindings.setdefault(name, []).append(part)
    return bindings


def _touched(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, or whose values it alters: as by `TABLE[1] = 2` and `TABLE.append(3)`."""
    if isinstance(statement, _Definition):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, _Definition):
            yield node.name
        elif isinstance(node, ast.alias):
            yield _bound(node)
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func)


def _bound(alias: ast.alias) -> str:
    return alias.asname or _top(alias.name)


def _root(node: ast.AST) -> Iterator[str]:
    """The variable that a chain of attributes and items starts from."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


@cache
def _text(node: ast.AST) -> str:
    return ast.unparse(node)


@cache
def _names(node: ast.AST) -> frozenset[str]:
    """What a definition names: variables that are not its own, and attributes."""
    statement = node if isinstance(node, ast.stmt) else ast.Expr(node)
    tree = ast.fix_missing_locations(ast.Module([statement], []))  # pyright: ignore[reportArgumentType]
    tree = ast.parse(ast.unparse(tree).replace("nonlocal ", "global "))  # it may be from within a function
    return frozenset(_names_of(compile(tree, "", "exec")))


def _names_of(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names_of, inner))


def _given(instance: object, classes: Iterable[ast.ClassDef]) -> dict[str, Any]:
    """The attributes that an instance was given: not those that a method sets later, nor those that `__init__`
    sets whatever it is passed. `data_dir` says where files are, not what is in them."""
    later, fixed, passed = {"data_dir"}, set[str](), set[str]()
    for method in (part for node in classes for part in node.body if isinstance(part, _Function)):
        later.add(method.name)  # such as a cached property
        variables = {node.arg for node in ast.walk(method) if isinstance(node, ast.arg)} | {
            node.id
            for node in ast.walk(method)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        variables -= {"data_dir", *(arg.arg for arg in method.args.args[:1])}
        for node in ast.walk(method):
            if isinstance(node, ast.stmt) and not isinstance(node, _Function):
                names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                stored = {
                    n.attr
                    for n in ast.walk(node)
                    if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
                }
                if method.name != "__init__":
                    later |= stored
                elif names & variables:
                    passed |= stored
                else:
                    fixed |= stored
    values = getattr(instance, "__dict__", {})
    left_out = later | (fixed - passed)
    return {
        name: values[name]
        for name in sorted(values)
        if name not in left_out and (name in passed or not name.startswith("_"))
    }


_contents: dict[tuple[int, int], tuple[weakref.ref[Any], str]] = {}


def _content(array: Tensor | np.ndarray) -> str:
    """The hash of an array's numbers, kept as long as the array lives and is not written to. (Only a tensor
    says whether it was.)"""
    key = id(array), array._version if isinstance(array, Tensor) and not array.is_inference() else 0
    if key in _contents and _contents[key][0]() is array:
        return _contents[key][1]
    numbers: Any = array
    if isinstance(array, Tensor):
        there = array.detach().cpu()
        numbers = (there.float() if there.is_floating_point() else there).numpy()  # it lacks bfloat16
    digest = hashlib.sha256(np.ascontiguousarray(numbers)).hexdigest()
    text = f"{array.dtype} {tuple(array.shape)} {digest}"
    _contents[key] = weakref.ref(array), text
    return text


def _module_of(thing: Any) -> str:
    return thing.__module__ if isinstance(thing, type | FunctionType) else type(thing).__module__


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]
