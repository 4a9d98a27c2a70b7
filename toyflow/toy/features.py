"""A small classifier, trained once per data set and kept, and the Fréchet distance between its features."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import torch
from filelock import FileLock
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from toyflow.atomic import DamagedError, atomic_folder, verified
from toyflow.errors import ToyflowError
from toyflow.machine import cache_folder
from toyflow.tensors import one_thread, save_tensors
from toyflow.toy.images import CLASSES, Images, ImageSet

LOG = logging.getLogger(__name__)

FEATURES = 64
EPOCHS = {"mnist": 1, "fashion-mnist": 3, "cifar-10": 10}
BATCH = 128
WEIGHTS = "weights.safetensors"


class Classifier(nn.Module):
    """Three strided convolutions, a layer of `FEATURES`, and a linear layer to the classes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(channels, 16),
            *_convolution(16, 32),
            *_convolution(32, 64),
            nn.Flatten(),  # 4 x 4 places are left of 28 x 28 and of 32 x 32
            nn.Linear(64 * 4 * 4, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, images: Float[Tensor, "batch channels side side"]) -> Float[Tensor, "batch classes"]:
        """Logits of the classes for normalised images."""
        return self.head(self.features(images))


def load_classifier(images: ImageSet, data_dir: str | None = None) -> Classifier:
    """The data set's classifier, ready to answer.

    It is trained, on one CPU core and from a fixed seed, where the cache does not hold it or holds it
    damaged; of several processes one trains and the others wait. The metadata of its file tell its
    accuracy on the test images.

    Raises:
        ToyflowError: the data set cannot be loaded, or the cache cannot be written.
    """
    folder = cache_folder() / "classifiers" / f"{images.name}-v1"
    model = Classifier(images.shape[0]).requires_grad_(False).eval()
    if (weights := _kept(folder)) is None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.parent / f".{folder.name}.lock"):
                if (weights := _kept(folder)) is None:
                    shutil.rmtree(folder, ignore_errors=True)
                    weights = _train_and_keep(images, data_dir, folder)
        except OSError as error:
            raise ToyflowError(
                f"the classifier of {images.title} cannot be kept in {folder}: {error.strerror or error}. "
                "Set TOYFLOW_CACHE to a folder that can be written."
            ) from error
    model.load_state_dict(weights)
    return model


def train_classifier(train: Images, images: ImageSet) -> Classifier:
    """A classifier of `images`, from a fixed seed; the global random state and threads are left alone."""
    generator = torch.Generator().manual_seed(0)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Classifier(images.shape[0])
        optimiser = torch.optim.AdamW(model.parameters())
        epochs = EPOCHS[images.name]
        steps = epochs * -(-len(train.labels) // BATCH)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=5e-3, total_steps=steps)
        for _ in range(epochs):
            for index in torch.randperm(len(train.labels), generator=generator).split(BATCH):
                logits = model(images.normalised(train.pixels[index]))
                optimiser.zero_grad()
                cross_entropy(logits, train.labels[index]).backward()
                optimiser.step()
                rate.step()
    return model.requires_grad_(False).eval()


def accuracy(model: Classifier, test: Images, images: ImageSet) -> float:
    """Share of the images whose class it names."""
    with torch.inference_mode():
        parts = [model(images.normalised(pixels)).argmax(1) for pixels in test.pixels.split(1000)]
    return float((torch.cat(parts) == test.labels).float().mean())


def frechet_distance(one: Float[Tensor, "n features"], two: Float[Tensor, "m features"]) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), where m and S are the sets' means and covariances.

    With S = R'R from the QR decomposition of the centred set, the eigenvalues of (S1 S2)^(1/2) are the
    singular values of R1 R2', so that no root of an almost singular matrix is taken.
    """
    one, two = one.double(), two.double()
    root_one, root_two = _covariance_root(one), _covariance_root(two)
    between_means = (one.mean(0) - two.mean(0)).square().sum()
    variances = root_one.square().sum() + root_two.square().sum()
    return float(between_means + variances - 2 * torch.linalg.svdvals(root_one @ root_two.T).sum())


def _covariance_root(features: Float[Tensor, "n features"]) -> Float[Tensor, "rank features"]:
    """R with R'R the covariance."""
    centred = features - features.mean(0)
    return torch.linalg.qr(centred, mode="r").R / (len(features) - 1) ** 0.5


def _kept(folder: Path) -> dict[str, Tensor] | None:
    if not folder.exists():
        return None
    try:
        return load_file(verified(folder, WEIGHTS))
    except DamagedError as error:
        LOG.warning("%s It is trained again.", error)
        return None


def _train_and_keep(images: ImageSet, data_dir: str | None, folder: Path) -> dict[str, Tensor]:
    model = train_classifier(images.load(True, data_dir), images)
    right = accuracy(model, images.load(False, data_dir), images)
    with atomic_folder(folder) as temporary:
        save_tensors(model.state_dict(), temporary / WEIGHTS, {"test_accuracy": f"{right:.4f}"})
    return model.state_dict()


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution block that halves the image's side."""
    return [
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
