"""Policies that LeRobot trained, as cells of a results folder: evaluated, compared and shown like our own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from toyflow.atomic import DamagedError
from toyflow.errors import UsageError
from toyflow.machine import installed_version
from toyflow.robot.card import write_card
from toyflow.robot.planners.lerobot import LeRobotCheckpoint, LeRobotPlanner
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store, StoredTraining, Trained
from toyflow.training.loop import CurvePoint, TrainingCurve

_NO_CURVE = pd.DataFrame(TrainingCurve([CurvePoint(0, 0.0, [], 0.0, 0.0)]).rows()).iloc[:0]


def import_checkpoint(
    checkpoint: LeRobotCheckpoint, cameras: Mapping[str, str], store: Store
) -> StoredTraining:
    """The cell of a LeRobot policy, made if it is not there yet; it names the checkpoint without a copy.

    Args:
        cameras: the robot's camera by the policy's, where their names differ.

    Raises:
        UsageError: the policy cannot be loaded.
    """
    data = {"checkpoint": checkpoint.name, "fingerprint": checkpoint.fingerprint}
    if cameras:
        data["cameras"] = "+".join(f"{own}={robot}" for own, robot in sorted(cameras.items()))
    record = TrainingRecord(
        task="robot",
        model={"policy": checkpoint.kind},
        objective=f"lerobot:{checkpoint.kind}",
        schedule=None,
        time_sampling=None,
        seed=0,
        recipe={},
        data=data,
    )
    store.prepare()
    if not store.has_training(record):
        planner = LeRobotPlanner(checkpoint, torch.device("cpu"), cameras)
        store.write_training(record, Trained({}, _NO_CURVE, _details(planner)), {})
        write_card(store, record.key)
    return store.training(record.key)


def open_imported(training: StoredTraining, device: torch.device) -> LeRobotPlanner:
    """The policy behind such a cell.

    Raises:
        UsageError: it is no longer where it was, or cannot be loaded.
        DamagedError: it is there, and is another one.
    """
    imported = training.details["imported"]
    checkpoint = LeRobotCheckpoint.found(imported["folder"])
    if checkpoint is None:
        raise UsageError(
            f"{imported['folder']} holds no policy any more; evaluate it again from where it is now: "
            f"`toyflow robot-eval FOLDER --out {training.folder.parent.parent}`."
        )
    if checkpoint.fingerprint != training.record.data["fingerprint"]:
        raise DamagedError(
            f"{imported['folder']} is not the policy that {training.folder} speaks of: its fingerprint is "
            f"{checkpoint.fingerprint}, not {training.record.data['fingerprint']}."
        )
    return LeRobotPlanner(checkpoint, device, imported["cameras"])


def _details(planner: LeRobotPlanner) -> dict[str, Any]:
    checkpoint = planner.checkpoint
    return {
        "imported": {
            "folder": str(Path(checkpoint.folder).resolve()),
            "from": checkpoint.where,
            "type": checkpoint.kind,
            "lerobot": installed_version("lerobot"),
            "cameras": planner.cameras,
            "interface": planner.interface.as_dict(),
            "image_size": planner.image_size,
            "horizon": planner.horizon,
            "replan": planner.replan,
        },
        "parameters": planner.parameters,
        "seconds": 0.0,
        "made_of": {},
    }
