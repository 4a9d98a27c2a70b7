"""The configuration of a LeRobot robot: made of options, and what its switches mean for the end of a run."""

from __future__ import annotations

import importlib
import io
import pkgutil
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from toyflow.errors import UsageError, first_line, unknown
from toyflow.robot.runtime.robots.base import RobotSettings
from toyflow.robot.runtime.robots.driver_calls import is_attended
from toyflow.robot.runtime.robots.motor_packages import missing_package

TORQUE_SWITCH = "disable_torque_on_disconnect"
"""LeRobot's name of the switch that lets a robot drop what it holds when it is disconnected."""
ENTER_SWITCH = "wait_for_enter"
"""How the names of switches end that make a driver wait for ENTER, such as
`shutdown_zero_gravity_wait_for_enter` of lerobot-robot-yam."""


def parse_config(settings: RobotSettings) -> Any:
    """The configuration of LeRobot's type `settings.argument`, parsed as LeRobot's commands parse it.

    Unless the user says otherwise, motors stay on at the end, and without a terminal no driver waits for
    ENTER.

    Raises:
        UsageError: LeRobot has no such type, or an option is unknown or makes no sense.
    """
    import draccus  # comes with LeRobot
    from lerobot.robots import RobotConfig as base  # optional and heavy

    absent = _register_types(base, settings.argument)
    choices = base.get_known_choices()
    if settings.argument not in choices:
        for module, error in absent.items():
            if module in settings.argument or settings.argument in module:
                raise UsageError(f"lerobot:{settings.argument} cannot be made: {missing_package(error)}")
        raise unknown("robot of LeRobot", settings.argument, choices)
    kind = choices[settings.argument]
    off = [*switches(kind, TORQUE_SWITCH), *([] if is_attended() else switches(kind, ENTER_SWITCH))]
    options = {**dict.fromkeys(off, "false"), **settings.options}
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


def switches(config: Any, ending: str, within: str = "") -> Iterator[str]:
    """Names of the options of a robot, or of its arms, that end like this, such as
    `left_arm_config.disable_torque_on_disconnect`.

    Args:
        config: LeRobot's configuration class.
    """
    for name, kind in get_type_hints(config).items():
        if name.endswith(ending):
            yield within + name
        elif is_dataclass(kind):
            yield from switches(kind, ending, f"{within}{name}.")


def values(config: Any, name: str) -> Iterator[Any]:
    """What the options of this name are set to, in the configuration of a robot and of its arms."""
    for field in fields(config) if is_dataclass(config) else ():
        value = getattr(config, field.name)
        if field.name == name:
            yield value
        elif is_dataclass(value):
            yield from values(value, name)


def why_not_made(config: Any, error: Exception) -> str:
    """Why LeRobot could not make a robot of this configuration, in one line.

    LeRobot answers with the whole configuration, and swallows the import that failed in a plug-in.
    """
    try:
        importlib.import_module(type(config).__module__.partition(".")[0])
    except ImportError as missing:
        return missing_package(missing)
    return first_line(error.__cause__ or error)


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
