"""LeRobot's robots, including those of its plug-ins, by the type that LeRobot registers."""

from __future__ import annotations

import importlib
import io
import math
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import numpy as np
from jaxtyping import Float

from toyflow.errors import ToyflowError, UsageError, first_line, unknown
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.robots.base import Robot, RobotSettings
from toyflow.robot.runtime.robots.motor_packages import check_motor_packages, missing_package
from toyflow.robot.runtime.robots.motor_units import motor_ranges

VELOCITY = re.compile(r"(^|[._])(vel|velocity|v[xyz]|vtheta|vyaw|omega)$")
"""How the name of a velocity ends: `x.vel`, `mobile_base.vx`. `ee.wx` is none: a rotation vector's."""
ENDS = ("lower", "upper")


class LeRobotRobot(Robot):
    """`--robot lerobot:TYPE`, with the options of LeRobot's command line: `--set port=/dev/ttyACM0 --set
    id=arm`, `--set cameras='{front: {type: opencv, index_or_path: 0, width: 640, height: 480, fps: 30}}'`.

    Features with a shape are cameras. All others are numbers: those of `observation_features`, in their
    order, are the state, and those of `action_features` the action, as in the data sets of lerobot-record. A
    number whose name says so (`x.vel`, `mobile_base.vx`) is a velocity, which holding sets to 0. Others are
    positions, which holding leaves as they are. Its units and bounds are those of its motors, where LeRobot
    knows them; see `motor_ranges`.

    LeRobot's drivers wait for a camera's next frame, so the rate should not exceed the cameras'.
    """

    def __init__(self, device: Any, settings: RobotSettings) -> None:
        self.device, self.settings = device, settings
        self.name = f"lerobot:{settings.argument}"
        seen, does = device.observation_features, device.action_features
        own = [name for name, kind in seen.items() if isinstance(kind, tuple)]
        self._cameras = settings.renamed(own, self.name)
        self._state_names = [name for name, kind in seen.items() if not isinstance(kind, tuple)]
        self.action_names = tuple(does)
        self.interface = Interface(tuple(self._cameras.values()), len(self._state_names), len(does), fps=0)
        ranges = motor_ranges(device, self.action_names)
        self.units = {name: each.unit for name, each in ranges.items()}
        self.limits = Limits(*(np.array([getattr(each, end) for each in ranges.values()]) for end in ENDS))
        self._seen: Mapping[str, Any] = {}
        self._sent: Mapping[str, float] = {}

    @classmethod
    def open(cls, settings: RobotSettings) -> LeRobotRobot:
        """See `Robot`. Raises UsageError if LeRobot or the type is not installed, or an option is unknown."""
        try:
            from lerobot.robots import RobotConfig, make_robot_from_config  # optional and heavy
        except ImportError as error:
            raise UsageError(
                f"--robot lerobot:TYPE needs LeRobot ({error}): pip install 'toyflow[robot]'."
            ) from error
        config = _config(settings, RobotConfig)
        try:
            device = make_robot_from_config(config)
            check_motor_packages(device)
            return cls(device, settings)
        except ImportError as error:
            raise UsageError(
                f"lerobot:{settings.argument} cannot be made: {missing_package(error)}"
            ) from error
        except ValueError as error:
            raise UsageError(f"lerobot:{settings.argument} cannot be made: {first_line(error)}") from error

    def connect(self) -> None:
        """See `Robot`. An arm that is not calibrated is refused, as calibrating asks questions and moves."""
        try:
            self.device.connect(calibrate=False)
        except ImportError as error:
            raise ToyflowError(f"{self.name} cannot be connected: {missing_package(error)}") from error
        except Exception as error:
            raise ToyflowError(f"{self.name} does not answer: {first_line(error)}") from error
        if not self.device.is_calibrated:
            raise ToyflowError(f"{self.name} is not calibrated: run lerobot-calibrate first.")
        self.observe()

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
        """See `Robot`. Motors keep the position that they were sent last, so nothing is sent to a robot
        without velocities. Else velocities are sent 0, and positions what they were sent last, or where they
        were observed, if they were."""
        if not any(map(_is_velocity, self.action_names)):
            return None
        still = self._at_rest({**self._seen, **self._sent})
        known = np.isfinite(still)
        self._send({name: float(still[i]) for i, name in enumerate(self.action_names) if known[i]})
        return still

    def disconnect(self) -> None:
        """See `Robot`. Motors stay on and hold, except with `--set disable_torque_on_disconnect=true`."""
        if self.device.is_connected:
            self.device.disconnect()

    def still(self) -> Float[np.ndarray, "action"]:
        """See `Robot`."""
        return self._at_rest(self._seen)

    @property
    def resting(self) -> Float[np.ndarray, "action"]:
        """See `Robot`."""
        return self._at_rest({})

    def _send(self, action: Mapping[str, float]) -> None:
        self._sent = {**self._sent, **(self.device.send_action(dict(action)) or action)}

    def _at_rest(self, positions: Mapping[str, Any]) -> Float[np.ndarray, "action"]:
        """The action that stays at `positions`; nan where a position is unknown."""
        numbers = [
            0.0 if _is_velocity(name) else float(positions.get(name, math.nan)) for name in self.action_names
        ]
        return np.array(numbers)


