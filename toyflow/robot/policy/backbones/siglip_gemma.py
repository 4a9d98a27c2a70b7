"""SigLIP and the first layers of Gemma: images and prompt as one prefix with full attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from toyflow.errors import ToyflowError
from toyflow.robot.data.hub import PALIGEMMA, SIGLIP, check_transformers, from_hub
from toyflow.robot.policy.backbones.backbone import Backbone
from toyflow.robot.policy.language import PADDING
from toyflow.robot.policy.spec import PolicySpec

if TYPE_CHECKING:  # heavy and optional
    from transformers import GemmaConfig, GemmaModel, SiglipVisionConfig, SiglipVisionModel


@dataclass(frozen=True)
class VlmSize:
    """Layers of SigLIP So400m, and Gemma's shape; keys and values have one head, as in Gemma-2b."""

    vision_layers: int
    layers: int
    width: int
    heads: int
    head_dim: int
    mlp: int


VLM_SIZES = {
    "tiny": VlmSize(vision_layers=4, layers=4, width=512, heads=8, head_dim=64, mlp=2048),
    "full": VlmSize(vision_layers=27, layers=4, width=2048, heads=8, head_dim=256, mlp=16384),
}
"""{policy size: size of its backbone}."""


class SiglipGemma(Backbone):
    """PaliGemma with fewer layers. Each camera's patches go through SigLIP, then together with the prompt's
    tokens through Gemma, where all tokens attend to all but padding. The output is zero at padding.

    Weights are random, or published ones if the spec says `pretrained`: for `full` PaliGemma's first layers,
    for `tiny` SigLIP's first layers and a random Gemma.

    A checkpoint answers alike with every transformers that toyflow takes.

    Args:
        spec: size, cameras, prompt, and whether weights are published ones.
        paligemma, siglip: where published weights are; a name on the hub, or a folder.
        shapes: of SigLIP and Gemma; None for those of the spec's size.

    Attributes:
        gemma_scales: whether Gemma multiplies all its input by the root of its width, which is meant for
            words, as in transformers 4. In 5 the embedding of words does, and patches stay as they are.

    Raises:
        UsageError: transformers is not installed, or published weights cannot be downloaded.
    """

    def __init__(
        self,
        spec: PolicySpec,
        paligemma: str = PALIGEMMA,
        siglip: str = SIGLIP,
        shapes: tuple[SiglipVisionConfig, GemmaConfig] | None = None,
    ) -> None:
        super().__init__()
        check_transformers(f"size {spec.size}")
        from transformers import GemmaModel, SiglipVisionModel  # heavy and optional

        vision, gemma = shapes or _shapes(spec)
        self.width, self.cameras, self.reads = gemma.hidden_size, spec.interface.cameras, spec.language
        if spec.pretrained and spec.size == "full":
            self.vision, self.projector, self.gemma = _published_paligemma(paligemma, vision, gemma)
        else:
            self.vision = (
                _whole(SiglipVisionModel, siglip, vision)
                if spec.pretrained and self.cameras
                else SiglipVisionModel(vision)
            )
            self.projector = nn.Linear(vision.hidden_size, gemma.hidden_size)
            self.gemma = GemmaModel(gemma)
        self.gemma_scales = not hasattr(self.gemma.embed_tokens, "embed_scale")
        if not self.cameras:
            self.vision = self.projector = None
        if not self.reads:
            self.gemma.embed_tokens = None  # pyright: ignore[reportAttributeAccessIssue]

    def forward(
        self,
        images: Mapping[str, UInt8[Tensor, "batch 3 side side"]],
        tokens: Int64[Tensor, "batch length"],
    ) -> Float[Tensor, "batch tokens {self.width}"]:
        """See `Backbone`: the last layer's tokens, each camera's patches in turn, then the prompt's."""
        prefix, present = [], []
        if self.cameras:
            prefix.append(self._look(images))
            present.append(torch.ones(prefix[0].shape[:2], dtype=torch.bool, device=tokens.device))
        if self.reads:
            prefix.append(self.gemma.embed_tokens(tokens))
            present.append(tokens != PADDING)
        seen = torch.cat(present, dim=1)
        hidden = self.gemma(
            inputs_embeds=torch.cat(prefix, dim=1), attention_mask=_prefix_mask(seen), use_cache=False
        ).last_hidden_state
        return hidden * seen[..., None]

    def _look(
        self, images: Mapping[str, UInt8[Tensor, "batch 3 side side"]]
    ) -> Float[Tensor, "batch patches {self.width}"]:
        assert self.vision is not None and self.projector is not None
        pixels = torch.cat([images[camera] for camera in self.cameras]).float() / 127.5 - 1
        patches = self.projector(self.vision(pixel_values=pixels).last_hidden_state)
        if self.gemma_scales:
            patches = patches / self.width**0.5
        return torch.cat(patches.chunk(len(self.cameras)), dim=1)


def _prefix_mask(seen: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch 1 tokens tokens"]:
    """Attention mask: all attend to all but padding; padding also to itself, as no row may be empty."""
    itself = torch.eye(seen.shape[1], dtype=torch.bool, device=seen.device)
    return (seen[:, None] | itself)[:, None]


def _shapes(spec: PolicySpec) -> tuple[SiglipVisionConfig, GemmaConfig]:
    size = VLM_SIZES[spec.size]
    return _vision_config(size, spec.image_size), _gemma_config(size, spec.vocabulary)


def _vision_config(size: VlmSize, side: int) -> SiglipVisionConfig:
    from transformers import SiglipVisionConfig  # heavy and optional

    return SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=16,
        image_size=side,
        patch_size=14,
        vision_use_head=False,
        attn_implementation="sdpa",
    )


def _gemma_config(size: VlmSize, vocabulary: int) -> GemmaConfig:
    from transformers import GemmaConfig  # heavy and optional

    return GemmaConfig(
        vocab_size=vocabulary,
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=1,
        head_dim=size.head_dim,
        attn_implementation="sdpa",
    )


def _published_paligemma(
    repo: str, vision: SiglipVisionConfig, gemma: GemmaConfig
) -> tuple[SiglipVisionModel, nn.Linear, GemmaModel]:
    from transformers import PaliGemmaConfig, PaliGemmaModel  # heavy and optional

    config = PaliGemmaConfig(
        vision_config=vision.to_dict(),
        text_config=gemma.to_dict(),
        projection_dim=gemma.hidden_size,
        image_token_index=gemma.vocab_size - 1,
        attn_implementation="sdpa",
    )
    model = _whole(PaliGemmaModel, repo, config)
    return model.vision_tower, model.multi_modal_projector.linear, model.language_model


def _whole(model: Any, repo: str, config: Any) -> Any:
    """The published model, with the layers that `config` has. Raises ToyflowError where a weight is
    missing."""
    from transformers.utils import logging  # heavy and optional

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # else it lists the layers that are left out
    try:
        loaded, report = from_hub(
            model.from_pretrained,
            repo,
            "the weights",
            "leave out `pretrained`",
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
        )
    finally:
        logging.set_verbosity(verbosity)
    lacking = [*report["missing_keys"], *report["mismatched_keys"]]
    if lacking:
        raise ToyflowError(f"{repo} lacks {len(lacking)} weights of the policy's backbone: {lacking[0]}.")
    return loaded
