"""GR00T N1.7, of LeRobot 0.6, of a few layers with random weights, made from configurations alone."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from robot.lerobot_policies import save

CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %} {{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
"""What Qwen's template does with a question about pictures, in short."""
BLOCKS = {"num_attention_heads": 2, "attention_head_dim": 8, "dropout": 0.0, "num_layers": 2}
SIZES: dict[str, Any] = {
    "hidden_size": 16, "input_embedding_dim": 16, "backbone_embedding_dim": 32, "action_horizon": 8,
    "max_state_dim": 8, "max_action_dim": 8, "select_layer": 2, "state_dropout_prob": 0.0, "max_seq_len": 64,
    "max_num_embodiments": 32, "model_dtype": "float32", "dtype": "float32",
    "vl_self_attention_cfg": {**BLOCKS, "num_layers": 1, "attention_head_dim": 16},
    "diffusion_model_cfg": {
        **BLOCKS, "output_dim": 16, "norm_type": "ada_norm", "interleave_self_attention": True,
    },
}  # fmt: skip
"""Of a GR00TN17Config."""


def save_groot(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Such a policy in LeRobot's files, for `points`."""
    model, processor = (
        import_module(f"lerobot.policies.groot.{name}") for name in ("groot_n1_7", "processor_groot")
    )
    backbone = str(_save_qwen(folder / "qwen"))
    torch.manual_seed(0)
    config = model.GR00TN17Config(model_name=backbone, **SIZES)
    model.GR00TN17(config, load_backbone_weights=False).save_pretrained(folder / "base")
    patch.setattr(processor, "GROOT_N1_7_BACKBONE_MODEL", backbone)
    return save(
        folder / "policy", "groot", base_model_path=str(folder / "base"), chunk_size=6, n_action_steps=6,
        max_state_dim=8, max_action_dim=8, use_bf16=False,
    )  # fmt: skip


def _save_qwen(folder: Path) -> Path:
    """Configuration, tokeniser and processors of a small Qwen3-VL."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3VLConfig
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    special = ["<pad>", "<unk>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    words = {word: place for place, word in enumerate([*special, "go", "to", "goal", "0", "1", "2"])}
    text = {
        "vocab_size": 32, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        "rope_scaling": {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True},
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    tokens: Any = {
        "image_token_id": words["<|image_pad|>"], "video_token_id": words["<|video_pad|>"],
        "vision_start_token_id": words["<|vision_start|>"], "vision_end_token_id": words["<|vision_end|>"],
    }  # fmt: skip
    Qwen3VLConfig(text_config=text, vision_config=vision, **tokens).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", chat_template=CHAT,
        additional_special_tokens=special[2:],
    ).save_pretrained(folder)  # fmt: skip
    Qwen2VLImageProcessor(patch_size=16, merge_size=2).save_pretrained(folder)
    videos: Any = Qwen3VLVideoProcessor
    videos().save_pretrained(folder)
    return folder
