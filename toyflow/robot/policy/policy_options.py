"""The options of a policy: the command line, presets and records are derived from them. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from toyflow.networks.attention_kinds import ATTENTION_KINDS, AttentionKind
from toyflow.optionset import OptionSet, choice, number, switch, text
from toyflow.robot.data.normalisation_kinds import NORMALISATION_KINDS, NormalisationKind

ALL_CAMERAS, NO_CAMERAS = "all", "none"
LONGEST_HORIZON = 100
SizeName = Literal["nano", "tiny", "full"]
SIZE_NAMES: tuple[SizeName, ...] = get_args(SizeName)
Supervision = Literal["mask", "full"]
SUPERVISIONS: tuple[Supervision, ...] = get_args(Supervision)


@dataclass(frozen=True)
class PolicyOptions(OptionSet):
    """What a user chooses of a policy; with a data set it comes to a `PolicySpec`.

    >>> PolicyOptions(horizon=20, language=False).record()["language"]
    'off'
    """

    size: SizeName = choice(*SIZE_NAMES)
    horizon: int = number(10, low=1, high=LONGEST_HORIZON)
    attention: AttentionKind = choice(*ATTENTION_KINDS, default="joint")
    supervision: Supervision = choice(*SUPERVISIONS)
    cameras: str = text(ALL_CAMERAS, "names joined by +, or none")
    language: bool = switch(True)
    state: bool = switch(True)
    normalisation: NormalisationKind = choice(*NORMALISATION_KINDS)
    image_size: int = number(0, low=0, high=1024)
    pretrained: bool = switch(False)
    fps: float = number(0.0, low=0, high=1000)
