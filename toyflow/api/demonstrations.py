"""`toyflow robot-demos`, and the demonstrations that `robot-train` makes for a first policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from toyflow.api.command_options import FIRST_EPISODES, FIRST_IMAGE_SIZE
from toyflow.machine import cores
from toyflow.parsing import parse_numbers
from toyflow.robot.data.demos import DemoOptions, expert_success, make_demos
from toyflow.robot.simulation.environment import Environment, find_tasks, load_environment
from toyflow.robot.simulation.task_selection import select_tasks
from toyflow.robot.simulation.trial_options import ALL, AUTO, ENVIRONMENT, TrialOptions

HOME = Path("data/demos")
"""Default folder of data sets."""


@dataclass(frozen=True)
class TaskChoice:
    """Which tasks of a suite; see `toyflow.robot.simulation.task_selection.select_tasks`.

    Attributes:
        tasks: `all`, or numbers such as 0-4,7.
        perturb, levels, sample: see `TrialOptions`.
        seed: of the sample.
    """

    tasks: str = ALL
    perturb: str = TrialOptions.perturb
    levels: str = TrialOptions.levels
    sample: int = TrialOptions.sample
    seed: int = 0

    def numbers(self, environment: type[Environment], suite: str, console: Console) -> tuple[int, ...] | None:
        """The tasks' numbers, None for all; prints how many of those that are asked for cannot run here.
        Raises UsageError where there are none."""
        asked = None if self.tasks == ALL else parse_numbers(self.tasks, "--tasks")
        if (self.perturb, self.levels, self.sample) == (ALL, ALL, 0) and not any(
            task.missing for task in find_tasks(environment, suite, asked)
        ):
            return asked
        able, missing = select_tasks(
            environment, suite, asked, self.perturb, self.levels, self.sample, self.seed
        )
        if missing:
            why = "; ".join(dict.fromkeys(task.missing for task in missing))
            console.print(f"[yellow]{len(missing)} of the tasks cannot run here: {escape(why)}[/]")
        return tuple(task.index for task in able)


def record_demonstrations(
    console: Console,
    *,
    environment: str,
    suite: str,
    tasks: TaskChoice,
    episodes: int,
    seed: int,
    noise: float,
    image_size: int,
    video: str | None = None,
    jobs: int | None = None,
    out: Path | None = None,
) -> None:
    """Record demonstrations of a scripted expert as a LeRobot data set, and print how the expert did.

    Args:
        console: where progress and the table are printed.
        environment: the simulator.
        suite: suite of the simulator.
        tasks: which tasks of the suite.
        episodes: demonstrations of each task.
        seed: seed of the random resets and the noise.
        noise: standard deviation of what is added to actions as they are carried out, not as they are
            recorded, in the expert's units; see `Expert.noise_scale`.
        image_size: side of the images, in pixels.
        video: av1 or h264; None for exact images.
        jobs: simulators at a time; None for one per processor.
        out: the data set's folder; None for data/demos/SUITE.

    Raises:
        UsageError: something does not exist or is not installed; nothing was made.
        ToyflowError: the expert, or its processes, failed too often; what is finished is kept.
    """
    chosen = tasks.numbers(load_environment(environment), suite, console)
    options = DemoOptions(
        out or HOME / suite, suite, chosen, episodes, seed, noise, image_size, environment, video,
        cores() if jobs is None else jobs,
    )  # fmt: skip
    make_demos(options, console)


def check_expert(
    console: Console, *, environment: str, suite: str, tasks: TaskChoice, states: int, jobs: int | None = None
) -> None:
    """Run the scripted expert from official initial states, and print how often it succeeds.

    Args:
        console: where progress and the table are printed.
        environment: the simulator.
        suite: suite of the simulator.
        tasks: which tasks of the suite.
        states: how many official initial states of each task.
        jobs: simulators at a time; None for one per processor.

    Raises:
        UsageError: no such suite or task, no expert for it, or it has fewer states.
        ToyflowError: processes kept dying.
    """
    simulator, at_once = load_environment(environment), jobs or cores()
    chosen = tasks.numbers(simulator, suite, console)
    expert_success(simulator, suite, chosen, states, at_once, console).print(console)


def first_demonstrations(out: Path, environment: str, console: Console) -> Path:
    """A few demonstrations of one task, in OUT/demos; those that are there are kept.

    Args:
        out: a results folder.
        environment: the simulator; `auto` for the default one.
        console: where progress and the table are printed.

    Raises:
        UsageError, ToyflowError: as `record_demonstrations`.
    """
    folder, simulator = out / "demos", ENVIRONMENT if environment == AUTO else environment
    options = DemoOptions(
        folder, tasks=(0,), episodes=FIRST_EPISODES, image_size=FIRST_IMAGE_SIZE, environment=simulator
    )
    make_demos(options, console)
    return folder
