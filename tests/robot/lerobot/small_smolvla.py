"""A SmolVLA of a few layers with random weights, made from configurations alone."""

from pathlib import Path
from typing import Any


def word_tokeniser() -> Any:
    """A tokeniser of transformers that knows a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<unk>", "<s>", "</s>", "<fake_token_around_image>", "<image>", "<global-img>"]
    spoken = ["go", "to", "goal", "0", "1", "2", "pick", "up", "the", "\n"]
    vocabulary = [*special, "<end_of_utterance>", *spoken]
    words = {word: place for place, word in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        extra_special_tokens={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )  # fmt: skip


def save_vlm(folder: Path) -> Path:
    """Configuration and processor of a small SmolVLM; nothing is downloaded."""
    from transformers import SmolVLMConfig, SmolVLMImageProcessor, SmolVLMProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    config = SmolVLMConfig(
        text_config={
            "model_type": "llama", "vocab_size": 64, "hidden_size": 64, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        },
        vision_config={
            "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 16,
        },
        scale_factor=2,
    )  # fmt: skip
    config.save_pretrained(folder)
    images = SmolVLMImageProcessor()
    videos: Any = SmolVLMVideoProcessor
    processor = SmolVLMProcessor(images, word_tokeniser(), video_processor=videos())
    processor.save_pretrained(folder)
    return folder


def options(vlm: Path) -> dict:
    """What makes a SmolVLAConfig small."""
    return {
        "vlm_model_name": str(vlm), "num_vlm_layers": 2, "chunk_size": 6, "n_action_steps": 6,
        "resize_imgs_with_padding": (64, 64), "expert_width_multiplier": 1.0, "tokenizer_max_length": 12,
        "pad_language_to": "max_length",
    }  # fmt: skip
