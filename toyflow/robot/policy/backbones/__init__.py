"""Backbones: vision and language networks of policies, one file each."""

from toyflow.robot.policy.backbones.backbone import Backbone
from toyflow.robot.policy.backbones.nano import NanoBackbone
from toyflow.robot.policy.backbones.siglip_gemma import SiglipGemma
from toyflow.robot.policy.spec import PolicySpec

__all__ = ["Backbone", "make_backbone"]


def make_backbone(spec: PolicySpec) -> Backbone:
    """The vision and language network of a policy that has a camera or reads its prompt."""
    return NanoBackbone(spec) if spec.size == "nano" else SiglipGemma(spec)
