"""Lists of numbers and pairs as users write them: `1,2,10`, `0-4`, `NAME=VALUE`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from toyflow.errors import UsageError

MOST_NUMBERS = 100_000
MOST_STEPS = 10_000


def parse_numbers(value: Any, where: str) -> tuple[int, ...]:
    """`1,2,10`, `0-4`, or a mixture."""
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers: list[int] = []
    for item in items:
        match = re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", str(item))
        if not match:
            raise UsageError(f"{where} must be whole numbers such as 1,10 or 0-4, got {str(item)!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{where}: the range {first}-{last} is empty.")
        if last - first >= MOST_NUMBERS:
            raise UsageError(f"{where}: the range {first}-{last} is longer than {MOST_NUMBERS}.")
        numbers.extend(range(first, last + 1))
    if not numbers:
        raise UsageError(f"{where} is empty.")
    return tuple(dict.fromkeys(numbers))


def parse_pairs(items: Iterable[str], where: str, example: str) -> dict[str, str]:
    """Values by name, from `NAME=VALUE` items; empty items are skipped. Raises UsageError that begins with
    `where` and shows `example`."""
    pairs: dict[str, str] = {}
    for item in filter(str.strip, items):
        name, _, value = map(str.strip, item.partition("="))
        if not (name and value):
            raise UsageError(f"{where} takes pairs such as {example}, not {item!r}.")
        pairs[name] = value
    return pairs


def renaming_hint(takes: str, pair: str, reversed_fits: bool, flag: str = "--rename") -> str:
    """Which way `flag` goes, to follow an error about an unknown name in it.

    Args:
        takes: the direction, and whose name comes first.
        pair: the pair as it should be if it was given the other way round.
        reversed_fits: whether the names exist that way.
        flag: what the option is called.

    >>> renaming_hint("POLICY=ROBOT, the policy's name first", "top=front", reversed_fits=True)
    " --rename takes POLICY=ROBOT, the policy's name first: try the other way round: --rename top=front."
    """
    return f" {flag} takes {takes}{f': try the other way round: {flag} {pair}' if reversed_fits else ''}."


def listed_ranges(numbers: Sequence[int], separator: str = ",") -> str:
    """Sorted numbers as `parse_numbers` takes them back: `0-4,7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return separator.join("-".join(map(str, part)) for part in parts)


def parse_steps(value: Any, where: str) -> tuple[int, ...]:
    """Numbers of steps from `1,2,10`, `1-4` or a list. Raises UsageError that begins with `where`."""
    numbers = parse_numbers(value, where)
    if min(numbers) < 1:
        raise UsageError(f"{where} must be 1 or more, got {min(numbers)}.")
    if max(numbers) > MOST_STEPS:
        raise UsageError(f"{where} must be {MOST_STEPS} or less, got {max(numbers)}.")
    return numbers


def parse_draws(value: Any, where: str) -> tuple[int, ...]:
    """Numbers of averaged draws from `1,2,8` or a list. Raises UsageError that begins with `where`.

    Example:
        >>> parse_draws("1,2,8", "--draws")
        (1, 2, 8)
    """
    numbers = parse_numbers(value, where)
    wrong = [number for number in numbers if number != 1 and (number < 1 or number % 2)]
    if wrong:
        hint = " A range has odd numbers, too; list them instead: 1,2,4,8." if "-" in str(value) else ""
        raise UsageError(f"{where} must be 1 or even (pairs of noise x0, -x0), got {wrong[0]}.{hint}")
    return numbers
