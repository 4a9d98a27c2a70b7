"""`toyflow probe CHECKPOINT --dataset D` on small data sets, and planners whose errors are known."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from rich.console import Console

pytest.importorskip("lerobot")

from robot.lerobot.small_pi import needs_modern, save_pi
from robot.lerobot.small_smolvla import options, save_vlm
from robot.lerobot_policies import save, save_act, save_diffusion

from toyflow.api.probing import probe
from toyflow.api.probing_policies import _moved, probe_planner, probe_policy
from toyflow.api.study import run_study
from toyflow.atomic import checksum, manifest_of
from toyflow.errors import UsageError
from toyflow.flow import Decoding, draw_noise
from toyflow.report.anatomy_report import anatomy_frame as dissected_frame
from toyflow.report.anatomy_report import anatomy_table, over_seeds
from toyflow.report.policy_probe import anatomy_frame, errors_frame
from toyflow.report.policy_probe_report import show_policy_probe, write_policy_probe
from toyflow.report.policy_probe_sentences import policy_sentences
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.data.moments import observations_at, spread_frames
from toyflow.robot.data.training_part import held_out_episodes
from toyflow.robot.interface import Interface
from toyflow.robot.latency import Latency, Times
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner
from toyflow.robot.planner import Planner
from toyflow.robot.policy.checkpoint import build_policy
from toyflow.robot.policy.policy import Policy
from toyflow.robot.robot_task import RobotTask
from toyflow.sweep.inspection import existing_store
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Trained
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.task import make_task

HORIZON = 5
ROBOT = Interface((), state_dim=4, action_dim=3, fps=10)


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """12 episodes of 20 frames without cameras; of the 3 numbers of an action the last never changes, and the
    second varies 10 times as much as the first."""
    from toyflow.robot.data.demos.data_set_writer import Demonstration, write_data_set
    from toyflow.robot.data.demos.recording import Trajectory

    generator = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("many") / "data"
    folder.mkdir()

    def demonstration(episode: int) -> Demonstration:
        state = generator.normal(size=(20, 4)).astype(np.float32)
        action = generator.normal(size=(20, 3)).astype(np.float32) * np.array([1, 10, 0], np.float32)
        return Demonstration("go", Trajectory({}, state, action + np.array([3, 0, 2], np.float32)))

    write_data_set(folder, [demonstration(episode) for episode in range(12)], ROBOT, 32)
    return folder


class Known(Planner):
    """Answers with the data set's actions, plus `off`, `steps - 1` times `worse`, and `leak` times noise, in
    standard deviations of the second number of an action."""

    interface, image_size, horizon, replan, stage_seconds = ROBOT, 1, HORIZON, HORIZON, defaultdict(float)

    def __init__(self, data: DataSet, leak: float = 0.0, off: float = 0.0, worse: float = 0.0, seed: int = 0):
        every = data.chunks(torch.arange(data.frames), HORIZON)
        self.actions = {state.tobytes(): each for state, each in zip(every.state.numpy(), every.actions)}  # noqa: B905
        self.scale = torch.tensor([0, data.statistics("action")["std"][1], 0])
        self.leak, self.off, self.worse, self.seed = leak, off, worse, seed

    def set_decoding(self, decoding):
        self.decoding = decoding

    def answers(self, observations, seeds, draws):
        truth = torch.stack([self.actions[seen.state.tobytes()] for seen in observations])
        generators = [torch.Generator().manual_seed(10_000 * self.seed + seed) for seed in seeds]
        shape = (HORIZON, 3)
        noise = draw_noise(
            draws, lambda: torch.stack([torch.randn(shape, generator=each) for each in generators])
        )
        error = self.leak * noise.reshape(draws, *truth.shape) + self.off
        error += self.worse * (self.decoding.steps - 1)
        return (truth + error * self.scale).float().numpy()

    def latencies(self, decodings):
        return [Latency(Times(0, 0), Times(0, 0), Times(0, 0))] * len(decodings)


def cell(out: Path, data: Path, objective: str = "flow", **set_: str) -> Path:
    """An untrained nano policy as a cell."""
    given = {
        "dataset": str(data), "suite": "none", "constant-dims": "keep", "horizon": str(HORIZON),
        "language": "off", "cameras": "none", **set_,
    }  # fmt: skip
    options = SweepOptions().updated(
        {
            "task": "robot", "schedules": "shift:4", "objectives": objective, "seeds": "0", "steps": "1",
            "out": str(out),
        },
        "flags",
    )  # fmt: skip
    options = replace(options, set={name: (value,) for name, value in given.items()})
    [planned] = plan_sweep(options, RobotTask)
    policy, _ = build_policy(planned.training, open_data_set(str(data)))
    details = {
        "policy": policy.spec.as_dict(), "normalisation": policy.normalisation.as_dict(),
        "dataset_path": str(data), "parameters": 1, "seconds": 0.0, "made_of": {},
    }  # fmt: skip
    store = Store(out)
    store.prepare()
    weights = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    store.write_training(planned.training, Trained(weights, pd.DataFrame({"loss": []}), details), {})
    return store.training(planned.training.key).folder


def probed(checkpoint: Path, *args, **named):
    return probe_policy(str(checkpoint), *args, device="cpu", threads=1, **named)[0]


def test_a_known_leak_is_covered_through_the_whole_command(many, tmp_path, monkeypatch):
    """Pure noise with a network that looks through x_0 alone is regression; a x_0 is added to its answer."""
    a, regression = 0.6, Policy.forward

    def leaky(self, x, t, condition, r=None):
        return regression(self, torch.zeros_like(x), t, condition, r) + a * x * self.supervised

    monkeypatch.setattr(Policy, "forward", leaky)
    found = probed(cell(tmp_path, many, "pure-noise"), str(many))
    rows = anatomy_frame(found)
    rows = rows[rows["of"] == "actions"].set_index(["part", "name"])
    assert rows["leak"].tolist() == pytest.approx([a**2] * len(rows), rel=0.1)
    assert ((rows["leak_low"] < a**2) & (a**2 < rows["leak_high"])).sum() >= len(rows) - 2
    assert rows.loc["whole chunk"]["removed_by_2"].item() == pytest.approx(1)
    assert ("joint", "action_2") not in rows.index and len(rows) == 1 + 2 + HORIZON
    assert set(rows["frames_are"]) == {"frames of training"}
    assert "leaked noise: average 2 draws" in policy_sentences(found)[0]


@pytest.mark.parametrize(("leak", "off"), [(0.3, 0.0), (0.2, 0.5)])
def test_intervals_cover_what_is_known(many, leak, off):
    data = DataSet(str(many))
    covered, parts = 0, {}
    for seed in range(30):
        found = probe_planner(Known(data, leak, off, seed=seed), data, steps=[1], draws=[1, 2], examples=60)
        parts = found.model.anatomy.intervals()
        covered += parts["leak"].low <= leak**2 / 2 <= parts["leak"].high
    assert covered >= 26
    assert parts["bias_and_spread"].estimate == pytest.approx(off**2 / 2, abs=0.01)


def test_one_step_against_ten_is_paired(many):
    """Both have the same leak, so that all of the difference is what ten steps add."""
    data = DataSet(str(many))
    found = probe_planner(Known(data, 0.3, off=0.1, worse=0.05), data, steps=[1, 10], draws=[1, 8])
    rows = errors_frame(found)
    moves = rows[(rows["of"] == "moves") & (rows["name"] == "action_1") & (rows["unit"] == "rms moves")]
    white = moves[moves["draws"] == 1]["rms"]  # as the data's actions are: an offset moves nothing
    assert len(white) == 2 and white.tolist() == pytest.approx([0.3, 0.3], rel=0.05)
    rows = rows[rows["of"] == "actions"].set_index(["part", "name", "unit", "steps", "draws"])
    one, ten = (rows.loc[("joint", "action_1", "standard deviations", steps, 1)] for steps in (1, 10))
    assert one["rms"] == pytest.approx(np.hypot(0.3, 0.1), rel=0.03)
    assert ten["rms"] == pytest.approx(np.hypot(0.3, 0.55), rel=0.03)
    assert one["minus"] == "K=10" and one["difference"] == pytest.approx(one["rms"] - ten["rms"], rel=1e-6)
    assert one["difference_high"] < 0 and one["difference_high"] - one["difference_low"] < 0.05
    eight = rows.loc[("joint", "action_1", "standard deviations", 1, 8)]
    assert eight["rms"] == pytest.approx(0.1, rel=0.03)
    deviation = data.statistics("action")["std"][1]
    robot = rows.loc[("joint", "action_1", "robot's units", 1, 1)]
    assert robot["rms"] == pytest.approx(one["rms"] * deviation, rel=1e-4)
    assert rows.loc[("joint", "action_0", "robot's units", 1, 1)]["rms"] == pytest.approx(0, abs=1e-6)
    assert rows.loc[("joint", "action_2", "robot's units", 10, 1)]["rms"] == pytest.approx(0, abs=1e-6)
    said = policy_sentences(found)
    assert any(line.startswith("In one step actions err by") and ": better by" in line for line in said)
    assert "is not known" in said[-1]


def test_a_plan_of_several_draws_errs_as_their_mean(many):
    data = DataSet(str(many))
    found = probe_planner(Known(data, 0.4), data, steps=[1], draws=[1, 4, 16], examples=30)
    rms = {each.draws: np.sqrt(found.actions.scaled(each).mean()) for each in found.decodings}
    assert rms[1] == pytest.approx(0.4 / 2**0.5, rel=0.05)
    assert rms[4] < 1e-6 and rms[16] < 1e-6  # pairs of noise cancel


class Fading(Known):
    """The more steps, the smaller its error: a leak that a pair of draws cancels, and a small bias."""

    def answers(self, observations, seeds, draws):
        truth = np.stack([self.actions[seen.state.tobytes()].numpy() for seen in observations])
        return truth + (super().answers(observations, seeds, draws) - truth) / self.decoding.steps


class Coin(Known):
    """In one step 0, where the data's actions are +-1 away; in several, one of both."""

    def answers(self, observations, seeds, draws):
        truth = np.stack([self.actions[seen.state.tobytes()].numpy() for seen in observations])
        side = np.sign(super().answers(observations, seeds, draws) - truth)[..., :1, :]
        truly = np.array([1 - 2 * (seed % 2) for seed in seeds])[:, None, None]
        away = -truly + side * (self.decoding.steps > 1)
        return (truth + away * self.scale.numpy()).astype(np.float32)


