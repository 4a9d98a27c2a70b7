"""The command that trains policies. `toyflow.cli` adds it to its own."""

from __future__ import annotations

from typing import Annotated

import typer

from toyflow.api.command_options import FIRST_ITERATIONS, ROBOT_SCHEDULE, ROBOT_TRAIN, trial_options
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
    Device,
    Levels,
    Out,
    Perturb,
    Prompts,
    RelativeExcept,
    RenamedFeatures,
    Sample,
    SampleSeed,
    Threads,
    action_options,
    examples,
    flag,
)
from toyflow.cli.terminal import check_torch, console, start_workers
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.policy.training_defaults import TRAINING_DEFAULTS
from toyflow.robot.simulation.trial_options import TrialOptions


def by_size(name: str) -> str:
    """A field of `TrainingDefaults` by the policy's size, as help shows a default: `nano 64, full 256`."""
    return ", ".join(f"{size} {getattr(each, name):g}" for size, each in TRAINING_DEFAULTS.items())


def add_commands(app: typer.Typer) -> None:
    """Add robot-train to `app`."""

    @app.command("robot-train", epilog=examples(
        "toyflow robot-train",
        "toyflow robot-train --dataset data/demos/libero_object --schedule shift:4 --steps 1,10 --states 50",
        "toyflow robot-train --dataset HuggingFaceVLA/libero --fps 20 --size tiny --suite libero_goal",
        "toyflow robot-train --dataset my/robot --suite none --cameras front+wrist --no-language",
        "toyflow robot-train --dataset data/demos/libero_spatial --suite libero_plus_spatial --sample 100",
        "toyflow robot-train --dataset my/openpi --rename state=observation.state,actions=action",
        "torchrun --nproc-per-node 8 -m toyflow robot-train --dataset my/robot --size full --accumulate 2",
    ))  # fmt: skip
    def robot_train(
        dataset: Annotated[
            str | None,
            typer.Option(
                help="A LeRobot data set: a folder, or a name on the hub.",
                show_default="a few demonstrations, which are made first",
            ),
        ] = None,
        size: Annotated[str, flag(PolicyOptions, "size", "Size of the policy")] = PolicyOptions.size,
        schedule: Annotated[
            str,
            typer.Option(
                help="Schedule of the training time; see `toyflow schedules`.",
                autocompletion=completion.schedule,
            ),
        ] = ROBOT_SCHEDULE,
        objective: Annotated[
            str,
            typer.Option(
                help="Training objective; see `toyflow objectives`.",
                autocompletion=completion.plugin("objectives"),
            ),
        ] = ROBOT_TRAIN.objectives[0],
        predict: Annotated[
            str,
            typer.Option(
                help="What the policy says: velocity or data; data:velocity-loss learns by the other's loss.",
                autocompletion=completion.plugin("predictions"),
            ),
        ] = ROBOT_TRAIN.predict[0],
        horizon: Annotated[int, flag(PolicyOptions, "horizon", "Actions of a chunk")] = PolicyOptions.horizon,
        attention: Annotated[
            str,
            flag(
                PolicyOptions,
                "attention",
                "How the action head reads what the policy sees (full, as in the paper, is slower)",
            ),
        ] = PolicyOptions.attention,
        supervision: Annotated[
            str,
            flag(
                PolicyOptions,
                "supervision",
                "Action dimensions to train (mask: the robot's own; full: all 32)",
            ),
        ] = PolicyOptions.supervision,
        normalisation: Annotated[
            str, flag(PolicyOptions, "normalisation", "How states and actions are scaled")
        ] = PolicyOptions.normalisation,
        cameras: Annotated[
            str, typer.Option(help="Cameras that the policy sees: names joined by +, all or none.")
        ] = PolicyOptions.cameras,
        image_size: Annotated[
            int | None,
            typer.Option(
                help="Side of the images that the policy sees, in pixels.", show_default="the size's own"
            ),
        ] = None,
        fps: Annotated[
            float | None,
            typer.Option(
                help="Actions per second at which the data were recorded.",
                show_default="as the data set states",
            ),
        ] = None,
        no_language: Annotated[
            bool, typer.Option("--no-language", help="Train a policy that does not read the prompt.")
        ] = not PolicyOptions.language,
        no_state: Annotated[
            bool, typer.Option("--no-state", help="Train a policy that does not see the robot's state.")
        ] = not PolicyOptions.state,
        pretrained: Annotated[
            bool,
            typer.Option(
                "--pretrained", help="Start the backbone from published weights (sizes tiny and full)."
            ),
        ] = PolicyOptions.pretrained,
        rename: RenamedFeatures = None,
        actions: Annotated[
            str,
            flag(
                PolicyOptions,
                "actions",
                "Whether the policy learns actions as they are in the data, or relative to the state at the "
                "chunk's start",
            ),
        ] = PolicyOptions.actions,
        relative_except: RelativeExcept = PolicyOptions.relative_except,
        delay_max: Annotated[
            int,
            flag(
                PolicyOptions,
                "delay-max",
                "First actions of a chunk that the policy learns to continue from, at most, for `robot-run "
                "--handover rtc`",
            ),
        ] = PolicyOptions.delay_max,
        keep_constant: Annotated[
            bool,
            typer.Option(
                "--keep-constant", help="Accept numbers of the state or the action that never change."
            ),
        ] = False,
        keep_contradictions: Annotated[
            bool,
            typer.Option(
                "--keep-contradictions",
                help="Train on data in which `toyflow robot-data check` finds errors.",
            ),
        ] = False,
        hold_out: Annotated[
            float,
            typer.Option(
                help="Share of episodes kept out of training, at least 2, to test the policy on.",
                min=0,
                max=0.9,
            ),
        ] = 0.0,
        iterations: Annotated[
            int | None,
            typer.Option(
                help="Training iterations.",
                show_default=f"{by_size('iterations')}; {FIRST_ITERATIONS} without --dataset",
            ),
        ] = None,
        batch_size: Annotated[
            int | None,
            typer.Option(help="Samples per iteration.", show_default=by_size("batch_size")),
        ] = None,
        learning_rate: Annotated[
            float | None,
            typer.Option(help="Peak of the learning rate.", show_default=by_size("learning_rate")),
        ] = None,
        seed: Annotated[
            int, typer.Option(help="Seed of the weights, the data's order and the noise.", min=0)
        ] = ROBOT_TRAIN.seeds[0],
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
        videos: Videos = 1,
        device: Device = DEFAULTS.device,
        threads: Threads = None,
        accumulate: Annotated[
            int, typer.Option(help="Parts in which each batch is computed, for less memory.", min=1)
        ] = 1,
        simulators: Simulators = None,
        wandb: Annotated[
            str | None, typer.Option(help="Project of Weights & Biases to log the training to.")
        ] = None,
        out: Out = ROBOT_OUT,
    ) -> None:
        """Train a policy on demonstrations, and evaluate it in closed loop in every decoding.

        Without --dataset it first makes a few demonstrations of one task, and trains and evaluates less: a
        quarter of an hour in all. If it is stopped, the same command goes on from the last checkpoint. Under
        torchrun or accelerate launch all processes train one policy; --batch-size counts them together.
        """
        policy = PolicyOptions().changed({
            "size": size, "horizon": horizon, "attention": attention, "supervision": supervision,
            "cameras": cameras, "language": not no_language, "state": not no_state, "pretrained": pretrained,
            "normalisation": normalisation, "image_size": image_size, "fps": fps, "delay_max": delay_max,
            **action_options(actions, relative_except),
        })  # fmt: skip
        trials = trial_options({
            "environment": environment, "suite": suite, "tasks": tasks, "states": states, "replan": replan,
            "rendering": rendering, "perturb": perturb, "levels": levels, "sample": sample,
            "sample_seed": sample_seed, "prompts": prompts,
        }, first=dataset is None)  # fmt: skip
        flags = {
            "schedules": schedule, "objectives": objective, "predict": predict, "steps": steps,
            "draws": draws, "grid": grid, "seeds": str(seed), "iterations": iterations,
            "batch_size": batch_size, "learning_rate": learning_rate, "device": device, "out": str(out),
        }  # fmt: skip
        options = ROBOT_TRAIN.updated(flags, "flags")
        start_workers(options.task)
        check_torch()
        from toyflow.api.robot_training import train_policy  # imports torch

        train_policy(
            options, console, dataset=dataset, policy=policy, trials=trials,
            rename=rename, keep_constant=keep_constant, keep_contradictions=keep_contradictions,
            hold_out=hold_out, threads=threads, accumulate=accumulate, simulators=simulators, videos=videos,
            wandb=wandb,
        )  # fmt: skip
