"""A policy evaluated in closed loop. Every finished episode is stored at once, and not run again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toyflow import scene_assets
from toyflow.atomic import DamagedError, read_sealed, remove_stale, write_sealed
from toyflow.errors import ToyflowError
from toyflow.footnotes import MOST_REASONS
from toyflow.robot.planner import Planner
from toyflow.robot.simulation.environment import SuiteTask, find_tasks, load_environment
from toyflow.robot.simulation.rollout import Episode, EpisodeOutcome, RolloutSetup, episode_seed
from toyflow.robot.simulation.task_selection import NO_LEVEL
from toyflow.robot.simulation.trial_options import OFFICIAL
from toyflow.robot.simulation.trials import Trials
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.stored import EPISODE_SCORE, wilson_bounds

LOG = logging.getLogger(__name__)

OnEpisode = Callable[[int, int, Sequence[EpisodeOutcome]], None]
"""Called with (episodes done, episodes in all, the outcomes so far)."""

ORIGIN = ("perturbation", "level", "base_suite", "base_task")
"""Columns of episodes whose tasks vary others."""

Run = Callable[[RolloutSetup, Sequence[Episode]], Iterator[EpisodeOutcome]]
"""Runs episodes and yields their outcomes as they end: `run_episodes` with a policy, or `run_shards`."""


def evaluate_policy(
    planner: Planner,
    trials: Trials,
    record: EvaluationRecord,
    folder: Path,
    run: Run,
    videos: int = 0,
    on_episode: OnEpisode = lambda done, total, outcomes: None,
) -> pd.DataFrame:
    """Run all episodes of `trials` that are not stored yet.

    Args:
        planner: ready to act as `record` says, in its number of steps.
        folder: where finished episodes are stored. No other process may be at work there: half-written files
            of a killed one are removed.
        run: runs the episodes.
        videos: how many episodes of each task are filmed, into `folder`/videos.
        on_episode: called at the start and after every episode.

    Returns:
        A row per episode, by task and state: success (0 or 1, missing where there is an error), task, state,
        steps, seconds, error, not_finite (0 or 1); where the environment scores episodes, also episode_score;
        where tasks vary others, also perturbation, level, base_suite and base_task.
    """
    remove_stale([*folder.glob("episodes/.*"), *folder.glob("videos/.*")])
    tasks = find_tasks(load_environment(trials.environment), trials.suite, trials.tasks)
    ledger = Ledger(folder / "episodes", trials, record, tasks)
    done = list(ledger.outcomes())
    known = {(outcome.task, outcome.state) for outcome in done}
    todo = [
        Episode(
            task.index,
            state,
            episode_seed(record.noise_seed, trials.suite, task.index, state),
            task.max_steps,
            str(
                folder
                / "videos"
                / f"{trials.suite}-task-{task.index:02d}-state-{state:03d}-{_file_name(record)}"
            )
            if place < videos
            else None,
            (task.official_prompt or None) if trials.prompts == OFFICIAL else None,
        )
        for task in tasks
        for place, state in enumerate(trials.states)
        if (task.index, state) not in known
    ]
    setup = RolloutSetup(
        trials.environment, trials.suite, planner.image_size, trials.replan, trials.rendering,
        planner.history, trials.latency_steps, trials.handover,
    )  # fmt: skip
    total = len(done) + len(todo)
    on_episode(len(done), total, done)
    for outcome in run(setup, todo):
        ledger.keep(outcome)
        done.append(outcome)
        on_episode(len(done), total, done)
    rows = [
        {**asdict(each), "success": None if each.error else each.success, EPISODE_SCORE: each.score}
        for each in done
    ]
    scored = [EPISODE_SCORE] if any(each.score is not None for each in done) else []
    columns = ["success", *scored, "task", "state", "steps", "seconds", "error", "not_finite"]
    frame = pd.DataFrame(rows, columns=columns).astype({"success": "Int64", "not_finite": int})
    return _with_origins(frame.sort_values(["task", "state"]).reset_index(drop=True), tasks)


def _with_origins(frame: pd.DataFrame, tasks: Sequence[SuiteTask]) -> pd.DataFrame:
    """The same, with what each task varies, and how, where any task does."""
    origins = {task.index: origin(task) for task in tasks}
    if any(origins.values()):
        for name in ORIGIN:
            frame[name] = [origins[task].get(name) for task in frame["task"]]
    return frame


def origin(task: SuiteTask) -> dict[str, Any]:
    """What a task varies, and how, by the names of `ORIGIN`; empty where it varies none."""
    if not task.perturbation:
        return {}
    suite, name = task.base or (None, None)
    return dict(zip(ORIGIN, (task.perturbation, task.level, suite, name), strict=True))


def missing_tasks(trials: Trials) -> list[dict[str, Any]]:
    """The tasks that were asked for and cannot run here, by perturbation: how many, and why."""
    if not trials.missing:
        return []
    tasks = load_environment(trials.environment).tasks(trials.suite)
    why = {task.perturbation or "none": task.missing for task in tasks if task.missing}
    found = []
    for name, count in trials.missing_counts.items():
        ungraded = trials.no_level_counts.get(name, 0)
        reason = why.get(name, "") if ungraded < count else NO_LEVEL
        if 0 < ungraded < count:
            reason = f"{reason.rstrip('.')}; {ungraded} of them: {NO_LEVEL}"
        found.append({"perturbation": name, "tasks": count, "why": reason})
    return found


def counts(outcomes: pd.DataFrame) -> dict[str, Any]:
    """What `Evaluated.details` says of `evaluate_policy`'s table: the share of solved episodes among those
    that ended without an error and, where there are scores, their mean; and how many of each there are.

    Raises:
        ToyflowError: every episode ended in an error.
    """
    lost = outcomes["error"].notna()
    reasons = list(dict.fromkeys(outcomes["error"][lost]))
    if lost.all():
        raise ToyflowError(
            f"every episode ended in an error, so nothing is known of the policy: {reasons[0]}."
        )
    return {
        "metrics": {
            name: float(outcomes[name][~lost].mean())
            for name in ("success", EPISODE_SCORE)
            if name in outcomes
        },
        "examples": int((~lost).sum()),
        "episodes": len(outcomes),
        "errors": int(lost.sum()),
        "error_reasons": reasons[:MOST_REASONS],
        "not_finite": int(outcomes["not_finite"].sum()),
        "tasks": [
            {
                "task": int(str(task)),
                **_hits(group["success"], group["error"].notna()),
                **{name: _plain(group[name].iloc[0]) for name in ORIGIN if name in group},
            }
            for task, group in outcomes.groupby("task")
        ],
    }


def _hits(success: pd.Series, lost: pd.Series) -> dict[str, Any]:
    """Successes and episodes of a task, with Wilson's 95 % interval; its errors count beside."""
    hits, episodes = int(success.sum()), int((~lost).sum())
    return {"hits": hits, "episodes": episodes, **wilson_bounds(hits, episodes), "errors": int(lost.sum())}


