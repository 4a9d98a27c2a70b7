"""Worker processes for cells: a fork server that loads torch while the driver does. Imports nothing heavy."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext

PRELOAD = "TOYFLOW_PRELOAD"


def start_fork_server(modules: Sequence[str]) -> None:
    """Start, in the background, a process that imports `modules` and then forks workers in milliseconds.
    Does nothing on systems without fork servers."""
    context = worker_context()
    if isinstance(context, ForkServerContext):
        os.environ[PRELOAD] = ",".join(modules)
        context.set_forkserver_preload(["toyflow.preload"])
        _start_resource_tracker()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited until it can ignore it
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _start_resource_tracker() -> None:
    """Start the tracker before the fork server does, which would unblock SIGINT. The tracker cleans up after
    processes that were killed; its warning about them is silenced."""
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.pop()


def worker_context() -> ForkServerContext | SpawnContext:
    """How worker processes are started on this system."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def settle() -> None:
    """What a worker does first: leave Ctrl-C to its parent, end at SIGTERM, and end with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=exit_with_parent, daemon=True).start()


def exit_with_parent() -> None:
    """End this process as soon as its parent has ended, in whatever way; to be run in a daemon thread."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def preload() -> None:
    """Import the modules that `start_fork_server` was given. Errors are ignored: the driver meets them, too,
    and reports them in one line."""
    for module in filter(None, os.environ.get(PRELOAD, "").split(",")):
        with suppress(Exception):
            import_module(module)
