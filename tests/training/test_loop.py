import itertools
import json
import math
import re
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from toyflow.errors import ToyflowError, UsageError
from toyflow.flow import Model, make_objective, parse_schedule
from toyflow.training import (
    LOSS_BINS,
    DivergedError,
    NonFiniteDataError,
    OneCycle,
    PolicyRecipe,
    Trainer,
    train,
)


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


def run(recipe: OneCycle, seed: int = 0, schedule: str = "uniform", **options):
    model = Linear()
    generator = torch.Generator().manual_seed(seed)
    objective = make_objective("flow", parse_schedule(schedule))
    return model, train(
        model, objective, batches(torch.Generator().manual_seed(1)), recipe, generator, **options
    )


def test_the_loss_falls_and_the_same_seed_gives_the_same_numbers():
    recipe = OneCycle(iterations=200, learning_rate=0.05)
    (one, curve), (two, again), (_, other) = run(recipe), run(recipe), run(recipe, seed=1)
    assert curve.points[-1].loss < 0.5 * curve.points[0].loss
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    losses = [[p.loss for p in c.points] for c in (curve, again, other)]
    assert losses[0] == losses[1] != losses[2]


def test_loss_by_noise_level_adds_up_to_the_loss():
    _, curve = run(OneCycle(iterations=1, batch_size=32), points=1)
    [point] = curve.points
    assert len(point.loss_by_noise) == LOSS_BINS
    # 32 stratified uniform times put 3 or 4 in each of 10 bins
    assert sum(point.loss_by_noise) / LOSS_BINS == pytest.approx(point.loss, rel=0.1)


def test_noise_bins_are_counted_from_the_data_end():
    _, curve = run(OneCycle(iterations=20), schedule="logit-normal:-6:0.1")
    assert all(x != x for x in curve.points[0].loss_by_noise[:-1]), "only the noise end was trained"
    assert curve.points[0].loss_by_noise[-1] == pytest.approx(curve.points[0].loss)
    assert curve.rows()[0]["loss_s0.9"] == curve.points[0].loss_by_noise[-1]


def test_a_loss_that_is_not_finite_stops_the_run():
    with pytest.raises(DivergedError, match=r"the loss became infinite .* by iteration \d+; lower"):
        run(OneCycle(iterations=20, learning_rate=1e30))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("target", math.nan), ("target", math.inf), ("weight", math.nan), ("weight", math.inf),
        ("observation['state']", math.nan), ("observation['more'][1]", math.nan),
    ],
)  # fmt: skip
def test_data_that_is_not_finite_is_named_and_not_taken_for_divergence(place, value):
    """In iteration 3, which is not the last before the point of the curve at which the loss is looked at."""

    class Sum(Linear):
        def encode(self, observation):
            return observation["state"] + observation["more"][0] + observation["more"][1]

    def data():
        for iteration in itertools.count(1):
            tensors = {
                name: torch.ones(4, 2)
                for name in ("target", "weight", "observation['state']", "observation['more'][1]")
            }
            if iteration == 3:
                tensors[place][2, 1] = value
            more = (torch.ones(4, 2), tensors["observation['more'][1]"])
            observation = {"state": tensors["observation['state']"], "more": more, "number": torch.arange(4)}
            yield observation, tensors["target"], tensors["weight"]

    what = "NaN" if "observation" in place else "NaN or infinity"
    words = f"data is not finite: {place} of iteration 3 contains {what}; correct the data"
    with pytest.raises(NonFiniteDataError, match=re.escape(words)):
        objective = make_objective("flow", parse_schedule("beta"))
        train(Sum(), objective, data(), OneCycle(iterations=10), torch.Generator(), points=2)


def test_data_is_judged_by_itself_and_not_by_the_loss():
    """NaN that a model hides is a fault; a mask of -inf and large numbers, whose sum overflows, are none."""

    class Blind(Linear):
        def encode(self, observation):
            return observation["state"].nan_to_num()

    def trained(state, target):
        data = itertools.repeat(({"state": state, "mask": torch.full((4, 2), -torch.inf)}, target))
        objective = make_objective("regression-l1")
        return train(Blind(), objective, data, OneCycle(iterations=10), torch.Generator(), points=2)

    state, target = torch.ones(4, 2), torch.full((4, 2), 2e38)
    with pytest.raises(NonFiniteDataError, match=r"observation\['state'\] of iteration 1 contains NaN;"):
        trained(torch.full((4, 2), torch.nan), torch.ones(4, 2))
    assert len(trained(state, torch.ones(4, 2)).points) == 2
    with pytest.raises(DivergedError):  # the loss overflows, the data does not
        trained(state, target)


