"""The format of toyflow's policies in LeRobot's files: config.json with `type: toyflow`, model.safetensors.

Converts to and from it without LeRobot; the plug-in `lerobot_policy_toyflow` runs such policies in LeRobot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from toyflow import plugins
from toyflow.atomic import DamagedError
from toyflow.errors import UsageError, unknown
from toyflow.flow.predictions import parse_prediction
from toyflow.parsing import renaming_hint
from toyflow.robot.data.features import ACTION, CAMERA, COLOURS, STATE, camera_name, parse_renaming
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.limits import MOTION, checked_motion
from toyflow.robot.policy.spec import PolicySpec
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.records import TrainingRecord

TYPE = "toyflow"
VISUAL = "VISUAL"
"""LeRobot's type of a feature of pictures."""
HINT = "Export or download the policy again."
"""What to do about a damaged file of such a policy."""
PREFIX = "model."
"""Prefix of the names of weights."""


class Decoded(NamedTuple):
    """The contents of a config.json.

    Attributes:
        schedule, time_sampling: None where the objective uses none.
        prediction: as in `TrainingRecord`; None for the velocity, too.
        motion: the range of the training data's actions, see `DataSet.motion`; None for a policy that LeRobot
            trained from scratch. A policy that LeRobot fine-tuned has that of its first data.
    """

    spec: PolicySpec
    normalisation: Normalisation
    objective: str
    schedule: str | None
    time_sampling: str | None
    prediction: str | None
    motion: dict[str, list[float]] | None


class Inputs(NamedTuple):
    """Which of LeRobot's features a policy reads.

    Attributes:
        cameras: {camera: feature}.
        state: the feature of the state; None for a policy without.
        unused: the other features.
        renamed: {camera or `state`: its name before it was renamed}.
    """

    cameras: dict[str, str]
    state: str | None
    unused: tuple[str, ...]
    renamed: dict[str, str]


def inputs_of(config: Mapping[str, Any]) -> Inputs:
    """The use of the input features of a config.json: every picture is a camera.

    Raises:
        UsageError: LeRobot does not hand a feature over, it is no picture of three channels, or two features
            would be one camera.
    """
    renaming: dict[str, str] = parse_renaming(config.get("rename") or "")
    cameras: dict[str, str] = {}
    renamed: dict[str, str] = {}
    state: str | None = None
    features: Mapping[str, Any] = config["input_features"]
    if absent := [old for old in renaming if old not in features]:
        takes, new = "DATA=POLICY, the data set's name first", renaming[absent[0]]
        hint = renaming_hint(takes, f"{new}={absent[0]}", new in features, "--policy.rename")
        raise UsageError(f"{unknown('feature to rename', absent[0], features or ('none',))}{hint}")
    for feature, values in features.items():
        name = renaming.get(feature, feature)
        if values.get("type") == VISUAL or name.startswith(CAMERA):
            _check_picture(feature, values["shape"])
            camera = camera_name(name)
            if camera in cameras:
                raise UsageError(f"{cameras[camera]} and {feature} would both be the camera {camera}.")
            cameras[camera] = feature
            if feature in renaming:
                renamed[camera] = camera_name(feature)
        elif name == STATE:
            state = feature
            if feature in renaming:
                renamed["state"] = feature
    used = {state, *cameras.values()}
    return Inputs(cameras, state, tuple(each for each in features if each not in used), renamed)


def _check_picture(feature: str, shape: Sequence[int]) -> None:
    """Raise UsageError for pictures that do not reach the policy, or that it cannot see."""
    if not feature.startswith("observation."):
        raise UsageError(
            f"LeRobot hands only observation.* to a policy, not {feature}, so it would never see it: "
            f"train with `toyflow robot-train`, which reads it, or store it as {CAMERA}{feature}."
        )
    if COLOURS not in (shape[0], shape[-1]):
        raise UsageError(
            f"{feature} has shape {tuple(shape)}, not three channels of red, green and blue: leave it out "
            "by --policy.input_features, or train with `toyflow robot-train --cameras`."
        )


