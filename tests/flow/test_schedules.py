import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from junk import parsed, texts
from scipy import integrate
from scipy import stats as scipy_stats

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import parse_schedule
from toyflow.flow.schedules import Beta, LogitNormal, Shift, Uniform

CONTINUOUS = [
    "uniform", "beta", "beta:2:2", "beta:0.5:0.7", "beta:3:1", "shift:3", "shift:0.5", "shift:4@beta",
    "shift:8@logit-normal:0:1", "logit-normal:0:1", "logit-normal:-1:0.5", "mode:1.29", "mode:-1", "edm",
    "pi0", "groot-n1.7",
]  # fmt: skip
ALL = [*CONTINUOUS, "groot-n1"]


def grid(n: int = 201, margin: float = 1e-3) -> torch.Tensor:
    return torch.linspace(margin, 1 - margin, n, dtype=torch.float64)


@pytest.mark.parametrize("name", ALL)
def test_iid_draws_follow_the_cdf(name, generator):
    schedule = parse_schedule(name)
    draws = schedule.sample(4000, generator, "iid").double()
    assert draws.min() >= 0 and draws.max() <= 1
    if name == "groot-n1":  # which jumps at t = 0
        at = torch.linspace(0, 1, 21, dtype=torch.float64)
        empirical = (draws[:, None] <= at).double().mean(0)
        assert (empirical - schedule.cdf(at)).abs().max() < 0.03
    else:
        assert (
            scipy_stats.kstest(draws.numpy(), lambda t: schedule.cdf(torch.from_numpy(t)).numpy()).pvalue
            > 1e-3
        )


@pytest.mark.parametrize("name", CONTINUOUS)
def test_cdf_inverts_icdf(name):
    schedule, u = parse_schedule(name), grid()
    torch.testing.assert_close(schedule.cdf(schedule.icdf(u)), u, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_icdf_is_monotone_and_stays_inside(name):
    t = parse_schedule(name).icdf(torch.linspace(0, 1, 1001, dtype=torch.float64))
    assert (t.diff() >= 0).all() and t[0] >= 0 and t[-1] <= 1


@pytest.mark.parametrize("name", CONTINUOUS)
def test_pdf_is_the_derivative_of_the_cdf(name):
    schedule = parse_schedule(name)
    for low, high in [(0.05, 0.2), (0.2, 0.45), (0.55, 0.8), (0.8, 0.95)]:
        t = torch.linspace(low, high, 4001, dtype=torch.float64)
        density = schedule.pdf(t)
        assert density is not None
        area = integrate.simpson(density.numpy(), x=t.numpy())
        edges = schedule.cdf(torch.tensor([low, high], dtype=torch.float64))
        assert area == pytest.approx(float(edges.diff()), abs=1e-6)


def test_a_schedule_that_jumps_has_no_density():
    assert parse_schedule("groot-n1").pdf(grid()) is None
    assert parse_schedule("shift:4@groot-n1").pdf(grid()) is None


@pytest.mark.parametrize("name", ALL)
def test_names_parse_back(name):
    schedule = parse_schedule(name)
    assert parse_schedule(schedule.name) == schedule
    assert parse_schedule(schedule.name).name == schedule.name
    assert "," not in schedule.name


def test_one_schedule_has_one_name():
    assert parse_schedule("beta:1:1.5").name == "beta"
    assert parse_schedule("shift:4.0@uniform").name == "shift:4"
    assert parse_schedule(" shift:4@beta:1:1.50 ").name == "shift:4@beta"


@given(
    st.one_of(
        st.builds(Beta, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)),
        st.builds(LogitNormal, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)),
        st.builds(Shift, st.floats(1e-3, 1e3), st.builds(Beta, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))),
    )
)
def test_any_numbers_survive_the_name(schedule):
    assert parse_schedule(schedule.name) == schedule


FAMILIES = st.sampled_from(sorted(plugins.available("schedules")))
NUMBERS = (
    st.floats().map(str) | st.integers().map(str) | st.sampled_from(["", "x", "1e999", "0x1", "1_0", "٣"])
)
WORDS = st.builds(lambda key, numbers: ":".join([key, *numbers]), FAMILIES, st.lists(NUMBERS, max_size=3))


