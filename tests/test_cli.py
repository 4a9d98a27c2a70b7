"""The command line as a user has it: in a process of its own, with its exit codes and messages."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from commands import start

from toyflow import plugins
from toyflow.report.results import load_results
from toyflow.sweep.store import FORMAT, Store

POINTS = ("sweep", "--task", "points", "--iterations", "30", "--seeds", "0-1", "--out", "out")
SWEPT = (*POINTS, "--schedules", "beta,uniform", "--steps", "1,10")


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """The results of `SWEPT`, three cells at a time."""
    folder = tmp_path_factory.mktemp("swept")
    out, error = (process := start(folder, *SWEPT, "--jobs", "3")).communicate(timeout=200)
    assert process.returncode == 0, (out, error)
    return folder / "out"


@pytest.fixture
def out(swept, tmp_path) -> Path:
    """A copy of them, where `toyflow` runs."""
    return shutil.copytree(swept, tmp_path / "out")


def cells(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "out" / "cells").glob("[!.]*"))


def scores(folder: Path) -> pd.DataFrame:
    frame = load_results(Store(folder / "out")).frame
    return frame[["label", "seed", "steps", "score", "key"]]


def one_line(result) -> str:
    assert "Traceback" not in result.stderr
    [line] = result.stderr.strip().splitlines()
    return line


def test_a_sweep_from_start_to_figures(toyflow, tmp_path):
    swept = toyflow(*POINTS, "--schedules", "beta,power:2,regression", "--steps", "1,10")
    assert swept.returncode == 0, swept.stderr
    assert len(cells(tmp_path)) == 6
    assert "power:2" in swept.stdout and "[6/6]" in swept.stdout and "K = 10" in swept.stdout
    assert "\x1b" not in swept.stdout, "plain lines where there is no terminal"
    plotted = toyflow("plot", "--out", "out", "--format", "png,svg,pdf")
    assert plotted.returncode == 0, plotted.stderr
    written = sorted(p.name for p in (tmp_path / "out" / "figures").iterdir())
    names = ["schedule_densities", "score_by_decode_time", "score_by_steps", "training_curves"]
    assert written == sorted(f"{name}.{end}" for name in names for end in ("png", "svg", "pdf"))
    table = pd.read_csv(tmp_path / "out" / "tables" / "summary.csv")
    assert len(table) == 5 and (table["low_95"] <= table["score"]).all()


def test_more_steps_and_seeds_extend_a_sweep(toyflow, tmp_path, out):
    weights = {p: p.stat().st_mtime_ns for p in out.rglob("weights.safetensors")}
    wider = (*POINTS, "--schedules", "beta", "--steps", "1,4", "--seeds", "0-2")
    extended = toyflow(*wider)
    assert extended.returncode == 0, extended.stderr
    assert len(cells(tmp_path)) == 5 and len(scores(tmp_path)) == 4 * 2 + 2 + 2
    assert all(p.stat().st_mtime_ns == then for p, then in weights.items()), "nothing was trained again"
    assert "all 3 cells are already in out" in toyflow(*wider).stdout


def test_results_do_not_depend_on_how_many_run_at_once(toyflow, tmp_path, swept):
    assert toyflow(*SWEPT, "--jobs", "1").returncode == 0
    pd.testing.assert_frame_equal(scores(tmp_path), scores(swept.parent))


def test_a_dry_run_lists_cells_and_cost_and_writes_nothing(toyflow, tmp_path, swept):
    result = toyflow(*POINTS, "--schedules", "beta", "--steps", "1", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "to run" in result.stdout and "2 cells to run" in result.stdout
    assert not (tmp_path / "out").exists()
    shutil.copytree(swept, tmp_path / "out")
    result = toyflow(*POINTS, "--schedules", "beta", "--steps", "1", "--seeds", "0-2", "--dry-run")
    assert "2 exist" in result.stdout and "1 cell to run" in result.stdout
    assert cells(tmp_path) == cells(swept.parent)


def test_a_dry_run_that_cannot_time_its_cells_tells_the_cost_by_the_preset(toyflow):
    """Its demonstrations are not there."""
    result = toyflow("sweep", "--preset", "one-step-two-arms", "--dry-run")
    said = one_line(result)
    assert result.returncode == 2 and "does not exist" in said
    assert (
        "What comes first, by the preset's header: " in said and "The cost by the preset's header: " in said
    )


# Faults.


def test_a_failed_cell_is_reported_and_the_others_go_on(toyflow, tmp_path):
    """One raises an error, and the process of another is killed."""
    options = (*POINTS, "--schedules", "beta,uniform", "--steps", "1")
    result = toyflow.apart(*options, fault=f"raise@{tmp_path / 'raised'};kill@{tmp_path / 'killed'}")
    assert result.returncode == 1
    assert "failed" in result.stdout and "a fault was asked for" in result.stdout
    assert "SIGKILL" in result.stdout
    assert "2 of 4 cells failed" in one_line(result)
    assert len(cells(tmp_path)) == 2
    retried = toyflow(*options)
    assert retried.returncode == 0 and len(cells(tmp_path)) == 4


def started(process, tmp_path: Path, count: int) -> None:
    """Wait until `count` cells are finished, both of their decodings done."""
    deadline = time.time() + 60
    while time.time() < deadline and process.poll() is None:
        if len(list(tmp_path.glob("out/cells/[!.]*/evaluations/[!.]*"))) >= 2 * count:
            return
        time.sleep(0.02)
    raise AssertionError(f"the sweep ended or hung: {process.communicate()}")


SLOW = (
    *POINTS[:4],
    "100",
    *POINTS[5:],
    "--schedules",
    "beta,uniform,shift:4",
    "--steps",
    "1,2",
    "--jobs",
    "2",
)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_keeps_what_it_finished_and_resumes(toyflow, tmp_path, number):
    process = toyflow.start(*SLOW, fault="slow")
    started(process, tmp_path, 2)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number and "what is finished is kept" in stderr
    while workers_of(tmp_path):  # they notice that their parent is gone, or the test is out of time
        time.sleep(0.02)
    kept = scores(tmp_path)
    assert 2 <= kept["key"].nunique() < 6
    resumed = toyflow(*SLOW)
    assert resumed.returncode == 0, resumed.stderr
    everything = scores(tmp_path)
    assert everything["key"].nunique() == 6 and len(everything) == 12
    merged = kept.merge(everything, on=["label", "seed", "steps", "key"])
    assert (merged["score_x"] == merged["score_y"]).all() and len(merged) == len(kept)
    assert not list((tmp_path / "out" / "cells").glob(".*")), "nothing half-written is left"


def workers_of(folder: Path) -> list[str]:
    """Processes still at work in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) != os.getpid() and (entry / "cwd").readlink() == folder:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 2.0, 5.0])
