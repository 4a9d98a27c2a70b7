"""A policy behind servers that speak openpi's websocket protocol, as a `Planner`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from toyflow.errors import UsageError
from toyflow.flow import Decoding, euler
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import MOST_SECONDS, REPEATS, WARM_UP, Latency, Times
from toyflow.robot.planner import Commitment, PlanLost, Planner
from toyflow.robot.runtime.remote.addresses import Address, RemoteOptions
from toyflow.robot.runtime.remote.connection import Connections
from toyflow.robot.runtime.remote.messages import MessageWriter
from toyflow.robot.runtime.remote.servers import Answer, Server, servers_by_steps
from toyflow.robot.runtime.serving.access import KEY_VARIABLE, read_key
from toyflow.robot.runtime.serving.observations import SEEDS, parse_keys
from toyflow.robot.runtime.serving.protocol import pack
from toyflow.robot.simulation.environment import load_environment


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
        environment: the simulator whose actions are wanted of servers other than toyflow's, which answer in
            openpi's for this robot; see `Environment.from_openpi`. None for actions as they come.

    Attributes:
        facts: what the first server says.
        stage_seconds: `decoding` within the servers, and `network`: all else that a plan took.

    Raises:
        UsageError: no server answers, they serve different policies, or it is not known in how many steps.
    """

    is_remote = True

    def __init__(
        self,
        addresses: Sequence[Address],
        options: RemoteOptions,
        otherwise: Interface | None = None,
        environment: str | None = None,
    ) -> None:
        key = read_key(options.key_file, KEY_VARIABLE)
        servers = [Server(each, Connections(each.url, key, options.timeout), otherwise) for each in addresses]
        self.facts = facts = servers[0].facts
        for other in servers[1:]:
            if other.facts.is_toyflow and (other.facts.policy, other.facts.name) != (
                facts.policy,
                facts.name,
            ):
                raise UsageError(f"{facts.url} and {other.facts.url} serve different policies.")
        self._by_steps = servers_by_steps(servers)
        self.interface, self.replan = facts.interface, facts.replan
        self.history, self.image_size = facts.history, facts.image_size
        if self.history > 1 and not facts.takes_before:
            raise UsageError(
                f"{facts.url} serves a policy that reads {self.history} observations, by a toyflow that does "
                "not take them with a request: update it."
            )
        named = None if facts.is_toyflow else environment
        self._environment = None if named is None else load_environment(named)
        names = facts.names.changed(parse_keys(options.keys))
        self._writer = MessageWriter(names, self.interface, facts.side)
        self._plain: Decoding = facts.decoding or Decoding()
        self.horizon = facts.horizon
        self.stage_seconds = defaultdict(float)
        self.set_decoding(replace(self._plain, steps=self.default_steps))
        if not self.horizon:
            self._try_out()

    @property
    def takes_seeds(self) -> bool:
        """See `Planner`: servers of toyflow do."""
        return self.facts.is_toyflow

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
        """See `Planner`: the noise is the servers'. One of toyflow says whether its policy takes any."""
        return self.facts.is_random

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
        chunks = np.stack([answer.actions for answer in self._answers(observations, seeds)])
        if self._environment is None:
            return chunks
        return self._environment.from_openpi(chunks).astype(np.float32)

    def check_continues(self) -> None:
        """See `Planner`; its server has to be toyflow's, and its policy one that can."""
        if not self.facts.continues:
            raise UsageError(
                "--handover rtc is for policies of toyflow with objective flow and some of LeRobot's, such "
                "as pi0, pi05 and smolvla, where toyflow serves them; the one behind "
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
        """See `Planner`. `Latency.network` is what a plan took outside the policy. Servers do not say what
        the condition took: T_step is the slope between plans of two numbers of steps, 1 and 3 where they
        decode in these; where they decode in one number only, all counts as the condition."""
        beside = [1, 3] if {1, 3} <= {*self.steps} else [self.steps[0], self.steps[-1]]
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
        few, many = (times(inside, count) for count in beside)
        step = Times(*(_slope(a, b, *beside) for a, b in ((few.p50, many.p50), (few.p95, many.p95))))
        condition = Times(
            *(round(a - beside[0] * b, 4) for a, b in ((few.p50, step.p50), (few.p95, step.p95)))
        )
        one_step = times(whole, 1) if 1 in whole else None
        return [
            Latency(condition, step, times(whole, count), one_step, times(outside, count)) for count in asked
        ]

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
    ) -> list[Answer]:
        server, steps = self._by_steps[self.decoding.steps]
        told = committed or [None] * len(seeds)
        frames = [
            self._frame(seen, seed, steps, kept)
            for seen, seed, kept in zip(observations, seeds, told, strict=True)
        ]
        began = time.perf_counter()
        try:
            answers = server.ask(frames, self.horizon, self.interface.action_dim)
        except PlanLost:
            server.connections.drop()  # where an answer was nonsense, the next may be another question's
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


def _slope(low: float, high: float, fewer: int, more: int) -> float:
    """Milliseconds of a step; 0 where there is one number of steps only, or noise is larger."""
    return round(max(0.0, high - low) / (more - fewer), 4) if more > fewer else 0.0
