"""Arguments and options that several commands take, and how their defaults are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from toyflow.api.command_options import ROBOT_TRAIN
from toyflow.cli import completion
from toyflow.errors import UsageError
from toyflow.optionset import Names, Numbers, OptionSet
from toyflow.parsing import listed_ranges
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.sweep.sweep_options import SweepOptions

DEFAULTS = SweepOptions()
OUT = Path(DEFAULTS.out)
ROBOT_OUT = Path(ROBOT_TRAIN.out)
DEVICES = ("auto", "cpu", "cuda", "mps")

Out = Annotated[Path, typer.Option("--out", help="Results folder.", autocompletion=completion.results_folder)]

Checkpoint = Annotated[
    str,
    typer.Argument(
        help="A policy's folder, OUT/cells/KEY; a LeRobot policy: a folder, or a name on the hub; or, except "
        "to serve it, a server: ws://HOST:PORT, or 1=ws://HOST:8000,10=ws://HOST:8001 for 1 and 10 steps.",
        autocompletion=completion.policy_folder,
    ),
]
LeRobotOut = Annotated[
    Path,
    typer.Option(
        "--out",
        help="Results folder that a LeRobot policy is added to.",
        autocompletion=completion.results_folder,
    ),
]
Keys = Annotated[
    str | None,
    typer.Option(
        help="Names under which a server reads an observation: CAMERA=ENTRY, prompt=ENTRY and "
        "state=ENTRY:COUNT, with + between several entries and commas between all.",
        show_default="what the server says, or openpi's for LIBERO",
    ),
]
ServerName = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="Name under which results of a server are kept.",
        show_default="the policy it names, or its address",
    ),
]
ServerKey = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file", help="File with the API key of a server.", show_default="$TOYFLOW_API_KEY, if set"
    ),
]
ServerTimeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        help="Longest wait for a server's plan, in seconds; ten times as long for its first.",
        min=0.1,
    ),
]
StepCount = Annotated[
    int | None,
    typer.Option(
        "--steps", help="Number K of denoising steps.", show_default="1, or what --grid names", min=1
    ),
]
TimeGrid = Annotated[
    str | None,
    typer.Option(
        "--grid",
        help="Times of the steps: a schedule's name, or times 0:0.9:1.",
        show_default="equal steps",
        autocompletion=completion.schedule,
    ),
]
DrawCount = Annotated[
    int,
    typer.Option(
        "--draws", help="Noises whose answers are averaged, in one batch: 1, or an even number.", min=1
    ),
]
Sampler = Annotated[
    str,
    typer.Option(help="Sampler: euler, midpoint or heun.", autocompletion=completion.plugin("samplers")),
]
RenamedFeatures = Annotated[
    str | None,
    typer.Option(
        metavar="DATA=POLICY",
        help="Features of the data set that are read under other names, the data set's name first, such as "
        "actions=action; several with commas between them.",
    ),
]
RelativeExcept = Annotated[
    str,
    typer.Option(
        help="With --actions relative, numbers of an action that stay absolute: parts of their names, or "
        "numbers counted from 0, joined by +; or none.",
    ),
]
Perturb = Annotated[str, typer.Option(help="Perturbations of the suite: all, or names such as swap,task.")]
Levels = Annotated[
    str, typer.Option(help="Levels of difficulty of a suite that has them: all, or numbers such as 1-3.")
]
Sample = Annotated[
    int,
    typer.Option(
        help="How many of these tasks, drawn evenly from all perturbations.", show_default="all", min=0
    ),
]
SampleSeed = Annotated[int, typer.Option(help="Seed of the sample.", min=0)]
Prompts = Annotated[
    str,
    typer.Option(help="Words of a benchmark's tasks: clean, as policies learn them; or official, its own."),
]
NoiseSeed = Annotated[int, typer.Option(help="Seed of the noise that plans start from.", min=0)]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="Compile the policy first, for faster plans; it takes a minute or more."),
]
Device = Annotated[
    str,
    typer.Option(
        help="Device to compute on: auto, cpu, cuda or mps.", autocompletion=completion.one_of(DEVICES)
    ),
]
Threads = Annotated[
    int | None, typer.Option(help="Threads of the policy.", show_default="all processors", min=1)
]


def shown(value: Any) -> str:
    """A default as its flag takes it: `1,10`, `0-2`, `beta,uniform`."""
    if not isinstance(value, tuple):
        return str(value)
    is_range = len(value) > 2 and value == tuple(range(len(value)))
    return listed_ranges(value) if is_range else ",".join(map(str, value))


def flag(options: type[OptionSet], name: str, sentence: str) -> Any:
    """The Typer option for a field of `options`, whose help ends with the names or the range that it takes.

    Args:
        options: the dataclass that declares the option.
        name: of the option in text, with hyphens.
        sentence: what it does, without the full stop.
    """
    values = options.values()[name]
    takes, complete = "", None
    if isinstance(values, Names):
        takes = f": {_listed(values.names)}"
        complete = completion.one_of(values.names)
    elif isinstance(values, Numbers):
        takes = f", {values.low:g} to {values.high:g}"
    return typer.Option(help=f"{sentence}{takes}.", autocompletion=complete)


def action_options(actions: str, relative_except: str) -> dict[str, str]:
    """--actions and --relative-except by field of `PolicyOptions`. Raises UsageError where the
    latter would have no effect."""
    if actions != "relative" and relative_except != PolicyOptions.relative_except:
        raise UsageError("--relative-except needs --actions relative; else all actions are absolute.")
    return {"actions": actions, "relative_except": relative_except}


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "[bold]Examples[/]\n\n" + "\n\n".join(f"  {line}" for line in lines)


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
