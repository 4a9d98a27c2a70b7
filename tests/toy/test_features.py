from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors import safe_open

from toyflow.errors import ToyflowError
from toyflow.toy import features
from toyflow.toy.features import WEIGHTS, accuracy, frechet_distance, load_classifier, train_classifier
from toyflow.toy.images import IMAGE_SETS, Images, ImageSet

MNIST = IMAGE_SETS["mnist"]


@pytest.fixture(scope="module")
def few() -> Images:
    """640 training images."""
    train = MNIST.load(train=True)
    return Images(train.pixels[:640], train.labels[:640])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: Images) -> Path:
    """An empty cache, and a data set that is quick to learn."""
    monkeypatch.setattr(ImageSet, "load", lambda self, train, data_dir=None: few)
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data sets whose classifier was trained since."""
    seen: list[str] = []

    def train(train: Images, images: ImageSet) -> features.Classifier:
        seen.append(images.name)
        return train_classifier(train, images)

    monkeypatch.setattr(features, "train_classifier", train)
    return seen


def drawn(n: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean: list[float], std: list[float], seed: int, n: int = 500) -> torch.Tensor:
    """Vectors whose sample mean and standard deviations are exactly these, and which are uncorrelated."""
    noise = drawn(n, len(mean), seed)
    white = torch.linalg.qr(noise - noise.mean(0)).Q * (n - 1) ** 0.5
    return white * torch.tensor(std) + torch.tensor(mean)


def test_the_distance_of_diagonal_gaussians_is_that_of_means_and_deviations():
    one = with_moments([0.0, 1.0, -2.0], [1.0, 0.5, 2.0], seed=0)
    two = with_moments([1.0, 1.0, 0.0], [1.0, 2.0, 0.1], seed=1, n=300)
    expected = (1 + 0 + 4) + (0 + 1.5**2 + 1.9**2)
    assert frechet_distance(one, two) == pytest.approx(expected)
    turn = torch.linalg.qr(drawn(3, 3, seed=2)).Q
    assert frechet_distance(one @ turn, two @ turn) == pytest.approx(expected)


def test_the_distance_is_the_textbook_formula_where_covariances_do_not_commute():
    one, two = drawn(400, 6, 0) @ drawn(6, 6, 1), drawn(300, 6, 2) @ drawn(6, 6, 3) + 0.5
    cov_one, cov_two = (torch.cov(x.T).numpy() for x in (one, two))
    root = np.real(scipy.linalg.sqrtm(cov_one @ cov_two))
    expected = (one.mean(0) - two.mean(0)).square().sum() + (cov_one + cov_two - 2 * root).trace()
    assert frechet_distance(one, two) == pytest.approx(float(expected))


def test_the_distance_is_symmetric_and_zero_between_equal_sets():
    one, two = drawn(200, 64, 0).relu().float(), 2 * drawn(300, 64, 1).relu().float()
    assert frechet_distance(one, two) == pytest.approx(frechet_distance(two, one))
    assert frechet_distance(one, one[torch.randperm(200)]) == pytest.approx(0, abs=1e-9)


def test_the_distance_stands_features_that_never_fire_and_fewer_vectors_than_features():
    one, two = drawn(20, 64, 0), drawn(300, 64, 1)
    one[:, 5], two[:, 5] = 0, 0
    assert 0 < frechet_distance(one, two) < 200
    collapsed = torch.ones(20, 64)
    assert frechet_distance(collapsed, collapsed + 1) == pytest.approx(64)


def test_the_classifier_learns():
    train = MNIST.load(train=True)
    model = train_classifier(Images(train.pixels[:5000], train.labels[:5000]), MNIST)
    assert accuracy(model, MNIST.load(train=False), MNIST) > 0.8
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_training_repeats_and_leaves_the_global_random_state_and_the_threads_alone(few):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    torch.set_num_threads(2)
    one, two = (train_classifier(few, MNIST).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(2), expected) and torch.get_num_threads() == 2
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("channels, side", [(1, 28), (3, 32)])
def test_features_of_both_sizes_of_images(channels, side):
    model = features.Classifier(channels)
    images = torch.randn(3, channels, side, side)
    assert model.features(images).shape == (3, features.FEATURES) and model(images).shape == (3, 10)


def test_it_is_trained_once_and_its_accuracy_is_kept(cache, few, trainings):
    first, again = load_classifier(MNIST), load_classifier(MNIST)
    assert trainings == ["mnist"]
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in first.state_dict().items())
    with safe_open(cache / "classifiers" / "mnist-v1" / WEIGHTS, "pt") as file:
        assert float(file.metadata()["test_accuracy"]) == pytest.approx(accuracy(again, few, MNIST), abs=1e-4)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_classifier_is_trained_again(cache, trainings, damage):
    load_classifier(MNIST)
    path = cache / "classifiers" / "mnist-v1" / WEIGHTS
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    elif damage == "truncate":
        path.write_bytes(content[:5000])
    else:
        path.unlink()
    load_classifier(MNIST)
    assert path.read_bytes() == content and len(trainings) == 2


def test_of_several_that_start_at_once_one_trains(cache, trainings):
    with ThreadPoolExecutor(3) as pool:
        models = list(pool.map(lambda _: load_classifier(MNIST), range(3)))
    assert trainings == ["mnist"]
    assert all(torch.equal(m.head.weight, models[0].head.weight) for m in models)
    assert [p.name for p in (cache / "classifiers").iterdir() if not p.name.endswith(".lock")] == ["mnist-v1"]


def test_a_cache_that_cannot_be_written_is_one_clear_error(cache, monkeypatch):
    (cache / "file").write_text("")
    monkeypatch.setenv("TOYFLOW_CACHE", str(cache / "file"))
    with pytest.raises(ToyflowError, match=r"classifier of MNIST cannot be kept in .* Set TOYFLOW_CACHE"):
        load_classifier(MNIST)
