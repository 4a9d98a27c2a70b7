"""Two processes train what one does: the same losses, gradients and weights at the same batch."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("lerobot")

from robot import distributed_checks as checks

from toyflow.robot.data.augmentation import Augmentation
from toyflow.training.process_group import SINGLE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def alone(pair):
    """What one process makes of the whole run."""
    _, out, place = pair
    return checks.train(SINGLE, place, out / "alone")[0]


@pytest.fixture(scope="module")
def pair(small, tmp_path_factory):
    """(what each of two processes reports, its tensors), the folder, and the data set."""
    place, out = small[0], tmp_path_factory.mktemp("group")
    for name in ("half together", "half alone"):
        (out / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOYFLOW_CACHE", str(out / "cache"))
        torch.set_num_threads(1)
        checks.kept_half_way(SINGLE, out / "half alone")
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        checks.train(SINGLE, place, out / "begun alone", checks.stopping)
        signal.signal(signal.SIGTERM, before)
        launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
        done = subprocess.run(
            [*launcher, checks.__file__, str(place), str(out)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr
        found = [
            (json.loads((out / f"{rank}.json").read_text()), load_file(out / f"{rank}.safetensors"))
            for rank in range(2)
        ]
        yield found, out, place


def test_every_objective_has_the_gradients_and_the_loss_of_one_process(pair):
    [(report, tensors), (other, other_tensors)], *_ = pair
    for name in checks.OBJECTIVES:
        alone, loss = checks.gradients(SINGLE, name)
        for accumulate in (1, 2):
            case = f"{name}, {accumulate}"
            error = (tensors[case] - alone).norm() / alone.norm()
            assert error < 1e-5, f"{case}: gradients differ by {error}"
            assert report[case] == other[case] == pytest.approx(loss, rel=1e-6), case
            assert torch.equal(tensors[case], other_tensors[case]), case


def test_a_process_that_takes_its_batch_in_turns_has_the_same_gradients():
    for name in ("flow", "shortcut", "meanflow"):
        (whole, loss), (parts, summed) = (checks.gradients(SINGLE, name, n) for n in (1, 4))
        assert (whole - parts).norm() / whole.norm() < 1e-5 and summed == pytest.approx(loss, rel=1e-6)


def test_padding_is_weighed_over_the_whole_batch():
    """What the test of the gradients would not see if all processes had as much padding."""
    whole, _ = checks.gradients(SINGLE, "flow")
    naive = torch.stack([checks.gradients(Half(i), "flow")[0] for i in range(2)]).mean(0)
    assert (whole - naive).norm() / whole.norm() > 0.1


class Half(type(SINGLE)):
    """A process that believes to be one of two, and never hears of the other."""

    world_size = 2

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def total(self, value):
        return value * self.world_size


def test_mixed_precision_is_that_of_one_process(pair):
    [(report, tensors), _], *_ = pair
    for name in ("flow", "meanflow"):
        alone, loss = checks.gradients(SINGLE, name, precision=torch.bfloat16)
        exact, _ = checks.gradients(SINGLE, name)
        case = f"{name}, bfloat16"
        assert report[case] == pytest.approx(loss, rel=1e-3)
        rounding = (alone - exact).norm()
        assert rounding > 0 and (tensors[case] - alone).norm() < 2 * rounding


def test_a_run_has_the_losses_and_weights_of_one_process(pair, alone):
    found, *_ = pair
    expected = torch.cat([tensor.flatten() for tensor in checks.weights(alone).values()])
    for case in ("whole", "begun alone"):
        for report, tensors in found:
            assert report[case] == pytest.approx(checks.losses(alone), rel=1e-5), case
            mine = torch.cat([tensors[f"{case}, {name}"].flatten() for name in checks.weights(alone)])
            assert (mine - expected).norm() / expected.norm() < 1e-6, case
        assert all(torch.equal(tensor, found[1][1][name]) for name, tensor in found[0][1].items())


def test_no_frame_is_read_twice_in_a_pass(pair):
    found, *_ = pair
    read = [report["read whole"] for report, _ in found]
    assert len(read[0]) == len(read[1]) == 12 * 8 // 2
    in_order = [frame for both in zip(*read, strict=True) for frame in both]
    passes = [Counter(in_order[start : start + 28]) for start in (0, 28, 56)]
    assert passes == [Counter(range(28))] * 3


def test_a_signal_to_one_process_stops_all_after_one_checkpoint_that_one_goes_on_from(pair, alone):
    found, out, place = pair
    assert [report["stopped at"] for report, _ in found] == [checks.STOP + 1] * 2
    assert [report["caught"] for report, _ in found] == [[signal.SIGTERM]] * 2, "it is passed on, to all"
    assert not list(out.glob("* of 1")), "only the main process writes"
    newest = max(path.name for path in (out / "stopped").iterdir())
    assert newest == f"iteration-{checks.STOP + 1:07d}"
    resumed, _ = checks.train(SINGLE, place, out / "stopped")
    assert checks.losses(resumed) == pytest.approx(checks.losses(alone), rel=1e-5)
    assert len(resumed.curve.points) == checks.RECIPE.iterations


def test_losses_between_two_points_outlive_a_change_of_the_number_of_processes(pair):
    [(report, _), _], out, _ = pair
    trainer, data = checks.small_trainer(SINGLE)
    for _ in trainer.steps(data):
        pass
    whole = checks.losses(trainer)
    assert report["small"] == pytest.approx(whole, rel=1e-5)
    assert checks.losses(checks.gone_on(SINGLE, out / "half together")) == pytest.approx(whole, rel=1e-5)


def test_a_loss_that_is_none_in_one_process_stops_both(pair):
    found, *_ = pair
    said = [report["refused"] for report, _ in found]
    assert "the batch of another process contains NaN" in said[0]
    assert "target of iteration 6 contains NaN" in said[1]


def test_some_samples_of_a_batch_are_augmented_as_in_the_whole():
    images = {name: torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8) for name in ("front", "wrist")}
    augment = Augmentation(0.1, 0.3)
    whole = augment(images, 4)
    for index in range(5):
        own = slice(index, None, 5)
        part = augment({name: each[own] for name, each in images.items()}, 4, own, 20)
        assert all(torch.equal(part[name], whole[name][own]) for name in images)
