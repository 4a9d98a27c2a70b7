"""LeRobot's robots, including those of its plug-ins, by the type that LeRobot registers."""

from __future__ import annotations

import inspect
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.robot.data.features import COLOURS
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.robots.base import Robot, RobotSettings
from toyflow.robot.runtime.robots.driver_calls import answerless, call_bounded
from toyflow.robot.runtime.robots.lerobot_config import TORQUE_SWITCH, parse_config, values, why_not_made
from toyflow.robot.runtime.robots.motor_packages import check_motor_packages, missing_package
from toyflow.robot.runtime.robots.motor_units import motor_ranges

LOG = logging.getLogger(__name__)
VELOCITY = re.compile(r"(^|[._])(vel|velocity|v[xyz]|vtheta|vyaw|omega)$")
"""How the name of a velocity ends: `x.vel`, `mobile_base.vx`. `ee.wx` is none: a rotation vector's."""
ENDS = ("lower", "upper")
STAY_UP = ("lekiwi_client",)
"""Types without a torque switch whose motors another machine keeps on."""
OUTSIDE = 0.02
"""How far beyond a bound a joint may be seen and still be held at the bound, as a share of its range: a
driver may refuse the very position that it reports."""


class LeRobotRobot(Robot):
    """`--robot lerobot:TYPE`, with the options of LeRobot's command line: `--set port=/dev/ttyACM0 --set
    id=arm`, `--set cameras='{front: {type: opencv, index_or_path: 0, width: 640, height: 480, fps: 30}}'`.

    Features with a shape are cameras, of which those with other than three channels, such as depth maps, are
    left out. All others are numbers: those of `observation_features`, in their
    order, are the state, and those of `action_features` the action, as in the data sets of lerobot-record. A
    number whose name says so (`x.vel`, `mobile_base.vx`) is a velocity, which holding sets to 0. Others are
    positions, which are held where they were sent last. Its units and bounds are those of its motors, where
    LeRobot knows them; see `motor_ranges`.

    It is `read_only` where its configuration says so. It `falls` unless a torque switch of its configuration
    is off, as toyflow leaves it by default, or nothing of it is a position.

    LeRobot's drivers wait for a camera's next frame, so the rate should not exceed the cameras'.
    """

    def __init__(self, device: Any, settings: RobotSettings) -> None:
        self.device, self.settings = device, settings
        self.name = f"lerobot:{settings.argument}"
        seen, does = device.observation_features, device.action_features
        pictures = {name: kind for name, kind in seen.items() if isinstance(kind, tuple)}
        own = [name for name, shape in pictures.items() if shape[-1] == COLOURS]
        for name in pictures.keys() - own:
            LOG.warning("%s: %s is not read: no policy can see its shape, %s.", self.name, name, seen[name])
        self._cameras = settings.renamed(own, self.name)
        self._state_names = [name for name, kind in seen.items() if not isinstance(kind, tuple)]
        self.action_names = tuple(does)
        self.interface = Interface(tuple(self._cameras.values()), len(self._state_names), len(does), fps=0)
        config = getattr(device, "config", None)
        self.read_only = any(values(config, "read_only"))
        self.falls = not self.read_only and self._may_fall(config)
        ranges = motor_ranges(device, self.action_names)
        self.units = {name: each.unit for name, each in ranges.items()}
        self.limits = Limits(*(np.array([getattr(each, end) for each in ranges.values()]) for end in ENDS))
        self._seen: Mapping[str, Any] = {}
        self._sent: Mapping[str, float] = {}

    @classmethod
    def open(cls, settings: RobotSettings) -> LeRobotRobot:
        """See `Robot`. Raises UsageError if LeRobot or the type is not installed, or an option is unknown."""
        try:
            from lerobot.robots import make_robot_from_config  # optional and heavy
        except ImportError as error:
            raise UsageError(
                f"--robot lerobot:TYPE needs LeRobot ({error}): pip install 'toyflow[robot]'."
            ) from error
        config = parse_config(settings)
        try:
            device = make_robot_from_config(config)
            check_motor_packages(device)
            return cls(device, settings)
        except ImportError as error:
            raise UsageError(
                f"lerobot:{settings.argument} cannot be made: {missing_package(error)}"
            ) from error
        except ValueError as error:
            raise UsageError(
                f"lerobot:{settings.argument} cannot be made: {why_not_made(config, error)}"
            ) from error

    def connect(self) -> None:
        """See `Robot`. An arm that is not calibrated is refused, as calibrating asks questions and moves.

        LeRobot's drivers are asked not to calibrate. Some then open nothing but a session for calibrating,
        in which they let nobody observe: those that say that they are calibrated are connected once more,
        as for use, where they have no reason left to calibrate.
        """
        self._connect(calibrate=False)
        if self.device.is_calibrated is False:
            raise ToyflowError(f"{self.name} is not calibrated: run lerobot-calibrate first.")
        try:
            try:
                self.observe()
            except Exception as error:
                in_session = "calibrat" in str(error).lower()
                if not (in_session and self.device.is_calibrated):  # LeRobot's remote client says neither
                    raise
                self._disconnect()
                self._connect(calibrate=True)
                self.observe()
        except ToyflowError:
            raise
        except Exception as error:
            raise ToyflowError(f"{self.name} cannot be observed: {first_line(error)}") from error

    def observe(self) -> Observation:
        """See `Robot`."""
        self._seen = seen = self.device.get_observation()
        images = {ours: np.asarray(seen[own], np.uint8) for own, ours in self._cameras.items()}
        state = np.array([seen[name] for name in self._state_names], np.float32)
        return Observation(images, state, self.settings.prompt)

    def send(self, action: Float[np.ndarray, "action"]) -> None:
        """See `Robot`."""
        self._send(dict(zip(self.action_names, map(float, action), strict=True)))

    def hold(self) -> Float[np.ndarray, "action"] | None:
        """See `Robot`. Velocities are sent 0, and positions what they were sent last, else where they were
        observed. They are sent again every time: a driver may let a position go that is not repeated, as
        LeRobot's for YAM after a second."""
        still = self._at_rest({**self._seen, **self._sent})
        known = np.isfinite(still)
        if not known.any():
            return None
        self._send({name: float(still[i]) for i, name in enumerate(self.action_names) if known[i]})
        return still

    def disconnect(self) -> None:
        """See `Robot`. Motors stay on and hold where a torque switch can be off, except with `--set
        disable_torque_on_disconnect=true`; others fall, see `falls`."""
        if self.device.is_connected:
            self._disconnect()

    def still(self) -> Float[np.ndarray, "action"]:
        """See `Robot`."""
        return self._at_rest(self._seen)

    @property
    def resting(self) -> Float[np.ndarray, "action"]:
        """See `Robot`."""
        return self._at_rest({})

    def _connect(self, calibrate: bool) -> None:
        takes = inspect.signature(self.device.connect).parameters  # a remote robot's takes nothing
        try:
            with answerless(f"{self.name}, being connected,"):
                self.device.connect(**({"calibrate": calibrate} if takes else {}))
        except ToyflowError:
            raise
        except ImportError as error:
            raise ToyflowError(f"{self.name} cannot be connected: {missing_package(error)}") from error
        except Exception as error:
            raise ToyflowError(f"{self.name} does not answer: {first_line(error)}") from error

    def _disconnect(self) -> None:
        call_bounded(self.device.disconnect, f"{self.name}, being let go of,")

    def _may_fall(self, config: Any) -> bool:
        """Whether the motors lose their torque, or may, when the robot is disconnected."""
        known = list(values(config, TORQUE_SWITCH))
        if known or self.settings.argument in STAY_UP:
            return any(known)
        return not all(map(_is_velocity, self.action_names))

    def _send(self, action: Mapping[str, float]) -> None:
        self._sent = {**self._sent, **(self.device.send_action(dict(action)) or action)}

    def _at_rest(self, positions: Mapping[str, Any]) -> Float[np.ndarray, "action"]:
        """The action that stays at `positions`; nan where a position is unknown. One just beyond a bound
        becomes the bound, see `OUTSIDE`."""
        rest = np.array(
            [
                0.0 if _is_velocity(name) else float(positions.get(name, math.nan))
                for name in self.action_names
            ]
        )
        lower, upper = (np.asarray(getattr(self.limits, end)) for end in ENDS)
        room = OUTSIDE * (upper - lower)
        rest = np.where((rest < lower) & (rest >= lower - room), lower, rest)
        return np.where((rest > upper) & (rest <= upper + room), upper, rest)


def _is_velocity(name: str) -> bool:
    return VELOCITY.search(name) is not None
