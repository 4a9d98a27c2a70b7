import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow import (
    Decoding,
    FlowMatching,
    PureNoise,
    Regression,
    Shortcut,
    Uniform,
    draw_noise,
    make_objective,
    parse_grid,
    parse_schedule,
)


def noise_of(draws, shape=(6, 3), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return draw_noise(draws, lambda: torch.randn(shape, generator=generator))


def leaky(x, t, condition):
    """One step from x0 answers condition + 0.3 x0 + 0.1 (x0^2 - 1): an odd and an even leak."""
    return condition + 0.3 * x + 0.1 * (x**2 - 1)


def test_draws_are_nested_pairs():
    eight = noise_of(8)
    assert torch.equal(eight[:2], noise_of(2)) and torch.equal(eight[0], noise_of(1))
    assert torch.equal(eight[1::2], -eight[::2]) and len(eight.unique(dim=0)) == 8


@pytest.mark.parametrize("draws", [2, 8])
def test_a_sample_is_the_mean_of_the_answers_each_alone(draws):
    condition, noise = torch.randn(6, 3), noise_of(draws)
    got = Decoding(draws=draws).sample(PureNoise(), leaky, condition, noise)
    one_by_one = torch.stack([Decoding().sample(PureNoise(), leaky, condition, x0) for x0 in noise])
    torch.testing.assert_close(got, one_by_one.mean(0))


def test_more_draws_than_one_batch_takes_are_decoded_in_parts(monkeypatch):
    condition, noise = torch.randn(6, 3), noise_of(8)
    whole = Decoding(draws=8).answers(PureNoise(), leaky, condition, noise)
    rows = []

    def counted(x, t, condition):
        rows.append(len(x))
        return leaky(x, t, condition)

    monkeypatch.setattr("toyflow.flow.decoding.MOST_ROWS", 20)
    torch.testing.assert_close(Decoding(draws=8).answers(PureNoise(), counted, condition, noise), whole)
    assert rows == [18, 18, 12]


def test_a_pair_removes_the_odd_leak_and_keeps_the_even_one():
    condition, noise = torch.zeros(6, 3), noise_of(2)
    got = Decoding(draws=2).sample(PureNoise(), leaky, condition, noise)
    torch.testing.assert_close(got, 0.1 * (noise[0] ** 2 - 1))


def test_several_steps_on_two_modes_average_to_between_them():
    """Each of the M answers is a sample; their mean is no sample where the data have two modes."""
    objective = FlowMatching(Uniform())

    def velocity(x, t, condition):  # of data that are -1 or 1 with equal chances
        t = t[:, None]
        data = torch.tanh(t * x / (1 - t).square().clamp(min=1e-4))
        return (data - x) / (1 - t).clamp(min=1e-3)

    noise = noise_of(8, (200, 1))
    one = Decoding(20).sample(objective, velocity, None, noise[0])
    assert float((one.abs() - 1).abs().mean()) < 0.02
    mean = Decoding(20, draws=8).sample(objective, velocity, None, noise)
    assert float(mean.abs().mean()) < 0.05  # each pair has one of both modes


@pytest.mark.parametrize(("batch", "draws"), [(1, 8), (5, 4)])
def test_the_condition_is_repeated_for_each_draw(batch, draws):
    condition = {"image": torch.arange(batch * 2.0).reshape(batch, 2), "parts": (torch.ones(batch, 1),)}

    def model(x, t, condition):
        return condition["image"] + 0 * x + condition["parts"][0]

    got = Decoding(draws=draws).sample(PureNoise(), model, condition, noise_of(draws, (batch, 2)))
    torch.testing.assert_close(got, condition["image"] + 1)


def test_grids_are_a_schedule_s_quantiles_or_times_one_by_one():
    assert parse_grid("uniform").points(2).tolist() == [0, 0.5, 1]
    assert parse_grid("shift:3").points(2).tolist() == [0, 0.25, 1]
    assert parse_grid("0:0.9:1").points(2).tolist() == pytest.approx([0, 0.9, 1])
    assert parse_grid("-0:0.9:1.0").name == "0:0.9:1" and parse_grid("0:0.9:1").steps == 2
    torch.testing.assert_close(
        parse_grid("beta").points(4).double(),
        parse_schedule("beta").icdf(torch.linspace(0, 1, 5).double()),
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ["flow", "consistency", "meanflow"])
def test_a_model_is_asked_at_the_times_of_the_grid(name):
    objective = make_objective(name, Uniform() if name != "meanflow" else None)
    asked = []

    def model(x, t, condition, r=None):
        asked.append(round(float(t[0]), 6))
        return torch.zeros_like(x)

    Decoding(3, grid="0:0.1:0.5:1").sample(objective, model, None, torch.randn(2, 2))
    assert asked == [0, 0.1, 0.5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Decoding(draws=3), "1 or an even number"),
        (lambda: Decoding(draws=0), "1 or an even number"),
        (lambda: draw_noise(5, lambda: torch.zeros(1)), "1 or an even number"),
        (lambda: Decoding(0), "whole number"),
        (lambda: Decoding(3, grid="0:0.5:1"), "makes 2 steps, not 3"),
        (lambda: parse_grid("0.1:0.5:1"), "rise from 0 to 1"),
        (lambda: parse_grid("0:0.5:0.9"), "rise from 0 to 1"),
        (lambda: parse_grid("0:0.5:0.5:1"), "rise from 0 to 1"),
        (lambda: parse_grid("0:nan:1"), "rise from 0 to 1"),
        (lambda: parse_grid("pi0"), "runs from 0 to 0.999"),
        (lambda: parse_grid("point:0"), "runs from 0 to 0"),
        (lambda: parse_grid("nonsense"), "nonsense"),
        (lambda: Decoding(3, grid="0.5:point:0+0.5:uniform"), "names a time twice"),
        (lambda: parse_grid("0:0.999999999:1").points(2), "names a time twice"),
        (
            lambda: Decoding(draws=8).sample(PureNoise(), leaky, torch.zeros(6, 3), noise_of(2)),
            "8 draws need",
        ),
        (
            lambda: Decoding(draws=8).sample(PureNoise(), leaky, torch.zeros(6, 3), noise_of(1)),
            "8 draws need",
        ),
        (lambda: Decoding(draws=2).check(Regression()), "nothing to average"),
        (lambda: Decoding(draws=2).sample(Regression(), leaky, None, noise_of(2)), "nothing to average"),
        (lambda: Decoding(2).check(PureNoise()), "cannot decode in 2 steps"),
        (lambda: Decoding(2, grid="shift:3").check(Shortcut(Uniform())), "steps of its own"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(UsageError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
