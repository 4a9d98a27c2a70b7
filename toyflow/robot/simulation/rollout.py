"""Episodes in closed loop: simulators in worker processes, and one policy that plans for all of them in
batches.

A worker carries out a chunk of actions, observes, and waits for the next chunk; the policy plans for all
waiting workers in one call. With a latency the worker has the chunk at once, too, but takes it up so many
steps later. A worker that crashes or hangs is replaced and its episode is tried once more,
then recorded as an error; the others go on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from toyflow.atomic import atomic_file
from toyflow.robot.handover import parse_handover
from toyflow.robot.interface import Observation
from toyflow.robot.planner import Commitment, PlanLost, Planner
from toyflow.robot.simulation.environment import Environment, load_environment
from toyflow.robot.simulation.simulators import PATIENCE, JobDone, JobQuestion, Work, WorkerChannel, run_jobs
from toyflow.robot.simulation.trial_options import TrialOptions

ATTEMPTS = 2
"""Times that an episode is tried before it is recorded as an error."""
MOST_LOST = 3
"""Times that an episode is begun again as its plan was lost, before the evaluation ends."""


@dataclass(frozen=True)
class RolloutSetup:
    """The simulator of episodes, and how a policy acts in it.

    Attributes:
        environment, suite, image_size, rendering: see `Environment`.
        replan: actions of a chunk that are executed before the next plan.
        history: number of observations that the policy reads, the present one included.
        latency_steps, handover: see `TrialOptions`.
    """

    environment: str
    suite: str
    image_size: int
    replan: int
    rendering: str = "fast"
    history: int = 1
    latency_steps: int = TrialOptions.latency_steps
    handover: str = TrialOptions.handover


@dataclass(frozen=True)
class Episode:
    """One attempt at a task from an official initial state, still to be run.

    Attributes:
        task, state: indices of the task and of its initial state.
        seed: plan k of the episode (from 0) draws its noise by seed + k.
        max_steps: control steps after which it counts as failed.
        video: path of its video without `-success.mp4` or `-failure.mp4`; None for no video.
        prompt: what the policy reads instead of the environment's prompt; None for that.
    """

    task: int
    state: int
    seed: int
    max_steps: int
    video: str | None = None
    prompt: str | None = None


@dataclass(frozen=True)
class EpisodeOutcome:
    """How an episode ended.

    Attributes:
        steps: control steps taken.
        error: why there is no result after `ATTEMPTS` tries: the simulator crashed or hung, which says
            nothing of the policy, so that the episode counts for nothing. None if the episode has a result.
        not_finite: it ended, not solved, as the policy planned an action that is not finite.
        score: see `Environment.score`; None where only success counts.
    """

    task: int
    state: int
    success: bool
    steps: int
    seconds: float
    error: str | None = None
    not_finite: bool = False
    score: float | None = None


class Look(NamedTuple):
    """What an episode asks the policy; `plan` counts its plans from 0, `committed` is what the chunk has to
    agree with."""

    observation: Observation
    plan: int
    committed: Commitment | None


def run_episodes(
    setup: RolloutSetup,
    episodes: Sequence[Episode],
    planner: Planner,
    workers: int,
    patience: float = PATIENCE,
    on_first: Callable[[Observation], object] = lambda observation: None,
) -> Generator[EpisodeOutcome, None, None]:
    """The outcome of every episode, in the order in which they end. Closing the generator stops all
    simulators.

    An episode whose plan is lost, or whose planner has begun a new life since, starts again from its seed: it
    counts once, and all its plans are of one life.

    Args:
        planner: answers all simulators that wait, in one batch.
        workers: the most simulators at a time.
        patience: seconds without a message after which a simulator counts as hung.
        on_first: called with the first observation of all.

    Raises:
        PlanLost: an episode lost its plan more than `MOST_LOST` times.
    """
    todo = list(episodes)
    tries: Counter[Episode] = Counter()
    plans, first = _Plans(planner), True

    def take(at_hand: int | None) -> Episode | None:
        """An episode of the open simulator's task if one is left, else of the task with most left."""
        tasks = [episode.task for episode in todo]
        if not tasks:
            return None
        task = at_hand if at_hand in tasks else max(tasks, key=tasks.count)
        return todo.pop(tasks.index(task))

    running = run_jobs(_Rollout(setup), take, min(workers, len(episodes)), patience)
    with closing(running):
        for events in running:
            looking: list[JobQuestion[Episode]] = []
            for event in events:
                if isinstance(event, JobQuestion):
                    looking.append(event)
                elif isinstance(event, JobDone):
                    end = event.result
                    yield EpisodeOutcome(
                        event.job.task, event.job.state, end.success, end.steps, round(event.seconds, 3),
                        not_finite=end.not_finite, score=end.score,
                    )  # fmt: skip
                else:
                    tries[event.job] += 1
                    if tries[event.job] < ATTEMPTS:
                        todo.insert(0, event.job)
                    else:
                        where = event.job.task, event.job.state
                        yield EpisodeOutcome(*where, False, 0, round(event.seconds, 3), event.why)
            if looking:
                if first:
                    on_first(looking[0].question.observation)
                    first = False
                plans.answer(looking)


