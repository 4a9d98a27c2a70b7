"""LeRobot's own policies, small and with random weights, as planners."""

from pathlib import Path
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
from toyflow.robot.lerobot.imported import can_act_in, can_average, import_checkpoint, open_imported
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner, _renamed
from toyflow.sweep.store import Store

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory):
    pytest.importorskip("diffusers", reason="LeRobot's diffusion policy needs diffusers")
    return save_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def ddpm(tmp_path_factory):
    pytest.importorskip("diffusers", reason="LeRobot's diffusion policy needs diffusers")
    return save_diffusion(tmp_path_factory.mktemp("ddpm"), "DDPM")


@pytest.fixture(scope="module")
def act(tmp_path_factory):
    return save_act(tmp_path_factory.mktemp("act"))


def observation(fill: int, before: tuple[int, ...] = ()) -> Observation:
    image = np.full((32, 32, 3), fill, np.uint8)
    state = np.linspace(-1, 1, 4, dtype=np.float32) * fill / 255
    return Observation({"front": image}, state, "go", tuple(observation(each) for each in before))


def planner(folder, steps=1, draws=1, **options):
    checkpoint = LeRobotCheckpoint.found(str(folder))
    assert checkpoint is not None
    made = LeRobotPlanner(checkpoint, CPU, **options)
    made.set_decoding(Decoding(steps, draws=draws))
    return made


def test_a_plan_depends_on_its_seed_and_not_on_its_company(diffusion):
    plans = planner(diffusion, 4)
    assert (plans.horizon, plans.history, plans.replan) == (4, 2, 4)
    one, two = observation(10, (20,)), observation(200, (190,))
    both = plans.plan([one, two], [7, 8])
    assert both.shape == (2, 4, 2)
    np.testing.assert_allclose(plans.plan([two], [8])[0], both[1], atol=1e-5)
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


@pytest.mark.parametrize(("kind", "steps"), [("diffusion", 1), ("diffusion", 3), ("ddpm", 1), ("ddpm", 3)])
def test_a_plan_of_several_draws_is_the_mean_of_their_answers(kind, steps, request):
    """And the first of them are those of fewer draws, with the noise within DDPM's steps."""
    folder = request.getfixturevalue(kind)
    one, two = observation(10, (20,)), observation(200, (190,))
    plans = planner(folder, steps)
    single = plans.plan([one, two], [7, 8])
    answers = plans.answers([one, two], [7, 8], 8)
    assert answers.shape == (8, 2, 4, 2) and answers.dtype == np.float32
    np.testing.assert_allclose(answers[0], single, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answers[:2], plans.answers([one, two], [7, 8], 2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answers[:, 1:], plans.answers([two], [8], 8), rtol=1e-5, atol=1e-6)
    assert len(np.unique(answers[:, 0].round(4), axis=0)) == 8
    mean = planner(folder, steps, draws=8).plan([one, two], [7, 8])
    np.testing.assert_allclose(mean, answers.mean(0), rtol=1e-5, atol=1e-6)


def test_a_policy_is_decoded_from_a_noise_and_its_negative(diffusion):
    """The second answer of a pair is LeRobot's own from -x0, where the first is that from x0."""
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
    from lerobot.policies.factory import make_pre_post_processors

    plans = planner(diffusion, 3)
    policy = DiffusionPolicy.from_pretrained(diffusion).eval()
    policy.diffusion.num_inference_steps = 3
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(diffusion))
    noise = torch.randn(8, 2, generator=torch.Generator().manual_seed(5))
    expected = []
    for x in (noise, -noise):
        policy.reset()
        seen = {
            "observation.images.front": torch.full((1, 3, 32, 32), 30 / 255),
            "observation.state": torch.from_numpy(observation(30).state)[None],
        }
        first = after(policy.select_action(before(dict(seen)), noise=x[None]))
        expected.append([first, *(after(policy.select_action(before(dict(seen)))) for _ in range(3))])
    answers = plans.answers([observation(30, (30,))], [5], 2)[:, 0]
    np.testing.assert_allclose(answers, [[each[0] for each in chunk] for chunk in expected], atol=1e-6)


