"""Hashes of Python code, so that results which changed code made can be told from current ones.

The hash of a function or class covers its source and, recursively, the source of the functions, classes and
module-level assignments that it may mean by the names in it; for a method, also of the members of the
instance's classes. Comments, docstrings and formatting do not count. Neither does what a module holds at the
moment. Of run-time values, those count that an instance was given and that a closure holds: numbers, text,
tensors, functions, and containers and instances of those.

Code counts wherever it lies, except for the standard library, toyflow (its version is kept with each result)
and installed packages: a change of their version is not noticed. A package that is installed counts where the
hashed code is in that package itself.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from importlib.util import resolve_name
from itertools import accumulate
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from toyflow.sweep.instance_values import content_of, given_to
from toyflow.sweep.python_source import (
    Bindings,
    Definition,
    Import,
    Module,
    NoSourceError,
    bindings_of,
    names_of,
    read_module,
    text_of,
    top,
)

DIGITS = 16
"""Hexadecimal digits of a hash."""
UNKNOWN = "unknown"
"""In place of a hash, where source cannot be read."""

_PLAIN = (bool, int, float, complex, str, bytes, range, slice, Enum, np.generic, torch.dtype, type(None))
_Space = tuple[Bindings, Module]
"""Where names are looked up: what a module or class binds, and the module that its code is in."""


def is_foreign(thing: Any) -> bool:
    """Whether a class, a function or an instance's class is from outside of toyflow, whose own code has
    versions instead of hashes."""
    return _top_of(thing) != "toyflow"


def hash_of(thing: type | FunctionType) -> str:
    """The hash of a class or function; UNKNOWN where some of its source cannot be read."""
    return _hash(thing, lambda walk: walk.visit_value(thing))


def hash_of_attribute(instance: object, name: str) -> str:
    """The hash of an instance's attribute `name`, such as a method, with all that it uses of the instance;
    UNKNOWN where some of its source cannot be read."""
    return _hash(instance, lambda walk: walk.visit_attribute(instance, name))


def _hash(thing: Any, visit: Callable[[_Walk], None]) -> str:
    walk = _Walk(_top_of(thing))
    try:
        visit(walk)
        walk.finish()
    except (NoSourceError, OSError, TypeError, ValueError, SyntaxError, ImportError):
        return UNKNOWN
    return walk.digest.hexdigest()[:DIGITS]


class _Walk:
    """Visits each definition once, in an order that depends on the source alone."""

    def __init__(self, home: str) -> None:
        """`home` is the top-level package whose code counts even where it is installed."""
        self.digest = hashlib.sha256()
        self._home = home
        self._modules: dict[str, Module | None] = {}
        self._seen: dict[int, Any] = {}
        """Objects by id; kept, so that no other one gets the id."""
        self._left: deque[tuple[ast.AST, Module]] = deque()
        """Definitions whose names are still to be followed."""
        self._classes: list[type] = []
        self._members: list[_Space] = []
        self._values: Mapping[str, Any] = {}
        """Classes, members and given values of the instance whose attribute is visited."""

    def visit_attribute(self, instance: object, name: str) -> None:
        self._classes = [cls for cls in type(instance).__mro__ if self._counts(cls)]
        nodes = [pair for cls in self._classes for pair in self._nodes_of(cls)]
        self._members = [(bindings_of(tuple(node.body)), module) for node, module in nodes]
        for node, module in nodes:
            for decorator in node.decorator_list:
                self._visit(decorator, module)
        called_unnamed = {n for members, _ in self._members for n in members if n.startswith("__")}
        self._follow(called_unnamed, [])
        self.finish()
        self._seen.clear()  # only what `name` leads to depends on the instance's values
        self._values = given_to(instance, [node for node, _ in nodes])
        self._follow([name], [])

    def visit_value(self, value: Any) -> None:
        """Visit what an attribute or a closure holds."""
        if isinstance(value, _PLAIN):
            self._add(repr(value))
        elif isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype != object):
            self._add(content_of(value))
        elif isinstance(value, set | frozenset):
            self._add(repr(sorted(map(repr, value))))
        elif id(value) not in self._seen:
            self._seen[id(value)] = value
            self._add(str(getattr(value, "__name__", type(value).__name__)))
            if callable(value):
                value = inspect.unwrap(value)
            if isinstance(value, FunctionType | type):
                if self._counts(value):
                    for node, module in self._nodes_of(value):
                        self._visit(node, module)
                    self._visit_closure(value)
            else:
                for part in self._parts(value):
                    self.visit_value(part)

    def finish(self) -> None:
        """Follow all names in what was visited."""
        while self._left:
            node, module = self._left.popleft()
            imported = [
                space
                for statement in ast.walk(node)
                if isinstance(statement, Import)
                for space in self._imported(statement, module)
            ]
            self._follow(names_of(node), [(module.bindings, module), *imported])

    def _parts(self, value: Any) -> Iterable[Any]:
        """The values that a container or an instance is made of."""
        if isinstance(value, list | tuple):
            return value
        if isinstance(value, Mapping):
            return [part for pair in value.items() for part in pair]
        if isinstance(value, partial):
            return value.func, value.args, value.keywords
        if isinstance(value, MethodType):
            return value.__func__, value.__self__
        classes = [cls for cls in type(value).__mro__ if self._counts(cls)]
        if not classes or isinstance(value, nn.Module):
            return classes
        given = given_to(value, [node for cls in classes for node, _ in self._nodes_of(cls)])
        return *classes, given

    def _visit_closure(self, function: Any) -> None:
        for cell in getattr(function, "__closure__", None) or ():
            try:
                value = cell.cell_contents
            except ValueError:  # a name that is not bound yet
                continue
            if not any(value is cls for cls in self._classes):  # which `super` needs
                self.visit_value(value)

    def _visit(self, node: ast.AST, module: Module) -> None:
        if id(node) not in self._seen:
            self._seen[id(node)] = node
            self._add(text_of(node))
            self._left.append((node, module))

    def _follow(self, names: Iterable[str], spaces: list[_Space]) -> None:
        """Visit whatever a definition may mean by `names`; it can look them up in `spaces`."""
        spaces = [*spaces, *self._members]
        names = sorted(names)
        for bindings, module in spaces:  # which grow
            for found in (found for name in [*names, "*"] for found in bindings.get(name, ())):
                if isinstance(found, Import):
                    known = {id(space) for space, _ in spaces}
                    spaces += [space for space in self._imported(found, module) if id(space[0]) not in known]
                else:
                    self._visit(found, module)
        for name in names:
            for method in (vars(cls).get(name) for cls in self._classes):
                if callable(method):
                    self._visit_closure(inspect.unwrap(method))
            if name in self._values:
                self._add(name)
                self.visit_value(self._values[name])

    def _imported(self, statement: Import, module: Module, above: tuple[Import, ...] = ()) -> list[_Space]:
        """Visit the definitions that a statement imports; return the modules that it imports."""
        if statement in above:
            return []
        modules: list[Module | None] = []
        spaces: list[_Space] = []
        found = False
        for alias in statement.names:
            if isinstance(statement, ast.Import):
                modules += map(self._module, accumulate(alias.name.split("."), "{}.{}".format))
                continue
            source = self._module(
                resolve_name("." * statement.level + (statement.module or ""), module.package)
            )
            if source is None:
                continue
            found = True
            modules.append(source if alias.name == "*" else self._module(f"{source.name}.{alias.name}"))
            for part in source.bindings.get(alias.name, ()):
                if isinstance(part, Import):
                    spaces += self._imported(part, source, (*above, statement))
                else:
                    self._visit(part, source)
        spaces += [(own.bindings, own) for own in modules if own is not None]
        if not found and not spaces:
            self._add(text_of(statement))
        return spaces

    def _counts(self, thing: type | FunctionType) -> bool:
        """Whether the code of a class or function counts."""
        name = thing.__module__ or ""
        return top(name) == self._home or self._module(name) is not None

    def _nodes_of(self, thing: Any) -> list[tuple[Any, Module]]:
        """The definitions of a class or function; a lambda is told from others by its line. Raises
        NoSourceError."""
        module = self._module(thing.__module__)
        path = [name for name in thing.__qualname__.split(".") if name != "<locals>"]
        line = thing.__code__.co_firstlineno if path[-1] == "<lambda>" else None
        bindings = module.bindings if module is not None else {}
        statements = bindings.values() if path[0] == "<lambda>" else [bindings.get(path[0], [])]
        nodes: list[Any] = [node for bound in statements for node in bound]
        for name in path:
            inner = {id(node): node for outer in nodes for node in ast.walk(outer)}.values()
            nodes = [
                node
                for node in inner
                if (isinstance(node, ast.Lambda) and node.lineno == line and name == "<lambda>")
                or (isinstance(node, Definition) and node.name == name)
            ]
        nodes = [node for node in nodes if isinstance(node, ast.ClassDef) == isinstance(thing, type)]
        if module is None or not nodes:
            raise NoSourceError(thing.__qualname__)
        return [(node, module) for node in nodes]

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            self._modules[name] = read_module(name, self._home)
        return self._modules[name]

    def _add(self, text: str) -> None:
        self.digest.update(f"{len(text)}:{text}".encode())


def _top_of(thing: Any) -> str:
    """The top-level package of a class, a function or an instance's class."""
    return top((thing if isinstance(thing, type | FunctionType) else type(thing)).__module__)
