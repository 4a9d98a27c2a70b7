"""What the episodes of a data set were to a policy: of its training, held out of it, or not known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toyflow.atomic import DamagedError, read_json
from toyflow.report.policy_probe import Origin
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.training_part import Demonstrations, held_out_episodes
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner
from toyflow.robot.planner import Planner
from toyflow.sweep.stored import StoredTraining


def origin_of(
    training: StoredTraining, planner: Planner, data: DataSet, episodes: Sequence[int] | None
) -> Origin:
    """Whether frames of these episodes were trained on, as far as the checkpoint tells."""
    trained = _trained_on(training, planner, data)
    if trained is None:
        return "frames that may be of training"
    asked = set(range(data.episodes) if episodes is None else episodes)
    if not asked & trained:
        ours = "dataset_path" in training.details
        return "held-out episodes" if ours else "episodes held out of its last training"
    return "frames of training"


def _trained_on(training: StoredTraining, planner: Planner, data: DataSet) -> set[int] | None:
    """The episodes of `data` that the policy was trained on; None where that is not known."""
    every = set(range(data.episodes))
    if "dataset_path" in training.details:
        return every - set(held_out_of(training, data)) if is_of_training(training, data) else None
    if not isinstance(planner, LeRobotPlanner):
        return None
    try:  # what lerobot-train writes beside the weights, of its last run alone
        said = read_json(planner.checkpoint.folder / "train_config.json")["dataset"]
        names = {said["repo_id"], said.get("root")}
        chosen = said.get("episodes")
        same = data.where in names or str(Path(data.where).resolve()) in names
        return (every if chosen is None else {int(episode) for episode in chosen}) if same else None
    except (OSError, DamagedError, KeyError, TypeError, ValueError, AttributeError):
        return None


def held_out_of(training: StoredTraining, data: DataSet) -> list[int]:
    """The episodes of the data set of the training that `robot-train --hold-out` kept out of it."""
    return held_out_episodes(data.episodes, Demonstrations.parse(training.record.data).hold_out)


def is_of_training(training: StoredTraining, data: DataSet) -> bool:
    """Whether toyflow trained the policy on this data set."""
    return "dataset_path" in training.details and data.is_of(training.record.data)
