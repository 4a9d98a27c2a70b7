"""`toyflow robot-train`, `robot-eval` and `robot-export`: train, evaluate or export one policy."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from toyflow.api.command_options import FIRST_ITERATIONS, trial_options
from toyflow.api.demonstrations import first_demonstrations
from toyflow.api.plan_kind import PlanKind, replan_taken_over
from toyflow.api.sweeping import print_tables
from toyflow.cluster import Cluster
from toyflow.errors import ToyflowError, UsageError, unknown
from toyflow.launch import launch, wants_bfloat16
from toyflow.machine import check_device_name, choose_device, cores, free_memory
from toyflow.report.episode_tables import for_terminal, robot_views
from toyflow.report.results import load_results
from toyflow.robot.data.training_part import Demonstrations
from toyflow.robot.handover import usual_replan
from toyflow.robot.policy.checkpoint import find_checkpoint
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.policy_opening import find_policy
from toyflow.robot.robot_runner import RobotRunner
from toyflow.robot.robot_task import RobotTask, Waivers
from toyflow.robot.runtime.remote.addresses import RemoteOptions, is_remote
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.trial_options import AUTO, ENVIRONMENT, WHOLE_HORIZON, TrialOptions
from toyflow.robot.simulation.trials import DemoSource, trials_of
from toyflow.robot.train_distributed import train_distributed
from toyflow.sweep.decodings import Decodings
from toyflow.sweep.events import Incomplete
from toyflow.sweep.executors import LocalExecutor
from toyflow.sweep.live import view_of
from toyflow.sweep.plan import Cell, plan_sweep
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.store import Store
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.training.process_group import check_split


def train_policy(
    options: SweepOptions,
    console: Console,
    *,
    dataset: str | None = None,
    policy: PolicyOptions = PolicyOptions(),  # noqa: B008, which is frozen
    trials: TrialOptions | None = None,
    rename: str | None = None,
    keep_constant: bool = False,
    keep_contradictions: bool = False,
    hold_out: float = 0.0,
    threads: int | None = None,
    accumulate: int = 1,
    simulators: int | None = None,
    videos: int = 0,
    wandb: str | None = None,
) -> None:
    """Train one policy, evaluate it in closed loop, and print how it did. All processes of a launch train it
    together; the main one does the rest.

    Args:
        options: schedule, objective, seed, steps, iterations, device and results folder, as for a sweep of
            one cell; its `set` is replaced by the arguments below. `ROBOT_TRAIN` holds the defaults.
        console: where progress and tables are printed.
        dataset: a LeRobot data set, a folder or a name on the hub; None makes a few demonstrations first,
            under OUT/demos, and trains for fewer iterations.
        policy: what the policy is.
        trials: what it is evaluated on; None for the defaults, see `trial_options`.
        rename: features that are read under other names: DATA=POLICY, ...; None for none.
        keep_constant: accept numbers of state or action that never change.
        keep_contradictions: accept data in which `check_data_set` finds errors.
        hold_out: share of episodes that is kept out of training, at least 2, to test the policy on; 0 for
            none.
        threads: threads of each process; None for all processors, which processes of one machine share.
        accumulate: parts that a batch is computed in, for less memory.
        simulators: processes that simulate; None for one per processor.
        videos: episodes to film, of each task and decoding.
        wandb: a project of Weights & Biases to log to.

    Raises:
        UsageError: before any work starts.
        ToyflowError: training or evaluation failed; the same call goes on where it stopped.

    Example:
        train_policy(
            ROBOT_TRAIN.updated({"steps": "1,10", "out": "results/mine"}, "flags"), Console(),
            dataset="data/demos/libero_object", policy=PolicyOptions(horizon=20),
        )
    """
    here, bfloat16 = launch(), wants_bfloat16()
    if not here.is_main:
        console = Console(quiet=True)
    trials = trials or trial_options({}, first=dataset is None)
    if dataset is None:
        if here.world_size > 1:
            raise UsageError(
                "distributed training needs an existing data set: make one with toyflow robot-demos, and "
                "pass --dataset FOLDER."
            )
        dataset = str(first_demonstrations(Path(options.out), trials.environment, console))
        options = replace(options, iterations=options.iterations or (FIRST_ITERATIONS,))
    waived = Waivers(
        constant_dims="keep" if keep_constant else Waivers.constant_dims,
        contradictions="keep" if keep_contradictions else Waivers.contradictions,
    )
    demonstrations = Demonstrations(dataset, float(hold_out), rename or "")
    chosen = {**demonstrations.record(), **policy.record(), **trials.record(), **waived.record()}
    options = replace(options, set={name: (value,) for name, value in chosen.items()})
    cell, *others = plan_sweep(options, RobotTask)
    if others:
        raise UsageError(
            "robot-train trains one policy, so each of its options takes one value; "
            "`toyflow sweep --task robot` takes several."
        )
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


def evaluate_checkpoint(
    checkpoint: str,
    console: Console,
    *,
    trials: TrialOptions,
    steps: str,
    sampler: str,
    draws: str = "1",
    grid: str = "uniform",
    noise_seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    simulators: int | None = None,
    videos: int = 0,
    rename: str | None = None,
    remote: RemoteOptions = RemoteOptions(),  # noqa: B008, which is frozen
    out: Path,
    cluster: Cluster | None = None,
) -> None:
    """Evaluate a policy in closed loop, and print how it did. Finished episodes are kept.

    Args:
        checkpoint: a policy's folder, OUT/cells/KEY; or a LeRobot policy, a folder or a name on the hub, or
            servers' addresses (see `parse_addresses`), which becomes a cell of `out` first.
        console: where progress and tables are printed.
        trials: what it is evaluated on.
        steps: numbers of denoising steps K, such as 1,2,10 or 1-4.
        sampler: euler, midpoint or heun.
        draws: numbers M of noises whose answers are averaged, such as 1,8.
        grid: names of the times of the steps, such as uniform,shift:3.
        noise_seed: seed of the noise that plans start from.
        device: auto, cpu, cuda or mps.
        threads: processor threads of the policy; None for all processors, on a cluster for one.
        simulators: processes that simulate; None for one per processor.
        videos: episodes to film, of each task and decoding.
        rename: renamed cameras of a LeRobot policy: POLICY_CAMERA=SIMULATOR_CAMERA, ...; None for none.
        remote: how servers are asked.
        cluster: where simulators run; None for this machine.

    Raises:
        UsageError: no such checkpoint, suite or task; before any work starts.
        ToyflowError: the evaluation failed; the same call goes on where it stopped.

    Example:
        evaluate_checkpoint(
            "results/robot/cells/KEY", Console(), trials=TrialOptions(states="50"), steps="1,10",
            sampler="euler", out=Path("results/robot"),
        )
    """
    asked = SweepOptions().updated(
        {"steps": steps, "samplers": sampler, "draws": draws, "grid": grid}, "flags"
    )
    place = ENVIRONMENT if trials.environment == AUTO else trials.environment
    simulated = load_environment(place).interface if is_remote(checkpoint) else None
    with (
        console.status("asking the server; its first plan may take a minute") if simulated else nullcontext()
    ):
        training = find_policy(checkpoint, rename, out, remote, simulated)
    out = training.folder.parent.parent
    kind = PlanKind.of(training)
    if trials.replan == WHOLE_HORIZON:
        latest = kind.horizon - trials.latency_steps
        usual = usual_replan(kind.replan, trials.handover, latest, kind.horizon)
        trials = replace(trials, replan=str(usual))
        if taken_over := replan_taken_over(training, kind):
            console.print(f"[yellow]{escape(taken_over)}[/]")
    asked_for = trials_of(trials, DemoSource.from_dict(training.details["made_of"]), kind.horizon)
    if asked_for is None:
        raise UsageError(
            "name a suite to evaluate on, such as --suite libero_object; --suite none works only with "
            "robot-train."
        )
    where = asked_for.environment
    load_environment(where).interface.check_serves(kind.interface, where)
    decodings = Decodings(asked.steps, asked.samplers, asked.grid, asked.draws, [kind.decodable])
    evaluations = decodings.records(kind.decodable, str(asked_for), noise_seed)
    left_out = ", ".join(str(k) for k in asked.steps if not kind.decodable.can_decode(k))
    if not evaluations:
        raise UsageError(f"{training.record.objective} cannot decode in {left_out} steps.")
    if left_out:
        console.print(f"[yellow]{training.record.label} cannot be decoded in {left_out} steps.[/]")
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


def evaluation_cluster(
    executor: str, address: str | None, cpus_per_simulator: float, gpus_per_simulator: float
) -> Cluster | None:
    """The Ray cluster that an evaluation runs on, or None for this machine.

    Args:
        executor: local or ray.
        address: HOST:PORT, or auto for a cluster that this machine is part of; None as for `toyflow sweep`.
        cpus_per_simulator: processors that a simulator with its policy takes.
        gpus_per_simulator: share of a GPU that it takes.

    Raises:
        UsageError: another executor.
    """
    if executor not in ("local", "ray"):
        raise unknown("executor", executor, ("local", "ray"))
    return Cluster(address, cpus_per_simulator, gpus_per_simulator) if executor == "ray" else None


def export_checkpoint(checkpoint: Path, folder: Path, console: Console) -> None:
    """Write a policy in LeRobot's files, and say how LeRobot runs it.

    Args:
        checkpoint: a policy's folder, OUT/cells/KEY.
        folder: a new folder.
        console: where the sentence is printed.

    Raises:
        UsageError: no such checkpoint, or LeRobot is not installed.
    """
    from toyflow.robot.lerobot.export import export_policy  # imports lerobot

    export_policy(find_checkpoint(checkpoint), folder)
    console.print(f"LeRobot runs it as --policy.path={escape(str(folder))}, in --policy.num_steps=K steps.")


def _run(cell: Cell, runner: RobotRunner, out: str, console: Console) -> None:
    store = Store(out)
    kept = cell.missing(store) is None
    failed = next(iter(run_missing([cell], runner, store, LocalExecutor(1), show_on(console))), None)
    if failed and not isinstance(failed, Incomplete):
        raise ToyflowError(f"{failed.message} What is finished is kept.")
    with store.try_claim(cell.training) as claimed:
        if claimed:  # again: a kill may have come between the last result and this; else the other one will
            runner.finish(store, cell.training.key)
    folder = store.training_folder(cell.training)
    if cell.evaluations:
        results = load_results(store, [cell])
        print_tables(results, console)
        for view in robot_views(results, list(store.evaluations(store.training(cell.training.key)))):
            console.print()
            console.print(for_terminal(view))
    console.print(f"\nThe policy: [bold]{escape(str(folder))}[/] (README.md there is its card)")
    films = sorted(runner.rollouts(cell.training.key).glob("videos/[!.]*.mp4"))
    if runner.videos and kept and cell.evaluations:
        console.print("Nothing was filmed: all episodes are kept. robot-eval --noise-seed 1 runs others.")
    if films:
        console.print(f"{len(films)} videos: {escape(str(films[0].parent))}")
    if failed:
        raise ToyflowError(
            "episodes ended in an error, which says nothing of the policy: the numbers leave them out, and "
            "the same command tries them again."
        )