def _is_velocity(name: str) -> bool:
    return VELOCITY.search(name) is not None


def _config(settings: RobotSettings, base: Any) -> Any:
    """The configuration of a type by its options, parsed as LeRobot's commands parse it."""
    import draccus  # comes with LeRobot

    absent = _register_types(base, settings.argument)
    choices = base.get_known_choices()
    if settings.argument not in choices:
        for module, error in absent.items():
            if module in settings.argument or settings.argument in module:
                raise UsageError(f"lerobot:{settings.argument} cannot be made: {missing_package(error)}")
        raise unknown("robot of LeRobot", settings.argument, choices)
    kind = choices[settings.argument]
    options = {**dict.fromkeys(torque_options(kind, settings.options), "false"), **settings.options}
    words = [f"--{name}={value}" for name, value in options.items()]
    messages = io.StringIO()
    try:
        with redirect_stderr(messages):
            return draccus.parse(kind, args=words)  # pyright: ignore[reportPrivateImportUsage]
    except SystemExit:
        raise UsageError(
            f"{settings.argument} of LeRobot: {messages.getvalue().rpartition('error: ')[2].strip()}."
        ) from None
    except Exception as error:
        raise UsageError(f"{settings.argument} of LeRobot: {first_line(error)}.") from error


def torque_options(config: Any, given: Iterable[str], within: str = "") -> Iterator[str]:
    """Names of the options of a robot or of its arms that switch motors off at the end, so that they would
    drop what they hold; without those that were `given`.

    Args:
        config: LeRobot's configuration class.
    """
    for name, kind in get_type_hints(config).items():
        option = within + name
        if option in given:
            continue
        if name == "disable_torque_on_disconnect":
            yield option
        elif is_dataclass(kind):
            yield from torque_options(kind, given, f"{option}.")


def _register_types(base: Any, wanted: str) -> dict[str, ImportError]:
    """Import the modules that register types with LeRobot: plug-ins first, then LeRobot's own robots.

    Returns:
        {module: error} of LeRobot's own robots whose packages are not installed.
    """
    from lerobot import robots  # optional and heavy
    from lerobot.utils.import_utils import register_third_party_plugins

    register_third_party_plugins()
    importlib.import_module("lerobot.cameras.opencv")
    absent: dict[str, ImportError] = {}
    if wanted not in base.get_known_choices():
        for module in pkgutil.iter_modules(robots.__path__):
            try:
                importlib.import_module(f"lerobot.robots.{module.name}")
            except ImportError as error:
                absent[module.name] = error
    return absent