def test_steps_are_kept_where_draws_leave_one_step_worse(many):
    """Draws take all of the leak; what they leave is too small for the anatomy, but more than ten steps'."""
    data = DataSet(str(many))
    found = probe_planner(Fading(data, 0.6, off=0.1), data, steps=[1, 10], draws=[1, 8])
    assert found.one_step == Decoding(draws=2) in found.decodings
    assert [each.label for each in found.decodings] == ["K=1", "K=1 M=2", "K=1 M=8", "K=10", "K=10 M=8"]
    assert all(errors.diagnosis.steps == 1 for errors in found.errors)
    assert set(found.worse) == {"actions"} and found.advice == Decoding(10)
    said = policy_sentences(found)
    assert said[-2].startswith(
        "So: keep 10 steps: the mean of 2 draws removes most of the leak, but one step still errs by more "
        "than these in actions (by 0.02"
    )
    [two] = [line for line in said if line.startswith("In one step with the mean of 2 draws")]
    assert "worse by" in two.split("; ")[0] and "better by" in two.split("; ")[1]
    enough = probe_planner(Fading(data, 0.6), data, steps=[1, 10], draws=[1])
    assert enough.advice == Decoding(draws=2) and not enough.worse
    assert policy_sentences(enough)[-2] == "So: one step, with the mean of 2 draws."


