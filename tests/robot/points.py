"""An environment without a simulator: a point in a square that must reach a goal."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toyflow.errors import unknown
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import Latency, Times
from toyflow.robot.planner import Planner
from toyflow.robot.simulation.environment import Environment, Expert, SuiteTask

if TYPE_CHECKING:
    from toyflow.flow import Decoding

SUITES = ("points", "slow", "clumsy", "hopeless", "blind", "varied", "scored")
FAULTS = ("dies", "hangs", "raises", "cracked")
"""Suites of one fault: `dies@FILE` has it unless FILE exists, and makes FILE first. `cracked@FILE` dies in
every episode from state 1 as long as there is no FILE. The environment variable `POINTS_FAULT` gives one to
any suite."""

REACH = 0.05
"""How far an action of 1 moves the point."""


class Points(Environment):
    """Every third episode of the suite `clumsy` fails, and every one of `hopeless`; `slow` takes its time,
    and `blind` has no images. `varied` has tasks that vary those of `points`; those of `dark` are missing. In
    `scored`, episodes have a score: half of the way to the goal is 0.5."""

    name = "points"
    interface = Interface(cameras=("front",), state_dim=4, action_dim=2, fps=10)

    @classmethod
    def suites(cls) -> Sequence[str]:
        return SUITES

    @classmethod
    def tasks(cls, suite: str) -> Sequence[SuiteTask]:
        if suite.partition("@")[0] not in SUITES + FAULTS:
            raise unknown("suite", suite, SUITES)
        if suite == "varied":
            return varied_tasks()
        return [SuiteTask(index, f"go-{index}", f"go to goal {index}", 5, 60) for index in range(3)]

    @classmethod
    def assets(cls) -> str:
        return "own"

    def __init__(self, suite: str, task: int, image_size: int = 16, rendering: str = "fast") -> None:
        self.kind, _, self.flag = (os.environ.get("POINTS_FAULT") or suite).partition("@")
        self.task, self.image_size = self.tasks(suite)[task], image_size

    def reset(self, seed: int, init_state: int | None = None) -> None:
        self.state = init_state
        generator = np.random.default_rng(seed if init_state is None else init_state)
        self.point, self.goal = generator.uniform(-1, 1, (2, 2))
        self.start = self.left = np.linalg.norm(self.goal - self.point)
        self.blocked = self.kind == "hopeless" or (self.kind == "clumsy" and seed % 3 == 0)

    def observe(self) -> Observation:
        image = np.zeros((self.image_size, self.image_size, 3), np.uint8)
        for channel, place in enumerate((self.point, self.goal)):
            x, y = ((np.clip(place, -1, 1) + 1) / 2 * (self.image_size - 1)).astype(int)
            image[y, x, channel] = 255
        images = {} if self.kind == "blind" else {"front": image}
        return Observation(
            images, np.concatenate([self.point, self.goal]).astype(np.float32), self.task.prompt
        )

    def step(self, action: np.ndarray) -> bool:
        self._go_wrong()
        self.point = self.point + REACH * np.clip(action, -1, 1)
        self.left = min(self.left, np.linalg.norm(self.goal - self.point))
        return bool(np.linalg.norm(self.goal - self.point) < REACH and not self.blocked)

    def score(self) -> float | None:
        return float(1 - self.left / self.start) if self.kind == "scored" else None

    def close(self) -> None:
        pass

    def expert(self, seed: int) -> Expert:
        return Straight(self)

    def _go_wrong(self) -> None:
        if self.kind == "slow":
            time.sleep(0.01)
        if self.kind == "cracked" and self.state == 1 and not Path(self.flag).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind != "cracked" and self.flag and not Path(self.flag).exists():
            Path(self.flag).touch()
            if self.kind == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.kind == "raises":
                raise RuntimeError("a fault was asked for")
            time.sleep(60)


def varied_tasks() -> list[SuiteTask]:
    """Tasks of `points` under three perturbations and two levels; what is `dark` cannot run."""
    kinds = [("moved", 1), ("moved", 2), ("renamed", 1), ("dark", None)]
    return [
        SuiteTask(
            index, f"go-{task}-{kind}-{level}", f"go to goal {task}", 1, 60, kind, level,
            ("points", f"go-{task}"), "a lamp is missing; buy one." if kind == "dark" else "",
            f"Go to goal {task}!" if kind == "renamed" else "",
        )
        for index, (task, (kind, level)) in enumerate((task, kind) for task in range(3) for kind in kinds)
    ]  # fmt: skip


class Straight(Expert):
    """Goes to the goal by the straight way."""

    def __init__(self, environment: Points) -> None:
        self.environment = environment

    def act(self) -> np.ndarray:
        return straight(np.concatenate([self.environment.point, self.environment.goal]))


def straight(state: np.ndarray) -> np.ndarray:
    """The expert's action in a state."""
    return np.clip((state[2:] - state[:2]) / REACH, -1, 1).astype(np.float32)


class StraightPlanner(Planner):
    """Plans the straight way to the goal, and remembers what it was asked."""

    interface, image_size, horizon, replan = Points.interface, 16, 5, 5

    def __init__(self) -> None:
        self.stage_seconds = defaultdict(float)
        self.seeds: list[int] = []
        self.batches: list[int] = []
        from toyflow.flow import Decoding  # not at the top, as simulators' processes do without torch

        self.set_decoding(Decoding())

    @property
    def takes_noise(self) -> bool:
        return False

    def set_decoding(self, decoding: Decoding) -> None:
        self.decoding, self.model_calls = decoding, decoding.steps

    def answers(self, observations: Sequence[Observation], seeds: Sequence[int], draws: int) -> np.ndarray:
        self.seeds += seeds
        self.batches.append(len(seeds))
        chunks = []
        for observation in observations:
            state, chunk = observation.state.copy(), []
            for _ in range(self.horizon):
                chunk.append(straight(state))
                state[:2] += REACH * chunk[-1]
            chunks.append(chunk)
        return np.stack([np.array(chunks, np.float32)] * draws)

    def latencies(self, decodings: Sequence[Decoding]) -> list[Latency]:
        return [Latency(Times(0, 0), Times(0, 0), Times(0, 0))] * len(decodings)
