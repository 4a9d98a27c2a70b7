"""Hashes of Python code, so that results which changed code made can be told from current ones.

The hash of a function covers its source and, recursively, what it names: functions, classes and constants of
the same package (or of the same notebook, or of the folder of the same script), what its closure holds and,
for a method, the class attributes and the public instance attributes that it names. Comments, docstrings and
formatting do not count. Other packages do not count: their versions are in a result's environment.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

DIGITS = 16
"""Hexadecimal digits of a hash."""


class NoSourceError(Exception):
    """The source of a function is not at hand: it was typed into an interpreter, say, or is compiled."""


def is_foreign(thing: Any) -> bool:
    """Whether a class, a function or an instance's class is from outside of toyflow, whose own code has
    versions instead of hashes."""
    return _top(_module_of(thing)) != "toyflow"


def hash_of(thing: type | FunctionType) -> str:
    """The hash of a class or function. Raises NoSourceError."""
    with _named(thing.__qualname__):
        walk = _Walk(_module_of(thing))
        walk.visit(thing)
        return walk.digest()


def hash_of_attribute(instance: object, name: str) -> str:
    """The hash of an instance's attribute `name`, a method for one, with what it uses of the instance.

    Raises:
        NoSourceError: the source of something in it is not at hand.
    """
    with _named(name):
        walk = _Walk(_module_of(instance), type(instance))
        walk.visit_names({"__init__"})  # its names are not looked up among the values that it sets
        walk.values = _public_values(instance)
        walk.visit_names({name})
        return walk.digest()


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Any error as a NoSourceError: code may name objects that nobody has foreseen, and that end no sweep."""
    try:
        yield
    except NoSourceError:
        raise
    except Exception as error:
        raise NoSourceError(what) from error


class _Walk:
    """Visits each object once, in an order that depends on the code alone."""

    def __init__(self, home: str, owner: type = object) -> None:
        """`home` is the module that the code starts in; the attributes of `owner` are looked up by name."""
        self.values: Mapping[str, Any] = {}
        self._home = home
        self._classes = [cls for cls in owner.__mro__ if self._is_own(cls.__module__)]
        self._digest = hashlib.sha256()
        self._seen: dict[int, Any] = {}

    def digest(self) -> str:
        return self._digest.hexdigest()[:DIGITS]

    def visit(self, value: Any) -> None:
        if (text := _plain(value)) is not None:
            self._add(text)
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value  # kept, so that no other object gets its id
        if isinstance(value, Tensor):
            there = value.detach().cpu()
            value = (there.float() if there.is_floating_point() else there).numpy()  # it lacks bfloat16
        if isinstance(value, np.ndarray) and value.dtype != object:
            self._add(f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}")
        elif isinstance(value, list | tuple):
            self._visit_all("sequence", value)
        elif isinstance(value, Mapping):
            self._visit_all("mapping", (part for pair in value.items() for part in pair))
        elif isinstance(value, type):
            self._visit_class(value)
        elif (parts := _inner(value)) is not None:
            self._visit_all(type(value).__name__, parts)
        elif isinstance(value, FunctionType):
            self._visit_function(value)
        elif self._is_own(type(value).__module__):
            self._visit_class(type(value))
            if not isinstance(value, nn.Module):
                self._visit_all("instance", _public_values(value).values())

    def visit_names(self, names: Iterable[str], globals_: Mapping[str, Any] | None = None) -> None:
        """Visit what a function with these `globals_` may mean by `names`, in order of the names."""
        names, globals_ = sorted(names), globals_ or {}
        named = [*map(sys.modules.get, names), *map(globals_.get, names)]
        modules = [vars(m) for m in named if isinstance(m, ModuleType) and self._is_own(m.__name__)]
        spaces = [*modules, *map(vars, self._classes), globals_, self.values]
        for name in names:
            for space in spaces:
                if name in space and not _is_cache(name, space[name]):
                    self._add(name)
                    self.visit(space[name])

    def _add(self, text: str) -> None:
        self._digest.update(f"{len(text)}:{text}".encode())

    def _visit_all(self, what: str, values: Iterable[Any]) -> None:
        self._add(what)
        for value in values:
            self.visit(value)

    def _visit_class(self, cls: type) -> None:
        for base in cls.__mro__:
            if base in self._classes or not self._is_own(base.__module__):
                continue  # of the instance's own classes, only what is named
            self._add(base.__qualname__)
            for name, value in vars(base).items():
                if isinstance(value, FunctionType) and not _is_generated(value):
                    self.visit(value)
                elif not (isinstance(value, FunctionType) or name.startswith("__") or _is_cache(name, value)):
                    self._add(name)
                    self.visit(value)

    def _visit_function(self, function: FunctionType) -> None:
        if not self._is_own(function.__module__) or _is_generated(function):
            return
        self._add(_source(function))
        self._visit_all("defaults", function.__defaults__ or ())
        self._visit_all("defaults", (function.__kwdefaults__ or {}).values())
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if name != "__class__":  # which `super` needs
                with suppress(ValueError):  # a name that is not bound yet
                    self.visit(cell.cell_contents)
        self.visit_names(_names(function.__code__), function.__globals__)

    def _is_own(self, module: str) -> bool:
        """Whether a module belongs to the code that is looked at."""
        if _top(module) == _top(self._home):
            return True  # the same package
        if self._home != "__main__" or _top(module) == "toyflow":
            return False
        script = getattr(sys.modules["__main__"], "__file__", None)
        folder = Path(script).resolve().parent if script else Path.cwd()
        file = getattr(sys.modules.get(module), "__file__", None)
        return file is not None and "site-packages" not in file and Path(file).is_relative_to(folder)


