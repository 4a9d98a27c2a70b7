"""robot-run on the twin of LeRobot's two YAM arms, by a policy trained on data with their names and units.

Whatever ends a run, the last that the arms were sent is where they were, and no arm falls without a word.
"""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lerobot")

from faults.bench import inside

from toyflow.api import robot_driving
from toyflow.robot.data.demos.data_set_writer import Demonstration, write_data_set
from toyflow.robot.data.demos.recording import Trajectory
from toyflow.robot.interface import Interface
from toyflow.robot.runtime.control import letting_go, slow_motion
from toyflow.robot.runtime.control.log import read_log

pytestmark = pytest.mark.slow

YAM = Interface(("top", "left", "right"), state_dim=14, action_dim=14, fps=50)
NAMES = [
    f"{side}_{part}.pos"
    for side in ("left", "right")
    for part in (*(f"joint_{k}" for k in range(6)), "gripper")
]
HOME = np.array([0.0, 0.3, 0.3, -0.3, 0.0, 0.0, 0.5] * 2)


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    """A policy trained for a moment on arms that wave about `HOME`, of which one starts with a jerk."""
    folder = tmp_path_factory.mktemp("yam")
    generator, steps = np.random.default_rng(0), np.arange(31)[:, None]

    def wave(phase: float) -> Trajectory:
        motion = (HOME + 0.015 * np.sin(steps / 8 + phase + np.arange(14))).astype(np.float32)
        state, action = motion[:-1].copy(), motion[1:].copy()
        action[0] -= 0.12 * (phase == 0)
        images = {
            camera: generator.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8) for camera in YAM.cameras
        }
        return Trajectory(images, state, action)

    (folder / "data").mkdir()
    write_data_set(folder / "data", [Demonstration("wave", wave(phase)) for phase in range(3)], YAM, 32)
    info = folder / "data" / "meta" / "info.json"
    content = json.loads(info.read_text())
    for feature in ("action", "observation.state"):
        content["features"][feature]["names"] = NAMES
    info.write_text(json.dumps(content))
    done = inside(
        folder, "robot-train", "--dataset", "data", "--iterations", "2", "--batch-size", "4", "--horizon",
        "20", "--threads", "1", "--suite", "none", "--out", "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    [checkpoint] = (folder / "out" / "cells").glob("[!.]*")
    return str(checkpoint)


@pytest.fixture
def drive(toyflow, policy, yam_twin, monkeypatch):
    """Runs the policy on the twin; what was done to it lies in `did`."""
    monkeypatch.setattr(letting_go, "UNATTENDED_SECONDS", 0.3)
    monkeypatch.setattr(slow_motion, "RANGE_SHARE", 0.2)

    def run(*words: str, **options: str):
        chosen = {"read_only": "false", "trace": "did", "calibration_dir": ".", **options}
        sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
        log = () if "--log" in words else ("--log", "a.jsonl")
        return toyflow(
            "robot-run", policy, "--robot", "lerobot:bi_yam_follower", "--prompt", "wave", "--rate",
            "10", "--seconds", "3", *sets, *log, *words, width=2000,
        )  # fmt: skip

    return run


def did(folder: Path) -> list[tuple[str, list[float]]]:
    return [tuple(json.loads(line)) for line in (folder / "did").read_text().splitlines()]


def assert_held_then_let_go(folder: Path, said: str) -> None:
    """The last actions are all the same, which is a hold; then, after a warning, the torque goes."""
    events = did(folder)
    assert [what for what, _ in events][-2:] == ["disconnected", "fell" if fell(events) else "rests"]
    held = [numbers for what, numbers in events if what == "sent"][-5:]
    assert all(numbers == held[0] for numbers in held)
    lines = said.splitlines()
    assert lines.index("lerobot:bi_yam_follower is let go of: its arms may fall.") > next(
        number for number, line in enumerate(lines) if "SUPPORT ITS ARMS" in line
    )


def fell(events) -> bool:
    return np.abs(np.delete(events[-1][1], (6, 13))).max() > 0.2


def test_a_policy_of_the_simulated_arms_drives_them_unchanged(drive, toyflow, yam_twin):
    done = drive("--limits", "yam")
    assert done.returncode == 0, done.stderr
    log = read_log(toyflow.folder / "a.jsonl")
    assert log.header["action_names"] == NAMES and log.header["units"]["left_joint_0.pos"] == "radians"
    lower, upper = (np.array(log.header["limits"][end]) for end in ("lower", "upper"))
    assert (lower >= yam_twin.LOWER).all() and (upper <= yam_twin.UPPER).all()
    sent = np.array([line["sent"] for line in log.of("step") if line["sent"]])
    assert len(sent) > 10 and (sent >= lower - 1e-6).all() and (sent <= upper + 1e-6).all()
    asked = np.array([line["asked"] for line in log.of("step") if line["asked"]])
    assert np.abs(asked - HOME).max() < 0.5  # the policy's own numbers are radians already
    assert "may let its arms FALL" in done.stdout and "(yam, which toyflow ships)" in done.stdout
    assert_held_then_let_go(toyflow.folder, done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_chunk(drive, toyflow, number):
    done = drive(signal_at="12", signal=str(int(number)))
    assert done.returncode == 128 + number, done.stderr
    assert f"stopped by {number.name}" in done.stdout
    assert_held_then_let_go(toyflow.folder, done.stdout)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("camera_frozen_at", "top has not changed for"),
        ("camera_silent_at", "TimeoutError: Timed out waiting"),
    ],
)
def test_a_camera_that_freezes_or_gives_nothing(drive, toyflow, fault, said):
    (toyflow.folder / "quick.toml").write_text("stale_after = 1000\nstop_after = 5000\n")
    done = drive("--limits", "quick.toml", "--seconds", "60", **{fault: "12"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    logged = [line["detail"] for line in read_log(toyflow.folder / "a.jsonl").of("intervention")]
    assert said in " ".join([done.stderr, *logged])
    assert_held_then_let_go(toyflow.folder, done.stdout)


def test_a_bus_that_is_pulled_in_the_middle_of_a_chunk(drive, toyflow):
    done = drive(bus_pulled_at="12", **{"left_arm.max_joint_speed_rad_s": "3"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "the run ended by ConnectionError: YAM servo loop stopped" in done.stderr
    assert "can NOT be held (ConnectionError" in done.stdout and "emergency stop" in done.stdout
    events = [what for what, _ in did(toyflow.folder)]
    assert events.count("sent") == 12 and events[-3:-1] == ["bus pulled", "fell"]  # by its driver, at once
    assert read_log(toyflow.folder / "a.jsonl").of("end")[0]["why"].startswith("ConnectionError")


def test_a_bus_that_is_not_there(drive):
    done = drive(**{"right_arm.port": "nowhere"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "lerobot:bi_yam_follower does not answer: [Errno 19] No such device" in done.stderr
    assert "run: ToyflowError: lerobot:bi_yam_follower does not answer" in done.stdout


def test_a_bus_that_is_pulled_on_the_way_to_the_start(drive, toyflow):
    done = drive("--start-at", ",".join(["0", "0.2", "0.2", "0", "0", "0", "0.5"] * 2), bus_pulled_at="3")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "run: ConnectionError: YAM servo loop stopped" in done.stdout
    assert "no action was ever sent but those of slow motions" in done.stdout


@pytest.mark.parametrize("words", [("--at-end", "hold"), ("--at-end", "park")])
def test_a_bus_that_is_pulled_after_the_run(drive, toyflow, words):
    """What was recorded is whole, and the command fails all the same."""
    done = drive("--seconds", "2", *words, bus_pulled_at="22")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "run: done; 1 episode ended" in done.stdout and "can NOT be held" in done.stdout
    assert "could not be held after the run: ConnectionError: YAM servo loop stopped" in done.stderr


def test_a_parked_robot_rests(drive, toyflow):
    done = drive("--at-end", "park")
    assert done.returncode == 0, done.stderr
    assert did(toyflow.folder)[-1][0] == "rests" and "moves back to where it was" in done.stdout
    assert done.stdout.splitlines()[-1] != "" and "its arms may fall" not in done.stdout


def test_it_goes_to_where_it_starts_and_back(drive, toyflow):
    place = np.array([0, 0.2, 0.2, 0, 0, 0, 0.5] * 2)
    words = ("--start-at", ",".join(map(str, place)), "--at-end", "park")
    done = drive(*words, **{"left_arm.max_joint_speed_rad_s": "3", "right_arm.max_joint_speed_rad_s": "3"})
    assert done.returncode == 0, done.stderr
    sent = np.array([numbers for what, numbers in did(toyflow.folder) if what == "sent"])
    first = np.array(
        [line["sent"] for line in read_log(toyflow.folder / "a.jsonl").of("step") if line["sent"]]
    )
    begun = int(np.flatnonzero((sent == first[0].round(6)).all(1))[0])
    np.testing.assert_allclose(sent[begun - 1], place, atol=0.02)
    assert np.abs(np.diff(sent[:begun], axis=0)).max() < 0.15 and did(toyflow.folder)[-1][0] == "rests"
    log = read_log(toyflow.folder / "a.jsonl")
    motions = {
        phase: [each for each in log.of("motion") if each["phase"] == phase] for phase in ("start", "park")
    }
    steps = {phase: len(rows) for phase, rows in motions.items()}  # it is held until it arrives
    np.testing.assert_allclose([each["sent"] for each in motions["start"]], sent[: steps["start"]], atol=1e-6)
    assert steps["start"] > 3 and steps["park"] > 3 and not log.damage
    assert f"slow motions: start {steps['start']} steps, park {steps['park']} steps" in done.stdout


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("0,1", "--start-at has 2 numbers, an action of"),
        ("0,x", "takes finite numbers with commas"),
        ("nan", "not nan"),
        (
            ",".join(["0"] * 13 + ["2"]),
            "right_gripper.pos goes from 0 to 1 on lerobot:bi_yam_follower, not to",
        ),
    ],
)
def test_a_start_that_is_none_is_refused(drive, place, said):
    done = drive("--start-at", place)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_what_is_read_only_is_for_a_dry_run(drive, toyflow):
    done = drive(read_only="true")
    assert done.returncode == 2 and "--set read_only=false lets it move" in done.stderr
    done = drive("--dry-run", read_only="true")
    assert done.returncode == 0, done.stderr
    assert [what for what, _ in did(toyflow.folder)] == [
        "session",
        "disconnected",
        "read only",
        "disconnected",
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"action_names": [f"left_{k}" for k in range(14)]},
         "training data is of other joints than lerobot:bi_yam_follower: left_joint_0.pos = left_0"),
        ({"action_names": NAMES[7:] + NAMES[:7]}, "in the order right_joint_0.pos"),
        ({"motion": {"lower": [-80.0] * 14, "upper": [80.0] * 14, "step": [5.0] * 14}},
         "left_joint_0.pos goes from -80 to 80 in the policy's training data, and from -2.61799 to 3.14159"),
    ],
)  # fmt: skip
def test_a_policy_of_other_joints_or_units_is_refused_in_one_line(drive, toyflow, monkeypatch, changed, said):
    ranges = robot_driving.action_ranges
    monkeypatch.setattr(robot_driving, "action_ranges", lambda *policy: {**ranges(*policy), **changed})
    done = drive("--limits", "yam")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (toyflow.folder / "did").exists()


def test_the_numbers_of_the_limits_are_those_of_the_simulated_arms(yam_twin):
    station = pytest.importorskip("toyflow.robot.simulation.environments.yam.station")
    np.testing.assert_allclose(yam_twin.LOWER, station.LOW, atol=1e-6)
    np.testing.assert_allclose(yam_twin.UPPER, station.HIGH, atol=1e-6)
    assert list(station.ACTIONS) == NAMES
