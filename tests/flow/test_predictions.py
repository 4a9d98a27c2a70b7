"""Predictions against closed forms: data from two Gaussians, whose optimal predictor is known."""

import math

import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow import (
    Consistency,
    DataPrediction,
    Decoding,
    FlowMatching,
    Shift,
    Shortcut,
    Uniform,
    VelocityPrediction,
    interpolate,
    make_objective,
    parse_prediction,
    path_velocity,
)
from toyflow.flow.objectives.base import Drawn

MEANS, SPREAD = torch.tensor([-1.0, 1.5], dtype=torch.float64), 0.4
NAMES = ["velocity", "data", "data:velocity-loss", "velocity:data-loss"]


def optimal_data(x, t, condition=None):
    """E[x1 | x_t] where x1 is drawn from one of two Gaussians with equal chances."""
    t = t[:, None]
    variance = t**2 * SPREAD**2 + (1 - t) ** 2
    likelihood = -((x[..., None] - t[..., None] * MEANS) ** 2) / (2 * variance[..., None])
    gain = t * SPREAD**2 / variance
    of_each = MEANS + gain[..., None] * (x[..., None] - t[..., None] * MEANS)
    return (likelihood.softmax(-1) * of_each).sum(-1)


def optimal_velocity(x, t, condition=None):
    return (optimal_data(x, t) - x) / (1 - t[:, None])


@pytest.mark.parametrize("sampler", ["euler", "midpoint"])
@pytest.mark.parametrize("steps", [1, 2, 5, 10])
@pytest.mark.parametrize("grid", [None, "shift:3"])
def test_the_optimal_predictors_of_velocity_and_data_give_the_same_samples(sampler, steps, grid):
    noise = torch.randn(64, 1, dtype=torch.float64)
    decoding = Decoding(steps, sampler, grid)
    by_velocity = decoding.sample(FlowMatching(Uniform()), optimal_velocity, None, noise)
    by_data = decoding.sample(FlowMatching(Uniform(), prediction=DataPrediction()), optimal_data, None, noise)
    torch.testing.assert_close(by_velocity, by_data, rtol=0, atol=1e-9)


def test_one_step_of_a_data_prediction_is_the_answer_itself():
    objective, noise = FlowMatching(Uniform(), prediction=DataPrediction()), torch.randn(8, 3)
    torch.testing.assert_close(objective.decode(lambda x, t, c: x.sin(), None, noise), noise.sin())


def test_heun_does_not_ask_a_data_prediction_at_t_1_and_a_velocity_it_does():
    asked = []

    def model(x, t, condition):
        asked.append(float(t[0]))
        return torch.ones_like(x)

    data = FlowMatching(Uniform(), prediction=DataPrediction())
    sample = Decoding(3, "heun").sample(data, model, None, torch.randn(4, 2))
    assert max(asked) < 1 and len(asked) == Decoding(3, "heun").model_calls(data) == 5
    torch.testing.assert_close(sample, torch.ones(4, 2))
    asked.clear()
    velocity = FlowMatching(Uniform())
    Decoding(3, "heun").sample(velocity, model, None, torch.randn(4, 2))
    assert max(asked) == 1 and len(asked) == Decoding(3, "heun").model_calls(velocity) == 6


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_and_the_velocity_that_it_implies_are_inverse(name):
    prediction = parse_prediction(name)
    x, v, t = torch.randn(50, 3), torch.randn(50, 3), torch.rand(50) * 0.99
    torch.testing.assert_close(prediction.velocity(prediction.answer(v, x, t), x, t), v, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(prediction.data(prediction.answer(v, x, t), x, t), x + (1 - t)[:, None] * v)


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_measure_the_same_error_in_their_own_quantity(name):
    prediction = parse_prediction(name)
    noise, target, t = torch.randn(100, 2), torch.randn(100, 2), torch.rand(100) * 0.9
    x = interpolate(noise, target, t)
    goal = prediction.answer(path_velocity(noise, target), x, t)
    answer = goal + torch.randn(100, 2)
    error = prediction.error(answer, goal, t)
    velocity_error = (prediction.velocity(answer, x, t) - path_velocity(noise, target)).square()
    data_error = (prediction.data(answer, x, t) - target).square()
    by_loss = {"velocity": velocity_error, "data": data_error}
    torch.testing.assert_close(
        error, by_loss[name.split(":")[-1].removesuffix("-loss")], rtol=1e-3, atol=1e-4
    )


def test_a_velocity_loss_is_clipped_near_the_data_and_finite_at_t_1():
    objective = FlowMatching(Uniform(), prediction=parse_prediction("data:velocity-loss"))
    target = torch.zeros(1, 1)
    for t in (0.99, 1.0):
        drawn = Drawn(torch.randn(1, 1), torch.tensor([t]))
        loss = objective.loss(lambda x, t, c: torch.ones_like(x), None, target, drawn)
        assert float(loss.value) == pytest.approx(400, rel=1e-4)  # 1 / 0.05^2


def test_the_loss_of_the_velocity_is_unchanged():
    objective, target = FlowMatching(Shift(4)), torch.randn(16, 4)
    drawn = Drawn(*objective.draw(target))
    answer = torch.randn(16, 4)
    loss = objective.loss(lambda x, t, c: answer, None, target, drawn)
    assert torch.equal(loss.value, (answer - (target - drawn[0])).square().flatten(1).mean(1).mean())


@pytest.mark.parametrize("kind", [Consistency, Shortcut])
def test_objectives_that_take_a_prediction_have_the_same_optimum_under_each(kind):
    def model_of(prediction):
        def model(x, t, condition, r=None):
            velocity = (condition - x) / (1 - t).clamp(min=1e-4)[:, None]
            return prediction.answer(velocity, x, t)

        return model

    target = torch.randn(64, 3)
    for prediction in (VelocityPrediction(), DataPrediction(), DataPrediction("velocity-loss")):
        objective, model = kind(Uniform(), prediction=prediction), model_of(prediction)
        assert float(objective.loss(model, target, target).value) < 1e-4
        for steps in (1, 4):
            sample = objective.decode(model, target, torch.randn(64, 3), steps)
            torch.testing.assert_close(sample, target, rtol=0, atol=1e-3)


def test_an_objective_takes_names_of_schedule_and_prediction():
    objective = FlowMatching("shift:4", prediction="data")
    assert objective.schedule == Shift(4) and objective.prediction == DataPrediction()
    with pytest.raises(UsageError, match="says nothing of the data"):
        FlowMatching("shift:4", prediction="noise")


def test_names_parse_back():
    for name in NAMES:
        assert parse_prediction(name).name == name
    assert parse_prediction("velocity:velocity-loss") == VelocityPrediction()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_prediction("noise"), "says nothing of the data"),
        (lambda: parse_prediction("score"), "velocity"),
        (lambda: parse_prediction("data:other"), "data-loss, velocity-loss"),
        (lambda: make_objective("regression", None, prediction="data"), "no use for prediction 'data'"),
        (lambda: make_objective("meanflow", None, prediction="data"), "no use for prediction 'data'"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(call, message):
    with pytest.raises(UsageError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_data_prediction_has_no_velocity_at_t_1():
    objective = FlowMatching(Uniform(), prediction=DataPrediction())
    x = torch.zeros(2, 1)
    assert math.isfinite(
        float(objective.velocity(optimal_data, x.double(), torch.tensor([0.5, 0.9999]), None).sum())
    )
    with pytest.raises(UsageError, match="no velocity at t = 1"):
        objective.velocity(lambda x, t, c: x, x, torch.tensor([0.5, 1.0]), None)
