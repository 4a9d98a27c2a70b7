"""Episodes in simulators, planned by a policy in this process and by the same one behind a server: the same
observations and the same plans to the bit, from the same seeds. One simulator at a time, as PyTorch rounds
batches of different sizes differently."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from toyflow.flow import Decoding, make_objective, parse_schedule
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.planner import Planner
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.rollout import Episode, RolloutSetup, episode_seed, run_episodes


def policy(environment: str, image_size: int = 32) -> FlowPlanner:
    """An untrained policy for a simulator."""
    interface = load_environment(environment).interface
    spec = PolicySpec("nano", interface, image_size=image_size)
    unit = {"mean": [0.0] * 99, "std": [0.3] * 99}
    state, action = (
        {name: values[:dim] for name, values in unit.items()}
        for dim in (interface.state_dim, interface.action_dim)
    )
    torch.manual_seed(0)
    made = Policy(spec, Normalisation.from_statistics(state, action)).eval()
    return FlowPlanner(made, make_objective("flow", parse_schedule("shift:4")))


def run(planner: Planner, environment: str, suite: str, tasks: int, states: int, most_steps: int) -> list:
    """Everything that the planner was shown and answered, and how episodes ended."""
    told: list = []
    plan = planner.plan

    def noted(observations, seeds):
        chunks = plan(observations, seeds)
        for seen, seed, chunk in zip(observations, seeds, chunks, strict=True):
            images = [seen.images[name].tobytes() for name in sorted(seen.images)]
            told.append((seed, seen.state.tobytes(), images, np.ascontiguousarray(chunk).tobytes()))
        return chunks

    planner.plan = noted
    todo = [
        Episode(task, state, episode_seed(0, suite, task, state), most_steps)
        for task in range(tasks)
        for state in range(states)
    ]
    setup = RolloutSetup(environment, suite, planner.image_size, 5)
    ended = [
        (each.task, each.state, each.success, each.steps, each.error)
        for each in run_episodes(setup, todo, planner, workers=1)
    ]
    planner.plan = plan
    assert len(ended) == tasks * states and not any(error for *_, error in ended)
    return [told, ended]


@pytest.mark.parametrize("steps", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_points(toyflow_server, remote, steps):
    here, there = policy("points"), remote(toyflow_server(policy("points")).port)
    for planner in (here, there):
        planner.set_decoding(Decoding(steps))
    what = ("points", "clumsy", 2, 10, 15)
    assert run(there, *what) == run(here, *what)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gym_aloha") is None, reason="gym-aloha is not installed")
def test_two_arms(toyflow_server, remote):
    here, there = policy("aloha-state"), remote(toyflow_server(policy("aloha-state")).port)
    what = ("aloha-state", load_environment("aloha-state").suites()[0], 1, 20, 40)
    assert run(there, *what) == run(here, *what)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_hundred_episodes_of_libero(toyflow_server, remote, rendered_libero):
    here, there = policy("libero", 64), remote(toyflow_server(policy("libero", 64)).port)
    what = ("libero", "libero_spatial", 10, 10, 20)
    assert run(there, *what) == run(here, *what)
