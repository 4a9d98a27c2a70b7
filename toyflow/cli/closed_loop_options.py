"""Options of an evaluation in closed loop, which robot-train and robot-eval take."""

from __future__ import annotations

from typing import Annotated

import typer

from toyflow.api.command_options import ROBOT_TRAIN
from toyflow.cli import completion
from toyflow.cli.options import (
    shown,
)
from toyflow.robot.simulation.trial_options import ENVIRONMENT, TrialOptions

STEPS = shown(ROBOT_TRAIN.steps)
Steps = Annotated[str, typer.Option(help="Numbers K of denoising steps to evaluate with.")]
DRAWS, GRIDS = shown(ROBOT_TRAIN.draws), shown(ROBOT_TRAIN.grid)
Draws = Annotated[
    str,
    typer.Option(help="Numbers M of noises whose answers are averaged, such as 1,8: 1, or even numbers."),
]
Grids = Annotated[
    str,
    typer.Option(
        help="Times of the steps: uniform, a schedule's name, or times such as 0:0.9:1.",
        autocompletion=completion.listed(completion.schedule),
    ),
]
Suite = Annotated[
    str | None,
    typer.Option(
        help="Suite to evaluate on; none to train only.",
        show_default="the suite of the data",
        autocompletion=completion.suite,
    ),
]
Tasks = Annotated[
    str | None,
    typer.Option(help="Tasks of the suite: all, or numbers such as 0-4,7.", show_default="those of the data"),
]
States = Annotated[
    str | None,
    typer.Option(
        help="Official initial states of each task: how many, or which, such as 0-9,20.",
        show_default=TrialOptions.states,
    ),
]
Replan = Annotated[
    str | None,
    typer.Option(
        metavar="<int>",
        help="Actions executed before the next plan.",
        show_default="the whole chunk, or a LeRobot policy's own number",
    ),
]
Environment = Annotated[
    str | None,
    typer.Option(
        help="Simulator to use.",
        show_default=f"that of the data, or {ENVIRONMENT}",
        autocompletion=completion.plugin("environments"),
    ),
]
Rendering = Annotated[
    str | None,
    typer.Option(
        help="Images that the policy sees: fast, or libero with its shadows and smooth edges, at a third of "
        "the speed.",
        show_default=TrialOptions.rendering,
    ),
]
Simulators = Annotated[
    int | None, typer.Option(help="Simulators to run at a time.", show_default="one per processor", min=1)
]
Videos = Annotated[int, typer.Option(help="Episodes to film, of each task and K.", min=0)]
