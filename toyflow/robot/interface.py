"""What a robot shows a policy, and what it takes from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from toyflow.errors import UsageError

UNITS = {
    "degrees": ("deg", "degs", "degree", "degrees"),
    "radians": ("rad", "rads", "radian", "radians"),
    "m": ("m", "metre", "metres", "meter", "meters"),
    "mm": ("mm",),
}
"""Units, and the words in the name of a number that stand for them."""


def unit_in_name(name: str) -> str | None:
    """The unit that the name of a number of a state or action says, None if it says none.

    >>> [unit_in_name(name) for name in ("wrist.rad", "shoulder_deg", "gripper (mm)", "elbow.pos", "arm_m1")]
    ['radians', 'degrees', 'mm', None, None]
    """
    words = re.split(r"[^a-z0-9]+", name.lower())[1:]
    return next((unit for word in words for unit, signs in UNITS.items() if word in signs), None)


class Observation(NamedTuple):
    """What a policy observes at one control step.

    Attributes:
        images: {camera: RGB in 0..255}, upright as in the data set; of any size, as policies resize.
        state: joints and grippers, or whatever the robot measures, in the data set's units and order.
        prompt: the task in words.
        before: earlier observations, oldest first, for a policy that reads several; see `Planner.history`.

    >>> image = np.zeros((96, 128, 3), np.uint8)
    >>> observation = Observation({"front": image}, np.zeros(7, np.float32), "pick it up")
    >>> observation.images["front"].shape, observation.before
    ((96, 128, 3), ())
    """

    images: Mapping[str, UInt8[np.ndarray, "height width 3"]]
    state: Float32[np.ndarray, "state"]
    prompt: str
    before: tuple[Observation, ...] = ()


@dataclass(frozen=True)
class Interface:
    """Cameras, state, action and rate of a data set, a policy or a robot; `check_serves` compares two.

    Attributes:
        cameras: their names; order does not matter.
        state_dim, action_dim: numbers of a state and of an action.
        fps: control steps per second; 0 for a policy that does not say.

    >>> policy = Interface(("front",), state_dim=8, action_dim=7, fps=20)
    >>> robot = Interface(("front", "wrist"), state_dim=6, action_dim=7, fps=20)
    >>> robot.check_serves(policy, "the robot")
    Traceback (most recent call last):
    toyflow.errors.UsageError: the robot has states of 6 numbers, the policy was made for 8.
    """

    cameras: tuple[str, ...]
    state_dim: int
    action_dim: int
    fps: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "cameras": list(self.cameras)}

    @classmethod
    def from_dict(cls, values: Any) -> Interface:
        """The interface of these JSON values, as `as_dict` gives them.

        Raises:
            UsageError: something is missing, unknown or of another type; in one line.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or set(values) != set(names):
            raise UsageError(f"an interface has {', '.join(names)}, and nothing else.")
        cameras, fps = values["cameras"], values["fps"]
        if not isinstance(cameras, list) or not all(isinstance(camera, str) for camera in cameras):
            raise UsageError(f"an interface's cameras are a list of names, not {cameras!r}.")
        for name in ("state_dim", "action_dim"):
            if type(values[name]) is not int:
                raise UsageError(f"an interface's {name} is a whole number, not {values[name]!r}.")
        if type(fps) not in (int, float) or not fps >= 0:
            raise UsageError(f"an interface's fps is a number, 0 where it is not known, not {fps!r}.")
        return cls(**{**values, "cameras": tuple(cameras)})

    def check_serves(self, policy: Interface, where: str) -> None:
        """Check that a policy made for the interface `policy` can act here: all of its cameras exist, and
        dimensions and rate are equal.

        Args:
            where: what the message calls this side, such as `the robot`.

        Raises:
            UsageError: it cannot; in one line that begins with `where`.
        """
        missing = [camera for camera in policy.cameras if camera not in self.cameras]
        if missing:
            raise UsageError(
                f"{where} has no camera {', '.join(missing)}, which the policy uses; it has "
                f"{', '.join(self.cameras) or 'none'}."
            )
        for name, here, there in (
            ("state", self.state_dim, policy.state_dim),
            ("action", self.action_dim, policy.action_dim),
        ):
            if here != there:
                raise UsageError(f"{where} has {name}s of {here} numbers, the policy was made for {there}.")
        if policy.fps and self.fps != policy.fps:
            raise UsageError(
                f"{where} runs at {self.fps:g} steps per second, the policy was made for {policy.fps:g}. If "
                "the data set states the wrong rate: --fps N (in a sweep --set fps=N)."
            )
