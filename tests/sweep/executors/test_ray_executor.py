"""Sweeps on a real Ray cluster of two nodes, from the command line as a user starts them."""

import json
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

POINTS = ("sweep", "--task", "points", "--iterations", "40", "--steps", "1,2", "--seeds", "0-1")
FOUR = (*POINTS, "--schedules", "beta,power:2")
LONG = (*POINTS, "--schedules", "beta,uniform", "--iterations", "1500")


def results(out: Path) -> dict[str, object]:
    """All that a results folder says, but for times and places."""
    found: dict[str, object] = {}
    for path in sorted((out / "cells").rglob("*")):
        name = str(path.relative_to(out))
        if path.name == "config.json":
            content = json.loads(path.read_text())
            details = {k: v for k, v in content["details"].items() if "seconds" not in k}
            found[name] = content["record"], details
        elif path.name == "curve.csv":
            found[name] = pd.read_csv(path).drop(columns="seconds").to_csv()
        elif path.name in ("weights.safetensors", "outcomes.csv"):
            found[name] = path.read_bytes()
    return found


def test_results_are_those_of_the_local_executor_though_a_worker_dies(ray_nodes, toyflow, tmp_path):
    assert toyflow(*FOUR, "--out", "local").returncode == 0
    ray_nodes.kill_a_worker()
    swept = toyflow.apart(*FOUR, *ray_nodes.options, "--out", "ray")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert "2 at a time" in swept.stdout and "2 Ray nodes" in swept.stdout and "[4/4]" in swept.stdout
    assert "its worker died; another worker takes it" in swept.stdout
    assert results(tmp_path / "ray") == results(tmp_path / "local") and len(results(tmp_path / "ray")) == 28
    [config, *_] = (tmp_path / "ray" / "cells").rglob("config.json")
    made = json.loads(config.read_text())["environment"]
    assert made["host"] and made["threads"] == 1 and made["torch"] and made["jobs"] == 2


def test_a_cell_that_fails_is_not_tried_again_and_its_log_is_here(ray_nodes, toyflow, tmp_path):
    with ray_nodes.every_cell_fails():
        failed = toyflow.apart(*FOUR, *ray_nodes.options, "--out", "out")
    assert failed.returncode == 1 and "4 of 4 cells failed" in failed.stderr
    assert "No such file or directory" in failed.stdout and "another worker" not in failed.stdout
    logs = list((tmp_path / "out" / "logs").rglob("error.txt"))
    assert len(logs) == 4 and all("in _go_wrong" in log.read_text() for log in logs)
    assert all(str(log.relative_to(tmp_path)) in failed.stdout.replace("\n", "") for log in logs)


def test_only_what_is_missing_is_made_by_a_model_that_was_trained_here(ray_nodes, toyflow, tmp_path):
    assert toyflow(*POINTS, "--schedules", "beta", "--out", "out").returncode == 0
    weights = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("weights.safetensors")}
    more = (*POINTS, "--schedules", "beta", "--steps", "1,2,5")
    assert toyflow.apart(*more, *ray_nodes.options, "--out", "out").returncode == 0
    assert toyflow(*more, "--out", "local").returncode == 0
    assert results(tmp_path / "out") == results(tmp_path / "local")
    assert all(p.stat().st_mtime_ns == then for p, then in weights.items())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_driver_keeps_what_is_finished_and_resumes(ray_nodes, toyflow, tmp_path, number):
    process = toyflow.start(*LONG, *ray_nodes.options, "--out", "out")
    finished(process, tmp_path, 1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert (
            process.returncode == 130 and "what is finished is kept" in stderr and "Traceback" not in stderr
        )
    manifests = (tmp_path / "out" / "cells").rglob("manifest.json")
    finished_parts = [p for p in manifests if not p.parent.name.startswith(".")]  # not what was being written
    kept = {p: p.stat().st_mtime_ns for p in finished_parts}
    assert kept
    resumed = toyflow.apart(*LONG, *ray_nodes.options, "--out", "out")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "of 4 cells to run" in resumed.stdout
    assert all(p.stat().st_mtime_ns == then for p, then in kept.items())
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 4


@pytest.mark.parametrize(
    ("words", "said", "connects"),
    [
        (("--address", "127.0.0.1:1"), "no Ray cluster at 127.0.0.1:1: Connection refused", False),
        (("--address", "nowhere"), "must be auto or HOST:PORT", True),
        (("--address", "ray://127.0.0.1:10001"), "not supported", False),
        (
            ("--gpus-per-cell", "1"),
            "each task asks for 1 CPU (--cpus-per-cell or --cpus-per-simulator) and 1 GPU",
            True,
        ),
        (("--device", "cuda"), "needs --gpus-per-cell", False),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(ray_nodes, toyflow, tmp_path, words, said, connects):
    """A command that tries to connect has a process of its own: this one stays unconnected."""
    run = toyflow.apart if connects else toyflow
    refused = run(*POINTS, *ray_nodes.options, *words, "--out", "out")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    [line] = refused.stderr.strip().splitlines()
    assert said in line and not (tmp_path / "out").exists()


def test_nothing_is_connected_where_all_is_there(toyflow, tmp_path):
    assert toyflow(*POINTS, "--schedules", "beta", "--out", "out").returncode == 0
    nowhere = ("--executor", "ray", "--address", "127.0.0.1:1")
    again = toyflow(*POINTS, "--schedules", "beta", *nowhere, "--out", "out")
    assert again.returncode == 0 and "are already in out" in again.stdout


def test_without_ray_the_line_says_what_to_install(toyflow, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = toyflow(*POINTS, "--executor", "ray", "--out", "out")
    assert refused.returncode == 2 and "pip install 'toyflow[ray]'" in refused.stderr


def test_a_lost_node_costs_no_cell(ray_nodes, toyflow, tmp_path):
    process = toyflow.start(*LONG, *ray_nodes.options, "--out", "out")
    for _ in range(2):  # until each node is at work
        while "started" not in (line := process.stdout.readline()):
            assert line, process.communicate()
    ray_nodes.lose_a_node()
    stdout, stderr = process.communicate(timeout=280)
    ray_nodes.replace_the_lost_node()
    assert process.returncode == 0, stdout + stderr
    assert "died; another worker takes it" in stdout and "[4/4]" in stdout
    assert "raylet" not in stdout + stderr
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 4


def finished(process, folder: Path, count: int) -> None:
    """Wait until `count` cells are complete."""
    deadline = time.time() + 120
    while time.time() < deadline and process.poll() is None:
        cells = folder.glob("out/cells/*")
        if sum(len(list(cell.glob("evaluations/[!.]*"))) == 2 for cell in cells) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"the sweep ended or hung: {process.communicate()}")
