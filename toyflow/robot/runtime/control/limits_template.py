"""A limits file made from demonstrations, for a user to edit: the text that `toyflow robot-limits` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from toyflow.robot.data.data_set import DataSet
from toyflow.robot.interface import unit_in_name
from toyflow.robot.limits import MARGIN, STEP_MARGIN, Limits
from toyflow.robot.runtime.control.limit_sources import UNNAMED

DIGITS = 5


def limits_template(data: DataSet) -> str:
    """TOML as `read_limits` takes it: bounds and step of the data's actions, as `--limits-from` takes them;
    and, as comments, acceleration and jerk for a user who wants them kept.

    Args:
        data: demonstrations on the robot.
    """
    names, rate, motion = data.action_names, data.interface.fps, data.motion()
    limits = Limits.of_data({"motion": motion})
    assert limits.lower is not None and limits.upper is not None and limits.step is not None
    low, high, step = motion["lower"], motion["upper"], motion["step"]
    units = [unit_in_name(name) or "unit unknown" for name in names]
    ranges = [
        f"in the data {_number(least)} to {_number(most)}; {unit}"
        for least, most, unit in zip(low, high, units, strict=True)
    ]
    steps = [f"in the data up to {_number(most)}" for most in step]
    lines = [
        f"# Limits of actions, from data set {data.where}: {data.episodes} episodes, {data.frames} frames, "
        f"{rate:g} per second.",
        "# Look through them, then: toyflow robot-run ... --limits THIS_FILE",
        "# Each number is in the unit of the robot's action. A data set says a unit at most in a name: check",
        "# that the robot that will move counts in the same (degrees, radians, -100..100, ...).",
        "",
        f"# Bounds: the data's range and {MARGIN:.0%} of it on either side. Actions are clipped to them.",
        *_table("lower", names, limits.lower.tolist(), ranges),
        "",
        *_table("upper", names, limits.upper.tolist(), ranges),
        "",
        f"# Largest change from one control step to the next, at {rate:g} steps per second: {STEP_MARGIN:g} "
        "x the data's largest.",
        *_table("step", names, limits.step.tolist(), steps, positive=True),
        "",
        "# With acceleration (units per second^2) or jerk (per second^3), what is sent is smoothed to keep",
        f"# them, also from one action chunk to the next. Here: {STEP_MARGIN:g} x the data's largest.",
    ]
    for kind, order in (("acceleration", 2), ("jerk", 3)):
        most = [change * rate**order for change in data.largest_change(order)]
        table = _table(kind, names, [STEP_MARGIN * each for each in most], [""] * len(names), positive=True)
        lines += [f"# {line}" for line in table]
    return "\n".join(lines) + "\n"


def _table(
    kind: str, names: Sequence[str], values: Sequence[float], notes: Sequence[str], positive: bool = False
) -> list[str]:
    """A TOML table by name; a list in the order of the action where names tell nothing: where the data has
    none, or one twice. Where a file takes positive numbers only, a dimension that never changed has no limit:
    its bounds keep it where it was."""
    lines = []
    by_name = not names_tell_nothing(names)
    for name, value, note in zip(names, values, notes, strict=True):
        number, why = (_number(value), note) if value > 0 or not positive else ("inf", "constant in the data")
        entry = f"{json.dumps(name)} = {number}" if by_name else f"    {number},  # {name}"
        lines.append(entry + (f"{'  #' if by_name else ':'} {why}" if why else ""))
    return [f"[{kind}]", *lines] if by_name else [f"{kind} = [", *lines, "]"]


def names_tell_nothing(names: Sequence[str]) -> bool:
    """Whether none of these is a name (`0`, `action_0`), or two are the same."""
    return len(set(names)) < len(names) or all(UNNAMED.fullmatch(name) for name in names)


def _number(value: float) -> str:
    return f"{value:.{DIGITS}g}"
