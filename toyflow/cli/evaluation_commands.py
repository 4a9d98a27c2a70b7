"""The commands that evaluate and export policies. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toyflow.api.command_options import trial_options
from toyflow.cli import completion
from toyflow.cli.closed_loop_options import (
    DRAWS,
    GRIDS,
    STEPS,
    Draws,
    Environment,
    Grids,
    Rendering,
    Replan,
    Simulators,
    States,
    Steps,
    Suite,
    Tasks,
    Videos,
)
from toyflow.cli.options import (
    DEFAULTS,
    ROBOT_OUT,
    Checkpoint,
    Device,
    Keys,
    LeRobotOut,
    Levels,
    NoiseSeed,
    Perturb,
    Prompts,
    Sample,
    Sampler,
    SampleSeed,
    ServerKey,
    ServerName,
    ServerTimeout,
    Threads,
    examples,
)
from toyflow.cli.terminal import check_torch, console, start_workers
from toyflow.robot.runtime.remote.addresses import RemoteOptions
from toyflow.robot.simulation.trial_options import TrialOptions


def add_commands(app: typer.Typer) -> None:
    """Add robot-eval and robot-export to `app`."""

    @app.command("robot-eval", epilog=examples(
        "toyflow robot-eval results/robot/cells/KEY --steps 1,10 --states 50",
        "toyflow robot-eval results/robot/cells/KEY --steps 1,2,4,10 --replan 5 --videos 2",
        "toyflow robot-eval results/robot/cells/KEY --steps 1,10 --draws 1,8",
        "toyflow robot-eval results/robot/cells/KEY --suite libero_pro --perturb swap,task --steps 1,10",
        "toyflow robot-eval results/robot/cells/KEY --latency-steps 4 --replan 10 --handover rtc",
        "toyflow robot-eval lerobot/smolvla_libero --suite libero_object --steps 1,10 --out results/smolvla",
        "toyflow robot-eval outputs/train/checkpoints/last --suite libero_goal --rename front=image",
        "toyflow robot-eval results/robot/cells/KEY --states 50 --executor ray --address auto",
        "toyflow robot-eval ws://gpu:8000 --suite libero_spatial --steps 1,10",
        "toyflow robot-eval 1=ws://gpu:8000,10=ws://gpu:8001 --suite libero_spatial --name pi05_libero",
    ))  # fmt: skip
    def robot_eval(
        checkpoint: Checkpoint,
        steps: Steps = STEPS,
        draws: Draws = DRAWS,
        grid: Grids = GRIDS,
        suite: Suite = None,
        tasks: Tasks = None,
        states: States = None,
        replan: Replan = None,
        perturb: Perturb = TrialOptions.perturb,
        levels: Levels = TrialOptions.levels,
        sample: Sample = TrialOptions.sample,
        sample_seed: SampleSeed = TrialOptions.sample_seed,
        prompts: Prompts = TrialOptions.prompts,
        environment: Environment = None,
        rendering: Rendering = None,
        latency_steps: Annotated[
            int,
            typer.Option(
                help="Control steps that pass while a plan is computed; the chunk before goes on.",
                min=0,
            ),
        ] = TrialOptions.latency_steps,
        handover: Annotated[
            str,
            typer.Option(help="How one action chunk follows another: switch, blend, ensemble or rtc."),
        ] = TrialOptions.handover,
        sampler: Sampler = DEFAULTS.samplers[0],
        noise_seed: NoiseSeed = 0,
        videos: Videos = 0,
        device: Device = DEFAULTS.device,
        threads: Threads = None,
        simulators: Simulators = None,
        rename: Annotated[
            str | None,
            typer.Option(
                metavar="POLICY=ROBOT",
                help="Renamed cameras of a LeRobot policy, the policy's name first, such as "
                "front=image,wrist=eye.",
            ),
        ] = None,
        keys: Keys = None,
        name: ServerName = None,
        api_key_file: ServerKey = None,
        timeout: ServerTimeout = RemoteOptions.timeout,
        out: LeRobotOut = ROBOT_OUT,
        executor: Annotated[
            str,
            typer.Option(
                help="Where simulators run. local: this machine; ray: a Ray cluster.",
                autocompletion=completion.one_of(("local", "ray")),
            ),
        ] = "local",
        address: Annotated[
            str | None,
            typer.Option(
                help="The Ray cluster: HOST:PORT, or auto for one that this machine is part of.",
                show_default="$RAY_ADDRESS, or a new one on this machine",
            ),
        ] = None,
        cpus_per_simulator: Annotated[
            float, typer.Option(help="Processors per simulator with its policy, on Ray.", min=0)
        ] = 1.0,
        gpus_per_simulator: Annotated[
            float, typer.Option(help="GPUs per simulator, on Ray: 1, or a share such as 0.25.", min=0)
        ] = 0.0,
    ) -> None:
        """Evaluate a policy in closed loop, from the same initial states and noise for every decoding: all
        combinations of --steps, --draws and --grid.

        Finished episodes are kept: the same command goes on where it stopped, and more states or tasks extend
        it. A policy behind a server of toyflow, openpi or others that speak openpi's protocol is named by its
        address.
        """
        start_workers("robot")
        check_torch()
        from toyflow.api.robot_training import evaluate_checkpoint, evaluation_cluster  # imports torch

        trials = trial_options({
            "environment": environment, "suite": suite, "tasks": tasks, "states": states, "replan": replan,
            "rendering": rendering, "latency_steps": latency_steps, "handover": handover, "perturb": perturb,
            "levels": levels, "sample": sample, "sample_seed": sample_seed, "prompts": prompts,
        })  # fmt: skip
        evaluate_checkpoint(
            checkpoint, console, trials=trials, steps=steps, sampler=sampler, draws=draws, grid=grid,
            noise_seed=noise_seed, device=device, threads=threads, simulators=simulators, videos=videos,
            rename=rename, remote=RemoteOptions(keys, name, api_key_file, timeout), out=out,
            cluster=evaluation_cluster(executor, address, cpus_per_simulator, gpus_per_simulator),
        )  # fmt: skip

    @app.command("robot-export", epilog=examples(
        "toyflow robot-export results/robot/cells/KEY exported",
        "lerobot-eval --policy.path=exported --policy.num_steps=1 --env.type=libero --env.task=libero_object",
    ))  # fmt: skip
    def robot_export(
        checkpoint: Annotated[
            Path,
            typer.Argument(help="A policy's folder, OUT/cells/KEY.", autocompletion=completion.policy_folder),
        ],
        folder: Annotated[Path, typer.Argument(help="A new folder for LeRobot's files.")],
    ) -> None:
        """Write a policy in LeRobot's files, for lerobot-eval, lerobot-record and lerobot-rollout.

        `toyflow robot-eval FOLDER` reads such a folder again.
        """
        check_torch()
        from toyflow.api.robot_training import export_checkpoint  # imports torch

        export_checkpoint(checkpoint, folder, console)
