"""The checkpoint of a policy that LeRobot trained: found, identified, loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from toyflow.atomic import DamagedError, checksum, read_json
from toyflow.errors import UsageError, first_line
from toyflow.robot.data.hub import snapshot

UNNORMALISE = "unnormalizer_processor"
KEEP_UNITS = {UNNORMALISE, "device_processor", "rename_observations_processor", "to_batch_processor"}
"""Steps of a postprocessor after which actions are in the units of the statistics."""
RANGES = ("min", "max", "mean", "std")


@dataclass(frozen=True)
class LeRobotCheckpoint:
    """A policy's folder, as LeRobot writes it: config.json with a type, model.safetensors, processors.

    Attributes:
        where: what the user named, a folder or a name on the hub.
        folder: folder with its files on this machine.
    """

    where: str
    folder: Path

    @classmethod
    def found(cls, where: str) -> LeRobotCheckpoint | None:
        """The checkpoint in this folder, `pretrained_model` within it, or of this name on the hub; None for
        a folder that holds none.

        Raises:
            UsageError: no such folder, and the hub has none.
        """
        path = Path(where).expanduser()
        for folder in (path, path / "pretrained_model"):
            if _type_of(folder):
                return cls(where, folder)
        if path.exists() or where.count("/") != 1:
            return None
        folder = snapshot(where, "there is no such folder, and the policy")
        if not _type_of(folder):
            raise UsageError(f"{where} on the hub is no LeRobot policy: its config.json has no type.")
        return cls(where, folder)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its config.json."""
        return read_json(self.folder / "config.json")

    @property
    def kind(self) -> str:
        """The policy's type, such as smolvla."""
        return self.config["type"]

    @property
    def name(self) -> str:
        """How results name it: the last two parts of its path, or its name on the hub."""
        path = Path(self.where).expanduser()
        return "/".join(path.resolve().parts[-2:]) if path.exists() else self.where

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of its weights, configuration and processors."""
        digest = hashlib.sha256()
        processors = [*self.folder.glob("policy_*processor.json")]
        for file in sorted([*self.folder.glob("*.safetensors"), *processors, self.folder / "config.json"]):
            digest.update(checksum(file).encode())
        return digest.hexdigest()[:12]

    def action_ranges(self) -> dict[str, Any]:
        """What its postprocessor knows of the actions that it was trained on, as `Limits.of_data` takes it:
        their min and max, else their mean and standard deviation; empty where it knows neither, or where what
        it scales is not what is sent to a robot, as with relative actions."""
        from safetensors.numpy import load_file  # planning for toyflow's own policies does without

        file = self.folder / "policy_postprocessor.json"
        try:
            steps = read_json(file)["steps"] if file.is_file() else []
            if not {step.get("registry_name") for step in steps} <= KEEP_UNITS:
                return {}
            states = [step["state_file"] for step in steps if step["registry_name"] == UNNORMALISE]
            values = load_file(self.folder / states[0]) if states else {}
        except Exception as error:
            raise UsageError(f"{file} cannot be read: {first_line(error)}") from error
        found = {name: values[key].tolist() for name in RANGES if (key := f"action.{name}") in values}
        if {"min", "max"} <= found.keys():
            return {"statistics": {"min": found["min"], "max": found["max"]}}
        if {"mean", "std"} <= found.keys():
            return {"normalisation": {"action": {"centre": found["mean"], "scale": found["std"]}}}
        return {}

    def load(self, device: torch.device) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
        """(LeRobot's policy in evaluation mode, its preprocessor, its postprocessor), on `device`.

        Raises:
            UsageError: LeRobot or a package of this type of policy is missing, or a file cannot be read.
        """
        with _errors_in_one_line(self), redirect_stdout(StringIO()):  # LeRobot prints how it loads
            return _loaded(self.folder, device)


def statistics_of(folder: Path) -> dict[str, dict[str, list[float]]]:
    """{feature: {mean, std, min, max, ...: numbers}} that the processors of a checkpoint normalise by; empty
    where they keep none, or none that can be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found: dict[str, dict[str, list[float]]] = {}
    for file in sorted(folder.glob("policy_*normalizer*.safetensors")):
        with suppress(SafetensorError, OSError):
            for key, numbers in load_file(file).items():
                feature, _, name = key.rpartition(".")
                if numbers.ndim == 1:
                    found.setdefault(feature, {})[name] = numbers.tolist()
    return found


def _type_of(folder: Path) -> str | None:
    """The type in a folder's config.json, if it is LeRobot's."""
    try:
        config = read_json(folder / "config.json")
    except (OSError, DamagedError):
        return None
    kind = config.get("type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) and "input_features" in config else None


def _loaded(folder: Path, device: torch.device) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
    """See `LeRobotCheckpoint.load`."""
    # Heavy, and optional.
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors
    from lerobot.utils.import_utils import register_third_party_plugins

    register_third_party_plugins()
    config = PreTrainedConfig.from_pretrained(folder)
    config.device = device.type
    policy = get_policy_class(config.type).from_pretrained(folder, config=config)
    on_device = {"device_processor": {"device": device.type}}
    before, after = make_pre_post_processors(
        config, pretrained_path=str(folder), preprocessor_overrides=on_device
    )
    return policy.to(device).eval(), before, after


@contextmanager
def _errors_in_one_line(checkpoint: LeRobotCheckpoint) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"a LeRobot policy of type {checkpoint.kind} needs a package that is not here ({error}): "
            "pip install 'toyflow[robot]', or LeRobot's own extra for it."
        ) from error
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"{checkpoint.where}, a LeRobot policy of type {checkpoint.kind}, cannot be loaded: "
            f"{first_line(error)}"
        ) from error
