"""Which commands there are, in the order of `toyflow --help`, and the module that adds each.

`toyflow --help` prints this index. The module of a command is imported when the command is used: with all of
them, help takes half as long again.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from itertools import chain
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

INDEX = {
    "sweep_commands": {
        "sweep": "Train a model per schedule, objective and seed, and decode each in every number of steps.",
        "recommend": "Recommend prediction, schedule, number of steps and draws for a task, from one short "
        "training.",
    },
    "results_commands": {
        "plot": "Draw the figures of a results folder, and write its tables as CSV.",
        "compare": "Compare results over training seeds: differences with intervals, and a sentence for "
        "each.",
    },
    "probe_commands": {
        "probe": "Say what one step loses, and what to do about it: the anatomy of every model's one-step "
        "error.",
    },
    "page_commands": {
        "report": "Write report.html, one self-contained page, and report.md: the paper's claims beside "
        "these results.",
        "explore": "Write explore.html, one self-contained page to play with: two settings of a study side "
        "by side.",
    },
    "catalogue_commands": {
        "schedules": "Print schedules of the training time: density, mass at the noise end, source and its "
        "direction of time.",
        "objectives": "Print training objectives: formula, source, steps they decode in, and model calls per "
        "iteration.",
        "tasks": "Print tasks: their metrics, and the options that `sweep --set` takes.",
        "presets": "Print the sweeps that come with toyflow: what each shows and what it costs.",
        "doctor": "Print versions, devices, data and plug-ins, and say what is missing.",
    },
    "runs_commands": {"runs": "List, show and prune the cells of a results folder."},
    "training_commands": {
        "robot-train": "Train a policy on demonstrations, and evaluate it in closed loop in every decoding.",
    },
    "evaluation_commands": {
        "robot-eval": "Evaluate a policy in closed loop, from the same initial states and noise for every "
        "decoding: all combinations of --steps, --draws and --grid.",
        "robot-export": "Write a policy in LeRobot's files, for lerobot-eval, lerobot-record and "
        "lerobot-rollout.",
    },
    "serve_commands": {
        "robot-serve": "Serve a policy to robots over openpi's websocket protocol; openpi clients work "
        "unchanged.",
    },
    "simulator_commands": {
        "robot-demos": "Record demonstrations of a scripted expert as a LeRobot data set (v3.0).",
        "robot-setup": "Install a simulator: its packages, OpenGL and assets; then render a frame.",
    },
    "data_commands": {
        "robot-data": "Check a LeRobot data set before it trains a policy, or make one.",
    },
    "robot_control": {
        "robot-run": "Drive a robot by a policy, at the robot's rate and without ever waiting for a plan.",
        "robot-limits": "Write a limits file for robot-run from demonstrations: a robot's bounds and largest "
        "steps, to edit.",
        "robot-replay": "Summarise and draw a run's log: actions asked for and sent, timing, interventions.",
    },
}
"""What each command does, by module and name: the first paragraph of its own help."""


GREETING = """\
toyflow asks whether one denoising step is enough. It trains flow-matching
models, decodes them in one step and in many, and compares with error bars.

Three things to do:

  toyflow sweep                             train and compare small models here
  toyflow explore                           a page to play with what they make
  toyflow probe CHECKPOINT --dataset DATA   is one step enough for your policy?

toyflow --help lists every command, and toyflow doctor says what is missing."""
"""What `toyflow` alone prints."""


class Commands(TyperGroup):
    """toyflow's commands: those of the index, of which the one that is used is imported."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for sentences in INDEX.values():
            for name, sentence in sentences.items():
                self.commands[name] = TyperCommand(name, help=sentence)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Greet where there are no words."""
        if not args and not ctx.resilient_parsing:
            typer.echo(GREETING)
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """(name, command, the other words) of the words of a command line."""
        name, listed, rest = super().resolve_command(ctx, args)
        if listed is None:
            return name, None, rest
        assert listed.name
        return name, load(listed.name), rest


def load(name: str) -> Any:
    """The command, or group of commands, that is called `name`."""
    module = next(module for module, sentences in INDEX.items() if name in sentences)
    app = typer.Typer(rich_markup_mode="rich")
    import_module(f"toyflow.cli.{module}").add_commands(app)
    groups = [app, *(group.typer_instance for group in app.registered_groups if group.typer_instance)]
    for command in chain.from_iterable(group.registered_commands for group in groups):
        # Typer keeps a docstring's line breaks, which fit no terminal
        paragraphs = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(lines.split()) for lines in paragraphs.split("\n\n"))
    return typer.main.get_group(app).commands[name]
