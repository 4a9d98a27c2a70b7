"""What an executor is, and what all of them do with a cell."""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol, runtime_checkable

from toyflow.errors import ToyflowError
from toyflow.machine import describe_environment
from toyflow.sweep.events import Event, Failed
from toyflow.sweep.plan import Cell
from toyflow.sweep.runner import RunContext, Runner


class Executor(ABC):
    """Runs cells. A cell that fails yields `Failed` and the others go on; closing the iterator stops all."""

    @abstractmethod
    def jobs(self) -> int:
        """How many cells run at a time. Raises UsageError where nothing can run them."""

    @abstractmethod
    def run(self, cells: Sequence[Cell], runner: Runner, context: RunContext) -> Generator[Event, None, None]:
        """The events of all cells; each cell's last one is `Finished` or `Failed`."""

    def environment(self, runner: Runner) -> dict[str, Any]:
        """What to keep beside a result of how it was made; how many cells ran at once is for its timings."""
        return {**describe_environment(), **runner.environment(), "jobs": self.jobs()}

    def place(self, runner: Runner) -> str:
        """Where the cells run, in words."""
        return runner.environment()["device"]


@runtime_checkable
class Send(Protocol):
    """Sends events to whoever watches, and raises `Stop` when the work should end."""

    def __call__(self, *events: Event) -> None:
        """Send events; called without any, only check for a stop."""


class Stop(BaseException):
    """Ends work from within: nobody watches any more."""


def streamed(work: Callable[[Send], None]) -> Generator[Event, None, None]:
    """What `work` sends from a thread of its own, as it comes; what it raises is raised here.

    Closing the generator stops the work when it next sends, and waits for that.
    """
    events: SimpleQueue[Event | BaseException | None] = SimpleQueue()
    stopped = threading.Event()

    def send(*sent: Event) -> None:
        if stopped.is_set():
            raise Stop
        for event in sent:
            events.put(event)

    def run() -> None:
        try:
            with suppress(Stop):
                work(send)
            events.put(None)
        except BaseException as error:
            events.put(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while (event := events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        stopped.set()
        thread.join()


def attempt(key: str, out: str, work: Callable[[], None], send: Callable[[Event], None]) -> None:
    """Run one cell's work; send `Failed` if it raises."""
    try:
        work()
    except BrokenPipeError:
        raise
    except ToyflowError as error:
        send(Failed(key, error.in_full()))
    except OSError as error:
        send(Failed(key, f"{error.strerror or error} ({error.filename or out})", traceback.format_exc()))
    except Exception as error:
        send(Failed(key, f"{type(error).__name__}: {error}", traceback.format_exc()))
