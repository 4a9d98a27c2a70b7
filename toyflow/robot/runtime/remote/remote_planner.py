"""A policy behind servers that speak openpi's websocket protocol, as a `Planner`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from toyflow.errors import ToyflowError, UsageError
from toyflow.flow import Decoding, euler
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import MOST_SECONDS, REPEATS, WARM_UP, Latency, Times
from toyflow.robot.planner import Commitment, PlanLost, Planner
from toyflow.robot.runtime.remote.addresses import Address, RemoteOptions
from toyflow.robot.runtime.remote.connection import Connections, said
from toyflow.robot.runtime.remote.messages import MessageWriter
from toyflow.robot.runtime.remote.server_facts import MOST_NUMBERS, ServerFacts
from toyflow.robot.runtime.serving.access import KEY_VARIABLE, read_key
from toyflow.robot.runtime.serving.faults import NOT_FINITE
from toyflow.robot.runtime.serving.observations import SEEDS, parse_keys
from toyflow.robot.runtime.serving.protocol import pack, unpack


class RemotePlanner(Planner):
    """Asks servers for plans: toyflow's, or others that speak openpi's protocol.

    A server of toyflow decodes in any number of steps that it is asked for, from noise of the seed it is
    sent: its plans are those of the policy in this process. Others decode in steps and from noise of their
    own; of these there is a server for each number of steps.

    Nothing of a server's is trusted: an answer is a chunk of actions of the expected shape, else `PlanLost`
    says in one line what it was. A chunk may hold numbers that are not finite, as that of any planner.

    Args:
        addresses: the servers, of one and the same policy.
        options: names, key and timeout.
        otherwise: cameras, state and action of a policy whose server does not say; see `ServerFacts.read`.

    Attributes:
        facts: what the first server says.
        stage_seconds: `decoding` within the servers, and `network`: all else that a plan took.

    Raises:
        UsageError: no server answers, they serve different policies, or it is not known in how many steps.
    """

    def __init__(
        self, addresses: Sequence[Address], options: RemoteOptions, otherwise: Interface | None = None
    ) -> None:
        key = read_key(options.key_file, KEY_VARIABLE)
        servers = [
            _Server(each, Connections(each.url, key, options.timeout), otherwise) for each in addresses
        ]
        self.facts = facts = servers[0].facts
        for other in servers[1:]:
            if other.facts.is_toyflow and (other.facts.policy, other.facts.name) != (
                facts.policy,
                facts.name,
            ):
                raise UsageError(f"{facts.url} and {other.facts.url} serve different policies.")
        self._by_steps = _by_steps(servers)
        self.interface, self.replan = facts.interface, facts.replan
        self.history, self.image_size = facts.history, facts.image_size
        if self.history > 1 and not facts.takes_before:
            raise UsageError(
                f"{facts.url} serves a policy that reads {self.history} observations, by a toyflow that does "
                "not take them with a request: update it."
            )
        names = facts.names.changed(parse_keys(options.keys))
        self._writer = MessageWriter(names, self.interface.state_dim, facts.side)
        self._plain: Decoding = facts.decoding or Decoding()
        self.horizon = facts.horizon
        self.stage_seconds = defaultdict(float)
        self.set_decoding(replace(self._plain, steps=self.default_steps))
        if not self.horizon:
            self._try_out()

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of steps that there are servers for."""
        return tuple(sorted(self._by_steps))

    @property
    def default_steps(self) -> int:
        """The number of steps that the first server decodes in if it is not asked for another."""
        return self._plain.steps if self._plain.steps in self._by_steps else self.steps[0]

    @property
    def takes_noise(self) -> bool:
        """See `Planner`: its servers average by themselves."""
        return False

    @property
    def is_random_otherwise(self) -> bool:
        """See `Planner`: the noise is the servers'."""
        return True

    def set_decoding(self, decoding: Decoding) -> None:
        """See `Planner`. Sampler, grid and draws are the server's own.

        Raises:
            UsageError: there is no server for so many steps, or another sampler, grid or draws are asked for.
        """
        if decoding.steps not in self._by_steps:
            raise UsageError(self.why_not(decoding.steps))
        plain = self._plain
        for name, asked, default, has in (
            ("--draws", decoding.draws, 1, plain.draws), ("--grid", decoding.grid, None, plain.grid),
            ("--sampler", decoding.sampler or euler.name, euler.name, plain.sampler),
        ):  # fmt: skip
            if asked not in (default, has):
                raise UsageError(
                    f"{name} is chosen where {self.facts.url} is started; there it is {has or default}."
                )
        self.decoding = replace(plain, steps=decoding.steps)
        self.model_calls = decoding.steps

    def why_not(self, steps: int) -> str:
        """Why it cannot decode in so many steps."""
        listed = ", ".join(map(str, self.steps[:12])) + (", ..." if len(self.steps) > 12 else "")
        return f"no server decodes in {steps} steps; {self.facts.url} does in {listed}: use --steps."

    def plan(
        self, observations: Sequence[Observation], seeds: Sequence[int]
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """See `Planner`. A server of toyflow averages its draws.

        Raises:
            PlanLost: there is no plan this time; see there.
            ToyflowError: the server is gone for good, or has become another one.
        """
        return np.stack([answer.actions for answer in self._answers(observations, seeds)])

    def check_continues(self) -> None:
        """See `Planner`; its server has to be toyflow's, and its policy to have objective flow."""
        if not self.facts.continues:
            raise UsageError(
                "--handover rtc is for policies of toyflow with objective flow; the one behind "
                f"{self.facts.url} does not take what is committed. Take switch, blend or ensemble."
            )

    def continue_plan(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        committed: Sequence[Commitment | None],
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """See `Planner`, and `plan`."""
        self.check_continues()
        return np.stack([answer.actions for answer in self._answers(observations, seeds, committed)])

    def answers(
        self, observations: Sequence[Observation], seeds: Sequence[int], draws: int
    ) -> Float32[np.ndarray, "draws batch horizon action"]:
        """See `Planner`."""
        if draws != 1:
            raise UsageError(f"{self.facts.url} answers with plans, not with the draws that they average.")
        return self.plan(observations, seeds)[None]

    def latencies(self, decodings: Sequence[Decoding]) -> list[Latency]:
        """See `Planner`. The plan is what the servers say that their policy took, and `Latency.network` all
        else. They do not say what of it the condition took: where one decodes in 1 and in 3 steps T_step is
        half the difference, else all counts as the condition."""
        beside = [1, 3] if {1, 3} <= {*self.steps} else []
        asked = [each.steps for each in decodings]
        counts = list(dict.fromkeys([*asked, *beside, *({1} & {*self.steps})]))
        inside: dict[int, list[float]] = {each: [] for each in counts}
        whole: dict[int, list[float]] = {each: [] for each in counts}
        seen, now, seconds = self.any_observation(), self.decoding, self.stage_seconds.copy()
        began = time.perf_counter()
        for repeat in range(WARM_UP + REPEATS):
            for count in counts:
                self.set_decoding(replace(now, steps=count))
                started = time.perf_counter()
                [answer] = self._answers([seen], [repeat])
                whole[count].append(time.perf_counter() - started)
                inside[count].append(answer.inside)
            if repeat > WARM_UP and time.perf_counter() - began > MOST_SECONDS * len(decodings):
                break
        self.set_decoding(now)
        self.stage_seconds = seconds

        def times(found: Mapping[int, list[float]], count: int) -> Times:
            return Times.of(found[count][WARM_UP:])

        outside = {k: [a - b for a, b in zip(whole[k], inside[k], strict=True)] for k in counts}
        step = Times(0.0, 0.0)
        if beside:
            step = _half(times(inside, 3), times(inside, 1))
        return [
            Latency(
                times(inside, 1) if beside else times(inside, count), step, times(whole, count),
                times(whole, 1) if 1 in whole else None, times(outside, count),
            )
            for count in asked
        ]  # fmt: skip

    def close(self) -> None:
        """Close all connections."""
        for server, _ in self._by_steps.values():
            server.connections.close()

    def _try_out(self) -> None:
        """Plan from a blank observation, to learn how many actions a chunk has."""
        try:
            [answer] = self._answers([self.any_observation()], [0])
        except PlanLost as error:
            sent = ", ".join(self._writer.message(self.any_observation()))
            raise UsageError(
                f"{str(error).rstrip('.')}. It was sent a blank observation of {sent}; --keys gives other "
                "names."
            ) from error
        self.horizon = len(answer.actions)
        self.replan = min(self.replan, self.horizon)
        self.interface = replace(self.interface, action_dim=answer.actions.shape[1])

    def _answers(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        committed: Sequence[Commitment | None] | None = None,
    ) -> list[_Answer]:
        server, steps = self._by_steps[self.decoding.steps]
        told = committed or [None] * len(seeds)
        frames = [
            self._frame(seen, seed, steps, kept)
            for seen, seed, kept in zip(observations, seeds, told, strict=True)
        ]
        began = time.perf_counter()
        try:
            answers = [self._read(server, each) for each in server.ask(frames)]
        except PlanLost:
            server.connections.close()  # where an answer was nonsense, the next may be another question's
            self.lives += 1
            raise
        taken = time.perf_counter() - began
        every = [answer.inside for answer in answers]
        # toyflow's server plans for all at once, others for one after the other
        inside = min(taken, max(every) if self.facts.is_toyflow else sum(every))
        self.stage_seconds["decoding"] += inside
        self.stage_seconds["network"] += taken - inside
        return answers

    def _frame(
        self, observation: Observation, seed: int, steps: int | None, committed: Commitment | None
    ) -> bytes:
        message = self._writer.message(observation)
        if self.facts.is_toyflow:
            message["toyflow/seed"] = int(seed) % SEEDS
            if steps is not None:
                message["toyflow/steps"] = steps
            if self.history > 1:
                message["toyflow/before"] = [self._writer.message(each) for each in observation.before]
        if committed is not None:
            message["toyflow/committed"] = np.ascontiguousarray(committed.actions, np.float32)
            message["toyflow/frozen"] = int(committed.frozen)
        return pack(message)

    def _read(self, server: _Server, frame: bytes | None) -> _Answer:
        """The chunk in an answer; None is one whose numbers are not finite."""
        dim = self.interface.action_dim
        if frame is None:
            return _Answer(np.full((self.horizon, dim), np.nan, np.float32), 0.0)
        url = server.facts.url
        try:
            message = unpack(frame)
        except ToyflowError as error:
            raise PlanLost(f"{url} answered with no map of actions: {error}") from error
        actions = message.get("actions")
        if not isinstance(actions, np.ndarray) or actions.dtype.kind not in "fiu":
            has = said(", ".join(map(str, message)), 100) or "nothing"
            raise PlanLost(f"{url} answered without an array `actions`; it has {has}.")
        if self.horizon:
            fits = actions.shape == (self.horizon, dim)
        else:
            fits = actions.ndim == 2 and 0 < actions.size <= MOST_NUMBERS
        if not fits:
            shape = "x".join(map(str, actions.shape)) or "none"
            due = f"{self.horizon}x{dim}" if self.horizon else "horizon x action"
            raise PlanLost(f"{url} answered with actions of shape {shape}, not {due}.")
        with np.errstate(over="ignore"):
            return _Answer(actions.astype(np.float32), _inside(message))


class _Answer(NamedTuple):
    """A chunk, and the seconds that it took within the server."""

    actions: Float32[np.ndarray, "horizon action"]
    inside: float


class _Server:
    def __init__(self, address: Address, connections: Connections, otherwise: Interface | None) -> None:
        self.connections, self.asked = connections, address.steps
        self.facts = ServerFacts.read(address.url, connections.metadata, otherwise)

    def ask(self, frames: Sequence[bytes]) -> list[bytes | None]:
        """The answers; None where the policy's actions were not finite."""
        try:
            return list(self.connections.ask(frames))
        except PlanLost as error:
            if self.facts.is_toyflow and NOT_FINITE in str(error):
                return self._one_by_one(frames)
            raise

    def _one_by_one(self, frames: Sequence[bytes]) -> list[bytes | None]:
        """As `ask`, after a server of toyflow has refused to send a plan that is not finite."""
        answers: list[bytes | None] = []
        for frame in frames:
            try:
                answers += self.connections.ask([frame])
            except PlanLost as error:
                if NOT_FINITE not in str(error):
                    raise
                answers.append(None)
        return answers


def _by_steps(servers: Sequence[_Server]) -> dict[int, tuple[_Server, int | None]]:
    """{steps: (the server for it, the steps that it is asked for or None)}."""
    found: dict[int, tuple[_Server, int | None]] = {}
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


def _half(more: Times, fewer: Times) -> Times:
    return Times(round((more.p50 - fewer.p50) / 2, 4), round((more.p95 - fewer.p95) / 2, 4))
