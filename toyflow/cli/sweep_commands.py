"""The commands that train and decode models of a task. `toyflow.cli` adds them to its own.

Over 300 lines, as nearly all of it is the flags of two commands, which share many.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from toyflow.api.command_options import (
    RECOMMEND,
    RECOMMEND_FRACTION,
    preset_cost,
    preset_hints,
    recommend_options,
    sweep_options,
)
from toyflow.cli import completion
from toyflow.cli.options import DEFAULTS, DEVICES, examples, shown
from toyflow.cli.terminal import check_torch, console, start_workers
from toyflow.sweep.sweep_options import DEFAULT_SCHEDULES

TaskName = Annotated[
    str | None,
    typer.Option(
        help="Task to learn; see `toyflow tasks`.",
        show_default=DEFAULTS.task,
        autocompletion=completion.plugin("tasks"),
    ),
]
DataDir = Annotated[
    str | None, typer.Option(help="Folder of the data sets that toyflow does not carry, such as CIFAR-10.")
]
BatchSize = Annotated[
    str | None,
    typer.Option(
        help="Examples per iteration; one number, or for a sweep several.",
        show_default="16 for toy tasks; for robot by size: 64 nano, 256 mlp, 64 tiny, 256 full",
    ),
]
LearningRate = Annotated[
    str | None,
    typer.Option(
        help="Peak of the learning rate; one number, or for a sweep several.",
        show_default="0.004 for toy tasks; for robot by size: 0.001 nano, 0.001 mlp, 0.0001 tiny, "
        "0.0002 full",
    ),
]
OptionalDevice = Annotated[
    str | None,
    typer.Option(
        help="Device to compute on: auto, cpu, cuda or mps.",
        show_default=DEFAULTS.device,
        autocompletion=completion.one_of(DEVICES),
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Cells that run at a time.",
        show_default="processors / threads; 1 on a GPU; on Ray as many as fit",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Threads per cell. Results record it, as their last digits depend on it.",
        show_default=shown(DEFAULTS.threads),
    ),
]


def add_commands(app: typer.Typer) -> None:
    """Add sweep and recommend to `app`."""

    @app.command(
        epilog=examples(
            "toyflow sweep --schedules beta,uniform --steps 1,10",
            "toyflow sweep --schedules shift:4@beta,pure-noise,regression --steps 1,2,4,10 --seeds 0-4",
            "toyflow sweep --predict velocity,data --draws 1,8 --out results/predict",
            "toyflow sweep --schedules 0.5:point:0+0.5:uniform --grid uniform,shift:3,0:0.9:1",
            "toyflow sweep --preset finding-1 --dry-run",
            "toyflow sweep --set attention=cross,joint --iterations 800 --out results/attention",
            "toyflow sweep --preset finding-2 --executor ray --address auto --cpus-per-cell 1",
        )
    )
    def sweep(
        schedules: Annotated[
            str | None,
            typer.Option(
                help="Schedules of the training time, such as beta,shift:4@beta; see `toyflow schedules`.",
                show_default=shown(DEFAULT_SCHEDULES),
                autocompletion=completion.listed(completion.schedule),
            ),
        ] = None,
        objectives: Annotated[
            str | None,
            typer.Option(
                help="Training objectives, such as flow,mip,regression; see `toyflow objectives`. One that "
                "uses no schedule gives a single cell per seed.",
                show_default=shown(DEFAULTS.objectives),
                autocompletion=completion.listed(completion.plugin("objectives")),
            ),
        ] = None,
        steps: Annotated[
            str | None,
            typer.Option(
                help="Numbers K of denoising steps to decode with.", show_default=shown(DEFAULTS.steps)
            ),
        ] = None,
        seeds: Annotated[
            str | None,
            typer.Option(help="Training seeds, a list or a range.", show_default=shown(DEFAULTS.seeds)),
        ] = None,
        samplers: Annotated[
            str | None,
            typer.Option(
                help="Samplers to decode with: euler, midpoint, heun.",
                show_default=shown(DEFAULTS.samplers),
                autocompletion=completion.listed(completion.plugin("samplers")),
            ),
        ] = None,
        predict: Annotated[
            str | None,
            typer.Option(
                help="What the network says: velocity or data; data:velocity-loss and velocity:data-loss "
                "learn it by the error of the other.",
                show_default=shown(DEFAULTS.predict),
                autocompletion=completion.listed(completion.plugin("predictions")),
            ),
        ] = None,
        grid: Annotated[
            str | None,
            typer.Option(
                help="Times of the steps: uniform, a schedule such as shift:3 (its quantiles), or times such "
                "as 0:0.9:1, which fix K.",
                show_default=shown(DEFAULTS.grid),
                autocompletion=completion.listed(completion.schedule),
            ),
        ] = None,
        draws: Annotated[
            str | None,
            typer.Option(
                help="Numbers M of noises whose answers are averaged, 1 or even (pairs x0, -x0). With "
                "K > 1 this averages samples, whose mean may lie between modes.",
                show_default=shown(DEFAULTS.draws),
            ),
        ] = None,
        task: TaskName = None,
        settings: Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="NAME=VALUES",
                help="An option of the task, with one value or several to sweep: encoder=small,large. "
                "`toyflow tasks` lists the options. May be repeated.",
            ),
        ] = None,
        data_dir: DataDir = None,
        iterations: Annotated[
            str | None,
            typer.Option(
                help="Training iterations; one number or several.",
                show_default="1000 for toy tasks; for robot by size: 4000 nano, 8000 mlp, 50000 tiny, "
                "150000 full",
            ),
        ] = None,
        batch_size: BatchSize = None,
        learning_rate: LearningRate = None,
        time_sampling: Annotated[
            str | None,
            typer.Option(
                help="How the training times of a batch are drawn: stratified or iid.",
                show_default=DEFAULTS.time_sampling,
                autocompletion=completion.one_of(("stratified", "iid")),
            ),
        ] = None,
        device: OptionalDevice = None,
        executor: Annotated[
            str | None,
            typer.Option(
                help="Where cells run. local: processes of this machine; ray: a Ray cluster; debug: this "
                "process.",
                show_default=DEFAULTS.executor,
                autocompletion=completion.one_of(("local", "ray", "debug")),
            ),
        ] = None,
        address: Annotated[
            str | None,
            typer.Option(
                help="The Ray cluster: HOST:PORT, or auto for one that this machine is part of.",
                show_default="$RAY_ADDRESS, or a new one on this machine",
            ),
        ] = None,
        cpus_per_cell: Annotated[
            float | None, typer.Option(help="Processors per cell, on Ray.", show_default="threads")
        ] = None,
        gpus_per_cell: Annotated[
            float | None,
            typer.Option(
                help="GPUs per cell, on Ray: 1, or a share such as 0.25.",
                show_default=shown(DEFAULTS.gpus_per_cell),
            ),
        ] = None,
        jobs: Jobs = None,
        threads: Threads = None,
        out: Annotated[
            str | None,
            typer.Option(
                help="Results folder; finished cells in it are kept.",
                show_default=DEFAULTS.out,
                autocompletion=completion.results_folder,
            ),
        ] = None,
        preset: Annotated[
            str | None,
            typer.Option(
                help="A name from `toyflow presets`, or your own TOML file; flags override its values.",
                autocompletion=completion.preset,
            ),
        ] = None,
        quick: Annotated[
            bool,
            typer.Option(
                "--quick", help="Run the preset's short version; `toyflow presets` says what it costs."
            ),
        ] = False,
        dry_run: Annotated[
            bool,
            typer.Option(
                "--dry-run",
                help="List the cells, which of them exist, and what the others will cost; run nothing.",
            ),
        ] = False,
    ) -> None:
        """Train a model per schedule, objective and seed, and decode each in every number of steps.

        A model with its decodings is a cell of the results folder. You can stop a sweep at any time: the same
        command goes on where it stopped, and more steps or seeds extend it.
        """
        flags = {
            "schedules": schedules, "objectives": objectives, "steps": steps, "seeds": seeds,
            "samplers": samplers, "predict": predict, "grid": grid, "draws": draws,
            "task": task, "set": settings, "data_dir": data_dir,
            "iterations": iterations, "batch_size": batch_size,
            "learning_rate": learning_rate, "time_sampling": time_sampling,
            "device": device, "executor": executor, "address": address, "cpus_per_cell": cpus_per_cell,
            "gpus_per_cell": gpus_per_cell, "jobs": jobs, "threads": threads, "out": out,
        }  # fmt: skip
        options = sweep_options(flags, preset, quick)
        if options.executor == "local" or dry_run:
            start_workers(options.task)
        check_torch()
        from toyflow.api.sweeping import run_sweep  # imports torch

        cost = preset_cost(preset, quick) if dry_run else ""
        with preset_hints(preset, cost):
            run_sweep(options, console, dry_run, cost)

    @app.command(
        epilog=examples(
            "toyflow recommend",
            "toyflow recommend --task dial --set certainty=0.4 --batch-size 64",
            "toyflow recommend --task class-to-image --metric frechet_distance --iterations 3500",
            "toyflow recommend --against results/mine",
        )
    )
    def recommend(
        seeds: Annotated[
            str | None,
            typer.Option(
                help="Training seeds, over which the anatomy is averaged.",
                show_default=shown(RECOMMEND.seeds),
            ),
        ] = None,
        fraction: Annotated[
            float, typer.Option(help="Length of the short training, as a share of --iterations.")
        ] = RECOMMEND_FRACTION,
        metric: Annotated[
            str | None,
            typer.Option(help="Metric to show; the rule reads none.", show_default="the task's headline"),
        ] = None,
        against: Annotated[
            Path | None,
            typer.Option(
                help="Results folder with full trainings of this setting, to check the choice.",
                autocompletion=completion.results_folder,
            ),
        ] = None,
        task: TaskName = None,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="NAME=VALUE", help="An option of the task. May be repeated."),
        ] = None,
        data_dir: DataDir = None,
        iterations: Annotated[
            str | None,
            typer.Option(help="Iterations of the full training.", show_default="1000 for toy tasks"),
        ] = None,
        batch_size: BatchSize = None,
        learning_rate: LearningRate = None,
        device: OptionalDevice = None,
        jobs: Jobs = None,
        threads: Threads = None,
        out: Annotated[
            str | None,
            typer.Option(
                help="Results folder.",
                show_default=f"{RECOMMEND.out}/SETTING",
                autocompletion=completion.results_folder,
            ),
        ] = None,
    ) -> None:
        """Recommend prediction, schedule, number of steps and draws for a task, from one short training.

        A model that predicts the data is trained for a share of the iterations, and its one-step error taken
        apart on the validation split: noise that leaks through, and spread of the samples. Spread that is
        joint asks for ten steps, else one is enough; leak asks for draws. Where half of the training does
        not tell, it is trained in full. In 18 settings whose full sweeps are known, this was no better than
        always predicting the data in one step with 8 draws.
        """
        flags = {
            "seeds": seeds, "task": task, "set": settings, "data_dir": data_dir, "iterations": iterations,
            "batch_size": batch_size, "learning_rate": learning_rate, "device": device, "jobs": jobs,
            "threads": threads, "out": out,
        }  # fmt: skip
        options = recommend_options(flags)
        start_workers(options.task)
        check_torch()
        from toyflow.api.recommending import recommend_and_check  # imports torch
        from toyflow.report.recommendation import recommendation_sentences, recommendation_table

        found, checked = recommend_and_check(
            options, console, fraction=fraction, metric=metric, against=against
        )
        console.print(recommendation_table(found))
        for sentence in recommendation_sentences(found):
            console.print(f"\n{escape(sentence)}")
        if checked:
            console.print(f"\n{escape(checked)}")
