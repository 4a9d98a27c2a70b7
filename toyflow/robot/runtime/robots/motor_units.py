"""Units and ranges of the numbers that a LeRobot robot takes, as far as LeRobot itself knows them."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from toyflow.robot.interface import unit_in_name

TURN = (-180.0, 180.0)
"""Degrees: LeRobot counts them from the middle of a motor's calibrated range, which is a turn at most."""
PERCENT = {"range_m100_100": (-100.0, 100.0), "range_0_100": (0.0, 100.0)}
"""Ranges of LeRobot's `MotorNormMode`s that are shares of the calibrated range: a bus clips to them."""

COUNTED_IN_RADIANS = {
    "bi_yam_follower": r"(?P<arm>.*)joint_\d\.pos",
    "yam_follower": r"(?P<arm>)joint_\d\.pos",
    "unitree_g1": r"(?P<arm>).+\.q",
}
"""Joints that drivers of LeRobot count in radians, whatever their buses count in, by the robot's type."""
OPENED_TO_1 = {"bi_yam_follower": r".*gripper\.pos", "yam_follower": r"gripper\.pos"}
"""Grippers from 0, closed, to 1, open, likewise."""
STATED = ("JOINT_LIMITS", "JOINT_LIMITS_RAD")
"""Names under which a driver's module states (lower, upper) of an arm's joints in radians, in their order."""


class MotorRange(NamedTuple):
    """The unit of a number of an action, None if unknown, and its bounds, nan where unknown."""

    unit: str | None
    lower: float = math.nan
    upper: float = math.nan


def motor_ranges(device: Any, names: Sequence[str]) -> dict[str, MotorRange]:
    """Unit and bounds of each dimension of an action, of which LeRobot's names do not tell: NAME.pos may be
    degrees, radians, or a share of the motor's range.

    They are those of the motors (`norm_mode`, `calibration`) on the buses of the robot or of its arms, or of
    its configuration, within the `joint_limits` of its configuration, if it has some. Without a bus,
    `use_degrees` of the configuration still gives the unit of joints, the robot's type may
    (`COUNTED_IN_RADIANS`), and so may a name (`wrist.rad`). All else is unknown.

    Args:
        device: LeRobot's robot, not yet connected.
        names: names of its action's dimensions.
    """
    found = {name: MotorRange(unit_in_name(name)) for name in names}
    for prefixes, part in _parts(device, ("",)):
        config = getattr(part, "config", None)
        for bus in vars(part).values():
            for motor, kind in _motors(bus).items():
                for name in (f"{prefix}{motor}.pos" for prefix in prefixes):
                    if name in found:
                        found[name] = _range_of(bus, motor, kind, config)
                        break
    for name in names:
        if found[name].unit is None and _counts_degrees(getattr(device, "config", None), name):
            found[name] = MotorRange("degrees", *TURN)
    return {**found, **_ranges_by_type(device, [name for name in names if found[name].unit is None])}


def _ranges_by_type(device: Any, names: Sequence[str]) -> dict[str, MotorRange]:
    """Unit and bounds of the dimensions of which the robot's type tells."""
    kind = getattr(device, "name", "")
    found = {}
    arms: dict[str, list[str]] = {}
    for name in names:
        if kind in OPENED_TO_1 and re.fullmatch(OPENED_TO_1[kind], name):
            found[name] = MotorRange("0..1", 0.0, 1.0)
        elif kind in COUNTED_IN_RADIANS and (joint := re.fullmatch(COUNTED_IN_RADIANS[kind], name)):
            arms.setdefault(joint["arm"], []).append(name)
    stated = _stated_limits(device)
    for joints in arms.values():
        limits = stated if len(stated) == len(joints) else [()] * len(joints)
        found |= {joint: MotorRange("radians", *ends) for joint, ends in zip(joints, limits, strict=True)}
    return found


def _stated_limits(device: Any) -> Sequence[tuple[float, float]]:
    """What the module of the driver's configuration states, see `STATED`; empty where it states nothing."""
    module = sys.modules.get(type(getattr(device, "config", None)).__module__)
    return next((limits for name in STATED if (limits := getattr(module, name, None))), ())


def _parts(device: Any, prefixes: Sequence[str]) -> Iterator[tuple[Sequence[str], Any]]:
    """A robot and the robots that it is made of, such as `left_arm`, with the beginnings that their motors'
    names may have in its action: `left_arm_` or `left_`."""
    yield prefixes, device
    for attribute, part in vars(device).items():
        if hasattr(part, "action_features") and hasattr(part, "get_observation"):
            words = attribute.lstrip("_").split("_")
            yield from _parts(part, ["_".join(words[:count]) + "_" for count in range(len(words), 0, -1)])


def _motors(bus: Any) -> Mapping[str, Any]:
    motors = getattr(bus, "motors", None)
    return (
        {name: motor for name, motor in motors.items() if hasattr(motor, "norm_mode")}
        if isinstance(motors, Mapping)
        else {}
    )


def _range_of(bus: Any, motor: str, kind: Any, config: Any) -> MotorRange:
    mode = str(getattr(kind.norm_mode, "value", kind.norm_mode))
    if mode in PERCENT:
        low, high = PERCENT[mode]
        return MotorRange(f"{low:g}..{high:g}", low, high)
    if mode != "degrees":
        return MotorRange(mode)
    limits = getattr(config, "joint_limits", None) or {}
    if isinstance(limits, Mapping) and motor in limits:
        return MotorRange("degrees", *map(float, limits[motor]))
    calibrated = (getattr(bus, "calibration", None) or {}).get(motor)
    turn = getattr(bus, "model_resolution_table", {}).get(getattr(kind, "model", None))
    if calibrated is None or not turn:
        return MotorRange("degrees", *TURN)
    half = (calibrated.range_max - calibrated.range_min) / 2 * 360 / (turn - 1)
    return MotorRange("degrees", -half, half)


def _counts_degrees(config: Any, name: str) -> bool:
    """Whether `use_degrees` is set for a joint, in the configuration of its robot or of its arm. False says
    nothing: it may be radians, or shares. Nor does it tell of a gripper."""
    if not name.endswith(".pos") or "gripper" in name:
        return False
    for field, part in getattr(config, "__dict__", {}).items():
        side = field.split("_")[0]
        if hasattr(part, "use_degrees") and name.startswith(f"{side}_"):
            return part.use_degrees is True
    return getattr(config, "use_degrees", None) is True
