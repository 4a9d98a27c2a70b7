"""The options of a policy, as the command line, presets and records have them."""

from __future__ import annotations

from dataclasses import dataclass

from toyflow.networks.denoiser import AttentionKind
from toyflow.optionset import OptionSet, choice, number, switch, text
from toyflow.robot.data.normalisation import NORMALISATION_KINDS
from toyflow.robot.policy.spec import LONGEST_HORIZON, SIZES, SUPERVISIONS, Supervision

ALL_CAMERAS, NO_CAMERAS = "all", "none"


@dataclass(frozen=True)
class PolicyOptions(OptionSet):
    """What a user chooses of a policy; with a data set it comes to a `PolicySpec`.

    >>> PolicyOptions(horizon=20, language=False).record()["language"]
    'off'
    """

    size: str = choice(*SIZES)
    horizon: int = number(10, low=1, high=LONGEST_HORIZON)
    attention: AttentionKind = choice("joint", "cross", "full")
    supervision: Supervision = choice(*SUPERVISIONS)
    cameras: str = text(ALL_CAMERAS, "names joined by +, or none")
    language: bool = switch(True)
    state: bool = switch(True)
    normalisation: str = choice(*NORMALISATION_KINDS)
    image_size: int = number(0, low=0, high=1024)
    pretrained: bool = switch(False)
    fps: float = number(0.0, low=0, high=1000)
