"""What a server remembers of one client."""

from __future__ import annotations

import hashlib
from collections import deque

from toyflow.robot.interface import Observation
from toyflow.robot.runtime.serving.observations import Request


class Session:
    """One connection: its number of plans, and the moments it showed before.

    Args:
        number: of the connection, from 0 since the server's start.
        history: moments that the policy looks at, the present one included.

    Attributes:
        busy: whether a request is being answered.
        last_seconds: from the last request's arrival to its answer's departure.
    """

    def __init__(self, number: int, history: int, noise_seed: int) -> None:
        self.busy = False
        self.last_seconds: float | None = None
        self._number, self._noise_seed, self._plans = number, noise_seed, 0
        self._history = history
        self._recent: deque[Observation] = deque(maxlen=history)

    def show(self, request: Request) -> tuple[Observation, int]:
        """What to plan from, and the seed of the plan's noise: the request's own, or a function of noise
        seed, connection and number of the plan.

        Before a policy that looks at several moments has seen so many, the first stands in for those before
        it, as at an episode's start.
        """
        if request.new_episode:
            self._recent.clear()
        self._recent.append(request.observation)
        missing = self._history - len(self._recent)
        moments = (self._recent[0],) * missing + tuple(self._recent)
        seed = request.seed
        if seed is None:
            entropy = f"{self._noise_seed} {self._number} {self._plans}".encode()
            seed = int.from_bytes(hashlib.blake2b(entropy, digest_size=4).digest(), "big")
        self._plans += 1
        return moments[-1]._replace(before=moments[:-1]), seed