def test_ctrl_c_during_the_start_is_one_line(toyflow, seconds):
    """To the whole process group, as a terminal sends it."""
    process = toyflow.start(*SLOW, fault="slow")
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT) and "Traceback" not in stderr


def test_results_without_weights_can_be_read_but_not_decoded_again(toyflow, out):
    for weights in out.rglob("weights.safetensors"):
        weights.unlink()
    assert toyflow("plot", "--out", "out").returncode == 0
    assert "nothing to prune" in toyflow("runs", "prune", "--damaged", "--out", "out").stdout
    extended = toyflow(*POINTS, "--schedules", "beta", "--steps", "1,2")
    assert extended.returncode == 1 and "passed on without weights" in extended.stdout


def test_what_is_being_made_cannot_be_pruned(toyflow, tmp_path, out):
    store = Store(out)
    training, *_ = store.trainings()
    with store.claim(training.record, on_wait=pytest.fail):
        result = toyflow("runs", "prune", training.record.key, "--yes", "--out", "out")
    assert result.returncode == 2 and "is being made by another process" in one_line(result)
    assert len(cells(tmp_path)) == 4


@pytest.mark.slow
def test_two_sweeps_on_one_folder_share_the_work(toyflow, tmp_path):
    longer = (*SLOW, "--iterations", "400")  # than either may take to start
    processes = [toyflow.start(*longer, fault="slow") for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(scores(tmp_path)) == 12
    started = [stdout.count("started") for stdout, _ in outputs]
    assert min(started) >= 2 and sum(started) <= 6 + 2 * 2, "each did cells that the other did not"
    assert not list((tmp_path / "out" / "cells").glob(".*"))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_fails_the_cell_and_leaves_nothing_half_written(toyflow, tmp_path):
    disk = tmp_path / "out"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {disk}"):
        pytest.skip("this machine lets nobody mount a small file system")
    try:
        options = (*POINTS, "--schedules", "beta,uniform", "--seeds", "0-2", "--steps", "1,2")
        result = toyflow(*options, "--jobs", "1")
        assert result.returncode == 1
        said = " ".join((result.stdout + result.stderr).split())
        assert "No space left on device" in said and "Traceback" not in said
        kept = scores(tmp_path)
        assert 1 <= kept["key"].nunique() < 6
        assert os.system(f"mount -o remount,size=4m {disk}") == 0
        assert toyflow(*options, "--jobs", "1").returncode == 0
        assert len(scores(tmp_path)) == 12
    finally:
        os.system(f"umount {disk}")


def test_damaged_results_are_named_and_can_be_pruned(toyflow, tmp_path, out):
    victim = next(out.rglob("outcomes.csv"))
    victim.write_text(victim.read_text() + "\n")
    for command in (("plot", "--out", "out"), SWEPT):
        result = toyflow(*command)
        assert result.returncode == 1 and "outcomes.csv is damaged" in one_line(result)
        assert "runs prune --damaged" in result.stderr and "K = 1" not in result.stdout
    shown = toyflow("runs", "show", victim.parent.parent.parent.name, "--out", "out")
    assert "damaged" in shown.stdout and shown.returncode == 1
    models = {path: path.read_bytes() for path in out.rglob("weights.safetensors")}
    assert toyflow("runs", "prune", "--damaged", "--yes", "--out", "out").returncode == 0
    assert not victim.parent.exists() and all(path.read_bytes() == was for path, was in models.items())
    assert toyflow(*SWEPT).returncode == 0 and victim.exists()
    (next(iter(models)).parent / "curve.csv").write_text("")
    assert toyflow("runs", "prune", "--damaged", "--yes", "--out", "out").returncode == 0
    assert len(cells(tmp_path)) == len(models) - 1


# Bad input: one line, exit code 2, before any work.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--schedules", "unifrm"), "unknown schedule 'unifrm'. Did you mean 'uniform'?"),
        (("--schedules", "shift"), "write shift:alpha"),
        (("--objectives", "regresion"), "Did you mean 'regression'?"),
        (("--samplers", "eulr"), "Did you mean 'euler'?"),
        (("--task", "grid-to-seq"), "Did you mean 'grid-to-sequence'?"),
        (("--set", "encoder=huge"), "unknown encoder 'huge'"),
        (("--set", "attention=jiont"), "Did you mean 'joint'?"),
        (("--set", "side=7"), "side must be a whole number from 2 to 6, got '7'"),
        (("--set", "side"), "--set must be NAME=VALUE,VALUE, got 'side'"),
        (("--set", "depth=3"), "unknown option of task grid-to-sequence 'depth'."),
        (("--objectives", "autoregressive", "--set", "attention=joint"), "needs --set attention=cross"),
        (("--steps", "0"), "--steps must be 1 or more"),
        (("--seeds", "x"), "--seeds must be whole numbers"),
        (("--device", "gpu"), "unknown device 'gpu'"),
        (("--preset", "objectivs"), "Did you mean 'objectives'?"),
        (("--out", "/proc/nowhere"), "cannot write to /proc/nowhere"),
        (("--out", "x" * 300), "cannot look into xxx"),
        (("--schedules", "regression", "--steps", "10"), "regression decodes in 1"),
        (("--time-sampling", "sobol"), "stratified or iid"),
        (("--threads", "0"), "--threads must be"),
    ],
)
def test_bad_flags_of_sweep(toyflow, tmp_path, words, message):
    result = toyflow("sweep", *words)
    assert result.returncode == 2 and message in one_line(result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sweep", "--stpes", "1"), "--stpes"),
        (("sweep", "--jobs", "two"), "Invalid value for '--jobs'"),
        (("swep",), "swep"),
        (("runs", "show"), "Missing argument"),
    ],
)
def test_what_the_parser_refuses_is_one_line_too(toyflow, words, message):
    result = toyflow(*words)
    assert result.returncode == 2 and message in one_line(result)


