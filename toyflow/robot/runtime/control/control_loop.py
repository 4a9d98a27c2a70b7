"""The control loop: at every step it sends the next action, and asks for a new plan when one is due.

A late plan is never waited for: actions whose step has passed are dropped (`handover`); with none left the
gate holds, then stops (`safety`).
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toyflow.errors import named_line
from toyflow.robot.handover import Handover
from toyflow.robot.interface import Observation
from toyflow.robot.planner import PlanLost
from toyflow.robot.runtime.control.clock import Clock
from toyflow.robot.runtime.control.log import Digests, RunLog
from toyflow.robot.runtime.control.planning import Planning, PlanRequest
from toyflow.robot.runtime.control.safety import Action, Gate, Sent
from toyflow.robot.runtime.control.sent_jerk import JerkOfSent
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.robots.base import Robot

SWITCH_SECONDS = 0.0005
"""The interpreter's switch interval during a run; Python's default, 5 ms, would be the loop's jitter."""


@dataclass(frozen=True)
class LoopSettings:
    """How long to run, and how often to plan.

    Attributes:
        replan: steps from one plan's observation to the next one's; more while a plan is under way.
        episodes: number of episodes.
        seconds: longest episode, by the loop's clock; None: as long as `Robot.longest`.
        history: number of observations that the policy reads, the present one included.
        noise_seed: see `Robot.plan_seed`.
    """

    replan: int
    episodes: int = 1
    seconds: float | None = None
    history: int = 1
    noise_seed: int = 0


@dataclass
class Ending:
    """How an episode went.

    Attributes:
        why: reason the episode ended: `solved`, `time is over`, or `stopped by SIGNAL`.
        plans: number of plans that were asked for.
        late: plans before whose arrival the robot ran out of actions.
        missed: steps that were skipped because the one before took too long.
        score: see `Robot.score`.
    """

    episode: int
    steps: int
    why: str
    plans: int = 0
    late: int = 0
    missed: int = 0
    score: float | None = None

    @property
    def solved(self) -> bool:
        """Whether it ended because the robot reported its task as solved."""
        return self.why == "solved"


OnStep = Callable[[int, Float[np.ndarray, "action"] | None, tuple[str, ...]], None]
"""Called with (step, the action that was sent or None, how the gate changed it)."""


