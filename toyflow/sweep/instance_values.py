"""Run-time values that count in a hash of code: what an instance was given, and the numbers of arrays."""

from __future__ import annotations

import ast
import hashlib
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from toyflow.sweep.python_source import Function

_contents: dict[tuple[int, int], tuple[weakref.ref[Any], str]] = {}
"""Hashes of arrays that are alive, by id and, for a tensor, how often it was written to."""


def given_to(instance: object, classes: Iterable[ast.ClassDef]) -> dict[str, Any]:
    """The attributes that an instance of `classes` (its own and its bases, as source) was given, by name.

    Left out are those that a method sets later, those that `__init__` sets to the same whatever it is passed,
    and `data_dir`, which says where files are, not what they hold.
    """
    later, fixed, passed = {"data_dir"}, set[str](), set[str]()
    for method in (part for node in classes for part in node.body if isinstance(part, Function)):
        later.add(method.name)  # such as a cached property
        arguments = {node.arg for node in ast.walk(method) if isinstance(node, ast.arg)}
        local = (arguments | _variables(method, ast.Store)) - {"data_dir"}
        local -= {argument.arg for argument in method.args.args[:1]}  # self
        for statement in (
            node for node in ast.walk(method) if isinstance(node, ast.stmt) and node is not method
        ):
            attributes = _attributes_set(statement)
            if method.name not in ("__init__", "__post_init__"):
                later |= attributes
            elif local & _variables(statement):
                passed |= attributes
            else:
                fixed |= attributes
    left_out = later | (fixed - passed)
    values = getattr(instance, "__dict__", {})
    names = [name for name in sorted(values) if name in passed or not name.startswith("_")]
    return {name: values[name] for name in names if name not in left_out}


def content_of(array: Tensor | np.ndarray) -> str:
    """Type, shape and a hash of the numbers of an array. It is kept as long as the array lives, so a later
    write into a NumPy array is not noticed."""
    key = id(array), array._version if isinstance(array, Tensor) and not array.is_inference() else 0
    known = _contents.get(key)
    if known is not None and known[0]() is array:
        return known[1]
    numbers: Any = array
    if isinstance(array, Tensor):
        there = array.detach().cpu()
        numbers = (there.float() if there.is_floating_point() else there).numpy()  # it lacks bfloat16
    digest = hashlib.sha256(np.ascontiguousarray(numbers).data).hexdigest()
    text = f"{array.dtype} {tuple(array.shape)} {digest}"
    _contents[key] = weakref.ref(array, lambda _: _contents.pop(key, None)), text
    return text


def _variables(node: ast.AST, context: type[ast.expr_context] = ast.expr_context) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def _attributes_set(node: ast.AST) -> set[str]:
    return {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
