"""The commands that train and decode models of a task. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from toyflow.cli.options import examples
from toyflow.cli.terminal import check_torch, console, progress, start_workers
from toyflow.errors import UsageError
from toyflow.sweep.options import RECOMMEND, RECOMMEND_FRACTION, SweepOptions
from toyflow.sweep.presets import load_preset

DEFAULTS = SweepOptions()
TaskName = Annotated[str | None, typer.Option(help="What to learn.", show_default=DEFAULTS.task)]
DataDir = Annotated[
    str | None, typer.Option(help="Where data sets that toyflow does not carry are, or are put.")
]
BatchSize = Annotated[
    int | None, typer.Option(help="Examples per iteration.", show_default="16 for toy tasks")
]
LearningRate = Annotated[
    float | None, typer.Option(help="Peak of the learning rate.", show_default="4e-3 for toy tasks")
]
OptionalDevice = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", show_default="auto")]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Cells at a time.", show_default="processors / threads; 1 on a GPU; what a cluster takes"
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Threads per cell; recorded, as numbers depend on it.", show_default=str(DEFAULTS.threads)
    ),
]


def add_commands(app: typer.Typer) -> None:
    """Add sweep and recommend to `app`."""

    @app.command(
        epilog=examples(
            "toyflow sweep --schedules beta,uniform --steps 1,10",
            "toyflow sweep --schedules shift:4@beta,pure-noise,regression --steps 1,2,4,10 --seeds 0-4",
            "toyflow sweep --preset finding-1 --dry-run",
            "toyflow sweep --set attention=cross,joint --iterations 800 --out results/attention",
            "toyflow sweep --preset finding-2 --executor ray --address auto --cpus-per-cell 1",
        )
    )
    def sweep(
        schedules: Annotated[
            str | None,
            typer.Option(
                help="Training-time laws, e.g. beta,shift:4@beta; see `toyflow schedules`.",
                show_default="beta,uniform",
            ),
        ] = None,
        objectives: Annotated[
            str | None,
            typer.Option(
                help="flow, pure-noise, regression, mip, shortcut, meanflow, consistency, ...; see `toyflow "
                "objectives`. Those without a schedule give one cell.",
                show_default="flow",
            ),
        ] = None,
        steps: Annotated[
            str | None, typer.Option(help="Denoising steps K to decode with.", show_default="1,10")
        ] = None,
        seeds: Annotated[str | None, typer.Option(help="Seeds, a list or range.", show_default="0-2")] = None,
        samplers: Annotated[
            str | None, typer.Option(help="euler, midpoint, heun.", show_default="euler")
        ] = None,
        task: TaskName = None,
        settings: Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="NAME=VALUES",
                help="An option of the task, one value or several to sweep: encoder=small,large, side=2,3,4; "
                "`toyflow tasks` lists them. May be repeated.",
            ),
        ] = None,
        data_dir: DataDir = None,
        iterations: Annotated[
            int | None, typer.Option(help="Training iterations.", show_default="1000 for toy tasks")
        ] = None,
        batch_size: BatchSize = None,
        learning_rate: LearningRate = None,
        time_sampling: Annotated[
            str | None, typer.Option(help="Times of a batch: stratified or iid.", show_default="stratified")
        ] = None,
        device: OptionalDevice = None,
        executor: Annotated[
            str | None,
            typer.Option(
                help="local: processes of this machine; ray: a Ray cluster; debug: this process.",
                show_default="local",
            ),
        ] = None,
        address: Annotated[
            str | None,
            typer.Option(
                help="Of the Ray cluster: HOST:PORT, or auto for one that this machine is part of.",
                show_default="$RAY_ADDRESS, or one is started here",
            ),
        ] = None,
        cpus_per_cell: Annotated[
            float | None, typer.Option(help="On Ray: processors of a cell.", show_default="threads")
        ] = None,
        gpus_per_cell: Annotated[
            float | None, typer.Option(help="On Ray: GPUs of a cell, such as 1 or 0.25.", show_default="0")
        ] = None,
        jobs: Jobs = None,
        threads: Threads = None,
        out: Annotated[
            str | None,
            typer.Option(help="Results folder; finished cells in it are kept.", show_default=DEFAULTS.out),
        ] = None,
        preset: Annotated[
            str | None,
            typer.Option(
                help="One of `toyflow presets`, or a TOML file of your own; flags override what it says."
            ),
        ] = None,
        quick: Annotated[
            bool,
            typer.Option("--quick", help="The preset's short version; `toyflow presets` says what it costs."),
        ] = False,
        dry_run: Annotated[
            bool,
            typer.Option(
                "--dry-run", help="List the cells, which exist and what the rest will cost; run nothing."
            ),
        ] = False,
    ) -> None:
        """Train a model per schedule, objective and seed, and decode each in every number of steps.

        It can be stopped and started again at any time: finished cells are kept, more steps or seeds extend
        it.
        """
        flags = {
            "schedules": schedules, "objectives": objectives, "steps": steps, "seeds": seeds,
            "samplers": samplers, "task": task, "set": settings, "data_dir": data_dir,
            "iterations": iterations, "batch_size": batch_size,
            "learning_rate": learning_rate, "time_sampling": time_sampling,
            "device": device, "executor": executor, "address": address, "cpus_per_cell": cpus_per_cell,
            "gpus_per_cell": gpus_per_cell, "jobs": jobs, "threads": threads, "out": out,
        }  # fmt: skip
        options = SweepOptions()
        if preset is not None:
            options = options.updated(load_preset(preset, quick), f"preset {preset}")
        elif quick:
            raise UsageError("--quick is a preset's short version; name it with --preset.")
        options = options.updated(flags, "flags")
        if options.executor == "local" or dry_run:
            start_workers(options.task)
        check_torch()
        from toyflow.api.sweeping import run_sweep

        run_sweep(options, console, dry_run)

    @app.command(
        epilog=examples(
            "toyflow recommend",
            "toyflow recommend --task dial --set certainty=0.4 --schedules uniform,shift:4,shift:8",
            "toyflow recommend --task class-to-image --metric frechet_distance --iterations 3500",
            "toyflow recommend --against results/finding-1",
        )
    )
    def recommend(
        schedules: Annotated[
            str | None, typer.Option(help="Laws to choose from.", show_default="uniform,shift:3,shift:8")
        ] = None,
        steps: Annotated[
            str | None, typer.Option(help="Steps K to choose from.", show_default="1,2,4,10")
        ] = None,
        seeds: Annotated[str | None, typer.Option(help="Seeds of each law.", show_default="100,101")] = None,
        fraction: Annotated[
            float, typer.Option(help="Length of a short training, as a share of --iterations.")
        ] = RECOMMEND_FRACTION,
        metric: Annotated[
            str | None, typer.Option(help="What to choose by.", show_default="the task's headline")
        ] = None,
        margin: Annotated[
            float | None,
            typer.Option(
                help="Fewer steps may cost this: points, or the metric's unit.",
                show_default="2 points, or a tenth of the best",
            ),
        ] = None,
        against: Annotated[
            Path | None, typer.Option(help="A results folder with full trainings of these laws, to check by.")
        ] = None,
        task: TaskName = None,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="NAME=VALUE", help="An option of the task. May be repeated."),
        ] = None,
        data_dir: DataDir = None,
        iterations: Annotated[
            int | None, typer.Option(help="Of the full training.", show_default="1000")
        ] = None,
        batch_size: BatchSize = None,
        learning_rate: LearningRate = None,
        device: OptionalDevice = None,
        jobs: Jobs = None,
        threads: Threads = None,
        out: Annotated[
            str | None, typer.Option(help="Results folder.", show_default="results/recommend/SETTING")
        ] = None,
    ) -> None:
        """Say which schedule and how many steps K suit a task, by short trainings of each law.

        The fewest steps are taken that cost no more than the margin, then the law that scores best in them.
        Beside it stand the probe, and the comparison that says whether the seeds can tell the laws apart. One
        setting at a time; README says how good the rule was where full sweeps are known.
        """
        flags = {
            "schedules": schedules, "steps": steps, "seeds": seeds, "task": task, "set": settings,
            "data_dir": data_dir, "iterations": iterations, "batch_size": batch_size,
            "learning_rate": learning_rate, "device": device, "jobs": jobs, "threads": threads, "out": out,
        }  # fmt: skip
        options = RECOMMEND.updated(flags, "flags")
        if out is None:
            named = [options.task, *(f"{name}={','.join(of)}" for name, of in options.set.items())]
            options = options.updated({"out": f"{options.out}/{','.join(named)}"}, "flags")
        start_workers(options.task)
        check_torch()
        from toyflow.api import recommending
        from toyflow.report.recommend import (
            recommendation_sentences,
            recommendation_table,
            regret,
            regret_sentence,
        )
        from toyflow.sweep.executors import executor_of
        from toyflow.sweep.run import show_on

        executor = executor_of(options)
        full = recommending.full_sweep(options, against) if against else None
        with progress("probing") as on_progress:
            found = recommending.recommend(
                options, executor, show_on(console), fraction=fraction, metric=metric, margin=margin,
                on_progress=on_progress,
            )  # fmt: skip
        console.print(recommendation_table(found))
        for sentence in recommendation_sentences(found):
            console.print(f"\n{escape(sentence)}")
        if full is not None:
            held = regret(full, found.choice, found.yardstick)
            console.print(f"\n{escape(regret_sentence(held, found.yardstick))}")
