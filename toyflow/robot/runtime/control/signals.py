"""SIGINT and SIGTERM as a flag that the control loop checks between steps, never amid a robot's command."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopSignals:
    """A context in which SIGINT and SIGTERM are counted, and the first does not raise.

    Attributes:
        number: the last signal that has come; None for none.
        count: how many have come.
        finishing: whether the robot is being brought to rest.

    A second signal raises KeyboardInterrupt wherever the program is, in case a robot or camera does not
    return; unless `finishing` is set, as the robot is then being brought to rest. Outside the main thread,
    where signals cannot be caught, the context does nothing.
    """

    CAUGHT = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number: int | None = None
        self.count = 0
        self.finishing = False

    def __enter__(self) -> StopSignals:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._catch) for number in self.CAUGHT}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    @property
    def name(self) -> str:
        """The name of the signal that has come, such as SIGINT; empty if none has."""
        return "" if self.number is None else signal.Signals(self.number).name

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self.finishing:
            raise KeyboardInterrupt
        self.number, self.count = number, self.count + 1