@given(st.lists(WORDS | texts("abetshif:@.1-4 ,"), min_size=1, max_size=12).map("@".join))
def test_parsing_gives_a_schedule_or_one_line(text):
    schedule = parsed(lambda: parse_schedule(text))
    if schedule is not None:
        assert (
            parse_schedule(schedule.name) == schedule and parse_schedule(schedule.name).name == schedule.name
        )


def test_a_name_without_end_is_refused():
    with pytest.raises(UsageError, match="at most 8 bases"):
        parse_schedule("shift:2@" * 5000 + "uniform")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shft:4", "Did you mean 'shift'"),
        ("shift", "write shift:alpha"),
        ("shift:x", "must be a number"),
        ("shift:nan", "must be a number"),
        ("shift:0", "alpha > 0"),
        ("shift:4@", "unknown schedule ''"),
        ("beta:1", "takes 2 numbers"),
        ("beta@uniform", "takes no base"),
        ("mode:1.8", "monotone only"),
        ("mode:-1.1", "monotone only"),
        ("logit-normal:0:0", "s > 0"),
        ("edm:1:1", "takes no numbers"),
        ("shift", "takes 1 number;"),
    ],
)
def test_bad_names_are_refused_with_what_to_write(name, words):
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        parse_schedule(name)


# Identities of the published schedules. s = 1 - t.


def test_the_shift_in_t_is_sd3s_shift_in_s():
    u, alpha = grid(), 4.0
    s = 1 - u
    torch.testing.assert_close(1 - Shift(alpha).icdf(u), alpha * s / (1 + (alpha - 1) * s))


def test_flux_with_sigma_1_is_the_shift_with_alpha_exp_mu():
    u, mu = grid(), 1.15
    s = 1 - u
    flux = math.exp(mu) / (math.exp(mu) + (1 / s - 1))
    torch.testing.assert_close(1 - Shift(math.exp(mu)).icdf(u), flux)


def test_shifts_compose():
    torch.testing.assert_close(Shift(3.0, Shift(4.0, Beta())).icdf(grid()), Shift(12.0, Beta()).icdf(grid()))


def test_beta_in_t_is_the_mirrored_beta_in_s():
    t = grid()
    torch.testing.assert_close(Beta(1.0, 1.5).pdf(t), Beta(1.5, 1.0).pdf(1 - t))


def test_beta_1_b_has_a_closed_form():
    u = grid()
    expected = torch.from_numpy(scipy_stats.beta(1, 1.5).ppf(u.numpy()))
    torch.testing.assert_close(Beta(1.0, 1.5).icdf(u), expected)


def test_shifting_a_logit_normal_moves_its_mean_by_log_alpha():
    u = grid()
    torch.testing.assert_close(
        Shift(4.0, LogitNormal(0.3, 0.7)).icdf(u), LogitNormal(0.3 - math.log(4), 0.7).icdf(u)
    )


def test_edm_is_a_logit_normal_and_one_over_one_plus_sigma(generator):
    u = grid()
    torch.testing.assert_close(parse_schedule("edm").icdf(u), LogitNormal(1.2, 1.2).icdf(u))
    sigma = torch.exp(-1.2 + 1.2 * torch.special.ndtri(1 - u))
    torch.testing.assert_close(parse_schedule("edm").icdf(u), 1 / (1 + sigma))


def test_mode_is_symmetric():
    u, schedule = grid(), parse_schedule("mode:1.29")
    torch.testing.assert_close(schedule.icdf(1 - u), 1 - schedule.icdf(u))


def test_pi0_and_groot_n17_are_one_schedule_under_a_thousandth_from_beta():
    """NVIDIA/Isaac-GR00T, gr00t_n1d6.py and gr00t_n1d7.py: `sample_time` is (1 - z) s with s = 0.999."""
    u = grid()
    z_icdf = scipy_stats.beta(1.5, 1).ppf
    s = 0.999 * torch.from_numpy(z_icdf(1 - u.numpy())) + 0.001  # openpi, with its own Beta draw z
    torch.testing.assert_close(1 - parse_schedule("pi0").icdf(u), s)
    torch.testing.assert_close(parse_schedule("groot-n1.7").icdf(u), parse_schedule("pi0").icdf(u))