def test_a_policy_that_is_random_otherwise_has_a_spread_and_no_leak(many):
    class Codes(Known):
        @property
        def takes_noise(self) -> bool:
            return False

        @property
        def is_random_otherwise(self) -> bool:
            return True

        def answers(self, observations, seeds, draws):
            assert draws == 1
            return super().answers(observations, seeds, 1)

    data = DataSet(str(many))
    found = probe_planner(Codes(data, 0.3, off=0.1), data, steps=[1], examples=60)
    parts = found.model.anatomy.intervals()
    assert np.isnan(parts["leak"].estimate) and not found.dissected and found.advice is None
    assert parts["model_spread"].estimate == pytest.approx(0.3**2 / 2, rel=0.1)
    assert parts["sample_error"].estimate == pytest.approx((0.3**2 + 0.1**2) / 2, rel=0.1)
    assert "its actions err by 0.22" in policy_sentences(found)[0]
    assert any("there is no leak to tell" in line for line in found.not_measured)


def test_moves_are_of_the_joints_that_move_by_more_than_rounding():
    actions = torch.zeros(6, 5, 4, dtype=torch.float64)
    time = torch.arange(5) % 2
    actions[..., 0] += time
    actions[..., 1] += 1e-9 * time + torch.arange(6)[:, None]  # another place in each episode
    actions[..., 2] += 1 + 1e-8 * time
    moved = _moved(actions, (0.5, 1.7, 0.0, 0.0))
    assert moved == pytest.approx((1, 0, 0, 0)) and moved[1:] == (0, 0, 0)
    assert _moved(actions[:, :1], (1.0,) * 4) == (0.0,) * 4


