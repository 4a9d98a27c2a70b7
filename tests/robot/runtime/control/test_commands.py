"""robot-run and robot-replay, in this process; and in one of its own where signals come into it.

One file, as both commands share the policies that are made here.
"""

import re
import signal
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from robot.points import Points
from robot.runtime.robots.fakes import FakeRobot

from toyflow.flow import Decoding
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec
from toyflow.robot.policy_opening import find_policy, ready_planner
from toyflow.robot.runtime.control.log import read_log
from toyflow.robot.runtime.control.run_figure import draw_run
from toyflow.robot.runtime.control.summary import Summary
from toyflow.robot.simulation.rollout import episode_seed
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Trained


def untrained(folder, interface: Interface, objective: str = "flow") -> str:
    """The checkpoint of a policy with random weights."""
    torch.manual_seed(0)
    statistics = {"mean": [0.0] * 4, "std": [0.1] * 4}
    action = {name: numbers[: interface.action_dim] for name, numbers in statistics.items()}
    spec = PolicySpec("nano", interface, image_size=32)
    policy = Policy(spec, Normalisation.from_statistics(statistics, action))
    times = ("shift:4", "stratified") if objective == "flow" else (None, None)
    record = TrainingRecord("robot", {"interface": str(interface)}, objective, *times, 0, {})
    details = {"policy": spec.as_dict(), "normalisation": policy.normalisation.as_dict(), "made_of": {}}
    store = Store(folder / "out")
    store.prepare()
    weights = {name: tensor.contiguous() for name, tensor in policy.state_dict().items()}
    store.write_training(record, Trained(weights, pd.DataFrame({"iteration": []}), details), {})
    return str(store.training_folder(record))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return untrained(tmp_path_factory.mktemp("policy"), Points.interface)


@pytest.fixture(scope="module")
def fast(tmp_path_factory) -> str:
    """For the fake robot, at 100 Hz."""
    return untrained(tmp_path_factory.mktemp("policy"), Interface(("front",), 4, 2, 100))


