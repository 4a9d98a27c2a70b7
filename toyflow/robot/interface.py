"""What a robot shows a policy, and what it takes from it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
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


SHARES = 100.0
"""LeRobot tells joints in degrees, or in shares of their calibrated ranges, -100..100, to which it clips."""


def are_shares(least: Iterable[float], most: Iterable[float]) -> bool:
    """Whether joints of these ranges are told in LeRobot's shares of their calibrated ranges, not in degrees:
    one ends at exactly 100 and none goes beyond. Degrees hardly ever end there.

    >>> are_shares([-100.0, -31.2], [64.8, 99.1]), are_shares([-98.6, -31.2], [64.8, 99.1])
    (True, False)
    """
    return bool(max(*map(abs, least), *map(abs, most)) == SHARES)


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
        renamed: (name, name in the data before `--rename`) of cameras and of `state`: a policy knows both.

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
    renamed: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values; without `renamed` where nothing was."""
        values = {**vars(self), "cameras": list(self.cameras), "renamed": dict(self.renamed)}
        return {name: value for name, value in values.items() if name != "renamed" or value}

    @classmethod
    def from_dict(cls, values: Any) -> Interface:
        """The interface of these JSON values, as `as_dict` gives them.

        Raises:
            UsageError: something is missing, unknown or of another type; in one line.
        """
        names = [field.name for field in fields(cls) if field.default is MISSING]
        if not isinstance(values, Mapping) or set(values) - {"renamed"} != set(names):
            raise UsageError(f"an interface has {', '.join(names)}, and nothing else.")
        renamed = values.get("renamed", {})
        if not isinstance(renamed, Mapping) or not all(isinstance(old, str) for old in renamed.values()):
            raise UsageError(f"an interface's renamed are names by name, not {renamed!r}.")
        cameras, fps = values["cameras"], values["fps"]
        if not isinstance(cameras, list) or not all(isinstance(camera, str) for camera in cameras):
            raise UsageError(f"an interface's cameras are a list of names, not {cameras!r}.")
        for name in ("state_dim", "action_dim"):
            if type(values[name]) is not int:
                raise UsageError(f"an interface's {name} is a whole number, not {values[name]!r}.")
        if type(fps) not in (int, float) or not fps >= 0:
            raise UsageError(f"an interface's fps is a number, 0 where it is not known, not {fps!r}.")
        return cls(**{**values, "cameras": tuple(cameras), "renamed": tuple(renamed.items())})

    def found(self, name: str, among: Collection[str]) -> str | None:
        """The name `among` these that this interface's camera (or state) `name` goes by: its own, or the one
        that its data had before `--rename`; None where neither is there.

        >>> Interface(("top",), 8, 7, fps=20, renamed=(("top", "image"),)).found("top", ("image", "wrist"))
        'image'
        """
        return next((each for each in (name, dict(self.renamed).get(name)) if each in among), None)

    def check_serves(self, policy: Interface, where: str) -> None:
        """Check that a policy made for the interface `policy` can act here: all of its cameras exist, and
        dimensions and rate are equal.

        Args:
            where: what the message calls this side, such as `the robot`.

        Raises:
            UsageError: it cannot; in one line that begins with `where`.
        """
        missing = [camera for camera in policy.cameras if policy.found(camera, self.cameras) is None]
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
