"""Packages that drive a LeRobot robot's motors: which is missing, and which extra of LeRobot brings it."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

from toyflow.errors import first_line

EXTRAS = {
    "scservo_sdk": "feetech",
    "dynamixel_sdk": "dynamixel",
    "can": "damiao",
    "zmq": "lekiwi",
    "reachy2_sdk": "reachy2",
    "unitree_sdk2py": "unitree_g1",
    "pyrealsense2": "intelrealsense",
}
"""LeRobot's extra by the module that it installs, for LeRobot 0.4, which imports it and says no more."""
REQUIRED = re.compile(r"^'([^']+)' is required but not installed\b.*?'lerobot\[([^]]+)\]'", re.DOTALL)
"""What LeRobot 0.6 says of a missing package before it imports it: its name, and the extra with it."""
MODULES = {"DamiaoMotorsBus": "can", "RobstrideMotorsBus": "can"}
"""Module by the class of a bus that LeRobot 0.4 makes without it, and that fails only when it connects."""


def missing_package(error: ImportError) -> str:
    """What to install where an import failed, in one line.

    >>> missing_package(ModuleNotFoundError("No module named 'scservo_sdk'", name="scservo_sdk"))
    "its motors or cameras need scservo_sdk, which is missing: pip install 'lerobot[feetech]'."
    """
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package, "")
    if said := REQUIRED.match(str(error)):
        package, extra = said.groups()
    if not extra:
        return first_line(error)
    return f"its motors or cameras need {package}, which is missing: pip install 'lerobot[{extra}]'."


def check_motor_packages(device: Any) -> None:
    """Raise ImportError where a bus of the robot, or of its arms, needs a module that is not installed."""
    for part in vars(device).values():
        module = MODULES.get(type(part).__name__)
        if module and find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        if hasattr(part, "action_features") and hasattr(part, "get_observation"):
            check_motor_packages(part)