class _Plans:
    """Answers episodes that look, with a chunk or with None to begin again."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._lives: dict[Episode, int] = {}
        self._lost: Counter[Episode] = Counter()

    def answer(self, looking: Sequence[JobQuestion[Episode]]) -> None:
        """Plan for these in one batch."""
        planner, current, life = self.planner, [], self.planner.lives
        for asked in looking:
            if asked.question.plan and self._lives[asked.job] != life:
                asked.answer(None)
            else:
                current.append(asked)
        if not current:
            return
        looks = [asked.question for asked in current]
        seeds = [asked.job.seed + look.plan for asked, look in zip(current, looks, strict=True)]
        try:
            seen, committed = [look.observation for look in looks], [look.committed for look in looks]
            if any(each is not None for each in committed):
                chunks = planner.continue_plan(seen, seeds, committed)
            else:
                chunks = planner.plan(seen, seeds)
        except PlanLost:
            self._lost.update(asked.job for asked in current)
            if max(self._lost.values()) > MOST_LOST:
                raise
            for asked in current:
                asked.answer(None)
            return
        for asked, chunk in zip(current, chunks, strict=True):
            self._lives[asked.job] = planner.lives
            asked.answer(None if asked.question.plan and planner.lives != life else chunk)


class _End(NamedTuple):
    success: bool
    steps: int
    not_finite: bool = False
    score: float | None = None


@dataclass(frozen=True)
class _Rollout(Work[Episode, _End]):
    """Runs an episode in a worker."""

    setup: RolloutSetup

    def open(self, task: int) -> Environment:
        setup = self.setup
        return load_environment(setup.environment)(setup.suite, task, setup.image_size, setup.rendering)

    def run(self, environment: Environment, job: Episode, channel: WorkerChannel) -> _End:
        while (end := self._attempt(environment, job, channel)) is None:
            pass
        return end

    def _attempt(self, environment: Environment, job: Episode, channel: WorkerChannel) -> _End | None:
        """The episode from its start; None where it has to begin again."""
        setup, handover = self.setup, parse_handover(self.setup.handover)
        environment.reset(job.seed, job.state)
        film = _Film(environment, job.video)
        recent: deque[Observation] = deque(maxlen=setup.history)
        success, finite, plans, due, chunk = False, True, 0, 0, np.zeros((0, 0), np.float32)
        step = asked = 0
        while not success and step < job.max_steps:
            if step > due - setup.history:  # render only what a plan sees
                seen = environment.observe()
                recent.append(seen if job.prompt is None else seen._replace(prompt=job.prompt))
            if step == due:
                before = [recent[0]] * (setup.history - len(recent)) + list(recent)[:-1]
                look = Look(recent[-1]._replace(before=tuple(before)), plans, handover.committed(step))
                if (chunk := channel.ask(look)) is None:
                    return None
                plans, asked = plans + 1, step
                due += max(min(setup.replan, len(chunk)), setup.latency_steps + 1)
            if step == asked + setup.latency_steps:
                handover.add(chunk, asked, step)
            action = handover.action(step)
            if action is None:  # before the first plan has come, or beyond the end of a chunk
                action = environment.still()
            if not (finite := bool(np.isfinite(action).all())):
                break
            success = environment.step(action)
            step += 1
            film.shoot(step)
        film.save(success)
        return _End(success, step, not finite, environment.score())


class _Film:
    """A video of every second control step; without a path it does nothing."""

    EVERY = 2

    def __init__(self, environment: Environment, path: str | None) -> None:
        self.environment, self.path = environment, path
        self.frames: list[UInt8[np.ndarray, "height width 3"]] = []

    def shoot(self, step: int) -> None:
        if self.path is None or step % self.EVERY:
            return
        if views := [*self.environment.views().values()]:
            self.frames.append(np.concatenate(views, axis=1))

    def save(self, success: bool) -> None:
        if self.path is None or not self.frames:
            return
        import imageio.v3 as imageio  # optional

        path = Path(f"{self.path}-{'success' if success else 'failure'}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            imageio.imwrite(temporary, np.stack(self.frames), fps=self.environment.interface.fps / self.EVERY)


def episode_seed(noise_seed: int, suite: str, task: int, state: int) -> int:
    """The seed of an episode's noise: the same for every K, policy and schedule, so that these compare in
    pairs."""
    return int(np.random.SeedSequence([noise_seed, *suite.encode(), task, state]).generate_state(1)[0])
