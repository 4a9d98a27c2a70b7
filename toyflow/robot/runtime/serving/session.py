"""The state of one client's connection."""

from __future__ import annotations

import hashlib
from collections import deque

from toyflow.robot.interface import Observation
from toyflow.robot.runtime.serving.observations import ClientRequest


class Session:
    """One connection: the number of its plans, and its latest observations.

    Args:
        number: number of the connection, counted from 0 since the server's start.
        history: number of observations that the policy reads, the present one included.
        noise_seed: the server's; see `show`.

    Attributes:
        busy: whether a request is being answered.
        last_seconds: seconds from the last request's arrival to its answer's departure.
    """

    def __init__(self, number: int, history: int, noise_seed: int) -> None:
        self.busy = False
        self.last_seconds: float | None = None
        self._number, self._noise_seed, self._plans = number, noise_seed, 0
        self._history = history
        self._recent: deque[Observation] = deque(maxlen=history)

    def plan_inputs(self, request: ClientRequest) -> tuple[Observation, int]:
        """Take up a request: the observation to plan from, with its history, and the noise's seed.

        The seed is the request's own, else a hash of (noise seed, connection, number of the plan). For a
        policy that reads several observations the first of an episode stands in for those before it. A
        request that brings the observations before it needs no memory of the connection.
        """
        if request.new_episode or request.before is not None:
            self._recent.clear()
        self._recent.extend([*(request.before or ()), request.observation])
        missing = self._history - len(self._recent)
        history = (self._recent[0],) * missing + tuple(self._recent)
        seed = request.seed
        if seed is None:
            entropy = f"{self._noise_seed} {self._number} {self._plans}".encode()
            seed = int.from_bytes(hashlib.blake2b(entropy, digest_size=4).digest(), "big")
        self._plans += 1
        return history[-1]._replace(before=history[:-1]), seed