def test_bad_input_of_the_other_commands(toyflow, tmp_path, swept):
    (tmp_path / "empty").mkdir()
    for words, message in [
        (("plot", "--out", "nowhere"), "nowhere holds no results"),
        (("plot", "--out", "empty"), "empty holds no results"),
        (("runs", "list", "--out", "nowhere"), "nowhere holds no results"),
        (("runs", "prune", "--damaged", "--out", "nowhere"), "nowhere holds no results"),
        (("runs", "prune", "--out", "empty"), "say what to prune"),
        (("schedules", "shft:4"), "Did you mean 'shift'?"),
    ]:
        result = toyflow(*words)
        assert result.returncode == 2 and message in one_line(result), result
    shutil.copytree(swept, tmp_path / "out")
    for words, message in [
        (("plot", "--out", "out", "--format", "gif"), "unknown format 'gif'"),
        (("runs", "show", "zz", "--out", "out"), "'zz' matches no key in out"),
        (("sweep", "--quick"), "--quick is a preset's short version; name the preset with --preset."),
        (("robot-eval", "out", "--executor", "debug"), "unknown executor 'debug'"),
        (("robot-train", "--horizon", "0"), "horizon must be a whole number from 1 to 100, got 0."),
        (("robot-train", "--size", "tni"), "Did you mean 'tiny'?"),
        (("robot-train", "--normalisation", "mean"), "unknown normalisation 'mean'"),
        (("robot-train", "--image-size", "2000"), "image-size must be a whole number from 0 to 1024"),
        (("robot-train", "--fps", "-1"), "fps must be a number from 0 to 1000, got -1.0"),
        (("robot-train", "--rendering", "slow"), "unknown rendering 'slow'"),
        (("robot-setup", "aloha"), "unknown environment to set up 'aloha'"),
        (("robot-demos", "--tasks", "x"), "--tasks must be whole numbers"),
    ]:
        result = toyflow(*words)
        assert result.returncode == 2 and message in one_line(result), result


