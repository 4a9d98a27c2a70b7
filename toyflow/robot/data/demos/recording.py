"""One attempt at a task by the scripted expert, recorded as a trajectory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from toyflow.robot.simulation.environment import Environment, Expert, SuiteTask


class Attempt(NamedTuple):
    """An attempt at a task; its randomness depends on task, number and the data set's seed alone."""

    task: int
    number: int


class AttemptOutcome(NamedTuple):
    """How an attempt ended."""

    attempt: Attempt
    solved: bool
    steps: int
    seconds: float


class Trajectory(NamedTuple):
    """Observations of an attempt, and the expert's action at each, without noise. Images are by camera, in
    0..255."""

    images: dict[str, UInt8[np.ndarray, "steps height width 3"]]
    state: Float32[np.ndarray, "steps state"]
    action: Float32[np.ndarray, "steps action"]


class RecordedAttempt(NamedTuple):
    """An attempt and its trajectory."""

    outcome: AttemptOutcome
    trajectory: Trajectory


def record(
    environment: Environment,
    task: SuiteTask,
    attempt: Attempt,
    seed: int,
    noise: float,
    beat: Callable[[], None],
) -> RecordedAttempt:
    """Let the expert act from a random initial state until the task is solved or `task.max_steps` are used.

    The environment carries out clip(a + noise * scale * z, low, high), where a is the expert's action, z ~
    N(0, 1), scale the expert's `noise_scale`, and low and high the environment's `action_bounds`; the
    trajectory holds a, so that it shows how to recover (DART, Laskey et al. 2017).

    Args:
        seed: the data set's seed; with `attempt` it decides all randomness.
        noise: standard deviation, in the action's units; `noise_scale` fits it to each dimension.
        beat: called at every step; see `WorkerChannel.beat`.
    """
    start = time.monotonic()
    reset_seed, expert_seed, noise_seed = np.random.SeedSequence([seed, *attempt]).generate_state(3).tolist()
    generator = np.random.default_rng(noise_seed)
    environment.reset(reset_seed)
    expert = environment.expert(expert_seed)
    observations, actions, solved = [], [], False
    while not solved and len(actions) < task.max_steps:
        action = expert.act()
        observations.append(environment.observe())
        actions.append(action)
        disturbance = noise * expert.noise_scale * generator.standard_normal(action.shape)
        solved = environment.step(environment.clipped(action + disturbance))
        beat()
    trajectory = Trajectory(
        {camera: np.stack([o.images[camera] for o in observations]) for camera in observations[0].images},
        np.stack([o.state for o in observations]),
        np.stack(actions),
    )
    return RecordedAttempt(
        AttemptOutcome(attempt, solved, len(actions), time.monotonic() - start), trajectory
    )


def try_expert(
    environment: Environment,
    expert: Expert,
    task: SuiteTask,
    attempt: Attempt,
    beat: Callable[[], None],
) -> AttemptOutcome:
    """Let the expert act in the episode that has just begun, without noise or rendering."""
    start = time.monotonic()
    solved, steps = False, 0
    while not solved and steps < task.max_steps:
        solved = environment.step(expert.act())
        steps += 1
        beat()
    return AttemptOutcome(attempt, solved, steps, time.monotonic() - start)
