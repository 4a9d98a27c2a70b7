"""A task whose numbers are wrong is told which, and where they came from."""

import json
import math
from typing import Any, cast

import pytest
import torch

from toyflow import Batch, Task, VectorModel, run_study
from toyflow.errors import ToyflowError

ZEROS = torch.zeros(20)


class Copy(Task):
    """Copy a point; tests break it."""

    name = "copy"
    metrics = ("close", "distance")
    lower_is_better = ("distance",)

    def examples(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randn(size, 2, generator=generator)
        return Batch({"point": x}, x.clone())

    train_batch = examples

    def test_set(self):
        return self.examples(20, torch.Generator().manual_seed(1))

    def build_model(self, options):
        return Reader(observation=2, target=2, width=8, depth=1)

    def score(self, sample, test):
        distance = (sample - test.target).norm(dim=1)
        return {"close": (distance < 0.5).float(), "distance": distance}


class Reader(VectorModel):
    """Reads the point of an observation."""

    def encode(self, observation: Any) -> Any:
        return super().encode(observation["point"])


def refusal(task, tmp_path, **options) -> str:
    with pytest.raises(ToyflowError) as caught:
        run_study(task, schedules=("beta",), steps=(1,), seeds=(0,), iterations=3, batch_size=4, out=tmp_path,
                  **options)  # fmt: skip
    return str(caught.value)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_target_that_is_not_finite_is_no_matter_of_the_learning_rate(tmp_path, number):
    class Spoilt(Copy):
        def train_batch(self, size, generator):
            batch = self.examples(size, generator)
            batch.target[0, 1] = number
            return batch

    assert "the training data is not finite: target of iteration 1 " in refusal(Spoilt(), tmp_path)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_test_target_that_is_not_finite_is_named(tmp_path, number):
    class Spoilt(Copy):
        def test_set(self):
            batch = super().test_set()
            batch.target[0, 1] = number
            return batch

    assert refusal(Spoilt(), tmp_path) == (
        "task 'copy': test_set gave targets that are nan or infinite, in 1 of 20 examples."
    )


def test_a_nan_observation_is_named(tmp_path):
    class Spoilt(Copy):
        def test_set(self):
            batch = super().test_set()
            batch.observation["point"][:3] = math.nan
            return batch

    assert refusal(Spoilt(), tmp_path) == (
        "task 'copy': test_set gave observation['point'] with nan, in 3 of 20 examples."
    )


@pytest.mark.parametrize("method", ["train_batch", "test_set"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            (torch.zeros(4, 2), torch.zeros(4, 2)),
            "must give a toyflow.Batch(observation, target), not a tuple.",
        ),
        (
            Batch(torch.zeros(4, 2), cast(torch.Tensor, [0.0])),
            "must give a target that is a tensor, not a list.",
        ),
    ],
)
def test_what_is_no_batch_is_named(tmp_path, method, given, words):
    broken = type("Broken", (Copy,), {method: lambda self, *_: given})
    assert refusal(broken(), tmp_path) == f"task 'copy': {method} {words}"


def test_an_observation_that_is_no_tensor_is_named(tmp_path):
    class Spoilt(Copy):
        def test_set(self):
            batch = super().test_set()
            return Batch({"point": batch.observation["point"].numpy()}, batch.target)

    assert refusal(Spoilt(), tmp_path) == "a batch is tensors, or mappings and tuples of them, not ndarray."


@pytest.mark.parametrize("metric", ["close", "distance"])
def test_a_nan_score_is_named(tmp_path, metric):
    class Spoilt(Copy):
        def score(self, sample, test):
            scores = super().score(sample, test)
            scores[metric][:5] = math.nan
            return scores

    assert refusal(Spoilt(), tmp_path) == f"task 'copy': the score {metric} is nan for 5 of 20 examples."


def test_a_nan_score_of_the_set_is_named(tmp_path):
    class Spoilt(Copy):
        set_metrics = ("spread",)

        def score_set(self, sample, test):
            return {"spread": math.nan}

    assert refusal(Spoilt(), tmp_path) == "task 'copy': the score spread of the test set is nan."


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"spread": ZEROS}, "score_set must give spread as a float, not as Tensor"),
        (0.5, "score_set must return a dictionary of scores by name, not float"),
    ],
)
def test_scores_of_the_set_of_another_form_are_named(tmp_path, scores, words):
    class Spoilt(Copy):
        set_metrics = ("spread",)

        def score_set(self, sample, test):
            return scores

    assert words in refusal(Spoilt(), tmp_path)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"close": torch.full((20,), 0.25), "distance": ZEROS}, "close, must be 0 or 1; score gave 0.25"),
        ({"distance": ZEROS, "close": ZEROS}, "must return close, distance, in this order"),
        ({}, "it returned nothing"),
        ({"close": ZEROS, "distance": torch.zeros(20, 2)}, "examples, not a tensor of shape (20, 2)"),
        ({"close": torch.tensor(0.0), "distance": ZEROS}, "not a tensor of shape ()"),
        ({"close": 0.5, "distance": ZEROS}, "close as a tensor, a number for each of 20 examples"),
        (ZEROS, "score must return a dictionary of scores by name, not Tensor"),
    ],
)  # fmt: skip
def test_scores_of_another_form_are_named(tmp_path, scores, words):
    class Spoilt(Copy):
        def score(self, sample, test):
            return scores

    assert words in refusal(Spoilt(), tmp_path)


def test_a_set_score_that_is_missing_is_named_and_one_more_is_kept(tmp_path):
    class Spread(Copy):
        set_metrics = ("spread",)

        def score_set(self, sample, test):
            return {"range": 2.0}

    assert "score_set must return spread; it returned range" in refusal(Spread(), tmp_path)

    class Both(Spread):
        def score_set(self, sample, test):
            return {"spread": 1.0, "range": 2.0}

    run_study(Both(), schedules=("beta",), steps=(1,), seeds=(0,), iterations=3, batch_size=4, out=tmp_path)
    [config] = tmp_path.glob("cells/*/evaluations/*/config.json")
    metrics = json.loads(config.read_text())["details"]["metrics"]
    assert (metrics["spread"], metrics["range"]) == (1.0, 2.0)
