"""Network parts that the toy and the robot share."""

from toyflow.networks.denoiser import Attention, Denoiser, DenoiserSize, DenoisingModel
from toyflow.networks.vector import VectorModel

__all__ = ["Attention", "Denoiser", "DenoiserSize", "DenoisingModel", "VectorModel"]