def _plain(value: Any) -> Any:
    """A value of a table as JSON knows it; None where the table has none."""
    return (
        None if pd.isna(value) else int(value) if isinstance(value, (int, float, np.integer)) else str(value)
    )


class Ledger:
    """Finished episodes on disk, a small file each; its name and content say which evaluation it belongs
    to."""

    def __init__(
        self, folder: Path, trials: Trials, record: EvaluationRecord, tasks: Sequence[SuiteTask]
    ) -> None:
        self.folder = folder
        self.trials = trials
        self._record = record.as_dict()
        del self._record["test_set"]
        self._belongs = {task.index: self._of(task.extra_assets) for task in tasks}

    def _of(self, extra_assets: str) -> dict[str, Any]:
        """Which evaluation the episodes of a task belong to, whatever other tasks or states it has: more of
        them extend what there is."""
        assets = scene_assets.with_extra(scene_assets.without_extra(self.trials.assets), [extra_assets])
        shared = replace(self.trials, tasks=(), states=(), missing="", assets=assets)
        return {"trials": str(shared), **self._record}

    def outcomes(self) -> Iterator[EpisodeOutcome]:
        """The stored outcomes of these trials; damaged ones are left out, with a warning."""
        for task in self.trials.tasks:
            for state in self.trials.states:
                outcome = self._read(task, state)
                if outcome is not None:
                    yield outcome

    def keep(self, outcome: EpisodeOutcome) -> None:
        """Store an outcome, atomically. Errors are not stored: the next run tries these episodes again."""
        if outcome.error is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(outcome.task, outcome.state)
        values = asdict(outcome)
        if outcome.score is None:  # as files of earlier versions have it
            del values["score"]
        write_sealed(path, {"belongs": self._belongs[outcome.task], "outcome": values})

    def _read(self, task: int, state: int) -> EpisodeOutcome | None:
        path = self._path(task, state)
        if not path.exists():
            return None
        try:
            values = read_sealed(path)
        except DamagedError as error:
            LOG.warning("%s That episode is run again.", error)
            return None
        return EpisodeOutcome(**values["outcome"]) if values["belongs"] == self._belongs[task] else None

    def _path(self, task: int, state: int) -> Path:
        return self.folder / f"{_digest(self._belongs[task])[:12]}-task-{task:02d}-state-{state:03d}.json"


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _file_name(record: EvaluationRecord) -> str:
    return record.label.replace(" ", "-").replace("=", "")
