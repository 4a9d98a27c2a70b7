"""The command line: one thin function per command. Heavy imports wait until a command runs."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from toyflow import __version__
from toyflow.cli.options import Device, examples
from toyflow.cli.robot import add_commands as add_robot_commands
from toyflow.cli.robot_control import add_commands as add_control_commands
from toyflow.errors import ToyflowError, UsageError
from toyflow.launch import launch
from toyflow.sweep.options import RECOMMEND, RECOMMEND_FRACTION, SweepOptions, load_preset

app = typer.Typer(
    name="toyflow",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Is one denoising step enough? Train flow-matching models under different training-time laws, "
    "decode them in any number of steps, and compare with error bars.",
    epilog="Start with [bold]toyflow sweep[/], then [bold]toyflow plot[/]. Trouble: [bold]toyflow doctor[/].",
)
runs_app = typer.Typer(no_args_is_help=True, help="List, show and prune the cells of a results folder.")
app.add_typer(runs_app, name="runs")

DEFAULTS = SweepOptions()
Out = Annotated[Path, typer.Option("--out", help="Results folder.")]
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
PLAIN_WIDTH = 120
console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Toyflow."""
    if version:
        typer.echo(f"toyflow {__version__}")
        raise typer.Exit


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
    samplers: Annotated[str | None, typer.Option(help="euler, midpoint, heun.", show_default="euler")] = None,
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
        str | None, typer.Option(help="Options from experiments/NAME.toml or a TOML file; flags override.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The preset's short version, about 5 minutes on 2 cores.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List the cells, which exist and what the rest will cost; run nothing."
        ),
    ] = False,
) -> None:
    """Train a model per schedule, objective and seed, and decode each in every number of steps.

    It can be stopped and started again at any time: finished cells are kept, more steps or seeds extend it.
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
    if options.executor == "local" and not dry_run:
        start_workers(_modules(options))
    _check_torch()
    from toyflow.cli.sweep import run_sweep

    run_sweep(options, console, dry_run)


@app.command(
    epilog=examples(
        "toyflow plot",
        "toyflow plot --out results/reference/finding-1 --format png,pdf,svg",
    )
)
def plot(
    out: Out = Path(DEFAULTS.out),
    formats: Annotated[str, typer.Option("--format", help="png, pdf, svg, or several.")] = "png",
) -> None:
    """Draw the figures of a results folder, and write its tables as CSV."""
    _check_torch()
    from toyflow.report.write import write_report

    with console.status("reading results, drawing"):
        paths = write_report(out, [name.strip() for name in formats.split(",") if name.strip()])
    for path in paths:
        console.print(escape(str(path)), style="green")


@app.command(
    epilog=examples(
        "toyflow compare shift:4@beta uniform",
        "toyflow compare shift:4@beta uniform beta regression --steps 1,10 --out results/finding-1",
        'toyflow compare "beta,K=1" "beta,K=10" --margin 1',
        'toyflow compare "flow,encoder=large" results/other::"flow,encoder=base"',
    )
)
def compare(
    selections: Annotated[
        list[str],
        typer.Argument(
            help="Two results or more; the first is compared with each of the others. A law's label as "
            "tables show it, then conditions after commas: shift:4@beta,K=10,encoder=large. FOLDER:: before "
            "it takes it from another folder."
        ),
    ],
    steps: Annotated[str, typer.Option(help="K for selections that name none.")] = "1",
    metric: Annotated[str | None, typer.Option(help="A metric.", show_default="the headline one")] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Equivalent is within this: points, or the metric's unit.",
            show_default="2 points, or a tenth of the first's metric",
        ),
    ] = None,
    out: Out = Path(DEFAULTS.out),
) -> None:
    """Compare results, the seed being the unit: differences with intervals, and a sentence for each.

    Paired by seed; p-values are adjusted by Holm's method where there are several. Where there are too few
    seeds to tell, it says how many would do.
    """
    _check_torch()
    from toyflow.report.compare import compare as compared
    from toyflow.report.verdicts import comparison_table, verdicts
    from toyflow.sweep.options import parse_steps

    comparison = compared(out, selections, parse_steps(steps, "--steps"), metric, margin)
    console.print(comparison_table(comparison))
    for sentence in verdicts(comparison):
        console.print(f"\n{escape(sentence)}")


@app.command(
    epilog=examples(
        "toyflow probe --out results/finding-1",
        "toyflow probe shift:4@beta uniform --steps 100",
        "toyflow probe 3f2a",
    )
)
def probe(
    selections: Annotated[
        list[str] | None,
        typer.Argument(help="Laws or keys of cells; without, every model that has a velocity."),
    ] = None,
    steps: Annotated[int, typer.Option(help="K of the sampled paths.", min=2)] = 50,
    device: Device = "auto",
    data_dir: Annotated[str | None, typer.Option(help="Where data sets are.")] = None,
    out: Out = Path(DEFAULTS.out),
) -> None:
    """Measure what velocity fields have learned: their error by noise level, how straight the sampled paths
    are, and how far one step lands from many. Against the closed form, where the task knows it."""
    _check_torch()
    from toyflow.probing import probe as probed
    from toyflow.report.probe import probe_table, write_probe

    with _progress("probing") as on_progress:
        found = probed(
            out, selections or [], steps=steps, device=device, data_dir=data_dir, on_progress=on_progress
        )
    console.print(probe_table(found))
    for path in write_probe(found, out):
        console.print(escape(str(path)), style="green")


@app.command(
    epilog=examples(
        "toyflow recommend",
        "toyflow recommend --task dial --set certainty=0.4 --schedules uniform,shift:4,shift:8",
        "toyflow recommend --task class-to-image --metric frechet_distance --iterations 3500 --batch-size 32",
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
    iterations: Annotated[int | None, typer.Option(help="Of the full training.", show_default="1000")] = None,
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
    start_workers(_modules(options))
    _check_torch()
    from toyflow.report.recommend import (
        recommendation_sentences,
        recommendation_table,
        regret,
        regret_sentence,
    )
    from toyflow.sweep.executors import executor_of
    from toyflow.sweep.run import show_on
    from toyflow.toy import recommend as recommending

    executor = executor_of(options)
    full = recommending.full_sweep(options, against) if against else None
    with _progress("probing") as on_progress:
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


@app.command(
    epilog=examples("toyflow report --out results/finding-1", "toyflow report --out results/reference")
)
def report(out: Out = Path(DEFAULTS.out)) -> None:
    """Write report.html, one self-contained page, and report.md: the study's claims beside these results.

    OUT is a results folder, or a folder of results folders.
    """
    _check_torch()
    from toyflow.report.page import write_pages

    with console.status("reading results, drawing"):
        paths = write_pages(out)
    for path in paths:
        console.print(escape(str(path)), style="green")


@app.command(epilog=examples("toyflow objectives"))
def objectives() -> None:
    """Print what can be trained: formula, source, steps, and training passes."""
    _check_torch()
    from toyflow.report.catalogue import objectives_table

    console.print(objectives_table())


@app.command(epilog=examples("toyflow tasks"))
def tasks() -> None:
    """Print what can be learned: metrics, and the options that `sweep --set` takes."""
    _check_torch()
    from toyflow.report.catalogue import tasks_table

    console.print(tasks_table())


@app.command(
    epilog=examples(
        "toyflow schedules",
        "toyflow schedules shift:4@beta logit-normal:-0.5:1 mode:1.29",
    )
)
def schedules(
    names: Annotated[list[str] | None, typer.Argument(help="Laws to print; without, all families.")] = None,
) -> None:
    """Print training-time laws: density, mass at the noise end, source and its direction of time."""
    _check_torch()
    from toyflow.report.laws import laws_table

    console.print(laws_table(names or None))


@runs_app.command(
    "list", epilog=examples("toyflow runs list", "toyflow runs list --out results/reference/finding-1")
)
def runs_list(out: Out = Path(DEFAULTS.out)) -> None:
    """List the cells: key, law, seed, scores, seconds, size."""
    _check_torch()
    from toyflow.report.runs import cells_table

    console.print(cells_table(out))


@runs_app.command("show", epilog=examples("toyflow runs show 3f2a"))
def runs_show(
    key: Annotated[str, typer.Argument(help="Key of a cell, or its beginning.")],
    out: Out = Path(DEFAULTS.out),
) -> None:
    """Show one cell whole: configuration, environment, scores, files checked against their checksums."""
    _check_torch()
    from toyflow.report.runs import show_cell

    shown, well = show_cell(out, key)
    console.print(shown)
    raise typer.Exit(0 if well else 1)


@runs_app.command(
    "prune",
    epilog=examples(
        "toyflow runs prune 3f2a 90bc",
        "toyflow runs prune --damaged",
        "toyflow runs prune --schedule uniform --yes",
    ),
)
def runs_prune(
    keys: Annotated[list[str] | None, typer.Argument(help="Keys of cells, or their beginnings.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Cells of this schedule or objective.")] = None,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Cells, or single decodings, with a file missing or altered.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    out: Out = Path(DEFAULTS.out),
) -> None:
    """Delete cells, after asking."""
    _check_torch()
    from toyflow.report.runs import existing_store, find_cells, find_damaged

    if not (keys or schedule or damaged):
        raise UsageError("say what to prune: keys, --schedule NAME or --damaged.")
    store = existing_store(out)
    cells = find_cells(store, keys or [], schedule)
    chosen: list[tuple[str, str | None]] = [(key, None) for key in cells]
    if damaged:
        chosen += [part for part in find_damaged(store) if part[0] not in cells]
    if not chosen:
        console.print("nothing to prune")
        return
    names = ["/".join(filter(None, part)) for part in chosen]
    console.print(escape(f"to delete from {out}: {', '.join(names)}"))
    if not yes:
        try:
            agreed = typer.confirm("Delete them?")
        except typer.Abort:
            raise UsageError(
                "nobody answered, so nothing was deleted; --yes deletes without asking."
            ) from None
        if not agreed:
            raise typer.Exit(1)
    for key, decoding in chosen:
        store.remove(key, decoding)
    console.print(f"deleted {len(chosen)}")


@app.command(epilog=examples("toyflow doctor"))
def doctor() -> None:
    """Print versions, devices, threads, data and plug-ins, and what is missing for what."""
    from toyflow.doctor import examine

    marks = {True: "[green]ok  [/]", False: "[bold red]bad [/]", None: "[yellow]note[/]"}
    well = True
    for finding in examine():
        console.print(f"{marks[finding.well]} [bold]{finding.subject:<12}[/] ", end="")
        console.print(finding.text, markup=False)
        well &= finding.well is not False
    raise typer.Exit(0 if well else 1)


add_robot_commands(app)
add_control_commands(app)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar from the first call on in a terminal; elsewhere a line for every tenth part."""
    if not console.is_terminal:
        told = -1

        def tell(done: int, total: int) -> None:
            nonlocal told
            if 10 * done // total > told:
                told = 10 * done // total
                console.print(f"{what}: {done} of {total} parts")

        yield tell
        return
    from rich.progress import Progress

    progress = Progress(console=console, transient=True)
    bar = progress.add_task(what, total=None)

    def advance(done: int, total: int) -> None:
        progress.start()  # again is nothing; not before, as a sweep may be on the screen
        progress.update(bar, completed=done, total=total)

    try:
        yield advance
    finally:
        progress.stop()