def test_groot_n1_is_its_sources_time_without_negative_ones():
    """NVIDIA/Isaac-GR00T, N1 and N1.5, gr00t/model/action_head/flow_matching_action_head.py: `sample_time` is
    (s - z) / s with s = 0.999 and z ~ Beta(1.5, 1), unrounded where it mixes noise and actions."""
    u, schedule = grid(), parse_schedule("groot-n1")
    source = (0.999 - torch.from_numpy(scipy_stats.beta(1.5, 1).ppf(1 - u.numpy()))) / 0.999
    assert source.min() < 0
    torch.testing.assert_close(schedule.icdf(u), source.clamp(min=0))
    inside = source > 0
    torch.testing.assert_close(schedule.cdf(source[inside]), u[inside], atol=1e-9, rtol=0)
    below = 1 - scipy_stats.beta(1.5, 1).cdf(0.999)
    at = torch.tensor([-1e-9, 0.0], dtype=torch.float64)
    torch.testing.assert_close(schedule.cdf(at), torch.tensor([0.0, below], dtype=torch.float64))


def test_groot_is_the_name_of_groot_n1_in_older_results():
    assert (
        parse_schedule("groot") == parse_schedule("groot-n1") and parse_schedule("groot").name == "groot-n1"
    )


@pytest.mark.parametrize(
    ("name", "median", "mass"),
    [
        ("uniform", 0.50, 0.10), ("pi0", 0.63, 0.15), ("shift:4", 0.80, 0.31), ("shift:8", 0.89, 0.47),
        ("shift:4@beta", 0.87, 0.42), ("shift:8@beta", 0.93, 0.615), ("logit-normal:0:1", 0.50, 0.014),
        ("beta:2:2", 0.50, 0.03),
    ],
)  # fmt: skip
def test_published_mass_at_the_noise_end(name, median, mass):
    schedule = parse_schedule(name)
    assert 1 - float(schedule.icdf(torch.tensor([0.5], dtype=torch.float64))) == pytest.approx(
        median, abs=0.006
    )
    assert schedule.noise_mass(0.9) == pytest.approx(mass, abs=0.006)


# Sampling.


@pytest.mark.parametrize("name", ["uniform", "beta", "shift:4@beta"])
def test_stratified_means_vary_less(name):
    schedule = parse_schedule(name)
    spread = {}
    for method in ("stratified", "iid"):
        generator = torch.Generator().manual_seed(0)
        spread[method] = torch.stack(
            [schedule.sample(16, generator, method).mean() for _ in range(300)]
        ).var()
    assert spread["stratified"] < 0.05 * spread["iid"]


def test_every_stratified_draw_has_the_schedule(generator):
    """The batch is shuffled: its first element alone must follow the schedule, not the first stratum."""
    first = torch.stack([Uniform().sample(8, generator)[0] for _ in range(2000)])
    assert scipy_stats.kstest(first.numpy(), "uniform").pvalue > 1e-3


def test_sampling_is_float32_and_repeats_under_a_seed():
    draws = [parse_schedule("beta").sample(5, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert draws[0].dtype == torch.float32
    assert torch.equal(*draws)


def test_unknown_sampling_is_refused(generator):
    unchecked = inspect.unwrap(Uniform.sample)  # the type checker of the tests would be first
    with pytest.raises(UsageError, match="time sampling is stratified or iid, not 'sobol'"):
        unchecked(Uniform(), 3, generator, "sobol")  # pyright: ignore[reportArgumentType]


def test_without_a_generator_times_are_of_torchs_global_one():
    draws = []
    for _ in range(2):
        torch.manual_seed(7)
        draws.append(Shift(4).sample(9))
    assert torch.equal(*draws) and not torch.equal(draws[0], Shift(4).sample(9))


def test_times_are_on_the_generators_device(generator):
    with torch.device("meta"):
        assert Uniform().sample(3, generator).device.type == "cpu"
