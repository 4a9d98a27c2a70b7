"""Vision and language networks of policies, one file for each kind."""

from toyflow.robot.policy.backbones.backbone import Backbone
from toyflow.robot.policy.spec import PolicySpec

__all__ = ["Backbone", "make_backbone"]


def make_backbone(spec: PolicySpec) -> Backbone:
    """The vision and language network of a policy that has a camera or reads its prompt."""
    if spec.size == "nano":
        from toyflow.robot.policy.backbones.nano import NanoBackbone

        return NanoBackbone(spec)
    from toyflow.robot.policy.backbones.siglip_gemma import SiglipGemma

    return SiglipGemma(spec)
