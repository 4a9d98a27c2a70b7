"""toyflow's own policies as planners."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from toyflow.flow import make_objective, parse_schedule
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec


def made() -> FlowPlanner:
    torch.manual_seed(0)
    unit = {"mean": [0.0] * 2, "std": [1.0] * 2}
    spec = PolicySpec("nano", Interface(("front",), state_dim=2, action_dim=2, fps=10), image_size=32)
    policy = Policy(spec, Normalisation.from_statistics(unit, unit))
    return FlowPlanner(policy.eval(), make_objective("flow", parse_schedule("shift:4")))


def compare() -> None:
    plain, compiled = made(), made()
    compiled.compile()
    seen = plain.any_observation()
    for steps in (1, 10):
        plain.set_num_steps(steps)
        compiled.set_num_steps(steps)
        ours, theirs = (planner.plan([seen], [3]) for planner in (plain, compiled))
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 1


@pytest.mark.slow
def test_a_compiled_policy_plans_the_same():
    """In a process of its own: types are not checked there, which cannot be compiled."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    compare()
