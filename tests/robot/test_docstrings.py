"""Examples in docstrings of the robot's modules that import nothing heavy, run as tests."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "interface",
    "latency",
    "planner",
    "simulation.environment",
    "simulation.trials",
    "policy.policy_options",
    "policy.spec",
    "lerobot.adapt",
]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    results = doctest.testmod(import_module(f"toyflow.robot.{module}"))
    assert results.attempted and not results.failed
