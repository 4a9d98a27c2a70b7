"""Episodes in closed loop: simulators in worker processes, one policy for all of them, in batches.

A worker carries out a chunk of actions, looks, and waits for the next chunk; the policy answers whoever
waits in one call. A worker that crashes or falls silent is replaced and its episode tried once more, then
recorded as an error; the others go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from toyflow.robot.environment import Environment, load_environment
from toyflow.robot.interface import Observation
from toyflow.robot.planners import Planner
from toyflow.sweep.workers import exit_with_parent, worker_context

ATTEMPTS = 2
"""How often an episode is tried before it is recorded as an error."""
PATIENCE = 180.0
"""Seconds without a sign of life after which a simulator counts as hung; making one takes up to 10."""


@dataclass(frozen=True)
class Scene:
    """Where episodes take place. `rendering` is the environment's own option."""

    environment: str
    suite: str
    image_size: int
    replan: int
    """Actions of a chunk that are carried out before the policy looks again."""
    rendering: str = "fast"
    history: int = 1
    """Moments that the policy looks at, the present one included."""


@dataclass(frozen=True)
class Episode:
    """One attempt at a task from an official initial state."""

    task: int
    state: int
    seed: int
    """Of the noise of its plans; plan k uses seed + k."""
    max_steps: int
    video: str | None = None
    """Where its video goes, without the ending that says how it went; None for no video."""


@dataclass(frozen=True)
class Outcome:
    """How an episode went."""

    task: int
    state: int
    success: bool
    steps: int
    """Control steps taken."""
    seconds: float
    error: str | None = None
    """What went wrong in the simulator; such an episode says nothing about the policy."""


class _Look(NamedTuple):
    observation: Observation


class _Failure(NamedTuple):
    message: str


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    heard: float
    """When it last said something, or was told something."""
    episode: Episode | None = None
    attempt: int = 1
    plans: int = 0
    started: float = 0.0


def run_episodes(
    scene: Scene,
    episodes: Sequence[Episode],
    planner: Planner,
    workers: int,
    patience: float = PATIENCE,
) -> Generator[Outcome, None, None]:
    """The outcome of every episode, in the order in which they end.

    Closing the generator stops all simulators.
    """
    pool = _Pool(scene, list(episodes), min(workers, len(episodes)), patience)
    try:
        while pool.busy():
            looking, outcomes = pool.listen()
            yield from outcomes
            if looking:
                observations = [look.observation for _, look in looking]
                seeds = [pool.next_seed(worker) for worker, _ in looking]
                chunks = planner.plan(observations, seeds)
                for (worker, _), chunk in zip(looking, chunks, strict=True):
                    pool.tell(worker, chunk)
    finally:
        pool.close()


