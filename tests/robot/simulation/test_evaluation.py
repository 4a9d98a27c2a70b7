import json
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
from robot.points import Points, StraightPlanner, varied_tasks

from toyflow.errors import ToyflowError
from toyflow.robot.simulation.evaluation import ORIGIN, counts, evaluate_policy, missing_tasks
from toyflow.robot.simulation.rollout import EpisodeOutcome, run_episodes
from toyflow.robot.simulation.trial_options import TrialOptions
from toyflow.robot.simulation.trials import Trials, trials_of
from toyflow.stats import wilson
from toyflow.sweep.records import EvaluationRecord


def test_a_damaged_episode_is_named_and_run_again(tmp_path, caplog):
    trials = Trials("points", "points", (0,), (0, 1), 3, "fast", "own")
    record = EvaluationRecord(None, 1, test_set=str(trials))
    here = partial(run_episodes, planner=StraightPlanner(), workers=1)
    first = evaluate_policy(StraightPlanner(), trials, record, tmp_path, here)
    [damaged, _] = sorted((tmp_path / "episodes").glob("*.json"))
    damaged.write_bytes(damaged.read_bytes().replace(b'"steps": ', b'"steps": 1', 1))
    (tmp_path / "episodes" / ".half").write_text("{")
    again = evaluate_policy(StraightPlanner(), trials, record, tmp_path, here)
    assert again.drop(columns="seconds").equals(first.drop(columns="seconds"))
    [said] = caplog.messages
    assert damaged.name in said and "run again" in said
    assert len(list((tmp_path / "episodes").iterdir())) == 2


def test_episodes_with_an_error_count_for_nothing_and_are_the_only_ones_to_run_again(tmp_path):
    trials = Trials("points", "points", (0, 1), (0, 1, 2), 3, "fast", "own")
    record = EvaluationRecord(None, 1, test_set=str(trials))
    asked = []

    def run(lost, setup, episodes):
        for episode in episodes:
            where = episode.task, episode.state
            asked.append(where)
            error = "its process exited with 1" if where in lost else None
            yield EpisodeOutcome(
                *where, success=error is None and where != (0, 2), steps=1, seconds=1, error=error
            )

    def evaluated(*lost):
        return evaluate_policy(StraightPlanner(), trials, record, tmp_path, partial(run, lost))

    found = counts(evaluated((0, 1), (1, 0), (1, 1), (1, 2)))
    assert found["metrics"] == {"success": 0.5} and (found["examples"], found["episodes"]) == (2, 6)
    assert found["errors"] == 4 and found["error_reasons"] == ["its process exited with 1"]
    one, nothing = found["tasks"]
    assert (one["hits"], one["episodes"], one["errors"]) == (1, 2, 1)
    assert (one["low"], one["high"]) == (wilson(1, 2).low, wilson(1, 2).high)
    assert (nothing["hits"], nothing["episodes"], nothing["low"], nothing["high"]) == (0, 0, 0, 1)
    asked.clear()
    found = counts(evaluated())
    assert asked == [(0, 1), (1, 0), (1, 1), (1, 2)]
    assert found["metrics"] == {"success": 5 / 6} and found["errors"] == 0


def test_scores_of_episodes_stand_beside_success_and_only_where_there_are_any(tmp_path):
    trials = Trials("points", "scored", (0,), (0, 1, 2), 3, "fast", "own")
    record = EvaluationRecord(None, 1, test_set=str(trials))
    scores = {0: 0.5, 1: 1.0, 2: None}

    def evaluated(with_scores, folder):
        def run(setup, episodes):
            for episode in episodes:
                score = scores[episode.state] if with_scores else None
                lost = "exited with 1" if with_scores and score is None else None
                yield EpisodeOutcome(episode.task, episode.state, score == 1, 9, 1.0, lost, score=score)

        return evaluate_policy(StraightPlanner(), trials, record, folder, run)

    outcomes = evaluated(True, tmp_path / "scored")
    assert outcomes["episode_score"].tolist()[:2] == [0.5, 1.0] and outcomes["episode_score"].isna()[2]
    assert counts(outcomes)["metrics"] == {"success": 0.5, "episode_score": 0.75}
    kept = evaluated(True, tmp_path / "scored")  # read from the disk
    assert kept["episode_score"].tolist()[:2] == [0.5, 1.0]
    outcomes = evaluated(False, tmp_path / "plain")
    assert "episode_score" not in outcomes and list(counts(outcomes)["metrics"]) == ["success"]
    for file in (tmp_path / "plain" / "episodes").iterdir():
        assert "score" not in json.loads(file.read_text())["outcome"]  # as earlier versions wrote it


