"""Packages that drive a LeRobot robot's motors: which is missing, and which extra of LeRobot brings it."""

from __future__ import annotations

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
"""LeRobot's extra by the module that it installs."""
MODULES = {"DamiaoMotorsBus": "can", "RobstrideMotorsBus": "can"}
"""Module by the class of a bus that is made without it, and fails only when it connects."""


def missing_package(error: ImportError) -> str:
    """What to install where an import failed, in one line."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return first_line(error)
    return f"its motors or cameras need {module}, which is missing: pip install 'lerobot[{EXTRAS[module]}]'."


def check_motor_packages(device: Any) -> None:
    """Raise ImportError where a bus of the robot, or of its arms, needs a module that is not installed."""
    for part in vars(device).values():
        module = MODULES.get(type(part).__name__)
        if module and find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        if hasattr(part, "action_features") and hasattr(part, "get_observation"):
            check_motor_packages(part)
