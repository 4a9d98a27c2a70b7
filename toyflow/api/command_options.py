"""Defaults of the commands, and how flags, presets and defaults are merged. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from toyflow.errors import MissingInputError, ToyflowError, UsageError
from toyflow.robot.simulation.trial_options import AT_MOST, TrialOptions
from toyflow.sweep.presets import Notes, available_presets, load_preset, notes
from toyflow.sweep.sweep_options import SweepOptions

RECOMMEND = SweepOptions(seeds=(100,), out="results/recommend")
"""Defaults of `toyflow recommend`. Its seed differs from those of sweeps, which check it."""

RECOMMEND_FRACTION = 0.5
"""Iterations of the short training of `toyflow recommend`, as a share of those of the full training."""

ROBOT_SCHEDULE = "shift:4"
"""Default schedule of a policy."""
ROBOT_TRAIN = SweepOptions(task="robot", schedules=(ROBOT_SCHEDULE,), seeds=(0,), out="results/robot")
"""Defaults of `toyflow robot-train`."""

FIRST_EPISODES, FIRST_IMAGE_SIZE, FIRST_ITERATIONS = 12, 64, 1200
"""What `toyflow robot-train` does without a data set: it records this many episodes of one task, with images
of this size, and trains for this many iterations."""

FIRST_TRIALS = TrialOptions(states=f"{AT_MOST}5")
"""Trials by which `toyflow robot-train` without a data set evaluates its policy."""


def sweep_options(flags: Mapping[str, Any], preset: str | None = None, quick: bool = False) -> SweepOptions:
    """The options of a sweep: defaults, then a preset, then flags.

    Args:
        flags: values by field of `SweepOptions`; None leaves one as it is.
        preset: a name of `toyflow presets`, or a TOML file.
        quick: whether to take the preset's short version.

    Raises:
        UsageError: an unknown preset or key, a value that does not fit, or `quick` without a preset.

    Example:
        >>> sweep_options({"steps": "1,4", "seeds": None}, preset="finding-1").steps
        (1, 4)
    """
    if quick and preset is None:
        raise UsageError("--quick is a preset's short version; name the preset with --preset.")
    options = SweepOptions()
    if preset is not None:
        options = options.updated(load_preset(preset, quick), f"preset {preset}")
    return options.updated(flags, "flags")


def preset_cost(preset: str | None, quick: bool = False) -> str:
    """A sentence with what a preset's header says of its cost, or of its short version's; empty where that is
    nothing."""
    said = _notes(preset)
    cost = said.quick if quick else said.cost
    return f"The cost by the preset's header: {cost}" if cost else ""


@contextmanager
def preset_hints(preset: str | None, cost: str = "") -> Iterator[None]:
    """Let an error tell what the preset's header says.

    Args:
        preset: a name of `toyflow presets`, a TOML file, or None.
        cost: what is known of the cost, where the command was to tell it; told after any error.

    Raises:
        MissingInputError: something has to be made before, with the preset's `First:` if it has one.
        ToyflowError: any other error.
    """
    try:
        yield
    except ToyflowError as error:
        first = _notes(preset).first
        if not (first and isinstance(error, MissingInputError)):
            error.hint = " ".join(filter(None, (error.hint, cost)))
            raise
        hinted = error.hinted(f"What comes first, by the preset's header: {first}")
        hinted.hint = cost
        raise hinted from None


def _notes(preset: str | None) -> Notes:
    """The notes of a preset; empty ones where there is none."""
    path = available_presets().get(preset or "") or Path(preset or "")
    return notes(path) if path.is_file() else Notes()


def recommend_options(flags: Mapping[str, Any]) -> SweepOptions:
    """The options of `toyflow recommend`. Each setting has its own results folder unless `flags` name one.

    Raises:
        UsageError: a value that does not fit.

    Example:
        >>> recommend_options({"task": "dial", "set": ["modes=2"]}).out
        'results/recommend/dial,modes=2'
    """
    options = RECOMMEND.updated(flags, "flags")
    if flags.get("out") is not None:
        return options
    setting = [options.task, *(f"{name}={','.join(values)}" for name, values in options.set.items())]
    return replace(options, out=f"{options.out}/{','.join(setting)}")


def trial_options(flags: Mapping[str, Any], first: bool = False) -> TrialOptions:
    """The options of an evaluation in closed loop.

    Args:
        flags: values by field of `TrialOptions`; None leaves one at its default.
        first: whether the policy learns from the demonstrations that `robot-train` makes itself, which takes
            fewer initial states.

    Raises:
        UsageError: a value that does not fit.

    Example:
        >>> trial_options({"suite": "libero_goal", "states": None}).states
        'at-most-10'
    """
    return (FIRST_TRIALS if first else TrialOptions()).changed(flags)
