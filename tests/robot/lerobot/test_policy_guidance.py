"""Real-time chunking for LeRobot's flow policies: toyflow's guidance in LeRobot's denoising loop."""

import numpy as np
import pytest
import torch

pytest.importorskip("lerobot")
pytest.importorskip("num2words", reason="SmolVLA's processor needs num2words")

from robot.lerobot.small_pi import FLOW_KINDS, save_pi
from robot.lerobot.small_smolvla import options, save_vlm
from robot.lerobot_policies import save, save_act

from toyflow.errors import UsageError
from toyflow.flow import Decoding, FlowMatching, Known, soft_mask
from toyflow.robot.interface import Observation
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner
from toyflow.robot.planner import Commitment

LEFT = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
"""Four actions that are left of the chunk before."""


@pytest.fixture(params=FLOW_KINDS)
def plans(request, monkeypatch, tmp_path):
    if request.param == "smolvla":
        folder = save(tmp_path / "policy", "smolvla", **options(save_vlm(tmp_path / "vlm")))
    else:
        folder = save_pi(tmp_path / "policy", request.param, monkeypatch)
    return planner(folder)


def planner(folder):
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    return LeRobotPlanner(checkpoint, torch.device("cpu"))


def observation(fill):
    image = np.full((32, 32, 3), fill, np.uint8)
    return Observation({"front": image}, np.full(4, fill / 255, np.float32), "go to goal 1")


def ideal(x, t):
    """E[x1 - x0 | x_t] of data whose actions of a chunk are all nearly the same."""
    count = x.shape[1]
    covariance = 0.9 * torch.ones(count, count) + 0.1 * torch.eye(count)
    t = t[:, None, None]
    gain = torch.linalg.solve(t**2 * covariance + (1 - t) ** 2 * torch.eye(count), x)
    return t * covariance @ gain - (1 - t) * gain


@pytest.mark.parametrize("steps", [1, 5])
def test_it_is_the_guidance_of_toyflows_own_policies(plans, steps):
    """The same as `FlowMatching.decode` of a network that both have, and moves also the free actions."""
    plans.set_decoding(Decoding(steps))
    plans.policy.model.denoise_step = lambda *_, x_t, timestep, **__: -ideal(x_t, 1 - timestep)
    got = plans.continue_plan([observation(20)], [3], [Commitment(LEFT, 2)])
    noise = torch.randn(6, 32, generator=torch.Generator().manual_seed(3))[None, :, :2]
    values = torch.nn.functional.pad(torch.from_numpy(LEFT), (0, 0, 0, 2))[None]
    known = Known(values, soft_mask(2, 4, 6)[None])
    flow = FlowMatching("uniform")
    expected = flow.decode(lambda x, t, _: ideal(x, t), None, noise, steps, known=known)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    plain = flow.decode(lambda x, t, _: ideal(x, t), None, noise, steps)
    assert ((expected - plain).abs()[0, 4:].max() > 0.1) == (steps > 1)


def test_a_plan_goes_on_from_what_is_committed(plans):
    plans.set_decoding(Decoding(3))
    seen = [observation(20), observation(200)]
    plain = plans.plan(seen, [3, 4])
    got = plans.continue_plan(seen, [3, 4], [Commitment(LEFT, 2), None])
    assert got.shape == plain.shape and got.dtype == np.float32
    np.testing.assert_array_equal(got[0, :2], LEFT[:2])
    np.testing.assert_allclose(got[1], plain[1], atol=2e-3)  # SmolVLA attends in bfloat16
    assert np.abs(got[0, 2:] - plain[0, 2:]).max() > 0.01
    alone = plans.continue_plan(seen[:1], [3], [Commitment(LEFT, 2)])
    np.testing.assert_allclose(alone[0], got[0], atol=5e-3)
    np.testing.assert_array_equal(plans.continue_plan(seen, [3, 4], [None, None]), plain)
    np.testing.assert_array_equal(plans.plan(seen, [3, 4]), plain)  # nothing of the guide is left
    assert plans.policy.model.rtc_processor is None and plans.policy.config.rtc_config is None


def test_draws_of_a_guided_plan_are_averaged(plans):
    """The mean of the plans from x0 and from -x0, each guided."""
    plans.set_decoding(Decoding(2, draws=2))
    plans.policy.model.denoise_step = lambda *_, x_t, timestep, **__: -ideal(x_t, 1 - timestep)
    got = plans.continue_plan([observation(20)], [3], [Commitment(LEFT, 1)])
    noise = torch.randn(6, 32, generator=torch.Generator().manual_seed(3))[None, :, :2]
    values = torch.nn.functional.pad(torch.from_numpy(LEFT), (0, 0, 0, 2))[None]
    known = Known(values, soft_mask(1, 4, 6)[None])
    flow = FlowMatching("uniform")
    each = [flow.decode(lambda x, t, _: ideal(x, t), None, x, 2, known=known) for x in (noise, -noise)]
    np.testing.assert_allclose(got, (each[0] + each[1]) / 2, atol=1e-5)


def test_what_is_committed_is_normalised_as_in_training(plans):
    from lerobot.policies.factory import make_pre_post_processors

    one = torch.ones(1)
    spread = {"mean": 5 * one, "std": 2 * one, "min": 3 * one, "max": 7 * one, "q01": 3 * one, "q99": 7 * one}
    statistics = {
        "observation.state": {name: value.expand(4) for name, value in spread.items()},
        "action": {name: value.expand(2) for name, value in spread.items()},
    }
    plans._before, plans._after = make_pre_post_processors(plans.policy.config, dataset_stats=statistics)
    known = plans._known([observation(20)], [Commitment(LEFT, 2)])
    np.testing.assert_allclose(known.values[0, :4], (LEFT - 5) / 2, atol=1e-5)
    np.testing.assert_array_equal(known.weight[0], soft_mask(2, 4, 6))
    got = plans.continue_plan([observation(20)], [3], [Commitment(LEFT, 4)])
    np.testing.assert_array_equal(got[0, :4], LEFT)


def test_what_cannot_be_continued_is_refused_in_one_line(plans, tmp_path):
    act = planner(save_act(tmp_path / "act"))
    for refused in (act.check_continues, lambda: act.continue_plan([observation(20)], [0], [None])):
        with pytest.raises(
            UsageError,
            match=r"rtc is for .* and LeRobot's of type pi0, pi05, smolvla; this one is of type act",
        ):
            refused()
    plans.check_continues()
    for actions, message in (
        (np.zeros((3, 5), np.float32), r"have shape \[left, 2\], not \[3, 5\]"),
        (np.full((3, 2), np.nan, np.float32), "not finite"),
    ):
        with pytest.raises(UsageError, match=message):
            plans.continue_plan([observation(20)], [0], [Commitment(actions, 1)])


def test_lerobots_own_guide_goes_ten_times_too_far_in_one_step():
    """Why toyflow's stands in its place. The plain plan of one step is 0: the ideal network's mean."""
    from lerobot.policies.rtc.configuration_rtc import RTCConfig
    from lerobot.policies.rtc.modeling_rtc import RTCProcessor

    noise, left = torch.randn(1, 6, 2), torch.ones(1, 4, 2)
    guided = RTCProcessor(RTCConfig(enabled=True)).denoise_step(
        noise, left, 2, 1.0, lambda x: -ideal(x, torch.tensor([0.0])), 4
    )
    torch.testing.assert_close((noise - guided)[:, :2], 10 * left[:, :2])
    torch.testing.assert_close((noise - guided)[:, 4:], torch.zeros(1, 2, 2))