def test_a_mean_of_two_ways_is_not_called_better(many):
    data = DataSet(str(many))
    found = probe_planner(Coin(data, 1.0), data, steps=[1, 10], draws=[1])
    assert found.actions.diagnosis.steps == 10 and found.advice == Decoding(10)
    said = policy_sentences(found)
    [one] = [line for line in said if line.startswith("In one step actions")]
    assert "as averages do where demonstrations differ" in one and "better" not in one
    assert said[-2].startswith("So: keep 10 steps, unless one succeeds as often")


def test_what_is_written_and_said(many, tmp_path):
    policy = cell(tmp_path, many)
    seen = []
    found, out = probe_policy(
        str(policy), examples=24, device="cpu", threads=1, on_progress=lambda *each: seen.append(each)
    )
    assert out == tmp_path and seen[-1] == (24, 24)
    written = write_policy_probe(found, out)
    assert [path.name for path in written] == [
        "anatomy.csv",
        "errors.csv",
        "probe.json",
        "anatomy.png",
        "errors.png",
    ]
    assert {path.parent for path in written} == {tmp_path / "probe" / f"{policy.name}-data"}
    assert manifest_of(written[0].parent) == {path.name: checksum(path) for path in written}
    for figure in written[3:]:
        pixels = np.asarray(Image.open(figure).convert("L"))
        assert min(pixels.shape) > 300 and pixels.std() > 10
    for table in written[:2]:
        frame = pd.read_csv(table)
        assert set(frame["frames_are"]) == {"frames of training"} and set(frame["episodes"]) == {12}
        assert set(frame["interval"]) == {"t over episodes"} and set(frame["frames"]) == {24}
    summary = json.loads(written[2].read_text())
    assert summary["frames_are"] == "frames of training" and list(summary["actions"]["rms"]) == [
        "K=1", "K=1 M=2", "K=1 M=8", "K=10", "K=10 M=8",
    ]  # fmt: skip
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show_policy_probe(found, console)
    text = " ".join(console.export_text().split())
    for words in (
        "t over episodes",
        "frames of training",
        "no test",
        "one step loses",
        "In one step actions",
    ):
        assert words in text
    assert "test frames" not in text


def test_a_regression_has_no_leak_and_errs_all_the_same(many, tmp_path):
    policy = cell(tmp_path, many, "regression")
    found = probed(policy, examples=24)
    assert [each.label for each in found.decodings] == ["K=1"] and found.model.steps is None
    assert float(found.model.anatomy.leak.abs().max()) == 0
    assert any("leak is 0 by construction" in sentence for sentence in policy_sentences(found))
    assert errors_frame(found)["rms"].max() > 0 and "one step and one draw" in policy_sentences(found)[-2]
    with pytest.raises(UsageError, match="takes no noise: its leak is 0 by construction"):
        probed(policy, draws=[1, 8])


def test_frames_are_what_the_checkpoint_says(many, tmp_path):
    policy = cell(tmp_path, many)
    short = {"examples": 12, "steps": [1], "draws": [1]}
    assert probed(policy, **short).origin == "frames of training"
    named = probed(policy, episodes=[3, 7], **short)
    assert named.origin == "frames of training" and set(named.groups) == {3, 7}
    policy, kept = cell(tmp_path, many, **{"hold-out": "0.25"}), set(held_out_episodes(12, 0.25))
    held_out = probed(policy, **short)
    assert held_out.origin == "held-out episodes" and set(held_out.groups) == kept and len(kept) == 3
    assert policy_sentences(held_out)[-1].endswith("data: held-out episodes.")
    others = sorted({*range(12)} - kept)
    assert probed(policy, episodes=others, **short).origin == "frames of training"
    assert probed(policy, episodes=[*kept, others[0]], **short).origin == "frames of training"


