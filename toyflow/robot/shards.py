"""Episodes on a Ray cluster: each Ray task has a simulator and a copy of the policy, and runs a few
episodes."""

from __future__ import annotations

import platform
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from toyflow.cluster import (
    ATTEMPTS,
    QUEUED,
    TICK,
    Cluster,
    TaskFailed,
    TaskLost,
    Tasks,
    check_version,
    scratch_folder,
)
from toyflow.errors import ToyflowError, UsageError
from toyflow.flow import Decoding
from toyflow.machine import choose_device, device_name
from toyflow.robot.planner import Planner
from toyflow.robot.policy.card import is_behind_server
from toyflow.robot.policy_opening import open_planner
from toyflow.robot.simulation.rollout import Episode, EpisodeOutcome, RolloutSetup, run_episodes
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining, Trained
from toyflow.version import __version__

EPISODES = 5
"""Episodes of one Ray task, all of one task of the suite: it opens policy and simulator once for them."""


@dataclass(frozen=True)
class SentPolicy:
    """A policy as it is sent to workers, with device, threads and decoding to act with there."""

    record: TrainingRecord
    trained: Trained
    device: str
    threads: int
    decoding: Decoding

    @classmethod
    def of(cls, training: StoredTraining, device: str, threads: int, decoding: Decoding) -> SentPolicy:
        """The policy of a cell. Raises UsageError where the cell refers to a LeRobot checkpoint on this
        machine."""
        if is_behind_server(training):
            raise UsageError("a policy behind a server is evaluated from this machine: --executor local.")
        if "policy" not in training.details:
            raise UsageError(
                f"{training.folder} refers to a LeRobot policy on this machine, which others do not have: "
                "evaluate it with --executor local."
            )
        return cls(training.record, training.trained(), device, threads, decoding)

    def open(self) -> Planner:
        """The policy, ready to act on the machine that calls this."""
        torch.set_num_threads(self.threads)
        with scratch_folder() as folder:
            store = Store(folder)
            store.prepare()
            store.write_training(self.record, self.trained, {})
            planner = open_planner(store.training(self.record.key), torch.device(choose_device(self.device)))
        planner.set_decoding(self.decoding)
        return planner


@dataclass(frozen=True)
class PolicySeconds:
    """Seconds of the policy in all episodes of a Ray task.

    Attributes:
        seconds: {stage: seconds}; see `Planner.stage_seconds`.
        worker: name of the machine, and its device.
    """

    seconds: Mapping[str, float]
    worker: str


def run_shards(
    cluster: Cluster,
    policy: SentPolicy,
    stage_seconds: MutableMapping[str, float],
    workers: set[str],
    setup: RolloutSetup,
    episodes: Sequence[Episode],
) -> Generator[EpisodeOutcome, None, None]:
    """The outcome of every episode, in the order in which they end. Initial state and noise belong to the
    episode, so outcomes are those of `run_episodes`. An episode whose worker or node dies is given to another
    one, and recorded as an error after `ATTEMPTS` of them.

    Args:
        stage_seconds: the policy's seconds by stage are added to it.
        workers: the names of the workers are added to it.
    """
    left = deque(_shards(episodes))
    lost: Counter[Episode] = Counter()
    task, shared = cluster.task(shard_outcomes), cluster.share(policy)
    tasks: Tasks[deque[Episode]]
    with Tasks(cluster) as tasks:
        while left or tasks:
            while left and len(tasks) < QUEUED * cluster.size():
                shard = left.popleft()
                tasks.start(shard, task, shared, setup, list(shard), __version__)
            for shard, event in tasks.events(TICK):
                if isinstance(event, EpisodeOutcome):
                    shard.remove(next(e for e in shard if (e.task, e.state) == (event.task, event.state)))
                    yield event
                elif isinstance(event, PolicySeconds):
                    for stage, seconds in event.seconds.items():
                        stage_seconds[stage] = stage_seconds.get(stage, 0.0) + seconds
                    workers.add(event.worker)
                    tasks.forget(shard)
                elif isinstance(event, TaskFailed):
                    raise ToyflowError(event.why)
                elif isinstance(event, TaskLost) and shard:
                    first = shard[0]
                    lost[first] += 1
                    if lost[first] == ATTEMPTS:
                        shard.popleft()
                        yield EpisodeOutcome(first.task, first.state, False, 0, 0.0, event.why)
                    if shard:
                        left.appendleft(shard)


def shard_outcomes(
    policy: SentPolicy, setup: RolloutSetup, episodes: Sequence[Episode], version: str
) -> Iterator[EpisodeOutcome | PolicySeconds]:
    """Run in a worker: yields the outcomes, then the seconds of the policy."""
    check_version(version)
    planner = policy.open()
    yield from run_episodes(setup, episodes, planner, workers=1)
    device = device_name(choose_device(policy.device))
    yield PolicySeconds(dict(planner.stage_seconds), f"{platform.node()}: {device}")


def _shards(episodes: Sequence[Episode]) -> Iterator[deque[Episode]]:
    for _, group in groupby(sorted(episodes, key=lambda e: (e.task, e.state)), key=lambda e: e.task):
        same = list(group)
        for start in range(0, len(same), EPISODES):
            yield deque(same[start : start + EPISODES])
