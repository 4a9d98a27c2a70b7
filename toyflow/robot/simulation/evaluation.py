"""A policy in closed loop, episode by episode; every finished episode is kept at once and not run again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from toyflow.atomic import DamagedError, read_sealed, remove_stale, write_sealed
from toyflow.robot.planner import Planner
from toyflow.robot.simulation.environment import find_tasks, load_environment
from toyflow.robot.simulation.rollout import Episode, EpisodeOutcome, RolloutSetup, episode_seed
from toyflow.robot.simulation.trials import Trials
from toyflow.sweep.records import EvaluationRecord

LOG = logging.getLogger(__name__)

OnEpisode = Callable[[int, int, Sequence[EpisodeOutcome]], None]
"""(episodes done, of how many, their outcomes)"""

Run = Callable[[RolloutSetup, Sequence[Episode]], Iterator[EpisodeOutcome]]
"""The outcome of every episode, as they end."""


def evaluate_policy(
    planner: Planner,
    trials: Trials,
    record: EvaluationRecord,
    folder: Path,
    run: Run,
    videos: int = 0,
    on_episode: OnEpisode = lambda done, total, outcomes: None,
) -> pd.DataFrame:
    """A row per episode, by task and state: success (0 or 1), steps, seconds, error.

    Args:
        folder: where finished episodes are kept; those of these trials and this `record` are not run again.
            Nobody else may be at work there: what a killed process left half-written is cleared.
        run: what runs them; see `run_episodes`.
        videos: how many episodes of each task are filmed, into `folder`/videos.
    """
    remove_stale([*folder.glob("episodes/.*"), *folder.glob("videos/.*")])
    ledger = Ledger(folder / "episodes", trials, record)
    done = list(ledger.outcomes())
    known = {(outcome.task, outcome.state) for outcome in done}
    longest = {
        task.index: task.max_steps
        for task in find_tasks(load_environment(trials.environment), trials.suite, trials.tasks)
    }
    todo = [
        Episode(
            task,
            state,
            episode_seed(record.noise_seed, trials.suite, task, state),
            longest[task],
            str(folder / "videos" / f"{trials.suite}-task-{task:02d}-state-{state:03d}-{_file_name(record)}")
            if place < videos
            else None,
        )
        for task in trials.tasks
        for place, state in enumerate(trials.states)
        if (task, state) not in known
    ]
    setup = RolloutSetup(
        trials.environment, trials.suite, planner.image_size, trials.replan, trials.rendering, planner.history
    )
    total = len(done) + len(todo)
    on_episode(len(done), total, done)
    for outcome in run(setup, todo):
        ledger.keep(outcome)
        done.append(outcome)
        on_episode(len(done), total, done)
    rows = [{**asdict(outcome), "success": int(outcome.success)} for outcome in done]
    frame = pd.DataFrame(rows, columns=["success", "task", "state", "steps", "seconds", "error"])
    return frame.sort_values(["task", "state"]).reset_index(drop=True)


class Ledger:
    """Finished episodes, a small file each, whose name and content say what they belong to."""

    def __init__(self, folder: Path, trials: Trials, record: EvaluationRecord) -> None:
        self.folder = folder
        self.trials = trials
        shared = replace(trials, tasks=(), states=())  # more tasks or states extend what there is
        self.belongs = {"trials": str(shared), **record.as_dict()}
        del self.belongs["test_set"]

    def outcomes(self) -> Iterator[EpisodeOutcome]:
        """Those that are there and whole, of these trials."""
        for task in self.trials.tasks:
            for state in self.trials.states:
                outcome = self._read(self._path(task, state))
                if outcome is not None:
                    yield outcome

    def keep(self, outcome: EpisodeOutcome) -> None:
        """Write one, atomically. Errors are not kept: the next run tries them again."""
        if outcome.error is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(outcome.task, outcome.state)
        write_sealed(path, {"belongs": self.belongs, "outcome": asdict(outcome)})

    def _read(self, path: Path) -> EpisodeOutcome | None:
        if not path.exists():
            return None
        try:
            values = read_sealed(path)
        except DamagedError as error:
            LOG.warning("%s That episode is run again.", error)
            return None
        return EpisodeOutcome(**values["outcome"]) if values["belongs"] == self.belongs else None

    def _path(self, task: int, state: int) -> Path:
        return self.folder / f"{_digest(self.belongs)[:12]}-task-{task:02d}-state-{state:03d}.json"


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _file_name(record: EvaluationRecord) -> str:
    return record.label.replace(" ", "-").replace("=", "")
