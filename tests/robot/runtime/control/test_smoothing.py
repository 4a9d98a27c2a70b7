"""What is sent keeps its limits: the filter alone, behind the gate, and in the loop under every hand-over."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robot.points import StraightPlanner
from robot.runtime.robots.fakes import FakeRobot

from toyflow.errors import UsageError
from toyflow.robot.handover import parse_handover
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.runtime.control.clock import RealClock, SteppedClock
from toyflow.robot.runtime.control.control_loop import ControlLoop, LoopSettings
from toyflow.robot.runtime.control.log import RunLog, read_log
from toyflow.robot.runtime.control.planning import SteppedPlanning
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.control.smoothing import Smoother, smoother_of
from toyflow.robot.runtime.control.summary import Summary

pytest.importorskip("ruckig")

RATE = 50.0
SEEDS_IN_DEGREES = (61, 93, 104, 180, 201, 247)
EDGE = 1 + 1e-9
"""A limit may be exceeded by rounding."""


def limits(dims: int = 2, **kinds: float) -> Limits:
    values = {"lower": -2.0, "upper": 2.0, "step": np.inf, "velocity": 5.0, "jerk": 500.0, **kinds}
    return Limits(**{kind: np.full(dims, float(value)) for kind, value in values.items()})


def differences(sent, rate: float) -> list[np.ndarray]:
    """The largest velocity, acceleration and jerk by dimension, less what rounding of the positions adds."""
    sent = np.asarray(sent)
    rounding = 4 * np.spacing(np.abs(sent).max())
    return [
        (np.abs(np.diff(sent, n=order, axis=0)).max(0) - 2**order * rounding) * rate**order
        for order in (1, 2, 3)
    ]


def check_kept(sent, by: Limits, rate: float) -> None:
    velocity, acceleration, jerk = differences(sent, rate)
    for found, limit in ((velocity, by.velocity), (acceleration, by.acceleration), (jerk, by.jerk)):
        assert limit is None or (found <= limit * EDGE).all(), (found, limit)
    assert by.step is not None and by.lower is not None and by.upper is not None
    assert (np.abs(np.diff(sent, axis=0)) <= by.step * EDGE + 1e-12).all()
    assert (sent >= by.lower - 1e-7).all() and (sent <= by.upper + 1e-7).all()


def random_limits(rng: np.random.Generator, dims: int) -> Limits:
    """Over orders of magnitude, in radians or degrees; each of acceleration, jerk and step unlimited in some
    dimensions."""
    unit = np.where(rng.random(dims) < 0.5, 1, 180 / np.pi)

    def some(low: float, high: float, share: float) -> np.ndarray:
        return np.where(rng.random(dims) < share, 10 ** rng.uniform(low, high, dims), np.inf)

    acceleration = some(-1, 3, 0.5)
    jerk = np.where(np.isinf(acceleration), 10 ** rng.uniform(0, 5, dims), some(0, 5, 0.8))
    ends = rng.uniform(0.1, 3, (2, dims))
    kinds = (-ends[0], ends[1], some(-3, 0, 0.5), 10 ** rng.uniform(-1, 2, dims), jerk, acceleration)
    return Limits(*(unit * kind for kind in kinds))


def random_chunk(rng: np.random.Generator, by: Limits, rate: float, horizon: int = 12) -> np.ndarray:
    """A line, a wave, steps, or noise, anywhere between the bounds and beyond."""
    assert by.lower is not None and by.upper is not None
    time = np.arange(horizon)[:, None] / rate
    start = rng.uniform(by.lower, by.upper)
    span = by.upper - by.lower
    speed = span * rng.normal(size=len(start)) * rng.choice([0.0, 0.1, 1, 10])
    match rng.integers(4):
        case 0:
            chunk = start + speed * time
        case 1:
            chunk = start + 0.1 * span * np.sin(20 * rng.random() * time + speed)
        case 2:
            chunk = np.where(rng.random((horizon, len(start))) < 0.5, by.lower, by.upper)
        case _:
            chunk = start + span / 3 * rng.normal(size=(horizon, len(start)))
    return np.clip(chunk, by.lower, by.upper)


def drive(rng: np.random.Generator, handovers: int, dims: int = 2) -> None:
    """Random chunks, each taken up for a while; now and then none comes."""
    by, rate = random_limits(rng, dims), float(rng.choice([10, 30, 50, 100]))
    smoother = Smoother(by, rate)
    assert by.lower is not None and by.upper is not None
    start = rng.uniform(by.lower, by.upper)
    smoother.begin(start)
    sent = [start] * 3
    for _ in range(handovers):
        chunk = random_chunk(rng, by, rate)
        for place in range(rng.integers(1, 6)):
            ahead = chunk[place + 1] if rng.random() < 0.8 else None
            sent.append(smoother.brake() if rng.random() < 0.05 else smoother.follow(chunk[place], ahead))
    check_kept(np.array(sent), by, rate)
    while smoother.is_moving and len(sent) < 10_000:
        sent.append(smoother.brake())
    check_kept(np.array(sent[-500:]), by, rate)


@pytest.mark.parametrize("seed", SEEDS_IN_DEGREES)
def test_in_degrees_where_ruckig_itself_finds_no_halt_the_limits_are_kept(seed):
    """Found by a search: without units of its own speed the filter left these bounds, or broke its speed."""
    rng = np.random.default_rng(seed)
    speed = rng.uniform(30, 300)
    push = speed * rng.uniform(2, 40)
    jerk, rate = push * rng.uniform(5, 200), float(rng.choice([30, 50]))
    by = Limits(*(np.full(1, value) for value in (-100.0, 100.0, np.inf, speed, jerk, push)))
    smoother = Smoother(by, rate)
    target = rng.uniform(-100, 100, 1)
    smoother.begin(target)
    sent = [target] * 3
    for _ in range(150):
        if rng.random() < 0.2:
            target = rng.uniform(-100, 100, 1)
        elif rng.random() < 0.4:
            target = np.clip(target + rng.normal(0, 0.5) * speed / rate, -100, 100)
        ahead = np.clip(target + rng.normal(0, 0.5, 1) * speed / rate, -100, 100)
        sent.append(smoother.follow(target, None if rng.random() < 0.3 else ahead))
    check_kept(sent, by, rate)


@given(st.integers(0, 2**32))
def test_whatever_chunks_follow_each_other_the_limits_are_kept(seed):
    drive(np.random.default_rng(seed), handovers=10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_in_100_000_hand_overs_the_limits_are_kept():
    """In a process of its own, where types are not checked, which would take ten times as long."""
    script = (
        "import numpy as np; from robot.runtime.control.test_smoothing import drive\n"
        "for seed in range(1000): drive(np.random.default_rng(seed), handovers=100)"
    )
    tests = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(tests)})


def test_what_keeps_the_limits_is_followed_exactly():
    time = np.arange(200) / RATE
    wave = np.stack([np.sin(2 * time), 0.5 * np.cos(3 * time)], 1)
    smoother = Smoother(limits(jerk=2000.0), RATE)
    smoother.begin(wave[0])
    sent = np.array([smoother.follow(a, b) for a, b in itertools.pairwise(wave)])
    np.testing.assert_array_equal(sent[25:], wave[25:-1])  # it set out from rest


def test_a_jump_is_caught_up_with_in_the_least_time():
    """From rest to rest over a distance D, where only jerk binds: 4 (D / 2 jerk)^(1/3)."""
    smoother = Smoother(limits(1, velocity=1e6), RATE)
    smoother.begin(np.zeros(1))
    goal = np.full(1, 0.9)
    sent = [smoother.follow(goal, goal)[0] for _ in range(60)]
    steps = next(place for place, position in enumerate(sent, 1) if position == 0.9)
    assert steps == int(np.ceil(4 * (0.9 / (2 * 500)) ** (1 / 3) * RATE))


def test_where_it_is_unknown_it_rests_where_it_is_first_sent():
    smoother = Smoother(limits(), RATE)
    smoother.begin(np.array([np.nan, 1.0]))
    first = smoother.follow(np.array([0.5, 0.0]))
    assert first[0] == 0.5 and 0.9 < first[1] < 1


def test_from_outside_its_bounds_it_comes_in_and_goes_no_farther():
    smoother = Smoother(limits(1), RATE)
    smoother.begin(np.array([3.0]))
    sent = [3.0, *(smoother.follow(np.ones(1))[0] for _ in range(100))]
    assert (np.diff(sent) <= 0).all() and sent[-1] == 1


def test_a_velocity_comes_to_rest_at_0_and_a_position_where_it_is():
    rest, smoother = np.array([0.0, np.nan]), Smoother(limits(), RATE)
    smoother.begin(np.zeros(2))
    for _ in range(30):
        smoother.follow(np.array([0.7, 0.7]))
    assert smoother.is_at_rest() and not smoother.is_at_rest(rest)
    sent = [smoother.brake(rest) for _ in range(40)]
    assert smoother.is_at_rest(rest) and sent[-1].tolist() == [0, 0.7]
    assert not np.isclose(sent[0], 0).any()


def test_where_neither_acceleration_nor_jerk_is_bounded_only_velocity_is():
    by = limits(jerk=np.inf, velocity=5.0)
    smoother = Smoother(by, RATE)
    smoother.begin(np.array([0.0, np.nan]))
    assert smoother.follow(np.array([1.0, 1.0])).tolist() == pytest.approx([0.1, 1])
    assert smoother.is_at_rest() and smoother.brake().tolist() == pytest.approx([0.1, 1])


def test_before_a_position_is_known_there_is_nothing_to_brake():
    smoother = Smoother(limits(), RATE)
    smoother.begin(np.array([np.nan, 0.5]))
    assert smoother.is_at_rest(np.array([np.nan, 0.0]))


def test_a_dimension_that_may_not_move_does_not():
    smoother = Smoother(limits(step=0.0), RATE)
    smoother.begin(np.zeros(2))
    assert smoother.follow(np.ones(2)).tolist() == [0, 0] and smoother.is_at_rest(np.ones(2))


def test_only_limits_that_were_asked_for_smooth():
    complete = limits().completed(RATE)
    assert smoother_of(Limits(), complete, RATE) is None
    assert smoother_of(Limits(velocity=np.ones(2)), complete, RATE) is None
    eased = smoother_of(Limits(acceleration=np.ones(2)), complete, RATE)  # the derived jerk binds nothing
    assert eased is not None
    eased.begin(np.zeros(2))
    sent = [np.zeros(2)] * 3 + [eased.follow(np.ones(2)) for _ in range(120)]
    _, acceleration, jerk = differences(sent, RATE)
    assert (acceleration <= EDGE).all() and jerk.max() == pytest.approx(RATE, rel=1e-3)


def test_without_ruckig_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ruckig", None)
    with pytest.raises(UsageError, match=r"need Ruckig [^\n]*pip install 'toyflow\[robot\]'"):
        Smoother(limits(), RATE)


class Disagreeing(StraightPlanner):
    """Smooth chunks, every second one 0.2 away from the others; the sixth plan raises, if it is to."""

    def __init__(self, raises: bool = False) -> None:
        super().__init__()
        self.horizon, self.raises, self.plans = 20, raises, 0

    def plan(self, observations, seeds):
        self.plans += 1
        if self.raises and self.plans == 6:
            raise RuntimeError("out of memory")
        ramp = np.linspace(0, 0.1, self.horizon) + 0.2 * (self.plans % 2)
        return ramp[None, :, None].repeat(2, 2).astype(np.float32)


class Velocities(FakeRobot):
    """Its second number is a velocity."""

    @property
    def resting(self):
        return np.array([np.nan, 0.0])


def run(
    folder,
    handover: str,
    stepped=True,
    latency=0,
    replan=10,
    smooth=True,
    raises=False,
    steps=60,
    kind=FakeRobot,
):
    """The log of a run at 100 Hz with a limit of jerk of 500 units per second^3."""
    robot = kind(stepped=stepped)
    by = limits(step=0.5, velocity=50.0, jerk=500.0 if smooth else 1e9)
    path = folder / "a.jsonl"
    with RunLog(path) as log:
        header = {"robot": "fake", "rate": 100.0, "dry_run": False, "action_names": robot.action_names}
        log.write("run", clock="stepped" if stepped else "real", limits=by.as_dict(), **header)
        gate = Gate(
            robot, by, Patience(50, 900, 1e9), 100.0, smoother=Smoother(by, 100.0) if smooth else None
        )
        clock = SteppedClock(100.0) if stepped else RealClock(100.0, *(ticking := Ticking(), ticking.sleep))
        loop = ControlLoop(
            robot, SteppedPlanning(Disagreeing(raises), latency), parse_handover(handover), gate, clock, log,
            LoopSettings(replan, episodes=1, seconds=steps / 100),
        )  # fmt: skip
        try:
            list(loop.run(StopSignals()))
        except RuntimeError:
            assert raises
    return robot, read_log(path)


class Ticking:
    """Seconds that pass only while somebody sleeps, and a little at every look."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1e-5
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("handover", ["switch", "blend:3", "ensemble"])
@pytest.mark.parametrize("latency", [0, 4, 15])  # 15 steps: it runs out of actions, brakes and holds
@pytest.mark.parametrize("stepped", [True, False])
def test_the_jerk_of_what_is_sent_is_kept_under_every_hand_over(tmp_path, handover, latency, stepped):
    robot, recording = run(tmp_path, handover, stepped, latency)
    summary = Summary.of(recording)
    assert 0 < max(most for most, _ in summary.jerk.values()) <= 500 * EDGE
    check_kept(np.array([np.zeros(2)] * 3 + robot.sent), limits(step=0.5, velocity=50.0), 100.0)
    assert any(line.startswith("jerk of what was sent: at most ") for line in summary.lines())
    assert "limit 500" in "".join(summary.lines())
    if latency == 15:
        assert summary.interventions["brake"] and summary.interventions["hold"]


