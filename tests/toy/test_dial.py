"""The dial, whose answers are known."""

import itertools

import pytest
import torch

from toyflow.flow.path import interpolate
from toyflow.flow.samplers import euler, uniform_grid
from toyflow.toy import task as toy_task
from toyflow.toy.codes import ONE_HOT
from toyflow.toy.tasks.dial import Dial
from toyflow.toy.tasks.grid_to_sequence import GridToSequence
from toyflow.training import Batch


def made(**data: str) -> Dial:
    return Dial({"tiles": "3", **data})


def sampled(task: Dial, steps: int) -> tuple[torch.Tensor, Batch]:
    """What the closed form's velocity decodes the test set to."""
    test = task.test_set()
    noise = torch.randn(test.target.shape, generator=torch.Generator().manual_seed(1))
    field = lambda x, t: task.optimal_velocity(x, t, test.observation)  # noqa: E731
    return euler(field, noise, uniform_grid(steps)), test


def mean(values: torch.Tensor) -> float:
    return float(values.mean())


@pytest.mark.parametrize("coupling", ["coupled", "independent"])
@pytest.mark.parametrize(("modes", "certainty"), [("1", "0"), ("2", "0"), ("2", "0.4"), ("10", "0.5")])
def test_targets_follow_the_stated_probabilities(coupling, modes, certainty, generator):
    task = made(coupling=coupling, modes=modes, certainty=certainty)
    assert float(task.probabilities.sum()) == pytest.approx(1)
    batch = task.train_batch(20_000, generator)
    score = task.score(batch.target, batch)
    assert (score["valid"] == 1).all() and mean(score["distance_to_code"]) < 1e-3
    faces = (batch.target.argmax(-1) - batch.observation) % 10
    shares = faces[:, 0].bincount(minlength=int(modes)).double() / len(faces)
    torch.testing.assert_close(shares, task.probabilities, atol=0.015, rtol=0)
    together = float((faces == faces[:, :1]).all(1).double().mean())
    expected = 1.0 if coupling == "coupled" else float((task.probabilities**3).sum())
    assert together == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("coupling", ["coupled", "independent"])
def test_the_closed_form_is_the_mean_of_many_draws_near_a_point(coupling):
    """E[x1 - x0 | x_t] by weighing draws of x1 with the density of the noise that they would need."""
    task = made(coupling=coupling, modes="2", certainty="0.2", tiles="2")
    digits = torch.tensor([[3, 7]])
    x, t = 0.5 * torch.randn(1, 2, 10, generator=torch.Generator().manual_seed(2)), 0.6
    outcomes = list(itertools.product(range(2), repeat=2))
    p = task.probabilities
    weights, velocities = [], []
    for faces in outcomes:
        prior = (
            p[faces[0]] * p[faces[1]] if coupling == "independent" else p[faces[0]] * (faces[0] == faces[1])
        )
        target = ONE_HOT.codes[(digits[0] + torch.tensor(faces)) % 10]
        noise = (x[0] - t * target) / (1 - t)
        weights.append(float(prior) * torch.exp(-noise.double().square().sum() / 2))
        velocities.append((target - noise).double())
    weight = torch.stack(weights) / sum(weights)
    expected = (weight[:, None, None] * torch.stack(velocities)).sum(0)
    got = task.optimal_velocity(x, torch.tensor([t]), digits)
    torch.testing.assert_close(got[0].double(), expected, rtol=1e-4, atol=1e-4)


def test_one_ideal_step_is_the_conditional_mean():
    task = made(modes="2", certainty="0.4")
    sample, test = sampled(task, 1)
    p = task.probabilities.float()
    expected = p[0] * ONE_HOT.codes[test.observation] + p[1] * ONE_HOT.codes[(test.observation + 1) % 10]
    torch.testing.assert_close(sample, expected, atol=1e-4, rtol=0)


def test_independent_ambiguity_favours_one_step():
    """max p against p^2 + (1 - p)^2, with p = 0.7."""
    task = made(modes="2", certainty="0.4", coupling="independent")
    one, many = (task.score(*sampled(task, k)) for k in (1, 100))
    assert mean(one["tile_accuracy"]) == pytest.approx(0.7, abs=0.02)
    assert mean(many["tile_accuracy"]) == pytest.approx(0.7**2 + 0.3**2, abs=0.02)
    assert mean(one["valid"]) == mean(many["valid"]) == 1


