"""SDKs of motors that tests replace or take away, whether they are installed or not, in every LeRobot."""

import sys
from importlib import import_module
from unittest.mock import MagicMock

import pytest
from lerobot.utils import import_utils

IMPORTED_AS = {
    "scservo_sdk": ("lerobot.motors.feetech.feetech", "scs"),
    "dynamixel_sdk": ("lerobot.motors.dynamixel.dynamixel", "dxl"),
    "can": ("lerobot.motors.damiao.damiao", "can"),
}
"""{SDK: LeRobot's module that uses it, and the SDK's name there}."""


def replace_sdk(patch: pytest.MonkeyPatch, sdk: str) -> None:
    """Put a stand-in in its place that takes every call."""
    name, attribute = IMPORTED_AS[sdk]
    module, stand_in = import_module(name), MagicMock()
    _put(patch, sdk, stand_in)
    if hasattr(module, attribute):  # else LeRobot 0.4, which imports it when a bus is made
        patch.setattr(module, attribute, stand_in)


def remove_sdk(patch: pytest.MonkeyPatch, sdk: str) -> None:
    """Let it be missing."""
    _put(patch, sdk, None)


def _put(patch: pytest.MonkeyPatch, sdk: str, module: MagicMock | None) -> None:
    patch.setitem(sys.modules, sdk, module)
    answers = getattr(import_utils, "_require_package_cache", None)
    if answers is not None:  # 0.6 asks once whether a package is installed
        patch.setitem(answers, sdk, module is not None)