def test_draws_share_the_calls_and_the_encoded_condition(ddpm):
    plans, rows = planner(ddpm, 3, draws=8), []
    plans.policy.diffusion.rgb_encoder.register_forward_hook(lambda _, seen, __: rows.append(len(seen[0])))
    unet = plans.policy.diffusion.unet
    unet.register_forward_hook(lambda _, __, answer: rows.append(len(answer)))
    plans.plan([observation(10, (20,)), observation(200, (190,))], [7, 8])
    assert rows == [4, 16, 16, 16] and plans.model_calls == 3  # two moments each; 8 noises each, 3 steps


def test_draws_are_averaged_before_what_is_not_affine(diffusion):
    plans = planner(diffusion, draws=4)
    answers = plans.answers([observation(10, (20,))], [7], 4)
    after = plans._after
    plans._after = lambda chunks: after(chunks).abs()
    np.testing.assert_allclose(plans.plan([observation(10, (20,))], [7]), np.abs(answers.mean(0)), atol=1e-6)


def test_what_cannot_be_averaged_or_has_its_own_grid_says_so(act, diffusion):
    plans = planner(act)
    assert not plans.is_random_otherwise and not planner(diffusion).is_random_otherwise
    with pytest.raises(UsageError, match="type act takes no noise: there is nothing to average over 2 draws"):
        plans.set_decoding(Decoding(draws=2))
    with pytest.raises(UsageError, match="type act takes no noise"):
        plans.answers([observation(10)], [0], 2)
    assert plans.decoding == Decoding() and plans.answers([observation(10)], [0], 1).shape == (1, 1, 6, 2)
    with pytest.raises(UsageError, match="type diffusion has a grid of its own, not shift:3"):
        planner(diffusion).set_decoding(Decoding(4, grid="shift:3"))
    with pytest.raises(UsageError, match="draws must be 1 or an even number"):
        planner(diffusion).answers([observation(10, (20,))], [0], 3)


class Unseen(torch.nn.Module):
    """A policy of a type that toyflow does not know: it leaks a third of the noise that it draws itself, and
    looks at one moment."""

    def __init__(self, draw=torch.randn_like, most=99, **config):
        super().__init__()
        self.draw, self.most, self.rows = draw, most, []
        shapes = {"robot_state_feature": (4,), "action_feature": (2,)}
        features = {name: SimpleNamespace(shape=shape) for name, shape in shapes.items()}
        self.config = SimpleNamespace(
            type="unseen",
            image_features={},
            n_obs_steps=1,
            n_action_steps=5,
            chunk_size=5,
            **features,
            **config,
        )

    def reset(self):
        pass

    def predict_action_chunk(self, batch):
        self.rows.append(len(batch["observation.state"]))
        if self.rows[-1] > self.most:
            raise ValueError("one robot\nat a time")
        told = batch["observation.state"][:, None, :2].expand(-1, 5, -1)
        return told + self.draw(told) / 3


def unseen(*given, before=lambda batch: batch, after=lambda chunk: chunk, **config):
    policy = Unseen(*given, **config)
    loaded = (policy, before, after)
    parts = {"kind": "unseen", "load": lambda self, device: loaded}
    checkpoint = type("Theirs", (LeRobotCheckpoint,), parts)("theirs", Path())
    return LeRobotPlanner(checkpoint, CPU), policy


class Relative:
    """LeRobot's way with actions that are relative to the state: what the preprocessor saw last is added."""

    def before(self, batch):
        self.anchor = batch["observation.state"][:, None, :2]
        return batch

    def after(self, chunk):
        return chunk + 100 * self.anchor


@pytest.mark.parametrize("draws", [1, 4])
def test_relative_actions_of_a_batch_have_an_anchor_each(draws):
    relative = Relative()
    plans, _ = unseen(before=relative.before, after=relative.after)
    one, two = (Observation({}, np.full(4, x, np.float32), "go") for x in (0.25, 0.5))
    plans.set_decoding(Decoding(draws=draws))
    both = plans.plan([one, two], [3, 4])
    assert (both[:1] == plans.plan([one], [3])).all() and (both[1:] == plans.plan([two], [4])).all()
    if draws > 1:
        np.testing.assert_allclose(both[:, 0, 0], [25.25, 50.5], atol=1e-4)
        answers = plans.answers([one, two], [3, 4], draws)
        assert answers.shape == (draws, 2, 5, 2)
        np.testing.assert_allclose(answers.mean(0), both, atol=1e-4)


def test_a_policy_without_an_anchor_plans_for_all_at_once():
    assert not unseen()[0]._is_anchored


