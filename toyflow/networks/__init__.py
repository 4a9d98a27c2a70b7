"""Network parts that the toy and the robot share."""

from toyflow.networks.denoiser import Attention, Denoiser, DenoiserSize

__all__ = ["Attention", "Denoiser", "DenoiserSize"]