@pytest.mark.parametrize(
    "words",
    [
        ("shift:4@beta", "uniform", "beta", "--steps", "1,10", "--out", "results/reference/finding-1"),
        (
            "shift:4@beta,encoder=large", "results/reference/finding-1::shift:4@beta",
            "--out", "results/reference/finding-2",
        ),
    ],
)  # fmt: skip
def test_our_own_results_are_compared(toyflow, monkeypatch, words):
    monkeypatch.chdir(Path(__file__).parents[1])
    done = toyflow("compare", *words)
    assert done.returncode == 0 and " over 3 seeds" in " ".join(done.stdout.split()), done.stderr


def test_compare_speaks_of_distances_too_and_fits_a_narrow_terminal(toyflow, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    words = ("compare", "uniform,K=1", "uniform,K=10", "--out", "results/reference/finding-5")
    wide = toyflow(*words)
    assert "in class accuracy" not in wide.stdout and "d_z" in wide.stdout
    assert "higher than uniform at K = 10 in Fréchet distance" in " ".join(wide.stdout.split())
    narrow = toyflow(*words, width=40)
    assert "d_z" not in narrow.stdout and "…" not in narrow.stdout and "paired" in narrow.stdout


def test_results_of_a_newer_format_are_left_alone(toyflow, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "toyflow.json").write_text(json.dumps({"format": FORMAT + 1, "written_by": "9.9"}))
    for words in [POINTS, ("plot", "--out", "out"), ("runs", "list", "--out", "out")]:
        result = toyflow(*words)
        assert result.returncode == 2 and f"format {FORMAT + 1}, written by toyflow 9.9" in one_line(result)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["toyflow.json"]


@pytest.fixture
def plugins_of_0_1_0(tmp_path, monkeypatch):
    """A package of tasks in which each does one thing as toyflow 0.1.0 had it."""
    package = tmp_path / "package"
    info = package / "old_tasks-1.0.dist-info"
    info.mkdir(parents=True)
    (package / "old_tasks.py").write_text(
        """
from toyflow.sweep.subject import Subject
from toyflow_test_plugin import Points

class Knobs(Points):
    name = "old-knobs"
    knobs = {"side": None}

class Study(Subject):
    name, metrics = "old-study", ("close",)

    @classmethod
    def recipe(cls, options):
        return {}

    @classmethod
    def study(cls, options):
        raise NotImplementedError
"""
    )
    (package / "old_imports.py").write_text("from toyflow.sweep.subject import Number")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: old-tasks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[toyflow.tasks]\nold-knobs = old_tasks:Knobs\nold-study = old_tasks:Study\n"
        "old-imports = old_imports:Task\n"
    )
    monkeypatch.syspath_prepend(str(package))
    plugins.available.cache_clear()
    yield
    plugins.available.cache_clear()


def test_tasks_written_for_0_1_0_are_told_what_to_change(toyflow, tmp_path, plugins_of_0_1_0):
    for task, message in [
        (
            "old-knobs",
            "written for toyflow 0.1.0: replace its dictionary `knobs` by a dataclass `data_options`",
        ),
        ("old-study", "written for toyflow 0.1.0: move its `study` to a `Runner`"),
        ("old-imports", "written for another version of toyflow: cannot import name 'Number'"),
    ]:
        for words in (("sweep",), ("recommend",), ("sweep", "--dry-run")):
            result = toyflow(*words, "--task", task)
            assert result.returncode == 2 and message in one_line(result), result
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_schedules_that_no_objective_uses_are_named_before_the_run(toyflow, caplog):
    words = (*POINTS, "--steps", "1", "--dry-run")
    unused = toyflow(*words, "--objectives", "regression,regression-l1", "--schedules", "beta,uniform")
    said = "No schedule is used: regression, regression-l1 train without one, so beta, uniform are left out."
    assert unused.returncode == 0 and caplog.messages == [said]
    caplog.clear()
    used = toyflow(*words, "--objectives", "regression,flow", "--schedules", "beta")
    assert used.returncode == 0 and not caplog.messages
    unnamed = toyflow(*words, "--objectives", "regression")
    assert unnamed.returncode == 0 and not caplog.messages, "nobody named a schedule"


