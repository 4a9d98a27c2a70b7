"""Settings compared blind: the order, what is kept, the command, and its table."""

import json
import re
import signal
import sys
import time

import numpy as np
import pytest
from robot.runtime.control.test_commands import checkpoint, fast  # noqa: F401  fixtures

from toyflow import stats
from toyflow.cli import terminal
from toyflow.errors import UsageError
from toyflow.report.blind_tables import blind_views
from toyflow.robot.runtime.control.blind_trial import BlindOutcome, BlindTrial, blind_order
from toyflow.robot.runtime.control.log import read_log

K = ("K=1", "K=10")


def test_the_order_is_balanced_and_random():
    orders = [blind_order(2, 20, seed) for seed in range(40)]
    for order in orders:
        assert [each.number for each in order] == list(range(40))
        assert all({a.setting, b.setting} == {0, 1} for a, b in zip(order[::2], order[1::2], strict=True))
        assert sum(each.setting for each in order[::2]) == 10
    assert len({tuple(each.setting for each in order) for order in orders}) == 40
    firsts = np.array([[each.setting for each in order[::2]] for order in orders]).mean(0)
    assert (firsts > 0.2).all() and (firsts < 0.8).all()  # no scene tells
    three = blind_order(3, 7, 0)
    assert all({each.setting for each in three[i : i + 3]} == {0, 1, 2} for i in range(0, 21, 3))


def outcome(episode, success=True) -> BlindOutcome:
    return BlindOutcome(episode.scene, episode.setting, success, 5, 1, "time is over", "a.jsonl")


def test_what_is_kept_is_found_again_and_damage_is_run_again(tmp_path, caplog):
    with BlindTrial(tmp_path, {"robot": "arm"}, K, 3).opened() as order:
        trial = BlindTrial(tmp_path, {"robot": "arm"}, K, 3)
        trial.keep(order[0], outcome(order[0]))
        trial.keep(order[1], outcome(order[1], False))
        with pytest.raises(UsageError, match="another process runs this comparison"), trial.opened():
            pass
    with trial.opened() as again:
        assert again == order
        assert trial.outcome(order[0]) == outcome(order[0]) and trial.outcome(order[2]) is None
        file = trial.folder / "001.json"
        file.write_text(file.read_text().replace("false", "true"))
        assert trial.outcome(order[1]) is None and "That episode is run again" in caplog.text
    other = BlindTrial(tmp_path, {"robot": "other"}, K, 3)
    assert other.folder != trial.folder
    for settings in (K[:1], ("K=1", "K=1")):
        with pytest.raises(UsageError, match="two settings or more"):
            BlindTrial(tmp_path, {}, settings, 3)


def test_the_tables_have_the_intervals_of_a_simulators_comparison():
    solved = np.array([[1, 1, 1, 0, 1, 1, 0, 1, 1, 1], [0, 1, 0, 0, 1, 0, 0, 1, 0, 0]], bool)
    rates, differences = blind_views(K, solved)
    interval, test = stats.wilson(8, 10), stats.paired_proportions(*solved)
    assert rates.rows[0] == ["K=1", "8/10", f"80.0% [{interval.low:.1%}, {interval.high:.1%}]"]
    [row] = differences.rows
    low, high = 100 * test.difference.low, 100 * test.difference.high
    assert row[:4] == ["K=1 - K=10", "5", "0", f"+50.0 [{low:+.1f}, {high:+.1f}]"]
    assert row[5:] == [f"{test.p_value:.3f}", "undecided"] and test.p_value == 0.0625
    assert blind_views(K, np.ones((2, 3), bool))[1].rows[0][-1] == "undecided"


def test_scores_stand_beside_the_success():
    solved = np.zeros((2, 4), bool)
    scores = np.array([[0.2, 0.4, 0.6, 0.8], [0.5, 0.5, 0.5, 0.5]])
    rates, _ = blind_views(K, solved, scores)
    assert rates.columns[-1] == "mean score [95 %]"
    interval = stats.mean_over_conditions(scores[0])
    assert rates.rows[0][-1] == f"0.500 [{interval.low:.3f}, {interval.high:.3f}]"
    assert rates.rows[1][-1] == "0.500 [0.500, 0.500]"
    assert len(blind_views(K, solved)[0].columns) == 3


POINTS = ("--robot", "points", "--suite", "points", "--steps", "1,2", "--states", "0-2", "--seconds", "0.5")


@pytest.fixture
def keys(monkeypatch):
    """Keys that somebody presses in a terminal."""
    pressed: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(terminal.typer, "getchar", lambda: pressed.pop(0))
    return pressed


def folder_of(toyflow):
    [folder] = (toyflow.folder / "results" / "robot" / "blind").iterdir()
    return folder


def kept(folder) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("[0-9][0-9][0-9].json"))]


