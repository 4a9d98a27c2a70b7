import json
import shutil
from pathlib import Path

import pytest
from robot.corrections import hold_still

from toyflow.errors import UsageError
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.data.demo_source import DEMOS
from toyflow.robot.policy.checkpoint import policy_interface
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.policy.policy_recipes import RECIPES
from toyflow.robot.robot_runner import RobotRunner
from toyflow.robot.robot_task import RobotTask
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.sweep_options import SweepOptions

pytest.importorskip("lerobot")

NO_TRIALS = {"suite": "none"}


@pytest.fixture
def still(small, tmp_path):
    """A data set whose second action and first number of the state never change."""
    folder = shutil.copytree(small[0], tmp_path / "still")
    hold_still(folder, "action", 1)
    hold_still(folder, "observation.state", 0)
    return str(tmp_path / "still")


def test_constant_dimensions_are_refused_by_name(still):
    with pytest.raises(UsageError, match=r"state \[0\] and action \[1\] .* never changes") as error:
        RobotTask.choose({"dataset": still, **NO_TRIALS})
    assert "\n" not in str(error.value) and "--keep-constant" in str(error.value)
    with pytest.raises(UsageError, match=r"still: action \[1\] .* never changes"):
        RobotTask.choose({"dataset": still, "state": "off", **NO_TRIALS})


def test_a_simulators_state_may_stand_still_in_its_own_demonstrations(still):
    Path(still, DEMOS).write_text('{"recipe": {"environment": "points", "suite": "points", "tasks": [0]}}')
    with pytest.raises(UsageError, match=r"still: action \[1\] .* never changes"):
        RobotTask.choose({"dataset": still, **NO_TRIALS})


def test_constant_dimensions_may_be_kept_and_are_no_part_of_the_policys_identity(still, small):
    kept = RobotTask.choose({"dataset": still, "constant-dims": "keep", **NO_TRIALS})
    assert kept.model == RobotTask.choose({"dataset": str(small[0]), **NO_TRIALS}).model
    assert "constant-dims" not in kept.data


def test_a_study_knows_the_data_sets_of_variants(small, tmp_path):
    shutil.copytree(small[0], tmp_path / "other")
    here, there = str(small[0]), str(tmp_path / "other")
    runner = RobotRunner.from_options(
        RobotTask, SweepOptions(set={"dataset": (here,)}, variants=({"dataset": there}, {"fps": "10"}))
    )
    assert runner.data_sets == {
        open_data_set(here).fingerprint: (here, "")
    }  # the same content under two names
    info = tmp_path / "other" / "meta" / "info.json"
    info.write_text(info.read_text().replace('"fps": 10', '"fps": 5'))
    runner = RobotRunner.from_options(
        RobotTask, SweepOptions(variants=({"dataset": here}, {"dataset": there}))
    )
    assert sorted(runner.data_sets.values()) == sorted([(here, ""), (there, "")])


def test_a_data_set_without_cameras_is_for_a_policy_that_sees_none(small, tmp_path):
    shutil.copytree(small[0], tmp_path / "blind")
    path = tmp_path / "blind" / "meta" / "info.json"
    info = json.loads(path.read_text())
    for camera in ("front", "wrist"):
        del info["features"][f"observation.images.{camera}"]
    path.write_text(json.dumps(info))
    data = DataSet(str(tmp_path / "blind"))
    with pytest.raises(UsageError, match=r"no camera.*it has .*observation\.state.*--cameras none"):
        policy_interface(data, PolicyOptions())
    assert policy_interface(data, PolicyOptions(cameras="none")).cameras == ()


def test_statistics_that_are_no_numbers_are_refused_before_anything_starts(still):
    path = Path(still) / "meta" / "stats.json"
    statistics = json.loads(path.read_text())
    statistics["action"]["mean"][0] = float("nan")
    path.write_text(json.dumps(statistics))
    with pytest.raises(UsageError, match=r"meta/stats\.json, action: it has no mean of 2 finite"):
        RobotTask.choose({"dataset": still, **NO_TRIALS})


def test_each_size_has_its_recipe_in_one_sweep(small):
    options = SweepOptions(
        task="robot", schedules=("beta",), seeds=(0,), learning_rate=(1e-6, 1e-3),
        set={"dataset": (str(small[0]),), "size": ("nano", "tiny"), "suite": ("none",)},
    )  # fmt: skip
    cells = plan_sweep(options, RobotTask)
    assert [cell.name for cell in cells] == [
        f"beta size={size} learning-rate={rate}" for size in ("nano", "tiny") for rate in ("1e-06", "0.001")
    ]
    assert [(c.training.recipe["iterations"], c.training.recipe["final_learning_rate"]) for c in cells] == [
        (RECIPES[size].iterations, rate) for size in ("nano", "tiny") for rate in (1e-6, 1e-5)
    ]  # the rate never ends above its peak
