"""LeRobot's own policies, small and with random weights, as planners."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lerobot")

from robot.lerobot_policies import save_act, save_diffusion

from toyflow.errors import UsageError
from toyflow.flow import Decoding
from toyflow.robot.interface import Observation
from toyflow.robot.latency import Latency, Times
from toyflow.robot.lerobot.imported import import_checkpoint, open_imported
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner, _renamed
from toyflow.sweep.store import Store

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory):
    pytest.importorskip("diffusers", reason="LeRobot's diffusion policy needs diffusers")
    return save_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def act(tmp_path_factory):
    return save_act(tmp_path_factory.mktemp("act"))


def observation(fill: int, before: tuple[int, ...] = ()) -> Observation:
    image = np.full((32, 32, 3), fill, np.uint8)
    state = np.linspace(-1, 1, 4, dtype=np.float32) * fill / 255
    return Observation({"front": image}, state, "go", tuple(observation(each) for each in before))


def planner(folder, steps=1, **options):
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    made = LeRobotPlanner(checkpoint, CPU, **options)
    made.set_decoding(Decoding(steps))
    return made


def test_a_plan_depends_on_its_seed_and_not_on_its_company(diffusion):
    plans = planner(diffusion, 4)
    assert (plans.horizon, plans.history, plans.replan) == (4, 2, 4)
    one, two = observation(10, (20,)), observation(200, (190,))
    both = plans.plan([one, two], [7, 8])
    assert both.shape == (2, 4, 2)
    np.testing.assert_array_equal(plans.plan([two], [8])[0], both[1])
    assert not np.allclose(plans.plan([two], [9])[0], both[1])


def test_every_moment_and_the_number_of_steps_count(diffusion):
    plans = planner(diffusion, 4)
    same = plans.plan([observation(10, (20,))], [7])
    assert not np.allclose(plans.plan([observation(10, (250,))], [7]), same)
    plans.set_decoding(Decoding())
    assert not np.allclose(plans.plan([observation(10, (20,))], [7]), same)
    plans.set_decoding(Decoding(4))
    np.testing.assert_array_equal(plans.plan([observation(10, (20,))], [7]), same)


def test_it_plans_as_lerobot_does(diffusion):
    """The same chunk as LeRobot's own loop over select_action from the same state of the generator."""
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
    from lerobot.policies.factory import make_pre_post_processors

    policy = DiffusionPolicy.from_pretrained(diffusion)
    policy.diffusion.num_inference_steps = 3
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(diffusion))
    policy.eval()
    policy.reset()
    torch.manual_seed(5)
    actions = []
    for fill in (30, 30, 30, 30):
        seen = {
            "observation.images.front": torch.full((1, 3, 32, 32), fill / 255),
            "observation.state": torch.from_numpy(observation(fill).state)[None],
        }
        with torch.inference_mode():
            actions.append(after(policy.select_action(before(seen))).numpy())
    plans = planner(diffusion, 3).plan([observation(30, (30,))], [5])
    np.testing.assert_allclose(plans[0], np.concatenate(actions), atol=1e-6)


def test_a_policy_without_steps_decodes_in_one(act):
    plans = planner(act)
    assert plans.plan([observation(10)], [0]).shape == (1, 6, 2)
    with pytest.raises(UsageError, match="type act decodes in one call, not in 10 steps"):
        plans.set_decoding(Decoding(10))


def test_latency_is_told_by_its_parts(diffusion, act, monkeypatch):
    """By a clock that goes 5 ms for a look at the camera and 2 ms for a step, and stands still otherwise."""
    clock = [0.0]

    def takes(module: torch.nn.Module, milliseconds: float) -> None:
        module.register_forward_hook(lambda *_: clock.__setitem__(0, clock[0] + milliseconds / 1000))

    monkeypatch.setattr("toyflow.robot.latency.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    plans, whole = planner(diffusion, 10), planner(act)
    takes(plans.policy.diffusion.rgb_encoder, 5)
    takes(plans.policy.diffusion.unet, 2)
    takes(whole.policy.model, 7)
    latency = plans.latency()
    assert latency == Latency(Times(5, 5), Times(2, 2), Times(25, 25), Times(7, 7))
    assert plans.decoding == Decoding(10)
    assert whole.latency() == Latency(Times(7, 7), Times(0, 0), Times(7, 7), Times(7, 7))


def test_cameras_are_renamed(diffusion):
    plans = planner(diffusion, cameras={"front": "image"})
    seen = observation(10, (20,))
    moved = seen._replace(
        images={"image": seen.images["front"]},
        before=(seen.before[0]._replace(images={"image": seen.before[0].images["front"]}),),
    )
    assert plans.interface.cameras == ("image",)
    np.testing.assert_array_equal(plans.plan([moved], [1]), planner(diffusion).plan([seen], [1]))
    with pytest.raises(UsageError, match="no camera front, which the policy uses; it has none"):
        planner(diffusion).plan([seen._replace(images={}, before=())], [1])
    with pytest.raises(UsageError, match="has no camera 'top'; it has front"):
        planner(diffusion, cameras={"top": "image"})
    with pytest.raises(UsageError, match="it would use one camera twice: front=wrist, wrist=wrist"):
        _renamed(["front", "wrist"], {"front": "wrist"}, "it")


def test_an_imported_policy_is_a_cell_that_knows_its_weights(diffusion, tmp_path):
    import shutil

    from toyflow.atomic import DamagedError

    folder = tmp_path / "mine" / "policy"
    shutil.copytree(diffusion, folder)
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None and checkpoint.name == "mine/policy"
    store = Store(tmp_path / "out")
    cell = import_checkpoint(checkpoint, {}, store)
    assert cell.record.label == "lerobot:diffusion" and cell.weights() == {}
    assert import_checkpoint(checkpoint, {}, store).folder == cell.folder
    np.testing.assert_array_equal(
        open_imported(cell, CPU).plan([observation(9, (9,))], [3]),
        planner(diffusion).plan([observation(9, (9,))], [3]),
    )
    moved = tmp_path / "elsewhere" / "mine" / "policy"
    shutil.move(folder, moved)
    with pytest.raises(UsageError, match="holds no policy any more"):
        open_imported(cell, CPU)
    found = LeRobotCheckpoint.found(str(moved))
    assert found is not None and import_checkpoint(found, {}, store).folder == cell.folder
    assert open_imported(cell, CPU).checkpoint.folder == moved
    shutil.move(moved, folder)
    import_checkpoint(checkpoint, {}, store)
    other = save_act(tmp_path / "other")
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match="holds no policy any more"):
        open_imported(cell, CPU)
    shutil.copytree(other, folder)
    with pytest.raises(DamagedError, match="is not the policy that"):
        open_imported(cell, CPU)


def test_what_cannot_be_loaded_is_one_line(act, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(act, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UsageError, match="of type act, cannot be loaded") as caught:
        planner(broken)
    assert "\n" not in str(caught.value)
