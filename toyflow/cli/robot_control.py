"""The commands `robot-run`, `robot-limits` and `robot-replay`, which `toyflow.cli` adds to its own.

Over 300 lines, as most of it is the flags of robot-run and the checks of them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from toyflow.cli import completion
from toyflow.cli.options import (
    ROBOT_OUT,
    Checkpoint,
    Compile,
    Device,
    DrawCount,
    Keys,
    LeRobotOut,
    NoiseSeed,
    Sampler,
    ServerKey,
    ServerName,
    ServerTimeout,
    TimeGrid,
    examples,
)
from toyflow.cli.terminal import check_torch, console, key_reader
from toyflow.robot.runtime.remote.addresses import RemoteOptions, is_remote

RobotName = Annotated[
    str,
    typer.Option(
        "--robot",
        help="A robot, a simulator, or lerobot:TYPE; `toyflow doctor` lists them.",
        autocompletion=completion.robot,
    ),
]
Suite = Annotated[str | None, typer.Option(help="Suite of a simulator.", autocompletion=completion.suite)]
Task = Annotated[int | None, typer.Option(help="Task of the suite, by its number.", show_default="0")]
States = Annotated[
    str | None,
    typer.Option(
        help="Initial states of a simulator, one episode from each: 0-9,20.", show_default="random ones"
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="Seed of a simulator's random initial states.", show_default="0")
]
ImageSize = Annotated[
    int | None, typer.Option(help="Side of a simulator's images, in pixels.", show_default="the policy's")
]
Prompt = Annotated[str | None, typer.Option(help="The task in words, for a real robot.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="An option of the robot's own, such as port=/dev/ttyACM0. Repeatable.",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(help="Actions per second.", show_default="the robot's, or the policy's"),
]
Seconds = Annotated[
    float | None,
    typer.Option(help="Longest episode, in seconds.", show_default="the simulator's own, or no end"),
]
Episodes = Annotated[
    int | None, typer.Option(help="Number of episodes.", show_default="1, or one for each of --states", min=1)
]
LimitsFile = Annotated[
    str | None,
    typer.Option(
        "--limits",
        metavar="FILE|NAME",
        help="A TOML or JSON file of limits: lower, upper, step, velocity, acceleration, jerk, ...; or the "
        "name of limits that toyflow ships, such as yam.",
    ),
]
LimitsFrom = Annotated[
    str | None,
    typer.Option(
        "--limits-from",
        metavar="DATASET",
        help="Demonstrations on this robot, whose range and largest step limit it.",
        show_default="the policy's training data",
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        help="File for the run's log; it must not exist.",
        show_default="named by time and robot, in robot-runs/",
    ),
]
AtEnd = Annotated[
    str,
    typer.Option(
        "--at-end",
        metavar="hold|park|release",
        help="What is done before letting go of a robot whose arms would fall: hold it until ENTER, move it "
        "slowly back to where it was at the start, or nothing.",
    ),
]
StartAt = Annotated[
    str | None,
    typer.Option(
        "--start-at",
        metavar="NUMBERS",
        help="An action, such as 0,1,0.9,-0.9,0,0,1: a real robot moves there slowly, in a straight line of "
        "its joints, before the first episode.",
        show_default="starts where it is",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Connect, observe and plan, print each action, send none."),
]


def add_commands(app: typer.Typer) -> None:
    """Add robot-run, robot-limits and robot-replay to `app`."""

    @app.command("robot-run", epilog=examples(
        "toyflow robot-run results/robot/cells/KEY --robot libero --suite libero_object --states 0-4",
        "toyflow robot-run results/robot/cells/KEY --robot lerobot:so101_follower --set port=/dev/ttyACM0 "
        '--prompt "pick up the cube" --seconds 30 --limits so101.toml --dry-run',
        "toyflow robot-run results/robot/cells/KEY --robot idle --seconds 10 --handover ensemble",
        "toyflow robot-run results/robot/cells/KEY --robot lerobot:so101_follower --set port=/dev/ttyACM0 "
        "--steps 1,10 --episodes 20 --seconds 30 --blind",
        "toyflow robot-run 10=ws://gpu:8000 --robot libero --suite libero_object --states 0-4",
    ))  # fmt: skip
    def robot_run(
        checkpoint: Checkpoint,
        robot: RobotName,
        steps: Annotated[
            str | None,
            typer.Option(
                help="Number K of denoising steps; with --blind several, 1,10.",
                show_default="1, or what --grid names",
            ),
        ] = None,
        draws: DrawCount = 1,
        grid: TimeGrid = None,
        replan: Annotated[
            int | None,
            typer.Option(
                help="Control steps between two plans.",
                show_default="the policy's; on a robot at most half the horizon; 1 with ensemble",
            ),
        ] = None,
        handover: Annotated[
            str,
            typer.Option(
                help="How one action chunk follows another: switch, blend:STEPS, ensemble:DECAY, the "
                "weighted mean of all chunks, or rtc, real-time chunking: the policy goes on from the "
                "actions that are sent while it plans."
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
                help="Simulators only: control steps that pass while a plan is computed.",
                min=0,
            ),
        ] = 0,
        limits: LimitsFile = None,
        limits_from: LimitsFrom = None,
        log: Log = None,
        start_at: StartAt = None,
        at_end: AtEnd = "hold",
        dry_run: DryRun = False,
        sampler: Sampler = "euler",
        noise_seed: NoiseSeed = 0,
        device: Device = "auto",
        threads: Annotated[
            int | None,
            typer.Option(
                help="Processor threads of the policy.", show_default="all processors but one", min=1
            ),
        ] = None,
        compiled: Compile = False,
        rename: Annotated[
            str | None,
            typer.Option(
                metavar="POLICY=ROBOT",
                help="Cameras with other names on the robot, the policy's name first, such as "
                "image=front; several with commas between them.",
            ),
        ] = None,
        blind: Annotated[
            bool,
            typer.Option(
                "--blind",
                help="Compare the --steps: each once in every scene (--episodes), in random order; a key "
                "says whether an episode succeeded. The same command goes on where it stopped.",
            ),
        ] = False,
        judge: Annotated[
            str | None,
            typer.Option(
                help="Who says whether a blind episode succeeded: person or simulator.", show_default="person"
            ),
        ] = None,
        keys: Keys = None,
        name: ServerName = None,
        api_key_file: ServerKey = None,
        timeout: ServerTimeout = RemoteOptions.timeout,
        out: LeRobotOut = ROBOT_OUT,
    ) -> None:
        """Drive a robot by a policy, at the robot's rate and without ever waiting for a plan.

        Every action passes a safety gate. It keeps each joint within its bounds and its largest step, refuses
        chunks that are too fast or jerky or hold a nan, and stops the robot when a camera freezes or no plan
        comes. Ctrl-C stops it safely.
        """
        check_torch()
        from toyflow.api.robot_driving import DriveOptions, PolicyUse, run_policy  # imports torch
        from toyflow.errors import UsageError
        from toyflow.flow.decoding import parse_decoding
        from toyflow.parsing import parse_steps

        counts = parse_steps(steps, "--steps") if steps else (None,)
        if not blind and (len(counts) > 1 or judge):
            raise UsageError("several --steps, or --judge, are for --blind.")
        decodings = [parse_decoding(count, sampler, grid, draws) for count in counts]
        chosen = DriveOptions(
            robot,
            rate,
            seconds,
            episodes,
            _found(limits),
            log,
            dry_run,
            limits_from,
            at_end,
            _numbers(start_at),
        )
        given = _settings(suite, task, states, seed, image_size, prompt, options)
        use = PolicyUse(
            out, replan, handover, latency_steps, noise_seed, device, threads, compiled, rename,
            RemoteOptions(keys, name, api_key_file, timeout),
        )  # fmt: skip
        if blind:
            from toyflow.api.blind_comparing import compare_blind

            code = compare_blind(
                checkpoint, chosen, given, console, use, decodings, judge=judge or "person",
                press=key_reader(),
            )  # fmt: skip
        else:
            own = is_remote(checkpoint) and steps is None  # a server's own number of steps
            code = run_policy(checkpoint, chosen, given, console, use, None if own else decodings[0])
        raise typer.Exit(code)

    @app.command("robot-limits", epilog=examples(
        "toyflow robot-limits data/demos/aloha",
        "toyflow robot-limits me/so101_pick --out so101.toml",
    ))  # fmt: skip
    def robot_limits(
        dataset: Annotated[str, typer.Argument(help="Demonstrations: a folder, or a name on the hub.")],
        out: Annotated[
            Path | None, typer.Option(help="The file; it must not exist.", show_default="printed only")
        ] = None,
    ) -> None:
        """Write a limits file for robot-run from demonstrations: a robot's bounds and largest steps, to edit.

        Each number is in the unit of the data, which no data set says but in names. Acceleration and jerk are
        there as comments.
        """
        check_torch()
        from toyflow.api.robot_limits import write_limits  # imports torch

        text = write_limits(dataset, out)
        console.print(text if out is None else str(out), markup=False, highlight=False, soft_wrap=True)

    @app.command("robot-replay", epilog=examples(
        "toyflow robot-replay robot-runs/20261121-101500-libero.jsonl",
        "toyflow robot-replay robot-runs/20261121-101500-libero.jsonl --figure run.pdf",
        "toyflow robot-replay robot-runs/20261121-101500-libero.jsonl --robot libero",
    ))  # fmt: skip
    def robot_replay(
        log: Annotated[Path, typer.Argument(help="A log of robot-run.")],
        figure: Annotated[
            Path | None,
            typer.Option(
                help="File for the figure: .png, .pdf or .svg.", show_default="beside the log, .png"
            ),
        ] = None,
        robot: Annotated[
            str | None,
            typer.Option(
                help="Send the actions to this robot, through the safety gate.",
                autocompletion=completion.robot,
            ),
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
            Path | None,
            typer.Option("--log", help="File for the new run's log.", show_default="as for robot-run"),
        ] = None,
        at_end: AtEnd = "hold",
        dry_run: DryRun = False,
    ) -> None:
        """Summarise and draw a run's log: actions asked for and sent, timing, interventions.

        With --robot the recorded actions are sent again instead. A log that was cut off is read as far as its
        checksums hold.
        """
        check_torch()
        if robot is not None:
            from toyflow.api.robot_driving import DriveOptions, replay  # imports torch

            chosen = DriveOptions(
                robot, rate, seconds, episodes, _found(limits), new_log, dry_run, at_end=at_end
            )
            given = _settings(suite, task, states, seed, None, None, options)
            raise typer.Exit(replay(log, chosen, given, console))
        from toyflow.robot.runtime.control.log import read_log
        from toyflow.robot.runtime.control.run_figure import draw_run  # imports matplotlib
        from toyflow.robot.runtime.control.summary import Summary

        recording = read_log(log)
        for line in Summary.of(recording).lines():
            console.print(line, markup=False)
        drawn = draw_run(recording, figure or log.with_suffix(".png"))
        console.print(str(drawn), markup=False, style="green")


def _settings(
    suite: str | None,
    task: int | None,
    states: str | None,
    seed: int | None,
    image_size: int | None,
    prompt: str | None,
    options: list[str] | None,
) -> dict[str, Any]:
    """The fields of `RobotSettings` that were given; others keep their defaults."""
    from toyflow.parsing import parse_numbers, parse_pairs

    given = {
        "suite": suite, "task": task, "seed": seed, "image_size": image_size, "prompt": prompt,
        "states": tuple(parse_numbers(states, "--states")) if states else None,
        "options": parse_pairs(options or [], "--set", "port=/dev/ttyACM0"),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def _found(limits: str | None) -> Path | None:
    """The file of `--limits`."""
    from toyflow.robot.runtime.control.limits_file import find_limits  # imports numpy

    return None if limits is None else find_limits(limits)


def _numbers(text: str | None) -> tuple[float, ...] | None:
    """The numbers of `--start-at`. Raises UsageError where one is none, or not finite."""
    from toyflow.errors import UsageError

    try:
        numbers = None if text is None else tuple(map(float, text.split(",")))
    except ValueError:
        numbers = (math.nan,)
    if numbers is not None and not all(map(math.isfinite, numbers)):
        raise UsageError(f"--start-at takes finite numbers with commas between them, not {text}.")
    return numbers
