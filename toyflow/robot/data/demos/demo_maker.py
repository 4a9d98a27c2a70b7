"""`toyflow robot-demos`: gather episodes, then write the data set.

    OUT/                    the data set, as LeRobot reads it: meta/, data/, maybe videos/
    OUT/demos.json          how it was made, and the expert's success rate
    OUT/manifest.json       checksums of all files
    OUT.episodes/           finished attempts, see `staging`: needed only to continue, or to make more

OUT appears whole, and a larger data set replaces it whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from toyflow.atomic import DamagedError, atomic_folder, read_json, verify_all, write_json
from toyflow.errors import UsageError
from toyflow.machine import describe_environment, installed_version
from toyflow.robot.data.demo_source import DEMOS
from toyflow.robot.data.demos.attempt_progress import AttemptProgress
from toyflow.robot.data.demos.attempt_queue import AttemptQueue
from toyflow.robot.data.demos.attempt_workers import run_attempts
from toyflow.robot.data.demos.data_set_writer import (
    Demonstration,
    VectorNames,
    check_lerobot,
    write_data_set,
)
from toyflow.robot.data.demos.demo_options import DemoOptions
from toyflow.robot.data.demos.expert_report import ExpertReport
from toyflow.robot.data.demos.recording import Attempt, AttemptOutcome, record
from toyflow.robot.data.demos.staging import Staging
from toyflow.robot.simulation.environment import Environment, SuiteTask, load_environment
from toyflow.robot.simulation.simulators import Work, WorkerChannel

FORMAT = 1
"""Version of demos.json's format."""
REPLACED = "replaced"
"""Name in the staging folder of the earlier data set while a new one takes its place."""
PACKAGES = ("lerobot", "hf-libero", "robosuite", "mujoco")


@dataclass(frozen=True)
class DemoReport:
    """A finished data set: its folder, its size, and the expert's success rates."""

    out: Path
    episodes: int
    frames: int
    expert: ExpertReport

    def print(self, console: Console) -> None:
        """Print a table of success rates, and the data set's folder."""
        self.expert.print(console)
        console.print(f"{self.episodes} episodes, {self.frames} frames: {escape(str(self.out))}")


def make_demos(
    options: DemoOptions, console: Console, environment: type[Environment] | None = None
) -> DemoReport:
    """Make the data set that `options` ask for, unless it is finished already, and print the expert's
    success.

    The same options give the same episodes, for any number of jobs and interruptions.

    Args:
        environment: used instead of the plug-in that the options name.

    Raises:
        UsageError: something in the options does not exist or is not installed, a task has no expert, or the
            folder holds something else. Nothing was made.
        ToyflowError: the expert or its worker processes failed too often. Finished attempts are kept.
    """
    environment = environment or load_environment(options.environment)
    options, tasks = options.resolved(environment)
    check_lerobot()
    assets = environment.assets()
    recipe = {
        "format": FORMAT,
        **options.episode_recipe(assets),
        "assets": environment.assets_of(tasks),
        "tasks": [task.index for task in tasks],
        "episodes": options.episodes,
        "video": options.video,
    }
    _check_free(options.out)
    staging = Staging(options.out)
    with staging.claimed(options.episode_recipe(assets)):
        _put_back(options.out, staging)
        report = _existing(options.out, recipe, console)
        if report is None:
            queue = _gather(options, environment, staging, console)
            report = _write(options, recipe, environment, tasks, queue, staging, console)
    report.print(console)
    return report


def _check_free(out: Path) -> None:
    if out.exists() and not (out / DEMOS).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there and was not made by robot-demos; choose another --out.")


def _put_back(out: Path, staging: Staging) -> None:
    """Undo a replacement of the data set that was killed half-way."""
    replaced = staging.folder / REPLACED
    if replaced.exists() and not out.exists():
        replaced.rename(out)


