"""A Ray cluster: connecting to it, and tasks there that yield events while they run.

One module, although a long one, so that everything known of Ray's behaviour is in one place; what the tasks
do (train cells, run episodes) is elsewhere.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from filelock import FileLock, Timeout

from toyflow.atomic import remove_stale
from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.version import __version__

ATTEMPTS = 3
"""How often a task is tried before the loss of its worker counts as its own failure."""
FETCH_SECONDS = 600.0
"""Seconds after which an event that a worker has sent, and that has not arrived, counts as lost."""
PATIENCE = 120.0
"""Seconds without any node that could take a task, after which a run gives up."""
CONNECT_SECONDS = 5.0
QUEUED = 2
"""Tasks given to Ray for each that it can run, so that workers never wait for the driver."""
TICK = 0.5
"""Seconds that a driver waits for an event before it checks on the cluster."""

J = TypeVar("J")
_SCRATCH_LOCK = re.compile(r"\d+-\d+\.lock")


@dataclass(frozen=True)
class TaskLost:
    """A task's worker or node died, or an event that it sent was lost; another try may succeed."""

    why: str


@dataclass(frozen=True)
class TaskFailed:
    """A task raised an error, or could not start, as its worker lacks something."""

    why: str


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and the resources of each task.

    Args:
        address: HOST:PORT of its head; `auto` for the cluster that this machine belongs to; None for that of
            $RAY_ADDRESS, or else one that is started on this machine and ends with this process.
        cpus: processors for each task.
        gpus: GPUs for each task; a fraction lets several tasks share one.
    """

    address: str | None
    cpus: float
    gpus: float = 0

    def connect(self) -> None:
        """Connect, unless this process is connected already.

        Raises:
            UsageError: Ray is not installed, no cluster answers, or none of its nodes can take a task.
        """
        connected: Future[None] = Future()
        _connecting_thread().put((self._connect, connected))
        connected.result()
        if not self._capable():
            raise UsageError(
                f"each task asks for {self._asked()}, and no node has them (the nodes have "
                f"{'; '.join(_in_words(node) for node in _nodes())}): start a larger node, or ask for less."
            )

    def _connect(self) -> None:
        try:
            import ray
        except ImportError:
            raise UsageError("Ray is not installed: pip install 'toyflow[ray]'.") from None
        if ray.is_initialized():
            return
        where = self.address or os.environ.get("RAY_ADDRESS")
        if where and where.startswith("ray://"):
            raise UsageError(
                "Ray Client addresses (ray://) are not supported: run toyflow on a node of the cluster, or "
                "with `ray job submit`."
            )
        if where not in (None, "auto", "local"):
            _check_listens(where)
        _keep_ray_from_printing()
        try:
            ray.init(
                address=where or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
            )
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise UsageError(
                f"no Ray cluster at {where or 'this machine'}: {first_line(error).rstrip('.')}. Start one: "
                "ray start --head."
            ) from error

    def disconnect(self) -> None:
        """End all tasks of this process; a cluster that `connect` started ends too."""
        import ray

        ray.shutdown()

    def size(self) -> int:
        """How many tasks the cluster's present nodes can run at a time; at least 1."""
        return max(1, sum(self._fit(node) for node in _nodes()))

    def nodes(self) -> int:
        """How many nodes are alive."""
        return len(_nodes())

    def task(self, function: Callable[..., Iterator[Any]]) -> Any:
        """`function`, a generator function, as a Ray task. It is never run again by Ray itself, which would
        take what was seen of a lost one for the beginning of the next."""
        import ray

        return ray.remote(
            num_returns="streaming",  # pyright: ignore[reportArgumentType] (ray's own types lack it)
            max_retries=0,
            num_cpus=self.cpus,
            num_gpus=self.gpus,
        )(function)

    def share(self, value: Any) -> Any:
        """`value` as an argument of many tasks, which is sent to each node once."""
        import ray

        return ray.put(value)

    def _capable(self) -> bool:
        return any(self._fit(node) for node in _nodes())

    def _fit(self, node: dict[str, float]) -> int:
        asked = {"CPU": self.cpus, "GPU": self.gpus}
        rooms = [int(node.get(kind, 0) / amount + 1e-9) for kind, amount in asked.items() if amount]
        return min(rooms, default=1)

    def _asked(self) -> str:
        return " and ".join(
            f"{amount:g} {kind.upper()}{'s' * (amount != 1)} (--{kind}s-per-cell or --{kind}s-per-simulator)"
            for kind, amount in (("cpu", self.cpus), ("gpu", self.gpus))
            if amount
        )


