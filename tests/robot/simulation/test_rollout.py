import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from robot.points import StraightPlanner

from toyflow import plugins
from toyflow.robot.planner import PlanLost
from toyflow.robot.simulation.rollout import Episode, RolloutSetup, episode_seed, run_episodes

SCENE = RolloutSetup("points", "points", image_size=16, replan=3)


def episodes(tasks=(0, 1), states=(0, 1, 2), **changes) -> list[Episode]:
    return [Episode(t, s, 100 * t + 10 * s, 60, **changes) for t in tasks for s in states]


def run(scene=SCENE, todo=None, workers=2, planner=None, **options):
    return sorted(
        run_episodes(scene, todo or episodes(), planner or StraightPlanner(), workers, **options),
        key=lambda outcome: (outcome.task, outcome.state),
    )


@pytest.fixture(autouse=True)
def points_are_installed(monkeypatch):
    """Workers find the environment by its entry point, which the tests' package has."""
    assert "points" in plugins.available("environments")


def test_every_episode_runs_and_the_same_in_any_number_of_workers():
    one, two = run(workers=1), run(workers=2)
    assert [(o.task, o.state) for o in one] == [(t, s) for t in (0, 1) for s in range(3)]
    assert all(o.success and o.error is None for o in one)
    assert [(o.success, o.steps) for o in one] == [(o.success, o.steps) for o in two]


def test_plans_are_seeded_by_episode_and_number_and_come_every_replan_actions():
    planner = StraightPlanner()
    [outcome] = run(todo=episodes([1], [2]), planner=planner, workers=1)
    plans = -(-outcome.steps // SCENE.replan)
    assert planner.seeds == [120 + k for k in range(plans)]


def test_an_episode_ends_at_its_most_steps_as_not_solved():
    hopeless = RolloutSetup("points", "hopeless", 16, replan=4)
    [outcome] = run(hopeless, episodes([0], [0]))
    assert (outcome.success, outcome.steps, outcome.error) == (False, 60, None)


def test_an_environment_may_score_its_episodes():
    assert [outcome.score for outcome in run()] == [None] * 6
    for outcome in run(replace(SCENE, suite="scored")):
        assert outcome.success and outcome.score is not None and 0.8 < outcome.score <= 1


@pytest.mark.parametrize("fault", ["dies", "raises", "hangs"])
def test_a_lost_episode_is_tried_again(fault, tmp_path):
    scene = RolloutSetup("points", f"{fault}@{tmp_path / 'flag'}", 16, replan=3)
    outcomes = run(scene, episodes([0]), patience=3.0)
    assert [o.success for o in outcomes] == [True] * 3 and not any(o.error for o in outcomes)


@pytest.mark.parametrize(
    ("suite", "words"),
    [("nowhere", "unknown suite 'nowhere'"), ("dies@/nowhere/flag", "failed with FileNotFoundError")],
)
def test_what_fails_twice_is_an_error_and_the_others_end(suite, words):
    outcomes = run(RolloutSetup("points", suite, 16, 3), episodes([0], [0, 1]))
    assert len(outcomes) == 2 and all(not o.success and words in (o.error or "") for o in outcomes)


def test_an_action_that_is_not_finite_is_the_policys_failure_and_no_error():
    class Blown(StraightPlanner):
        def answers(self, observations, seeds, draws):
            return super().answers(observations, seeds, draws) * np.float32("nan")

    [outcome] = run(todo=episodes([0], [0]), planner=Blown(), workers=1)
    assert (outcome.success, outcome.steps, outcome.error, outcome.not_finite) == (False, 0, None, True)


class Lost(StraightPlanner):
    """Loses the plans of these numbers, and counts its lives as a server that is started anew."""

    def __init__(self, *lost: int, silently: bool = False) -> None:
        super().__init__()
        self.lost, self.silently, self.plans = lost, silently, 0

    def plan(self, observations, seeds):
        self.plans += 1
        if self.plans in self.lost:
            self.lives += 1
            if not self.silently:
                raise PlanLost("ws://gpu closed the connection.")
        return super().plan(observations, seeds)


@pytest.mark.parametrize("planner", [Lost(), Lost(1), Lost(4, 9, 15), Lost(5, silently=True)])
def test_an_episode_whose_plan_is_lost_starts_again_from_its_seed(planner):
    key = lambda o: (o.task, o.state, o.success, o.steps, o.error)  # noqa: E731
    assert [*map(key, run(planner=planner))] == [*map(key, run())]


def test_an_episodes_plans_are_of_one_life():
    """The first plan of the second life finds an episode that has had plans of the first."""
    planner = Lost(3, silently=True)
    [outcome] = run(todo=episodes([1], [2]), planner=planner, workers=1)
    alone = StraightPlanner()
    [expected] = run(todo=episodes([1], [2]), planner=alone, workers=1)
    assert outcome.steps == expected.steps
    assert planner.seeds == [120, 121, 122, *alone.seeds]


def test_an_evaluation_ends_where_an_episode_loses_every_plan():
    with pytest.raises(PlanLost, match="closed the connection"):
        run(planner=Lost(*range(3, 99)))


def test_the_first_observation_of_all_is_shown():
    shown = []
    run(on_first=shown.append)
    assert len(shown) == 1 and shown[0].state.shape == (4,)


def test_closing_stops_the_simulators():
    running = run_episodes(RolloutSetup("points", "slow", 16, 3), episodes(), StraightPlanner(), 2)
    next(running)
    before = set(_children())
    running.close()
    assert len(before - set(_children())) == 2  # the server that they were forked from stays


def test_films_say_how_the_episode_went(tmp_path):
    todo = [Episode(0, 0, 1, 60, str(tmp_path / "films" / "one"))]
    pytest.importorskip("imageio_ffmpeg")
    run(todo=todo, scene=RolloutSetup("points", "points", 32, 3))
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["one-success.mp4"]


def test_where_there_is_nothing_to_film_the_episode_counts_all_the_same(tmp_path):
    todo = [Episode(0, 0, 1, 60, str(tmp_path / "films" / "one"))]
    [outcome] = run(todo=todo, scene=RolloutSetup("points", "blind", 32, 3))
    assert outcome.success and outcome.error is None and not (tmp_path / "films").exists()


def test_seeds_of_episodes_differ_and_are_settled():
    seeds = {
        episode_seed(n, suite, t, s) for n in (0, 1) for suite in ("a", "b") for t in (0, 1) for s in (0, 1)
    }
    assert len(seeds) == 16
    assert episode_seed(0, "libero_object", 3, 7) == 3635803809


def _children() -> list[int]:
    import psutil

    server = psutil.Process(os.getpid()).children(recursive=True)
    return [child.pid for child in server if child.status() != psutil.STATUS_ZOMBIE]


def test_a_policy_that_looks_at_several_moments_gets_the_last_of_them():
    class Historian(StraightPlanner):
        history = 3

        def __init__(self) -> None:
            super().__init__()
            self.travelled: list[list[float]] = []

        def plan(self, observations, seeds):
            for observation in observations:
                moments = [*observation.before, observation]
                assert len(moments) == 3
                travelled = [float(np.abs(b.state[:2] - a.state[:2]).max()) for a, b in pairwise(moments)]
                self.travelled.append(travelled)
            return super().plan(observations, seeds)

    planner = Historian()
    run(replace(SCENE, history=3), episodes([0], [0]), planner=planner)
    assert planner.travelled[0] == [0, 0]  # nothing was before the first moment
    assert all(step == pytest.approx(0.05, abs=1e-4) for pair in planner.travelled[1:-1] for step in pair)
