"""`toyflow robot-demos`, and the demonstrations that `robot-train` makes for a first policy."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from toyflow.api.command_options import FIRST_EPISODES, FIRST_IMAGE_SIZE
from toyflow.machine import cores
from toyflow.parsing import parse_numbers
from toyflow.robot.data.demos import DemoOptions, expert_success, make_demos
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.trial_options import AUTO, ENVIRONMENT

ALL_TASKS = "all"
HOME = Path("data/demos")
"""Default folder of data sets."""


def record_demonstrations(
    console: Console,
    *,
    environment: str,
    suite: str,
    tasks: str,
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
        tasks: tasks of the suite: `all`, or numbers such as 0-4,7.
        episodes: demonstrations of each task.
        seed: seed of the random resets and the noise.
        noise: standard deviation of what is added to actions as they are carried out, not as they are
            recorded, in the action's units, which run from -1 to 1.
        image_size: side of the images, in pixels.
        video: av1 or h264; None for exact images.
        jobs: simulators at a time; None for one per processor.
        out: the data set's folder; None for data/demos/SUITE.

    Raises:
        UsageError: something does not exist or is not installed; nothing was made.
        ToyflowError: the expert, or its processes, failed too often; what is finished is kept.
    """
    options = DemoOptions(
        out or HOME / suite, suite, _tasks(tasks), episodes, seed, noise, image_size, environment, video,
        cores() if jobs is None else jobs,
    )  # fmt: skip
    make_demos(options, console)


def check_expert(
    console: Console, *, environment: str, suite: str, tasks: str, states: int, jobs: int | None = None
) -> None:
    """Run the scripted expert from official initial states, and print how often it succeeds.

    Args:
        console: where progress and the table are printed.
        environment: the simulator.
        suite: suite of the simulator.
        tasks: tasks of the suite: `all`, or numbers such as 0-4,7.
        states: how many official initial states of each task.
        jobs: simulators at a time; None for one per processor.

    Raises:
        UsageError: no such suite or task, no expert for it, or it has fewer states.
        ToyflowError: processes kept dying.
    """
    simulator, at_once = load_environment(environment), jobs or cores()
    expert_success(simulator, suite, _tasks(tasks), states, at_once, console).print(console)


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


def _tasks(text: str) -> tuple[int, ...] | None:
    return None if text == ALL_TASKS else parse_numbers(text, "--tasks")
