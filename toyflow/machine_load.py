"""How busy a machine is with other work while something is timed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SHORTEST = 0.2
"""Seconds of the shortest stretch that is measured: the system counts processor time in steps of 10 ms."""
SLACK = 0.25
"""Processors by which the work may exceed those that there are, as threads do not all work all the time."""


@dataclass(frozen=True)
class Load:
    """The work of a machine during a timing.

    Attributes:
        others: processors that other processes kept busy, on average.
        threads: threads of the process that was timed.
        processors: processors of the machine.
    """

    others: float
    threads: int
    processors: int

    @property
    def is_busy(self) -> bool:
        """Whether there was more work than processors, so that what was timed had to wait.

        >>> Load(others=0.1, threads=2, processors=2).is_busy, Load(1.5, 1, 2).is_busy
        (False, True)
        """
        return self.others + self.threads > self.processors + SLACK

    def __str__(self) -> str:
        """In words, for notes.

        >>> str(Load(1.5, 1, 2))
        'other processes kept 1.5 of 2 processors busy'
        """
        return f"other processes kept {self.others:.1f} of {self.processors} processors busy"


class LoadMeter:
    """Measures the load from its making on.

    Args:
        threads: threads of this process that work meanwhile.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._began, self._busy, self._own = time.monotonic(), _busy_seconds(), time.process_time()

    def load(self) -> Load | None:
        """The load since then; None where the system does not tell, or that was too short a time."""
        seconds, busy = time.monotonic() - self._began, _busy_seconds()
        if busy is None or self._busy is None or seconds < SHORTEST:
            return None
        others = (busy - self._busy - (time.process_time() - self._own)) / seconds
        return Load(round(max(0.0, others), 2), self._threads, os.cpu_count() or 1)


def _busy_seconds() -> float | None:
    """Seconds of work of all processors since the machine started, those that a host took from it included;
    None where the system does not tell."""
    with suppress(OSError, ValueError):  # not Linux
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and iowait
    return None
