"""Actions relative to the state, from a data set's numbers to a plan."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from toyflow.cli import app
from toyflow.errors import UsageError
from toyflow.flow import Decoding, make_objective, parse_schedule
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.chunk_statistics import chunk_statistics
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.data.relative_actions import correlations, relative_numbers
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.limits import Limits, data_rule
from toyflow.robot.planner import Commitment
from toyflow.robot.policy.checkpoint import load_policy, normalisation_of
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.policy.spec import PolicySpec
from toyflow.robot.robot_runner import RobotRunner
from toyflow.robot.robot_task import RobotTask
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.store import Store
from toyflow.sweep.sweep_options import SweepOptions

NAMES = ["waist", "elbow", "gripper"]
HORIZON = 5
PER_STEP = np.array([0.5, -0.25])
"""How far ahead of the state an action of the waist and of the elbow is, per step of the chunk."""
EPISODES = [(30, 0.0), (25, 40.0), (20, -30.0), (35, 10.0)]
"""Frames of each episode, and where the arm begins."""


def episode(frames: int, begin: float) -> tuple[np.ndarray, np.ndarray]:
    """States and actions of an arm whose action is where it will be after the step, as in ALOHA's data."""
    steps = np.arange(frames + 1)[:, None]
    arm = begin + PER_STEP * steps
    gripper = (steps // 7) % 2 * 1.0
    state = np.concatenate([arm, gripper], axis=1).astype(np.float32)
    return state[:-1], state[1:]


@pytest.fixture(scope="module")
def arm(tmp_path_factory) -> Path:
    """A data set without cameras, whose three numbers have names."""
    pytest.importorskip("lerobot")
    from toyflow.robot.data.demos.data_set_writer import Demonstration, write_data_set
    from toyflow.robot.data.demos.recording import Trajectory

    folder = tmp_path_factory.mktemp("arm") / "data"
    folder.mkdir()
    made = [Demonstration("go up", Trajectory({}, *episode(*each))) for each in EPISODES]
    write_data_set(folder, made, Interface((), 3, 3, 10), 32)
    named(folder, NAMES, NAMES)
    return folder


def named(folder: Path, action: list[str], state: list[str]) -> None:
    path = folder / "meta" / "info.json"
    info = json.loads(path.read_text())
    info["features"]["action"]["names"] = action
    info["features"]["observation.state"]["names"] = state
    path.write_text(json.dumps(info))


@pytest.fixture
def copied(arm, tmp_path) -> Path:
    return Path(shutil.copytree(arm, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("stay", "expected"),
    [("gripper", (0, 1)), ("GRIP+waist", (1,)), ("none", (0, 1, 2)), ("0", (1, 2)), ("2+elbow", (0,))],
)
def test_numbers_stay_absolute_by_name_or_place(stay, expected):
    assert relative_numbers(NAMES, NAMES, stay) == expected


@pytest.mark.parametrize(
    ("action", "state", "stay", "said"),
    [
        (NAMES, NAMES, "waist+elbow+gripper", "leaves all 3 numbers absolute"),
        (NAMES, ["waist", "wrist", "gripper"], "gripper",
         "number 1 is elbow in actions and wrist in states. To leave it .*: --relative-except 1[+]grip"),
        (["waist.deg"], ["waist.rad"], "none", "waist.deg, in degrees, in actions and waist.rad, in radians"),
        (NAMES, ["waist"], "gripper", "number 1 is elbow in actions and not there in states"),
        (["0", "1"], ["0", "1", "2"], "none", "actions have 2 numbers, states 3, without names"),
        (["action_0"], ["state_0", "state_1"], "none", "actions have 1 numbers, states 2, without names"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_belong_together_are_refused(action, state, stay, said):
    with pytest.raises(UsageError, match=said) as caught:
        relative_numbers(action, state, stay, "data set mine")
    assert str(caught.value).startswith("data set mine: --") and "\n" not in str(caught.value)


def test_numbers_without_names_belong_together_by_their_place():
    assert relative_numbers(["action_0", "action_1"], ["state_0", "state_1"]) == (0, 1)
    assert relative_numbers(["0", "1"], ["a", "b"], "1") == (0,)
    assert relative_numbers(NAMES, [*NAMES, "battery"]) == (0, 1)


def test_statistics_are_of_the_chunks_that_are_learned(arm):
    """By hand: the i-th action of a chunk is (i + 1) steps ahead of the state at its start."""
    data = DataSet(str(arm))
    found = chunk_statistics(data, torch.arange(data.frames), HORIZON, (0, 1))
    steps = np.concatenate(
        [[i + 1] * sum(max(0, frames - i) for frames, _ in EPISODES) for i in range(HORIZON)]
    )
    for number in (0, 1):
        by_hand = steps * PER_STEP[number]
        assert found["mean"][number] == pytest.approx(by_hand.mean(), abs=1e-4)
        assert found["std"][number] == pytest.approx(by_hand.std(), rel=1e-4)
        low, high = np.quantile(by_hand, [0.01, 0.99])
        assert (found["q01"][number], found["q99"][number]) == pytest.approx((low, high), abs=1e-4)
    assert 0 < found["mean"][2] < 1, "the gripper stays absolute"
    absolute = chunk_statistics(data, torch.arange(data.frames), 1, ())
    plain = data.statistics_of("action", torch.arange(data.frames))
    for name, numbers in plain.items():
        assert absolute[name] == pytest.approx(numbers, abs=1e-4)


def test_a_large_data_set_is_sampled_evenly(arm, monkeypatch):
    data = DataSet(str(arm))
    whole = chunk_statistics(data, torch.arange(data.frames), HORIZON, (0, 1))
    monkeypatch.setattr("toyflow.robot.data.chunk_statistics.MOST_ACTIONS", data.frames * HORIZON // 7)
    half = chunk_statistics(data, torch.arange(data.frames), HORIZON, (0, 1))
    assert half != whole and half["mean"][:2] == pytest.approx(whole["mean"][:2], rel=0.2)


def test_the_normalisation_is_of_relative_actions_and_of_the_training_part(arm):
    data = DataSet(str(arm))
    relative = PolicyOptions(actions="relative", horizon=HORIZON)
    absolute = normalisation_of(data, PolicyOptions(horizon=HORIZON))
    found = normalisation_of(data, relative)
    assert found.state == absolute.state
    assert found.action.scale[0] < 1 < absolute.action.scale[0]
    held_out = normalisation_of(data, relative, 0.5)
    assert held_out.action != found.action and held_out.action.scale[0] == pytest.approx(0.7, abs=0.05)
    quantile = normalisation_of(data, PolicyOptions(actions="relative", horizon=HORIZON,
                                                    normalisation="quantile"))  # fmt: skip
    assert quantile.action.scale[0] == pytest.approx(1.0, abs=1e-3), "from 1 to 5 half steps"


def test_quantiles_that_a_data_set_lacks_are_computed(copied):
    path = copied / "meta" / "stats.json"
    statistics = json.loads(path.read_text())
    for feature in ("action", "observation.state"):
        statistics[feature] = {name: statistics[feature][name] for name in ("mean", "std", "min", "max")}
    path.write_text(json.dumps(statistics))
    data = DataSet(str(copied))
    found = normalisation_of(data, PolicyOptions(normalisation="quantile"))
    low, high = np.quantile(np.concatenate([episode(*each)[0] for each in EPISODES]), [0.01, 0.99], axis=0)
    np.testing.assert_allclose(found.state.scale, (high - low) / 2, atol=1e-4)


def policy_of(relative: tuple[int, ...], **options) -> Policy:
    torch.manual_seed(0)
    unit = {"mean": [1.0, -2.0, 0.5], "std": [2.0, 3.0, 0.5]}
    spec = PolicySpec("nano", Interface((), 3, 3, 10), HORIZON, relative=relative, **options)
    return Policy(spec, Normalisation.from_statistics(unit, unit)).eval()


def test_target_and_actions_are_inverse_and_as_by_hand():
    policy, state = policy_of((0, 1)), torch.randn(4, 3)
    actions = torch.randn(4, HORIZON, 3)
    target = policy.target(actions, state)
    by_hand = (actions[..., 1] - state[:, None, 1] + 2) / 3
    torch.testing.assert_close(target[..., 1], by_hand)
    torch.testing.assert_close(target[..., 2], (actions[..., 2] - 0.5) / 0.5)
    torch.testing.assert_close(policy.actions(target, state), actions)
    draws = torch.stack([target, target + 1])
    torch.testing.assert_close(policy.actions(draws, state)[0], actions)


def test_they_are_those_of_lerobot():
    theirs = pytest.importorskip("lerobot.processor.relative_action_processor", reason="LeRobot 0.6")
    actions, state = torch.randn(4, HORIZON, 3), torch.randn(4, 3)
    step = theirs.RelativeActionsProcessorStep(True, exclude_joints=["gripper"], action_names=NAMES)
    relative = theirs.to_relative_actions(actions, state, step._build_mask(3))
    policy = policy_of(relative_numbers(NAMES, NAMES))
    torch.testing.assert_close(policy.normalise_action(relative), policy.target(actions, state)[..., :3])


def planner_of(policy: Policy) -> FlowPlanner:
    return FlowPlanner(policy, make_objective("flow", parse_schedule("shift:4")), Decoding(4))


def test_a_plan_moves_with_the_state_in_relative_numbers_alone():
    planner = planner_of(policy_of((0, 1), state=False))
    here, shift = np.array([1, 2, 3], np.float32), np.array([10, -20, 30], np.float32)
    seen = [Observation({}, state, "go") for state in (here, here + shift)]
    one, other = planner.plan(seen, [3, 3])
    np.testing.assert_allclose(other - one, np.broadcast_to([10, -20, 0], one.shape), atol=1e-4)
    np.testing.assert_allclose(planner.plan(seen[1:], [3])[0], other, atol=1e-4)


def test_what_is_committed_is_taken_relative_to_the_present_state():
    """Were it left relative to the state of its own chunk, or absolute, the plan would not move along."""
    planner = planner_of(policy_of((0, 1), state=False))
    here, shift = np.array([1, 2, 3], np.float32), np.array([10, -20, 0], np.float32)
    left = planner.plan([Observation({}, here, "go")], [5])[0, 1:]
    plans = [
        planner.continue_plan([Observation({}, here + by, "go")], [3], [Commitment(left + by, 2)])[0]
        for by in (np.zeros(3, np.float32), shift)
    ]
    np.testing.assert_allclose(plans[1] - plans[0], np.broadcast_to(shift, plans[0].shape), atol=1e-3)
    free = planner.plan([Observation({}, here, "go")], [3])[0]
    assert np.abs(plans[0][:2] - left[:2]).max() < np.abs(free[:2] - left[:2]).max() / 2


def test_specs_tell_it_and_earlier_ones_are_absolute():
    spec = PolicySpec("nano", Interface((), 3, 3, 10), relative=(0, 1))
    assert PolicySpec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec
    plain = replace(spec, relative=())
    assert "relative" not in plain.as_dict() and PolicySpec.from_dict(plain.as_dict()) == plain
    for wrong, said in (
        ([3], "number 3 of an action cannot be"),
        ("01", "list of whole"),
        ([0.5], "list of"),
    ):
        with pytest.raises(UsageError, match=said):
            PolicySpec.from_dict({**spec.as_dict(), "relative": wrong})


def test_records_of_absolute_policies_stay_as_they_were():
    assert not {"actions", "relative-except"} & PolicyOptions().record().keys()
    assert PolicyOptions(relative_except="waist").record() == PolicyOptions().record()
    relative = PolicyOptions(actions="relative", relative_except="2")
    assert PolicyOptions.parse(relative.record()) == relative


def test_a_guess_of_limits_is_not_made_of_relative_actions():
    details = {"policy": {"relative": [0]}, "normalisation": {"action": {"centre": [0.0], "scale": [1.0]}}}
    assert Limits.of_data(details) == Limits() and data_rule(details) is None
    assert Limits.of_data({**details, "policy": {}}).upper is not None


def chosen(folder: Path, **options: str):
    asked = {"dataset": str(folder), "suite": "none", "cameras": "none", "actions": "relative", **options}
    return RobotTask.choose(asked)


def test_training_refuses_what_does_not_belong_together(copied):
    named(copied, NAMES, ["waist", "wrist", "gripper"])
    with pytest.raises(
        UsageError, match=r"number 1 is elbow in actions and wrist in states.*robot-data check"
    ):
        chosen(copied)
    assert chosen(copied, **{"relative-except": "elbow+gripper"}).model["actions"] == "relative"
    with pytest.raises(UsageError, match="number 1 is elbow in actions"):
        chosen(copied, contradictions="keep")
    RobotTask.choose({"dataset": str(copied), "suite": "none", "cameras": "none"})


def test_the_check_says_what_would_be_relative(arm, copied):
    [note] = [
        each for each in check_data_set("mine", arm, cameras=[], relative_except="gripper").findings
        if "--actions relative" in each.sentence
    ]  # fmt: skip
    assert note.level == "note" and "numbers 0-1 of an action are relative" in note.sentence
    assert "absolute: 2 (gripper)" in note.sentence
    named(copied, [f"action_{i}" for i in range(3)], [f"state_{i}" for i in range(3)])
    [warning] = [
        each for each in check_data_set("mine", copied, cameras=[], relative_except="gripper").findings
        if "--actions relative" in each.sentence
    ]  # fmt: skip
    assert warning.level == "warning" and "--relative-except 6+13" in warning.sentence


def rewritten(folder: Path, change) -> None:
    [path] = (folder / "data").rglob("*.parquet")
    table = pd.read_parquet(path)
    change(table)
    table.to_parquet(path)


def test_actions_that_are_changes_already_are_refused(copied):
    def to_changes(table: pd.DataFrame) -> None:
        generator = np.random.default_rng(0)
        moved = generator.normal(size=(len(table), 3)).astype(np.float32)
        table["action"] = list(moved)
        table["observation.state"] = list(np.cumsum(moved, axis=0) - moved)

    rewritten(copied, to_changes)
    found = check_data_set("mine", copied, cameras=[], relative_except="none").errors
    assert any("changes of the state already" in each.sentence for each in found)


def test_degrees_are_not_taken_relative_to_radians(copied):
    def to_radians(table: pd.DataFrame) -> None:
        table["observation.state"] = [
            np.deg2rad(row).astype(np.float32) for row in table["observation.state"]
        ]

    rewritten(copied, to_radians)
    found = check_data_set("mine", copied, cameras=[], relative_except="gripper").errors
    assert any("as of degrees and radians" in each.sentence for each in found)


def test_targets_in_another_unit_are_not_taken_relative_to_the_state(copied):
    """gym-aloha's states are angles, and the actions of our own demonstrations go from -1 to 1."""

    def scaled(table: pd.DataFrame) -> None:
        table["observation.state"] = [
            row * np.array([3, 1, 1], np.float32) for row in table["observation.state"]
        ]

    rewritten(copied, scaled)
    found = check_data_set("mine", copied, cameras=[], relative_except="gripper").errors
    assert any("number 0 of the state" in each.sentence for each in found)
    found = check_data_set("mine", copied, cameras=[], relative_except="waist+gripper").errors
    assert not any("as in another unit" in each.sentence for each in found)


@pytest.mark.parametrize(
    ("environment", "refused"), [("aloha-state", True), ("libero", True), ("points", False)]
)
def test_an_environment_says_whether_its_actions_are_in_the_units_of_its_states(copied, environment, refused):
    recipe = {"environment": environment, "suite": "any", "tasks": [0]}
    (copied / "demos.json").write_text(json.dumps({"recipe": recipe}))
    if not refused:
        assert chosen(copied).model["actions"] == "relative"
        return
    said = f"actions of {environment} are in other units than its states"
    for contradictions in ("refuse", "keep"):
        with pytest.raises(UsageError, match=said):
            chosen(copied, contradictions=contradictions)
    found = check_data_set("mine", copied, cameras=[], relative_except="gripper").errors
    assert [said in each.sentence for each in found] == [True]


def test_statistics_of_relative_actions_in_the_data_set_do_not_matter(copied):
    """LeRobot's `recompute_stats --relative_action` writes them into meta/stats.json."""
    path = copied / "meta" / "stats.json"
    statistics = json.loads(path.read_text())
    statistics["action"]["std"] = [0.7, 0.35, 0.5]
    statistics["action"]["mean"] = [1.5, -0.75, 0.5]
    path.write_text(json.dumps(statistics))
    assert check_data_set("mine", copied, cameras=[]).errors
    assert not check_data_set("mine", copied, cameras=[], relative_except="gripper").errors


def test_few_frames_tell_nothing():
    one = np.zeros((5, 2))
    assert correlations(one, one, np.zeros(5)) is None


def test_the_commands_take_it(copied):
    named(copied, NAMES, ["waist", "wrist", "gripper"])
    run = CliRunner()
    said = run.invoke(app, ["robot-data", "check", str(copied), "--actions", "relative", "--cameras", "none"])
    assert said.exit_code == 1 and "elbow in actions" in " ".join(said.output.split())
    plain = run.invoke(app, ["robot-data", "check", str(copied), "--cameras", "none"])
    assert plain.exit_code == 0
    with pytest.raises(UsageError, match="--relative-except needs --actions relative"):
        run.invoke(app, ["robot-train", "--dataset", str(copied), "--relative-except", "2"],
                   catch_exceptions=False)  # fmt: skip


@pytest.fixture(scope="module")
def trained(arm, tmp_path_factory):
    """A policy that reads the prompt alone and learned relative actions by regression, and its cell."""
    out = tmp_path_factory.mktemp("out")
    options = SweepOptions().updated(
        {
            "task": "robot", "objectives": "regression", "seeds": "0", "iterations": 120, "batch_size": 32,
            "out": str(out), "threads": 1,
            "set": {"dataset": [str(arm)], "suite": ["none"], "cameras": ["none"], "state": ["off"],
                    "horizon": [str(HORIZON)], "actions": ["relative"], "relative-except": ["gripper"]},
        },
        "test",
    )  # fmt: skip
    [cell] = plan_sweep(options, RobotTask)
    runner = RobotRunner.from_options(RobotTask, options)
    store = Store(out)
    store.prepare()
    runner.prepare([cell.training])
    with store.try_claim(cell.training):
        store.write_training(cell.training, runner.train(cell.training, lambda *_: None), {})
    return store.training(cell.training.key), runner


@pytest.mark.parametrize("more", [{}, {"hold-out": ["0.5"]}, {"normalisation": ["quantile"]}], ids=str)
def test_what_a_command_tries_before_it_trains_takes_them(arm, tmp_path, more):
    options = SweepOptions().updated(
        {"task": "robot", "seeds": "0", "out": str(tmp_path),
         "set": {"dataset": [str(arm)], "suite": ["none"], "cameras": ["none"], "actions": ["relative"],
                 **more}},
        "test",
    )  # fmt: skip
    cell = plan_sweep(options, RobotTask)[0]
    RobotRunner.from_options(RobotTask, options).prepare([cell.training])


def test_a_policy_that_learned_relative_actions_plans_absolute_ones(trained):
    training, _ = trained
    planner = FlowPlanner(*load_policy(training))
    state = np.array([500.0, -300.0, 0.0], np.float32)  # far from all demonstrations
    plan = planner.plan([Observation({}, state, "go up")], [0])[0]
    expected = state[:2] + PER_STEP * np.arange(1, HORIZON + 1)[:, None]
    np.testing.assert_allclose(plan[:, :2], expected, atol=0.15)
    assert np.all((plan[:, 2] > -0.5) & (plan[:, 2] < 1.5)), "the gripper stays absolute"
    assert training.details["motion"]["upper"][0] > 50, "the range of actions is of absolute ones"


def test_a_probe_compares_relative_answers_with_relative_demonstrations(trained, arm):
    training, runner = trained
    bench = runner.bench(training, 30, torch.device("cpu"), str(arm))
    policy, _ = load_policy(training)
    data = DataSet(str(arm))
    assert bench.test.target.abs().max() < 3, "absolute actions would be far outside"
    chunks = data.chunks(torch.tensor([0]), HORIZON)
    ours = policy.target(chunks.actions, chunks.state)[0, :, :3]
    torch.testing.assert_close(bench.test.target[0], ours)


def test_lerobot_plans_the_same_absolute_actions(trained, tmp_path):
    pytest.importorskip("lerobot_policy_toyflow", reason="pip install -e lerobot_policy_toyflow")
    from lerobot_policy_toyflow import ToyflowPolicy
    from toyflow.robot.lerobot.export import export_policy
    from toyflow.robot.lerobot.imported import import_checkpoint
    from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
    from toyflow.robot.policy.checkpoint import spec_of

    training, _ = trained
    export_policy(training, tmp_path / "exported")
    policy = ToyflowPolicy.from_pretrained(tmp_path / "exported")
    state = np.array([7.0, 2.0, 1.0], np.float32)
    theirs = policy.predict_action_chunk(
        {"observation.state": torch.from_numpy(state[None]), "task": ["go up"]},
        noise=torch.zeros(1, HORIZON, 32),
    )
    ours = FlowPlanner(*load_policy(training)).plan([Observation({}, state, "go up")], [0])
    np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-4)
    again = import_checkpoint(
        LeRobotCheckpoint("exported", tmp_path / "exported"), {}, Store(tmp_path / "imported")
    )
    assert spec_of(again) == spec_of(training)


def test_the_plug_in_trains_relative_actions_by_statistics_of_its_own(arm, copied):
    pytest.importorskip("lerobot_policy_toyflow", reason="pip install -e lerobot_policy_toyflow")
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.datasets.lerobot_dataset import LeRobotDatasetMetadata

    from lerobot_policy_toyflow import ToyflowConfig, ToyflowPolicy

    def made(folder: Path) -> ToyflowPolicy:
        config = ToyflowConfig(
            input_features={"observation.state": PolicyFeature(FeatureType.STATE, (3,))},
            output_features={"action": PolicyFeature(FeatureType.ACTION, (3,))},
            device="cpu", push_to_hub=False, chunk_size=HORIZON, n_action_steps=HORIZON, actions="relative",
        )  # fmt: skip
        meta = LeRobotDatasetMetadata("data", root=folder)
        return ToyflowPolicy(config, dataset_stats=meta.stats, dataset_meta=meta)

    policy = made(arm)
    assert policy.config.relative_numbers == [0, 1] and policy.model.spec.relative == (0, 1)
    ours = normalisation_of(DataSet(str(arm)), PolicyOptions(actions="relative", horizon=HORIZON))
    assert policy.model.normalisation == ours
    state = torch.tensor([[3.0, 4.0, 0.0]])
    batch = {"observation.state": state, "action": torch.randn(1, HORIZON, 3), "task": ["go up"]}
    assert policy(batch)[0].isfinite()
    torch.manual_seed(0)
    first = policy.select_action(batch)
    moved = {**batch, "observation.state": state + 100}
    torch.manual_seed(0)
    chunk = policy.predict_action_chunk(batch)
    torch.testing.assert_close(first, chunk[:, 0])
    torch.testing.assert_close(
        policy.select_action(moved), chunk[:, 1],
        msg="an action of a chunk stays relative to the state that it was planned from",
    )  # fmt: skip
    policy.config.actions = "absolute"  # as by --policy.path=... --policy.actions=absolute
    with pytest.raises(UsageError, match="cannot change a trained policy, whose actions are relative"):
        ToyflowPolicy(policy.config)
    named(copied, NAMES, ["waist", "wrist", "gripper"])
    with pytest.raises(UsageError, match="elbow in actions and wrist in states"):
        made(copied)
