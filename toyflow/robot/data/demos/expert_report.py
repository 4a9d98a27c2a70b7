"""The scripted expert's success rates by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow import scene_assets
from toyflow.robot.data.demos.recording import AttemptOutcome
from toyflow.robot.simulation.environment import SuiteTask
from toyflow.stats import wilson

MOST_TASKS = 20
"""With more tasks of a benchmark, a report has a row per perturbation and suite instead."""


@dataclass(frozen=True)
class TaskReport:
    """The expert on one task, or on several together.

    Attributes:
        steps: mean over solved attempts.
        seconds: mean over all attempts.
    """

    name: str
    attempts: int
    solved: int
    steps: float
    seconds: float

    @classmethod
    def of(cls, name: str, outcomes: Sequence[AttemptOutcome]) -> TaskReport:
        """The report on one or more attempts."""
        solved = [outcome for outcome in outcomes if outcome.solved]
        steps = sum(outcome.steps for outcome in solved) / max(1, len(solved))
        seconds = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
        return cls(name, len(outcomes), len(solved), steps, seconds)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, with the success rate's Wilson interval at 95 %."""
        interval = wilson(self.solved, self.attempts)
        return {**asdict(self), "success": [interval.estimate, interval.low, interval.high]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TaskReport:
        """The report that `as_dict` gave."""
        return cls(**{key: value for key, value in values.items() if key != "success"})


@dataclass(frozen=True)
class ExpertReport:
    """The expert on several tasks.

    Attributes:
        assets: see `Environment.assets_of`.
        states: the initial states of the attempts, in words.
    """

    suite: str
    assets: str
    states: str
    tasks: tuple[TaskReport, ...]
    total: TaskReport
    environment: str = ""
    """The simulator's name; empty in older data sets."""

    @classmethod
    def of(
        cls,
        environment: str,
        suite: str,
        assets: str,
        states: str,
        attempts: Sequence[tuple[SuiteTask, Sequence[AttemptOutcome]]],
    ) -> ExpertReport:
        """The report on the attempts at each task; of many tasks that vary others, by perturbation and
        suite."""
        rows: dict[str, list[AttemptOutcome]] = {}
        for task, outcomes in attempts:
            name = _cell(task) if len(attempts) > MOST_TASKS else ""
            rows.setdefault(name or f"{task.index} {task.prompt}", []).extend(outcomes)
        tasks = tuple(TaskReport.of(name, outcomes) for name, outcomes in rows.items())
        total = TaskReport.of("total", [outcome for _, outcomes in attempts for outcome in outcomes])
        return cls(suite, assets, states, tasks, total, environment)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        tasks = [task.as_dict() for task in self.tasks]
        return {**vars(self), "tasks": tasks, "total": self.total.as_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExpertReport:
        """The report that `as_dict` gave."""
        tasks = tuple(map(TaskReport.from_dict, values["tasks"]))
        return cls(**{**values, "tasks": tasks, "total": TaskReport.from_dict(values["total"])})

    def print(self, console: Console) -> None:
        """Print it as a table."""
        title = f"scripted expert on {self.suite}, {self.states}"
        if caveat := scene_assets.caveat(self.environment, self.assets):
            title += f"; {caveat}"
        table = Table("task", title=escape(title), title_justify="left")
        for column in ("solved", "attempts", "success (95 %)", "steps", "s/attempt"):
            table.add_column(column, justify="right")
        for task in self.tasks:
            table.add_row(*_cells(task))
        table.add_section()
        table.add_row(*_cells(self.total), style="bold")
        console.print(table)


def _cell(task: SuiteTask) -> str:
    """`swap, libero_goal`; "" of a task that varies none."""
    return ", ".join(filter(None, (task.perturbation, task.base[0] if task.base else "")))


def _cells(report: TaskReport) -> list[str]:
    interval = wilson(report.solved, report.attempts)
    success = f"{interval.estimate:.0%} ({interval.low:.0%} to {interval.high:.0%})"
    numbers = [
        str(report.solved),
        str(report.attempts),
        success,
        f"{report.steps:.0f}",
        f"{report.seconds:.1f}",
    ]
    return [escape(report.name), *numbers]