def _plain(value: Any) -> str | None:
    """A value that is its text; None for any other."""
    if value is None or type(value) in (bool, int, float, complex, str, bytes, range, slice):
        return repr(value)
    if isinstance(value, set | frozenset):
        parts = [_plain(part) for part in value]
        return None if None in parts else f"set {sorted(map(str, parts))}"
    return None


def _inner(value: Any) -> list[Any] | None:
    """What a descriptor or a wrapper is around; None for anything else."""
    if isinstance(value, staticmethod | classmethod | MethodType):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, cached_property):
        return [value.func]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    wrapped = getattr(value, "__wrapped__", None)
    return None if wrapped is None else [wrapped]


def _public_values(instance: object) -> dict[str, Any]:
    """The attributes that were set, by name, without what may be a cache: private ones, cached properties,
    and what a method other than `__init__` sets."""
    caches: set[str] = set()
    for cls in type(instance).__mro__:
        for name, value in vars(cls).items():
            if isinstance(value, cached_property):
                caches.add(name)
            elif isinstance(value, FunctionType) and name != "__init__":
                code = inspect.unwrap(value).__code__
                caches |= {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_ATTR"}
    values = getattr(instance, "__dict__", {})
    return {name: values[name] for name in sorted(values) if name[0] != "_" and name not in caches}


def _is_cache(name: str, value: Any) -> bool:
    """Containers with a private name are taken for caches, which fill as a program runs."""
    return name.startswith("_") and isinstance(value, list | dict | set)


def _is_generated(function: FunctionType) -> bool:
    """Whether it is such as `dataclass` makes."""
    return function.__name__.startswith("__") and function.__code__.co_filename == "<string>"


def _names(code: CodeType) -> set[str]:
    """What a function names: variables, attributes, and what it imports."""
    return set(code.co_names).union(
        *(_names(const) for const in code.co_consts if isinstance(const, CodeType))
    )


def _source(function: FunctionType) -> str:
    """A function's source in one form: without comments, docstring and formatting."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        if function.__name__ == "<lambda>":
            return " ".join(text.split())
        [node] = ast.parse(text).body
    except (OSError, TypeError, ValueError, SyntaxError) as error:
        raise NoSourceError(function.__qualname__) from error
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name != function.__name__:
        raise NoSourceError(function.__qualname__)
    for inner in _defined(node):
        if ast.get_docstring(inner, clean=False) is not None:
            inner.body[0] = ast.Pass()
    return ast.unparse(node)


def _defined(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """A definition and those within it."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield inner


def _module_of(thing: Any) -> str:
    return thing.__module__ if isinstance(thing, type | FunctionType) else type(thing).__module__


def _top(module: str) -> str:
    return module.partition(".")[0]