# Looking around.


def test_runs(toyflow, tmp_path, out):
    listed = toyflow("runs", "list", "--out", "out")
    assert all(key in listed.stdout for key in cells(tmp_path))
    [key, *_] = cells(tmp_path)
    shown = toyflow("runs", "show", key[:6], "--out", "out")
    assert "all files match their checksums" in shown.stdout and '"threads": 1' in shown.stdout
    assert toyflow("runs", "prune", "--schedule", "uniform", "--yes", "--out", "out").returncode == 0
    assert len(cells(tmp_path)) == 2
    assert "nothing to prune" in toyflow("runs", "prune", "--damaged", "--out", "out").stdout


def test_schedules_and_doctor_find_plugins(toyflow):
    printed = toyflow("schedules", "power:2", "shift:4@beta")
    assert printed.returncode == 0 and "power:2" in printed.stdout and "0.424" in printed.stdout
    listed = toyflow("schedules")
    assert "power:p" in listed.stdout and "point:t" in listed.stdout and "power:p" not in printed.stdout
    examined = toyflow("doctor")
    assert examined.returncode == 0, examined.stdout
    said = " ".join(examined.stdout.split())
    assert "power (toyflow_test_plugin:Power)" in said and "torchvision" in said


def test_presets_are_listed_with_what_they_show_and_cost(toyflow):
    listed = toyflow("presets")
    assert listed.returncode == 0
    for words in ("finding-1", "paper-table-6", "24 cells", "decides:", "--quick:", "first:"):
        assert words in listed.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("robot-rum",), "'robot-run', 'robot-train', 'robot-setup'? See toyflow --help."),
        (("sweep", "--sted", "1"), "See toyflow sweep --help."),
    ],
)
def test_what_the_command_line_does_not_know_is_a_sentence(toyflow, words, said):
    done = toyflow(*words)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())
    assert ".." not in done.stderr and "?." not in done.stderr


def test_a_broken_torchvision_is_one_line_with_the_mend(toyflow, tmp_path):
    """A torchvision whose operators are missing, as beside a CPU-only torch."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    result = toyflow.apart("sweep", PYTHONPATH=str(broken))
    line = one_line(result)
    assert result.returncode == 1 and "nms does not exist" in line and "pip install" in line
    assert "started" not in result.stdout and not (tmp_path / "results").exists()
    examined = toyflow.apart("doctor", PYTHONPATH=str(broken))
    assert examined.returncode == 1 and "pip install" in examined.stdout


def test_a_broken_torch_is_one_line_with_the_mend(toyflow, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('libtorch_cpu.so: cannot open shared object file')")
    result = toyflow.apart("sweep", PYTHONPATH=str(broken))
    assert result.returncode == 1 and "libtorch_cpu.so" in one_line(result)


@pytest.mark.parametrize(
    "words",
    [
        ("sweep", "--dry-run"), ("schedules",), ("plot",), ("report",), ("probe",),
        ("compare", "beta", "uniform"),
        ("runs", "list"), ("runs", "show", "x"), ("runs", "prune", "--damaged"), ("robot-demos",),
        ("robot-export", "x", "y"), ("robot-serve", "x"), ("robot-run", "x", "--robot", "idle"),
        ("robot-replay", "x"), ("objectives",), ("tasks",),
    ],
)  # fmt: skip
def test_a_torch_that_cannot_be_imported_is_one_line_from_every_command(toyflow, monkeypatch, words):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = toyflow(*words)
    assert result.returncode == 1 and "torch cannot be imported" in one_line(result)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            "study",
            "study is no policy's folder. For the models of a results folder: toyflow probe --out study.",
        ),
        ("resluts/w2", "there is no resluts/w2: name a policy's folder, or a results folder by --out."),
    ],
)
def test_probing_what_is_no_policy_names_it(toyflow, tmp_path, named, said):
    (tmp_path / "study").mkdir()
    result = toyflow("probe", named)
    assert result.returncode == 2 and said in one_line(result)
