"""The options of a policy, which flags of `robot-train`, presets and records take over. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from toyflow.networks.attention_kinds import ATTENTION_KINDS, AttentionKind
from toyflow.optionset import OptionSet, choice, number, switch, text
from toyflow.robot.data.action_kinds import ACTION_KINDS, STAY_ABSOLUTE, ActionKind
from toyflow.robot.data.normalisation_kinds import NORMALISATION_KINDS, NormalisationKind

ALL_CAMERAS, NO_CAMERAS = "all", "none"
SizeName = Literal["nano", "mlp", "tiny", "full"]
SIZE_NAMES: tuple[SizeName, ...] = get_args(SizeName)
Supervision = Literal["mask", "full"]


@dataclass(frozen=True)
class PolicyOptions(OptionSet):
    """What a user chooses of a policy. `build_policy` makes a `PolicySpec` of it and a data set.

    Attributes:
        size: nano, mlp (which reads the state alone), tiny or full; see `SIZES`.
        horizon: actions of one chunk.
        attention: how the head reads the condition: see `toyflow.networks.denoiser`.
        supervision: which of the network's 32 action dimensions are trained; see `PolicySpec`.
        cameras: names joined by +, `all` or `none`.
        language, state: whether the policy sees the prompt, the robot's state.
        normalisation: mean-std or quantile; see `Normalisation`.
        image_size: side in pixels; 0 is the size's own.
        pretrained: whether the backbone starts from published weights.
        fps: actions per second at which the data were really recorded; 0 is what the data set says.
        delay_max: most first actions of a chunk that the policy learns to continue from, for real-time
            chunking; see `FlowMatching`. 0 is plain training.
        actions: whether the policy says actions as they are in the data, or relative to the state at the
            chunk's start; see `relative_actions`.
        relative_except: which numbers stay absolute then; see `relative_numbers`. Without relative actions it
            is at its default.

    Raises:
        UsageError: a value outside of its range.

    >>> PolicyOptions.parse({"horizon": "20", "language": "off"}).horizon
    20
    >>> PolicyOptions(horizon=20, language=False).record()["language"]
    'off'
    >>> PolicyOptions(horizon=0)
    Traceback (most recent call last):
    toyflow.errors.UsageError: horizon must be a whole number from 1 to 100, got 0.
    """

    size: SizeName = choice(*SIZE_NAMES)
    horizon: int = number(10, low=1, high=100)
    attention: AttentionKind = choice(*ATTENTION_KINDS, default="joint")
    supervision: Supervision = choice(*get_args(Supervision))
    cameras: str = text(ALL_CAMERAS, "names joined by +, or none")
    language: bool = switch(True)
    state: bool = switch(True)
    normalisation: NormalisationKind = choice(*NORMALISATION_KINDS)
    image_size: int = number(0, low=0, high=1024)
    pretrained: bool = switch(False)
    fps: float = number(0.0, low=0, high=1000)
    delay_max: int = number(0, low=0, high=99, added=True)
    actions: ActionKind = choice(*ACTION_KINDS, added=True)
    relative_except: str = text(STAY_ABSOLUTE, "parts of names joined by +, or none", added=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.actions == "absolute":  # so that equal policies have equal records
            object.__setattr__(self, "relative_except", STAY_ABSOLUTE)

    @property
    def stays_absolute(self) -> str | None:
        """`relative_except` where actions are relative; None where all are absolute."""
        return self.relative_except if self.actions == "relative" else None
