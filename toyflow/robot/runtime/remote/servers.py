"""The servers of one policy, one for each number of steps, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.planner import PlanLost
from toyflow.robot.runtime.remote.addresses import Address
from toyflow.robot.runtime.remote.connection import Connections, said
from toyflow.robot.runtime.remote.server_facts import MOST_NUMBERS, ServerFacts
from toyflow.robot.runtime.serving.faults import NOT_FINITE
from toyflow.robot.runtime.serving.protocol import unpack


class Answer(NamedTuple):
    """A chunk, and the seconds that it took within the server."""

    actions: Float32[np.ndarray, "horizon action"]
    inside: float


class Server:
    """A server that is connected.

    Attributes:
        asked: the number of steps that the user wrote before its address; None for none.
        facts: what it says of its policy.
    """

    def __init__(self, address: Address, connections: Connections, otherwise: Interface | None) -> None:
        self.connections, self.asked = connections, address.steps
        self.facts = ServerFacts.read(address.url, connections.metadata, otherwise)

    def ask(self, frames: Sequence[bytes], horizon: int, dim: int) -> list[Answer]:
        """The answer to each frame.

        Args:
            horizon: actions of a chunk; 0 if that is not known yet.
            dim: numbers of an action, where the horizon is known.

        Raises:
            PlanLost: a connection was lost, or an answer is no such chunk.
            ToyflowError: the server is gone for good, or has become another one.
        """
        try:
            replies: list[bytes | None] = list(self.connections.ask(frames))
        except PlanLost as error:
            if not (self.facts.is_toyflow and NOT_FINITE in str(error)):
                raise
            replies = self._one_by_one(frames)
        return [self._read(each, horizon, dim) for each in replies]

    def _one_by_one(self, frames: Sequence[bytes]) -> list[bytes | None]:
        """The replies after a server of toyflow has refused to send a plan that is not finite; None for
        such."""
        answers: list[bytes | None] = []
        for frame in frames:
            try:
                answers += self.connections.ask([frame])
            except PlanLost as error:
                if NOT_FINITE not in str(error):
                    raise
                answers.append(None)
        return answers

    def _read(self, frame: bytes | None, horizon: int, dim: int) -> Answer:
        """The chunk in a reply; None is one whose numbers are not finite."""
        if frame is None:
            return Answer(np.full((horizon, dim), np.nan, np.float32), 0.0)
        url = self.facts.url
        try:
            message = unpack(frame)
        except ToyflowError as error:
            raise PlanLost(f"{url} answered with no map of actions: {error}") from error
        actions = message.get("actions")
        if not isinstance(actions, np.ndarray) or actions.dtype.kind not in "fiu":
            has = said(", ".join(map(str, message)), 100) or "nothing"
            raise PlanLost(f"{url} answered without an array `actions`; it has {has}.")
        if horizon:
            fits = actions.shape == (horizon, dim)
        else:
            fits = actions.ndim == 2 and 0 < actions.size <= MOST_NUMBERS
        if not fits:
            shape = "x".join(map(str, actions.shape)) or "none"
            due = f"{horizon}x{dim}" if horizon else "horizon x action"
            raise PlanLost(f"{url} answered with actions of shape {shape}, not {due}.")
        with np.errstate(over="ignore"):
            return Answer(actions.astype(np.float32), _inside(message))


def servers_by_steps(servers: Sequence[Server]) -> dict[int, tuple[Server, int | None]]:
    """{steps: (the server for it, the steps that it is asked for or None)}.

    Raises:
        UsageError: it is not known in how many steps one decodes, one decodes in another number, or two in
            the same.
    """
    found: dict[int, tuple[Server, int | None]] = {}
    for server in servers:
        facts = server.facts
        own = facts.decoding.steps if facts.decoding else None
        if server.asked is None and len(servers) == 1 and facts.steps_accepted:
            return {steps: (server, steps) for steps in facts.steps_accepted}
        steps = server.asked or own
        if steps is None:
            raise UsageError(
                f"{facts.url} does not say in how many steps it decodes: write it before the address, such "
                f"as 10={facts.url} (openpi's pi0 and pi05 take 10 unless they are told otherwise)."
            )
        if steps != own and own is not None and steps not in facts.steps_accepted:
            raise UsageError(f"{facts.url} decodes in {own} steps, not in {steps}.")
        if steps in found:
            raise UsageError(f"{found[steps][0].facts.url} and {facts.url} both decode in {steps} steps.")
        found[steps] = (server, steps if steps in facts.steps_accepted else None)
    return found


def _inside(message: Mapping[str, Any]) -> float:
    """Seconds within the server: its policy's and those in its queue; 0 if it does not say."""
    timing = message.get("server_timing")
    timing = timing if isinstance(timing, dict) else {}
    told = [timing.get(name, 0.0) for name in ("infer_ms", "queue_ms")]
    numbers = [float(each) for each in told if isinstance(each, (int, float))]
    return sum(each for each in numbers if 0 <= each < 1e9) / 1e3
