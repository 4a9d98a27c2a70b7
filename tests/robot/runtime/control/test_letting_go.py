"""Robots that fall when they are let go of: held, parked, or let go of, and never without a word."""

import os
import pty
import signal
import sys
from collections.abc import Callable

import numpy as np
import pytest
from robot.runtime.robots.fakes import FakeRobot

from toyflow.errors import UsageError
from toyflow.robot.interface import Observation
from toyflow.robot.limits import Patience
from toyflow.robot.runtime.control import letting_go
from toyflow.robot.runtime.control.clock import RealClock
from toyflow.robot.runtime.control.letting_go import UNATTENDED_SECONDS, LettingGo, Operator, check_way
from toyflow.robot.runtime.control.log import RunLog, read_log
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.control.slow_motion import RANGE_SHARE, logged

RATE = 10


class Arm(FakeRobot):
    """Goes where it is sent, but no farther than `reaches`; `lost` says when its bus is gone."""

    def __init__(self) -> None:
        super().__init__(stepped=False)
        self.falls, self.at, self.reaches, self.lost = True, np.zeros(2), 9.0, False

    def observe(self) -> Observation:
        self._check()
        return super().observe()

    def send(self, action) -> None:
        self._check()
        self.at = np.clip(action, -self.reaches, self.reaches)
        super().send(action)

    def hold(self) -> None:
        self._check()
        super().hold()

    def still(self):
        return self.at.copy()

    def _check(self) -> None:
        if self.lost:
            raise OSError("the bus is silent")


class Typist(Operator):
    """Says one thing after some looks; `None` is nobody."""

    def __init__(self, *lines: str, after: int = 3) -> None:
        self.attends, self.lines, self.after = bool(lines), list(lines), after

    def said(self) -> str | None:
        self.after -= 1
        return self.lines.pop(0) if self.after < 0 and self.lines else None


class Rig:
    """An arm that was connected at 0 and then sent to `at`, about to be let go of; nobody waits for time."""

    def __init__(self, way: str, typist: Operator, at: float = 0.5) -> None:
        self.arm, self.said, self.signals, self.time = Arm(), [], StopSignals(), 0.0
        self.gate = Gate(self.arm, self.arm.limits.completed(RATE), Patience(), RATE, self.arm.action_names)
        clock = RealClock(RATE, self._now, self._sleep)
        self.end = LettingGo(self.gate, way, self.signals, self.said.append, typist, clock)
        self.gate.begin(None, 0.0)
        self.gate.send(np.full(2, at), 0.0)
        self.on_step: Callable[[], object] = lambda: None

    def _now(self) -> float:
        self.time += 0.0001  # the clock spins a little before a step is due
        return self.time

    def _sleep(self, seconds: float) -> None:
        self.time += seconds
        self.on_step()

    def signal_once(self, due: Callable[[], bool], number: int = signal.SIGTERM) -> None:
        """Have a signal come at the first step at which it is `due`."""

        def look() -> None:
            if self.signals.count == 0 and due():
                self.signals.number, self.signals.count = number, 1

        self.on_step = look


def test_it_is_held_until_enter():
    rig = Rig("hold", Typist("what?", "", after=30))
    rig.end.finish(orderly=True)
    assert rig.arm.did[1:] == 32 * ["hold"] and rig.time == pytest.approx(3.1, abs=0.2)
    assert [line.split(",")[0] for line in rig.said] == [
        "fake is held. SUPPORT ITS ARMS", "fake is held. SUPPORT ITS ARMS",
        "fake is let go of: its arms may fall.",
    ]  # fmt: skip


def test_where_nobody_can_press_enter_it_is_held_for_a_while():
    rig = Rig("hold", Typist())
    rig.end.finish(orderly=False)
    assert rig.time == pytest.approx(UNATTENDED_SECONDS, abs=0.2) and "nobody can press ENTER" in rig.said[0]


