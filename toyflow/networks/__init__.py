"""Network parts that the toy and the robot share.

The names below are imported when they are first used, so that options can name a network without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toyflow.networks.denoiser import Attention, Denoiser, DenoiserSize
    from toyflow.networks.denoising_model import DenoisingModel
    from toyflow.networks.mlp_denoiser import MLPDenoiser, MLPSize
    from toyflow.networks.vector import VectorModel

__all__ = ["Attention", "Denoiser", "DenoiserSize", "DenoisingModel", "MLPDenoiser", "MLPSize", "VectorModel"]

_ELSEWHERE = {
    "DenoisingModel": "denoising_model",
    "MLPDenoiser": "mlp_denoiser",
    "MLPSize": "mlp_denoiser",
    "VectorModel": "vector",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'toyflow.networks' has no attribute {name!r}")
    return getattr(import_module(f"toyflow.networks.{_ELSEWHERE.get(name, 'denoiser')}"), name)