class ControlLoop:
    """Runs episodes on a connected robot, and always brings it to rest at the end: also at a signal, and when
    the robot, the planner or the gate raises.

    With a robot in real time a step first sends and then observes, so that actions are punctual. With a
    simulator it observes first, and with no latency does the same as `robot-eval`.

    Args:
        robot: connected.
        planning: makes the plans.
        handover: chooses each step's action from the plans.
        gate: sends the actions; its `on_intervention` is set to write to `log`.
        clock: paces the steps.
        log: open; its `run` line is written already.
        on_step: called after each step.
    """

    def __init__(
        self,
        robot: Robot,
        planning: Planning,
        handover: Handover,
        gate: Gate,
        clock: Clock,
        log: RunLog,
        settings: LoopSettings,
        on_step: OnStep = lambda step, action, changes: None,
    ) -> None:
        self.robot, self.planning, self.handover, self.gate = robot, planning, handover, gate
        self.clock, self.log, self.settings, self.on_step = clock, log, settings, on_step
        gate.on_intervention = self._intervened
        self.jerk = JerkOfSent(clock.rate, len(gate.lower))
        self._step = 0

    def run(self, signals: StopSignals) -> Generator[Ending, None, None]:
        """Run the episodes, and yield each one's ending. Closing the generator stops the robot.

        Args:
            signals: entered as a context; the run ends when one has come.

        Raises:
            SafetyStop: the gate has stopped the run.
            Exception: what the robot or the planner raised.
        """
        why, failed = "done", False
        with _low_jitter():
            try:
                for episode in range(self.settings.episodes):
                    if not signals.asked:
                        yield self._episode(episode, signals)
                if signals.asked:
                    why = f"stopped by {signals.name}"
            except BaseException as error:
                why, failed = named_line(error), True
                raise
            finally:
                signals.finishing = True
                self._finish(why, failed)

    def _episode(self, episode: int, signals: StopSignals) -> Ending:
        robot, settings = self.robot, self.settings
        robot.begin(episode)
        self.handover.clear()
        self.planning.forget()
        self._ending = ending = Ending(episode, 0, "time is over")
        self._moments: deque[Observation] = deque(maxlen=settings.history)
        self._look_at, self._starving, self._seed = 0, False, robot.plan_seed(episode, settings.noise_seed)
        self.log.write("episode", episode=episode, time=time.time())
        robot.observe()  # `still` then refers to where the robot is now
        missed_before = self.clock.missed
        self.clock.start()
        still = robot.still()
        self.gate.begin(still, self.clock.now())
        self.jerk.begin(still)
        step, late = self.clock.next_step(-1)
        while not signals.asked and not self._is_over(step):
            self._step = step
            if robot.stepped:
                self._look(step)
            self._receive(step)
            self._act(step, late)
            ending.steps += 1
            if robot.solved:
                ending.why = "solved"
                break
            if not robot.stepped:
                self._look(step)
            step, late = self.clock.next_step(step)
        if signals.asked and not ending.solved:
            ending.why = f"stopped by {signals.name}"
        if not robot.stepped:  # time passes until the next episode
            self._come_to_rest()
            self.gate.hold()
        ending.missed = self.clock.missed - missed_before
        ending.score = robot.score
        self.log.write("ending", **{name: value for name, value in vars(ending).items() if value is not None})
        return ending

    def _is_over(self, step: int) -> bool:
        longest, seconds = self.robot.longest, self.settings.seconds
        return (
            (longest is not None and step >= longest)
            or (seconds is not None and step >= round(seconds * self.clock.rate))
            or self.handover.is_over(step)
        )

    def _look(self, step: int) -> None:
        """Observe and ask for a plan, if one is due. A policy with a history needs all observations."""
        due = step >= self._look_at and not self.planning.busy
        if not due and self.settings.history == 1:
            return
        seen = self.robot.observe()
        self._moments.append(seen)
        if not due:
            return
        digests, now = Digests.of(seen), self.clock.now()
        self.log.write("look", step=step, t=now, **digests._asdict())
        if not self.gate.is_fresh(digests.freshness, now):
            return
        before = list(self._moments)[:-1]
        before = [before[0] if before else seen] * (self.settings.history - 1 - len(before)) + before
        request = PlanRequest(
            seen._replace(before=tuple(before)), self._seed + self._ending.plans, self._ending.episode, step,
            self.handover.committed(step),
        )  # fmt: skip
        self._ending.plans += 1
        self._look_at = step + self.settings.replan
        self.planning.ask(request)

    def _receive(self, step: int) -> None:
        """Hand over a plan that has arrived to the hand-over, if the gate admits it. One that is lost is like
        one that is late: the robot finishes the previous chunk, then holds, then stops."""
        try:
            plan = self.planning.received(step)
        except PlanLost as lost:
            self.gate.plan_lost(str(lost))
            self._look_at = step
            return
        if plan is None or plan.request.episode != self._ending.episode:
            return
        admitted = self.gate.check_chunk(plan.chunk)
        dropped = self.handover.add(plan.chunk, plan.request.step, step) if admitted else len(plan.chunk)
        if not admitted:
            self._look_at = step  # ask again at once, with other noise
        late = self._starving and self._ending.plans > 1  # every robot waits for the first
        self._ending.late += late
        self._starving = False
        self.log.write(
            "plan", step=step, asked=plan.request.step, seconds=plan.seconds, admitted=admitted,
            dropped=dropped, late=late,
        )  # fmt: skip

    def _act(self, step: int, late: float) -> None:
        asked = self.handover.action(step)
        if asked is None:
            self._starving |= self.planning.busy
            sent = self.gate.no_action(self.clock.now())
        else:
            ahead = self.handover.action(step + 1) if self.gate.smoother else None
            sent = self.gate.send(asked, self.clock.now(), ahead)
        self._note(step, late, asked, sent)

    def _note(self, step: int, late: float, asked: Action | None, sent: Sent) -> None:
        at = self.clock.now()
        self.jerk.add(step, sent.action)
        self.log.write(
            "step", step=step, t=at, late=late, took=at - late - step / self.clock.rate,
            asked=asked, sent=sent.action, changes=sent.changes,
        )  # fmt: skip
        self.on_step(step, *sent)

    def _come_to_rest(self) -> None:
        """Brake a robot that moves, step by step, within the limits; for `Patience.stop_after` at most."""
        patience = self.gate.patience.stop_after / 1000
        if not self.gate.is_moving:
            return
        begun = self.clock.now()
        while self.gate.is_moving and self.clock.now() - begun <= patience:
            self._step, late = self.clock.next_step(self._step)
            self._note(self._step, late, None, Sent(self.gate.brake(), ("brake",)))

    def _intervened(self, kind: str, detail: str) -> None:
        self.log.write("intervention", step=self._step, what=kind, detail=detail)

    def _finish(self, why: str, failed: bool) -> None:
        """Bring the robot to rest, and log how the run ended. An error of stopping is raised, unless the run
        has already `failed` by another, which it must not hide."""
        stopped = "yes"
        try:
            with suppress(Exception):
                if not self.robot.stepped:
                    self._come_to_rest()
            self.gate.stop()
        except Exception as error:
            stopped = named_line(error)
            if not failed:
                raise
        finally:
            with suppress(OSError):  # also on a full disk the robot is released
                counts = dict(self.gate.counts)
                self.log.write(
                    "end", why=why, stopped=stopped, checked=self.gate.checked, interventions=counts,
                    jerk=self.jerk.most,
                )  # fmt: skip
            self.planning.close()


@contextmanager
def _low_jitter() -> Iterator[None]:
    """Avoid what makes steps late: garbage collection of all that is loaded already, and long turns of the
    planning thread."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
