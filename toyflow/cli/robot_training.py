"""`toyflow robot-train` and `robot-eval`: one policy, trained and evaluated, then its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

from toyflow.cli.robot import DEMO_EPISODES, DEMO_IMAGE_SIZE, DEMO_SUITE, DEMO_TASK
from toyflow.cli.robot_policy import find_policy
from toyflow.cli.sweep import print_tables
from toyflow.cluster import Cluster
from toyflow.errors import ToyflowError, UsageError
from toyflow.integrations.lerobot import can_decode
from toyflow.launch import launch, wants_bfloat16
from toyflow.machine import check_device_name, choose_device, cores, free_memory
from toyflow.report.episode_tables import by_task, for_terminal, latency
from toyflow.report.results import load_results
from toyflow.robot.checkpoint import find_checkpoint, spec_of
from toyflow.robot.demos import DemoOptions, make_demos
from toyflow.robot.environment import load_environment
from toyflow.robot.interface import Interface
from toyflow.robot.study import RobotStudy
from toyflow.robot.task import RobotTask
from toyflow.robot.train_distributed import train_distributed
from toyflow.robot.trials import Trials
from toyflow.sweep.executors import LocalExecutor
from toyflow.sweep.live import view_of
from toyflow.sweep.options import SweepOptions, parse_steps
from toyflow.sweep.plan import Cell, objective_of, plan_sweep
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.store import Store, StoredTraining
from toyflow.training.process_group import check_split


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
    study = RobotTask.study(replace(options, threads=threads or cores()))
    assert isinstance(study, RobotStudy)
    study = replace(
        study, simulators=simulators or cores(), videos=videos, wandb=wandb, accumulate=accumulate,
        bfloat16=bfloat16,
    )  # fmt: skip
    if here.world_size > 1:
        from toyflow.training.distributed import joined

        log = Path(options.out) / "logs" / cell.training.key / f"error-{here.rank}.txt"
        each = threads or max(1, cores() // here.local_world_size)
        with (
            joined(here, choose_device(study.device), log) as group,
            view_of({cell.training.key: cell}, console) as view,
        ):
            train_distributed(cell.training, replace(study, group=group, threads=each), view.show)
        free_memory()  # for the evaluation, which runs in another process
    if here.is_main:
        _run(cell, study, options.out, console)


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
    test_set = RobotTask.test_set(trials, training.details["made_of"], decoding.horizon)
    if not test_set:
        raise UsageError("name a suite to evaluate on, such as --suite libero_object; none is for training.")
    where = Trials.parse(test_set).environment
    load_environment(where).interface.check_serves(decoding.interface, where)
    able = [k for k in asked if decoding.can_decode(k)]
    if not able:
        raise UsageError(f"{training.record.objective} cannot decode in {', '.join(map(str, asked))} steps.")
    if left_out := [k for k in asked if k not in able]:
        said = ", ".join(map(str, left_out))
        console.print(f"[yellow]{training.record.label} cannot be decoded in {said} steps.[/]")
    evaluations = tuple(
        EvaluationRecord(sampler if decoding.uses_sampler else None, k, noise_seed, test_set) for k in able
    )
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
    study = RobotStudy(
        device, threads or (1 if cluster else cores()), str(out), {}, simulators or cores(), videos,
        cluster=cluster,
    )  # fmt: skip
    _run(cell, study, str(out), console)


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
    from toyflow.robot.export import export_policy

    export_policy(find_checkpoint(checkpoint), folder)
    console.print(f"LeRobot runs it as --policy.path={escape(str(folder))}, in --policy.num_steps=K steps.")


def _run(cell: Cell, study: RobotStudy, out: str, console: Console) -> None:
    store = Store(out)
    kept = cell.missing(store) is None
    failed = run_missing([cell], study, store, LocalExecutor(1), show_on(console))
    if failed:
        raise ToyflowError(f"{failed[0].message} What is finished is kept.")
    with store.try_claim(cell.training) as claimed:
        if claimed:  # again: a kill may have come between the last result and this; else the other one will
            study.finish(store, cell.training.key)
    folder = store.training_folder(cell.training)
    if cell.evaluations:
        results = load_results(store, [cell])
        print_tables(results, console)
        for view in (by_task(results.evaluations), latency(results.evaluations)):
            console.print()
            console.print(for_terminal(view))
    console.print(f"\nThe policy: [bold]{escape(str(folder))}[/] (README.md there is its card)")
    films = sorted(study.rollouts(cell.training.key).glob("videos/[!.]*.mp4"))
    if study.videos and kept and cell.evaluations:
        console.print("Nothing was filmed: all episodes are kept. robot-eval --noise-seed 1 runs others.")
    if films:
        console.print(f"{len(films)} videos: {escape(str(films[0].parent))}")