def _existing(out: Path, recipe: dict[str, Any], console: Console) -> DemoReport | None:
    """The report on `out` if it is what `recipe` asks for, and undamaged."""
    if not (out / DEMOS).is_file():
        return None
    try:
        verify_all(out, DamagedError.hint)
    except DamagedError as error:
        console.print(f"[yellow]{escape(str(error))} The data set is written again.[/]")
        return None
    content = read_json(out / DEMOS)
    if content["recipe"] != recipe:
        return None
    steps = [episode["steps"] for episode in content["episodes"]]
    return DemoReport(out, len(steps), sum(steps), ExpertReport.from_dict(content["expert"]))


def _gather(
    options: DemoOptions, environment: type[Environment], staging: Staging, console: Console
) -> AttemptQueue:
    """Make the attempts that are missing; returns the queue with all outcomes."""
    outcomes, damaged = staging.outcomes()
    for error in damaged:
        console.print(f"[yellow]{escape(str(error))} That episode is made again.[/]")
    queue = AttemptQueue(options.tasks or (), options.episodes, outcomes)
    queue.check()
    events = run_attempts(_Recorder(environment, options, staging), queue.take, options.jobs)
    with closing(events), AttemptProgress(console, "episodes", queue.wanted, queue.have) as live:
        for event in events:
            if isinstance(event, AttemptOutcome):
                queue.note(event)
            live.show(event, queue.have)
            queue.check()
    return queue


@dataclass(frozen=True)
class _Recorder(Work[Attempt, AttemptOutcome]):
    """Records attempts into the staging folder."""

    environment: type[Environment]
    options: DemoOptions
    staging: Staging

    def open(self, task: int) -> Environment:
        return self.environment(self.options.suite, task, self.options.image_size)

    def run(self, environment: Environment, job: Attempt, channel: WorkerChannel) -> AttemptOutcome:
        task = self.environment.tasks(self.options.suite)[job.task]
        recorded = record(environment, task, job, self.options.seed, self.options.noise, channel.beat)
        self.staging.write(recorded)
        return recorded.outcome


def _write(
    options: DemoOptions,
    recipe: dict[str, Any],
    environment: type[Environment],
    tasks: Sequence[SuiteTask],
    queue: AttemptQueue,
    staging: Staging,
    console: Console,
) -> DemoReport:
    """Write the data set, let it replace an earlier one, and report on it."""
    attempts = [(task, queue.attempts(task.index)) for task in tasks]
    solved = [(task, outcome) for task, outcomes in attempts for outcome in outcomes if outcome.solved]
    expert = ExpertReport.of(
        options.environment,
        options.suite,
        recipe["assets"],
        f"random initial states, noise {options.noise:g}",
        attempts,
    )
    report = DemoReport(options.out, len(solved), sum(outcome.steps for _, outcome in solved), expert)
    made, replaced = staging.folder / "dataset", staging.folder / REPLACED
    for leftover in (made, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    with console.status("writing the data set"), atomic_folder(made) as folder:
        demonstrations = (
            Demonstration(task.prompt, staging.read(outcome.attempt)) for task, outcome in solved
        )
        write_data_set(
            folder, demonstrations, environment.interface, options.image_size, options.video,
            _names(environment),
        )  # fmt: skip
        content = {
            "recipe": recipe,
            "expert": expert.as_dict(),
            "episodes": [
                {"task": outcome.attempt.task, "attempt": outcome.attempt.number, "steps": outcome.steps}
                for _, outcome in solved
            ],
            "made_on": {
                **describe_environment(),
                **{package: installed_version(package) for package in PACKAGES},
            },
        }
        write_json(folder / DEMOS, content)
    if options.out.exists():
        options.out.rename(replaced)
    made.rename(options.out)
    shutil.rmtree(replaced, ignore_errors=True)
    return report


def _names(environment: type[Environment]) -> VectorNames | None:
    """Names for the data set, where actions are positions that the state has, too, and all numbers have
    names; else None, and numbers are counted."""
    names = VectorNames(environment.state_names, environment.action_names)
    return names if environment.absolute and len(names.state) == environment.interface.state_dim else None