def test_it_drives_a_simulator_and_the_log_replays(toyflow, checkpoint):
    done = toyflow(
        "robot-run", checkpoint, "--robot", "points", "--suite", "points", "--states", "0,1",
        "--handover", "ensemble", "--latency-steps", "1", "--log", "a.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "episode 1: time is over after 60 steps" in done.stdout and "interventions:" in done.stdout
    assert "try `toyflow robot-eval" in done.stdout and "--blind" not in done.stdout  # points has its robot
    shown = toyflow("robot-replay", "a.jsonl")
    assert shown.returncode == 0, shown.stderr
    assert "2 episodes ended, 0 solved; 120 steps" in shown.stdout
    assert (toyflow.folder / "a.png").stat().st_size > 20_000
    wrong = toyflow("robot-replay", "a.jsonl", "--figure", "a.txt")
    assert wrong.returncode == 2 and "a figure is .png, .pdf, .svg, not a.txt" in wrong.stderr
    again = toyflow("robot-replay", "a.jsonl", "--robot", "points", "--log", "b.jsonl")
    assert again.returncode == 0, again.stderr
    never = toyflow("robot-replay", "a.jsonl", "--robot", "points", "--rate", "-1")
    assert never.returncode == 2 and "--rate takes a finite number above 0, not -1" in never.stderr
    first, second = (
        [line["sent"] for line in read_log(toyflow.folder / name).of("step")]
        for name in ("a.jsonl", "b.jsonl")
    )
    assert [action for action in first if action] == [action for action in second if action]


def test_with_its_defaults_it_does_on_a_simulator_what_evaluation_does(toyflow, checkpoint):
    done = toyflow(
        "robot-run", checkpoint, "--robot", "points", "--suite", "points", "--states", "3", "--log", "a.jsonl"
    )
    assert done.returncode == 0, done.stderr
    points = Points("points", 0, image_size=32)
    points.reset(0, 3)
    planner = ready_planner(find_policy(checkpoint, None, toyflow.folder), Decoding(), "cpu", 1)
    seed, expected = episode_seed(0, "points", 0, 3), []
    for plan in range(6):
        [chunk] = planner.plan([points.observe()], [seed + plan])
        expected += list(chunk)
        for action in chunk:
            points.step(action)
    asked = [line["asked"] for line in read_log(toyflow.folder / "a.jsonl").of("step")]
    np.testing.assert_allclose(asked, expected, atol=1e-4)


def test_a_dry_run_prints_and_moves_nothing(toyflow, fast):
    done = toyflow(
        "robot-run", fast, "--robot", "fake", "--seconds", "0.1", "--dry-run", "--set", "trace=did",
        "--log", "a.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "step 9: " in done.stdout
    assert (toyflow.folder / "did").read_text().split() == ["connect", "disconnect"]
    assert read_log(toyflow.folder / "a.jsonl").header["dry_run"] is True


def test_limits_from_a_file_are_kept(toyflow, fast):
    (toyflow.folder / "limits.toml").write_text("lower = {default = -0.01}\nupper = 0.01\nstep = 0.5\n")
    limits = ("--limits", "limits.toml", "--log", "a.jsonl")
    done = toyflow("robot-run", fast, "--robot", "fake", "--seconds", "0.2", *limits)
    assert done.returncode == 0, done.stderr
    summary = Summary.of(read_log(toyflow.folder / "a.jsonl"))
    assert summary.interventions["bounds"] and "x bounds" in done.stdout


def test_a_run_without_an_action_says_why_and_fails(toyflow, fast):
    (toyflow.folder / "still.toml").write_text("velocity = 1e-9")
    words = ("robot-run", fast, "--robot", "fake", "--limits", "still.toml")
    done = toyflow(*words, "--seconds", "0.5", "--log", "a.jsonl")
    assert done.returncode == 1 and "no action was sent in 50 steps" in done.stderr
    said = " ".join(done.stdout.split())
    assert (
        "50 refused, 0 actions dropped" in said
        and "log: a.jsonl" in said
        and "no action was ever sent" in said
    )
    assert re.search(r"the last chunk that was refused: velocity of (shoulder|elbow) \S+, limit 1e-09", said)
    shown = toyflow("robot-replay", "a.jsonl")
    assert shown.returncode == 0 and (toyflow.folder / "a.png").stat().st_size > 20_000
    stopped = toyflow(*words, "--seconds", "9", "--log", "b.jsonl")
    assert stopped.returncode == 1 and "log: b.jsonl" in stopped.stdout
    assert re.search(
        r"Refused so far: \d+ x velocity\. The last chunk was refused: velocity of .* --limits FILE",
        stopped.stderr,
    )


def test_it_says_which_joints_were_held_back(toyflow, fast):
    (toyflow.folder / "slow.toml").write_text(
        "step = {elbow = 1e-6, default = 9}\nvelocity = inf\njerk = inf"
    )
    done = toyflow("robot-run", fast, "--robot", "fake", "--limits", "slow.toml", "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("changed:")]
    assert line.startswith("changed: elbow ")


def test_a_replay_keeps_to_the_logs_limits(toyflow, checkpoint):
    (toyflow.folder / "slow.toml").write_text("step = 0.01\nvelocity = inf\njerk = inf")
    points = ("--robot", "points", "--suite", "points", "--states", "0", "--seconds", "1")
    done = toyflow("robot-run", checkpoint, *points, "--limits", "slow.toml", "--log", "a.jsonl")
    assert done.returncode == 0, done.stderr
    again = toyflow("robot-replay", "a.jsonl", *points, "--log", "b.jsonl")
    assert again.returncode == 0, again.stderr
    first, second = (read_log(toyflow.folder / name) for name in ("a.jsonl", "b.jsonl"))
    assert second.header["limits"]["step"] == [0.01, 0.01]
    assert [line["sent"] for line in first.of("step")] == [line["sent"] for line in second.of("step")]


def test_a_simulator_may_rest(toyflow, fast):
    done = toyflow(
        "robot-run", fast, "--robot", "fake", "--seconds", "1", "--set", "frozen=1", "--replan", "2"
    )
    assert done.returncode == 0 and "stale" not in done.stdout, done.stderr


def test_a_real_robot_keeps_to_what_the_data_did(toyflow, fast):
    log = ("--seconds", "0.1", "--log", "a.jsonl", "--dry-run")
    done = toyflow("robot-run", fast, "--robot", "fake", "--set", "real=1", *log)
    assert done.returncode == 0, done.stderr
    assert "The policy reads a prompt; name one with --prompt" in done.stdout
    said = " ".join(done.stdout.split())
    assert (
        "no simulator that is installed has its robot: compare numbers of steps on the robot itself" in said
    )
    assert "robot-eval" not in said
    assert "a guess from the actions' mean and standard deviation" in " ".join(done.stdout.split())
    assert "what would be sent: shoulder, elbow" in done.stdout
    limits = read_log(toyflow.folder / "a.jsonl").header["limits"]  # the robot: 1, the data: 5 times 0.1
    assert limits["upper"] == pytest.approx([0.5, 0.5])


def test_demonstrations_limit_a_real_robot(toyflow, fast, small):
    words = ("--set", "real=1", "--limits-from", str(small[0]), "--seconds", "1", "--log", "a.jsonl")
    other = toyflow("robot-run", fast, "--robot", "fake", *words)
    assert other.returncode == 2 and "shoulder goes from -2.59 to 2.84 in data set" in other.stderr
    (toyflow.folder / "a.toml").write_text("lower = -3\nupper = 3\nvelocity = inf\njerk = inf\n")
    done = toyflow("robot-run", fast, "--robot", "fake", *words, "--limits", "a.toml")
    assert done.returncode == 0, done.stderr
    header = read_log(toyflow.folder / "a.jsonl").header
    largest = max(np.abs(np.diff(made.trajectory.action, axis=0)).max() for made in small[1])
    assert max(header["limits"]["step"]) == pytest.approx(min(0.5, 1.5 * largest / 10))  # 10 Hz to 100 Hz
    assert (
        "limits: of a.toml, else the narrower of fake's own and those of data set"
        in header["limits_from"][-1]
    )
    assert "limits: of a.toml" in " ".join(done.stdout.split())


FAKE = ("--robot", "fake", "--rate", "100")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--robot", "fke"), "unknown robot 'fke'. Did you mean 'fake'?"),
        (("--robot", "points"), "name a suite of it by --suite"),
        (("--robot", "points", "--suite", "points", "--states", "9"), "has no initial state 9; it has 0"),
        (("--robot", "points", "--suite", "points", "--task", "7"), "has no task 7"),
        (("--robot", "fake"), "runs at 100 steps per second, the policy was made for 10"),
        ((*FAKE, "--replan", "11"), "--replan must be 1 to the horizon, 10"),
        ((*FAKE, "--handover", "blnd"), "unknown hand-over 'blnd'"),
        ((*FAKE, "--set", "real=1", "--latency-steps", "1"), "is for simulators"),
        ((*FAKE, "--limits", "none.toml"), "limits none.toml cannot be read: No such file"),
        ((*FAKE, "--set", "real"), "--set takes pairs such as"),
        ((*FAKE, "--noise-seed", "-1"), "Invalid value for '--noise-seed'"),
        (("--robot", "fake", "--rate", "0"), "--rate takes a finite number above 0, not 0"),
        ((*FAKE, "--seconds", "-1"), "--seconds takes a finite number above 0, not -1"),
        (("--robot", "fake", "--rate", "inf"), "--rate takes a finite number above 0, not inf"),
    ],
)
def test_what_cannot_be_is_said_before_anything_moves(toyflow, checkpoint, words, said):
    done = toyflow("robot-run", checkpoint, *words)
    assert done.returncode == 2 and said in done.stderr.replace("\n", " ")
    assert done.stderr.count("\n") == 1


def test_cameras_are_renamed_from_the_policy_s_to_the_robot_s(toyflow, checkpoint, tmp_path):
    other = untrained(tmp_path, replace(Points.interface, cameras=("top",)))
    points = ("--robot", "points", "--suite", "points", "--seconds", "0.5")
    done = toyflow("robot-run", other, *points, "--rename", "top=front", "--sampler", "heun", "--log", "a")
    assert done.returncode == 0, done.stderr
    header = read_log(toyflow.folder / "a").header
    assert header["interface"]["cameras"] == ["top"] and header["sampler"] == "heun"
    for rename, said in (
        ("top=side", "unknown camera of points 'side'"),
        ("top=front,side=front", "--rename takes each camera once"),
    ):
        wrong = toyflow("robot-run", other, *points, "--rename", rename)
        assert wrong.returncode == 2 and said in wrong.stderr, wrong.stderr


def test_a_replay_says_what_it_is_of_and_needs_the_same_joints(toyflow, fast):
    toyflow("robot-run", fast, "--robot", "fake", "--seconds", "0.2", "--dry-run", "--log", "a.jsonl",
            "--set", "trace=did")  # fmt: skip
    log = toyflow.folder / "a.jsonl"
    log.write_bytes(log.read_bytes()[:-30])
    again = toyflow("robot-replay", "a.jsonl", "--robot", "fake", "--log", "b.jsonl")
    assert again.returncode == 0, again.stderr
    assert "of a dry run" in again.stdout and "log is damaged: line" in again.stdout
    assert read_log(toyflow.folder / "b.jsonl").header["settings"]["options"] == {"trace": "did"}
    words = ("robot-replay", "a.jsonl", "--robot", "points", "--suite", "points", "--log", "c.jsonl")
    other = toyflow(*words)
    assert other.returncode == 2 and "recorded on fake with 2 (shoulder, elbow)" in other.stderr
    idle = toyflow("robot-replay", "a.jsonl", "--robot", "idle", "--log", "d.jsonl")
    assert idle.returncode == 0, idle.stderr
    assert read_log(toyflow.folder / "d.jsonl").header["action_names"] == ["shoulder", "elbow"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [("send", "the bus is silent"), ("frozen", "x stale"), ("frozen camera", "x stale")],
)
def test_a_robot_that_fails_is_one_line_and_an_exit_code(toyflow, fast, fault, said):
    (toyflow.folder / "limits.toml").write_text("stale_after = 100\nstop_after = 400\n")
    done = toyflow(
        "robot-run", fast, "--robot", "fake", "--seconds", "9", "--set", f"{fault}=1", "--set", "trace=did",
        "--set", "real=1", "--replan", "2", "--log", "a.jsonl", "--limits", "limits.toml",
    )  # fmt: skip
    assert done.returncode == 1 and said in done.stderr.replace("\n", " ")
    assert (toyflow.folder / "did").read_text().split()[-3:] == ["hold", "stop", "disconnect"]


def test_a_log_that_is_gone_does_not_hide_why_the_run_ended(toyflow, fast, monkeypatch):
    def send(robot, action):
        (toyflow.folder / "a.jsonl").unlink()
        raise OSError("the bus is silent")

    monkeypatch.setattr(FakeRobot, "send", send)
    done = toyflow("robot-run", fast, "--robot", "fake", "--seconds", "1", "--log", "a.jsonl")
    assert done.returncode == 1 and "the run ended by OSError: the bus is silent" in done.stderr
    assert "log: a.jsonl" in done.stdout


@pytest.mark.filterwarnings("error")
def test_a_stop_long_after_the_last_step_is_drawn(toyflow, fast):
    toyflow("robot-run", fast, "--robot", "fake", "--seconds", "0.3", "--log", "a.jsonl")
    recording = read_log(toyflow.folder / "a.jsonl")
    stop = {"kind": "intervention", "step": 500, "what": "stop", "detail": "no fresh action"}
    drawn = draw_run(recording._replace(lines=[*recording.lines, stop]), toyflow.folder / "a.png")
    with Image.open(drawn) as image:
        assert image.width > 1000


@pytest.mark.parametrize("moment", ["connect", "disconnect"])
def test_a_signal_while_connecting_or_letting_go_lets_the_robot_rest_too(toyflow, fast, moment):
    options = ("--set", "trace=did", "--set", f"signal={moment}", "--seconds", "0.1", "--log", "a.jsonl")
    done = toyflow("robot-run", fast, "--robot", "fake", *options)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert (toyflow.folder / "did").read_text().split() == ["connect", "hold", "stop", "disconnect"]
    steps = read_log(toyflow.folder / "a.jsonl").of("step")
    assert len(steps) == (0 if moment == "connect" else 10)


REAL = ("--robot", "fake", "--set", "real=1", "--set", "trace=did", "--seconds", "60", "--log", "a.jsonl")


def started(toyflow, fast):
    process = toyflow.start("robot-run", fast, *REAL)
    log = toyflow.folder / "a.jsonl"
    until = time.monotonic() + 120
    while not log.exists() or len(log.read_bytes().splitlines()) < 30:
        assert time.monotonic() < until and process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process, log


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_bring_the_robot_to_rest(toyflow, fast, number):
    process, log = started(toyflow, fast)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number, err
    assert f"stopped by {number.name}" in out
    assert (toyflow.folder / "did").read_text().split()[-3:] == ["hold", "stop", "disconnect"]
    assert read_log(log).of("end")[0]["why"] == f"stopped by {number.name}"


@pytest.mark.slow
def test_the_log_is_readable_after_kill_9(toyflow, fast):
    process, log = started(toyflow, fast)
    process.kill()
    process.communicate(timeout=20)
    summary = Summary.of(read_log(log))
    assert summary.steps > 10 and summary.end is None
    assert "cut off" in summary.lines()[0]
    assert toyflow("robot-replay", "a.jsonl", "--figure", "run.svg").returncode == 0


def test_a_second_signal_ends_the_command_with_its_number(toyflow, fast, monkeypatch):
    def connect(robot):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(FakeRobot, "connect", connect)
    done = toyflow("robot-run", fast, "--robot", "fake", "--set", "trace=did", "--log", "a.jsonl")
    assert done.returncode == 128 + signal.SIGINT and "Traceback" not in done.stderr
    assert (toyflow.folder / "did").read_text().split() == ["disconnect"]


@pytest.mark.parametrize("steps", ["1", "3"])
def test_real_time_chunking_on_a_simulator(toyflow, checkpoint, steps):
    late = (
        "--suite",
        "points",
        "--steps",
        steps,
        "--latency-steps",
        "2",
        "--replan",
        "5",
        "--handover",
        "rtc",
    )
    done = toyflow("robot-run", checkpoint, "--robot", "points", "--states", "0", "--log", "a.jsonl", *late)
    assert done.returncode == 0, done.stderr
    recording = read_log(toyflow.folder / "a.jsonl")
    assert recording.header["handover"] == "rtc" and len(recording.of("plan")) == 12
    assert all(plan["dropped"] == 2 and plan["admitted"] for plan in recording.of("plan"))


def test_a_policy_without_a_velocity_is_not_driven_by_rtc(toyflow, tmp_path):
    done = toyflow(
        "robot-run", untrained(tmp_path, Points.interface, "regression"), "--robot", "points", "--suite",
        "points", "--handover", "rtc", "--log", "a.jsonl",
    )  # fmt: skip
    assert done.returncode == 2 and not (toyflow.folder / "a.jsonl").exists()
    assert "--handover rtc is for policies with objective flow" in " ".join(done.stderr.split())
