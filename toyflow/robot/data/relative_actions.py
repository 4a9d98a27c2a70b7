"""Actions relative to the state: which numbers of an action are, and whether a data set allows it.

A chunk of relative actions is planned from the state s of its first moment,

    relative_i = action_i - m s,   m = 1 for the numbers that are relative, 0 for the others,

for every action i of the chunk, as by LeRobot's `RelativeActionsProcessorStep` and openpi's `DeltaActions`.
Grippers stay absolute by default, as with both. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toyflow.errors import UsageError
from toyflow.parsing import listed_ranges
from toyflow.robot.data.action_kinds import STAY_ABSOLUTE
from toyflow.robot.interface import unit_in_name

NONE = "none"
NO_NAME = re.compile(r"((observation|obs)?[ ._]?(state|action)s?[ ._]?)?\d+", re.IGNORECASE)
"""A name of a number that says no more than its place."""
IS_CHANGE = 0.5
"""An action is a change of the state if it is correlated with its next change by more than this, and more
than with the next state, in the median over numbers."""
FEWEST = 20
"""Fewest frames that tell how actions follow states."""
DEGREES = (40.0, 80.0)
"""Ratio of two ranges between which one is in degrees and the other in radians."""
FOLLOWS, ONE_UNIT = 0.95, (0.5, 2.0)
"""Where the next state follows an action, with this correlation or more, it moves by about as much as the
action does: by a factor between these, unless they are in different units."""


def relative_numbers(
    action_names: Sequence[str],
    state_names: Sequence[str],
    stay_absolute: str = STAY_ABSOLUTE,
    where: str = "the data set",
) -> tuple[int, ...]:
    """The numbers of an action that are relative to the same number of the state, counted from 0.

    Args:
        action_names, state_names: what each number is called; `0`, `1`, ... or such where nobody says.
        stay_absolute: which numbers stay absolute: parts of their names, in any case, or numbers counted from
            0, joined by +; or `none`.
        where: what has these names, for errors.

    Raises:
        UsageError: all stay absolute, or one that would be relative has no number of its name and unit at its
            place in the state.

    >>> relative_numbers(["waist", "elbow", "left gripper"], ["waist", "elbow", "left gripper"])
    (0, 1)
    >>> relative_numbers(["waist", "elbow"], ["waist", "elbow"], "waist+elbow")
    Traceback (most recent call last):
    toyflow.errors.UsageError: the data set: --relative-except waist+elbow leaves all 2 numbers absolute.
    """
    parts = [] if stay_absolute == NONE else [part.lower() for part in stay_absolute.split("+") if part]
    chosen = tuple(
        number
        for number, name in enumerate(action_names)
        if not any(part == str(number) if part.isdigit() else part in name.lower() for part in parts)
    )
    what = (
        f"{where}: --actions relative takes each number of an action relative to the same number of the state"
    )
    if not chosen:
        raise UsageError(
            f"{where}: --relative-except {stay_absolute} leaves all {len(action_names)} numbers absolute."
        )
    unnamed = not (are_names(action_names) and are_names(state_names))
    if unnamed and len(action_names) != len(state_names):
        raise UsageError(
            f"{what}, and actions have {len(action_names)} numbers, states {len(state_names)}, without names "
            "that would tell which belong together."
        )
    for number in chosen:
        if number < len(state_names) and (unnamed or _same(action_names[number], state_names[number])):
            continue
        others = "" if stay_absolute == NONE else f"+{stay_absolute}"
        in_states = _named(state_names[number]) if number < len(state_names) else "not there"
        raise UsageError(
            f"{what}, and number {number} is {_named(action_names[number])} in actions and {in_states} in "
            f"states. To leave it absolute: --relative-except {number}{others}. If both are one, give them "
            "one name in meta/info.json."
        )
    return chosen


def contradiction(
    state: np.ndarray, action: np.ndarray, episode: np.ndarray, numbers: Sequence[int]
) -> str | None:
    """Why these `numbers` of an action should not be taken relative to the state, by the data; None for no
    reason.

    Args:
        state, action: [frames, numbers].
        episode: number of each frame's episode.
    """
    state, action = state[:, list(numbers)].astype(float), action[:, list(numbers)].astype(float)
    correlated = correlations(state, action, episode)
    if correlated is not None and correlated.is_change:
        return (
            f"actions are changes of the state already (correlated by {correlated.change:.2f} with its next "
            "change): train them as they are, --actions absolute."
        )
    ratio = ratio_of_ranges(state, action)
    for each, one, other in ((ratio, "states", "actions"), (1 / ratio, "actions", "states")):
        if DEGREES[0] < each < DEGREES[1]:
            return (
                f"ranges of {one} are {each:.3g} times those of {other}, as of degrees and radians: one "
                "cannot be relative to the other."
            )
    inside = _inside(episode)
    for place, number in enumerate(numbers):
        sent, after = action[inside, place], state[inside + 1, place]
        if len(inside) < FEWEST or _correlation(sent, after) < FOLLOWS:
            continue
        factor = float(np.polyfit(sent, after, 1)[0])
        if not ONE_UNIT[0] <= factor <= ONE_UNIT[1]:
            return (
                f"number {number} of the state follows that of the actions and moves {factor:.3g} times as "
                "far, as in another unit: one cannot be relative to the other. To leave it absolute: "
                f"--relative-except with {number} in it."
            )
    return None


class Correlations(NamedTuple):
    """How actions follow states: each is the median over the numbers that move.

    Attributes:
        target: correlation of an action with the next state.
        change: correlation with the next change of the state.
        apart: mean distance of an action from the state, in standard deviations of the state.
    """

    target: float
    change: float
    apart: float

    @property
    def is_change(self) -> bool:
        """Whether actions are changes of the state."""
        return self.change > IS_CHANGE and self.change > self.target


def correlations(state: np.ndarray, action: np.ndarray, episode: np.ndarray) -> Correlations | None:
    """How actions follow states; None where too few frames, or none that move, tell.

    Args:
        state, action: [frames, numbers], of equal shape.
        episode: number of each frame's episode.
    """
    inside = _inside(episode)
    moves = (state.std(0) > 1e-6) & (action.std(0) > 1e-6)
    if not moves.any() or len(inside) < FEWEST:
        return None
    now, after, sent = state[inside][:, moves], state[inside + 1][:, moves], action[inside][:, moves]
    return Correlations(
        _median_correlation(sent, after),
        _median_correlation(sent, after - now),
        float(np.median(np.abs(sent - now).mean(0) / now.std(0))),
    )


def ratio_of_ranges(state: np.ndarray, action: np.ndarray) -> float:
    """The median ratio of the ranges of states and actions, over the numbers that move; 1 where fewer than
    two do."""
    spans = np.ptp(state, axis=0), np.ptp(action, axis=0)
    moves = (spans[0] > 1e-6) & (spans[1] > 1e-6)
    return float(np.median(spans[0][moves] / spans[1][moves])) if moves.sum() > 1 else 1.0


def in_words(numbers: Sequence[int], action_names: Sequence[str]) -> str:
    """Which numbers of an action are relative and which absolute.

    >>> in_words((0, 1), ["waist", "elbow", "gripper"])
    'numbers 0-1 of an action are relative to the state; absolute: 2 (gripper)'
    """
    absolute = [
        f"{i} ({name})" if name != str(i) else name for i, name in enumerate(action_names) if i not in numbers
    ]
    verb = "are" if len(numbers) > 1 else "is"
    listed = f"number{'s' * (len(numbers) > 1)} {listed_ranges(list(numbers))}"
    return f"{listed} of an action {verb} relative to the state; absolute: {', '.join(absolute) or 'none'}"


def are_names(names: Sequence[str]) -> bool:
    """Whether names of numbers say more than which feature they are of and where in it.

    >>> are_names(["0", "1"]), are_names(["state_0", "state_1"]), are_names(["joint1", "gripper"])
    (False, False, True)
    """
    return not all(NO_NAME.fullmatch(name) for name in names)


def _same(one: str, other: str) -> bool:
    return one.strip().lower() == other.strip().lower()


def _named(name: str) -> str:
    unit = unit_in_name(name)
    return f"{name}, in {unit}," if unit else name


def _inside(episode: np.ndarray) -> np.ndarray:
    """Frames that another of their episode follows."""
    return np.flatnonzero(episode[1:] == episode[:-1])


def _median_correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.median([_correlation(one[:, i], other[:, i]) for i in range(one.shape[1])]))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
