"""The format of toyflow's policies in LeRobot's files: config.json with `type: toyflow`, model.safetensors.

Converts to and from it without LeRobot; the plug-in `lerobot_policy_toyflow` runs such policies in LeRobot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from toyflow import plugins
from toyflow.atomic import DamagedError
from toyflow.flow.predictions import parse_prediction
from toyflow.robot.data.features import ACTION, CAMERA, STATE
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.spec import PolicySpec
from toyflow.sweep.methods import VELOCITY
from toyflow.sweep.records import TrainingRecord

TYPE = "toyflow"
HINT = "Export or download the policy again."
"""What to do about a damaged file of such a policy."""
PREFIX = "model."
"""Prefix of the names of weights."""
MOTION = ("lower", "upper", "step")
"""See `DataSet.motion`; in config.json their names begin with action_."""


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
        features = {**config["input_features"], **config["output_features"]}
        cameras = tuple(name.removeprefix(CAMERA) for name in features if name.startswith(CAMERA))
        state = features.get(STATE, {"shape": [0]})["shape"][0]
        interface = Interface(cameras, state, features[ACTION]["shape"][0], float(config["fps"]))
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
    lower, upper, step = parts = [list(map(float, config.get(f"action_{key}", ()))) for key in MOTION]
    if not any(parts):
        return None
    numbers = [*lower, *upper, *step]
    if any(len(part) != dims for part in parts) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"action_lower, action_upper and action_step are not {dims} finite numbers each")
    if any(a > b for a, b in zip(lower, upper, strict=True)) or min(step) < 0:
        raise ValueError("an action_lower is above its action_upper, or an action_step below 0")
    return dict(zip(MOTION, parts, strict=True))


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
