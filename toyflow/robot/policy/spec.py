"""What a policy is made of, in one record, which is JSON beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from toyflow.errors import UsageError, unknown
from toyflow.networks import MLPSize
from toyflow.networks.attention_kinds import AttentionKind
from toyflow.robot.interface import Interface
from toyflow.robot.policy.language import TOKENISERS, TokeniserName
from toyflow.robot.policy.policy_options import PolicyOptions, Supervision
from toyflow.robot.policy.sizes import ACTION_WIDTH, SIZES, PolicySize

_DEFAULTS = PolicyOptions()
UNPUBLISHED = ("nano", "mlp")
"""Sizes without published weights."""


@dataclass(frozen=True)
class PolicySpec:
    """A policy without its weights. Values are checked when it is made, by the ranges of `PolicyOptions`.

    Args:
        size: nano, mlp, tiny or full; see `SIZES`.
        interface: cameras that the policy uses (none is allowed), state, action and rate.
        horizon: actions of one chunk, 1 to 100.
        supervision: `mask` (mask7 in the paper, arXiv 2606.05737) trains the robot's own action dimensions
            and keeps the padded ones at zero; `full` (full32 there) trains all 32, the padded ones towards
            zero.
        attention: how the head reads the condition; `full`, the paper's own, computes it anew every step.
        language, state: whether the prompt and the state are seen.
        image_size: side in pixels of what the vision network sees; 0 is the size's own, if it has one.
        tokeniser: how the prompt becomes numbers; a trained policy keeps the one it was trained with.
        pretrained: whether the backbone starts from published weights.
        delay_max: most first actions of a chunk that training gave it, see `FlowMatching`; 0 is none.
        relative: the numbers of the action, from 0, that the policy says relative to the same number of the
            state, see `relative_actions`; a plan is absolute all the same.

    Raises:
        UsageError: a value outside of its range, or one that does not fit the others.

    >>> robot = Interface(("front",), state_dim=8, action_dim=7, fps=20)
    >>> spec = PolicySpec("nano", robot, horizon=20)
    >>> spec.image_size, spec.action_dims
    (64, 7)
    >>> PolicySpec.from_dict(spec.as_dict()) == spec
    True
    """

    size: str
    interface: Interface
    horizon: int = _DEFAULTS.horizon
    supervision: Supervision = _DEFAULTS.supervision
    attention: AttentionKind = _DEFAULTS.attention
    language: bool = _DEFAULTS.language
    state: bool = _DEFAULTS.state
    image_size: int = _DEFAULTS.image_size
    tokeniser: TokeniserName = "hashed"
    pretrained: bool = _DEFAULTS.pretrained
    delay_max: int = _DEFAULTS.delay_max
    relative: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_values(vars(self))
        if self.image_size == 0 and self.parts.backbone is not None:
            object.__setattr__(self, "image_size", self.parts.backbone.image_size)
        self._check_inputs_and_action()
        if self.delay_max >= self.horizon:
            raise UsageError(
                f"--delay-max must be below the horizon, {self.horizon}, so that something is left to learn; "
                f"it is {self.delay_max}."
            )
        self._check_mlp()
        self._check_relative()
        self._check_image_size()
        self._check_pretrained()

    @property
    def parts(self) -> PolicySize:
        """What the size's name stands for."""
        return SIZES[self.size]

    @property
    def prompt_length(self) -> int:
        """Tokens of a prompt; 0 where it is not seen."""
        backbone = self.parts.backbone
        return backbone.prompt_length if backbone is not None and self.language else 0

    @property
    def vocabulary(self) -> int:
        """Number of tokens that the backbone knows; 0 without one."""
        return self.parts.backbone.vocabulary if self.parts.backbone is not None else 0

    @property
    def action_dims(self) -> int:
        """Dimensions of the action that are trained."""
        return self.interface.action_dim if self.supervision == "mask" else ACTION_WIDTH

    def as_dict(self) -> dict[str, Any]:
        """JSON values; without `relative` where no number is."""
        values = {**vars(self), "interface": self.interface.as_dict(), "relative": list(self.relative)}
        return {name: value for name, value in values.items() if name != "relative" or value}

    @classmethod
    def from_dict(cls, values: Any) -> PolicySpec:
        """The spec of these JSON values, `as_dict`'s or a user's; what is left out is at its default.

        Raises:
            UsageError: a key is missing or unknown, or a value does not fit; see the class.
        """
        known = {field.name: field for field in fields(cls)}
        missing = [name for name, field in known.items() if field.default is MISSING]
        if isinstance(values, Mapping):
            missing = [name for name in missing if name not in values]
        if missing:
            raise UsageError(f"the policy's spec has no {' and no '.join(missing)}.")
        for key in values:
            if key not in known:
                raise unknown("key in the policy's spec", str(key), known)
        _check_values(values)
        relative = values.get("relative", ())
        if not isinstance(relative, list | tuple) or any(type(number) is not int for number in relative):
            raise UsageError(f"the policy's relative is a list of whole numbers, not {relative!r}.")
        interface = Interface.from_dict(values["interface"])
        return cls(**{**values, "interface": interface, "relative": tuple(relative)})

    def _check_inputs_and_action(self) -> None:
        cameras = self.interface.cameras
        if not 1 <= self.interface.action_dim <= ACTION_WIDTH:
            raise UsageError(
                f"a policy has 1 to {ACTION_WIDTH} action dimensions, not {self.interface.action_dim}."
            )
        if len(set(cameras)) < len(cameras):
            twice = sorted({camera for camera in cameras if cameras.count(camera) > 1})
            raise UsageError(f"camera {', '.join(twice)} is named twice.")
        if not cameras and not self.language and not self.state:
            raise UsageError("the policy sees nothing: give it a camera, the prompt or the state.")
        if self.state and self.interface.state_dim < 1:
            raise UsageError(
                "the policy reads the state, which has no dimensions here; switch it off: --no-state (in a "
                "sweep --set state=off)."
            )

    def _check_mlp(self) -> None:
        if not isinstance(self.parts.head, MLPSize):
            return
        if self.interface.cameras or self.language or not self.state:
            raise UsageError(
                "size mlp reads the state alone: give it --cameras none --no-language, in a sweep --set "
                "cameras=none --set language=off; nano reads pictures and prompts."
            )
        if self.attention != _DEFAULTS.attention:
            raise UsageError(
                "size mlp has no --attention, as it has no tokens to attend to; --size nano has."
            )
        if self.delay_max:
            raise UsageError(
                "size mlp has no --delay-max, as it takes one time for the whole chunk; --size nano has."
            )

    def _check_relative(self) -> None:
        most = min(self.interface.action_dim, self.interface.state_dim)
        for number in self.relative:
            if not 0 <= number < most:
                raise UsageError(
                    f"number {number} of an action cannot be relative to the state: actions have "
                    f"{self.interface.action_dim} numbers, states {self.interface.state_dim}."
                )

    def _check_image_size(self) -> None:
        if self.parts.backbone is None:  # earlier records have an image size here all the same
            return
        patch = self.parts.backbone.patch
        if self.image_size % patch or not 2 * patch <= self.image_size <= 32 * patch:
            raise UsageError(
                f"size {self.size} takes images of {2 * patch} to {32 * patch} pixels in steps of {patch}, "
                f"not {self.image_size}."
            )

    def _check_pretrained(self) -> None:
        if self.size in UNPUBLISHED and self.pretrained:
            raise UsageError(f"--pretrained needs size tiny or full; {self.size} has no published weights.")
        if self.size in UNPUBLISHED and self.tokeniser != "hashed":
            raise UsageError(f"size {self.size} has the tokeniser `hashed`, not `{self.tokeniser}`.")
        backbone = self.parts.backbone
        if self.pretrained and backbone is not None and self.image_size != backbone.image_size:
            raise UsageError(f"the published weights take images of {backbone.image_size} pixels.")
        if self.pretrained and self.size == "full" and self.language and self.tokeniser != "paligemma":
            raise UsageError("the published weights of size full need the tokeniser `paligemma`.")


def _check_values(given: Mapping[str, Any]) -> None:
    """Raise UsageError unless the values, maybe read from JSON, are of the types and in the ranges of
    `PolicyOptions`; the interface is not looked at."""
    if given.get("tokeniser", "hashed") not in TOKENISERS:
        raise unknown("policy tokeniser", str(given["tokeniser"]), TOKENISERS)
    for option, allowed in PolicyOptions.values().items():
        name, words = option.replace("-", "_"), option.replace("-", " ")
        value, default = given.get(name, getattr(_DEFAULTS, name)), getattr(_DEFAULTS, name)
        if not isinstance(default, str) and type(value) is not type(default):
            what = "true or false" if isinstance(default, bool) else "a whole number"
            raise UsageError(f"the policy's {words} is {what}, not {value!r}.")
        if not isinstance(default, bool):
            allowed.parse(f"policy {words}", str(value))
