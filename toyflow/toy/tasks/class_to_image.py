"""`class-to-image`: a class label to an image of that class. The contrast to `grid-to-sequence`.

A weak condition (ten labels) and a high-dimensional target (784 or 3072 numbers): the label says little about
the image, and the mean of all images of a class is not one of them. Here one step should not be enough.

`split=validation` compares with held-out training images, for all that is tuned. The classifier that judges
has seen them, so compare its numbers with each other and not with those of the test images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from toyflow.flow import Model
from toyflow.flow.anatomy import Moments
from toyflow.networks import Denoiser, DenoiserSize, DenoisingModel
from toyflow.networks.attention_kinds import ATTENTION_KINDS, AttentionKind
from toyflow.networks.denoiser import Reading
from toyflow.optionset import OptionSet, choice
from toyflow.toy.features import Classifier, frechet_distance, load_classifier
from toyflow.toy.images import CLASSES, IMAGE_SETS, Images
from toyflow.toy.splits import SPLITS, examples_to_test, examples_to_train
from toyflow.toy.task import Task
from toyflow.training import Batch

PATCHES = 4
"""Patches along each side of an image, which makes 16 tokens. 49 smaller ones, tried once with as much
CPU time, gave worse digits."""
TEST_PER_CLASS = 200
DECODERS = {
    "small": DenoiserSize(width=64, depth=2, heads=4),
    "base": DenoiserSize(width=128, depth=4, heads=4),
    "large": DenoiserSize(width=192, depth=6, heads=6),
}


class ImageDenoiser(DenoisingModel):
    """A denoiser whose tokens are the patches of an image; its condition is one token, the class."""

    def __init__(self, shape: tuple[int, int, int], size: DenoiserSize, attention: AttentionKind) -> None:
        super().__init__()
        channels, side, _ = shape
        self.patch = side // PATCHES
        self.embed = nn.Embedding(CLASSES, size.width)
        self.denoiser = Denoiser(PATCHES**2, channels * self.patch**2, size, attention)

    def encode(self, observation: Int64[Tensor, "batch"]) -> Reading:
        """What the denoiser needs of the class."""
        return self.denoiser.read(self.embed(observation)[:, None])

    def forward(
        self,
        x: Float[Tensor, "batch channels side side"],
        t: Float[Tensor, "batch"],
        condition: Reading,
        r: Float[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch channels side side"]:
        """One model call at the times `t`, or for the jumps from `t` to `r`."""
        tokens = pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)
        answer = self.denoiser(tokens, t, condition, r)
        return pixel_shuffle(answer.transpose(1, 2).unflatten(2, (PATCHES, PATCHES)), self.patch)


@dataclass(frozen=True)
class ImageData(OptionSet):
    """The images to learn: their data set, and which of them test."""

    dataset: str = choice(*IMAGE_SETS)
    split: str = choice(*SPLITS, added=True)


@dataclass(frozen=True)
class ImageModel(OptionSet):
    """The size of `ImageDenoiser`."""

    decoder: str = choice(*DECODERS, default="base")
    attention: AttentionKind = choice(*ATTENTION_KINDS)


class ClassToImage(Task):
    """Draw an image of a class. Scored in the eyes of a small classifier of the same data set: by whether it
    sees the class that was asked for, and by the Fréchet distance between its features of the samples
    and of as many real test images. Read both: the mean image of a class, which is what one ideal step
    gives, is always recognised, and only the distance tells it from real images."""

    name = "class-to-image"
    metrics = ("class_accuracy",)
    set_metrics = ("frechet_distance",)
    lower_is_better = ("frechet_distance",)
    data_options = ImageData
    model_options = ImageModel
    data: ImageData

    def __init__(self, data: Mapping[str, str] | None = None, data_dir: str | None = None) -> None:
        super().__init__(data, data_dir)
        self.image_set = IMAGE_SETS[self.data.dataset]

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Channels, rows and columns."""
        return self.image_set.shape

    @cached_property
    def training_images(self) -> Images:
        """What training batches are drawn from."""
        return examples_to_train(self._load, self.data.split)

    @cached_property
    def classifier(self) -> Classifier:
        """What the samples are judged by."""
        return load_classifier(self.image_set, self.data_dir)

    def prepare(self) -> None:
        """Unpack or download the data set, and train its classifier."""
        self.image_set.fetch(self.data_dir)
        load_classifier(self.image_set, self.data_dir)

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        """Training images, drawn at random and with replacement."""
        index = torch.randint(len(self.training_images.labels), (size,), generator=generator)
        return self._batch(self.training_images, index)

    def test_set(self) -> Batch:
        """Real test images, 200 of each class, the classes in turn: the first of a fixed permutation."""
        test = examples_to_test(self._load, self.data.split)
        order = torch.randperm(len(test.labels), generator=torch.Generator().manual_seed(0))
        of_class = [order[test.labels[order] == label][:TEST_PER_CLASS] for label in range(CLASSES)]
        return self._batch(test, torch.stack(of_class, dim=1).flatten())

    def build_model(self, options: ImageModel) -> Model:
        """An `ImageDenoiser`."""
        return ImageDenoiser(self.image_set.shape, DECODERS[options.decoder], options.attention)

    @torch.inference_mode()
    def score(self, sample: Float[Tensor, "batch channels side side"], test: Batch) -> dict[str, Tensor]:
        """Whether the classifier sees the class that was asked for."""
        seen = self.classifier(sample.cpu()).argmax(1)
        return {"class_accuracy": (seen == test.observation.cpu()).float()}

    @torch.inference_mode()
    def score_set(self, sample: Float[Tensor, "batch channels side side"], test: Batch) -> dict[str, float]:
        """The Fréchet distance to the real test images."""
        samples, real = (self.classifier.features(images.cpu()) for images in (sample, test.target))
        return {"frechet_distance": frechet_distance(samples, real)}

    def conditional_moments(self, observation: Int64[Tensor, "batch"]) -> Moments:
        """Of all training images of the class: an estimate, whose mean is off by spread / 5000 or so."""
        mean, variance = (moment.to(observation.device)[observation] for moment in self._class_moments)
        return Moments(mean, variance)

    @cached_property
    def _class_moments(self) -> Moments:
        """Of each class, in the order of labels."""
        images = self.training_images
        classes = [self._batch(images, (images.labels == label).nonzero()[:, 0]) for label in range(CLASSES)]
        means = torch.stack([batch.target.mean(0) for batch in classes])
        return Moments(means, torch.stack([batch.target.var(0) for batch in classes]))

    def _load(self, train: bool) -> Images:
        return self.image_set.load(train, self.data_dir)

    def _batch(self, images: Images, index: Int64[Tensor, "batch"]) -> Batch:
        return Batch(images.labels[index], self.image_set.normalised(images.pixels[index]))