class _Pool:
    def __init__(self, scene: Scene, todo: list[Episode], size: int, patience: float) -> None:
        self.scene, self.patience = scene, patience
        self.todo: list[tuple[Episode, int]] = [(episode, 1) for episode in todo]
        self.workers: list[_Worker] = []
        for _ in range(size):
            self._assign(self._start())

    def busy(self) -> bool:
        return any(worker.episode is not None for worker in self.workers)

    def listen(self) -> tuple[list[tuple[_Worker, _Look]], list[Outcome]]:
        """Who waits for actions, and which episodes have ended, once anything has happened."""
        looking: list[tuple[_Worker, _Look]] = []
        outcomes: list[Outcome] = []
        working = {worker.pipe: worker for worker in self.workers if worker.episode is not None}
        for pipe in wait(list(working), timeout=1.0):
            worker = working[pipe]  # pyright: ignore[reportArgumentType]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                worker.process.join()
                outcomes += self._failed(
                    worker, f"the simulator's process exited ({worker.process.exitcode})"
                )
                continue
            worker.heard = time.monotonic()
            if isinstance(message, _Look):
                looking.append((worker, message))
            elif isinstance(message, _Failure):
                outcomes += self._failed(worker, message.message)
            else:
                success, steps = message
                outcomes.append(self._outcome(worker, success, steps))
                self._assign(worker)
        for worker in list(working.values()):
            if worker in self.workers and time.monotonic() - worker.heard > self.patience:
                outcomes += self._failed(worker, f"the simulator said nothing for {self.patience:g} s")
        return looking, outcomes

    def next_seed(self, worker: _Worker) -> int:
        assert worker.episode is not None
        worker.plans += 1
        return worker.episode.seed + worker.plans - 1

    def tell(self, worker: _Worker, message: object) -> None:
        worker.heard = time.monotonic()
        with suppress(OSError):  # it died; `listen` finds out
            worker.pipe.send(message)

    def close(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self.workers.clear()

    def _start(self) -> _Worker:
        here, there = worker_context().Pipe()
        process = worker_context().Process(target=_simulate, args=(there, self.scene))
        process.start()
        there.close()
        worker = _Worker(process, here, time.monotonic())
        self.workers.append(worker)
        return worker

    def _assign(self, worker: _Worker, last: Episode | None = None) -> None:
        """Give the worker an episode: of the task it has just done if one is left, as a simulator is of one
        task; else of the task that has most left."""
        last = worker.episode or last
        worker.episode = None
        if not self.todo:
            self.tell(worker, None)
            return
        tasks = [episode.task for episode, _ in self.todo]
        task = last.task if last and last.task in tasks else max(tasks, key=tasks.count)
        worker.episode, worker.attempt = self.todo.pop(tasks.index(task))
        worker.plans, worker.started = 0, time.monotonic()
        self.tell(worker, worker.episode)

    def _failed(self, worker: _Worker, message: str) -> list[Outcome]:
        """Replace the worker; its episode goes back once, or ends as an error."""
        assert worker.episode is not None
        outcomes: list[Outcome] = []
        if worker.attempt < ATTEMPTS:
            self.todo.insert(0, (worker.episode, worker.attempt + 1))
        else:
            outcomes.append(replace(self._outcome(worker, False, 0), error=message))
        self.workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        if self.todo:
            self._assign(self._start(), worker.episode)
        return outcomes

    def _outcome(self, worker: _Worker, success: bool, steps: int) -> Outcome:
        assert worker.episode is not None
        seconds = time.monotonic() - worker.started
        return Outcome(worker.episode.task, worker.episode.state, success, steps, round(seconds, 3))


def _simulate(pipe: Connection, scene: Scene) -> None:
    """A worker's whole life."""
    threading.Thread(target=exit_with_parent, daemon=True).start()
    environment: Environment | None = None
    task: int | None = None
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while (episode := pipe.recv()) is not None:
            try:
                if environment is None or episode.task != task:
                    if environment is not None:
                        environment.close()
                    environment = load_environment(scene.environment)(
                        scene.suite, episode.task, scene.image_size, scene.rendering
                    )
                    task = episode.task
                pipe.send(_run(environment, episode, scene, pipe))
            except (EOFError, OSError, KeyboardInterrupt):
                raise
            except Exception as error:
                pipe.send(_Failure(f"{type(error).__name__}: {error}".splitlines()[0]))
    if environment is not None:
        environment.close()


def _run(environment: Environment, episode: Episode, scene: Scene, pipe: Connection) -> tuple[bool, int]:
    """(whether it was solved, control steps)."""
    environment.reset(episode.seed, episode.state)
    film = _Film(environment, episode.video)
    success, steps = False, 0
    recent = [environment.observe()] * scene.history
    while not success and steps < episode.max_steps:
        pipe.send(_Look(recent[-1]._replace(before=tuple(recent[:-1]))))
        chunk = pipe.recv()[: scene.replan]
        for place, action in enumerate(chunk, 1):
            success = environment.step(action)
            steps += 1
            film.shoot(steps)
            if success or steps == episode.max_steps:
                break
            if place > len(chunk) - scene.history:  # only what the next plan looks at is rendered
                recent = [*recent[1:], environment.observe()]
    film.save(success)
    return success, steps


class _Film:
    """A video of every second control step, or nothing."""

    EVERY = 2

    def __init__(self, environment: Environment, path: str | None) -> None:
        self.environment, self.path = environment, path
        self.frames: list[UInt8[np.ndarray, "height width 3"]] = []

    def shoot(self, step: int) -> None:
        if self.path is not None and step % self.EVERY == 0:
            images = self.environment.observe().images
            self.frames.append(np.concatenate(list(images.values()), axis=1))

    def save(self, success: bool) -> None:
        if self.path is None or not self.frames:
            return
        import imageio.v3 as imageio

        from toyflow.atomic import atomic_file

        path = Path(f"{self.path}-{'success' if success else 'failure'}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            imageio.imwrite(temporary, np.stack(self.frames), fps=self.environment.interface.fps / self.EVERY)


def episode_seed(noise_seed: int, suite: str, task: int, state: int) -> int:
    """Seed of the first plan's noise: the same for every K, policy and schedule."""
    return int(np.random.SeedSequence([noise_seed, *suite.encode(), task, state]).generate_state(1)[0])


OnOutcome = Callable[[Outcome], None]