def test_a_results_folder_of_policies_is_probed_over_episodes(many, tmp_path):
    """Each on frames of its own horizon, with intervals over episodes, and what the frames were to it."""
    cell(tmp_path, many)
    cell(tmp_path, many, horizon="8", **{"hold-out": "0.25"})
    cell(tmp_path, many, horizon="9")
    found = probe(tmp_path, steps=2, examples=24, device="cpu").anatomies
    store = existing_store(tmp_path)
    by_horizon = {int(store.training(model.key).record.model["horizon"]): model for model in found}
    assert {horizon: model.origin for horizon, model in by_horizon.items()} == {
        5: "frames of training", 8: "held-out episodes", 9: "frames of training",
    }  # fmt: skip
    groups = [by_horizon[horizon].anatomy.groups for horizon in (5, 8)]
    assert {len(each.unique()) for each in groups if each is not None} == {12, 3}
    rows = over_seeds(found)
    assert {(each.groups, each.conditions) for each in rows} == {(12, 24), (3, 24)}
    assert "12 groups of 24 conditions (frames of training)" in str(anatomy_table(rows).caption)
    assert set(dissected_frame(rows)["conditions_are"]) == {"frames of training", "held-out episodes"}


@pytest.fixture(scope="module")
def smolvla(tmp_path_factory):
    pytest.importorskip("num2words", reason="SmolVLA's processor needs num2words")
    folder = tmp_path_factory.mktemp("smolvla")
    return save(folder / "policy", "smolvla", **options(save_vlm(folder / "vlm")))


def test_a_smolvla_of_random_weights(smolvla, small, tmp_path):
    found = probed(smolvla, str(small[0]), examples=4, steps=[1, 2], draws=[1, 2], out=tmp_path)
    assert found.takes_noise and found.model.label.startswith("lerobot:smolvla")
    assert found.origin == "frames that may be of training" and found.model.steps == 2
    assert float(found.model.anatomy.leak.mean()) > 0.1  # one step keeps most of the noise
    assert len(write_policy_probe(found, tmp_path)) == 5


def test_episodes_that_lerobot_did_not_train_on(smolvla, small, tmp_path):
    said = {"dataset": {"repo_id": "local/small", "root": str(small[0]), "episodes": [0, 1]}}
    (smolvla / "train_config.json").write_text(json.dumps(said))
    short = {"examples": 2, "steps": [1], "draws": [1], "out": tmp_path}
    try:
        assert probed(smolvla, str(small[0]), episodes=[0, 2], **short).origin == "frames of training"
        said["dataset"]["episodes"] = [0]
        (smolvla / "train_config.json").write_text(json.dumps(said))
        held_out = probed(smolvla, str(small[0]), episodes=[1, 2], **short)
        assert held_out.origin == "episodes held out of its last training"
        assert "an earlier training" in policy_sentences(held_out)[-1]
        with pytest.raises(UsageError, match="at least 2 episodes"):
            probed(smolvla, str(small[0]), episodes=[2], **short)
    finally:
        (smolvla / "train_config.json").unlink()


def test_an_act_of_random_weights(small, tmp_path):
    found = probed(save_act(tmp_path / "act"), str(small[0]), examples=4, out=tmp_path)
    assert not found.takes_noise and [each.label for each in found.decodings] == ["K=1"]
    assert any("leak is 0 by construction" in sentence for sentence in policy_sentences(found))


def test_the_error_of_a_policy_without_noise_is_that_of_its_chunks(small, tmp_path):
    """Of an ACT against the data set's actions, computed here from LeRobot's planner alone."""
    folder, data = save_act(tmp_path / "act"), DataSet(str(small[0]))
    found = probed(folder, str(small[0]), examples=6, out=tmp_path / "out")
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    planner = LeRobotPlanner(checkpoint, torch.device("cpu"))
    frames = spread_frames(data, planner.horizon, 6, None)
    seen = observations_at(data, frames, planner.interface.cameras, 1)
    plans = torch.from_numpy(planner.plan(seen, [0] * 6))
    errors = (plans - data.chunks(frames, planner.horizon).actions).double()
    torch.testing.assert_close(found.actions.squares[Decoding()], errors.square())
    assert found.model.anatomy.intervals()["error"].estimate == pytest.approx(
        float((errors.square() / torch.tensor(data.statistics("action")["std"]) ** 2).mean())
    )


