import itertools
import os
import signal

import pytest
import torch

from toyflow.flow import make_objective, parse_schedule
from toyflow.robot.data.augmentation import Augmentation
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.frames import open_frames
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.data.training_part import training_frames
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.policy_training import batches, frame_order, train_policy
from toyflow.robot.policy.spec import PolicySpec
from toyflow.training import NonFiniteDataError, PolicyRecipe

pytest.importorskip("lerobot")
RECIPE = PolicyRecipe(iterations=12, batch_size=4, learning_rate=1e-3, warmup_iterations=2, ema=0.9)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def parts(small):
    """A fresh policy, its objective, and its batches from an iteration on."""
    data = DataSet(str(small[0]))
    torch.manual_seed(0)
    spec = PolicySpec("nano", data.interface, horizon=4, image_size=32)
    state, action = (data.statistics(name) for name in ("observation.state", "action"))
    policy = Policy(spec, Normalisation.from_statistics(state, action))
    frames = open_frames(data, data.interface.cameras, 32)
    return policy, lambda start: batches(policy, data, frames, RECIPE, 0, start)


def trained(parts, folder, recipe=RECIPE, changed=lambda stream: stream, **options):
    policy, source = parts
    objective = make_objective("flow", parse_schedule("shift:4"))
    generator = torch.Generator().manual_seed(1)
    return train_policy(
        policy, objective, lambda start: changed(source(start)), recipe, generator, folder, **options
    )


def losses(trainer):
    return [point.loss for point in trainer.curve.points]


def test_batches_are_a_function_of_seed_and_number(parts):
    _, source = parts
    whole = list(itertools.islice(source(0), 9))
    part = list(itertools.islice(source(6), 3))
    for one, other in zip(whole[6:], part, strict=True):
        assert torch.equal(one.target, other.target) and torch.equal(one.weight, other.weight)
        for camera in one.observation.images:
            assert torch.equal(one.observation.images[camera], other.observation.images[camera])
    assert not torch.equal(whole[0].target, whole[7].target)


def test_no_batch_has_a_frame_of_a_held_out_episode(parts, four, monkeypatch):
    policy, _ = parts
    data, shown = DataSet(str(four[0])), []
    whole = data.chunks
    monkeypatch.setattr(data, "chunks", lambda frames, *args: shown.extend(frames) or whole(frames, *args))
    stream = batches(policy, data, open_frames(data, data.interface.cameras, 32), RECIPE, 0, hold_out=0.1)
    for _ in itertools.islice(stream, 30):
        pass
    assert {int(frame) for frame in shown} == {*training_frames(data, 0.1).tolist()}


def test_a_pass_shows_every_frame_once():
    order = itertools.chain.from_iterable(
        batch.tolist() for batch in itertools.islice(frame_order(10, 4, 3), 5)
    )
    shown = list(order)
    assert sorted(shown[:10]) == sorted(shown[10:]) == list(range(10)) and shown[:10] != shown[10:]


@pytest.mark.slow
def test_a_run_that_was_terminated_goes_on_to_the_same_losses(parts, small, tmp_path, request):
    whole = trained(parts, tmp_path / "whole")
    policy, source = request.getfixturevalue("parts")
    torch.manual_seed(0)
    again = Policy(policy.spec, policy.normalisation)  # the same fresh weights
    fresh = {name: tensor.clone() for name, tensor in again.state_dict().items()}
    policy.load_state_dict(fresh)

    def terminating(stream):
        for number, batch in enumerate(stream):
            if number == 7:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    caught = []
    before = signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
    try:
        trained((policy, source), tmp_path / "stopped", changed=terminating)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM], "the signal is passed on once the state is kept"
    policy.load_state_dict(fresh)
    resumed = trained((policy, source), tmp_path / "stopped")
    assert losses(resumed) == losses(whole)
    for one, other in zip(resumed.trained().parameters(), whole.trained().parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(parts, tmp_path):
    whole = trained(parts, tmp_path)
    newest = max(tmp_path.glob("iteration-*"))
    content = bytearray((newest / "state.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "state.safetensors").write_bytes(content)
    assert losses(trained(parts, tmp_path)) == losses(whole)
    assert len(list(tmp_path.glob("iteration-*"))) == 2, "two are kept"


def test_a_loss_that_is_none_stops_the_run_and_keeps_the_last_good_state(parts, tmp_path):
    def broken(stream):
        for number, batch in enumerate(stream):
            yield batch._replace(target=batch.target * (float("nan") if number == 5 else 1))

    with pytest.raises(NonFiniteDataError, match="target of iteration 6 contains NaN"):
        trained(parts, tmp_path, changed=broken)
    assert max(path.name for path in tmp_path.iterdir()) == "iteration-0000005"


def test_augmentation_moves_and_colours_by_its_seed():
    images = {"front": torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)}
    augment = Augmentation(0.1, 0.3)
    state = torch.random.get_rng_state()
    one, again, other = augment(images, 1), augment(images, 1), augment(images, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one["front"], again["front"]) and not torch.equal(one["front"], other["front"])
    assert one["front"].shape == images["front"].shape
    assert torch.equal(Augmentation(0, 0)(images, 1)["front"], images["front"])
    shifted = Augmentation(0.1, 0)(images, 3)["front"]
    found = any(
        torch.equal(shifted[0, :, 3:-3, 3:-3], images["front"][0, :, 3 + dy : 29 + dy, 3 + dx : 29 + dx])
        for dy in range(-3, 4)
        for dx in range(-3, 4)
    )
    assert found, "a shift moves by whole pixels"
