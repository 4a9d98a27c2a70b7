from pathlib import Path

import numpy as np
import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow import make_objective, parse_sampler, parse_schedule
from toyflow.networks import DenoiserSize
from toyflow.toy import features
from toyflow.toy.features import Classifier, train_classifier
from toyflow.toy.images import IMAGE_SETS, Images, ImageSet
from toyflow.toy.tasks.class_to_image import ClassToImage, ImageDenoiser, ImageModel
from toyflow.training import Batch, OneCycle, train


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> ClassToImage:
    """On MNIST, with a classifier that has seen 5000 images."""

    def hasty(train: Images, images: ImageSet) -> Classifier:
        return train_classifier(Images(train.pixels[:5000], train.labels[:5000]), images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOYFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(features, "train_classifier", hasty)
        task = ClassToImage()
        task.prepare()
        assert isinstance(task.classifier, Classifier) and len(task.training_images.labels) == 60_000
        return task


@pytest.fixture(scope="module")
def test(task: ClassToImage) -> Batch:
    return task.test_set()


def test_the_test_set_is_balanced_of_different_real_images_and_always_the_same(task, test):
    assert test.target.shape == (2000, 1, 28, 28) and test.observation.bincount().tolist() == [200] * 10
    assert test.observation[:12].tolist() == [*range(10), 0, 1]
    real = IMAGE_SETS["mnist"].load(train=False)
    pixels = ((test.target * 0.3081 + 0.1307) * 255).round().to(torch.uint8)
    of_image = {image.numpy().tobytes(): int(label) for image, label in zip(*real, strict=True)}
    found = [of_image[image.numpy().tobytes()] for image in pixels]
    assert found == test.observation.tolist() and len({p.numpy().tobytes() for p in pixels}) == 2000
    again = task.test_set()
    assert torch.equal(test.target, again.target) and torch.equal(test.observation, again.observation)


def test_validation_is_made_of_held_out_training_images(task, test):
    validation = ClassToImage({"split": "validation"})
    held_out = validation.test_set()
    assert torch.equal(held_out.observation, test.observation)
    trained = {image.numpy().tobytes() for image in validation.training_images.pixels}
    pixels = ((held_out.target * 0.3081 + 0.1307) * 255).round().to(torch.uint8)
    tested = {image.numpy().tobytes() for image in pixels}
    assert len(trained) == 50_000 and len(tested) == 2000 and not trained & tested
    assert tested <= {image.numpy().tobytes() for image in task.training_images.pixels}


def test_training_images_have_their_labels_and_repeat_under_a_seed(task):
    one, again, other = (task.train_batch(64, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one.target, again.target) and not torch.equal(one.target, other.target)
    assert one.target.shape[1:] == task.target_shape
    assert task.score(one.target, one)["class_accuracy"].mean() > 0.8


def test_class_accuracy_asks_for_the_class_and_not_for_any_digit(task, test):
    assert task.score(test.target, test)["class_accuracy"].mean() > 0.8
    moved = Batch((test.observation + 1) % 10, test.target)
    assert task.score(test.target, moved)["class_accuracy"].mean() < 0.1


def test_the_distance_tells_real_images_from_mean_images_and_noise(task, test, generator):
    real = task.training_images
    first = torch.stack([(real.labels == label).nonzero()[:200, 0] for label in range(10)], dim=1).flatten()
    mean = test.target.reshape(200, 10, 1, 28, 28).mean(0).repeat(200, 1, 1, 1)
    samples = {
        "itself": test.target,
        "other real images": IMAGE_SETS["mnist"].normalised(real.pixels[first]),
        "mean of each class": mean,
        "noise": torch.randn(test.target.shape, generator=generator),
    }
    distance = {name: task.score_set(sample, test)["frechet_distance"] for name, sample in samples.items()}
    assert distance["itself"] == pytest.approx(0, abs=1e-6)
    assert 0 < 10 * distance["other real images"] < distance["mean of each class"]
    assert 0 < 10 * distance["other real images"] < distance["noise"]


@pytest.mark.parametrize("attention", ["cross", "joint"])
@pytest.mark.parametrize("size", ["small", "base", "large"])
@pytest.mark.parametrize("dataset", ["mnist", "cifar-10"])
def test_models_of_all_sizes_answer(dataset, size, attention):
    task = ClassToImage({"dataset": dataset})
    model = task.build_model(ImageModel(size, attention)).eval()
    x = torch.randn(2, *task.target_shape)
    condition = model.encode(torch.tensor([3, 7]))
    assert model(x, torch.rand(2), condition).shape == x.shape
    assert model(x, torch.zeros(2), condition, torch.ones(2)).shape == x.shape


def test_a_token_is_a_patch_of_the_image_and_goes_back_to_its_place(monkeypatch):
    model = ImageDenoiser((3, 32, 32), DenoiserSize(width=8, depth=1, heads=1), "cross")
    image, seen = torch.randn(2, 3, 32, 32), []

    def echo(tokens, t, condition, r):
        seen.append(tokens)
        return tokens

    monkeypatch.setattr(model.denoiser, "forward", echo)
    assert torch.equal(model(image, torch.zeros(2), []), image)
    assert seen[0].shape == (2, 16, 192)
    patch = image[1, :, 8:16, 16:24]  # the second row's third
    assert torch.equal(seen[0][1, 4 + 2].reshape(3, 8, 8), patch)


def test_sizes_are_in_order():
    task = ClassToImage()
    counts = [
        sum(p.numel() for p in task.build_model(ImageModel(size)).parameters())
        for size in ("small", "base", "large")
    ]
    assert counts == sorted(counts) and len(set(counts)) == 3


def test_a_short_training_lowers_the_loss_and_is_decoded_and_scored(task, test, generator):
    objective = make_objective("flow", parse_schedule("uniform"))
    model = task.build_model(ImageModel("small"))
    batches = (task.train_batch(8, generator) for _ in iter(int, 1))
    curve = train(model, objective, batches, OneCycle(iterations=60, batch_size=8), generator)
    assert curve.points[-1].loss < 0.75 * curve.points[0].loss
    part = test.part(slice(0, 20))
    with torch.inference_mode():
        noise = torch.randn(part.target.shape, generator=generator)
        sample = objective.decode(model, model.encode(part.observation), noise, 2, parse_sampler("euler"))
    assert task.score(sample, part)["class_accuracy"].shape == (20,)
    assert task.score_set(sample, part)["frechet_distance"] > 0


def test_another_data_set_is_taken_from_the_folder_that_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path / "cache"))
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(256, size=(40, 28, 28), dtype=np.uint8)
    for part in ("train", "t10k"):
        images, labels = raw / f"{part}-images-idx3-ubyte", raw / f"{part}-labels-idx1-ubyte"
        images.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 28, 0, 0, 0, 28]) + pixels.tobytes())
        labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 40, *([*range(10)] * 4)]))
    task = ClassToImage({"dataset": "fashion-mnist"}, str(tmp_path / "data"))
    task.prepare()
    test = task.test_set()
    assert test.target.shape == (40, 1, 28, 28)
    assert (tmp_path / "cache" / "classifiers" / "fashion-mnist-v1").is_dir()
    assert set(task.score(test.target, test)) == set(task.metrics)


def test_unknown_data_sets_are_refused_with_a_guess():
    with pytest.raises(UsageError, match=r"unknown dataset 'cifar10'. Did you mean 'cifar-10'"):
        ClassToImage.choose({"dataset": "cifar10"})


def test_moments_of_a_class_are_those_of_its_training_images_and_near_those_of_others(task, test):
    moments = task.conditional_moments(torch.tensor([7, 1, 7]))
    assert moments.mean.shape == moments.variance.shape == (3, 1, 28, 28)
    assert torch.equal(moments.mean[0], moments.mean[2]) and not torch.equal(moments.mean[0], moments.mean[1])
    sevens = test.target[test.observation == 7]
    residual = (sevens - moments.mean[0]).square().mean()
    assert float(residual) == pytest.approx(float(moments.variance[0].mean()), rel=0.05)
