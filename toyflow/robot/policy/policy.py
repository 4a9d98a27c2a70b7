"""The policy: cameras, prompt and state to a chunk of actions, through the seam of the toy's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils._pytree import tree_map

from toyflow.errors import UsageError
from toyflow.networks import Denoiser, DenoisingModel
from toyflow.networks.denoiser import Reading
from toyflow.robot.data.normalisation import Normalisation, Normaliser
from toyflow.robot.data.resize import resized
from toyflow.robot.interface import Observation
from toyflow.robot.policy.backbones import make_backbone
from toyflow.robot.policy.language import make_tokeniser
from toyflow.robot.policy.sizes import ACTION_WIDTH
from toyflow.robot.policy.spec import PolicySpec


class PolicyInput(NamedTuple):
    """What a policy sees, for a batch of moments."""

    images: Mapping[str, UInt8[Tensor, "batch 3 side side"]]
    """By camera, as `resized` gives them."""
    state: Float32[Tensor, "batch state"]
    """As the robot reports it."""
    tokens: Int64[Tensor, "batch length"]
    """As `Policy.tokeniser` gives them; of length 0 for a policy that does not read."""

    def to(self, device: torch.device) -> PolicyInput:
        """The same on `device`."""
        return tree_map(lambda tensor: tensor.to(device), self)


class Policy(DenoisingModel):
    """Backbone, state and denoising head. Actions are normalised and padded to 32 dimensions inside; `target`
    and `actions` lead in and out.

    With `mask` supervision the padded dimensions are zero in what the network sees and in what it answers, so
    that numbers which nobody trained never feed back over several steps.

    Attributes:
        backbone: vision and language, whose learning rate is another; everything else is the head.
        tokeniser: prompts to tokens, of length 0 for a policy that does not read.

    Raises:
        UsageError: the normalisation does not fit the interface, or something that the backbone or the
            tokeniser needs is not to be had.
    """

    supervised: Tensor

    def __init__(self, spec: PolicySpec, normalisation: Normalisation) -> None:
        super().__init__()
        normalisation.check_fits(spec.interface)
        self.spec, self.normalisation = spec, normalisation
        self.tokeniser = make_tokeniser(
            spec.tokeniser if spec.language else "hashed", spec.parts.vocabulary, spec.prompt_length
        )
        head = spec.parts.head
        if spec.interface.cameras or spec.language:
            backbone = make_backbone(spec)
            self.backbone, self.project = backbone, nn.Linear(backbone.width, head.width)
        else:
            self.backbone, self.project = nn.Module(), None
        self.read_state = (
            nn.Sequential(
                nn.Linear(spec.interface.state_dim, head.width),
                nn.SiLU(),
                nn.Linear(head.width, head.width),
            )
            if spec.state
            else None
        )
        self.denoiser = Denoiser(spec.horizon, ACTION_WIDTH, head, spec.attention)
        self.normalise_state, self.normalise_action = map(
            Normaliser, (normalisation.state, normalisation.action)
        )
        supervised = (torch.arange(ACTION_WIDTH) < spec.action_dims).float()
        self.register_buffer("supervised", supervised, persistent=False)

    def encode(self, observation: PolicyInput) -> Reading:
        """Everything about the observation that can be computed once, for all denoising steps."""
        tokens: list[Tensor] = []
        if self.project is not None:
            tokens.append(self.project(self.backbone(observation.images, observation.tokens)))
        if self.read_state is not None:
            tokens.append(self.read_state(self.normalise_state(observation.state))[:, None])
        return self.denoiser.read(torch.cat(tokens, dim=1))

    def forward(
        self,
        x: Float[Tensor, "batch horizon 32"],
        t: Float[Tensor, "batch"],
        condition: Reading,
        r: Float[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch horizon 32"]:
        """One model call at the times `t`, or for the jumps from `t` to `r`."""
        answer = self.denoiser(x * self.supervised, t, condition, r)
        return answer.to(x.dtype) * self.supervised

    def target(self, actions: Float[Tensor, "batch horizon action"]) -> Float[Tensor, "batch horizon 32"]:
        """A robot's actions as the network's, normalised and padded."""
        return pad(self.normalise_action(actions), (0, ACTION_WIDTH - actions.shape[-1]))

    def actions(self, x: Float[Tensor, "batch horizon 32"]) -> Float[Tensor, "batch horizon action"]:
        """The network's actions as the robot's: what `target` was given. They are not clipped."""
        return self.normalise_action.inverse(x[..., : self.spec.interface.action_dim])

    def weight(self, is_pad: Bool[Tensor, "batch horizon"]) -> Float[Tensor, "batch horizon 32"]:
        """Weights of the loss: 1 for supervised dimensions of actions that are in the data, `is_pad` being
        true for those that lie beyond the end of their episode, and 0 for all else."""
        return (~is_pad)[..., None] * self.supervised

    def prepare(self, observations: Sequence[Observation]) -> PolicyInput:
        """A batch of observations as the policy sees them, on its device.

        Raises:
            UsageError: a camera of the policy's interface is missing, or the state has another length.
        """
        for observation in observations:
            self._check(observation)
        images = {
            camera: torch.cat([self._image(observation, camera) for observation in observations])
            for camera in self.spec.interface.cameras
        }
        state = torch.from_numpy(np.stack([observation.state for observation in observations]))
        tokens = self.tokeniser([observation.prompt for observation in observations])
        return PolicyInput(images, state, tokens).to(self.supervised.device)

    def parameter_counts(self) -> dict[str, int]:
        """Numbers of parameters: of the backbone, of the head, which is everything else, and in total."""
        backbone, total = (sum(p.numel() for p in m.parameters()) for m in (self.backbone, self))
        return {"backbone": backbone, "head": total - backbone, "total": total}

    def _image(self, observation: Observation, camera: str) -> UInt8[Tensor, "1 3 side side"]:
        pixels = torch.from_numpy(np.ascontiguousarray(observation.images[camera]))
        return resized(pixels.permute(2, 0, 1)[None], self.spec.image_size)

    def _check(self, observation: Observation) -> None:
        interface = self.spec.interface
        for camera in interface.cameras:
            if camera not in observation.images:
                raise UsageError(
                    f"the observation has no camera {camera}, which the policy looks through; it has "
                    f"{', '.join(observation.images) or 'none'}."
                )
        if len(observation.state) != interface.state_dim:
            raise UsageError(
                f"the observation's state has {len(observation.state)} numbers, the policy was made for "
                f"{interface.state_dim}."
            )
