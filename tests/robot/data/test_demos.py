import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from rich.console import Console
from robot.points import Points, straight

from toyflow.api.demonstrations import TaskChoice, record_demonstrations
from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.data.demos import DemoOptions, demo_maker, expert_success, make_demos
from toyflow.robot.data.demos.attempt_queue import AttemptQueue
from toyflow.robot.data.demos.attempt_workers import run_attempts
from toyflow.robot.data.demos.data_set_writer import check_images
from toyflow.robot.data.demos.expert_check import OfficialStates
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome
from toyflow.robot.data.demos.staging import Staging
from toyflow.robot.simulation.environments.libero.plus import plus_files
from toyflow.robot.simulation.simulators import JobLost

OPTIONS = DemoOptions(
    Path("demos"),
    "points",
    (0, 2),
    episodes=3,
    seed=7,
    noise=0.3,
    image_size=16,
    environment="points",
    jobs=2,
)


def write_plainly(folder, demonstrations, interface, image_size, video, names):
    """Stands in for lerobot, which takes seconds to import."""
    arrays = {}
    for index, (_, trajectory) in enumerate(demonstrations):
        arrays |= {f"{index}/state": trajectory.state, f"{index}/action": trajectory.action}
        arrays |= {f"{index}/image": trajectory.images["front"]}
    np.savez(folder / "data.npz", **arrays)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def demos(tmp_path, monkeypatch, console):
    """`make_demos` on points, in an empty folder, with changes of `OPTIONS`; gives the report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_maker, "write_data_set", write_plainly)
    monkeypatch.setattr(demo_maker, "check_lerobot", lambda: None)
    return lambda **changes: make_demos(replace(OPTIONS, **changes), console, Points)


def data(out="demos"):
    with np.load(Path(out) / "data.npz") as arrays:
        return {key: arrays[key] for key in arrays}


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def test_the_same_episodes_whatever_the_number_of_jobs(demos):
    for jobs in (1, 2):
        demos(out=Path(f"jobs-{jobs}"), jobs=jobs, suite="clumsy", tasks=None)
    assert same(data("jobs-1"), data("jobs-2"))
    reports = [json.loads(Path(f"jobs-{jobs}/demos.json").read_text()) for jobs in (1, 2)]
    assert reports[0]["episodes"] == reports[1]["episodes"]
    assert not same(
        data("jobs-1"), (demos(out=Path("other"), suite="clumsy", tasks=None, seed=8), data("other"))[1]
    )


def test_recorded_is_what_the_expert_meant_and_not_what_was_carried_out(demos):
    demos(episodes=1, tasks=(0,))
    state, action = data()["0/state"], data()["0/action"]
    np.testing.assert_allclose(action, [straight(s) for s in state], atol=1e-4)
    moved = np.diff(state[:, :2], axis=0)
    assert np.abs(moved - 0.05 * action[:-1]).max() > 0.005


def test_without_noise_the_recorded_actions_lead_to_the_recorded_states(demos):
    demos(episodes=1, tasks=(0,), noise=0.0)
    state, action = data()["0/state"], data()["0/action"]
    np.testing.assert_allclose(np.diff(state[:, :2], axis=0), 0.05 * action[:-1], atol=1e-6)


def test_failures_are_discarded_and_counted(demos, console):
    report = demos(suite="clumsy", episodes=6)
    total = report.expert.total
    assert (report.episodes, total.solved) == (12, 12)
    assert total.attempts > 12
    content = json.loads(Path("demos/demos.json").read_text())
    share, low, high = content["expert"]["total"]["success"]
    assert low < share == 12 / total.attempts < high
    assert f"{share:.0%} ({low:.0%} to {high:.0%})" in console.file.getvalue()
    assert f"{total.attempts - 12}" and not any(
        len(a) == 60 for key, a in data().items() if key.endswith("state")
    )


def test_a_task_that_cannot_be_solved_ends_it(demos):
    with pytest.raises(ToyflowError, match=r"failed in 9 of 9 attempts at task \d; gave up"):
        demos(suite="hopeless")
    assert not Path("demos").exists()


def test_more_episodes_extend_what_is_there(demos):
    demos(episodes=2)
    before = {path: path.stat().st_mtime_ns for path in Path("demos.episodes").rglob("*.npz")}
    demos(episodes=4)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    demos(out=Path("at-once"), episodes=4)
    assert same(data(), data("at-once"))
    demos(episodes=2)
    assert sum(key.endswith("state") for key in data()) == 4


def test_a_second_run_has_nothing_to_do_even_without_the_gathered_episodes(demos):
    first = demos()
    written = Path("demos/data.npz").stat().st_mtime_ns
    shutil.rmtree("demos.episodes")
    assert demos() == first
    assert Path("demos/data.npz").stat().st_mtime_ns == written


def test_what_is_damaged_is_noticed_and_made_again(demos, console):
    demos()
    whole = data()
    gathered = next(Path("demos.episodes").rglob("*.npz"))
    for file in (gathered, Path("demos/data.npz")):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    demos()
    assert same(data(), whole)
    said = console.file.getvalue()
    assert f"{gathered} is damaged" in said and "demos/data.npz is damaged" in said


def test_goes_on_after_a_kill(demos, tmp_path):
    program = (
        "from dataclasses import replace; from pathlib import Path; from rich.console import Console\n"
        "from robot.points import Points; from robot.data.test_demos import OPTIONS, write_plainly\n"
        "from toyflow.robot.data.demos import demo_maker, make_demos\n"
        "demo_maker.write_data_set, demo_maker.check_lerobot = write_plainly, lambda: None\n"
        "if __name__ == '__main__':\n"
        "    make_demos(replace(OPTIONS, suite='slow', episodes=8), Console(), Points)\n"
    )
    (tmp_path / "program.py").write_text(program)
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen([sys.executable, "program.py"], env={**os.environ, "PYTHONPATH": path})

    def gathered():
        # A staging folder starts with a dot; what lies in one is not kept yet.
        return {file: file.stat().st_mtime_ns for file in Path("demos.episodes").glob("task-*/[!.]*/*.npz")}

    deadline = time.monotonic() + 120
    while len(gathered()) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = gathered()
    assert 4 <= len(before) < 16 and not Path("demos").exists()
    demos(suite="slow", episodes=8)
    assert all(gathered()[file] == then for file, then in before.items())
    demos(out=Path("undisturbed"), suite="slow", episodes=8)
    assert same(data(), data("undisturbed"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("dies", "was killed by signal 9 (SIGKILL)"),
        ("raises", "failed with RuntimeError: a fault was asked for"),
    ],
)
def test_an_attempt_that_lost_its_worker_is_made_again(demos, console, tmp_path, fault, said):
    demos(suite=f"{fault}@{tmp_path / 'flag'}")
    assert said in console.file.getvalue()
    demos(out=Path("undisturbed"))
    assert same(data(), data("undisturbed"))


@pytest.mark.slow
def test_a_hung_worker_is_replaced(tmp_path):
    attempts = [Attempt(0, 1), Attempt(0, 0)]
    work = OfficialStates(Points, f"hangs@{tmp_path / 'flag'}")
    events = list(run_attempts(work, lambda task: attempts.pop() if attempts else None, 1, patience=20.0))
    assert [type(event) for event in events] == [JobLost, AttemptOutcome, AttemptOutcome]
    assert isinstance(events[0], JobLost) and events[0].why == "gave no sign of life for 20 s"
    numbers = [
        event.job.number if isinstance(event, JobLost) else event.attempt.number
        for event in events
        if isinstance(event, JobLost | AttemptOutcome)
    ]
    assert numbers == [0, 0, 1]


def test_an_attempt_that_always_loses_its_worker_ends_it(tmp_path):
    attempts = [Attempt(0, 0)]
    work = OfficialStates(Points, f"raises@{tmp_path / 'no-such-folder' / 'flag'}")
    with pytest.raises(ToyflowError, match="was made 3 times and its process failed with FileNotFoundError"):
        list(run_attempts(work, lambda task: attempts.pop() if attempts else None, 1))


def test_one_process_at_a_time(demos):
    Path("demos.episodes").mkdir()
    with FileLock("demos.episodes/lock"), pytest.raises(UsageError, match="another process is making demos"):
        demos()


def test_other_options_do_not_mix_with_what_is_there(demos):
    demos()
    with pytest.raises(UsageError, match=r"holds episodes with noise 0\.3, not noise 0\.1"):
        demos(noise=0.1)


def test_a_folder_of_something_else_is_left_alone(demos):
    Path("demos").mkdir()
    Path("demos/thesis.tex").write_text("dear")
    with pytest.raises(UsageError, match="was not made by robot-demos"):
        demos()
    assert Path("demos/thesis.tex").read_text() == "dear"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"episodes": 0}, "--episodes must be at least 1"),
        ({"noise": 1.5}, "--noise is 0 to 1"),
        ({"image_size": 4}, "--image-size must be"),
        ({"video": "gif"}, "--video must be one of av1, h264"),
        ({"tasks": (1, 1)}, "named twice"),
        ({"tasks": (3,)}, "points has no task 3; it has 0 to 2"),
        ({"suite": "pints"}, "Did you mean 'points'"),
    ],
)
def test_wrong_options_are_refused_before_any_work(demos, changes, said):
    with pytest.raises(UsageError, match=said):
        demos(**changes)
    assert not list(Path().iterdir())


def test_the_expert_is_checked_on_official_states(console, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = expert_success(Points, "points", (1,), 5, 2, console)
    assert (report.total.attempts, report.total.solved) == (5, 5)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="takes 1 to 5 official initial states of points, not 6"):
        expert_success(Points, "points", None, 6, 1, console)


def ended(task, number, solved):
    return AttemptOutcome(Attempt(task, number), solved, 10, 1.0)


def test_a_schedule_asks_for_no_attempt_that_may_not_be_needed():
    schedule = AttemptQueue((0,), 2, {})
    assert [schedule.take(None) for _ in range(3)] == [Attempt(0, 0), Attempt(0, 1), None]
    schedule.note(ended(0, 0, False))
    assert [schedule.take(0), schedule.take(0)] == [Attempt(0, 2), None]
    schedule.note(ended(0, 2, True))
    schedule.note(ended(0, 1, True))
    assert schedule.take(0) is None
    assert [outcome.attempt.number for outcome in schedule.attempts(0)] == [0, 1, 2]


def test_a_schedule_fills_gaps_first_so_that_the_earliest_attempts_count():
    outcomes = [ended(0, number, True) for number in (0, 2, 3, 4)]
    schedule = AttemptQueue((0,), 3, {outcome.attempt: outcome for outcome in outcomes})
    assert schedule.take(None) == Attempt(0, 1)
    schedule.note(ended(0, 1, False))
    assert schedule.take(None) is None
    assert [outcome.attempt.number for outcome in schedule.attempts(0)] == [0, 1, 2, 3]


def test_a_worker_keeps_to_the_task_that_it_has_a_simulator_for():
    schedule = AttemptQueue((0, 1), 2, {})
    assert schedule.take(None) == Attempt(0, 0)
    assert schedule.take(None) == Attempt(1, 0)
    assert schedule.take(1) == Attempt(1, 1)
    assert schedule.take(1) == Attempt(0, 1)


def test_an_episode_comes_back_as_it_was_written(tmp_path):
    from toyflow.robot.data.demos.recording import record

    environment = Points("points", 0)
    recorded = record(environment, environment.task, Attempt(0, 12), 0, 0.1, lambda: None)
    staging = Staging(tmp_path / "demos")
    with staging.claimed({}):
        staging.write(recorded)
        trajectory = staging.read(recorded.outcome.attempt)
        assert staging.outcomes() == ({recorded.outcome.attempt: recorded.outcome}, [])
    np.testing.assert_array_equal(trajectory.images["front"], recorded.trajectory.images["front"])
    np.testing.assert_array_equal(trajectory.state, recorded.trajectory.state)
    np.testing.assert_array_equal(trajectory.action, recorded.trajectory.action)


def test_noise_is_clipped_to_the_simulators_own_bounds(monkeypatch):
    from toyflow.robot.data.demos.recording import record

    carried_out = []
    monkeypatch.setattr(Points, "action_bounds", (-0.25, (0.5, 2.0)))
    monkeypatch.setattr(Points, "step", lambda self, action: carried_out.append(action))
    environment = Points("points", 0)
    record(environment, environment.task, Attempt(0, 0), 0, 9.0, lambda: None)
    assert np.min(carried_out) == -0.25 and np.max(carried_out, 0).tolist() == [0.5, 2.0]


def test_a_sample_of_a_benchmarks_tasks_is_recorded(tmp_path, monkeypatch, console):
    monkeypatch.setattr(demo_maker, "write_data_set", write_plainly)
    monkeypatch.setattr(demo_maker, "check_lerobot", lambda: None)

    def recorded(out: str, sample: int, seed: int) -> list[int]:
        record_demonstrations(
            console, environment="points", suite="varied",
            tasks=TaskChoice(perturb="moved", sample=sample, seed=seed), episodes=1, seed=seed, noise=0.1,
            image_size=16, jobs=1, out=tmp_path / out,
        )  # fmt: skip
        recipe = json.loads((tmp_path / out / "demos.json").read_text())["recipe"]
        assert recipe["assets"] == "own"
        return recipe["tasks"]

    few = recorded("few", 2, 3)
    assert len(few) == 2 and set(few) <= {0, 1, 4, 5, 8, 9}
    assert set(few) < set(recorded("more", 4, 3))


@pytest.mark.slow
def test_a_sample_of_libero_plus_is_recorded(rendered_libero, toyflow):
    pytest.importorskip("lerobot")
    if not plus_files.is_complete(plus_files.folder()):
        pytest.skip("not installed: LIBERO-Plus (`toyflow robot-setup libero-plus`)")
    words = (
        "--suite libero_plus_spatial --perturb robot-start --sample 1 --episodes 1 --image-size 64 --jobs 1 "
        "--out demos"
    )
    done = toyflow.apart("robot-demos", *words.split(), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    content = json.loads((toyflow.folder / "demos/demos.json").read_text())
    [task] = content["recipe"]["tasks"]
    assert rendered_libero.tasks("libero_plus_spatial")[task].perturbation == "robot-start"
    assert content["recipe"]["assets"] == rendered_libero.assets()


@pytest.mark.slow
def test_a_demonstration_in_libero_becomes_a_data_set_that_lerobot_reads(rendered_libero, toyflow):
    pytest.importorskip("lerobot")
    words = [
        "--suite",
        "libero_object",
        "--tasks",
        "0",
        "--episodes",
        "1",
        "--image-size",
        "64",
        "--jobs",
        "1",
        "--out",
        "demos",
    ]
    done = toyflow.apart("robot-demos", *words, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    content = json.loads((toyflow.folder / "demos/demos.json").read_text())
    assert content["recipe"]["assets"] == rendered_libero.assets()
    assert ("asset files replaced" in done.stdout) == (rendered_libero.assets() != "whole")

    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    later = {"action": [0.0, 0.05, 0.1]}
    data = LeRobotDataset("demos", root=toyflow.folder / "demos", delta_timestamps=later)
    assert (data.fps, data.num_episodes, len(data)) == (20, 1, content["episodes"][0]["steps"])
    shapes = {
        key: tuple(feature["shape"])
        for key, feature in data.features.items()
        if "." in key or key == "action"
    }
    assert shapes == {
        "observation.images.image": (64, 64, 3),
        "observation.images.image2": (64, 64, 3),
        "observation.state": (8,),
        "action": (7,),
    }
    assert all(data.features[key]["names"] for key in shapes)
    first, last = data[0], data[len(data) - 1]
    assert first["task"] == "pick up the alphabet soup and place it in the basket"
    assert first["action"].shape == (3, 7) and last["action_is_pad"].tolist() == [False, True, True]
    assert first["observation.images.image"].shape == (3, 64, 64)
    assert not first["observation.images.image"].equal(last["observation.images.image"])


def test_a_replacement_that_was_cut_in_two_is_undone(demos):
    demos()
    written = Path("demos/data.npz").stat().st_mtime_ns
    Path("demos").rename("demos.episodes/replaced")
    demos()
    assert Path("demos/data.npz").stat().st_mtime_ns == written
    assert not Path("demos.episodes/replaced").exists()


def test_an_image_that_could_not_be_written_ends_it(tmp_path):
    """LeRobot's image writers print what they meet, and go on."""
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)).save(path)
    buffer = {f"observation.images.{camera}": paths for camera in Points.interface.cameras}
    dataset = SimpleNamespace(
        image_writer=SimpleNamespace(wait_until_done=lambda: None), episode_buffer=buffer
    )
    check_images(dataset, Points.interface)
    whole = paths[1].read_bytes()
    for half in (whole[: len(whole) // 2], b""):
        paths[1].write_bytes(half)
        with pytest.raises(ToyflowError, match=r"could not write .*1\.png: is the disk full"):
            check_images(dataset, Points.interface)
