"""Executors: how cells get run. Each yields the events of its cells as they come."""

from __future__ import annotations

from toyflow.errors import UsageError
from toyflow.machine import check_device_name, choose_device, cores
from toyflow.sweep.executors.base import Executor
from toyflow.sweep.executors.debug import DebugExecutor
from toyflow.sweep.executors.local import LocalExecutor
from toyflow.sweep.sweep_options import SweepOptions

__all__ = ["DebugExecutor", "Executor", "LocalExecutor", "executor_of"]


def executor_of(options: SweepOptions) -> Executor:
    """The executor that `options` ask for. Nothing is connected or started yet.

    Raises:
        UsageError: they do not fit each other or this machine.
    """
    if options.executor == "ray":
        from toyflow.cluster import Cluster
        from toyflow.sweep.executors.ray import RayExecutor

        check_device_name(options.device)
        if options.device == "cuda" and not options.gpus_per_cell:
            raise UsageError("--device cuda on Ray needs --gpus-per-cell, such as 1 or 0.5.")
        cpus = options.threads if options.cpus_per_cell is None else options.cpus_per_cell
        cluster = Cluster(options.address, cpus, options.gpus_per_cell)
        return RayExecutor(cluster, options.jobs)
    device = choose_device(options.device)
    for flag, given in (
        ("--address", options.address is not None), ("--cpus-per-cell", options.cpus_per_cell is not None),
        ("--gpus-per-cell", options.gpus_per_cell > 0),
    ):  # fmt: skip
        if given:
            raise UsageError(f"{flag} is for --executor ray; this is {options.executor}.")
    if options.executor == "debug":
        return DebugExecutor()
    if options.jobs is not None:
        return LocalExecutor(options.jobs)
    return LocalExecutor(max(1, cores() // options.threads) if device == "cpu" else 1)
