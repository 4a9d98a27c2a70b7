"""`toyflow robot-train` and `robot-eval`: one policy, trained and evaluated, then its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

from toyflow.api.sweeping import print_tables
from toyflow.cluster import Cluster
from toyflow.errors import ToyflowError, UsageError
from toyflow.launch import launch, wants_bfloat16
from toyflow.machine import check_device_name, choose_device, cores, free_memory
from toyflow.parsing import parse_steps
from toyflow.report.results import load_results
from toyflow.report.robot import by_task, for_terminal, latency
from toyflow.robot.data.demos import DemoOptions, make_demos
from toyflow.robot.interface import Interface
from toyflow.robot.lerobot.adapt import can_decode
from toyflow.robot.opening import find_policy
from toyflow.robot.policy.checkpoint import find_checkpoint, spec_of
from toyflow.robot.robot_runner import RobotRunner
from toyflow.robot.robot_task import RobotTask
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.trials import DemoSource, TrialOptions, trials_of
from toyflow.robot.train_distributed import train_distributed
from toyflow.sweep.executors import LocalExecutor
from toyflow.sweep.live import view_of
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.plan import Cell, objective_of, plan_sweep
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.store import Store, StoredTraining
from toyflow.training.process_group import check_split

DEMO_SUITE, DEMO_TASK = "libero_object", 0
DEMO_EPISODES, DEMO_IMAGE_SIZE, DEMO_ITERATIONS, DEMO_STATES = 12, 64, 1200, 5
"""Of `robot-train` without a data set: a few demonstrations of one task, and a short training on them."""


def train_one(
    options: SweepOptions,
    console: Console,
    *,
    threads: int | None,
    accumulate: int,
    simulators: int | None,
    videos: int,
    wandb: str | None,
) -> None:
    """Train the one policy that `options` ask for, evaluate it, and print how it did. All processes of a
    launch train it together; the main one does the rest.

    Args:
        threads: of each process; None for all processors, which processes of one machine share.

    Raises:
        UsageError: before any work starts.
        ToyflowError: training or evaluation failed; the same command goes on.
    """
    here, bfloat16 = launch(), wants_bfloat16()
    if not here.is_main:
        console = Console(quiet=True)
    [cell] = plan_sweep(options, RobotTask)
    check_split(int(cell.training.recipe["batch_size"]), here.world_size, accumulate)
    runner = RobotRunner.from_options(RobotTask, replace(options, threads=threads or cores()))
    runner = replace(
        runner, simulators=simulators or cores(), videos=videos, wandb=wandb, accumulate=accumulate,
        bfloat16=bfloat16,
    )  # fmt: skip
    if here.world_size > 1:
        from toyflow.training.distributed import joined

        log = Path(options.out) / "logs" / cell.training.key / f"error-{here.rank}.txt"
        each = threads or max(1, cores() // here.local_world_size)
        with (
            joined(here, choose_device(runner.device), log) as group,
            view_of({cell.training.key: cell}, console) as view,
        ):
            train_distributed(cell.training, replace(runner, group=group, threads=each), view.show)
        free_memory()  # for the evaluation, which runs in another process
    if here.is_main:
        _run(cell, runner, options.out, console)


def evaluate_one(
    checkpoint: str,
    console: Console,
    *,
    steps: str,
    sampler: str,
    noise_seed: int,
    trials: Mapping[str, str],
    device: str,
    threads: int | None,
    simulators: int | None,
    videos: int,
    rename: str | None,
    out: Path,
    cluster: Cluster | None,
) -> None:
    """Evaluate a policy and print how it did; one of LeRobot's becomes a cell of `out` first.

    Args:
        cluster: where simulators run; None for this machine.

    Raises:
        UsageError: no such checkpoint, suite or task; before any work starts.
        ToyflowError: the evaluation failed; the same command goes on.
    """
    asked = parse_steps(steps, "--steps")
    training = find_policy(checkpoint, rename, out)
    out = training.folder.parent.parent
    decoding = _decoding(training)
    if trials["replan"] == "horizon":
        trials = {**trials, "replan": str(decoding.replan)}
    asked_for = trials_of(
        TrialOptions.parse(trials), DemoSource.from_dict(training.details["made_of"]), decoding.horizon
    )
    if asked_for is None:
        raise UsageError("name a suite to evaluate on, such as --suite libero_object; none is for training.")
    where = asked_for.environment
    load_environment(where).interface.check_serves(decoding.interface, where)
    able = [k for k in asked if decoding.can_decode(k)]
    if not able:
        raise UsageError(f"{training.record.objective} cannot decode in {', '.join(map(str, asked))} steps.")
    if left_out := [k for k in asked if k not in able]:
        said = ", ".join(map(str, left_out))
        console.print(f"[yellow]{training.record.label} cannot be decoded in {said} steps.[/]")
    used = sampler if decoding.uses_sampler else None
    evaluations = tuple(EvaluationRecord(used, k, noise_seed, str(asked_for)) for k in able)
    cell = Cell(training.record, evaluations, training.record.label)
    if cluster is not None:
        if videos:
            raise UsageError(
                "videos are made on the machine of the simulator: --executor local for --videos."
            )
        if cell.missing(Store(out)):
            cluster.connect()
            cluster.disconnect()  # the process that evaluates connects itself
    check_device_name(device)
    runner = RobotRunner(
        device, threads or (1 if cluster else cores()), str(out), {}, simulators or cores(), videos,
        cluster=cluster,
    )  # fmt: skip
    _run(cell, runner, str(out), console)


class _Decoding(NamedTuple):
    """What a policy's plans are like."""

    interface: Interface
    horizon: int
    replan: int
    """Actions after which it looks again unless asked otherwise."""
    can_decode: Callable[[int], bool]
    uses_sampler: bool