def test_weights_that_data_made_infinite_are_not_called_divergence():
    target = torch.full((4, 2), float("nan"))
    trainer = Trainer(
        Linear(), make_objective("regression"), OneCycle(iterations=9), torch.Generator(), points=1
    )
    next(trainer.steps([(torch.ones(4, 2), target)]))
    with pytest.raises(NonFiniteDataError, match="target of iteration 1"):
        trainer.state()


def test_batches_that_end_early_are_an_error_that_counts():
    data = itertools.islice(batches(torch.Generator().manual_seed(1)), 30)
    with pytest.raises(ToyflowError, match=r"batches ended after 30 of 1000 iterations; .*repeating"):
        train(Linear(), make_objective("regression"), data, OneCycle(iterations=1000), torch.Generator())
    data = itertools.islice(batches(torch.Generator().manual_seed(1)), 30)
    curve = train(Linear(), make_objective("regression"), data, OneCycle(iterations=30), torch.Generator())
    assert curve.points[-1].iteration == 30, "as many as the recipe has are enough"


def test_a_batch_that_is_all_padding_changes_nothing():
    def data():
        for iteration, (x, y) in enumerate(batches(torch.Generator().manual_seed(1), size=4)):
            yield x, y, torch.full((4, 2), float(iteration != 1))

    model = Linear()
    recipe = OneCycle(iterations=3, batch_size=4, weight_decay=0.0, beta1=0.0)
    trainer = Trainer(model, make_objective("regression"), recipe, torch.Generator(), accumulate=2)
    seen = [model.layer.weight.detach().clone() for _ in trainer.steps(data())]
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])
    assert trainer.curve.points[1].loss == 0


def test_only_kernels_of_convolutions_go_to_muon():
    model = nn.ModuleDict(
        {
            "plane": nn.Conv2d(3, 4, 3),
            "line": nn.ConvTranspose1d(4, 2, 5),
            "matrix": nn.Linear(4, 4),
            "norm": nn.LayerNorm(4),
            "bilinear": nn.Bilinear(2, 3, 4),
        }
    )
    model.register_parameter("position", nn.Parameter(torch.randn(1, 7, 4)))
    names = {id(p): name for name, p in model.named_parameters()}
    adam, muon = OneCycle(weight_decay=0.3).optimisers(model)
    decayed, plain = ([names[id(p)] for p in group["params"]] for group in adam.param_groups)
    assert [names[id(p)] for p in muon.param_groups[0]["params"]] == ["plane.weight", "line.weight"]
    assert sorted(decayed) == ["bilinear.weight", "matrix.weight", "position"]
    assert all(name.endswith("bias") or name.startswith("norm") for name in plain)
    assert len(decayed) + len(plain) + 2 == len(names)


@pytest.mark.parametrize("name", ["regression-learned", "regression-l1-learned", "regression-learned-zero"])
def test_the_learned_start_of_an_image_goes_to_muon_as_in_0_1_0(name):
    """Its records have the same key, so they must mean the same training."""
    for target, to_muon in (((1, 8, 8), True), ((4, 10), False)):
        make_objective(name).attach(model := Convolution(), target)
        adam, muon = OneCycle().optimisers(model)
        starts = [[p is model.start for p in group["params"]] for group in muon.param_groups]
        assert any(map(any, starts)) is to_muon
        others = [p is model.start for group in adam.param_groups for p in group["params"]]
        assert any(others) is not to_muon


def test_a_kernel_that_gets_no_gradient_stays_as_it_is_and_the_rest_learns():
    class Unused(Convolution):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Conv2d(2, 2, 3)

    model = Unused()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    objective = make_objective("flow", parse_schedule("beta"))
    train(
        model, objective, batches(torch.Generator().manual_seed(1)), OneCycle(iterations=2), torch.Generator()
    )
    same = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert same == {"unused.weight", "unused.bias"}


@pytest.mark.parametrize("recipe", [OneCycle(), PolicyRecipe()])
def test_a_model_with_nothing_to_train_is_refused(recipe):
    model = Linear().requires_grad_(False)
    with pytest.raises(UsageError, match="Linear has no parameters that require a gradient"):
        Trainer(model, make_objective("regression"), recipe, torch.Generator())