def start_workers(modules: Sequence[str]) -> None:
    """Let the processes of cells import torch and `modules` while this one does."""
    from toyflow.workers import start_fork_server

    start_fork_server(modules)


def _modules(options: SweepOptions) -> list[str]:
    from toyflow import plugins

    study = "toyflow.robot.study" if options.task == "robot" else "toyflow.toy.study"
    return [study, *plugins.modules("tasks", options.task)]


def _check_torch() -> None:
    from toyflow.machine import check_torch

    check_torch()


class Stopped(BaseException):
    """SIGINT or SIGTERM. Its own class, so that no library takes it for its own business."""


def main() -> None:
    """Entry point: errors become one line and an exit code, 2 before work started, 1 on the way."""

    def stop(number: int, _: object) -> None:
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no bars shows question marks
    try:
        sys.exit(app(standalone_mode=False))
    except ToyflowError as error:
        _fail(f"{error} {getattr(error, 'mend', '')}".strip(), error.exit_code)
    except Stopped as stopped:
        if not launch().is_main:  # the main process says it for all
            sys.exit(128 + stopped.args[0])
        _fail("stopped; finished cells are kept", 128 + stopped.args[0])
    except Exception as error:
        # Typer may carry its own copy of click, so its errors are known by what they can do.
        if not hasattr(error, "format_message"):
            if not isinstance(error, OSError):
                raise
            _fail(f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}", 1)
        _fail(f"{error.format_message()} See toyflow --help.", 2)  # pyright: ignore[reportAttributeAccessIssue]


def _fail(message: str, code: int) -> None:
    stderr = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    here = launch()
    who = "toyflow" if here.is_main else f"toyflow, process {here.rank}"
    stderr.print(f"[bold red]{who}:[/] {escape(message)}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # nothing is left to be said of one that comes now
    sys.exit(code)