class Tasks(Generic[J]):
    """Running tasks of a cluster, each for a job of the caller's. As a context manager, it cancels what is
    still running at the end."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._running: dict[Any, J] = {}
        self._capable_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._running)

    def __enter__(self) -> Tasks[J]:
        return self

    def __exit__(self, *_: object) -> None:
        for job in list(self._running.values()):
            self.cancel(job)

    def start(self, job: J, task: Any, *arguments: Any) -> None:
        """Give a `Cluster.task` to the cluster."""
        self._running[task.remote(*arguments)] = job

    def forget(self, job: J) -> None:
        """Note that a job's task has sent its last event, so that its worker is free for another."""
        for stream in [stream for stream, of in self._running.items() if of is job]:
            del self._running[stream]

    def cancel(self, job: J) -> None:
        """End a job's task and its worker, if it is running."""
        import ray
        from ray.exceptions import RayError

        for stream in [stream for stream, of in self._running.items() if of is job]:
            with suppress(RayError):
                ray.cancel(stream, force=True)
        self.forget(job)

    def events(self, seconds: float) -> Generator[tuple[J, Any], None, None]:
        """Events of the tasks, oldest first for each task, after waiting up to `seconds` for the first.
        A task that ends before the caller has called `forget` sends `TaskLost` or `TaskFailed` last.

        Raises:
            ToyflowError: for a while now, no node could take a task.
        """
        import ray

        ready, _ = ray.wait(list(self._running), timeout=seconds)
        if not ready:
            self._check_capable()
            return
        ready, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for stream in ready:
            job = self._running[stream]
            event = self._next(stream)
            if isinstance(event, TaskLost | TaskFailed):
                del self._running[stream]
            yield job, event

    def _next(self, stream: Any) -> Any:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(next(stream), timeout=FETCH_SECONDS)
        except StopIteration:
            return TaskLost("its worker ended early")
        except RayTaskError as error:
            return TaskFailed(f"it failed on its worker: {_last_line(error)}")
        except RayError as error:
            return TaskLost(_loss(error))

    def _check_capable(self) -> None:
        now = time.monotonic()
        if self._cluster._capable():
            self._capable_at = now
        elif now - self._capable_at > PATIENCE:
            raise ToyflowError(
                f"for {PATIENCE:.0f} s no node of the Ray cluster has had {self._cluster._asked()} to offer; "
                "the same command goes on when there is one."
            )


@cache
def _connecting_thread() -> SimpleQueue[tuple[Callable[[], None], Future[None]]]:
    """The queue of a thread that connects to Ray. In the main thread Ray would replace SIGTERM's handler. It
    stays, as a cluster that it started ends with it, and is a daemon, as connecting may take minutes."""
    waiting: SimpleQueue[tuple[Callable[[], None], Future[None]]] = SimpleQueue()

    def work() -> None:
        while True:
            connect, connected = waiting.get()
            try:
                connected.set_result(connect())
            except BaseException as error:
                connected.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return waiting


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A temporary folder for a worker's task, deleted at its end. Ray kills workers, so folders that earlier
    ones left on this machine are deleted, too."""
    root = Path(tempfile.gettempdir()) / f"toyflow-workers-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ToyflowError(f"{root} is not this user's own folder: remove it, or set TMPDIR")
    for lock in [path for path in root.iterdir() if _SCRATCH_LOCK.fullmatch(path.name)]:
        with suppress(Timeout, OSError), FileLock(lock).acquire(timeout=0):
            remove_stale([lock.with_suffix("")])
            if not lock.with_suffix("").exists():
                lock.unlink()
    folder = root / f"{os.getpid()}-{time.time_ns()}"
    with FileLock(f"{folder}.lock") as held:
        folder.mkdir()
        try:
            yield str(folder)
        finally:
            remove_stale([folder, Path(held.lock_file)])


def check_version(driver: str) -> None:
    """Raise ToyflowError unless this worker's toyflow is the driver's."""
    if driver != __version__:
        raise ToyflowError(
            f"driver has toyflow {driver}, this worker {__version__}: install the same version on both."
        )


def _nodes() -> list[dict[str, float]]:
    """The resources of each living node."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _in_words(node: dict[str, float]) -> str:
    return ", ".join(f"{node.get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))


def _keep_ray_from_printing() -> None:
    """When a node dies, Ray prints a page of its log to the screen, and has no option against it. `TaskLost`
    says it in a line."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _check_listens(address: str) -> None:
    """Raise UsageError if nothing listens there; Ray would try for minutes, then end the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--address must be auto or HOST:PORT, such as 10.0.0.1:6379, not {address!r}.")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"no Ray cluster at {address}: {error.strerror or error}. Start one there: "
            f"ray start --head --port={port}."
        ) from error


def _loss(error: Exception) -> str:
    from ray import exceptions

    known = {
        exceptions.NodeDiedError: "its node died",
        exceptions.WorkerCrashedError: "its worker died",
        exceptions.OutOfMemoryError: "its worker was killed, as its node ran out of memory",
        exceptions.ObjectLostError: "what it sent was lost with its node",
        exceptions.GetTimeoutError: "what it sent did not arrive",
    }
    said = [words for kind, words in known.items() if isinstance(error, kind)]
    return said[0] if said else f"Ray lost it: {_last_line(error)}"


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