def decoded(config: Mapping[str, Any], where: str = "config.json of a toyflow policy") -> Decoded:
    """The policy that a config.json describes.

    Args:
        config: the values of the file.
        where: the file, for errors.

    Raises:
        UsageError: a value is out of its range.
        DamagedError: a value is missing, or of another type.
    """
    try:
        names = inputs_of(config)
        state = config["input_features"][names.state]["shape"][0] if names.state else 0
        actions = config["output_features"][ACTION]["shape"][0]
        interface = Interface(
            tuple(names.cameras), state, actions, float(config["fps"]), tuple(names.renamed.items())
        )
        spec = PolicySpec(
            size=config["size"],
            interface=interface,
            horizon=config["chunk_size"],
            supervision=config["supervision"],
            attention=config["attention"],
            language=config["language"],
            state=config["use_state"] and state > 0,
            image_size=config["image_size"],
            tokeniser=config["tokeniser"],
            pretrained=config["pretrained_backbone"],
            delay_max=config.get("delay_max", 0),  # files of earlier versions have none
            relative=tuple(config.get("relative_numbers", ())),  # nor this
        )
        normalisation = Normalisation.from_dict(
            {
                "kind": config["normalisation"],
                "state": {"centre": config["state_centre"], "scale": config["state_scale"]},
                "action": {"centre": config["action_centre"], "scale": config["action_scale"]},
            }
        )
        objective = config["objective"]
        times = (config["schedule"], config["time_sampling"])
        uses_schedule = plugins.load("objectives", objective).uses_schedule
        return Decoded(
            spec, normalisation, objective, *(times if uses_schedule else (None, None)),
            prediction=_prediction(config),
            motion=_motion(config, interface.action_dim),
        )  # fmt: skip
    except KeyError as error:
        raise DamagedError(f"{where} has no {error}.", HINT) from error
    except (TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise DamagedError(f"{where} has a value of the wrong type: {error}.", HINT) from error


def _prediction(config: Mapping[str, Any]) -> str | None:
    """The prediction of a config.json, where those of earlier versions have none. Raises UsageError."""
    name = parse_prediction(config.get("predict", VELOCITY)).name
    return None if name == VELOCITY else name


def _motion(config: Mapping[str, Any], dims: int) -> dict[str, list[float]] | None:
    """The motion in a config.json, None if it has none. Raises ValueError where it is incomplete or wrong."""
    motion = {key: config.get(f"action_{key}", ()) for key in MOTION}
    return checked_motion(motion, dims, "action_") if any(map(len, motion.values())) else None


def encoded(
    spec: PolicySpec,
    normalisation: Normalisation,
    record: TrainingRecord,
    motion: Mapping[str, list[float]] | None,
) -> dict[str, Any]:
    """The fields of a `ToyflowConfig`, except features."""
    return {
        "size": spec.size,
        "schedule": record.schedule or "uniform",
        "objective": record.objective,
        "predict": record.prediction or VELOCITY,
        "time_sampling": record.time_sampling or "stratified",
        "chunk_size": spec.horizon,
        "n_action_steps": spec.horizon,
        "attention": spec.attention,
        "supervision": spec.supervision,
        "language": spec.language,
        "use_state": spec.state,
        "image_size": spec.image_size,
        "tokeniser": spec.tokeniser,
        "fps": spec.interface.fps,
        "delay_max": spec.delay_max,
        "actions": "relative" if spec.relative else "absolute",
        "relative_numbers": list(spec.relative),
        **normalisation_fields(normalisation),
        **{f"action_{key}": list(values) for key, values in (motion or {}).items()},
    }


def normalisation_fields(normalisation: Normalisation) -> dict[str, Any]:
    """The fields of config.json for a normalisation."""
    state, action = normalisation.state, normalisation.action
    return {
        "normalisation": normalisation.kind,
        "state_centre": list(state.centre),
        "state_scale": list(state.scale),
        "action_centre": list(action.centre),
        "action_scale": list(action.scale),
    }


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a policy in LeRobot's files, under toyflow's names. Raises DamagedError."""
    try:
        return {
            name.removeprefix(PREFIX): tensor
            for name, tensor in load_file(folder / "model.safetensors").items()
        }
    except (OSError, SafetensorError) as error:
        raise DamagedError(f"{folder / 'model.safetensors'} cannot be read: {error}.", HINT) from error
