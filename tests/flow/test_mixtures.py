import shlex

import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow import Mixture, PointMass, Shift, Uniform, parse_schedule

NAMES = [
    "0.5:point:0+0.5:uniform",
    "0.25:point:0.1+0.25:point:0+0.5:shift:4@beta",
    "0.9:logit-normal:-1:0.5+0.1:uniform",
    "0.5:shift:1e+20+0.5:uniform",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_parse_back_and_no_shell_changes_them(name):
    schedule = parse_schedule(name)
    assert parse_schedule(schedule.name) == schedule and parse_schedule(schedule.name).name == schedule.name
    assert shlex.quote(schedule.name) == schedule.name or set(schedule.name) - set("+:@.-") <= set(
        "abcdefghijklmnopqrstuvwxyz0123456789"
    )
    assert not set(schedule.name) & set("*?[]{}~$&;|<>()!#, \"'")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["stratified", "iid"])
def test_samples_follow_the_distribution_function(name, method):
    schedule, n = parse_schedule(name), 20_000
    drawn = schedule.sample(n, torch.Generator().manual_seed(0), method).double()
    at = torch.linspace(0, 1, 41, dtype=torch.float64)
    share = torch.tensor([float((drawn <= t + 1e-6).double().mean()) for t in at], dtype=torch.float64)
    torch.testing.assert_close(share, schedule.cdf(at + 1e-6), rtol=0, atol=0.015)


@pytest.mark.parametrize("name", NAMES)
def test_the_quantile_function_is_the_inverse_of_the_distribution_function(name):
    schedule = parse_schedule(name)
    u = torch.linspace(0.001, 0.999, 101, dtype=torch.float64)
    t = schedule.icdf(u)
    assert bool((t.diff() >= 0).all())
    assert bool((schedule.cdf(t + 1e-12) >= u - 1e-9).all())
    below = t > 1e-9
    assert bool((schedule.cdf(t[below] - 1e-9) <= u[below] + 1e-6).all())


def test_stratified_draws_give_each_part_its_share_of_a_batch():
    schedule = parse_schedule("0.5:point:0+0.5:uniform")
    for seed in range(20):
        t = schedule.sample(16, torch.Generator().manual_seed(seed))
        assert int((t == 0).sum()) == 8


def test_mass_and_density():
    schedule = Mixture(((0.25, PointMass(0)), (0.75, Uniform())))
    assert schedule.noise_mass(0.9) == pytest.approx(0.25 + 0.75 * 0.1)
    assert schedule.pdf(torch.tensor([0.5])) is None  # a point mass has no density
    smooth = Mixture(((0.5, Shift(4)), (0.5, Uniform())))
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    density = smooth.pdf(t)
    assert density is not None
    assert float(torch.trapezoid(density, t)) == pytest.approx(1, abs=1e-5)


def test_one_distribution_has_one_name():
    names = ["0.5:uniform+0.5:point:0", "0.5:point:0+0.25:uniform+0.25:uniform"]
    assert {parse_schedule(name).name for name in names} == {"0.5:point:0+0.5:uniform"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0.5:point:0+0.4:uniform", "sum to 0.9"),
        ("0.5:uniform", "sum to 0.5"),
        ("1:uniform+0:beta", "above 0"),
        ("0.5:uniform+0.5:uniform", "two different"),
        ("0.5:point:2+0.5:uniform", "t from 0 to 1"),
        ("0.5:nothing+0.5:uniform", "nothing"),
        ("0.5+0.5:uniform", "WEIGHT:SCHEDULE"),
        ("uniform+beta", "WEIGHT:SCHEDULE"),
        ("shift:4@0.5:point:0+0.5:uniform", "cannot be a base"),
        ("nan:uniform+0.5:beta", "above 0"),
    ],
)
def test_what_is_no_mixture_is_refused_in_one_line(name, message):
    with pytest.raises(UsageError, match=message) as error:
        parse_schedule(name)
    assert "\n" not in str(error.value)