def test_the_noise_of_a_type_never_seen_is_averaged_too():
    plans, policy = unseen()
    one, two = (Observation({}, np.full(4, x, np.float32), "go") for x in (0.25, 0.5))
    plans.set_decoding(Decoding(draws=8))
    policy.rows.clear()
    answers = plans.answers([one, two], [3, 4], 8)
    np.testing.assert_allclose(plans.plan([one, two], [3, 4])[:, 0, 0], [0.25, 0.5], atol=1e-6)
    assert policy.rows == [8, 8, 8, 8]
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(4))
    np.testing.assert_allclose(answers[:2, 1], 0.5 + np.stack([noise, -noise]) / 3, atol=1e-6)
    plans.set_decoding(Decoding())
    np.testing.assert_allclose(plans.plan([one, two], [3, 4]), answers[0], atol=1e-6)


def test_the_steps_of_a_type_never_seen_are_those_of_its_configuration():
    plans, policy = unseen(num_inference_steps=10)
    assert policy.config.num_inference_steps == 1 == plans.decoding.steps
    plans.set_decoding(Decoding(5))
    assert policy.config.num_inference_steps == 5
    with pytest.raises(UsageError, match="type unseen decodes in one call, not in 5 steps"):
        unseen()[0].set_decoding(Decoding(5))


def test_a_type_never_seen_that_cannot_be_averaged_says_so():
    plans, _ = unseen(torch.rand_like)
    blank = [plans.any_observation()]
    np.testing.assert_array_equal(plans.plan(blank, [3]), plans.plan(blank, [3]))
    assert not np.array_equal(plans.plan(blank, [4]), plans.plan(blank, [3]))
    assert plans.is_random_otherwise and not plans.takes_noise
    with pytest.raises(UsageError, match="random, but not by normal noise: it cannot be averaged in pairs"):
        plans.set_decoding(Decoding(draws=2))
    plans, _ = unseen(torch.randn_like, 1)
    with pytest.raises(
        UsageError, match=r"theirs, .* cannot plan for two observations at once, .*: one robot$"
    ):
        plans.set_decoding(Decoding(draws=2))
    assert plans.plan(blank, [3]).shape == (1, 5, 2)


def test_latency_is_told_by_its_parts(diffusion, act, monkeypatch):
    """By a clock that goes 5 ms for a look at the camera and 2 ms for a step, and stands still otherwise."""
    clock = [0.0]

    def takes(module: torch.nn.Module, milliseconds: float) -> None:
        module.register_forward_hook(lambda *_: clock.__setitem__(0, clock[0] + milliseconds / 1000))

    monkeypatch.setattr("toyflow.robot.latency.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr("toyflow.robot.latency.REPEATS", 3)
    plans, whole = planner(diffusion, 10), planner(act)
    takes(plans.policy.diffusion.rgb_encoder, 5)
    takes(plans.policy.diffusion.unet, 2)
    takes(whole.policy.model, 7)
    latency = plans.latency()
    assert latency == Latency(Times(5, 5), Times(2, 2), Times(25, 25), Times(7, 7))
    assert plans.decoding == Decoding(10)
    assert whole.latency() == Latency(Times(7, 7), Times(0, 0), Times(7, 7), Times(7, 7))
    several = planner(diffusion, 10, draws=4)
    takes(several.policy.diffusion.rgb_encoder, 5)
    several.policy.diffusion.unet.register_forward_hook(
        lambda _, __, answer: clock.__setitem__(0, clock[0] + len(answer) / 1000)
    )
    assert several.latency() == Latency(Times(5, 5), Times(4, 4), Times(45, 45), Times(6, 6))
    assert several.decoding == Decoding(10, draws=4)


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
    with pytest.raises(UsageError, match=r"POLICY=ROBOT, .* the other way round: --rename front=top"):
        _renamed(["front"], {"top": "front"}, "it")
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
    assert cell.record.prediction is None
    imported = cell.details["imported"]
    assert can_average(imported) and can_act_in(imported, 10)
    earlier = {name: imported[name] for name in imported if name not in ("steps_at", "takes_noise")}
    assert can_average(earlier) and can_act_in(earlier, 10)
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
    one_call = LeRobotCheckpoint.found(str(other))
    assert one_call is not None
    imported = import_checkpoint(one_call, {}, store).details["imported"]
    assert not can_average(imported) and can_act_in(imported, 1) and not can_act_in(imported, 2)
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
