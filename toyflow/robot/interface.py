"""What a robot shows a policy, and what it takes from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from toyflow.errors import UsageError


class Observation(NamedTuple):
    """One moment, as a policy sees it: images upright as in the data set, in 0..255."""

    images: Mapping[str, UInt8[np.ndarray, "height width 3"]]
    """By camera."""
    state: Float32[np.ndarray, "state"]
    prompt: str
    before: tuple[Observation, ...] = ()
    """The moments before this one, oldest first, for a policy that looks at several."""


@dataclass(frozen=True)
class Interface:
    """Cameras, state, action and rate: a data set has one, a robot has one, and they must agree."""

    cameras: tuple[str, ...]
    state_dim: int
    action_dim: int
    fps: float
    """Control steps per second; 0 for a policy that does not say."""

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
        """Raise UsageError, in one line that begins with `where`, unless a policy made for `policy` can act
        here: its cameras are all here, dimensions and rate are the same."""
        missing = [camera for camera in policy.cameras if camera not in self.cameras]
        if missing:
            raise UsageError(
                f"{where} has no camera {', '.join(missing)}, which the policy looks through; it has "
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
                f"{where} runs at {self.fps:g} steps per second, the policy was made for {policy.fps:g}."
            )
