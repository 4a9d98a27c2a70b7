"""The commands that drive a robot. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from toyflow.cli.options import (
    ROBOT_OUT,
    Checkpoint,
    Compile,
    Device,
    LeRobotOut,
    NoiseSeed,
    Sampler,
    StepCount,
    examples,
)
from toyflow.cli.terminal import check_torch, console

RobotName = Annotated[
    str, typer.Option("--robot", help="A robot, a simulator, or lerobot:TYPE; see `toyflow doctor`.")
]
Suite = Annotated[str | None, typer.Option(help="Of a simulator: its suite.")]
Task = Annotated[int | None, typer.Option(help="Of a simulator: the suite's task.", show_default="0")]
States = Annotated[
    str | None,
    typer.Option(
        help="Of a simulator: initial states, as 0-9,20, an episode from each.", show_default="random ones"
    ),
]
Seed = Annotated[int | None, typer.Option(help="Of a simulator: of random states.", show_default="0")]
ImageSize = Annotated[int | None, typer.Option(help="Of a simulator: pixels.", show_default="the policy's")]
Prompt = Annotated[str | None, typer.Option(help="The task in words, for a real robot.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="The robot's own: port=/dev/ttyACM0. Repeatable."),
]
Rate = Annotated[
    float | None,
    typer.Option(help="Actions per second.", show_default="the robot's, or the policy's"),
]
Seconds = Annotated[
    float | None, typer.Option(help="Of an episode.", show_default="the simulator's own, or no end")
]
Episodes = Annotated[
    int | None, typer.Option(help="How many.", show_default="1, or one for each of --states", min=1)
]
LimitsFile = Annotated[
    Path | None,
    typer.Option("--limits", help="TOML or JSON: lower, upper, step, velocity, jerk, hold_after, ..."),
]
Log = Annotated[Path | None, typer.Option(help="The run's log.", show_default="robot-runs/TIME-ROBOT.jsonl")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the actions and move nothing.")]


def add_commands(app: typer.Typer) -> None:
    """Add robot-run and robot-replay to `app`."""

    @app.command("robot-run", epilog=examples(
        "toyflow robot-run results/robot/cells/3f2a9c --robot libero --suite libero_object --states 0-4",
        "toyflow robot-run results/robot/cells/3f2a9c --robot lerobot:so101_follower --set port=/dev/ttyACM0 "
        '--prompt "pick up the cube" --seconds 30 --limits so101.toml --dry-run',
        "toyflow robot-run results/robot/cells/3f2a9c --robot idle --seconds 10 --handover ensemble",
    ))  # fmt: skip
    def robot_run(
        checkpoint: Checkpoint,
        robot: RobotName,
        steps: StepCount = 1,
        replan: Annotated[
            int | None,
            typer.Option(
                help="Actions from one look to the next.",
                show_default="the policy's; on a robot at most half the horizon; 1 with ensemble",
            ),
        ] = None,
        handover: Annotated[
            str,
            typer.Option(
                help="From chunk to chunk: switch, blend:STEPS, or ensemble:DECAY, the mean of all that say "
                "something about a step."
            ),
        ] = "blend",
        suite: Suite = None,
        task: Task = None,
        states: States = None,
        seed: Seed = None,
        image_size: ImageSize = None,
        prompt: Prompt = None,
        options: Options = None,
        rate: Rate = None,
        seconds: Seconds = None,
        episodes: Episodes = None,
        latency_steps: Annotated[
            int,
            typer.Option(
                help="Of a simulator, whose time stands still while the policy plans: steps that a plan "
                "takes nevertheless.",
                min=0,
            ),
        ] = 0,
        limits: LimitsFile = None,
        log: Log = None,
        dry_run: DryRun = False,
        sampler: Sampler = "euler",
        noise_seed: NoiseSeed = 0,
        device: Device = "auto",
        threads: Annotated[
            int | None,
            typer.Option(help="Threads of the policy.", show_default="all processors but one", min=1),
        ] = None,
        compiled: Compile = False,
        rename: Annotated[
            str | None,
            typer.Option(help="The policy's cameras as the robot calls them: image=front,image2=wrist."),
        ] = None,
        out: LeRobotOut = ROBOT_OUT,
    ) -> None:
        """Drive a robot by a policy, at the robot's rate and without ever waiting for a plan.

        Every action passes one gate: limits of each joint, of its change in a step, of a chunk's velocity and
        jerk; numbers that are none, observations that freeze and plans that do not come. Ctrl-C stops safely.
        """
        check_torch()
        from toyflow.cli.robot_driving import Drive, run_policy

        run_policy(
            checkpoint, Drive(robot, rate, seconds, episodes, limits, log, dry_run),
            _settings(suite, task, states, seed, image_size, prompt, options), console, steps=steps,
            replan=replan, handover=handover, latency_steps=latency_steps, noise_seed=noise_seed,
            sampler=sampler, device=device, threads=threads, compiled=compiled,
            rename=rename, out=out,
        )  # fmt: skip

    @app.command("robot-replay", epilog=examples(
        "toyflow robot-replay robot-runs/20261121-101500-libero.jsonl",
        "toyflow robot-replay robot-runs/20261121-101500-libero.jsonl --figure run.pdf",
        "toyflow robot-replay robot-runs/20261121-101500-libero.jsonl --robot libero",
    ))  # fmt: skip
    def robot_replay(
        log: Annotated[Path, typer.Argument(help="A log of robot-run.")],
        figure: Annotated[
            Path | None, typer.Option(help="png, pdf or svg.", show_default="beside the log, .png")
        ] = None,
        robot: Annotated[
            str | None, typer.Option(help="Send the actions to this robot, through the same gate.")
        ] = None,
        suite: Suite = None,
        task: Task = None,
        states: States = None,
        seed: Seed = None,
        options: Options = None,
        rate: Rate = None,
        seconds: Seconds = None,
        episodes: Episodes = None,
        limits: LimitsFile = None,
        new_log: Annotated[
            Path | None, typer.Option("--log", help="Of the new run.", show_default="as of robot-run")
        ] = None,
        dry_run: DryRun = False,
    ) -> None:
        """Say what a run's log says and draw it: actions asked for and sent, timing, interventions.

        With --robot it sends the recorded actions again. A log that was cut off is read as far as its
        checksums hold.
        """
        check_torch()
        if robot is not None:
            from toyflow.cli.robot_driving import Drive, replay

            drive = Drive(robot, rate, seconds, episodes, limits, new_log, dry_run)
            replay(log, drive, _settings(suite, task, states, seed, None, None, options), console)
            return
        from rich.markup import escape

        from toyflow.robot.runtime.control.log import read_log
        from toyflow.robot.runtime.control.run_figure import draw_run
        from toyflow.robot.runtime.control.summary import Summary

        recording = read_log(log)
        for line in Summary.of(recording).lines():
            console.print(escape(line))
        console.print(escape(str(draw_run(recording, figure or log.with_suffix(".png")))), style="green")


def _settings(
    suite: str | None,
    task: int | None,
    states: str | None,
    seed: int | None,
    image_size: int | None,
    prompt: str | None,
    options: list[str] | None,
) -> dict[str, Any]:
    """What of `RobotSettings` was said; the rest is at its default."""
    from toyflow.parsing import parse_numbers, parse_pairs

    said = {
        "suite": suite, "task": task, "seed": seed, "image_size": image_size, "prompt": prompt,
        "states": tuple(parse_numbers(states, "--states")) if states else None,
        "options": parse_pairs(options or [], "--set", "port=/dev/ttyACM0"),
    }  # fmt: skip
    return {name: value for name, value in said.items() if value is not None}
