"""A recorded run's actions once more, at their steps, through the same loop and gate."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError
from toyflow.robot.runtime.control.chunks import Chunk, Handover
from toyflow.robot.runtime.control.log import Recording
from toyflow.robot.runtime.control.planning import Plan, Planning, Request


class Recorded(Handover):
    """The actions that were sent, episode by episode; where none was, none is.

    Raises:
        UsageError: nothing was sent.
    """

    def __init__(self, recording: Recording) -> None:
        self.episodes: list[dict[int, Float[np.ndarray, "action"]]] = []
        for line in recording.lines:
            if line["kind"] == "episode":
                self.episodes.append({})
            elif line["kind"] == "step" and line["sent"] is not None:
                self.episodes[-1][line["step"]] = np.array(line["sent"])
        self.episodes = [actions for actions in self.episodes if actions]
        if not self.episodes:
            raise UsageError(f"{recording.path} holds no actions that were sent.")
        self._left = iter(self.episodes)
        self._actions = self.episodes[0]

    def add(self, chunk: Chunk, start: int, now: int) -> int:
        """See `Handover`: nothing is planned here."""
        return len(chunk)

    def action(self, step: int) -> Float[np.ndarray, "action"] | None:
        """See `Handover`."""
        return self._actions.get(step)

    def clear(self) -> None:
        """See `Handover`: on to the next episode."""
        self._actions = next(self._left)

    def is_over(self, step: int) -> bool:
        """See `Handover`."""
        return step > max(self._actions)


class NoPlanning(Planning):
    """Plans nothing: always busy, so that nobody asks."""

    @property
    def busy(self) -> bool:
        """See `Planning`."""
        return True

    def ask(self, request: Request) -> None:
        """See `Planning`."""
        raise AssertionError("nobody asks who is busy")

    def received(self, step: int) -> Plan | None:
        """See `Planning`."""
        return None
