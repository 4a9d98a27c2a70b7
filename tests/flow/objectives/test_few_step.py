"""Objectives for few steps, where the answer is known."""

import pytest
import torch
from losses import loss_of
from torch import Tensor, nn

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import Model, make_objective, parse_sampler, parse_schedule
from toyflow.flow.objectives import consistency, meanflow
from toyflow.flow.objectives.base import Drawn
from toyflow.flow.objectives.shortcut import Shortcut
from toyflow.networks import VectorModel
from toyflow.toy.task import make_task
from toyflow.toy.tasks.dial import DialModel

EULER = parse_sampler("euler")
NAMES = sorted(plugins.available("objectives"))


def made(name: str, schedule: str = "uniform"):
    return make_objective(
        name, parse_schedule(schedule) if plugins.load("objectives", name).uses_schedule else None
    )


class Known(Model):
    """Answers with `answer(x, t, condition, r)` and counts its calls, by samples."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.calls = answer, 0.0

    def encode(self, observation):
        return observation

    def forward(self, x, t, condition, r=None):
        self.calls += len(x)
        return self.answer(x, t, condition, t if r is None else r)

    def make_causal(self):
        pass


def over(t: Tensor, x: Tensor) -> Tensor:
    return t.reshape(-1, *(1,) * (x.ndim - 1))


def straight(x, t, condition, r):
    """Velocity, mean velocity and shortcut of the path where the condition is the target."""
    return (condition - x) / over(1 - t, x).clamp(min=1e-4)


def grow(x, t, condition, r):
    """Mean velocity from t to r of dx/dt = x: (e^(r - t) - 1) / (r - t) x, and x at r = t."""
    h = over(r - t, x)
    return torch.where(h < 1e-6, 1 + h / 2, torch.expm1(h) / h.clamp(min=1e-6)) * x


@pytest.mark.parametrize("name", ["flow", "shortcut", "consistency", "meanflow"])
@pytest.mark.parametrize("schedule", ["uniform", "shift:4"])
def test_a_path_whose_end_is_known_costs_nothing(name, schedule, generator):
    target = torch.randn(64, 4, 3, generator=generator)
    assert loss_of(made(name, schedule), Known(straight), target, target, generator).per_sample.max() < 1e-5
    wrong = loss_of(made(name, schedule), Known(lambda *a: straight(*a) + 1), target, target, generator)
    assert wrong.value > 0.02


@pytest.mark.parametrize("name", ["flow", "shortcut", "consistency", "meanflow"])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_such_a_path_is_decoded_exactly_in_any_number_of_steps(name, steps):
    target, noise = torch.randn(5, 4, 3), torch.randn(5, 4, 3)
    model = Known(straight)
    got = made(name).decode(model, target, noise, steps, EULER)
    torch.testing.assert_close(got, target, atol=1e-4, rtol=1e-4)
    assert model.calls == 5 * made(name).model_calls(steps, EULER)


def test_meanflows_identity_holds_for_the_mean_velocity_of_a_linear_field(generator):
    """u = v + (r - t) du/dt along the path, with v = x: the goal is the mean velocity itself."""
    x = torch.randn(32, 3, dtype=torch.float64, generator=generator)
    t = torch.rand(32, dtype=torch.float64, generator=generator) * 0.9
    r = t + (1 - t) * torch.rand(32, dtype=torch.float64, generator=generator)
    u, goal = meanflow.prediction_and_goal(Known(grow), x, t, r, x, None)
    torch.testing.assert_close(u, goal)
    wrong = Known(lambda x, t, condition, r: x + 0 * over(r - t, x))  # the velocity is no mean velocity
    u, goal = meanflow.prediction_and_goal(wrong, x, t, r, x, None)
    torch.testing.assert_close(goal - u, over(r - t, x) * x)


@pytest.mark.parametrize("padded", [False, True])
def test_meanflow_weighs_samples_by_their_own_error_and_logs_the_mean_square(padded, generator):
    """A velocity that is off by e in each element that counts: e^2 d / (e^2 d + 1e-3), logged as e^2."""
    target = torch.randn(64, 32, generator=generator)
    weight = torch.zeros(64, 32)
    weight[:, :7] = 1
    wrong = Known(lambda *a: straight(*a) + 0.5)
    loss = loss_of(made("meanflow"), wrong, target, target, generator, weight if padded else None)
    total = 0.25 * (7 if padded else 32)
    torch.testing.assert_close(loss.value, torch.tensor(total / (total + 1e-3)))
    torch.testing.assert_close(loss.per_sample, torch.full((64,), 0.25), rtol=1e-3, atol=0)


def test_meanflow_in_one_step_lands_at_the_end_of_a_linear_field():
    noise = torch.randn(6, 3)
    got = made("meanflow").decode(Known(grow), None, noise, 1, EULER)
    torch.testing.assert_close(got, noise * torch.e)


def test_meanflows_goal_passes_no_gradient_and_its_prediction_does(generator):
    model = VectorModel(2, 2)
    x = torch.randn(4, 2, generator=generator)
    t = torch.full((4,), 0.2)
    u, goal = meanflow.prediction_and_goal(model, x, t, t + 0.5, x, x)
    assert u.requires_grad and not goal.requires_grad


def test_the_jacobian_vector_product_passes_through_a_denoiser(generator):
    """Against finite differences, through attention, norms and the time embedding."""
    task = make_task("dial")
    model = task.build_model(task.model_options.parse({"decoder": "small"})).double()
    batch = task.train_batch(3, generator)
    x, v = (torch.randn(3, 4, 10, dtype=torch.float64, generator=generator) for _ in range(2))
    t = torch.full((3,), 0.3, dtype=torch.float64)
    r, h = t + 0.4, 1e-6
    condition = model.encode(batch.observation)
    _, goal = meanflow.prediction_and_goal(model, x, t, r, v, condition)
    slope = (model(x + h * v, t + h, condition, r) - model(x - h * v, t - h, condition, r)) / (2 * h)
    torch.testing.assert_close(goal, v + 0.4 * slope.detach(), rtol=1e-4, atol=1e-5)


def test_a_shortcut_learns_its_long_step_from_two_exact_half_steps(generator):
    """On dx/dt = x the mean of two half steps is the whole step's mean velocity."""
    x = torch.randn(8, 3, generator=generator)
    t, r = torch.full((8,), 0.25), torch.full((8,), 0.75)
    objective = made("shortcut")
    assert isinstance(objective, Shortcut)
    goal = objective.two_half_steps(Known(grow), x, t, r, None)
    torch.testing.assert_close(goal, grow(x, t, None, r))


