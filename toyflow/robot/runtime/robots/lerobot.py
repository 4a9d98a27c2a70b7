"""Any robot of LeRobot's, its own or a plug-in's, by the type that LeRobot knows it by."""

from __future__ import annotations

import importlib
import io
import math
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr, suppress
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import numpy as np
from jaxtyping import Float

from toyflow.errors import ToyflowError, UsageError, first_line, unknown
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.robots.base import Robot, RobotSettings

NORMALISED = (-100.0, 100.0)
"""Between these lie the positions of LeRobot's motors, unless `use_degrees` is set; a gripper's from 0 on."""
DEGREES = (-180.0, 180.0)


class LeRobotRobot(Robot):
    """`--robot lerobot:TYPE`, configured as on LeRobot's command line: `--set port=/dev/ttyACM0 --set
    id=arm`, `--set cameras='{front: {type: opencv, index_or_path: 0, width: 640, height: 480, fps: 30}}'`.

    Features with a shape are cameras, all others are numbers: those of `observation_features`, in their
    order, are the state, and those of `action_features` the action, as in the data sets that lerobot-record
    makes. A number that ends in `.vel` is a velocity, for which holding is 0; others are positions, for which
    it is nothing.

    LeRobot's drivers wait for a camera's next frame: drive it at the cameras' rate or below.
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
        self.limits = _limits(self.action_names, getattr(device.config, "use_degrees", False))
        self._seen: Mapping[str, Any] = {}
        self._sent: Mapping[str, float] = {}

    @classmethod
    def open(cls, settings: RobotSettings) -> LeRobotRobot:
        """See `Robot`. Raises UsageError where LeRobot or the type is not installed, or an option is
        unknown."""
        try:
            from lerobot.robots import RobotConfig, make_robot_from_config
        except ImportError as error:
            raise UsageError(
                f"--robot lerobot:TYPE needs LeRobot ({error}): pip install 'toyflow[robot]'."
            ) from error
        config = _config(settings, RobotConfig)
        try:
            return cls(make_robot_from_config(config), settings)
        except (ImportError, ValueError) as error:
            raise UsageError(f"lerobot:{settings.argument} cannot be made: {first_line(error)}") from error

    def connect(self) -> None:
        """See `Robot`. An arm that is not calibrated is refused: calibrating asks questions and moves."""
        try:
            self.device.connect(calibrate=False)
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
        """See `Robot`: motors keep the position that they were sent last by themselves; where something moves
        by velocity, it is sent 0 and they what they were sent last, or else where they were seen, if they
        were."""
        if not any(map(_is_velocity, self.action_names)):
            return None
        still = self._at_rest({**self._seen, **self._sent})
        known = np.isfinite(still)
        self._send({name: float(still[i]) for i, name in enumerate(self.action_names) if known[i]})
        return still

    def disconnect(self) -> None:
        """See `Robot`. Motors stay on and hold, unless `--set disable_torque_on_disconnect=true`."""
        if self.device.is_connected:
            self.device.disconnect()

    def still(self) -> Float[np.ndarray, "action"]:
        """See `Robot`."""
        return self._at_rest(self._seen)

    def _send(self, action: Mapping[str, float]) -> None:
        self._sent = {**self._sent, **(self.device.send_action(dict(action)) or action)}

    def _at_rest(self, positions: Mapping[str, Any]) -> Float[np.ndarray, "action"]:
        """The action that stays at `positions`; nan where there is none."""
        numbers = [
            0.0 if _is_velocity(name) else float(positions.get(name, math.nan)) for name in self.action_names
        ]
        return np.array(numbers)


def _is_velocity(name: str) -> bool:
    return name.endswith(".vel")


def _limits(names: tuple[str, ...], degrees: bool) -> Limits:
    """Of positions of motors (NAME.pos); where there are others, nothing is known."""
    if not all(name.endswith(".pos") for name in names):
        return Limits()
    low, high = DEGREES if degrees else NORMALISED
    lower = [0.0 if "gripper" in name else low for name in names]
    upper = [100.0 if "gripper" in name else high for name in names]
    return Limits(np.array(lower), np.array(upper))


def _config(settings: RobotSettings, base: Any) -> Any:
    """The configuration of a type by its options, read as LeRobot's own commands read it."""
    import draccus

    _register_types(base, settings.argument)
    choices = base.get_known_choices()
    if settings.argument not in choices:
        raise unknown("robot of LeRobot", settings.argument, choices)
    kind = choices[settings.argument]
    options = {**dict.fromkeys(_torque_switches(kind, settings.options), "false"), **settings.options}
    words = [f"--{name}={value}" for name, value in options.items()]
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return draccus.parse(kind, args=words)  # pyright: ignore[reportPrivateImportUsage]
    except SystemExit:
        raise UsageError(
            f"{settings.argument} of LeRobot: {said.getvalue().rpartition('error: ')[2].strip()}."
        ) from None
    except Exception as error:
        raise UsageError(f"{settings.argument} of LeRobot: {first_line(error)}.") from error


def _torque_switches(config: Any, said: Iterable[str], within: str = "") -> Iterator[str]:
    """The options, of a robot or of its arms, by which motors would be switched off in the end, dropping what
    they hold up; without those of which something was `said`."""
    for name, kind in get_type_hints(config).items():
        option = within + name
        if option in said:
            continue
        if name == "disable_torque_on_disconnect":
            yield option
        elif is_dataclass(kind):
            yield from _torque_switches(kind, said, f"{option}.")


def _register_types(base: Any, wanted: str) -> None:
    """LeRobot knows a type once its module is imported: plug-ins first, then its own robots and a camera."""
    from lerobot import robots
    from lerobot.utils.import_utils import register_third_party_plugins

    register_third_party_plugins()
    importlib.import_module("lerobot.cameras.opencv")
    if wanted not in base.get_known_choices():
        for module in pkgutil.iter_modules(robots.__path__):
            with suppress(ImportError):  # of a robot whose own packages are not here
                importlib.import_module(f"lerobot.robots.{module.name}")
