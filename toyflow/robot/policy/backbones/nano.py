"""A backbone that trains on two CPU cores: a CNN per camera that finds keypoints, and a table of words.

Keypoints rather than patches: in a trial on synthetic scenes, a grid of 16 patch tokens fitted the training
scenes faster, and had 1.7 times the error on new ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn.functional import silu

from toyflow.robot.policy.backbones.backbone import Backbone
from toyflow.robot.policy.language import PADDING
from toyflow.robot.policy.spec import PolicySpec

CHANNELS = (16, 32, 64)
GROUPS = 8
KEYPOINTS, KEYPOINT_TOKENS = 32, 4
"""Per camera."""
WORD_WIDTH = 32


class NanoBackbone(Backbone):
    """Four tokens for each camera, and one for the prompt, which also steers what each camera looks for. The
    head attends between them."""

    def __init__(self, spec: PolicySpec) -> None:
        super().__init__()
        self.width = spec.parts.head.width
        self.cameras = spec.interface.cameras
        self.reader = PromptReader(spec.vocabulary, spec.prompt_length, self.width) if spec.language else None
        self.eyes = nn.ModuleList(KeypointEye(self.width, spec.language) for _ in self.cameras)

    def forward(
        self,
        images: Mapping[str, UInt8[Tensor, "batch 3 side side"]],
        tokens: Int64[Tensor, "batch length"],
    ) -> Float[Tensor, "batch tokens {self.width}"]:
        """See `Backbone`: each camera's tokens in turn, then the prompt's."""
        prompt = self.reader(tokens) if self.reader else None
        seen = [eye(images[camera], prompt) for camera, eye in zip(self.cameras, self.eyes, strict=True)]
        return torch.cat(seen if prompt is None else [*seen, prompt[:, None]], dim=1)


class PromptReader(nn.Module):
    """W2 mean(silu(W1 (word + position))) over a prompt's words: one vector, which depends on their order."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, WORD_WIDTH)
        self.place = nn.Parameter(0.5 * torch.randn(length, WORD_WIDTH))
        self.hidden, self.out = nn.Linear(WORD_WIDTH, width), nn.Linear(width, width)

    def forward(self, tokens: Int64[Tensor, "batch length"]) -> Float[Tensor, "batch width"]:
        """One vector per prompt."""
        there = (tokens != PADDING)[..., None]
        read = silu(self.hidden(self.words(tokens) + self.place)) * there
        return self.out(read.sum(1) / there.sum(1))


class KeypointEye(nn.Module):
    """Three convolutions to a map of a quarter of the image's side, on which each of 32 queries finds a
    keypoint by spatial softmax (Levine et al. 2016): its expected position, and the features there. The
    prompt scales the queries' features. Eight keypoints make a token."""

    def __init__(self, width: int, reads: bool) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.features = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(second, third, 3, padding=1),
            nn.GroupNorm(GROUPS, third),
            nn.SiLU(),
        )
        # Large, so that the softmax is peaked from the start: else all keypoints begin in the middle.
        self.queries = nn.Parameter(3 / third**0.5 * torch.randn(KEYPOINTS, third))
        self.gate = nn.Linear(width, third) if reads else None
        per_token = KEYPOINTS // KEYPOINT_TOKENS * (third + 2)
        self.token = nn.Sequential(nn.Linear(per_token, width), nn.SiLU(), nn.Linear(width, width))
        self.identity = nn.Parameter(torch.randn(KEYPOINT_TOKENS, width))
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # faster on CPUs

    def forward(
        self, image: UInt8[Tensor, "batch 3 side side"], prompt: Float[Tensor, "batch width"] | None
    ) -> Float[Tensor, "batch keypoint_tokens width"]:
        """Tokens of one camera."""
        seen = self.features(image.contiguous(memory_format=torch.channels_last).float() / 127.5 - 1)
        pixels = seen.flatten(2).transpose(1, 2)
        queries = self.queries if self.gate is None else self.queries * (1 + self.gate(prompt))[:, None]
        attention = (queries @ pixels.transpose(1, 2)).softmax(dim=-1)
        keypoints = torch.cat([attention @ pixels, attention @ _places(seen)], dim=-1)
        return self.token(keypoints.unflatten(1, (KEYPOINT_TOKENS, -1)).flatten(2)) + self.identity


def _places(x: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "pixels 2"]:
    """(x, y) of every pixel of a map, -1 to 1."""
    rows, columns = (torch.linspace(-1, 1, side, device=x.device) for side in x.shape[2:])
    return torch.cartesian_prod(rows, columns).flip(-1)