def test_an_enter_of_long_ago_lets_no_robot_fall(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        operator = Operator()
        os.write(ours, b"\n")
        rig = Rig("hold", operator)
        rig.on_step = lambda: os.write(ours, b"\n") if rig.time > 5 else None
        rig.end.finish(orderly=True)
        os.close(ours)
    assert rig.time == pytest.approx(5, abs=0.3)


def test_a_terminal_that_is_gone_or_closed_is_nobody(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        operator = Operator()
        os.write(ours, b"\xff\n")
        assert operator.said() == "?" and operator.attends
        os.close(ours)
        assert operator.said() is None and not operator.attends
    operator.attends = True
    assert operator.said() is None and not operator.attends  # its file is closed


def test_what_cannot_be_said_does_not_keep_it_from_being_held():
    rig = Rig("hold", Typist())
    rig.end._tell = lambda line: sys.exit(1)  # as rich where a pipe is closed
    rig.end.finish(orderly=False)
    assert rig.time == pytest.approx(UNATTENDED_SECONDS, abs=0.2) and "hold" in rig.arm.did


def test_a_joint_that_never_moved_in_training_is_parked_and_arrives():
    rig = Rig("park", Typist())
    for bound in (rig.gate.lower, rig.gate.upper, rig.gate.step):
        bound[1] = 0.0
    rig.arm.at = np.array([0.5, 0.02])  # sagged
    rig.end.finish(orderly=True)
    assert np.abs(rig.arm.at).max() < 0.01
    assert not any("not parked" in line for line in rig.said)


@pytest.mark.parametrize(("number", "bounded"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_while_it_is_held_sigterm_bounds_the_wait_and_ctrl_c_does_not(number, bounded):
    rig = Rig("hold", Typist("", after=300))
    rig.signal_once(lambda: True, number)
    rig.end.finish(orderly=True)
    assert rig.time == pytest.approx(UNATTENDED_SECONDS if bounded else 30, abs=0.3)


def test_it_is_parked_slowly_where_it_was_at_the_start():
    rig = Rig("park", Typist())
    rig.end.finish(orderly=True)
    np.testing.assert_allclose(rig.arm.at, 0, atol=1e-9)
    sent = np.array(rig.arm.sent)
    assert np.abs(np.diff(sent, axis=0)).max() <= RANGE_SHARE * 2 / RATE + 1e-9
    assert rig.time == pytest.approx(5, abs=0.3) and rig.said[-1] == "fake is let go of."
    assert "moves back to where it was at the start: 5 s" in rig.said[0]


def test_what_is_sent_on_the_way_is_logged_as_a_motion(tmp_path):
    rig = Rig("park", Typist())
    with RunLog(tmp_path / "log") as log:
        log.write("run")
        rig.end._on_sent = logged(log, "park")
        rig.end.finish(orderly=True)
    rows = read_log(tmp_path / "log").of("motion")
    assert [row["sent"] for row in rows] == [sent.tolist() for sent in rig.arm.sent[1:]]
    assert [row["step"] for row in rows] == list(range(len(rows))) and {row["phase"] for row in rows} == {
        "park"
    }


def test_a_log_that_cannot_be_written_does_not_keep_it_from_being_parked(tmp_path, monkeypatch):
    rig = Rig("park", Typist())
    with RunLog(tmp_path / "log") as log:
        rig.end._on_sent = logged(log, "park")
        monkeypatch.setattr(log, "write", lambda *kind, **values: os.write(-1, b""))
        rig.end.finish(orderly=True)
    np.testing.assert_allclose(rig.arm.at, 0, atol=1e-9)


def test_after_a_signal_or_an_error_nothing_moves_by_itself():
    rig = Rig("park", Typist())
    rig.end.finish(orderly=False)
    assert len(rig.arm.sent) == 1 and set(rig.arm.did[1:]) == {"hold"}
    assert rig.said[-1] == "fake is let go of: its arms may fall."


def test_p_parks_it():
    rig = Rig("hold", Typist("p"))
    rig.end.finish(orderly=False)
    np.testing.assert_allclose(rig.arm.at, 0, atol=1e-9)
    assert rig.arm.did.count("hold") < 20 and rig.said[-1] == "fake is let go of."


def test_a_signal_on_the_way_stops_it_there():
    rig = Rig("park", Typist(""))
    rig.signal_once(lambda: len(rig.arm.sent) == 10)
    rig.end.finish(orderly=True)
    assert len(rig.arm.sent) == 10 and rig.arm.at[0] > 0.3
    assert "fake is not parked: stopped by SIGTERM." in rig.said and "is held" in rig.said[2]


def test_one_that_does_not_arrive_is_held():
    rig = Rig("park", Typist(""))
    rig.end.start = np.full(2, -0.5)
    rig.arm.reaches = 0.3
    rig.end.finish(orderly=True)
    assert "fake is not parked: shoulder does not get there." in rig.said and "is held" in rig.said[2]


def test_one_that_can_not_be_held_is_said_and_waited_for():
    rig = Rig("park", Typist())
    rig.arm.lost = True
    rig.end.finish(orderly=True)
    assert rig.said[1] == "fake is not parked: OSError: the bus is silent."
    assert "can NOT be held (OSError: the bus is silent): its arms may be falling" in rig.said[2]
    assert sum("NOT" in line for line in rig.said) == 1 and rig.time > UNATTENDED_SECONDS


def test_where_it_was_is_not_known_it_is_held():
    rig = Rig("park", Typist(""))
    rig.end.start = np.array([0.0, np.nan])
    rig.end.finish(orderly=True)
    assert "fake is not parked: where it is or should be is not known." in rig.said


def test_a_terminal_that_is_gone_lets_no_robot_fall():
    def gone(line):
        raise BrokenPipeError

    rig = Rig("hold", Typist())
    rig.end._tell = gone
    rig.end.finish(orderly=True)
    assert rig.time > UNATTENDED_SECONDS


def test_it_is_let_go_of_at_once_where_the_user_says_so():
    rig = Rig("release", Typist())
    rig.end.finish(orderly=False)
    assert rig.said == ["fake is let go of: its arms may fall."] and rig.arm.did == ["send"]


def test_other_ways_are_refused():
    with pytest.raises(UsageError, match=r"unknown --at-end 'drop'\. Available: hold, park, release"):
        check_way("drop")


def test_at_the_end_of_input_nobody_attends(monkeypatch, tmp_path):
    (tmp_path / "typed").write_text("  P\n\n")
    with (tmp_path / "typed").open() as typed:
        monkeypatch.setattr("sys.stdin", typed)
        operator = Operator()
        assert not operator.attends and operator.said() is None  # a file is no terminal
        operator.attends = True
        monkeypatch.setattr(letting_go.select, "select", lambda *lists: lists)
        assert operator.said() == "p" and operator.said() == "" and operator.attends
        assert operator.said() is None and not operator.attends