def test_one_cycle_warms_up_and_ends_at_zero():
    recipe = OneCycle(iterations=100, warmup=0.1)
    rates = [recipe.rate(i) for i in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert OneCycle(iterations=1).rate(0) == 1.0


def test_weights_of_one_axis_are_not_decayed():
    model, recipe = Linear(), OneCycle(weight_decay=0.3)
    decay = {
        id(p): group["weight_decay"]
        for optimiser in recipe.optimisers(model)
        for group in optimiser.param_groups
        for p in group["params"]
    }
    assert (decay[id(model.layer.weight)], decay[id(model.layer.bias)]) == (0.3, 0.0)


def test_points_are_reported_as_they_come_and_cover_the_run():
    seen = []
    _, curve = run(OneCycle(iterations=105), on_point=seen.append, points=10)
    assert [p.iteration for p in seen] == [*range(10, 101, 10), 105]
    assert seen == curve.points


@dataclass(frozen=True)
class Short(PolicyRecipe):
    """With average, backbone and a floor, in a few iterations."""

    iterations: int = 30
    learning_rate: float = 0.02
    final_learning_rate: float = 0.01
    ema: float = 0.9


class Convolution(Linear):
    """With a kernel that does not lie in memory as its shape says."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(2, 3, 3, padding=1)
        self.kernel.weight.data = self.kernel.weight.data.contiguous(memory_format=torch.channels_last)

    def encode(self, observation):
        return observation + self.kernel(observation[:, :, None, None].expand(-1, -1, 3, 3))[:, :2, 1, 1]


@pytest.mark.parametrize("recipe", [OneCycle(iterations=30), Short()])
@pytest.mark.parametrize("model", [Linear, Convolution])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(model, recipe, tmp_path):
    def trainer() -> Trainer:
        objective = make_objective("flow", parse_schedule("beta"))
        return Trainer(model(), objective, recipe, torch.Generator().manual_seed(3), points=7)

    def data(start: int = 0):
        return itertools.islice(batches(torch.Generator().manual_seed(1)), start, None)

    whole = trainer()
    for _ in whole.steps(data()):
        pass
    stopped = trainer()
    next(i for i in stopped.steps(data()) if i == 13)  # between two points of the curve
    tensors, values = stopped.state()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "state.safetensors")
    resumed = trainer()
    resumed.restore(load_file(tmp_path / "state.safetensors"), json.loads(json.dumps(values)))
    assert resumed.iteration == 13
    for _ in resumed.steps(data(13)):
        pass
    assert [p.loss for p in resumed.curve.points] == [p.loss for p in whole.curve.points]
    pairs = zip(resumed.trained().parameters(), whole.trained().parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_average_follows_the_weights():
    recipe = Short(iterations=2)
    model = Linear()
    trainer = Trainer(model, make_objective("regression", None), recipe, torch.Generator())
    seen = [
        model.layer.weight.detach().clone() for _ in trainer.steps(batches(torch.Generator().manual_seed(1)))
    ]
    expected = 0.9 * seen[0] + 0.1 * seen[1]
    assert torch.allclose(trainer.trained().state_dict()["layer.weight"], expected, atol=1e-7)


def test_the_policy_recipe_warms_up_ends_at_its_floor_and_slows_the_backbone():
    recipe = PolicyRecipe(iterations=20_000)
    assert recipe.rate(0) == pytest.approx(1e-3) and recipe.rate(999) == 1.0
    assert recipe.rate(19_999) * recipe.learning_rate == pytest.approx(1e-5, rel=1e-3)
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    [optimiser] = recipe.optimisers(model)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert [rates[id(p)] for p in model["head"].parameters()] == [1e-4] * 2
    assert [rates[id(p)] for p in model["backbone"].parameters()] == pytest.approx([1e-5] * 2)


def test_weights_that_are_not_finite_are_not_kept():
    model = Linear()
    trainer = Trainer(model, make_objective("regression", None), Short(), torch.Generator())
    model.layer.weight.data[0, 0] = float("nan")
    with pytest.raises(DivergedError, match="a weight became"):
        trainer.state()


def test_a_batch_in_parts_gives_the_weights_of_the_whole():
    def trained(parts: int) -> tuple[Trainer, nn.Module]:
        model = Linear()
        data = batches(torch.Generator().manual_seed(1), size=12)
        weighted = ((x, y, (torch.arange(12) % 3 > 0)[:, None] * torch.ones(12, 2)) for x, y in data)
        objective = make_objective("flow", parse_schedule("beta"))
        recipe = Short(batch_size=12)
        trainer = Trainer(model, objective, recipe, torch.Generator().manual_seed(3), accumulate=parts)
        for _ in trainer.steps(weighted):
            pass
        return trainer, model

    (whole, model), (parts, other) = trained(1), trained(4)
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, same, rtol=1e-4, atol=1e-6)
    assert [p.loss for p in parts.curve.points] == pytest.approx(
        [p.loss for p in whole.curve.points], rel=1e-5
    )
    with pytest.raises(UsageError, match=r"12 does not fall into equal parts \(.*5\); .* divisible by 5"):
        trained(5)