def _decoding(training: StoredTraining) -> _Decoding:
    imported = training.details.get("imported")
    if imported and "policy" not in training.details:
        interface = Interface.from_dict(imported["interface"])
        able = partial(can_decode, imported["type"])
        return _Decoding(interface, imported["horizon"], imported["replan"], able, uses_sampler=False)
    spec = spec_of(training)
    objective = objective_of(training.record)
    return _Decoding(spec.interface, spec.horizon, spec.horizon, objective.can_decode, objective.uses_sampler)


def first_demonstrations(out: Path, environment: str, console: Console) -> Path:
    """A few demonstrations of one task, under OUT/demos; those that are there are kept."""
    folder = out / "demos"
    options = DemoOptions(
        folder, DEMO_SUITE, (DEMO_TASK,), DEMO_EPISODES, image_size=DEMO_IMAGE_SIZE, environment=environment
    )
    make_demos(options, console)
    return folder


def export(checkpoint: Path, folder: Path, console: Console) -> None:
    """Write a policy in LeRobot's files, and say how LeRobot runs it.

    Raises:
        UsageError: no such checkpoint, or what LeRobot needs is not installed.
    """
    from toyflow.robot.lerobot.export import export_policy

    export_policy(find_checkpoint(checkpoint), folder)
    console.print(f"LeRobot runs it as --policy.path={escape(str(folder))}, in --policy.num_steps=K steps.")


def _run(cell: Cell, runner: RobotRunner, out: str, console: Console) -> None:
    store = Store(out)
    kept = cell.missing(store) is None
    failed = run_missing([cell], runner, store, LocalExecutor(1), show_on(console))
    if failed:
        raise ToyflowError(f"{failed[0].message} What is finished is kept.")
    with store.try_claim(cell.training) as claimed:
        if claimed:  # again: a kill may have come between the last result and this; else the other one will
            runner.finish(store, cell.training.key)
    folder = store.training_folder(cell.training)
    if cell.evaluations:
        results = load_results(store, [cell])
        print_tables(results, console)
        for view in (by_task(results.evaluations), latency(results.evaluations)):
            console.print()
            console.print(for_terminal(view))
    console.print(f"\nThe policy: [bold]{escape(str(folder))}[/] (README.md there is its card)")
    films = sorted(runner.rollouts(cell.training.key).glob("videos/[!.]*.mp4"))
    if runner.videos and kept and cell.evaluations:
        console.print("Nothing was filmed: all episodes are kept. robot-eval --noise-seed 1 runs others.")
    if films:
        console.print(f"{len(films)} videos: {escape(str(films[0].parent))}")
