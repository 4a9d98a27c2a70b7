"""The large backbones: counted on the meta device, run at a toy's size."""

from dataclasses import replace
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

from transformers import (
    GemmaConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.data.normalisation import Normalisation, Scaling
from toyflow.robot.interface import Interface
from toyflow.robot.policy.backbones.siglip_gemma import SiglipGemma
from toyflow.robot.policy.language import PADDING
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec

CAMERAS = ("front", "wrist")
INTERFACE = Interface(CAMERAS, state_dim=8, action_dim=7, fps=20)
VISION: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "vision_use_head": False,
}
TEXT: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


@pytest.mark.parametrize(
    ("size", "backbone", "head", "total"),
    [
        ("nano", 0.663e6, 1.475e6, 2.138e6),
        ("tiny", 209.13e6, 30.04e6, 239.18e6),
        ("full", 1381.87e6, 31.22e6, 1413.09e6),
    ],
)
def test_parameter_counts(size, backbone, head, total):
    """The study: 210M + 30M and 1.4B + 30M, the head's blocks 28.35M."""
    normalisation = Normalisation(
        "mean-std", Scaling((0.0,) * 8, (1.0,) * 8), Scaling((0.0,) * 7, (1.0,) * 7)
    )
    with torch.device("meta"):
        policy = Policy(PolicySpec(size, INTERFACE), normalisation)
    assert all(p.is_meta for p in policy.parameters())
    counts = policy.parameter_counts()
    assert counts == pytest.approx({"backbone": backbone, "head": head, "total": total}, rel=1e-3)
    if size != "nano":
        blocks = sum(p.numel() for p in policy.denoiser.blocks.parameters())
        assert blocks == pytest.approx(28.35e6, rel=1e-3)


@pytest.fixture
def small():
    return PolicySpec("tiny", INTERFACE)


def made(spec: PolicySpec, **published: str) -> SiglipGemma:
    """A backbone that is smaller than any size."""
    vision = SiglipVisionConfig(**VISION, num_hidden_layers=2, attn_implementation="sdpa")
    gemma = GemmaConfig(**TEXT, num_hidden_layers=2, attn_implementation="sdpa")
    torch.manual_seed(0)
    return SiglipGemma(spec, shapes=(vision, gemma), **published).eval()


def inputs(batch: int = 2) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    torch.manual_seed(1)
    images = {camera: torch.randint(256, (batch, 3, 28, 28), dtype=torch.uint8) for camera in CAMERAS}
    tokens = torch.randint(3, 100, (batch, 6))
    tokens[0, 4:] = PADDING
    return images, tokens


