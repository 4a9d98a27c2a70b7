"""The schedule that a name stands for."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import fields

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow.schedules.base import Schedule, has_defaults, numbers_of, signature
from toyflow.flow.schedules.mixture import Mixture

MAX_BASES = 8
"""Most bases (`@`) in one name."""
_PLUS = re.compile(r"(?<!\de)\+")  # the plus signs that join parts, not that of 1e+5


def parse_schedule(name: str) -> Schedule:
    """The schedule that `name` stands for: `key[:number[:number]][@base]`, or `weight:name+weight:name`.

    Raises:
        UsageError: unknown key, wrong count of numbers, a number out of range, a base where none is taken, or
            weights of a mixture that do not sum to 1.

    Example:
        >>> from toyflow import parse_schedule
        >>> parse_schedule("shift:4@beta")
        Shift(alpha=4.0, base=Beta(a=1.0, b=1.5))
        >>> parse_schedule("shift:4.0@beta:1:1.5").name
        'shift:4@beta'
        >>> parse_schedule("0.5:point:0+0.5:shift:4@beta").noise_mass(0.99) > 0.5
        True
    """
    parts = _PLUS.split(name.strip())
    if len(parts) > 1 or _is_number(name.partition(":")[0]):
        return _parse_mixture(name, parts)
    if name.count("@") > MAX_BASES:
        raise UsageError(f"schedule {name[:40]!r}...: at most {MAX_BASES} bases follow each other.")
    head, at, base = name.strip().partition("@")
    key, *words = head.split(":")
    family: type[Schedule] = plugins.load("schedules", key)
    pattern = signature(family)
    takes_base = any(f.name == "base" for f in fields(family))
    if at and not takes_base:
        raise UsageError(f"schedule {name!r}: {key} takes no base; write {pattern}.")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"schedule {name!r}: every part after {key!r} must be a number; write {pattern}.")
    if len(numbers) != len(numbers_of(family)) and not (not numbers and has_defaults(family)):
        count = len(numbers_of(family))
        taken = f"{count or 'no'} number{'s' * (count != 1)}"
        raise UsageError(f"schedule {name!r}: {key} takes {taken}; write {pattern}.")
    try:
        return family(*numbers, **({"base": parse_schedule(base)} if at else {}))
    except ValueError as error:
        raise UsageError(f"schedule {name!r}: {error}.") from error


def _parse_mixture(name: str, parts: Sequence[str]) -> Schedule:
    weights, names = [], []
    for part in parts:
        weight, colon, of = part.partition(":")
        if not (colon and of and _is_number(weight)):
            raise UsageError(
                f"schedule {name!r}: the parts of a mixture are WEIGHT:SCHEDULE, joined by +, as in "
                f"0.5:point:0+0.5:uniform, not {part!r}; a mixture cannot be a base."
            )
        weights.append(float(weight))
        names.append(of)
    try:
        return Mixture(tuple(zip(weights, map(parse_schedule, names), strict=True)))
    except ValueError as error:
        raise UsageError(f"schedule {name!r}: {error}.") from error


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
