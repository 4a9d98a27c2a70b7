"""LeRobot's policies as cells of a results folder, to be evaluated and compared like our own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from toyflow.atomic import MANIFEST, DamagedError, read_sealed, verify_all, write_sealed
from toyflow.errors import UsageError
from toyflow.machine import installed_version
from toyflow.robot.interface import Interface
from toyflow.robot.lerobot import lerobot_format
from toyflow.robot.lerobot.adapt import can_decode, schedule_of, steps_at
from toyflow.robot.lerobot.flow_policies import flow_policy
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner
from toyflow.robot.policy.card import write_card
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining, Trained
from toyflow.training.loop import CurvePoint, TrainingCurve

_NO_CURVE = pd.DataFrame(TrainingCurve([CurvePoint(0, 0.0, [], 0.0, 0.0)]).rows()).iloc[:0]


def import_checkpoint(
    checkpoint: LeRobotCheckpoint, cameras: Mapping[str, str], store: Store
) -> StoredTraining:
    """The cell of a LeRobot policy, made if it does not exist yet.

    A policy of type `toyflow` is copied with its weights, and is then like one that was trained here; for
    others the cell refers to the checkpoint.

    Args:
        cameras: {policy camera: robot camera}, where the names differ.

    Raises:
        UsageError: the policy cannot be loaded.
        DamagedError: toyflow exported it, and a file is not as it was written.
    """
    ours = checkpoint.kind == lerobot_format.TYPE
    if ours and (checkpoint.folder / MANIFEST).is_file():
        verify_all(checkpoint.folder, "Export it again: toyflow robot-export.")
    data = {"checkpoint": checkpoint.name, "fingerprint": checkpoint.fingerprint}
    if cameras:
        data["cameras"] = "+".join(f"{own}={robot}" for own, robot in sorted(cameras.items()))
    if ours and cameras:
        raise UsageError("--rename is not for policies of type toyflow, which keep their cameras' names.")
    file = str(checkpoint.folder / "config.json")
    known = lerobot_format.decoded(checkpoint.config, file) if ours else None
    schedule, time_sampling = schedule_of(checkpoint.folder) or (None, None)
    record = TrainingRecord(
        task="robot",
        model={"policy": checkpoint.kind, **({"size": known.spec.size} if known else {})},
        objective=known.objective if known else f"lerobot:{checkpoint.kind}",
        schedule=known.schedule if known else schedule,
        time_sampling=known.time_sampling if known else time_sampling,
        seed=0,
        recipe={},
        data=data,
        prediction=known.prediction if known else None,
    )
    store.check_task(record.task)
    store.prepare()
    if not store.has_training(record):
        trained = _copied(checkpoint, known) if known else _referred(checkpoint, cameras)
        while not store.has_training(record):  # another process may be importing the same
            with store.try_claim(record) as claimed:
                if claimed:
                    store.write_training(record, trained, {})
                    write_card(store, record.key)
            time.sleep(0 if claimed else 0.1)
    stored = store.training(record.key)
    place = _place(stored)
    place.parent.mkdir(exist_ok=True)
    write_sealed(place, {"folder": str(checkpoint.folder.resolve())})
    return stored


def can_act_in(imported: Mapping[str, Any], steps: int) -> bool:
    """Whether the policy of a cell can act in `steps` steps.

    Args:
        imported: the cell's `details["imported"]`.
    """
    return can_decode(imported["type"], steps, imported.get("steps_at"))


def can_average(imported: Mapping[str, Any]) -> bool:
    """Whether draws of the policy of a cell can be averaged; `imported` as for `can_act_in`."""
    return imported.get("takes_noise", bool(flow_policy(imported["type"]).denoiser))


def place_of_checkpoint(training: StoredTraining) -> Path | None:
    """The folder of the LeRobot policy that a cell refers to; None where it is not known or has moved."""
    place = _place(training)
    try:
        folder = Path(read_sealed(place)["folder"]) if place.is_file() else None
    except (DamagedError, KeyError):
        return None
    return folder if folder and folder.is_dir() else None


def open_imported(training: StoredTraining, device: torch.device) -> LeRobotPlanner:
    """The policy that a cell of `import_checkpoint` refers to, ready to act.

    Raises:
        UsageError: it has moved, or cannot be loaded.
        DamagedError: another policy lies in its place.
    """
    place = _place(training)
    again = f"`toyflow robot-eval FOLDER --out {training.folder.parent.parent}`."
    hint = f"Say where the policy is: {again}"
    folder = Path(read_sealed(place, hint)["folder"]) if place.is_file() else None
    checkpoint = LeRobotCheckpoint.found(str(folder)) if folder and folder.is_dir() else None
    if checkpoint is None:
        was = folder or training.details["imported"]["from"]
        raise UsageError(f"{was} holds no policy any more; evaluate it again from where it is now: {again}")
    if checkpoint.fingerprint != training.record.data["fingerprint"]:
        raise DamagedError(
            f"{folder} is not the policy that {training.folder} refers to: its fingerprint is "
            f"{checkpoint.fingerprint}, not {training.record.data['fingerprint']}.",
            f"Put that policy back, or evaluate this one as a cell of its own: {again}",
        )
    return LeRobotPlanner(checkpoint, device, training.details["imported"]["cameras"])


def _place(training: StoredTraining) -> Path:
    """The file with a checkpoint's path on this machine, which does not enter the cell's key."""
    return training.folder.parent.parent / "imported" / f"{training.record.key}.json"


def _referred(checkpoint: LeRobotCheckpoint, cameras: Mapping[str, str]) -> Trained:
    planner = LeRobotPlanner(checkpoint, torch.device("cpu"), cameras)
    imported = {
        **_origin(checkpoint, planner.interface, planner.horizon),
        "cameras": planner.cameras,
        "image_size": planner.image_size,
        "replan": planner.replan,
        "steps_at": steps_at(planner.policy),
        "takes_noise": _takes_noise(planner),
    }
    details = {"imported": imported, "parameters": planner.parameters, "seconds": 0.0, "made_of": {}}
    return Trained({}, _NO_CURVE, details)


def _takes_noise(planner: LeRobotPlanner) -> bool:
    try:
        return planner.takes_noise
    except UsageError:
        return False


def _copied(checkpoint: LeRobotCheckpoint, known: lerobot_format.Decoded) -> Trained:
    weights = lerobot_format.read_weights(checkpoint.folder)
    details = {
        "imported": _origin(checkpoint, known.spec.interface, known.spec.horizon),
        "policy": {**known.spec.as_dict(), "pretrained": False},
        "normalisation": known.normalisation.as_dict(),
        **({"motion": known.motion} if known.motion else {}),
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "seconds": 0.0,
        "made_of": {},
    }
    return Trained(weights, _NO_CURVE, details)


def _origin(checkpoint: LeRobotCheckpoint, interface: Interface, horizon: int) -> dict[str, Any]:
    return {
        "from": checkpoint.where,
        "type": checkpoint.kind,
        "lerobot": installed_version("lerobot"),
        "interface": interface.as_dict(),
        "horizon": horizon,
    }