@pytest.mark.parametrize("handover", ["switch", "blend:3", "ensemble"])
def test_without_a_limit_of_jerk_what_is_sent_jerks_and_is_as_it_was(tmp_path, handover):
    robot, recording = run(tmp_path, handover, smooth=False)
    most = max(most for most, _ in Summary.of(recording).jerk.values())
    assert most > 5_000
    asked = [line["asked"] for line in recording.of("step")]
    assert [sent.tolist() for sent in robot.sent] == asked


@pytest.mark.parametrize("raises", [True, False])
def test_a_real_robot_comes_to_rest_within_its_limits_when_a_run_ends(tmp_path, raises):
    robot, recording = run(tmp_path, "switch", stepped=False, replan=4, raises=raises, steps=26)
    assert robot.did[-2:] == ["hold", "stop"]
    braked = [line for line in recording.of("step") if line["changes"] == ["brake"]]
    assert braked and recording.of("end")[0]["interventions"]["brake"] == len(braked)
    check_kept(
        np.array([np.zeros(2)] * 3 + robot.sent + [robot.sent[-1]] * 3),
        limits(step=0.5, velocity=50.0),
        100.0,
    )


def test_a_velocity_is_brought_to_0_when_a_run_ends(tmp_path):
    robot, _ = run(tmp_path, "switch", stepped=False, kind=Velocities, steps=30)
    assert robot.sent[-1][1] == 0 and robot.sent[-1][0] > 0.05


def test_a_cut_off_log_has_the_jerk_of_its_steps(tmp_path):
    _, recording = run(tmp_path, "switch", smooth=False)
    whole = Summary.of(recording).jerk
    cut = Summary.of(
        recording._replace(lines=[line for line in recording.lines if line["kind"] != "end"])
    ).jerk
    assert cut["elbow"][0] == pytest.approx(whole["elbow"][0], rel=1e-9)
