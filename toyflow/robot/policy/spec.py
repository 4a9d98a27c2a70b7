"""What a policy is, in one record: its size, what it sees, what it answers. JSON beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from toyflow.errors import UsageError, unknown
from toyflow.networks import DenoiserSize
from toyflow.networks.attention_kinds import ATTENTION_KINDS, AttentionKind
from toyflow.robot.interface import Interface
from toyflow.robot.policy.language import TOKENISERS, TokeniserName
from toyflow.robot.policy.policy_options import (
    LONGEST_HORIZON,
    SUPERVISIONS,
    PolicyOptions,
    Supervision,
)

ACTION_WIDTH = 32
"""Dimensions of the network's actions, as in openpi; a robot's own come first, zeros follow."""


@dataclass(frozen=True)
class PolicySize:
    """What a size's name stands for; the backbone's inside is in `toyflow.robot.policy.backbones`."""

    head: DenoiserSize
    image_size: int
    patch: int
    """The side of an image must be a multiple of it."""
    vocabulary: int
    prompt_length: int


_PAPER_HEAD = DenoiserSize(width=768, depth=4, heads=12)
SIZES: dict[str, PolicySize] = {
    "nano": PolicySize(DenoiserSize(width=192, depth=3, heads=4), 64, 16, 1 << 13, 32),
    "tiny": PolicySize(_PAPER_HEAD, 224, 14, 257_152, 48),
    "full": PolicySize(_PAPER_HEAD, 224, 14, 257_152, 48),
}
"""By name."""


@dataclass(frozen=True)
class PolicySpec:
    """A policy without its weights. Checked when it is made.

    Args:
        interface: cameras that the policy looks through (none is allowed), state, action and rate.
        horizon: actions of one chunk, 1 to 100.
        supervision: `mask` (the study's mask7) trains the robot's own action dimensions and keeps the
            padded ones at zero; `full` (full32) trains all 32, the padded ones towards zero.
        attention: how the head reads the condition; `full`, the study's own, computes it anew every step.
        language, state: whether the prompt and the state are seen.
        image_size: side in pixels of what the vision network sees; 0 is the size's own.
        tokeniser: how the prompt becomes numbers; a trained policy keeps the one it was trained with.
        pretrained: whether the backbone starts from published weights.

    Raises:
        UsageError: a value that is none, or that does not fit the others.
    """

    size: str
    interface: Interface
    horizon: int = PolicyOptions.horizon
    supervision: Supervision = PolicyOptions.supervision
    attention: AttentionKind = PolicyOptions.attention
    language: bool = PolicyOptions.language
    state: bool = PolicyOptions.state
    image_size: int = PolicyOptions.image_size
    tokeniser: TokeniserName = "hashed"
    pretrained: bool = PolicyOptions.pretrained

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise unknown("policy size", self.size, SIZES)
        if self.image_size == 0:
            object.__setattr__(self, "image_size", self.parts.image_size)
        self._check_action()
        self._check_sight()
        self._check_pretrained()

    @property
    def parts(self) -> PolicySize:
        """What the size's name stands for."""
        return SIZES[self.size]

    @property
    def prompt_length(self) -> int:
        """Tokens of a prompt; 0 where it is not seen."""
        return self.parts.prompt_length if self.language else 0

    @property
    def action_dims(self) -> int:
        """Dimensions of the action that are trained."""
        return self.interface.action_dim if self.supervision == "mask" else ACTION_WIDTH

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "interface": self.interface.as_dict()}

    @classmethod
    def from_dict(cls, values: Any) -> PolicySpec:
        """The spec that `as_dict` gave, or what a user wrote; what is left out is at its default. Raises
        UsageError where `values` is none."""
        known = {field.name: field for field in fields(cls)}
        missing = [name for name, field in known.items() if field.default is MISSING]
        if isinstance(values, Mapping):
            missing = [name for name in missing if name not in values]
        if missing:
            raise UsageError(f"the policy's spec has no {' and no '.join(missing)}.")
        for key in values:
            if key not in known:
                raise unknown("key in the policy's spec", str(key), known)
        checked = {key: _checked(key, value) for key, value in values.items() if key != "interface"}
        return cls(**checked, interface=_checked_interface(values["interface"]))

    def _check_action(self) -> None:
        if not 1 <= self.horizon <= LONGEST_HORIZON:
            raise UsageError(f"the policy's horizon is 1 to {LONGEST_HORIZON} actions, not {self.horizon}.")
        if not 1 <= self.interface.action_dim <= ACTION_WIDTH:
            raise UsageError(
                f"a policy has 1 to {ACTION_WIDTH} action dimensions, not {self.interface.action_dim}."
            )

    def _check_sight(self) -> None:
        cameras, patch = self.interface.cameras, self.parts.patch
        if len(set(cameras)) < len(cameras):
            raise UsageError(f"the policy's cameras have different names, not {', '.join(cameras)}.")
        if not cameras and not self.language and not self.state:
            raise UsageError("the policy sees nothing: give it a camera, the prompt or the state.")
        if self.state and self.interface.state_dim < 1:
            raise UsageError("the policy is to see the state, which has no numbers here: switch it off.")
        if self.image_size % patch or not 2 * patch <= self.image_size <= 32 * patch:
            raise UsageError(
                f"size {self.size} takes images of {2 * patch} to {32 * patch} pixels in steps of {patch}, "
                f"not {self.image_size}."
            )

    def _check_pretrained(self) -> None:
        if self.size == "nano" and (self.pretrained or self.tokeniser != "hashed"):
            raise UsageError("size nano has no published weights, and its tokeniser is `hashed`.")
        if self.pretrained and self.image_size != self.parts.image_size:
            raise UsageError(f"the published weights take images of {self.parts.image_size} pixels.")
        if self.pretrained and self.size == "full" and self.language and self.tokeniser != "paligemma":
            raise UsageError("the published weights of size full need the tokeniser `paligemma`.")


_VALUES: dict[str, Any] = {
    "size": tuple(SIZES),
    "horizon": int,
    "supervision": SUPERVISIONS,
    "attention": ATTENTION_KINDS,
    "language": bool,
    "state": bool,
    "image_size": int,
    "tokeniser": TOKENISERS,
    "pretrained": bool,
}
"""What the fields of a spec may be in JSON: a type, or one of several names."""


def _checked(key: str, value: Any) -> Any:
    kind = _VALUES[key]
    if isinstance(kind, tuple) and value not in kind:
        raise unknown(f"policy {key}", str(value), kind)
    if isinstance(kind, type) and type(value) is not kind:
        what = "true or false" if kind is bool else "a whole number"
        raise UsageError(f"the policy's {key.replace('_', ' ')} is {what}, not {value!r}.")
    return value


def _checked_interface(values: Any) -> Interface:
    names = [field.name for field in fields(Interface)]
    if not isinstance(values, Mapping) or set(values) != set(names):
        raise UsageError(f"the policy's interface has {', '.join(names)}, and nothing else.")
    cameras, fps = values["cameras"], values["fps"]
    if not isinstance(cameras, list) or not all(isinstance(camera, str) for camera in cameras):
        raise UsageError(f"the policy's cameras are a list of names, not {cameras!r}.")
    for name in ("state_dim", "action_dim"):
        if type(values[name]) is not int:
            raise UsageError(f"the policy's {name} is a whole number, not {values[name]!r}.")
    if type(fps) not in (int, float) or not fps >= 0:
        raise UsageError(f"the policy's fps is a number, 0 where it is not known, not {fps!r}.")
    return Interface.from_dict(values)
