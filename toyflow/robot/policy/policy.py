"""The policy network: cameras, prompt and state to a chunk of actions, as a model of `toyflow.flow`."""

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
from toyflow.networks import Denoiser, DenoisingModel, MLPDenoiser, MLPSize
from toyflow.networks.denoiser import Reading
from toyflow.robot.data.normalisation import Normalisation, Normaliser
from toyflow.robot.data.resize import resized
from toyflow.robot.interface import Observation
from toyflow.robot.policy.backbones import make_backbone
from toyflow.robot.policy.language import make_tokeniser
from toyflow.robot.policy.sizes import ACTION_WIDTH
from toyflow.robot.policy.spec import PolicySpec


class PolicyInput(NamedTuple):
    """The network's input for a batch of observations.

    Attributes:
        images: {camera: pixels}, from `resized`.
        state: the robot's state, not normalised.
        tokens: tokens of the prompts, from `Policy.tokeniser`; of length 0 for a policy without language.
    """

    images: Mapping[str, UInt8[Tensor, "batch 3 side side"]]
    state: Float32[Tensor, "batch state"]
    tokens: Int64[Tensor, "batch length"]

    def to(self, device: torch.device) -> PolicyInput:
        """The same on `device`."""
        return tree_map(lambda tensor: tensor.to(device), self)


class Policy(DenoisingModel):
    """Backbone, state encoder and denoising head. Inside, actions are normalised and padded to 32 dimensions:
    `target` converts a robot's actions to these, `actions` converts back.

    With `mask` supervision the padded dimensions are zero in the network's input and output, so that
    untrained outputs never feed back over several steps.

    Args:
        spec: what the policy is made of.
        normalisation: scaling of states and actions.

    Attributes:
        backbone: vision and language, which have a learning rate of their own; everything else is the head.
        tokeniser: turns prompts into tokens, of length 0 for a policy without language.

    Raises:
        UsageError: the normalisation does not fit the interface, or a package or published file that backbone
            or tokeniser need is missing.
    """

    supervised: Tensor

    def __init__(self, spec: PolicySpec, normalisation: Normalisation) -> None:
        super().__init__()
        normalisation.check_fits(spec.interface)
        self.spec, self.normalisation = spec, normalisation
        self.tokeniser = make_tokeniser(
            spec.tokeniser if spec.language else "hashed", spec.vocabulary, spec.prompt_length
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
        self.denoiser = (
            MLPDenoiser(spec.horizon, ACTION_WIDTH, head, spec.action_dims)
            if isinstance(head, MLPSize)
            else Denoiser(spec.horizon, ACTION_WIDTH, head, spec.attention)
        )
        self.normalise_state, self.normalise_action = map(
            Normaliser, (normalisation.state, normalisation.action)
        )
        supervised = (torch.arange(ACTION_WIDTH) < spec.action_dims).float()
        self.register_buffer("supervised", supervised, persistent=False)

    def encode(self, observation: PolicyInput) -> Reading:
        """The condition: all that can be computed from the observation once, for all denoising steps."""
        tokens: list[Tensor] = []
        if self.project is not None:
            tokens.append(self.project(self.backbone(observation.images, observation.tokens)))
        if self.read_state is not None:
            tokens.append(self.read_state(self.normalise_state(observation.state))[:, None])
        return self.denoiser.read(torch.cat(tokens, dim=1))

    def forward(
        self,
        x: Float[Tensor, "batch horizon 32"],
        t: Float[Tensor, "batch *horizon"],
        condition: Reading,
        r: Float[Tensor, "batch *horizon"] | None = None,
    ) -> Float[Tensor, "batch horizon 32"]:
        """One model call: the prediction at time `t` (1 is data), or for the jump from `t` to `r`. Times are
        those of the whole chunk, or of each of its actions."""
        answer = self.denoiser(x * self.supervised, t, condition, r)
        return answer.to(x.dtype) * self.supervised

    def target(
        self, actions: Float[Tensor, "batch horizon action"], state: Float[Tensor, "batch state"]
    ) -> Float[Tensor, "batch horizon 32"]:
        """A robot's actions, relative to the state where the policy's are, normalised and padded: what the
        network learns to generate.

        Args:
            actions: chunks, in the robot's units.
            state: the state at the chunks' start.
        """
        relative = actions - self._anchor(state)
        return pad(self.normalise_action(relative), (0, ACTION_WIDTH - actions.shape[-1]))

    def actions(
        self, x: Float[Tensor, "*draws batch horizon 32"], state: Float[Tensor, "batch state"]
    ) -> Float[Tensor, "*draws batch horizon action"]:
        """The inverse of `target`: the network's actions in the robot's units, absolute, not clipped."""
        own = self.normalise_action.inverse(x[..., : self.spec.interface.action_dim])
        return own + self._anchor(state)

    def _anchor(self, state: Float[Tensor, "batch state"]) -> Float[Tensor, "batch 1 action"]:
        """What is added to the network's actions: the state in relative dimensions, else 0."""
        anchor = state.new_zeros(len(state), 1, self.spec.interface.action_dim)
        for number in self.spec.relative:
            anchor[:, 0, number] = state[:, number]
        return anchor

    def weight(self, is_pad: Bool[Tensor, "batch horizon"]) -> Float[Tensor, "batch horizon 32"]:
        """Weights of the loss: 1 for supervised dimensions of actions within their episode, else 0; see
        `Chunks.is_pad`."""
        return (~is_pad)[..., None] * self.supervised

    def prepare(self, observations: Sequence[Observation]) -> PolicyInput:
        """The network's input for a batch of observations, on its device.

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
        name = self.spec.interface.found(camera, observation.images)
        assert name is not None  # checked by `_check`
        pixels = torch.from_numpy(np.ascontiguousarray(observation.images[name]))
        return resized(pixels.permute(2, 0, 1)[None], self.spec.image_size)

    def _check(self, observation: Observation) -> None:
        interface = self.spec.interface
        for camera in interface.cameras:
            if interface.found(camera, observation.images) is None:
                raise UsageError(
                    f"the observation has no camera {camera}, which the policy uses; it has "
                    f"{', '.join(observation.images) or 'none'}."
                )
        if len(observation.state) != interface.state_dim:
            raise UsageError(
                f"the observation's state has {len(observation.state)} numbers, the policy was made for "
                f"{interface.state_dim}."
            )
