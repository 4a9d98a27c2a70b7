import pytest
import torch

from toyflow.errors import UsageError
from toyflow.toy.codes import CODES
from toyflow.toy.mnist import load_digits
from toyflow.toy.tasks.grid_to_sequence import GridModel, GridToSequence
from toyflow.training import Batch


@pytest.fixture(scope="module")
def task() -> GridToSequence:
    return GridToSequence()


def test_the_test_set_uses_every_test_digit_once_and_is_always_the_same(task):
    test, digits = task.test_set(), load_digits(train=False)
    assert test.observation.shape == (625, 16, 28, 28) and test.target.shape == (625, 16, 10)
    sums = test.observation.flatten(0, 1).long().flatten(1)
    position = torch.arange(784)  # a fingerprint of each image: equal multisets mean each image once
    fingerprints = (sums * position).sum(1).sort().values
    assert torch.equal(fingerprints, (digits.images.long().flatten(1) * position).sum(1).sort().values)
    again = GridToSequence().test_set()
    assert torch.equal(test.observation, again.observation) and torch.equal(test.target, again.target)
    assert test.target.argmax(-1)[0, :6].tolist() == [1, 7, 7, 5, 9, 1]


def test_training_grids_hold_training_digits_with_their_labels_row_by_row(task, generator):
    batch = task.train_batch(4, generator)
    digits = load_digits(train=True)
    flat = digits.images.flatten(1).float()
    for tile, code in zip(batch.observation[0], batch.target[0], strict=True):
        found = (flat == tile.flatten().float()).all(1).nonzero()
        assert len(found) >= 1 and digits.labels[found[0, 0]] == code.argmax()


def test_training_repeats_under_a_seed_and_differs_between_seeds(task):
    first, again, other = (task.train_batch(2, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first.observation, again.observation)
    assert not torch.equal(first.observation, other.observation)


def test_codes_are_equally_far_apart_and_have_the_moments_of_the_noise():
    distances = torch.pdist(CODES)
    torch.testing.assert_close(distances, distances[:1].expand_as(distances))
    torch.testing.assert_close(CODES.mean(0), torch.zeros(10), atol=1e-6, rtol=0)
    torch.testing.assert_close(CODES.var(0, correction=0), torch.ones(10))


def test_scores(task):
    target = CODES[torch.arange(32).reshape(2, 16) % 10]
    wrong = target.clone()
    wrong[1, 3] = CODES[(target[1, 3].argmax() + 1) % 10]
    noisy = wrong + 0.3 * torch.randn(wrong.shape, generator=torch.Generator().manual_seed(0))
    score = task.score(noisy, Batch(None, target))
    assert score["exact_match"].tolist() == [1, 0]
    assert score["digit_accuracy"].tolist() == pytest.approx([1, 15 / 16])


def test_decoding_is_by_nearest_code(task):
    sample = torch.randn(8, 16, 10, generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(sample, CODES.expand(8, 10, 10)).argmin(-1)
    assert (task.score(sample, Batch(None, CODES[nearest]))["exact_match"] == 1).all()


@pytest.mark.parametrize("attention", ["cross", "joint"])
@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_models_of_all_sizes_answer(task, size, attention, generator):
    options = GridModel(size, size, attention)
    model = task.build_model(options).eval()
    batch = task.train_batch(2, generator)
    out = model(torch.randn(2, 16, 10), torch.rand(2), model.encode(batch.observation))
    assert out.shape == (2, 16, 10)


def test_sizes_are_in_order(task):
    for name in ("encoder", "decoder"):
        counts = [
            sum(p.numel() for p in task.build_model(task.model_options.parse({name: size})).parameters())
            for size in ("small", "base", "large")
        ]
        assert counts == sorted(counts) and len(set(counts)) == 3


@pytest.mark.parametrize("side", ["2", "3", "6"])
def test_grids_of_other_sides(side, generator):
    task = GridToSequence({"side": side})
    test, tiles = task.test_set(), int(side) ** 2
    assert test.observation.shape == (10_000 // tiles, tiles, 28, 28)
    model = task.build_model(GridModel()).eval()
    batch = task.train_batch(2, generator)
    assert model(batch.target, torch.rand(2), model.encode(batch.observation)).shape == (
        2,
        *task.target_shape,
    )


def test_condition_noise_is_on_the_images_and_not_on_the_answers():
    clean, noisy = (GridToSequence({"condition-noise": level}).test_set() for level in ("0", "0.5"))
    assert torch.equal(clean.target, noisy.target)
    spread = (noisy.observation.float() - clean.observation.float())[clean.observation == 0].std() / 255
    assert 0.2 < spread < 0.4  # half of the noise is cut off at black
    again = GridToSequence({"condition-noise": "0.5"}).test_set()
    assert torch.equal(noisy.observation, again.observation)


def test_unknown_sizes_are_refused_with_a_guess():
    with pytest.raises(UsageError, match=r"unknown encoder 'bse'. Did you mean 'base'"):
        GridToSequence.choose({"encoder": "bse"})
    with pytest.raises(UsageError, match="unknown option of task grid-to-sequence 'depth'"):
        GridToSequence.choose({"depth": "3"})
