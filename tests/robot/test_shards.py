"""What becomes of episodes whose worker is lost; `test_end_to_end.py` has a real cluster."""

from collections import Counter

import pandas as pd
import pytest

from toyflow.cluster import ATTEMPTS, Cluster, TaskFailed, TaskLost
from toyflow.errors import ToyflowError
from toyflow.flow import Decoding
from toyflow.robot import shards
from toyflow.robot.shards import EPISODES, PolicySeconds, SentPolicy, run_shards
from toyflow.robot.simulation.rollout import Episode, EpisodeOutcome, RolloutSetup
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.stored import Trained

RECORD = TrainingRecord("robot", {}, "flow", "beta", "stratified", 0, {})
POLICY = SentPolicy(RECORD, Trained({}, pd.DataFrame(), {}), "cpu", 1, Decoding())
TODO = [Episode(task, state, 0, 60) for task in (1, 0) for state in range(EPISODES + 1)]


class Quiet(Cluster):
    """Of two places, where nothing runs."""

    def size(self):
        return 2

    def share(self, value):
        return value

    def task(self, function):
        return function


class Mortal:
    """In place of `Tasks`: every episode is solved, but some take their worker with them, a few times."""

    def __init__(self, deaths: Counter) -> None:
        self.deaths, self.running, self.most, self.ended = deaths, [], 0, False

    def __call__(self, cluster):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True

    def __len__(self) -> int:
        return len(self.running)

    def start(self, job, task, policy, scene, episodes, version):
        self.running.append((job, episodes))
        self.most = max(self.most, len(self.running))

    def forget(self, job):
        pass

    def events(self, seconds):
        job, episodes = self.running.pop(0)
        for episode in episodes:
            where = episode.task, episode.state
            if self.deaths[where]:
                self.deaths[where] -= 1
                yield job, TaskLost("its node died")
                return
            yield job, EpisodeOutcome(*where, True, 7, 0.1)
        yield job, PolicySeconds({"condition": 1.5}, "host: CPU")


def run(monkeypatch, **deaths: int) -> tuple[list[EpisodeOutcome], dict[str, float], Mortal]:
    tasks = Mortal(Counter({tuple(map(int, where[1:].split("_"))): n for where, n in deaths.items()}))
    monkeypatch.setattr(shards, "Tasks", tasks)
    spent: dict[str, float] = {}
    workers: set[str] = set()
    running = run_shards(
        Quiet(None, 1), POLICY, spent, workers, RolloutSetup("points", "points", 16, 3), TODO
    )
    outcomes = sorted(running, key=lambda outcome: (outcome.task, outcome.state))
    assert [(o.task, o.state) for o in outcomes] == sorted((e.task, e.state) for e in TODO)
    assert workers == {"host: CPU"}
    assert tasks.ended
    return outcomes, spent, tasks


def test_every_episode_comes_once_and_the_cluster_is_kept_busy(monkeypatch):
    outcomes, spent, tasks = run(monkeypatch)
    assert all(outcome.success for outcome in outcomes)
    assert tasks.most == 4 and spent == {"condition": 4 * 1.5}


def test_what_a_lost_worker_had_not_done_is_done_by_another(monkeypatch):
    outcomes, _, _ = run(monkeypatch, s0_3=1, s1_0=ATTEMPTS - 1)
    assert all(outcome.success for outcome in outcomes)


def test_an_episode_that_loses_every_worker_is_an_error_and_the_others_end(monkeypatch):
    outcomes, _, _ = run(monkeypatch, s0_1=ATTEMPTS)
    assert [(o.task, o.state, o.error) for o in outcomes if o.error] == [(0, 1, "its node died")]


def test_tasks_end_with_an_evaluation_that_fails_or_is_stopped(monkeypatch):
    tasks = Mortal(Counter())
    monkeypatch.setattr(shards, "Tasks", tasks)
    scene, nobody = RolloutSetup("points", "points", 16, 3), (dict[str, float](), set[str]())
    running = run_shards(Quiet(None, 1), POLICY, *nobody, scene, TODO)
    next(running)
    running.close()
    assert tasks.ended
    tasks.ended, tasks.running = False, []
    monkeypatch.setattr(tasks, "events", lambda seconds: iter([(None, TaskFailed("no simulator there"))]))
    with pytest.raises(ToyflowError, match="no simulator there"):
        list(run_shards(Quiet(None, 1), POLICY, *nobody, scene, TODO))
    assert tasks.ended
