import itertools

import pytest
import torch
from torch import nn

from toyflow.errors import ToyflowError
from toyflow.flow import Model, make_objective, parse_schedule
from toyflow.training import LOSS_BINS, Recipe, train
from toyflow.training.loop import _optimisers, one_cycle


class Linear(Model):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(5, 2)

    def encode(self, observation):
        return observation

    def forward(self, x, t, condition, r=None):
        return self.layer(torch.cat([x, t[:, None], condition], 1))


def batches(generator, size=32):
    while True:
        target = torch.randn(size, 2, generator=generator)
        yield target, target


def run(recipe: Recipe, seed: int = 0, schedule: str = "uniform", **options):
    model = Linear()
    generator = torch.Generator().manual_seed(seed)
    objective = make_objective("flow", parse_schedule(schedule))
    return model, train(
        model, objective, batches(torch.Generator().manual_seed(1)), recipe, generator, **options
    )


def test_the_loss_falls_and_the_same_seed_gives_the_same_numbers():
    recipe = Recipe(iterations=200, learning_rate=0.05)
    (one, curve), (two, again), (_, other) = run(recipe), run(recipe), run(recipe, seed=1)
    assert curve.points[-1].loss < 0.5 * curve.points[0].loss
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    losses = [[p.loss for p in c.points] for c in (curve, again, other)]
    assert losses[0] == losses[1] != losses[2]


def test_loss_by_noise_level_adds_up_to_the_loss():
    _, curve = run(Recipe(iterations=1, batch_size=32), points=1)
    [point] = curve.points
    assert len(point.loss_by_noise) == LOSS_BINS
    # 32 stratified uniform times put 3 or 4 in each of 10 bins
    assert sum(point.loss_by_noise) / LOSS_BINS == pytest.approx(point.loss, rel=0.1)


def test_noise_bins_are_counted_from_the_data_end():
    _, curve = run(Recipe(iterations=20), schedule="logit-normal:-6:0.1")
    assert all(x != x for x in curve.points[0].loss_by_noise[:-1]), "only the noise end was trained"
    assert curve.points[0].loss_by_noise[-1] == pytest.approx(curve.points[0].loss)
    assert curve.rows()[0]["loss_s0.9"] == curve.points[0].loss_by_noise[-1]


def test_a_loss_that_is_not_finite_stops_the_run():
    with pytest.raises(ToyflowError, match="loss became"):
        model = Linear()
        nan = itertools.repeat((torch.zeros(4, 2), torch.full((4, 2), float("nan"))))
        objective = make_objective("regression", None)
        train(model, objective, nan, Recipe(iterations=5), torch.Generator())


def test_one_cycle_warms_up_and_ends_at_zero():
    recipe = Recipe(iterations=100, warmup=0.1)
    rates = [one_cycle(i, recipe) for i in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert one_cycle(0, Recipe(iterations=1)) == 1.0


def test_weights_of_one_axis_are_not_decayed():
    model, recipe = Linear(), Recipe(weight_decay=0.3)
    decay = {
        id(p): group["weight_decay"]
        for optimiser in _optimisers(model, recipe)
        for group in optimiser.param_groups
        for p in group["params"]
    }
    assert (decay[id(model.layer.weight)], decay[id(model.layer.bias)]) == (0.3, 0.0)


def test_points_are_reported_as_they_come_and_cover_the_run():
    seen = []
    _, curve = run(Recipe(iterations=105), on_point=seen.append, points=10)
    assert [p.iteration for p in seen] == [*range(10, 101, 10), 105]
    assert seen == curve.points
