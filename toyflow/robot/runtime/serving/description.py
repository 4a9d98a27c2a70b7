"""What a server says of its policy: to clients in their first frame, to its user at the start."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from toyflow.errors import UsageError
from toyflow.robot.planner import Planner
from toyflow.robot.runtime.serving.observations import MOST_STEPS, REQUEST_OPTIONS, Keys
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.stored import StoredTraining
from toyflow.version import __version__


def policy_metadata(training: StoredTraining, planner: Planner, keys: Keys) -> dict[str, Any]:
    """The first frame of a connection: what the policy is, sees and answers."""
    interface = planner.interface
    return {
        "server": f"toyflow {__version__}",
        "policy": training.record.key,
        "law": training.record.label,
        "prediction": training.record.prediction or VELOCITY,
        "steps": planner.decoding.steps,
        "sampler": planner.decoding.sampler,
        "grid": planner.decoding.grid,
        "draws": planner.decoding.draws,
        "action_horizon": planner.horizon,
        "action_dim": interface.action_dim,
        "state_dim": interface.state_dim,
        "fps": interface.fps,
        "renamed": dict(interface.renamed),
        "image_size": planner.image_size,
        "history": planner.history,
        "replan": planner.replan,
        "keys": keys.as_dict(),
        "accepts": list(REQUEST_OPTIONS),
        "steps_accepted": _steps_of(planner),
        "random": _is_random(planner),
        "continues": planner.can_continue,
        "motion": training.details.get("motion", {}),
    }


def _is_random(planner: Planner) -> bool:
    """Whether plans may differ between seeds; so it is said of a policy that cannot be tried out."""
    try:
        return planner.takes_noise or planner.is_random_otherwise
    except UsageError:
        return True


def _steps_of(planner: Planner) -> list[int]:
    """The numbers of steps that clients may ask for."""
    now, found = planner.decoding, []
    for steps in range(1, MOST_STEPS + 1):
        with suppress(UsageError):
            planner.set_decoding(replace(now, steps=steps))
            found.append(steps)
    planner.set_decoding(now)
    return found


def serving_warnings(planner: Planner) -> list[str]:
    """What a client should know about this policy, one line each."""
    if planner.history == 1:
        return []
    return [
        f"This policy reads {planner.history} observations: the earlier ones are those of the previous "
        "requests of the same connection, so a client should ask at every control step."
    ]
