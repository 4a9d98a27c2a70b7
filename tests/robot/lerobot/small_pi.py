"""pi0 and pi05 of a few layers with random weights. Their own tokeniser is on the hub; here it is one of a
few words."""

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from packaging.version import Version
from robot.lerobot.small_smolvla import word_tokeniser
from robot.lerobot_policies import features, save

LEROBOT = Version(version("lerobot"))
"""The version that is installed."""
needs_modern = pytest.mark.skipif(
    Version("0.6") > LEROBOT, reason="LeRobot 0.4 wants a patched transformers for pi0 and pi05"
)
FLOW_KINDS = ("smolvla", pytest.param("pi0", marks=needs_modern), pytest.param("pi05", marks=needs_modern))
"""LeRobot's types that tests have whole."""
OPTIONS = {
    "chunk_size": 6, "n_action_steps": 6, "image_resolution": (56, 56), "dtype": "float32",
    "compile_model": False,
}  # fmt: skip


def small_pi(kind: str, patch: pytest.MonkeyPatch) -> Any:
    """A policy of type `pi0` or `pi05` for one camera of 56 pixels, states of 4 numbers, actions of 2."""
    from lerobot.policies.factory import get_policy_class, make_policy_config

    shrink(kind, patch)
    torch.manual_seed(0)
    config = make_policy_config(kind, **features(56), device="cpu", push_to_hub=False, **OPTIONS)
    return get_policy_class(kind)(config)


def save_pi(folder: Path, kind: str, patch: pytest.MonkeyPatch) -> Path:
    """Such a policy in LeRobot's files, for `points`; it can be loaded as long as `patch` holds."""
    shrink(kind, patch)
    return save(folder, kind, **OPTIONS)


def install(folder: Path) -> Path:
    """A plug-in that shrinks them in every process that has `folder` on its path and loads a policy."""
    info = folder / "lerobot_policy_small_pi-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lerobot_policy_small_pi\nVersion: 1\n")
    (folder / "lerobot_policy_small_pi.py").write_text(
        "import pytest\n"
        "from robot.lerobot.small_pi import shrink\n"
        "for kind in ('pi0', 'pi05'):\n"
        "    shrink(kind, pytest.MonkeyPatch())\n"
    )
    return folder


def shrink(kind: str, patch: pytest.MonkeyPatch) -> None:
    """Let LeRobot build policies of type `pi0` or `pi05` small, with a tokeniser of a few words."""
    from lerobot.processor import tokenizer_processor

    module: Any = import_module(f"lerobot.policies.{kind}.modeling_{kind}")
    size = module.GemmaConfig(width=32, depth=2, mlp_dim=32, num_heads=8, num_kv_heads=1, head_dim=16)
    name = "PaliGemmaForConditionalGenerationWithPiGemma"
    vision_and_language, expert = getattr(module, name), module.PiGemmaForCausalLM
    patch.setattr(module, "get_gemma_config", lambda variant: size)
    patch.setattr(module, name, lambda config: vision_and_language(_shrunk(config)))
    patch.setattr(module, "PiGemmaForCausalLM", lambda config: expert(_few_words(config)))
    hub = SimpleNamespace(from_pretrained=lambda name: word_tokeniser())
    patch.setattr(tokenizer_processor, "AutoTokenizer", hub)


def _shrunk(config: Any) -> Any:
    _few_words(config.text_config)
    small = {
        "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "projection_dim": config.text_config.hidden_size,
    }  # fmt: skip
    for name, value in small.items():
        setattr(config.vision_config, name, value)
    return config


def _few_words(config: Any) -> Any:
    config.vocab_size = 64
    return config