def test_a_person_judges_is_not_told_stops_and_goes_on(toyflow, checkpoint, keys):  # noqa: F811
    keys += ["s", "y", "s", "x", "a", "s", "n", "q"]  # x means nothing; the second is run again
    done = toyflow("robot-run", checkpoint, *POINTS, "--blind")
    assert done.returncode == 0, done.stderr
    assert "Stopped between two episodes" in done.stdout and not keys
    asked = done.stdout[done.stdout.index("0 of 6 episodes are kept") :]
    assert not re.search(r"K ?=|steps|plan|ms\b|solved", asked.split("Stopped")[0]), asked
    folder = folder_of(toyflow)
    assert [(each["success"], each["attempts"]) for each in kept(folder)] == [(True, 1), (False, 2)]
    before = kept(folder)

    keys += ["s", "y"] * 4
    done = toyflow("robot-run", checkpoint, *POINTS, "--blind")
    assert done.returncode == 0 and "2 of 6 episodes are kept" in done.stdout, done.stderr
    assert kept(folder)[:2] == before and len(kept(folder)) == 6
    assert "2/3" in done.stdout and "3/3" in done.stdout and "first - second" in done.stdout
    by_scene = {(each["scene"], each["setting"]): each["log"] for each in kept(folder)}
    for scene in range(3):
        headers = [read_log(folder / by_scene[scene, setting]).header for setting in (0, 1)]
        assert [header["steps"] for header in headers] == [1, 2]
        assert headers[0]["noise_seed"] == headers[1]["noise_seed"]
    again = toyflow("robot-run", checkpoint, *POINTS, "--blind")
    assert "6 of 6 episodes are kept" in again.stdout and "first - second" in again.stdout


def test_a_simulator_may_judge_and_scenes_are_the_same_for_all(toyflow, checkpoint):  # noqa: F811
    words = (*POINTS, "--blind", "--judge", "simulator", "--episodes", "4")
    done = toyflow("robot-run", checkpoint, *words)
    assert done.returncode == 0 and "Success, judged blind" in done.stdout, done.stderr
    folder = folder_of(toyflow)
    assert len(kept(folder)) == 8 and not any(each["success"] for each in kept(folder))
    assert "mean score" not in done.stdout and all(each["score"] is None for each in kept(folder))
    seeds = {}
    for each in kept(folder):
        recording = read_log(folder / each["log"])
        seeds.setdefault(each["scene"], set()).add(
            (recording.header["noise_seed"], recording.of("look")[0]["state"])
        )
    assert all(len(found) == 1 for found in seeds.values()) and len(set.union(*seeds.values())) == 4


def test_where_a_simulator_scores_episodes_the_table_has_their_mean(toyflow, checkpoint):  # noqa: F811
    words = ("scored" if word == "points" and POINTS[place - 1] == "--suite" else word
             for place, word in enumerate(POINTS))  # fmt: skip
    done = toyflow("robot-run", checkpoint, *words, "--blind", "--judge", "simulator", width=200)
    assert done.returncode == 0 and "mean score [95 %]" in done.stdout, done.stderr
    of_first = [each["score"] for each in kept(folder_of(toyflow)) if each["setting"] == 0]
    assert len(of_first) == 3 and f"{np.mean(of_first):.3f} [" in done.stdout


def test_a_real_robot_is_asked_about_also_where_the_gate_stopped_it(toyflow, fast, keys):  # noqa: F811
    (toyflow.folder / "still.toml").write_text("velocity = 1e-9\nstop_after = 200")
    keys += ["s", "n"] * 2
    done = toyflow(
        "robot-run", fast, "--robot", "fake", "--set", "real=1", "--seconds", "9", "--limits", "still.toml",
        "--steps", "1,2", "--episodes", "1", "--blind", "--prompt", "go",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the robot was stopped: no fresh action") == 2 and "0/1" in done.stdout


def test_an_episode_whose_chunks_the_gate_refuses_has_failed_and_the_trial_goes_on(toyflow, checkpoint):  # noqa: F811
    """It ended the whole comparison, and the same command ended at the same episode."""
    (toyflow.folder / "still.toml").write_text("velocity = 1e-9\nstop_after = 200")
    done = toyflow(
        "robot-run", checkpoint, *POINTS, "--blind", "--judge", "simulator", "--limits", "still.toml"
    )
    assert done.returncode == 0 and "0/3" in done.stdout, done.stderr
    endings = kept(folder_of(toyflow))
    assert len(endings) == 6 and not any(each["success"] for each in endings)
    assert all(each["ended"].startswith("the robot was stopped: no fresh action") for each in endings)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--blind",), "here is no terminal to answer in"),
        (("--blind", "--judge", "dog"), "unknown judge 'dog'"),
        (("--blind", "--judge", "simulator", "--dry-run"), "leave out --dry-run and --log"),
        (("--blind", "--judge", "simulator", "--steps", "1"), "compares two settings or more"),
        ((), "several --steps, or --judge, are for --blind"),
    ],
)
def test_what_makes_no_sense_is_refused(toyflow, checkpoint, monkeypatch, words, said):  # noqa: F811
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    done = toyflow("robot-run", checkpoint, *POINTS, *words)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())


@pytest.mark.slow
def test_kill_9_costs_the_episode_that_runs(toyflow, checkpoint):  # noqa: F811
    words = ("--robot", "points", "--suite", "slow", "--steps", "1,2", "--states", "0-4", "--seconds", "6")
    words = ("robot-run", checkpoint, *words, "--blind", "--judge", "simulator")
    process = toyflow.start(*words)
    until = time.monotonic() + 150
    while len(list(toyflow.folder.glob("results/robot/blind/*/[0-9][0-9][0-9].json"))) < 3:
        assert time.monotonic() < until and process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    before = kept(folder_of(toyflow))
    assert 3 <= len(before) < 10
    done = toyflow.apart(*words)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} of 10 episodes are kept" in done.stdout and "first - second" in done.stdout
    assert kept(folder_of(toyflow))[: len(before)] == before and len(kept(folder_of(toyflow))) == 10