def gaussian(t: Tensor, mean: float, sd: float):
    """Mean and sd of x_t for x1 ~ N(mean, sd^2)."""
    return t * mean, (t.square() * sd**2 + (1 - t).square()).sqrt()


@pytest.mark.parametrize("name", ["flow", "shortcut"])
def test_between_two_gaussians_the_closed_form_velocity_has_the_least_loss(name, generator):
    """E[x1 - x0 | x_t] for x1 ~ N(m, s^2), and the variance that it leaves."""
    mean, sd = 2.0, 0.5

    def velocity(x, t, condition, r):
        t = over(t, x)
        centre, spread = gaussian(t, mean, sd)
        return mean + (t * sd**2 - (1 - t)) / spread.square() * (x - centre)

    target = mean + sd * torch.randn(40_000, 1, generator=generator)
    losses = {}
    for shift in (-0.2, 0.0, 0.2):
        generator.manual_seed(3)
        losses[shift] = float(
            loss_of(made(name), Known(lambda *a, s=shift: velocity(*a) + s), target, target, generator)
            .per_sample[len(target) // 2 :]  # the part that learns the velocity, whatever else there is
            .mean()
        )
    assert losses[0.0] < min(losses[-0.2], losses[0.2])
    t = torch.linspace(0, 1, 10_001)
    left = sd**2 + 1 - (t * sd**2 - (1 - t)).square() / gaussian(t, mean, sd)[1].square()
    assert losses[0.0] == pytest.approx(float(left.mean()), rel=0.03)


def test_consistency_learns_the_exact_endpoint_map_up_to_a_bias_that_is_known(generator):
    """For x1 ~ N(m, s^2) the flow carries x_t to m + s (x_t - t m) / sd_t. Training pairs lie on straight
    lines, so the goal's mean given x_t is off by a multiple of x_t - t m, known from the covariances."""
    mean, sd, t, n = 2.0, 0.5, 0.3, 400_000
    noise = torch.randn(n, 1, generator=generator)
    target = mean + sd * torch.randn(n, 1, generator=generator)
    offset = torch.zeros(n, 1, requires_grad=True)

    def endpoint_map(x, t):
        centre, spread = gaussian(over(t, x), mean, sd)
        return mean + sd * (x - centre) / spread

    model = Known(lambda x, t, condition, r: (endpoint_map(x, t) - x) / over(1 - t, x) + offset)
    drawn = Drawn(noise, torch.full((n,), t))
    made("consistency").loss(model, None, target, drawn).value.backward()
    assert offset.grad is not None
    off = -offset.grad * n / 2 * (1 - t)  # the gradient of a mean square: goal minus prediction
    later = t + consistency.GAP
    spread, later_spread = (float(gaussian(torch.tensor(at), mean, sd)[1]) for at in (t, later))
    follows = (later * t * sd**2 + (1 - later) * (1 - t)) / spread**2
    expected = sd * follows / later_spread - sd / spread
    centred = t * target + (1 - t) * noise - t * mean
    assert float((off * centred).mean() / centred.square().mean()) == pytest.approx(expected, rel=0.05)
    assert abs(float(off.mean())) < 1e-3
    assert abs(expected) < 0.03, "a small bias, of the order of the gap"


def test_consistency_steps_put_the_same_noise_back():
    """A model that always names the same target decodes to it, from points on the line to the noise."""
    target, noise, seen = torch.full((2, 3), 4.0), torch.randn(2, 3), []

    def answer(x, t, condition, r):
        seen.append((x, float(t[0])))
        return straight(x, t, condition, r)

    made("consistency").decode(Known(answer), target, noise, 4, EULER)
    for x, t in seen:
        torch.testing.assert_close(x, t * target + (1 - t) * noise)


def test_mip_regresses_twice_and_decodes_twice(generator):
    objective, target = made("mip"), torch.randn(16, 4, 3, generator=generator)
    asked = []

    def answer(x, t, condition, r):
        asked.append((x, t))
        return condition

    assert loss_of(objective, Known(answer), target, target, generator).value == 0
    (zeros, start), (noised, tau) = asked
    assert (zeros == 0).all() and (start == 0).all() and (tau == 0.9).all()
    assert float((noised - 0.9 * target).std()) == pytest.approx(0.1, abs=0.02)
    asked.clear()
    objective.decode(Known(answer), target, torch.randn(16, 4, 3), 2, EULER)
    torch.testing.assert_close(asked[1][0], 0.9 * target)
    assert objective.can_decode(1) and objective.can_decode(2) and not objective.can_decode(3)


def test_l1_regression_aims_at_the_median_and_l2_at_the_mean(generator):
    target = torch.tensor([0.0, 0.0, 0.0, 10.0]).reshape(4, 1).expand(4, 2)
    median, mean = (Known(lambda x, t, c, r, v=v: torch.full_like(x, v)) for v in (0.0, 2.5))
    losses = {
        name: [float(loss_of(made(name), m, target, target, generator).value) for m in (median, mean)]
        for name in ("regression", "regression-l1")
    }
    assert losses["regression"][1] < losses["regression"][0]
    assert losses["regression-l1"][0] < losses["regression-l1"][1]
    assert losses["regression-l1"][0] == pytest.approx(2.5)


@pytest.mark.parametrize("name", ["regression-learned", "regression-learned-zero", "regression-l1-learned"])
def test_a_learned_start_belongs_to_the_model_and_is_learned(name, generator):
    model, objective = VectorModel(2, 2), made(name)
    objective.attach(model, (2,))
    assert "start" in model.state_dict()
    target = torch.randn(8, 2, generator=generator)
    loss_of(objective, model, target, target, generator).value.backward()
    assert isinstance(model.start, nn.Parameter)
    assert model.start.grad is not None and (model.start.grad != 0).any()
    one, two = (objective.decode(model, target, torch.randn(8, 2), 1, EULER) for _ in range(2))
    assert torch.equal(one, two)


def test_autoregression_sees_only_what_is_before_and_reads_its_own_answers(generator):
    task, objective = make_task("dial"), made("autoregressive")
    model = task.build_model(task.model_options.parse({"decoder": "small"})).eval()
    objective.attach(model, task.target_shape)
    batch = task.train_batch(3, generator)
    condition = model.encode(batch.observation)
    x, t = torch.randn(3, 4, 10, generator=generator), torch.zeros(3)
    before = model(x, t, condition)
    changed = x.clone()
    changed[:, 2] += 1
    after = model(changed, t, condition)
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert (before[:, 2:] - after[:, 2:]).abs().amax((1, 2)).min() > 1e-4
    with torch.no_grad():
        got = objective.decode(model, condition, torch.randn(3, 4, 10), 1, EULER)
        fed = torch.cat([torch.zeros(3, 1, 10), got[:, :-1]], 1)
        assert torch.equal(model(fed, t, condition).argmax(-1), got.argmax(-1))
    assert objective.model_calls(1, EULER) == 4


def test_autoregressions_loss_is_the_cross_entropy_of_the_true_next_token(generator):
    target = torch.eye(5)[torch.randint(5, (6, 3), generator=generator)]
    sure = Known(lambda x, t, condition, r: 50 * condition)
    assert loss_of(made("autoregressive"), sure, target, target, generator).value < 1e-6
    unsure = Known(lambda x, t, condition, r: torch.zeros_like(x))
    loss = loss_of(made("autoregressive"), unsure, target, target, generator)
    assert float(loss.value) == pytest.approx(float(torch.tensor(5.0).log()), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_training_passes_that_an_objective_declares_are_those_it_makes(name, generator):
    objective = made(name)
    model = Known(lambda x, t, condition, r: x * 0 + 0.1 * condition)
    target = torch.eye(4)[torch.randint(4, (16, 3), generator=generator)]
    if "learned" in name:
        objective.attach(model, (3, 4))
    loss_of(objective, model, target, target, generator)
    forward = objective.training_passes.forward - (name == "meanflow")  # its derivative is no call
    assert model.calls / 16 == forward


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_trains_a_model_and_decodes_what_it_says_it_can(name, generator):
    task, objective = make_task("dial", {"modes": "1"}), made(name)
    model = task.build_model(task.model_options.parse({"decoder": "small"}))
    objective.attach(model, task.target_shape)
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
    losses = []
    for _ in range(30):
        batch = task.train_batch(64, generator)
        loss = loss_of(objective, model, model.encode(batch.observation), batch.target, generator)
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
        losses.append(float(loss.per_sample.mean()))
    assert sum(losses[-8:]) < 0.95 * sum(losses[:8])
    batch = task.train_batch(5, generator)
    steps = [k for k in range(1, 11) if objective.can_decode(k)]
    assert 1 in steps
    with torch.no_grad():
        for k in steps:
            noise = torch.randn(batch.target.shape, generator=generator)
            sample = objective.decode(model, model.encode(batch.observation), noise, k, EULER)
            assert sample.shape == batch.target.shape and sample.isfinite().all()


def test_elements_of_weight_zero_are_not_learned(generator):
    target, weight = torch.randn(6, 4, 3), torch.ones(6, 4, 3)
    weight[:, 2:] = 0
    for name in set(NAMES) - {"autoregressive"}:
        wrong = nn.Parameter(torch.zeros(6, 4, 3))
        model = Known(lambda x, t, condition, r, wrong=wrong: wrong[: len(x)] + 0 * x)
        objective = made(name)
        objective.attach(model, (4, 3))
        loss_of(objective, model, target, target, generator, weight).value.backward()
        assert wrong.grad is not None, name
        assert (wrong.grad[:, 2:] == 0).all() and (wrong.grad[:, :2] != 0).any(), name


@pytest.mark.parametrize("name", NAMES)
def test_where_all_weights_are_zero_the_loss_and_its_gradient_are_zero(name, generator):
    wrong = nn.Parameter(torch.ones(6, 4, 3))
    target, objective = torch.randn(6, 4, 3, generator=generator), made(name)
    model = Known(lambda x, t, condition, r: wrong[: len(x)] + 0 * x)
    objective.attach(model, (4, 3))
    loss = loss_of(objective, model, target, target, generator, torch.zeros(6, 4, 3))
    loss.value.backward()
    assert loss.value == 0 and (loss.per_sample == 0).all()
    assert wrong.grad is not None and (wrong.grad == 0).all()


def test_a_model_that_cannot_serve_an_objective_is_refused_in_one_line():
    class Timeless(VectorModel):
        def forward(self, x, t, condition):  # pyright: ignore[reportIncompatibleMethodOverride]
            return x

    with pytest.raises(
        UsageError, match=r"'meanflow' calls .* add a parameter r=None to Timeless\.forward\."
    ):
        made("meanflow").attach(Timeless(2, 2), (2,))
    with pytest.raises(
        UsageError, match=r"needs targets \[tokens, classes\] with 2 classes or more, not \[2\]"
    ):
        made("autoregressive").attach(VectorModel(2, 2), (2,))
    with pytest.raises(UsageError, match="VectorModel has no causal form"):
        made("autoregressive").attach(VectorModel(2, 2), (2, 2))
    joint = make_task("dial").build_model(DialModel("small", "joint"))
    with pytest.raises(UsageError, match="needs --set attention=cross"):
        made("autoregressive").attach(joint, (4, 10))