def test_where_every_episode_is_an_error_there_is_no_score():
    rows = pd.DataFrame({"success": pd.array([None], "Int64"), "error": ["exited with 1"], "task": [0]})
    with pytest.raises(ToyflowError, match=r"nothing is known of the policy: exited with 1\.$"):
        counts(rows)


def test_episodes_say_what_their_task_varies(tmp_path):
    trials = trials_of(TrialOptions(environment="points", suite="varied", tasks="0-3"), None, 5)
    assert trials is not None
    record = EvaluationRecord(None, 1, test_set=str(trials))
    here = partial(run_episodes, planner=StraightPlanner(), workers=1)
    outcomes = evaluate_policy(StraightPlanner(), trials, record, tmp_path, here)
    assert outcomes[[*ORIGIN]].to_dict("list") == {
        "perturbation": ["moved", "moved", "renamed"], "level": [1, 2, 1],
        "base_suite": ["points"] * 3, "base_task": ["go-0"] * 3,
    }  # fmt: skip
    [_, second, _] = counts(outcomes)["tasks"]
    assert (second["perturbation"], second["level"], second["base_task"]) == ("moved", 2, "go-0")
    assert missing_tasks(trials) == [
        {"perturbation": "dark", "tasks": 1, "why": "a lamp is missing; buy one."}
    ]


def test_tasks_that_need_an_archive_extend_an_evaluation_without_them(tmp_path, monkeypatch):
    """Episodes of the simulator's own files are kept; those that an archive made are not taken for them."""
    here = partial(run_episodes, planner=StraightPlanner(), workers=1)

    def evaluated(archive: bool) -> set[str]:
        extra = "archive" if archive else ""
        tasks = [replace(each, missing="", extra_assets=extra if each.perturbation == "dark" else "")
                 for each in varied_tasks()]  # fmt: skip
        monkeypatch.setattr(Points, "tasks", classmethod(lambda cls, suite: tasks))
        trials = trials_of(TrialOptions(environment="points", suite="varied", tasks="0+3"), None, 5)
        assert trials is not None and trials.assets == ("own+archive" if archive else "own")
        evaluate_policy(
            StraightPlanner(), trials, EvaluationRecord(None, 1, test_set=str(trials)), tmp_path, here
        )
        return {path.name for path in (tmp_path / "episodes").iterdir()}

    first, both = evaluated(archive=False), evaluated(archive=True)
    assert len(first) == 2 and first < both and len(both) == 3


@pytest.mark.parametrize("prompts", ["clean", "official"])
def test_the_wording_reaches_the_policy(tmp_path, prompts):
    seen = []

    class Reader(StraightPlanner):
        def answers(self, observations, seeds, draws):
            seen.extend(observation.prompt for observation in observations)
            return super().answers(observations, seeds, draws)

    trials = Trials("points", "varied", (0, 2), (0,), 5, "fast", "own", prompts=prompts)
    record = EvaluationRecord(None, 1, test_set=str(trials))
    here = partial(run_episodes, planner=Reader(), workers=1)
    evaluate_policy(StraightPlanner(), trials, record, tmp_path, here)
    assert set(seen) == {"go to goal 0", *(["Go to goal 0!"] if prompts == "official" else [])}
