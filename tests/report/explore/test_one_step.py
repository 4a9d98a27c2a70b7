"""What probes say of a setting's models: found by the keys of these, wherever the probe lies."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from toyflow.atomic import write_json, write_manifest, write_sealed
from toyflow.report.explore.one_step import OneStep, one_step, read_probes
from toyflow.report.explore.studies import read_study

PUSHT = Path("results/reference/one-step/pusht")


def probed_together(out, **models):
    """As `toyflow probe --out OUT` writes it."""
    (out / "probe").mkdir(parents=True, exist_ok=True)
    rows = [
        {"key": key, "conditions_are": "test set", "target_variance": 1.0, **parts}
        for key, parts in models.items()
    ]
    write_sealed(out / "probe" / "anatomy_by_model.json", {"models": rows})


def probed_alone(out, key, anatomy, dataset="demos"):
    """As `toyflow probe OUT/cells/KEY` writes it."""
    folder = out / "probe" / f"{key}-{dataset}"
    folder.mkdir(parents=True)
    content = {
        "key": key,
        "dataset": f"data/{dataset}",
        "fingerprint": "f",
        "frames_are": "held-out episodes",
    }
    parts = {name: [value, value - 0.1, value + 0.1] for name, value in anatomy.items()}
    write_json(folder / "probe.json", {**content, "actions": {"anatomy": parts}})
    return folder / "probe.json"


def parts_of(out, keys):
    found = one_step(read_probes(out), keys)
    assert found is not None
    return found


def of(leak, rest=0.3, even=None):
    return {
        "error": leak + rest,
        "leak": leak,
        "leak_even": leak / 4 if even is None else even,
        "bias_and_spread": rest,
    }


def test_policies_that_were_probed_one_by_one_are_taken_together(tmp_path):
    probed_alone(tmp_path, "a", of(0.2))
    probed_alone(tmp_path, "b", of(0.4, 0.5))
    found = parts_of(tmp_path, ["a", "b", "c"])
    assert found.where == "held-out episodes of demos" and found.models == 2
    assert found.parts == pytest.approx({"error": 0.7, "leak": 0.3, "bias_and_spread": 0.4})
    assert found.left == pytest.approx({1: 0.3, 2: 0.075, 4: 0.0375, 8: 0.01875, 16: 0.009375})
    assert one_step(read_probes(tmp_path), ["c"]) is None
    assert one_step(read_probes(tmp_path / "nowhere"), ["a"]) is None


def test_the_probe_of_the_most_models_is_taken_and_first_that_of_the_folder(tmp_path):
    probed_together(tmp_path, a=of(0.2))
    probed_alone(tmp_path, "a", of(0.4))
    probed_alone(tmp_path, "b", of(0.4))
    assert [parts_of(tmp_path, keys).where for keys in (["a"], ["b"], ["a", "b"])] == [
        "test set", "held-out episodes of demos", "held-out episodes of demos",
    ]  # fmt: skip


def test_bias_and_spread_are_told_apart_where_each_model_has_them(tmp_path):
    split = {**of(0.2), "bias": 0.2, "spread": 0.1}
    probed_together(tmp_path, a=split, b=of(0.2))
    assert parts_of(tmp_path, ["a"]).parts == {"error": 0.5, "leak": 0.2, "bias": 0.2, "spread": 0.1}
    assert set(parts_of(tmp_path, ["a", "b"]).parts) == {"error", "leak", "bias_and_spread"}


def test_what_has_no_anatomy_of_one_step_has_none(tmp_path):
    """A server that does not take noise, for instance."""
    probed_alone(tmp_path, "a", {"model_spread": 0.1, "sample_error": 0.5})
    probed_together(tmp_path, b={**of(0.2), "leak": math.nan})
    probes = read_probes(tmp_path)
    assert one_step(probes, ["a"]) is one_step(probes, ["b"]) is None


def test_without_pairs_of_noises_nothing_is_said_of_draws(tmp_path):
    probed_together(tmp_path, a={"error": 0.5, "leak": 0.2, "bias_and_spread": 0.3})
    assert one_step(read_probes(tmp_path), ["a"]) == OneStep(
        "test set", 1, {"error": 0.5, "leak": 0.2, "bias_and_spread": 0.3}, {1: 0.2}
    )


def test_a_damaged_probe_is_left_out_and_named(tmp_path, caplog):
    half = probed_alone(tmp_path, "a", of(0.2))
    half.write_text(half.read_text()[:60])
    probed_alone(tmp_path, "c", of(0.2)).write_text('{"key": "c", "actions": 1}')
    probed_alone(tmp_path, "b", of(0.2))
    together = tmp_path / "probe" / "anatomy_by_model.json"
    together.write_text("[]")
    probes = read_probes(tmp_path)
    assert one_step(probes, ["a"]) is one_step(probes, ["c"]) is None and one_step(probes, ["b"])
    assert [each.message.count("is left out") for each in caplog.records] == [1, 1, 1]
    assert all(name in caplog.text for name in (str(half), "c-demos", str(together)))


def test_a_probe_that_is_not_what_was_written_is_left_out(tmp_path, caplog):
    path = probed_alone(tmp_path, "a", of(0.2))
    write_manifest(path.parent, [path])
    assert parts_of(tmp_path, ["a"]).parts["leak"] == 0.2
    path.write_text(path.read_text().replace('"key": "a"', '"key": "b"'))
    assert read_probes(tmp_path) == [] and str(path) in caplog.text


def test_push_t_shows_the_parts_of_the_chosen_policies():
    """Each of a stored study's settings, which `toyflow probe CHECKPOINT` probed."""
    study = read_study("pusht", PUSHT)
    assert set(study.anatomies) == set(range(len(study.settings)))
    for place, setting in enumerate(study.settings):
        files = [next(PUSHT.glob(f"probe/{key}-*/probe.json")) for key in setting.keys]
        parts = pd.DataFrame([json.loads(file.read_text())["actions"]["anatomy"] for file in files])
        shown = study.anatomies[place]
        assert shown.models == len(setting.keys)
        for name in ("error", "leak", "bias_and_spread"):
            assert shown.parts[name] == pytest.approx(parts[name].str[0].mean(), rel=1e-5)