def test_coupled_ambiguity_breaks_one_step_and_not_many():
    """Even odds: the mean is a tie in each tile, which has no reason to fall alike in all of them."""
    task = made(modes="2", certainty="0")
    (one, test), (many, _) = sampled(task, 1), sampled(task, 100)
    assert mean(task.score(one, test)["valid"]) < 0.8 < 0.99 < mean(task.score(many, test)["valid"])
    assert mean(task.score(one, test)["distance_to_code"]) > 0.5
    assert mean(task.score(many, test)["distance_to_code"]) < 0.1
    assert task.score_set(one, test)["total_variation"] > 0.15
    assert task.score_set(many, test)["total_variation"] < 0.05


def test_a_sure_die_leaves_nothing_to_choose():
    task = made(modes="10", certainty="1")
    sample, test = sampled(task, 1)
    assert mean(task.score(sample, test)["exact_match"]) == 1
    assert task.score_set(sample, test)["total_variation"] == pytest.approx(0, abs=1e-9)


def test_total_variation_counts_what_is_impossible_and_what_is_missed():
    task = made(modes="2", certainty="0", tiles="2")
    test = task.test_set()
    always = ONE_HOT.codes[test.observation]  # face 0 for all: half of the mass is missed
    assert task.score_set(always, test)["total_variation"] == pytest.approx(0.5)
    impossible = ONE_HOT.codes[(test.observation + 5) % 10]
    assert task.score_set(impossible, test)["total_variation"] == pytest.approx(1)
    assert mean(task.score(impossible, test)["valid"]) == 0
    mixed = torch.stack(
        [ONE_HOT.codes[test.observation[:, 0]], ONE_HOT.codes[(test.observation[:, 1] + 1) % 10]], 1
    )
    assert mean(task.score(mixed, test)["valid"]) == 0


def test_the_velocity_of_the_path_is_what_the_closed_form_predicts_on_average(generator):
    """No field explains x1 - x0 better: a step aside is worse."""
    task = made(modes="2", certainty="0")
    batch = task.train_batch(4000, generator)
    noise = torch.randn(batch.target.shape, generator=generator)
    t = torch.rand(4000, generator=generator) * 0.9
    x = interpolate(noise, batch.target, t)
    optimal = task.optimal_velocity(x, t, batch.observation)
    losses = [
        float((optimal * scale - (batch.target - noise)).square().mean()) for scale in (0.95, 1.0, 1.05)
    ]
    assert losses[1] < min(losses[0], losses[2])


def test_a_task_gives_the_scores_of_its_closed_form():
    certain = Dial.ideal_scores({"tiles": "3", "modes": "10", "certainty": "1"}, steps=1)
    assert certain is not None and certain["exact_match"] == 1
    assert certain["total_variation"] == pytest.approx(0, abs=1e-9)
    mixed = Dial.ideal_scores({"tiles": "3"}, steps=1)
    assert mixed is not None and mixed["valid"] < 0.8, "one step of it falls between the modes"


def test_a_closed_form_is_decoded_on_one_thread(monkeypatch):
    """Of its many small operations, each would wait for a second thread on a busy machine."""
    threads = []
    decoded = toy_task.euler
    monkeypatch.setattr(
        toy_task, "euler", lambda *words: threads.append(torch.get_num_threads()) or decoded(*words)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert Dial.ideal_scores({}, steps=1)
        assert threads == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_task_without_a_closed_form_has_no_such_scores():
    assert GridToSequence.ideal_scores({}, steps=1) is None


@pytest.mark.parametrize(("modes", "certainty"), [("1", "0"), ("3", "0.3")])
@pytest.mark.parametrize("coupling", ["coupled", "independent"])
def test_the_known_moments_are_those_of_many_throws(coupling, modes, certainty, generator):
    task = made(coupling=coupling, modes=modes, certainty=certainty)
    batch = task.train_batch(60_000, generator)
    moments = task.conditional_moments(batch.observation)
    residual = batch.target - moments.mean
    assert float(residual.mean((0, 1)).abs().max()) < 0.03
    torch.testing.assert_close(
        residual.square().mean((0, 1)), moments.variance.mean((0, 1)), atol=0.03, rtol=0
    )
    velocity = task.optimal_velocity(0 * batch.target, torch.zeros(60_000), batch.observation)
    torch.testing.assert_close(velocity, moments.mean)  # which one ideal step from pure noise returns


def test_validation_tests_on_as_many_other_examples():
    test, validation = made().test_set(), made(split="validation").test_set()
    assert validation.target.shape == test.target.shape
    assert not torch.equal(validation.observation, test.observation)
    assert torch.equal(validation.observation, made(split="validation").test_set().observation)
    assert Dial.choose({"split": "test"}) == Dial.choose({})
