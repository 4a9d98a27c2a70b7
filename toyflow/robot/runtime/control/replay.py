"""Replay of a run: the actions of its log, at their steps, through the same loop and gate."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from toyflow.errors import UsageError
from toyflow.robot.handover import Chunk, Handover
from toyflow.robot.runtime.control.log import Recording
from toyflow.robot.runtime.control.planning import Plan, Planning, PlanRequest


class RecordedActions(Handover):
    """The actions that a run sent, episode by episode. Steps without an action have none again.

    Raises:
        UsageError: the run sent no action.
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
        """See `Handover`; a chunk is ignored."""
        return len(chunk)

    def action(self, step: int) -> Float[np.ndarray, "action"] | None:
        """See `Handover`."""
        return self._actions.get(step)

    def clear(self) -> None:
        """See `Handover`; goes on to the next episode."""
        self._actions = next(self._left)

    def is_over(self, step: int) -> bool:
        """See `Handover`."""
        return step > max(self._actions)


class NoPlanning(Planning):
    """Makes no plans: it is always busy, so that none is asked for."""

    @property
    def busy(self) -> bool:
        """See `Planning`."""
        return True

    def ask(self, request: PlanRequest) -> None:
        """See `Planning`."""
        raise AssertionError("a replay plans nothing")

    def received(self, step: int) -> Plan | None:
        """See `Planning`."""
        return None