@torch.no_grad()
def test_all_see_all_but_padding(small):
    backbone = made(small)
    images, tokens = inputs()
    seen = backbone(images, tokens)
    assert seen.shape == (2, 2 * 4 + 6, 32)
    assert not seen[0, -2:].any() and seen[1].all()
    last_word = tokens.clone()
    last_word[1, -1] = 7 if tokens[1, -1] != 7 else 8
    changed = backbone(images, last_word)
    assert not torch.allclose(changed[1, 0], seen[1, 0]), "an image's first patch sees the prompt's last word"
    assert torch.equal(changed[0], seen[0])
    longer = backbone(images, torch.nn.functional.pad(tokens, (0, 3)))
    torch.testing.assert_close(longer[:, :14], seen, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_samples_and_cameras_keep_apart_before_they_are_fused(small):
    backbone = made(small)
    images, tokens = inputs()
    alone = [backbone({c: i[n : n + 1] for c, i in images.items()}, tokens[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(torch.cat(alone), backbone(images, tokens), atol=1e-5, rtol=1e-4)
    swapped = {"front": images["wrist"], "wrist": images["front"]}
    looked = backbone._look(images).chunk(2, dim=1)
    torch.testing.assert_close(backbone._look(swapped).chunk(2, dim=1), looked[::-1])


@pytest.mark.parametrize(
    "change",
    [
        {"language": False},
        {"interface": replace(INTERFACE, cameras=())},
        {"interface": replace(INTERFACE, cameras=("wrist",))},
    ],
)
def test_conditions_that_are_off_leave_no_parameters_behind(small, change):
    backbone = made(replace(small, **change))
    images, tokens = inputs()
    if not backbone.reads:
        tokens = tokens[:, :0]
    seen = backbone(images, tokens)
    assert seen.shape[1] == 4 * len(backbone.cameras) + tokens.shape[1] and seen.isfinite().all()
    seen.square().mean().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


def test_autocast_to_bfloat16(small):
    backbone = made(small)
    exact = backbone(*inputs())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(backbone(*inputs()).float(), exact, atol=0.1, rtol=0.1)


def test_published_weights_of_siglip_are_cut_to_the_first_layers(small, tmp_path):
    whole = SiglipVisionModel(SiglipVisionConfig(**{**VISION, "vision_use_head": True}, num_hidden_layers=3))
    whole.save_pretrained(tmp_path)
    backbone = made(replace(small, pretrained=True), siglip=str(tmp_path))
    published = whole.state_dict()
    assert backbone.vision is not None
    for name, weight in backbone.vision.state_dict().items():
        assert torch.equal(weight, published[name])
    assert len(backbone.vision.vision_model.encoder.layers) == 2


def test_published_weights_of_paligemma_are_cut_to_the_first_layers(small, tmp_path):
    config = PaliGemmaConfig(
        vision_config={**VISION, "num_hidden_layers": 2, "model_type": "siglip_vision_model"},
        text_config={**TEXT, "num_hidden_layers": 3, "model_type": "gemma"},
        projection_dim=32,
        image_token_index=99,
    )
    whole = PaliGemmaForConditionalGeneration(config)
    whole.save_pretrained(tmp_path)
    spec = replace(small, size="full", pretrained=True, tokeniser="paligemma")
    backbone = made(spec, paligemma=str(tmp_path))
    published = {name.removeprefix("model."): weight for name, weight in whole.state_dict().items()}
    parts = {
        "vision_tower": backbone.vision,
        "multi_modal_projector.linear": backbone.projector,
        "language_model": backbone.gemma,
    }
    for place, part in parts.items():
        for name, weight in part.state_dict().items():
            assert torch.equal(weight, published[f"{place}.{name}"])
    assert len(backbone.gemma.layers) == 2
    assert backbone(*inputs()).isfinite().all()


def test_what_is_not_published_is_an_error_not_a_random_weight(small, tmp_path):
    SiglipVisionModel(SiglipVisionConfig(**VISION, num_hidden_layers=1)).save_pretrained(tmp_path)
    with pytest.raises(ToyflowError, match="lacks 16 weights of the policy's backbone"):
        made(replace(small, pretrained=True), siglip=str(tmp_path))
    with pytest.raises(UsageError, match=r"the weights of .*nowhere cannot be loaded") as caught:
        made(replace(small, pretrained=True), siglip=str(tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)


def test_the_same_prefix_as_paligemma_itself(small):
    """Against transformers' own PaliGemma: mask, scale of words and of patches. Its prefix is bidirectional
    too."""
    config = PaliGemmaConfig(
        vision_config={**VISION, "num_hidden_layers": 2, "model_type": "siglip_vision_model"},
        text_config={**TEXT, "num_hidden_layers": 2, "model_type": "gemma"},
        projection_dim=32,
        image_token_index=99,
    )
    torch.manual_seed(0)
    whole = PaliGemmaForConditionalGeneration(config).eval().model
    backbone = made(replace(small, interface=replace(INTERFACE, cameras=("front",))))
    assert backbone.vision is not None and backbone.projector is not None
    backbone.vision.load_state_dict(whole.vision_tower.state_dict())
    backbone.projector.load_state_dict(whole.multi_modal_projector.linear.state_dict())
    backbone.gemma.load_state_dict(whole.language_model.state_dict())
    images, tokens = inputs()
    tokens = tokens.clamp(max=98)
    with torch.no_grad():
        ours = backbone(images, tokens)
        ids = torch.cat([torch.full((2, 4), 99), tokens], dim=1)
        theirs = whole(
            input_ids=ids, pixel_values=images["front"] / 127.5 - 1, attention_mask=(ids != PADDING).long()
        ).last_hidden_state
    torch.testing.assert_close(ours, theirs * (ids != PADDING)[..., None], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_checkpoint_answers_alike_with_every_transformers(small):
    """Version 5 moved the factor of Gemma's words from its input into their embedding. The numbers below are
    those of 4.57, for weights by a formula."""
    backbone = made(small)
    for number, (_, weight) in enumerate(sorted(backbone.state_dict().items())):
        places = torch.arange(weight.numel(), dtype=torch.float64)
        weight.copy_(0.2 * torch.sin(1.7 * places + number).reshape(weight.shape))
    pixels = torch.arange(2 * 3 * 28 * 28).reshape(2, 3, 28, 28)
    images = {
        camera: (pixels * factor % 256).to(torch.uint8) for camera, factor in (("front", 7), ("wrist", 8))
    }
    seen = backbone(images, torch.tensor([[5, 17, 42, PADDING], [8, 99, 3, 61]]))
    expected = [
        [[-0.3933, 1.3924, -0.8451], [-0.3939, 1.4262, -0.8604], [-0.3024, 1.4064, -0.9518], [0, 0, 0]],
        [
            [-0.2609, 1.5624, -1.0830],
            [-0.2554, 1.5563, -1.0771],
            [-0.2710, 1.5753, -1.0902],
            [0.1422, 1.2354, -1.0626],
        ],
    ]
    torch.testing.assert_close(seen[:, [0, 3, 5, -1], :3], torch.tensor(expected), atol=1e-4, rtol=0)
