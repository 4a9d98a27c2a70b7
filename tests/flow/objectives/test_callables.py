"""Objectives in a loop of one's own: any callable is a model, and what is left out has a default."""

import inspect

import pytest
import torch
from torch import nn

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import (
    FlowMatching,
    Model,
    Objective,
    Regression,
    Shift,
    Uniform,
    euler,
    make_objective,
    normal_like,
    squared_error,
    weighted_mean,
)
from toyflow.training import OneCycle, train

NAMES = sorted(plugins.available("objectives"))


def made(name: str) -> Objective:
    return make_objective(name, Uniform() if plugins.load("objectives", name).uses_schedule else None)


def answer(x, t, condition, r=None):
    return condition - 0.5 * x


@pytest.mark.parametrize("name", [name for name in NAMES if "learned" not in name])
def test_a_function_is_a_model(name):
    target = torch.eye(3)[torch.randint(3, (8, 4))]
    objective = made(name)
    torch.manual_seed(5)
    loss = objective.loss(answer, target, target)
    torch.manual_seed(5)
    assert torch.equal(loss.value, objective.loss(answer, target, target, objective.draw(target)).value)
    assert loss.value.isfinite()
    noise = torch.randn(8, 4, 3)
    assert torch.equal(
        objective.decode(answer, target, noise), objective.decode(answer, target, noise, 1, euler)
    )
    objective.attach(answer, (4, 3))
    assert objective.model_calls() == objective.model_calls(1, euler)


def test_a_function_is_asked_for_each_token_of_its_target():
    """It must be causal by itself."""
    objective, calls = made("autoregressive"), []

    def counted(x, t, condition):
        calls.append(x)
        return answer(x, t, condition)

    with pytest.raises(UsageError, match="call its `attach` with the model and the target's shape first"):
        objective.model_calls()
    objective.attach(counted, (4, 3))
    objective.decode(counted, torch.eye(3)[torch.randint(3, (8, 4))], torch.randn(8, 4, 3))
    assert objective.model_calls() == len(calls) == 4


@pytest.mark.parametrize("name", [name for name in NAMES if "learned" in name])
def test_a_learned_start_is_kept_in_any_module_but_not_in_a_function(name):
    class Plain(nn.Module):
        def forward(self, x, t, condition):
            return condition + x

    objective, model = made(name), Plain()
    with pytest.raises(UsageError, match="call its `attach`"):
        objective.loss(model, torch.zeros(2, 3), torch.zeros(2, 3))
    objective.attach(model, (3,))
    assert [name for name, _ in model.named_parameters()] == ["start"]
    with pytest.raises(UsageError, match=r"must be a torch\.nn\.Module"):
        objective.attach(answer, (3,))


@pytest.mark.parametrize("name", [name for name in NAMES if "learned" in name])
def test_a_learned_start_is_where_and_of_what_the_model_is(name):
    objective, model = made(name), nn.Linear(3, 3, dtype=torch.float64, device="meta")
    objective.attach(model, (3,))
    assert (model.start.dtype, model.start.device.type) == (torch.float64, "meta")


@pytest.mark.parametrize("name", [n for n in NAMES if plugins.load("objectives", n).uses_schedule])
def test_without_a_generator_all_is_drawn_on_the_targets_device(name):
    drawn = made(name).draw(torch.zeros(8, 4, 3, device="meta"))
    assert all(tensor.is_meta for tensor in drawn)


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_that_is_given_is_the_only_one_that_is_drawn_from(name, generator):
    """Also what is drawn is on its device, whatever torch's default device is."""
    target, objective = torch.zeros(8, 4, 3), made(name)
    before = torch.get_rng_state()
    with torch.device("meta"):
        drawn = objective.draw(target, generator)
    for tensor in [drawn] if isinstance(drawn, torch.Tensor) else drawn:
        assert tensor.device.type == "cpu"
    if "learned" in name:
        starts = []
        for _ in range(2):
            objective.attach(module := nn.Identity(), (3,), torch.Generator().manual_seed(4))
            starts.append(module.start)
        assert torch.equal(*starts)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_function_without_a_second_time_is_refused_where_one_is_asked_for():
    with pytest.raises(
        UsageError, match=r"'shortcut' calls the model with a second time r: add a parameter r=None to it\."
    ):
        made("shortcut").attach(lambda x, t, condition: x, (3,))
    made("shortcut").attach(answer, (3,))


def test_an_objective_that_needs_a_schedule_says_so():
    with pytest.raises(UsageError, match=r"'flow' needs a schedule, such as parse_schedule\('shift:4'\)"):
        make_objective("flow")
    assert isinstance(make_objective("regression"), Regression)


def test_the_condition_is_handed_over_as_it_is_in_every_call():
    seen = []

    def model(x, t, condition):
        seen.append(condition)
        return x

    condition = object()
    FlowMatching(Shift(4)).decode(model, condition, torch.randn(2, 3), steps=5)
    assert len(seen) == 5 and all(each is condition for each in seen)


def test_a_model_without_encode_sees_the_observation(generator):
    class Affine(Model):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, x, t, condition, r=None):
            return self.layer(condition)

    model, x = Affine(), torch.randn(16, 1, generator=generator)
    train(model, Regression(), [(x, 3 * x)] * 150, OneCycle(iterations=150, learning_rate=0.2), generator)
    assert model.layer.weight.item() == pytest.approx(3, abs=0.1)


def test_an_objective_written_for_0_1_0_still_trains_and_a_renamed_field_says_its_new_name(generator):
    class Old(Objective):
        name, source = "old", "a test"

        def draw(self, target, generator):  # pyright: ignore[reportIncompatibleMethodOverride]
            return normal_like(target, generator)

        def loss(self, model, condition, target, drawn, weight=None):  # pyright: ignore[reportIncompatibleMethodOverride]
            return squared_error(model(drawn, target.new_zeros(len(target)), condition), target, target[:, 0])

        def decode(self, model, condition, noise, steps, sampler):  # pyright: ignore[reportIncompatibleMethodOverride]
            return model(noise, noise.new_zeros(len(noise)), condition)

    class Scale(Model):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(1))

        def forward(self, x, t, condition, r=None):
            return self.scale * condition

    model, x = Scale(), torch.randn(4, 2, generator=generator)
    train(model, Old(), [(x, x)] * 5, OneCycle(iterations=5), generator)
    assert model.scale > 0
    loss = Old().loss(model, x, x, x)
    with pytest.raises(AttributeError, match=r"write `loss\.value`"):
        _ = loss.mean
    assert not hasattr(loss, "mean") and "mean" not in dict(inspect.getmembers(loss))


def test_weights_of_a_shape_that_broadcasts_count_their_elements():
    error, weight = torch.arange(6.0).reshape(2, 3), torch.tensor([[1.0], [3.0]])
    loss = weighted_mean(error, torch.zeros(2), weight)
    assert loss.value == (1 * 3 + 3 * 12) / (3 + 9)
    assert loss.per_sample.tolist() == [1, 4]
