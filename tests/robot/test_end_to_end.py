"""The robot's commands on the tests' own environment: no simulator is needed."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

pytest.importorskip("lerobot")

from commands import start
from faults.bench import inside
from robot.corrections import rotate
from robot.lerobot_policies import save_act, save_diffusion

pytestmark = pytest.mark.slow

DEMOS = ("robot-demos", "--environment", "points", "--suite", "points", "--tasks", "0,2", "--episodes", "3")
ON_POINTS = ("--environment", "points")
ON_SUITE = (*ON_POINTS, "--suite", "points", "--states", "1")
TRAIN = (
    "robot-train", "--dataset", "demos", "--environment", "points", "--iterations", "40", "--batch-size", "8",
    "--states", "2", "--threads", "1", "--out", "out",
)  # fmt: skip
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """A folder with demonstrations and a policy trained on them, and what the training printed."""
    folder = tmp_path_factory.mktemp("robot")
    made = inside(folder, *DEMOS, "--image-size", "32", "--out", "demos")
    assert made.code == 0, made.err
    process = start(folder, *TRAIN, TOYFLOW_CACHE=str(folder / "cache"))
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return folder, out


@pytest.fixture
def line(toyflow, trained):
    """Commands in that folder."""
    toyflow.folder, _ = trained
    toyflow.monkeypatch.chdir(toyflow.folder)
    return toyflow


def checkpoint(folder: Path, out: str = "out") -> Path:
    [path] = (folder / out / "cells").glob("[!.]*")
    return path


def times(out: Path) -> dict[Path, int]:
    """When each file of weights, decodings and episodes was written."""
    made = [
        path
        for part in ("cells/*/*.*", "cells/*/evaluations/*/*", "rollouts/*/episodes/*")
        for path in out.glob(part)
    ]
    return {path: path.stat().st_mtime_ns for path in made if path.name != "README.md"}


def test_training_ends_with_an_evaluation_and_a_card(trained):
    where, said = trained
    for words in ("Solved episodes by task", "K = 1 against K = 10", "Milliseconds", "videos"):
        assert words in said
    folder = checkpoint(where)
    card = (folder / "README.md").read_text()
    assert "arxiv" not in card  # toyflow is no paper
    assert "shift:4" in card and "| K=10 |" in card and "tasks 0, 2" in card
    [outcomes, _] = [pd.read_csv(path) for path in sorted(folder.glob("evaluations/*/outcomes.csv"))]
    assert len(outcomes) == 4 and set(outcomes["task"]) == {0, 2}
    assert not list((where / "out").glob("training/*"))


def test_more_states_extend_what_is_there(line):
    shutil.copytree(line.folder / "out", line.folder / "more")
    before = times(line.folder / "more")
    done = line(
        "robot-eval", str(checkpoint(line.folder, "more")), *ON_POINTS, "--states", "3", "--steps", "1"
    )
    assert done.returncode == 0, done.stderr
    after = times(line.folder / "more")
    assert before.items() <= after.items()
    assert [path.parent.name for path in after.keys() - before.keys()].count("episodes") == 2


def test_a_simulators_crash_says_nothing_of_the_policy_and_is_tried_again(line, tmp_path):
    shutil.copytree(line.folder / "out", line.folder / "crash")
    flag = tmp_path / "mended"
    cell = checkpoint(line.folder, "crash")
    command = (
        "robot-eval", str(cell), *ON_POINTS, "--tasks", "0", "--states", "3", "--steps", "1,2",
        "--noise-seed", "1", "--threads", "1",
    )  # fmt: skip
    done = line.apart(*command, POINTS_FAULT=f"cracked@{flag}")
    assert done.returncode == 1 and "the same command tries them again" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "/2, 1 error" in done.stdout and "no number counts them" in " ".join(done.stdout.split())
    assert "| 2 and 1 error of the simulator |" in (cell / "README.md").read_text()
    pair = [f"shift:4,noise_seed=1,K={k}" for k in (1, 2)]
    for words in (("report",), ("plot",), ("runs", "list"), ("compare", *pair)):
        read = line(*words, "--out", "crash")
        assert read.returncode == 0, read.stderr
    assert "1 error left out" in read.stdout
    before = times(line.folder / "crash")
    flag.touch()
    done = line.apart(*command, POINTS_FAULT=f"cracked@{flag}")
    assert done.returncode == 0 and "1 error" not in done.stdout, done.stderr
    new = times(line.folder / "crash").keys() - before.keys()
    assert [path.parent.name for path in new] == ["episodes"] * 2, "one for each K"
    assert "| 3 |" in (cell / "README.md").read_text()


def test_episodes_on_a_cluster_go_as_they_do_here(line, ray_nodes):
    evaluated = []
    for out, where in (("here", ("--simulators", "1")), ("there", ray_nodes.options)):
        shutil.copytree(line.folder / "out", line.folder / out)
        shutil.rmtree(line.folder / out / "rollouts")
        for old in (line.folder / out).glob("cells/*/evaluations/*"):
            shutil.rmtree(old)
        cell = checkpoint(line.folder, out)
        command = ("robot-eval", str(cell), *ON_POINTS, "--states", "4", "--steps", "1", "--threads", "1")
        done = (line if out == "here" else line.apart)(*command, *where)
        assert done.returncode == 0, done.stdout + done.stderr
        [path] = cell.glob("evaluations/*/outcomes.csv")
        evaluated.append(pd.read_csv(path).drop(columns="seconds"))
        assert len(list((line.folder / out / "rollouts").rglob("*.json"))) == 8
        details = json.loads((path.parent / "config.json").read_text())["details"]
        assert details["encode_seconds"] > 0 and details["decode_seconds"] > 0
    pd.testing.assert_frame_equal(*evaluated)
    done = line(*command, *where, "--videos", "1")
    assert done.returncode == 2 and "--executor local for --videos" in done.stderr


def test_the_same_command_again_runs_nothing(line):
    before = times(line.folder / "out")
    done = line(*TRAIN, "--videos", "1")
    assert done.returncode == 0 and "K = 1 against K = 10" in done.stdout
    assert "Nothing was filmed: all episodes are kept." in done.stdout
    assert "training" not in done.stdout and times(line.folder / "out") == before


def test_data_that_were_renamed_are_the_same_and_corrected_pictures_are_not(line):
    demos = shutil.copytree(line.folder / "demos", line.folder / "renamed")
    (demos / "manifest.json").unlink()  # changed on purpose
    shutil.copytree(line.folder / "out", line.folder / "corrected")
    words = [{"demos": "renamed", "out": "corrected"}.get(word, word) for word in TRAIN]
    before = times(line.folder / "corrected")
    done = line(*words)
    assert done.returncode == 0 and times(line.folder / "corrected") == before, done.stderr
    rotate(demos)
    done = line(*words, "--suite", "none")
    assert done.returncode == 0, done.stderr
    weights = [path.read_bytes() for path in line.folder.glob("corrected/cells/*/weights.safetensors")]
    assert len(weights) == 2 and weights[0] != weights[1]


def test_a_killed_training_goes_on_to_the_same_weights(line, tmp_path):
    longer = (*TRAIN[:-1], "killed", "--suite", "none", "--seed", "1", "--iterations", "60")
    whole = (*longer, "--out", "whole")
    process = line.start(*longer)
    work = line.folder / "killed" / "training"
    while not list(work.glob("*/iteration-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert line(*longer).returncode == 0
    assert line(*whole).returncode == 0
    found = [next((line.folder / out).glob("cells/*/manifest.json")) for out in ("killed", "whole")]
    manifests = [json.loads(path.read_text()) for path in found]
    assert manifests[0]["weights.safetensors"] == manifests[1]["weights.safetensors"]


@pytest.mark.timeout(600)
def test_two_processes_of_which_one_is_killed_go_on_to_the_policy_of_one(line):
    longer = (*TRAIN[:-2], "--seed", "2", "--iterations", "60", "--device", "cpu")
    process = line.start(*longer, "--suite", "none", "--out", "both", under=TORCHRUN)
    while not list((line.folder / "both" / "training").glob("*/iteration-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    [other] = [each for each in psutil.Process(process.pid).children() if each.environ().get("RANK") == "1"]
    other.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    said = [text for text in err.splitlines() if text.startswith("toyflow:")]
    assert len(said) == 1 and "another process of this training has ended" in said[0]
    assert "goes on from the last checkpoint" in said[0]

    done = line.apart(*longer, "--states", "1", "--steps", "1", "--out", "both", under=ACCELERATE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The policy:") == 1 and "process 1" not in done.stderr
    assert line(*longer, "--suite", "none", "--out", "one").returncode == 0
    folders = [next((line.folder / out).glob("cells/*/manifest.json")).parent for out in ("both", "one")]
    assert folders[0].name == folders[1].name, "how many processes there were is no part of what is made"
    both, one = (pd.read_csv(folder / "curve.csv") for folder in folders)
    assert list(both["loss"]) == pytest.approx(list(one["loss"]), rel=1e-4) and len(one) == 60
    environments = [json.loads((f / "config.json").read_text())["environment"] for f in folders]
    assert [each["processes"] for each in environments] == [2, 1]
    assert list(folders[0].glob("evaluations/*/outcomes.csv"))
    assert not list((line.folder / "both" / "training").iterdir())


LAUNCHED = {"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "3"}


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        ((), LAUNCHED, "toyflow, process 1: distributed training needs an existing data set"),
        (("--dataset", "SMALL"), LAUNCHED, "a batch of 8 does not fall into equal parts (processes: 3,"),
        (("--dataset", "SMALL", "--accumulate", "3"), {}, "(processes: 1, --accumulate: 3)"),
        (("--dataset", "SMALL"), {"ACCELERATE_USE_FSDP": "true"}, "accelerate is set to FSDP"),
        (("--dataset", "SMALL"), {"ACCELERATE_MIXED_PRECISION": "fp16"}, "bfloat16 or float32, not in fp16"),
    ],
)
def test_a_launch_that_cannot_work_is_refused_in_one_line(
    toyflow, small, monkeypatch, words, environment, said
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    words = [str(small[0]) if word == "SMALL" else word for word in words]
    done = toyflow("robot-train", "--suite", "none", "--batch-size", "8", *words)
    assert done.returncode == 2 and said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_everything_that_reads_results_reads_these(line):
    one, ten = (f"shift:4,K={k},states=0-1" for k in (1, 10))
    reading = (("plot",), ("report",), ("compare", one, ten), ("runs", "list"), ("probe", "--steps", "4"))
    for words in reading:
        done = line(*words, "--out", "out")
        assert done.returncode == 0, done.stderr
    assert (line.folder / "out" / "probe").is_dir()


def test_a_lerobot_policy_is_evaluated_and_read_like_ours(line):
    policy = save_diffusion(line.folder / "lerobot" / "checkpoint" / "pretrained_model").parent
    command = ("robot-eval", str(policy), *ON_POINTS, "--suite", "points", "--states", "2", "--steps", "1,4")
    done = line(*command, "--out", "imported", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "lerobot:diffusion" in done.stdout and "plans anew after 4 actions" in done.stdout
    assert "Loading weights" not in done.stdout + done.stderr
    before = times(line.folder / "imported")
    assert line(*command, "--out", "imported").returncode == 0 and times(line.folder / "imported") == before
    card = (checkpoint(line.folder, "imported") / "README.md").read_text()
    assert "| K=4 |" in card and "of type diffusion" in card
    one, four = (f"lerobot:diffusion,K={k}" for k in (1, 4))
    for words in (("plot",), ("report",), ("compare", one, four), ("runs", "list")):
        done = line(*words, "--out", "imported")
        assert done.returncode == 0, done.stderr
    done = line("probe", "--steps", "4", "--out", "imported")
    assert done.returncode == 2 and "is of an objective that is installed" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("robot-train", "--dataset", "nowhere"), "nowhere does not exist"),
        (("robot-train", "--dataset", "demos", *ON_POINTS, "--suite", "moon"), "unknown suite 'moon'"),
        (("robot-train", "--dataset", "demos", "--cameras", "eye", "--suite", "none"), "has no camera 'eye'"),
        (("robot-train", "--dataset", "demos", "--horizon", "0", "--suite", "none"), "horizon"),
        (("robot-train", "--dataset", "demos", "--size", "huge", "--suite", "none"), "unknown size 'huge'"),
        (("robot-train", "--dataset", "demos", "--threads", "0", "--suite", "none"), "--threads"),
        (("robot-train", "--dataset", "SMALL", *ON_SUITE), "no camera wrist"),
        (("robot-train", "--dataset", "demos", *ON_POINTS, "--suite", "none", "--wandb", "x"), "--wandb"),
        (("robot-eval", "CHECKPOINT", "--environment", "aloha"), "the demonstrations are of points"),
        (("robot-eval", "CHECKPOINT", *ON_POINTS, "--suite", "none"), "name a suite to evaluate on"),
        (("robot-eval", "out"), "is no checkpoint"),
        (("robot-eval", "CHECKPOINT", *ON_POINTS, "--tasks", "7"), "has no task 7"),
        (("robot-eval", "CHECKPOINT", *ON_POINTS, "--states", "99"), "a task of points has 5"),
        (("robot-eval", "CHECKPOINT", *ON_POINTS, "--steps", "0"), "must be 1 or more"),
        (("robot-eval", "CHECKPOINT", *ON_POINTS, "--rename", "a=b"), "--rename is for LeRobot policies"),
        (("robot-eval", "demos", *ON_POINTS), "is no checkpoint"),
        (("robot-eval", "LEROBOT", *ON_POINTS), "name a suite to evaluate on"),
        (("robot-eval", "LEROBOT", *ON_SUITE, "--rename", "x"), "takes pairs such as"),
        (("robot-eval", "LEROBOT", *ON_SUITE, "--steps", "10"), "cannot decode in 10"),
        (("robot-eval", "LEROBOT", *ON_SUITE, "--rename", "front=top"), "has no camera top"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(line, small, monkeypatch, words, said):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    words = [str(small[0]) if word == "SMALL" else word for word in words]
    if "LEROBOT" in words:
        act = line.folder / "act"
        words = [str(act if act.exists() else save_act(act)) if word == "LEROBOT" else word for word in words]
    words = [str(checkpoint(line.folder)) if word == "CHECKPOINT" else word for word in words]
    done = line(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_damaged_checkpoint_is_named(line, tmp_path):
    weights = checkpoint(line.folder) / "weights.safetensors"
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:-7] + bytes([content[-7] ^ 1]) + content[-6:])
        done = line("robot-eval", str(weights.parent), *ON_POINTS, "--states", "4", "--steps", "1")
        assert done.returncode == 2 and "is damaged: its checksum" in done.stderr
        assert done.stderr.count("weights.safetensors") == 1 and "Take it from a copy" in done.stderr
    finally:
        weights.write_bytes(content)


def test_a_benchmark_that_varies_tasks_is_shown_by_perturbation(line):
    shutil.copytree(line.folder / "out", line.folder / "varied")
    cell = checkpoint(line.folder, "varied")
    done = line("robot-eval", str(cell), *ON_POINTS, "--suite", "varied", "--steps", "1,10", "--threads", "1")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for words in (
        "Solved by perturbation and suite", "Solved by perturbation and level", "unperturbed",
        "K = 1 against K = 10 by perturbation", "2 tasks of varied under dark (a lamp is missing; buy one)",
    ):  # fmt: skip
        assert words in said
    assert "without 2 tasks that cannot run here" in (cell / "README.md").read_text()
    frames = [pd.read_csv(path) for path in cell.glob("evaluations/*/outcomes.csv")]
    varied = [frame for frame in frames if "perturbation" in frame]
    assert len(varied) == 2 and all([*frame["task"]] == [0, 1, 2, 8, 9, 10] for frame in varied)
    assert set(varied[0]["base_task"]) == {"go-0", "go-2"}
