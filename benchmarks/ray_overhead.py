"""Ray's overhead: equal cells on a cluster of two nodes with one processor each, against two processes.

    python benchmarks/ray_overhead.py [--rounds 3] [--iterations 100] [--cells 8]

Rounds alternate between the two; in each, small cells run first, to load torch and data. Prints the ratio of
the times from the first cell's start to the last cell's end, the difference per cell, and the driver's cost
per cell: processor time, bytes received and kept. Exit code 1 if a median is above its limit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from ray.cluster_utils import Cluster as LocalCluster

from toyflow.cluster import Cluster
from toyflow.sweep.cell import run_cell
from toyflow.sweep.events import Event, Failed, Finished, Started
from toyflow.sweep.executors.ray import EvaluationDone, RayExecutor, TrainingDone
from toyflow.sweep.plan import Cell, plan_sweep
from toyflow.sweep.runner import RunContext, Runner
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.toy_runner import ToyRunner

WORKERS = 2
LIMITS = {"ratio": 1.1, "overhead, seconds per cell": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--cells", type=int, default=8)
    asked = parser.parse_args()
    runner = ToyRunner("grid-to-sequence")
    cells = planned(asked.iterations, asked.cells, first_seed=0)
    warm = planned(1, WORKERS, first_seed=1000)
    runner.prepare([cells[0].training])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    head = {"num_cpus": 1, "include_dashboard": False}
    nodes = LocalCluster(initialize_head=True, head_node_args=head)
    nodes.add_node(num_cpus=1)
    ratios, overheads, driver, kept = [], [], [], 0
    for _ in range(asked.rounds):
        bare, _ = timed(bare_processes, warm, cells, runner, None)
        began = time.process_time()
        on_ray, kept = timed(on_cluster, warm, cells, runner, nodes.address)
        driver.append((time.process_time() - began) / len(warm + cells))
        ratios.append(on_ray / bare)
        overheads.append((on_ray - bare) * WORKERS / len(cells))
        print(f"{len(cells)} cells: {bare:.2f} s in bare processes, {on_ray:.2f} s on Ray")
    measured = {
        "ratio": statistics.median(ratios),
        "overhead, seconds per cell": statistics.median(overheads),
    }
    for name, value in measured.items():
        print(f"{name}: {value:.3f} (limit {LIMITS[name]:g})")
    print(f"driver, processor milliseconds per cell: {1000 * statistics.median(driver):.0f}")
    print(f"kept, bytes per cell: {kept}")
    print(f"received, bytes per cell: {received(cells[0], runner)}")
    sys.exit(any(value > LIMITS[name] for name, value in measured.items()))


def planned(iterations: int, count: int, first_seed: int) -> list[Cell]:
    options = SweepOptions(
        schedules=("beta",), seeds=tuple(range(first_seed, first_seed + count)), iterations=(iterations,)
    )
    return plan_sweep(options)


def timed(run, warm: list[Cell], cells: list[Cell], runner: Runner, address: str | None) -> tuple[float, int]:  # noqa: ANN001
    """(seconds from the start of the first of `cells` to the end of the last, bytes kept per cell)."""
    keys = {cell.training.key for cell in cells}
    starts, ends = [], []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "out")
        store.prepare()
        for event in run(warm + cells, runner, str(store.root), address):
            if isinstance(event, Failed):
                raise SystemExit(event.message)
            if event.key in keys and isinstance(event, Started):
                starts.append(time.perf_counter())
            if event.key in keys and isinstance(event, Finished):
                ends.append(time.perf_counter())
        files = [path for key in keys for path in (store.cells / key).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
    return max(ends) - min(starts), size // len(cells)


def on_cluster(cells: Sequence[Cell], runner: Runner, out: str, address: str | None) -> Iterator[Event]:
    executor = RayExecutor(Cluster(address, cpus=1))
    yield from executor.run(cells, runner, RunContext(out, executor.environment(runner)))


def bare_processes(cells: Sequence[Cell], runner: Runner, out: str, _: None) -> Iterator[Event]:
    """Run half of the cells in each of two processes."""
    context = multiprocessing.get_context("spawn")
    receivers = []
    for worker in range(WORKERS):
        receiver, sender = context.Pipe(duplex=False)
        context.Process(target=one_process, args=(cells[worker::WORKERS], runner, out, sender)).start()
        sender.close()
        receivers.append(receiver)
    while receivers:
        for ready in wait(receivers):
            assert isinstance(ready, Connection)
            try:
                yield ready.recv()
            except EOFError:
                receivers.remove(ready)


def one_process(cells: Iterable[Cell], runner: Runner, out: str, sender) -> None:  # noqa: ANN001
    for cell in cells:
        run_cell(cell, runner, RunContext(out, {}), sender.send)


def received(cell: Cell, runner: Runner) -> int:
    """Bytes that a worker sends to the driver for a cell: its model and decodings, pickled."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.prepare()
        run_cell(cell, runner, RunContext(folder, {}), lambda event: None)
        stored = store.training(cell.training.key)
        sent: list[Event] = [TrainingDone(cell.training.key, stored.trained(), stored.environment)]
        for evaluation in store.evaluations(stored):
            made = Evaluated(evaluation.outcomes(), dict(evaluation.details))
            sent.append(EvaluationDone(cell.training.key, evaluation.record, made, {}))
    return sum(len(pickle.dumps(event, protocol=5)) for event in sent)


if __name__ == "__main__":
    main()
