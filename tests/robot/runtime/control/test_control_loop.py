"""The control loop on a fake robot and a clock of its own. One file, as the tests share this rig."""

import itertools
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from robot.points import StraightPlanner
from robot.runtime.robots.fakes import FakeRobot

from toyflow.errors import UsageError
from toyflow.robot.handover import Blend, Ensemble, parse_handover
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.planner import PlanLost
from toyflow.robot.runtime.control.clock import RealClock, SteppedClock
from toyflow.robot.runtime.control.control_loop import ControlLoop, LoopSettings
from toyflow.robot.runtime.control.log import RunLog, read_log
from toyflow.robot.runtime.control.planning import SteppedPlanning, ThreadedPlanning
from toyflow.robot.runtime.control.replay import NoPlanning, RecordedActions
from toyflow.robot.runtime.control.safety import Gate, SafetyStop
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.control.summary import Summary
from toyflow.robot.runtime.robots import RobotSettings, open_robot
from toyflow.robot.simulation.rollout import Episode, RolloutSetup, episode_seed, run_episodes

PATIENCE = Patience(hold_after=50, stop_after=300, stale_after=100)


class Planner(StraightPlanner):
    """A slow ramp for the fake robot; `fault` spoils plans from the second on."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault, self.plans = fault, 0

    def plan(self, observations, seeds):
        self.plans += 1
        chunk = np.linspace(0, 0.1, self.horizon, dtype=np.float32)[:, None].repeat(2, 1)
        if self.plans > 1:
            match self.fault:
                case "nan":
                    chunk[2, 1] = np.nan
                case "jump":
                    chunk[2:] += 3
                case "far":
                    chunk += 3
                case "lost":
                    raise PlanLost("ws://gpu:8000 closed the connection (without a word).")
                case "raises":
                    raise RuntimeError("out of memory")
        return chunk[None]


class HangingPlanner(Planner):
    """Plans `most` times, and then not before it is released."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.is_hanging, self.released = most, threading.Event(), threading.Event()

    def plan(self, observations, seeds):
        if self.plans == self.most:
            self.is_hanging.set()
            assert self.released.wait(30)
        return super().plan(observations, seeds)


class PromptPlanning(ThreadedPlanning):
    """Lets the loop wait for its thread until that has answered or hangs, so that tests do not race."""

    planner: HangingPlanner

    def received(self, step):
        plan = super().received(step)
        while self.busy and not self.planner.is_hanging.is_set():
            plan = super().received(step)
        return plan


class ReleasingRobot(FakeRobot):
    """Releases a planner that hangs once it was stopped."""

    def __init__(self, planner: HangingPlanner) -> None:
        super().__init__(stepped=False)
        self.planner = planner

    def stop(self) -> None:
        assert self.planner.is_hanging.is_set() and not self.planner.released.is_set()
        super().stop()
        self.planner.released.set()


class Time:
    """Seconds that pass only while somebody sleeps, and `tick` at every look."""

    def __init__(self, tick: float = 1e-5) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Rig:
    """A loop on the fake robot, with a log. Real time is a `Time` that passes in no time."""

    def __init__(
        self, folder, robot, planner, handover=None, latency=0, patience=PATIENCE, planning=None, **settings
    ) -> None:
        self.robot, self.path = robot, folder / f"{next(NUMBERS)}.jsonl"
        rate = robot.interface.fps
        stepped = robot.stepped
        planning = planning or SteppedPlanning(planner, latency)
        self.log = RunLog(self.path)
        self.log.write(
            "run", robot=robot.name, rate=rate, limits=robot.limits.as_dict(), dry_run=False,
            clock="stepped" if stepped else "real", action_names=robot.dimensions,
        )  # fmt: skip
        self.gate = Gate(robot, robot.limits.completed(rate), patience, rate)
        self.time = Time()
        clock = SteppedClock(rate) if stepped else RealClock(rate, self.time, self.time.sleep)
        self.loop = ControlLoop(
            robot, planning, handover or Blend(0), self.gate, clock, self.log, LoopSettings(**settings)
        )

    def run(self):
        with self.log, StopSignals() as signals:
            return list(self.loop.run(signals))

    @property
    def summary(self) -> Summary:
        return Summary.of(read_log(self.path))


STEPPED = replace(PATIENCE, hold_after=0)
NUMBERS = itertools.count()


