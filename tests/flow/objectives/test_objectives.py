import pytest
import torch
from losses import loss_of
from torch import nn

from toyflow.errors import UsageError
from toyflow.flow import Model, make_objective, parse_sampler, parse_schedule
from toyflow.flow.objectives.loss import squared_error

EULER = parse_sampler("euler")


class Recorder(Model):
    """Answers with `answer(x, t, condition)` and keeps what it was asked."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def encode(self, observation):
        return observation

    def forward(self, x, t, condition, r=None):
        self.asked.append((x, t))
        return self.answer(x, t, condition)


def flow(schedule: str = "uniform"):
    return make_objective("flow", parse_schedule(schedule))


def ideal_velocity(x, t, condition):
    """The velocity of the path where the condition is the target itself: (x1 - x_t) / (1 - t)."""
    return (condition - x) / (1 - t).reshape(-1, 1, 1)


def test_flow_loss_is_zero_for_the_true_velocity_and_known_for_zero(generator):
    target = torch.randn(64, 4, 3)
    assert loss_of(flow(), Recorder(ideal_velocity), target, target, generator).value < 1e-6
    loss = loss_of(flow(), Recorder(lambda x, t, c: torch.zeros_like(x)), target, target, generator)
    assert float(loss.value) == pytest.approx(float(target.square().mean()) + 1, rel=0.2)


def test_flow_puts_noise_and_data_together_by_the_drawn_time(generator):
    model = Recorder(lambda x, t, c: torch.zeros_like(x))
    target = torch.full((512, 8, 2), 5.0)
    loss = loss_of(flow("shift:4"), model, None, target, generator)
    (x, t) = model.asked[0]
    assert torch.equal(t, loss.t)
    torch.testing.assert_close(x.mean((1, 2)), 5 * t, atol=1.5, rtol=0)
    assert t.mean() == pytest.approx(
        float(parse_schedule("shift:4").icdf(torch.linspace(0, 1, 999)).mean()), abs=0.01
    )


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("sampler", ["euler", "midpoint"])
def test_flow_decodes_a_straight_path_exactly(steps, sampler):
    target, noise = torch.randn(5, 4, 3), torch.randn(5, 4, 3)
    model = Recorder(ideal_velocity)
    got = flow().decode(model, target, noise, steps, parse_sampler(sampler))
    torch.testing.assert_close(got, target, atol=1e-4, rtol=1e-4)
    assert len(model.asked) == flow().model_calls(steps, parse_sampler(sampler))


def test_pure_noise_sees_noise_alone_and_answers_in_one_call(generator):
    objective, target = make_objective("pure-noise", None), torch.full((256, 4, 3), 7.0)
    model = Recorder(lambda x, t, c: c)
    loss = loss_of(objective, model, target, target, generator)
    x, t = model.asked[0]
    assert loss.value == 0 and (t == 0).all()
    assert abs(float(x.mean())) < 0.1 and float(x.std()) == pytest.approx(1, abs=0.05)
    noise = torch.randn(2, 4, 3)
    objective.decode(model, target[:2], noise, 1, EULER)
    assert torch.equal(model.asked[1][0], noise)


def test_regression_sees_zeros_in_training_and_in_decoding(generator):
    objective, target = make_objective("regression", None), torch.randn(8, 4, 3)
    model = Recorder(lambda x, t, c: c)
    assert loss_of(objective, model, target, target, generator).value == 0
    got = objective.decode(model, target, torch.randn(8, 4, 3), 1, EULER)
    assert torch.equal(got, target)
    assert all((x == 0).all() and (t == 0).all() for x, t in model.asked)


@pytest.mark.parametrize("name", ["pure-noise", "regression"])
def test_one_step_objectives_decode_in_one_step_only(name):
    objective = make_objective(name, None)
    assert objective.can_decode(1) and not objective.can_decode(2)
    assert objective.model_calls(1, parse_sampler("heun")) == 1


@pytest.mark.parametrize("name", ["flow", "pure-noise", "regression"])
def test_elements_of_weight_zero_are_not_learned(name, generator):
    target = torch.randn(6, 4, 3)
    weight = torch.ones(6, 4, 3)
    weight[:, 2:] = 0
    wrong = nn.Parameter(torch.zeros(6, 4, 3))
    objective = make_objective(name, parse_schedule("beta") if name == "flow" else None)
    loss_of(objective, Recorder(lambda x, t, c: wrong), None, target, generator, weight).value.backward()
    assert wrong.grad is not None
    assert (wrong.grad[:, 2:] == 0).all() and (wrong.grad[:, :2] != 0).all()


def test_weights_of_one_change_nothing_and_rows_count_by_their_weight():
    prediction, target, t = torch.randn(3, 4), torch.randn(3, 4), torch.zeros(3)
    plain, weighted = (squared_error(prediction, target, t, w) for w in (None, torch.ones(3, 4)))
    torch.testing.assert_close(plain.value, weighted.value)
    torch.testing.assert_close(plain.per_sample, weighted.per_sample)
    padded = torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    loss = squared_error(prediction, target, t, padded)
    expected = ((prediction - target).square() * padded).sum() / 6
    torch.testing.assert_close(loss.value, expected)
    assert loss.per_sample[2] == 0, "a sample that is all padding has no loss, and no NaN"


def test_one_step_of_ideal_flow_is_the_conditional_mean():
    """Two equally likely targets +-1: v(x0, 0) = E[x1] - x0, so one step lands on their mean, 0."""
    got = flow().decode(Recorder(lambda x, t, c: 0 - x), None, torch.randn(9, 1, 1), 1, EULER)
    torch.testing.assert_close(got, torch.zeros(9, 1, 1))


def test_an_unknown_objective_is_refused():
    with pytest.raises(UsageError, match=r"Did you mean 'regression'.*flow, .*pure-noise, regression"):
        make_objective("regresion", None)