@pytest.mark.parametrize("sampler", ["DDIM", "DDPM"])
def test_a_diffusion_policy_of_random_weights(small, tmp_path, sampler):
    """It looks at two moments, and takes K and draws as flow policies do."""
    pytest.importorskip("diffusers", reason="LeRobot's diffusion policy needs diffusers")
    folder = save_diffusion(tmp_path / "diffusion", sampler)
    found = probed(folder, str(small[0]), examples=4, steps=[1, 2], draws=[1, 2], out=tmp_path / "out")
    assert found.takes_noise and found.dissected and found.not_measured == ()
    assert [each.label for each in found.decodings][:2] == ["K=1", "K=1 M=2"]
    assert float(found.model.anatomy.leak.mean()) > 0 and found.model.steps == 2


@needs_modern
def test_a_pi0_of_random_weights(small, tmp_path, monkeypatch):
    folder = save_pi(tmp_path / "pi0", "pi0", monkeypatch)
    found = probed(folder, str(small[0]), examples=4, steps=[1, 2], draws=[1, 2], out=tmp_path)
    assert found.takes_noise and found.model.steps == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"examples": 1}, "at least 2 frames, got --examples 1"),
        ({"episodes": [4]}, "at least 2 episodes"),
        ({"episodes": [11, 12, 13]}, "has episodes 0 to 11, and no episode 12-13"),
        ({"draws": [3]}, "draws must be 1 or an even number"),
        ({"steps": [0]}, "steps must be a whole number of 1 or more"),
        ({"fps": 20.0}, "runs at 20 steps per second, the policy was made for 10"),
    ],
)
def test_bad_input(many, tmp_path, given, message):
    policy = cell(tmp_path, many)
    with pytest.raises(UsageError, match=message) as error:
        probed(policy, **{"examples": 12, **given})
    assert "\n" not in str(error.value)


def test_a_toy_model_is_sent_to_its_own_probe(tmp_path):
    options = {"steps": [1], "batch_size": 8, "device": "cpu", "iterations": 2, "seeds": [0]}
    run_study(make_task("points"), schedules=["uniform"], out=tmp_path, **options)
    [toy] = (tmp_path / "cells").iterdir()
    with pytest.raises(
        UsageError, match=f"of task points: probe it by toyflow probe {toy.name} --out"
    ) as error:
        probed(toy)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_data_that_do_not_fit(many, small, smolvla, tmp_path):
    policy = cell(tmp_path, many)
    with pytest.raises(UsageError, match="has actions of 2 numbers, the policy was made for 3"):
        probed(policy, str(small[0]))
    with pytest.raises(UsageError, match="has no camera front, which the policy uses; it has none"):
        probed(smolvla, str(many), out=tmp_path)
    with pytest.raises(UsageError, match="does not say what it was trained on: name a data set by --dataset"):
        probed(smolvla, out=tmp_path)
    long = cell(tmp_path, many, horizon="30")
    with pytest.raises(UsageError, match=r"no episode of .* is as long as a chunk of 30 actions"):
        probed(long)


def test_the_command(many, tmp_path, toyflow):
    policy = cell(tmp_path, many)
    done = toyflow(
        "probe", str(policy), "--dataset", str(many), "--examples", "12", "--steps", "1", "--draws", "1,2",
        "--threads", "1", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "frames of training" in done.stdout and "So: " in done.stdout
    assert len(list((tmp_path / "probe").glob("*/*"))) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("uniform", "--episodes", "4-5"), "--episodes is for a policy: name its folder"),
        (("uniform", "--steps", "1,10"), "--steps takes one number for the models of a results folder"),
        (("one", "two", "--dataset", "d"), "--dataset probes one policy, and 2 were named"),
        (("nowhere", "--dataset", "d"), "nowhere is no checkpoint"),
    ],
)
def test_bad_input_of_the_command(toyflow, words, message):
    done = toyflow("probe", *words)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1
