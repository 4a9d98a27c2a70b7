"""A robot without hardware that fits every policy, for trying and timing the control loop."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError
from toyflow.robot.interface import Observation
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.robots.base import Robot, RobotSettings

DEFAULT_RATE = 50.0
PICTURES = 16


class IdleRobot(Robot):
    """Runs in real time. Its cameras show noise, its state follows the action. `--set rate=100` sets its
    rate."""

    name = "idle"

    def __init__(self, settings: RobotSettings, rate: float) -> None:
        policy = settings.policy
        self.interface = type(policy)(policy.cameras, policy.state_dim, policy.action_dim, rate)
        everything = np.full(policy.action_dim, np.inf)
        self.limits = Limits.unlimited_between(-everything, everything)
        self.action_names, self.prompt = settings.action_names, settings.prompt
        shape = (PICTURES, settings.image_size, settings.image_size, 3)
        self._pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        self._state = np.zeros(policy.state_dim, np.float32)
        self._looks = 0

    @classmethod
    def open(cls, settings: RobotSettings) -> IdleRobot:
        """See `Robot`. Raises UsageError for another option than `rate`."""
        options = dict(settings.options)
        try:
            rate = float(options.pop("rate", settings.policy.fps or DEFAULT_RATE))
        except ValueError:
            rate = 0.0
        if options or not rate > 0:
            raise UsageError("--robot idle takes --set rate=NUMBER, actions per second, and nothing else.")
        return cls(settings, rate)

    def connect(self) -> None:
        """See `Robot`."""

    def observe(self) -> Observation:
        """See `Robot`."""
        self._looks += 1
        picture = np.asarray(self._pictures[self._looks % PICTURES])
        return Observation(dict.fromkeys(self.interface.cameras, picture), self._state.copy(), self.prompt)

    def send(self, action: Float[np.ndarray, "action"]) -> None:
        """See `Robot`."""
        shared = min(len(action), len(self._state))
        self._state[:shared] = action[:shared]

    def hold(self) -> None:
        """See `Robot`; nothing moves."""

    def disconnect(self) -> None:
        """See `Robot`."""
