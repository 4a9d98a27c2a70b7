"""What is known of the states and actions that a policy was trained on, whoever trained it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toyflow.robot.lerobot.imported import place_of_checkpoint
from toyflow.robot.lerobot.lerobot_checkpoint import statistics_of
from toyflow.robot.simulation.conventions import Ranges
from toyflow.sweep.stored import StoredTraining


def trained_ranges(training: StoredTraining) -> tuple[Ranges, Ranges]:
    """(states, actions) of the training; empty where nothing is known.

    Args:
        training: a policy of toyflow, of LeRobot or behind a server.
    """
    details = training.details
    if "normalisation" not in details and "imported" in details:
        folder = place_of_checkpoint(training)
        known = statistics_of(folder) if folder else {}
        state, action = (_of_lerobot(known.get(name, {})) for name in ("observation.state", "action"))
        return state, action if action.low else _of_motion(details)
    state = _of_normalisation(details.get("normalisation", {}).get("state", {}), details.get("state", {}))
    return state, _of_motion(details)


def _of_motion(details: Mapping[str, Any]) -> Ranges:
    motion = details.get("motion") or {}
    low, high = (tuple(motion.get(end, ())) for end in ("lower", "upper"))
    return Ranges(tuple(details.get("action_names", ())), low=low, high=high)


def _of_normalisation(scaling: Mapping[str, Any], state: Mapping[str, Any]) -> Ranges:
    """By the normalisation of a policy of toyflow, and by what its training says of the state."""
    return Ranges(
        tuple(state.get("names", ())), tuple(scaling.get("centre", ())), tuple(scaling.get("scale", ())),
        tuple(state.get("lower", ())), tuple(state.get("upper", ())),
    )  # fmt: skip


def _of_lerobot(statistics: Mapping[str, Any]) -> Ranges:
    mean, std, low, high = (tuple(statistics.get(name, ())) for name in ("mean", "std", "min", "max"))
    return Ranges((), *((mean, std) if len(mean) == len(std) else ((), ())), *_pair(low, high))


def _pair(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (low, high) if len(low) == len(high) else ((), ())
