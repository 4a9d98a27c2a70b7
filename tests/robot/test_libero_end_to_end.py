"""The whole path in LIBERO's simulator: a scripted episode, a short training, two episodes, a video."""

import json

import pandas as pd
import pytest

pytest.importorskip("lerobot")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_demonstrations_training_evaluation(rendered_libero, toyflow, tmp_path):
    def run(*words):
        done = toyflow.apart(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run(
        "robot-demos", "--suite", "libero_object", "--tasks", "0", "--episodes", "1", "--image-size", "64",
        "--out", "demos",
    )  # fmt: skip
    assert "1 episodes" in said
    said = run(
        "robot-train", "--dataset", "demos", "--iterations", "60", "--batch-size", "8", "--steps", "1",
        "--states", "2", "--videos", "1", "--threads", "1", "--out", "out",
    )  # fmt: skip
    assert "Solved episodes by task" in said and "libero_object" in said
    [cell] = (toyflow.folder / "out" / "cells").glob("[!.]*")
    curve = pd.read_csv(cell / "curve.csv")
    assert curve["iteration"].iloc[-1] == 60
    assert curve["loss"].iloc[-5:].mean() < 0.75 * curve["loss"].iloc[:5].mean()
    [evaluation] = cell.glob("evaluations/*/config.json")
    details = json.loads(evaluation.read_text())["details"]
    assert details["examples"] == 2 and details["errors"] == 0
    assert details["trials"]["assets"] == rendered_libero.assets()
    assert ("asset files replaced" in said) == (rendered_libero.assets() != "whole")
    assert len(list((toyflow.folder / "out").rglob("*.mp4"))) == 1
