"""Robots without hardware: one that keeps what it is sent, and goes wrong when told to."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np

from toyflow.robot.interface import Interface, Observation
from toyflow.robot.limits import Limits
from toyflow.robot.runtime.robots import Robot


class FakeRobot(Robot):
    """Two joints on a real or a stepped clock, at 100 Hz. `faults` says what goes wrong: `send` at the fifth
    action, `stop`, `frozen` (all that it sees), `frozen camera`. With `trace` it notes in that file what it
    does beside sending; SIGTERM comes when it begins what `terminated_at` says, `--set signal=connect`."""

    name = "fake"

    def __init__(
        self,
        stepped: bool = True,
        faults: tuple[str, ...] = (),
        trace: str | None = None,
        terminated_at: str | None = None,
    ) -> None:
        self.interface = Interface(("front",), state_dim=4, action_dim=2, fps=100)
        self.limits = Limits(np.full(2, -1.0), np.full(2, 1.0), np.full(2, 0.5))
        self.action_names = ("shoulder", "elbow")
        self.stepped, self.faults, self.trace = stepped, faults, trace
        self.terminated_at = terminated_at
        self.did: list[str] = []
        self.sent: list[np.ndarray] = []
        self.looks = 0

    @classmethod
    def open(cls, settings) -> FakeRobot:
        options = settings.options
        return cls("real" not in options, tuple(options), options.get("trace"), options.get("signal"))

    def connect(self) -> None:
        self._do("connect")

    def observe(self) -> Observation:
        self.looks += "frozen" not in self.faults
        state = np.array([self.looks / 1000, 0, 1, 1], np.float32)
        shade = 0 if "frozen camera" in self.faults else self.looks % 256
        return Observation({"front": np.full((8, 8, 3), shade, np.uint8)}, state, "go")

    def send(self, action) -> None:
        if "send" in self.faults and len(self.sent) == 5:
            raise OSError("the bus is silent")
        self.sent.append(action)
        self.did.append("send")

    def hold(self) -> None:
        self._do("hold")

    def stop(self) -> None:
        self._do("stop")
        if "stop" in self.faults:
            raise OSError("the bus is silent")

    def disconnect(self) -> None:
        self._do("disconnect")

    def still(self):
        return np.zeros(2)

    def _do(self, what: str) -> None:
        if what == self.terminated_at:
            signal.raise_signal(signal.SIGTERM)
        self.did.append(what)
        if self.trace:
            with Path(self.trace).open("a") as file:
                file.write(f"{what}\n")
