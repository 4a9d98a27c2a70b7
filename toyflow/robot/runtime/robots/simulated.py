"""Simulators as robots, whose time stands still between actions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError
from toyflow.robot.interface import Observation
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.robots.base import Robot, RobotSettings
from toyflow.robot.simulation.environment import Environment, check_suite, find_tasks, load_environment
from toyflow.robot.simulation.rollout import episode_seed


class SimulatedRobot(Robot):
    """One task of an environment, whose actions lie within its `action_bounds`.

    Relative actions may change without a limit. With the suite's initial states and the same noise seed its
    episodes are those of `robot-eval`.
    """

    stepped = True

    def __init__(self, environment: Environment, settings: RobotSettings, longest: int) -> None:
        self.environment, self.settings = environment, settings
        self.name = environment.name
        self._cameras = settings.renamed(environment.interface.cameras, self.name)
        self.interface = replace(environment.interface, cameras=tuple(self._cameras.values()))
        self.longest = longest
        size = self.interface.action_dim
        lower, upper = (
            np.broadcast_to(np.asarray(bound, float), size).copy() for bound in environment.action_bounds
        )
        self.limits = Limits(lower, upper) if environment.absolute else Limits.unlimited_between(lower, upper)
        self.action_names = environment.action_names
        self._solved = False

    @classmethod
    def of(cls, name: str, settings: RobotSettings) -> SimulatedRobot:
        """Make a robot of the environment plug-in `name`, at `settings.suite` and `settings.task`.

        Raises:
            UsageError: there is no such suite, task or initial state, or the simulator is not installed.
        """
        environment = load_environment(name)
        if settings.suite is None:
            raise UsageError(
                f"--robot {name} is a simulator: name a suite of it by --suite, one of "
                f"{', '.join(environment.suites())}, and a task by --task."
            )
        check_suite(environment, settings.suite)
        [task] = find_tasks(environment, settings.suite, [settings.task])
        for state in settings.states:
            if not 0 <= state < task.init_states:
                raise UsageError(
                    f"{settings.suite} task {task.index} has no initial state {state}; "
                    f"it has 0 to {task.init_states - 1}."
                )
        environment.assets()
        made = environment(settings.suite, task.index, settings.image_size, settings.rendering)
        return cls(made, settings, task.max_steps)

    @classmethod
    def open(cls, settings: RobotSettings) -> SimulatedRobot:
        """See `Robot`; `settings.argument` is the environment's name."""
        return cls.of(settings.argument, settings)

    def connect(self) -> None:
        """See `Robot`."""
        self.begin(0)

    def begin(self, episode: int) -> None:
        """See `Robot`; resets to the next of the initial states, or to a random one."""
        self._solved = False
        self.environment.reset(self.settings.seed + episode, self._state(episode))

    def plan_seed(self, episode: int, noise_seed: int) -> int:
        """See `Robot`."""
        state = self._state(episode)
        if state is None or self.settings.suite is None:
            return super().plan_seed(episode, noise_seed)
        return episode_seed(noise_seed, self.settings.suite, self.settings.task, state)

    def observe(self) -> Observation:
        """See `Robot`."""
        seen = self.environment.observe()
        return seen._replace(images={self._cameras[own]: image for own, image in seen.images.items()})

    def send(self, action: Float[np.ndarray, "action"]) -> None:
        """See `Robot`; one control step passes."""
        self._solved = self.environment.step(action)

    def hold(self) -> Float[np.ndarray, "action"]:
        """See `Robot`; one control step passes."""
        still = self.environment.still()
        self.send(still)
        return still

    def stop(self) -> None:
        """See `Robot`; time stands still anyway."""

    def disconnect(self) -> None:
        """See `Robot`."""
        self.environment.close()

    def still(self) -> Float[np.ndarray, "action"] | None:
        """See `Robot`."""
        return self.environment.still() if self.environment.absolute else None

    @property
    def resting(self) -> Float[np.ndarray, "action"] | None:
        """See `Robot`."""
        return None if self.environment.absolute else self.environment.still()

    @property
    def solved(self) -> bool:
        """See `Robot`."""
        return self._solved

    @property
    def score(self) -> float | None:
        """See `Robot` and `Environment.score`."""
        score = self.environment.score()
        return None if score is None or not math.isfinite(score) else float(score)

    def _state(self, episode: int) -> int | None:
        states = self.settings.states
        return states[episode % len(states)] if states else None
