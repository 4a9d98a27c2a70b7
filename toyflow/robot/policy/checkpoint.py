"""From records to policies: an untrained one, or a trained one with its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from toyflow.atomic import DamagedError, verified
from toyflow.errors import UsageError
from toyflow.flow import FlowMatching, Objective
from toyflow.robot.data.chunk_statistics import chunk_statistics
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.features import ACTION, STATE
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.data.relative_actions import relative_numbers
from toyflow.robot.data.training_part import Demonstrations, training_frames
from toyflow.robot.interface import Interface
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.policy_options import ALL_CAMERAS, NO_CAMERAS, PolicyOptions
from toyflow.robot.policy.sizes import ACTION_WIDTH
from toyflow.robot.policy.spec import PolicySpec
from toyflow.seeds import global_state
from toyflow.sweep.plan import objective_of
from toyflow.sweep.records import RECIPE_VERSION, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import WEIGHTS, StoredTraining, cure


def build_policy(record: TrainingRecord, data: DataSet, device: str = "cpu") -> tuple[Policy, Objective]:
    """An untrained policy for a data set, and its objective. Initial weights are a function of the seed.

    Args:
        device: where its network is made; on `meta` it has no numbers, and is only tried to be built.

    Raises:
        UsageError: the data set lacks something, or the options do not fit it.
    """
    options = PolicyOptions.parse(record.model)
    spec = PolicySpec(
        size=options.size,
        interface=policy_interface(data, options),
        horizon=options.horizon,
        supervision=options.supervision,
        attention=options.attention,
        language=options.language,
        state=options.state,
        image_size=options.image_size,
        tokeniser="paligemma" if options.pretrained else "hashed",
        pretrained=options.pretrained,
        delay_max=options.delay_max,
        relative=relative_of(data, options),
    )
    held_out = Demonstrations.parse(record.data).hold_out
    normalisation = normalisation_of(data, options, held_out)  # computes, so not on the device
    with torch.device(device):
        return _built(record, spec, normalisation)


def relative_of(data: DataSet, options: PolicyOptions) -> tuple[int, ...]:
    """The numbers of the action that the options make relative to the state. Raises UsageError where names or
    sizes of state and action do not allow it."""
    if options.stays_absolute is None:
        return ()
    where = f"data set {data.where}"
    return relative_numbers(data.action_names, data.state_names, options.stays_absolute, where)


def normalisation_of(data: DataSet, options: PolicyOptions, hold_out: float = 0.0) -> Normalisation:
    """The normalisation by the data set's statistics; by those of the training episodes where some are held
    out, and of chunks of them where actions are relative. Raises UsageError where statistics are missing or
    not numbers."""
    quantile = options.normalisation == "quantile"
    state = _statistics(data, STATE, quantile, hold_out)
    if relative := relative_of(data, options):
        action = chunk_statistics(data, training_frames(data, hold_out), options.horizon, relative)
    else:
        action = _statistics(data, ACTION, quantile, hold_out)
    return Normalisation.from_statistics(state, action, kind=options.normalisation)


def _statistics(data: DataSet, feature: str, quantile: bool, hold_out: float) -> dict[str, list[float]]:
    """The stored statistics; computed where episodes are held out, or where quantiles are asked for and not
    stored, as in data sets that were converted from older formats."""
    stored = {} if hold_out else data.statistics(feature)
    lacks_quantiles = quantile and not {"q01", "q99"} <= stored.keys()
    if not hold_out and not lacks_quantiles:
        return stored
    return {**data.statistics_of(feature, training_frames(data, hold_out)), **stored}


def spec_of(training: StoredTraining) -> PolicySpec:
    """What a trained policy is made of. Raises UsageError for a cell that is not a policy."""
    if "policy" not in training.details:
        raise UsageError(f"{training.folder} is not a policy, but a model of task {training.record.task}.")
    return PolicySpec.from_dict(training.details["policy"])


def load_policy(training: StoredTraining) -> tuple[Policy, Objective]:
    """A trained policy in evaluation mode, and its objective.

    Raises:
        UsageError: the cell is not a policy, or was trained under another version of the recipe.
        DamagedError: the weights are missing, altered, or of another policy.
    """
    details, spec = training.details, spec_of(training)
    if training.record.recipe_version != RECIPE_VERSION:
        raise UsageError(
            f"{training.folder} was trained under recipe version {training.record.recipe_version}; this "
            f"toyflow runs models of version {RECIPE_VERSION}. Train it again."
        )
    normalisation = Normalisation.from_dict(details["normalisation"])
    policy, objective = _built(training.record, replace(spec, pretrained=False), normalisation)
    try:
        policy.load_state_dict(training.weights())
    except RuntimeError as error:
        raise DamagedError(
            f"the weights in {training.folder} do not fit the policy as this toyflow builds it; they are of "
            "another version.",
            cure(training.folder, by_key=True),
        ) from error
    return policy.eval(), objective


def find_checkpoint(path: Path) -> StoredTraining:
    """The trained policy whose folder is `path`, OUT/cells/KEY.

    Raises:
        UsageError: there is no policy, or its weights are not those that were written.
    """
    if not (path / "config.json").is_file():
        inside = sorted(folder.name for folder in path.glob("cells/[!.]*"))
        hint = (
            f" It is a results folder; its checkpoints are cells/{', cells/'.join(inside)}." if inside else ""
        )
        raise UsageError(f"{path} is no checkpoint, a folder OUT/cells/KEY that robot-train made.{hint}")
    folder = path.resolve()
    if folder.parent.name != "cells":
        raise UsageError(
            f"{path} is not in a results folder: put it back, or into a new one, as OUT/cells/KEY."
        )
    training = Store(folder.parent.parent).training(folder.name)
    if (folder / WEIGHTS).exists():  # some uses of a checkpoint need no weights
        try:
            verified(folder, WEIGHTS)
        except DamagedError as error:
            raise UsageError(
                f"{error} Take it from a copy; without one, `toyflow runs prune {folder.name} --out "
                f"{folder.parent.parent}` makes room to train it anew."
            ) from None
    return training


def _built(
    record: TrainingRecord, spec: PolicySpec, normalisation: Normalisation
) -> tuple[Policy, Objective]:
    objective = delayed(objective_of(record), spec.delay_max)
    with global_state(record.seed, "weights", torch.device("cpu")):
        policy = Policy(spec, normalisation)
        objective.attach(policy, (spec.horizon, ACTION_WIDTH))
    return policy, objective


def delayed(objective: Objective, delay_max: int) -> Objective:
    """`objective`, trained to continue from up to `delay_max` first actions."""
    if not delay_max:
        return objective
    if not isinstance(objective, FlowMatching):
        raise UsageError(f"--delay-max is for objective flow; {objective.name} has no time for each action.")
    return FlowMatching(objective.schedule, objective.time_sampling, objective.prediction, delay_max)


def policy_interface(data: DataSet, options: PolicyOptions) -> Interface:
    """The data set's interface with the cameras that the options choose, at the rate of the option `fps`
    unless that is 0: LIBERO's published data sets say 10, but were recorded at 20.

    Raises:
        UsageError: a camera does not exist.
    """
    cameras = chosen_cameras(options)
    interface = replace(data.interface, fps=options.fps or data.interface.fps)
    if cameras is None:
        if data.names.unread:
            feature, why = next(iter(data.names.unread.items()))
            others = "+".join(interface.cameras) or NO_CAMERAS
            raise UsageError(
                f"data set {data.where}: {feature} cannot be seen by a policy: {why}. To leave it out: "
                f"--cameras {others}, in a sweep --set cameras={others}."
            )
        if not interface.cameras:
            raise UsageError(
                f"data set {data.where} has no camera, a feature of dtype image or video; it has "
                f"{', '.join(data.features)}. For a policy that sees none: --cameras none, in a sweep --set "
                "cameras=none."
            )
        return interface
    for camera in cameras:
        data.names.check_seen(camera, data.where)
    return replace(interface, cameras=cameras)


def chosen_cameras(options: PolicyOptions) -> tuple[str, ...] | None:
    """The cameras that the options name; None for all that the data set has."""
    if options.cameras == ALL_CAMERAS:
        return None
    return () if options.cameras == NO_CAMERAS else tuple(options.cameras.split("+"))
