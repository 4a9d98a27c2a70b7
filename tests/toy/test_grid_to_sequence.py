import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow import make_objective
from toyflow.toy.codes import ONE_HOT, SCALAR
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


def images_of(batch: Batch | torch.Tensor) -> list[bytes]:
    tiles = batch.observation.flatten(0, 1) if isinstance(batch, Batch) else batch
    return [tile.numpy().tobytes() for tile in tiles]


def test_validation_holds_out_10_000_training_digits_and_makes_as_many_grids_of_them(task):
    validation = GridToSequence({"split": "validation"})
    test, whole = validation.test_set(), load_digits(train=True)
    assert test.observation.shape == task.test_set().observation.shape
    trained, tested = set(images_of(validation.digits.images)), set(images_of(test))
    assert len(trained) == 50_000 and len(tested) == 10_000
    assert trained | tested == set(images_of(whole.images))  # so none is in both
    assert set(images_of(validation.train_batch(64, torch.Generator().manual_seed(0)))) <= trained
    share = test.target.argmax(-1).flatten().bincount() / 10_000
    torch.testing.assert_close(share, whole.labels.bincount() / 60_000, atol=0.01, rtol=0)
    labels = dict(zip(images_of(whole.images), whole.labels.tolist(), strict=True))
    assert [labels[image] for image in images_of(test)] == test.target.argmax(-1).flatten().tolist()
    assert torch.equal(test.observation, GridToSequence({"split": "validation"}).test_set().observation)


def test_the_keys_of_results_from_before_the_options_split_and_code_stay():
    before = {"side": "4", "condition-noise": "0"}
    assert GridToSequence.choose({"split": "test", "code": "one-hot"}).data == before
    assert GridToSequence.choose({"split": "validation"}).data == {**before, "split": "validation"}


def test_training_repeats_under_a_seed_and_differs_between_seeds(task):
    first, again, other = (task.train_batch(2, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first.observation, again.observation)
    assert not torch.equal(first.observation, other.observation)


def test_codes_are_equally_far_apart_and_have_the_moments_of_the_noise():
    distances = torch.pdist(ONE_HOT.codes)
    torch.testing.assert_close(distances, distances[:1].expand_as(distances))
    torch.testing.assert_close(ONE_HOT.codes.mean(0), torch.zeros(10), atol=1e-6, rtol=0)
    torch.testing.assert_close(ONE_HOT.codes.var(0, correction=0), torch.ones(10))


def test_scores(task):
    target = ONE_HOT.codes[torch.arange(32).reshape(2, 16) % 10]
    wrong = target.clone()
    wrong[1, 3] = ONE_HOT.codes[(target[1, 3].argmax() + 1) % 10]
    noisy = wrong + 0.3 * torch.randn(wrong.shape, generator=torch.Generator().manual_seed(0))
    score = task.score(noisy, Batch(None, target))
    assert score["exact_match"].tolist() == [1, 0]
    assert score["digit_accuracy"].tolist() == pytest.approx([1, 15 / 16])


def test_scalars_are_evenly_spaced_with_the_moments_of_the_noise_and_read_as_the_nearest():
    codes = SCALAR.codes[:, 0]
    torch.testing.assert_close(codes.diff(), torch.full((9,), 1 / 8.25**0.5))
    assert codes.mean().abs() < 1e-6 and codes.var(correction=0) == pytest.approx(1)
    step = float(codes[1] - codes[0])
    digits = torch.arange(10)
    for off, read in (
        (0.49, digits),
        (-0.49, digits),
        (0.51, (digits + 1).clamp(max=9)),
        (9.0, 9 + 0 * digits),
    ):
        assert torch.equal(SCALAR.read(SCALAR.write(digits) + off * step), read)


def test_a_grid_of_scalars_is_one_number_per_tile(task, generator):
    scalars = GridToSequence({"code": "scalar"})
    test, vectors = scalars.test_set(), task.test_set()
    assert test.target.shape == (625, 16, 1) and scalars.target_shape == (16, 1)
    assert torch.equal(SCALAR.read(test.target), vectors.target.argmax(-1))
    assert scalars.score(test.target + 0.1, test)["exact_match"].all()
    off = scalars.score(test.target + 0.3, test)["digit_accuracy"]  # all but 9 are read as the next digit
    assert off.mean() == pytest.approx(float((SCALAR.read(test.target) == 9).float().mean()))
    model = scalars.build_model(GridModel(encoder="small", decoder="small"))
    batch = scalars.train_batch(3, generator)
    answer = model(
        torch.randn(3, 16, 1, generator=generator), torch.zeros(3), model.encode(batch.observation)
    )
    assert answer.shape == batch.target.shape
    with pytest.raises(UsageError, match=r"'autoregressive' needs .* with 2 classes or more, not \[16, 1\]"):
        make_objective("autoregressive", None).attach(model, scalars.target_shape)


def test_decoding_is_by_nearest_code(task):
    sample = torch.randn(8, 16, 10, generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(sample, ONE_HOT.codes.expand(8, 10, 10)).argmin(-1)
    assert (task.score(sample, Batch(None, ONE_HOT.codes[nearest]))["exact_match"] == 1).all()


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
