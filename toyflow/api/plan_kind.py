"""What the plans of a trained policy are like, as far as its cell tells: nothing is loaded."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from toyflow.robot.interface import Interface
from toyflow.robot.lerobot.imported import can_act_in, can_average
from toyflow.robot.policy.card import is_behind_server
from toyflow.robot.policy.checkpoint import spec_of
from toyflow.sweep.decodings import Decodable
from toyflow.sweep.plan import objective_of
from toyflow.sweep.stored import StoredTraining

LARGEST_PUBLISHED_REPLAN = 10
"""Most actions between two plans in published evaluations of LeRobot's and openpi's policies on LIBERO."""


class PlanKind(NamedTuple):
    """What a policy's plans are like."""

    interface: Interface
    horizon: int
    replan: int
    """Actions executed before the next plan, unless asked otherwise."""
    decodable: Decodable

    @classmethod
    def of(cls, training: StoredTraining) -> PlanKind:
        """Of a policy of toyflow, of LeRobot or behind a server."""
        imported = training.details.get("imported")
        if imported and is_behind_server(training):
            from toyflow.robot.runtime.remote.remote_cells import steps_of  # websockets is optional

            steps, interface = steps_of(training), Interface.from_dict(imported["interface"])
            decodable = Decodable(training.record.objective, steps.__contains__, False, False, False)
            return cls(interface, imported["horizon"], imported["replan"], decodable)
        if imported and "policy" not in training.details:
            interface = Interface.from_dict(imported["interface"])
            decodable = Decodable(
                imported["type"],
                partial(can_act_in, imported),
                uses_sampler=False,
                uses_grid=False,
                uses_noise=can_average(imported),
            )
            return cls(interface, imported["horizon"], imported["replan"], decodable)
        spec, objective = spec_of(training), objective_of(training.record)
        return cls(spec.interface, spec.horizon, spec.horizon, Decodable.by(objective))


def replan_taken_over(training: StoredTraining, kind: PlanKind) -> str:
    """What to know of the number of actions between two plans where it is somebody else's; empty else."""
    if "policy" in training.details:
        return ""
    told = f"The policy looks anew after {kind.replan} of the {kind.horizon} actions of a chunk"
    if is_behind_server(training):
        return f"{told}, as its server says, else as openpi's client for LIBERO. --replan N changes that."
    told += ", its own n_action_steps. --replan N changes that"
    if kind.replan <= LARGEST_PUBLISHED_REPLAN:
        return f"{told}."
    return (
        f"{told}: published success rates look every {LARGEST_PUBLISHED_REPLAN} actions or fewer. On LIBERO "
        "the paper of SmolVLA (its table 13) has 80.3 % at 1 action, 82.8 % at 10 and 51.8 % at 50; openpi "
        "looks every 5."
    )
