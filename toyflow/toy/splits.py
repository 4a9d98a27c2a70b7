"""The option `split` of tasks made from a data set of examples: which of them train, and which test.

    test         all training examples train; the data set's test examples test
    validation   10,000 of the training examples test, always the same, and the others train

Choose and tune with `validation`, so that the test examples are seen by final numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

SPLITS = ("test", "validation")
HELD_OUT = 10_000

Examples = TypeVar("Examples", bound=tuple[torch.Tensor, ...])


def examples_to_train(load: Callable[[bool], Examples], split: str) -> Examples:
    """What training batches are drawn from; `load(train)` gives all training or all test examples, as tensors
    with the example first.

    Example:
        >>> from toyflow.toy.mnist import load_digits
        >>> len(examples_to_train(load_digits, "validation").labels)
        50000
    """
    examples = load(True)
    return examples if split == "test" else _chosen(examples, ~_held_out(len(examples[0])))


def examples_to_test(load: Callable[[bool], Examples], split: str) -> Examples:
    """What the test set is made of; `load` as in `examples_to_train`."""
    if split == "test":
        return load(False)
    examples = load(True)
    return _chosen(examples, _held_out(len(examples[0])))


def _held_out(count: int) -> torch.Tensor:
    """Whether each of `count` training examples is one of `HELD_OUT` that a fixed permutation chooses."""
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.randperm(count, generator=torch.Generator().manual_seed(1))[:HELD_OUT]] = True
    return chosen


def _chosen(examples: Examples, where: torch.Tensor) -> Examples:
    return type(examples)(*(part[where] for part in examples))
