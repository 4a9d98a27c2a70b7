"""The control loop: at every step the next action of what is planned, and a new plan when one is due."""

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
from toyflow.robot.interface import Observation
from toyflow.robot.runtime.control.chunks import Handover
from toyflow.robot.runtime.control.clock import Clock
from toyflow.robot.runtime.control.log import Digests, RunLog
from toyflow.robot.runtime.control.planning import Planning, Request
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.robots.base import Robot

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another waits; Python's own 5 ms would be the loop's
jitter."""


@dataclass(frozen=True)
class LoopSettings:
    """How long, and how often to plan.

    Attributes:
        replan: steps from one look to the next; later only while a plan is under way.
        seconds: of an episode, by the loop's clock; None for as long as the robot says.
        history: moments that the policy looks at, the present one included.
        noise_seed: see `Robot.plan_seed`.
    """

    replan: int
    episodes: int = 1
    seconds: float | None = None
    history: int = 1
    noise_seed: int = 0


@dataclass
class Ending:
    """How an episode went: `why` is solved, time is over, or stopped by a signal's name."""

    episode: int
    steps: int
    why: str
    plans: int = 0
    late: int = 0
    """Plans for which the robot had to wait."""
    missed: int = 0
    """Steps that were left out because the one before them took too long."""

    @property
    def solved(self) -> bool:
        """Whether the robot says that its task is solved."""
        return self.why == "solved"


Told = Callable[[int, Float[np.ndarray, "action"] | None, tuple[str, ...]], None]
"""(step, the action sent or None, how it was changed)"""


class ControlLoop:
    """Runs episodes on a robot that is connected, and always brings it to rest: when they are over, at a
    signal, when the robot, the planner or the gate raises.

    On a real clock a step sends first and looks then, so that sending is punctual; on a stepped one it looks
    first, and with no latency does what `robot-eval` does.
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
        on_step: Told = lambda step, action, changes: None,
    ) -> None:
        self.robot, self.planning, self.handover, self.gate = robot, planning, handover, gate
        self.clock, self.log, self.settings, self.on_step = clock, log, settings, on_step
        gate.on_intervention = self._intervened
        self._step = 0

    def run(self, signals: StopSignals) -> Generator[Ending, None, None]:
        """Each episode's ending, until one of `signals`, which are open, has come. Closing the iterator stops
        the robot.

        Raises:
            SafetyStop: the gate has stopped the run.
            Exception: what the robot or the planner raised.
        """
        why, failed = "done", False
        with _undisturbed():
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
        robot.observe()  # so that `still` is where it is now
        missed_before = self.clock.missed
        self.clock.start()
        self.gate.begin(robot.still(), self.clock.now())
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
        if not robot.stepped:  # time goes on until the next episode
            self.gate.hold()
        ending.missed = self.clock.missed - missed_before
        self.log.write("ending", **vars(ending))
        return ending

    def _is_over(self, step: int) -> bool:
        longest, seconds = self.robot.longest, self.settings.seconds
        return (
            (longest is not None and step >= longest)
            or (seconds is not None and step >= round(seconds * self.clock.rate))
            or self.handover.is_over(step)
        )

    def _look(self, step: int) -> None:
        """Look, and ask for a plan if one is due. A policy that looks at several moments needs every one."""
        due = step >= self._look_at and not self.planning.busy
        if not due and self.settings.history == 1:
            return
        seen = self.robot.observe()
        self._moments.append(seen)
        if not due:
            return
        digests, now = Digests.of(seen), self.clock.now()
        self.log.write("look", step=step, t=now, **digests._asdict())
        if not self.gate.believes(digests.telling, now):
            return
        before = list(self._moments)[:-1]
        before = [before[0] if before else seen] * (self.settings.history - 1 - len(before)) + before
        request = Request(
            seen._replace(before=tuple(before)), self._seed + self._ending.plans, self._ending.episode, step
        )
        self._ending.plans += 1
        self._look_at = step + self.settings.replan
        self.planning.ask(request)

    def _receive(self, step: int) -> None:
        """Take over a plan that has come, without its actions whose step has passed."""
        plan = self.planning.received(step)
        if plan is None or plan.request.episode != self._ending.episode:
            return
        admitted = self.gate.admits(plan.chunk)
        dropped = self.handover.add(plan.chunk, plan.request.step, step) if admitted else len(plan.chunk)
        if not admitted:
            self._look_at = step  # at once, with other noise
        late = self._starving and self._ending.plans > 1  # for the first, everybody waits
        self._ending.late += late
        self._starving = False
        self.log.write(
            "plan", step=step, asked=plan.request.step, seconds=plan.seconds, admitted=admitted,
            dropped=dropped, late=late,
        )  # fmt: skip

    def _act(self, step: int, late: float) -> None:
        asked, sent, changes = self.handover.action(step), None, ()
        if asked is None:
            self._starving |= self.planning.busy
            self.gate.nothing(self.clock.now())
        else:
            sent, changes = self.gate.send(asked, self.clock.now())
        at = self.clock.now()
        self.log.write(
            "step", step=step, t=at, late=late, took=at - late - step / self.clock.rate,
            asked=asked, sent=sent, changes=changes,
        )  # fmt: skip
        self.on_step(step, sent, changes)

    def _intervened(self, kind: str, detail: str) -> None:
        self.log.write("intervention", step=self._step, what=kind, detail=detail)

    def _finish(self, why: str, failed: bool) -> None:
        """Rest, whatever has happened; an error on the way is written down, and raised unless the run has
        `failed` by one before, which it must not hide."""
        stopped = "yes"
        try:
            self.gate.stop()
        except Exception as error:
            stopped = named_line(error)
            if not failed:
                raise
        finally:
            with suppress(OSError):  # a full disk keeps nobody from letting go of the robot
                counts = dict(self.gate.counts)
                self.log.write(
                    "end", why=why, stopped=stopped, checked=self.gate.checked, interventions=counts
                )
            self.planning.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without what makes a step late: collections of everything that was loaded, and a long grip on the
    interpreter by the planning thread."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
