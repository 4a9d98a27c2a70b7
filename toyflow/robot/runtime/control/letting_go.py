"""The end of a run of a robot that falls when it is let go of: held until somebody is there, or parked."""

from __future__ import annotations

import math
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from toyflow.errors import named_line, unknown
from toyflow.robot.runtime.control.clock import RealClock
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.control.slow_motion import OnSent, SlowMotion, unlogged
from toyflow.robot.runtime.robots.base import Robot
from toyflow.robot.runtime.robots.driver_calls import is_attended

WAYS = ("hold", "park", "release")
"""What `--at-end` takes, the default first."""
UNATTENDED_SECONDS = 10.0
"""How long a robot is held where nobody can press ENTER."""


def check_way(way: str) -> None:
    """Raise UsageError unless `way` is one of `WAYS`."""
    if way not in WAYS:
        raise unknown("--at-end", way, WAYS)


def announcement(robot: Robot, way: str) -> str:
    """What will be done at the end, to be said before anything moves."""
    what = {
        "hold": "it is held until you press ENTER",
        "park": "it moves back to where it is now, then it is let go of",
        "release": "it is let go of at once",
    }
    return (
        f"{robot.name} may let its arms FALL when it is let go of. At the end {what[way]} (--at-end {way})."
    )


class Operator:
    """Whoever sits at the terminal, if anybody does."""

    def __init__(self) -> None:
        self.attends = is_attended() and sys.platform != "win32"  # where select does not take a terminal

    def said(self) -> str | None:
        """The line that was typed since the last call; None for none. At the end of input nobody attends."""
        try:
            if not self.attends or not select.select([sys.stdin], [], [], 0)[0]:
                return None
            line = sys.stdin.readline()
        except UnicodeDecodeError:  # a key that is no text is no answer
            return "?"
        except (OSError, ValueError):  # the terminal is gone, or closed
            line = ""
        self.attends = line != ""
        return line.strip().lower() if line else None

    def forget(self) -> None:
        """Drop what was typed until now: an ENTER of long ago lets no robot fall."""
        if self.attends:
            import termios  # not on Windows, where nobody attends

            with suppress(OSError, ValueError, termios.error):  # no terminal
                termios.tcflush(sys.stdin, termios.TCIFLUSH)


class LettingGo:
    """Brings a robot that falls to its end, in one of three ways:

    - `hold`: it is held until ENTER; without a terminal, or after SIGTERM, for `UNATTENDED_SECONDS`.
    - `park`: it moves back to where it was when it was connected, slowly and in a straight line of its
      joints, and is then let go of. After a signal, an error or a safety stop nothing moves by itself, and
      the robot is held as above; P and ENTER still park it.
    - `release`: it is let go of at once.

    A line is said before each of them. What is sent meanwhile passes the gate.

    Args:
        gate: of the connected robot. Its episode is over, or has not begun.
        way: one of `WAYS`.
        signals: entered as a context.
        tell: shows a line to the user.
        operator: whoever can press ENTER.
        clock: paces what is sent.
        on_sent: called after each action on the way back.

    Attributes:
        lost: why the robot could not be held; empty where it could.
    """

    def __init__(
        self,
        gate: Gate,
        way: str,
        signals: StopSignals,
        tell: Callable[[str], object],
        operator: Operator | None = None,
        clock: RealClock | None = None,
        on_sent: OnSent = unlogged,
    ) -> None:
        self.gate, self.robot, self.way, self.signals, self._tell = gate, gate.robot, way, signals, tell
        self.operator, self.clock = operator or Operator(), clock or RealClock(gate.rate)
        self.start, self._on_sent = self.robot.still(), on_sent
        self.lost = ""

    def finish(self, orderly: bool) -> None:
        """Hold, park, or neither; then the robot may be disconnected.

        Args:
            orderly: whether the run has ended by itself, and not by a signal, an error or a safety stop.
        """
        self.clock.start()
        self._step, self._signals = -1, self.signals.count
        parked = self.way == "park" and orderly and self._park()
        if self.way != "release" and not parked:
            parked = self._hold_until_ready()
        self.tell(f"{self.robot.name} is let go of{'' if parked else ': its arms may fall'}.")

    def tell(self, line: str) -> None:
        """Show a line, where anything can be shown: a terminal that is gone lets no robot fall."""
        with suppress(Exception, SystemExit):  # rich ends the program where a pipe is closed
            self._tell(line)

    def _hold_until_ready(self) -> bool:
        """Whether it was parked meanwhile."""
        until, asked = math.inf, False
        while self.clock.now() < until:
            self._hold()
            bounded = not self.operator.attends or self._terminated()
            if bounded and until == math.inf:
                until = self.clock.now() + UNATTENDED_SECONDS
                self.tell(
                    f"{self.robot.name} is held for {UNATTENDED_SECONDS:g} s, then let go of. SUPPORT ITS "
                    "ARMS: nobody can press ENTER here."
                )
            elif not bounded and not asked:
                asked = True
                self.operator.forget()
                self.tell(
                    f"{self.robot.name} is held. SUPPORT ITS ARMS, then press ENTER to let go of it; or P "
                    "and ENTER to move it back to where it was at the start first."
                )
            said = self.operator.said()
            if said == "" or (said == "p" and self._park()):
                return said == "p"
            asked &= said is None  # asks again
            self._next_step()
        return False

    def _terminated(self) -> bool:
        """Whether SIGTERM has come since this began; a further Ctrl-C does not let a robot fall."""
        return self.signals.count > self._signals and self.signals.number == signal.SIGTERM

    def _hold(self) -> None:
        try:
            self.gate.hold()
        except Exception as error:
            if not self.lost:
                self.lost = named_line(error)
                self.tell(
                    f"{self.robot.name} can NOT be held ({self.lost}): its arms may be falling. "
                    "Support them, or use the emergency stop."
                )

    def _park(self) -> bool:
        """Whether the robot is back where it was at the start. A signal on the way stops it."""
        name = self.robot.name
        motion = SlowMotion(self.gate, self.signals, self.clock, self._on_sent)
        try:
            if self.start is None:
                why_not = "where it was is not known"
            else:
                self.tell(
                    f"{name} moves back to where it was at the start: {motion.seconds(self.start):.0f} s"
                )
                why_not = motion.move(self.start)
        except Exception as error:
            why_not = named_line(error)
        if why_not:
            self.tell(f"{name} is not parked: {why_not}.")
        return not why_not

    def _next_step(self) -> None:
        self._step, _ = self.clock.next_step(self._step)
