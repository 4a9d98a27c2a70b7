"""Every example in a docstring is run; public names of the mathematics, training and networks have one."""

import ast
import doctest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch

import toyflow
from toyflow import flow, networks, training

ROOT = Path(toyflow.__file__).parent
ROOMS = (flow, networks, training)
FILES = sorted(ROOT.rglob("*.py"))
CONSTANTS = {"LOSS_BINS", "TIME_SAMPLINGS", "Predictor", "TimeSampling", "Velocity"}
ERRORS = {"DivergedError", "NonFiniteDataError"}
Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def documented(node: Documented, name: str) -> Iterator[tuple[str, Documented]]:
    """A module, class or function and what is defined in it, by dotted name."""
    yield name, node
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from documented(child, f"{name}.{child.name}")


def examples() -> Iterator[tuple[str, doctest.DocTest]]:
    for path in FILES:
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for name, node in documented(ast.parse(path.read_text()), module):
            text = ast.get_docstring(node)
            if text and ">>>" in text:
                line = node.body[0].lineno - 1
                parsed = doctest.DocTestParser().get_doctest(
                    text, {"__name__": module}, name, str(path), line
                )
                yield name, parsed


EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of(name):
    torch.manual_seed(0)
    example, report = EXAMPLES[name], []
    example.globs = {**vars(import_module(example.globs["__name__"]))}
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize(
    ("room", "name"),
    [(room, name) for room in ROOMS for name in room.__all__ if name not in {*CONSTANTS, *ERRORS}],
)
def test_a_public_name_has_an_example(room, name):
    public = getattr(room, name)
    described = public if callable(public) and hasattr(public, "__name__") else type(public)
    assert ">>>" in (described.__doc__ or ""), f"{room.__name__}.{name} has no example in its docstring"