@pytest.mark.parametrize("stepped", [True, False])
def test_it_runs_and_comes_to_rest(tmp_path, stepped):
    robot = FakeRobot(stepped)
    rig = Rig(tmp_path, robot, Planner(), replan=3, seconds=0.3)
    [ending] = rig.run()
    assert (ending.why, ending.steps + ending.missed) == ("time is over", 30)
    assert robot.did[-2:] == ["hold", "stop"] and len(robot.sent) == 30 - (not stepped)
    assert rig.summary.end == "done" and rig.summary.damage is None


class Halfway(StraightPlanner):
    """Goes on from what is committed by the mean of that and its own way, and keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = []

    def continue_plan(self, observations, seeds, committed):
        chunks = self.plan(observations, seeds)
        for chunk, each in zip(chunks, committed, strict=True):
            assert each is not None
            self.told.append((each.actions.tolist(), each.frozen))
            chunk[: len(each.actions)] = (chunk[: len(each.actions)] + each.actions) / 2
        return chunks


@pytest.mark.parametrize("handover", ["switch", "blend", "ensemble", "rtc"])
@pytest.mark.parametrize(("latency", "replan"), [(0, 3), (0, 5), (1, 3), (3, 2), (4, 5)])
def test_on_a_stepped_clock_it_does_what_evaluation_does(tmp_path, handover, latency, replan):
    evaluated, planner = Halfway(), Halfway()
    setup = RolloutSetup("points", "points", 16, replan, latency_steps=latency, handover=handover)
    seed = episode_seed(0, "points", 1, 2)
    [outcome] = run_episodes(setup, [Episode(1, 2, seed, 60)], evaluated, 1)
    robot = open_robot("points", RobotSettings(planner.interface, suite="points", task=1, states=(2,)))
    patience = replace(STEPPED, stop_after=5000, stale_after=np.inf)
    rig = Rig(tmp_path, robot, planner, parse_handover(handover), latency, patience, replan=replan)
    [ending] = rig.run()
    assert (ending.solved, ending.steps) == (outcome.success, outcome.steps)
    assert planner.seeds == evaluated.seeds and planner.told == evaluated.told
    assert bool(planner.told) == (handover == "rtc" and (latency, replan) not in {(0, 5), (4, 5)})


@pytest.mark.parametrize("handover", ["switch", "blend", "ensemble"])
def test_on_a_stepped_clock_it_is_deterministic_with_latency_too(tmp_path, handover):
    runs = []
    for _ in range(2):
        planner = StraightPlanner()
        robot = open_robot("points", RobotSettings(planner.interface, suite="points"))
        rig = Rig(tmp_path, robot, planner, parse_handover(handover), 2, STEPPED, replan=3, episodes=2)
        rig.run()
        recording = read_log(rig.path)
        assert all(
            plan["dropped"] == 2 and plan["step"] == plan["asked"] + 2 for plan in recording.of("plan")
        )
        runs.append([line["sent"] for line in recording.of("step")])
    assert runs[0] == runs[1] and runs[0][:3] != [None] * 3 and runs[0][:2] == [None] * 2


def test_episodes_start_where_they_are_told_and_end_when_solved(tmp_path):
    planner = StraightPlanner()
    robot = open_robot("points", RobotSettings(planner.interface, suite="points", states=(0, 3)))
    endings = Rig(tmp_path, robot, planner, replan=2, episodes=3).run()
    assert [ending.why for ending in endings] == ["solved"] * 3
    assert endings[0].steps == endings[2].steps


@pytest.mark.parametrize("suite", ["scored", "points"])
def test_a_simulators_score_is_in_the_log_and_the_summary(tmp_path, suite):
    planner = StraightPlanner()
    robot = open_robot("points", RobotSettings(planner.interface, suite=suite, states=(0, 3)))
    rig = Rig(tmp_path, robot, planner, replan=2, episodes=2, seconds=0.5)
    endings, logged = rig.run(), read_log(rig.path).of("ending")
    if suite == "points":
        assert [ending.score for ending in endings] == [None] * 2 and not any(
            "score" in each for each in logged
        )
        assert "mean score" not in rig.summary.lines()[0]
        return
    scores = [ending.score for ending in endings if ending.score is not None]
    assert len(scores) == 2 and all(0 < score < 1 for score in scores)  # on the way
    assert [each["score"] for each in logged] == scores
    mean = np.mean(scores)
    assert f"2 episodes ended, 0 solved, mean score {mean:.3f}; " in rig.summary.lines()[0]


def test_between_episodes_a_robot_holds_and_is_looked_at(tmp_path, monkeypatch):
    robot = FakeRobot(stepped=False)
    rig = Rig(tmp_path, robot, Planner(), replan=3, seconds=0.1, episodes=2)
    looked: list[int] = []
    monkeypatch.setattr(robot, "still", lambda: looked.append(robot.looks) or np.zeros(2))
    monkeypatch.setattr(robot, "begin", lambda episode: robot.did.append(f"begin at {robot.looks}"))
    rig.run()
    second = next(i for i, what in enumerate(robot.did) if what.startswith("begin") and i > 0)
    assert robot.did[second - 1] == "hold"
    assert robot.did[second] == f"begin at {looked[1] - 1}"


def test_late_plans_are_counted_and_their_passed_actions_dropped(tmp_path):
    robot = FakeRobot(stepped=False)
    rig = Rig(tmp_path, robot, Planner(), Blend(0), latency=4, replan=4, seconds=0.5)
    [ending] = rig.run()
    # A plan of 5 actions for steps s to s + 4 arrives at s + 4, and has one action left: the next is late.
    plans = read_log(rig.path).of("plan")
    assert [plan["dropped"] for plan in plans] == [4] * len(plans)
    assert [plan["late"] for plan in plans] == [False] + [True] * (len(plans) - 1)
    assert ending.late == rig.summary.late == len(plans) - 1 > 8
    assert ending.missed == 0 and rig.summary.jitter.most < 1  # nobody waited


def test_a_planner_that_hangs_is_not_waited_for(tmp_path):
    robot = ReleasingRobot(planner := HangingPlanner(most=1))
    rig = Rig(tmp_path, robot, planner, planning=PromptPlanning(planner), replan=2, seconds=5)
    with pytest.raises(SafetyStop, match=r"no fresh action for 3.. ms"):
        rig.run()
    assert len(robot.sent) == planner.horizon - 1  # the first chunk, which came a step late, to its end
    assert robot.did[-2:] == ["hold", "stop"]
    assert rig.summary.interventions["hold"] == 1 and rig.summary.interventions["stop"] == 1


def test_a_first_plan_that_never_comes_stops_it_too(tmp_path):
    robot = ReleasingRobot(planner := HangingPlanner(most=0))
    with pytest.raises(SafetyStop):
        Rig(tmp_path, robot, planner, planning=PromptPlanning(planner), replan=2, seconds=5).run()
    assert robot.sent == [] and robot.did[-1] == "stop"


def test_what_a_planner_raises_in_its_thread_ends_the_run(tmp_path):
    planner, robot = HangingPlanner(most=9), FakeRobot(stepped=False)
    planner.fault = "raises"
    rig = Rig(tmp_path, robot, planner, planning=PromptPlanning(planner), replan=2, seconds=5)
    with pytest.raises(RuntimeError, match="out of memory"):
        rig.run()
    assert robot.sent and robot.did[-1] == "stop"


@pytest.mark.parametrize(("fault", "kind"), [("nan", "not-finite"), ("jump", "velocity")])
def test_chunks_that_cannot_be_are_never_executed(tmp_path, fault, kind):
    robot = FakeRobot()
    rig = Rig(tmp_path, robot, Planner(fault), patience=STEPPED, replan=3, seconds=2)
    with pytest.raises(SafetyStop, match=f"x {kind}"):
        rig.run()
    assert len(robot.sent) == Planner.horizon  # the first chunk to its end, then hold
    assert "hold" in robot.did and robot.did[-1] == "stop"
    assert rig.summary.refused == rig.summary.interventions[kind] > 1


def test_a_chunk_that_is_far_away_is_approached_within_limits(tmp_path):
    robot = FakeRobot()
    rig = Rig(tmp_path, robot, Planner("far"), replan=3, seconds=0.2)
    rig.run()
    sent = np.array(robot.sent)
    assert sent.max() == 1.0 and np.abs(np.diff(sent, axis=0)).max() <= 0.5 + 1e-9
    assert rig.summary.interventions["bounds"] and rig.summary.interventions["change"]


@pytest.mark.parametrize("fault", ["frozen", "frozen camera"])
def test_an_observation_that_freezes_stops_it(tmp_path, fault):
    robot = FakeRobot(faults=(fault,))
    rig = Rig(tmp_path, robot, Planner(), patience=STEPPED, replan=2, seconds=5)
    with pytest.raises(SafetyStop, match="x stale"):
        rig.run()
    assert robot.did[-1] == "stop" and rig.summary.interventions["stale"] > 1


@pytest.mark.parametrize(("faults", "fault"), [(("send",), ""), ((), "raises"), (("send", "stop"), "")])
def test_whatever_raises_the_robot_is_stopped_and_it_is_written_down(tmp_path, faults, fault):
    robot = FakeRobot(faults=faults)
    rig = Rig(tmp_path, robot, Planner(fault), replan=3, seconds=1)
    with pytest.raises((OSError, RuntimeError), match=r"the bus is silent|out of memory"):
        rig.run()
    assert robot.did[-2:] == ["hold", "stop"]
    end = read_log(rig.path).of("end")[0]
    assert end["why"] in ("OSError: the bus is silent", "RuntimeError: out of memory")
    assert end["stopped"] == ("OSError: the bus is silent" if "stop" in faults else "yes")


def test_a_robot_that_cannot_be_stopped_is_an_error_of_its_own(tmp_path):
    with pytest.raises(OSError, match="the bus is silent"):
        Rig(tmp_path, FakeRobot(faults=("stop",)), Planner(), replan=3, seconds=0.1).run()


def test_nor_is_that_hidden_by_a_signal(tmp_path):
    rig = Rig(tmp_path, FakeRobot(faults=("stop",)), Planner(), replan=3, seconds=1)
    rig.loop.on_step = lambda *step: signal.raise_signal(signal.SIGINT)
    with pytest.raises(OSError, match="the bus is silent"):
        rig.run()
    assert rig.summary.end == "stopped by SIGINT"
    assert "the robot was not brought to rest: OSError: the bus is silent" in rig.summary.lines()


def test_closing_it_stops_the_robot(tmp_path):
    robot = FakeRobot()
    rig = Rig(tmp_path, robot, Planner(), replan=3, seconds=0.1, episodes=3)
    with rig.log:
        endings = rig.loop.run(StopSignals())
        next(endings)
        endings.close()
    assert robot.did[-2:] == ["hold", "stop"]


def test_every_action_sent_was_checked(tmp_path):
    robot = FakeRobot(stepped=False)
    rig = Rig(tmp_path, robot, Planner(), Ensemble(), replan=1, seconds=0.3)
    rig.run()
    assert rig.gate.checked == len(robot.sent) == rig.summary.steps - rig.summary.unsent


def test_the_real_clock_keeps_its_schedule_and_leaves_out_what_it_missed():
    seconds = Time()
    clock = RealClock(200.0, seconds, seconds.sleep)
    clock.start()
    step, came = -1, []
    for work in (0, 0, 0.018, 0, 0):
        step, late = clock.next_step(step)
        came.append((step, late))
        seconds.sleep(work)
    assert [step for step, _ in came] == [0, 1, 2, 5, 6] and clock.missed == 2  # 10 ms + 18 ms: step 5
    assert [late for _, late in came] == pytest.approx([0, 0, 0, 0.003, 0], abs=1e-4)


def test_the_real_clock_really_waits():
    clock, began = RealClock(50.0), time.perf_counter()
    clock.start()
    step = 0
    while step < 3:
        step, late = clock.next_step(step)
        assert late >= 0
    assert time.perf_counter() - began >= 3 / 50


def test_the_recorded_actions_are_sent_again_at_their_steps(tmp_path):
    planner = StraightPlanner()
    settings = RobotSettings(planner.interface, suite="points", states=(0, 1))
    first = Rig(tmp_path, open_robot("points", settings), planner, replan=3, episodes=2)
    endings = first.run()
    recording = read_log(first.path)
    robot = open_robot("points", settings)
    again = Rig(tmp_path, robot, planner, RecordedActions(recording), replan=1, episodes=2)
    again.loop.planning = NoPlanning()
    assert [(e.why, e.steps) for e in again.run()] == [(e.why, e.steps) for e in endings]
    sent = [[line["sent"] for line in read_log(path).of("step")] for path in (first.path, again.path)]
    assert sent[0] == sent[1]


def test_replaying_passes_the_gate(tmp_path):
    robot = FakeRobot()
    rig = Rig(tmp_path, robot, Planner(), replan=3, seconds=0.2)
    rig.run()
    tighter = FakeRobot()
    tighter.limits = Limits(np.full(2, -0.02), np.full(2, 0.02), np.full(2, 0.5))
    again = Rig(tmp_path, tighter, Planner(), RecordedActions(read_log(rig.path)), replan=1)
    again.loop.planning = NoPlanning()
    again.run()
    assert np.max(tighter.sent) == 0.02 and again.summary.interventions["bounds"]


class HistoryPlanner(Planner):
    """Looks at three observations, and keeps what it was shown."""

    history = 3

    def __init__(self) -> None:
        super().__init__()
        self.shown = []

    def plan(self, observations, seeds):
        [seen] = observations
        self.shown.append([round(1000 * float(each.state[0])) for each in (*seen.before, seen)])
        return super().plan(observations, seeds)


@pytest.mark.parametrize("stepped", [True, False])
def test_a_lost_plan_is_like_a_late_one_the_robot_holds_then_stops(tmp_path, stepped):
    robot = FakeRobot(stepped=stepped)
    patience = STEPPED if stepped else PATIENCE
    rig = Rig(tmp_path, robot, Planner("lost"), replan=3, patience=patience, seconds=20)
    with pytest.raises(SafetyStop, match=r"no fresh action for 3.. ms.*ws://gpu:8000 closed the connection"):
        rig.run()
    assert len(robot.sent) in (4, 5) and robot.did[-2:] == ["hold", "stop"]
    lost = [line for line in read_log(rig.path).of("intervention") if line["what"] == "plan lost"]
    assert len(lost) > 20 and lost[0]["detail"].startswith("ws://gpu:8000 closed")


def test_a_plan_may_be_asked_for_again_after_one_is_lost(tmp_path):
    class Flaky(Planner):
        def plan(self, observations, seeds):
            chunk = super().plan(observations, seeds)
            if self.plans == 2:
                raise PlanLost("it is gone")
            return chunk

    rig = Rig(tmp_path, FakeRobot(), Flaky(), replan=3, seconds=0.2, patience=STEPPED)
    [ending] = rig.run()
    assert (ending.why, ending.steps) == ("time is over", 20) and rig.summary.interventions["plan lost"] == 1


def test_a_policy_with_a_history_sees_every_step(tmp_path):
    robot, planner = FakeRobot(), HistoryPlanner()
    Rig(tmp_path, robot, planner, replan=4, seconds=0.12, history=3).run()
    # The robot counts its looks; the first was before step 0. Before three there are, the first is repeated.
    assert planner.shown == [[2, 2, 2], [4, 5, 6], [8, 9, 10]]


def test_a_second_signal_interrupts_unless_the_robot_is_coming_to_rest():
    with StopSignals() as signals:
        assert (signals.asked, signals.name) == (False, "")
        signal.raise_signal(signal.SIGTERM)
        assert (signals.asked, signals.name) == (True, "SIGTERM")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signals.finishing = True
        signal.raise_signal(signal.SIGINT)
        assert signals.name == "SIGINT"


def test_a_run_that_sent_nothing_cannot_be_replayed(tmp_path):
    rig = Rig(tmp_path, FakeRobot(), Planner(), replan=3, seconds=0.1, latency=60)
    rig.run()
    with pytest.raises(UsageError, match="holds no actions that were sent"):
        RecordedActions(read_log(rig.path))


class ContinuingPlanner(Planner):
    """Keeps what it was told is committed, and goes on from there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.told = []

    def continue_plan(self, observations, seeds, committed):
        [told] = committed
        assert told is not None
        self.told.append(told)
        chunk = self.plan(observations, seeds)
        chunk[0, : told.frozen] = told.actions[: told.frozen]
        return chunk


@pytest.mark.parametrize("latency", [0, 2])
def test_with_rtc_the_policy_is_told_what_is_sent_while_it_plans(tmp_path, latency):
    planner = ContinuingPlanner()
    rig = Rig(
        tmp_path,
        FakeRobot(),
        planner,
        parse_handover("rtc"),
        latency,
        patience=STEPPED,
        replan=2,
        seconds=0.13,
    )
    rig.run()
    assert planner.plans == 1 + len(planner.told) and {told.frozen for told in planner.told} == {latency}
    asked = [line["asked"] for line in read_log(rig.path).of("step")]
    for told, look in zip(planner.told, read_log(rig.path).of("look")[1:], strict=False):
        sent = np.array(asked[look["step"] :][:latency]).reshape(-1, 2)
        np.testing.assert_allclose(told.actions[:latency][: len(sent)], sent, atol=1e-6)
