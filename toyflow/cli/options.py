"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toyflow.sweep.options import SweepOptions

OUT = Path(SweepOptions().out)
ROBOT_OUT = Path("results/robot")

Out = Annotated[Path, typer.Option("--out", help="Results folder.")]

Checkpoint = Annotated[
    str,
    typer.Argument(
        help="A policy's folder, OUT/cells/KEY; or a LeRobot policy: a folder, or a name on the hub."
    ),
]
LeRobotOut = Annotated[
    Path, typer.Option("--out", help="Of a LeRobot policy: results folder, to which it is added.")
]
StepCount = Annotated[int, typer.Option("--steps", help="Denoising steps K.", min=1)]
Sampler = Annotated[str, typer.Option(help="euler, midpoint, heun.")]
NoiseSeed = Annotated[int, typer.Option(help="Of the noise that plans start from.", min=0)]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile", help="Let PyTorch compile the policy first: a minute or more, for faster plans."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "[bold]Examples[/]\n\n" + "\n\n".join(f"  {line}" for line in lines)
