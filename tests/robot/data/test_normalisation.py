import json
import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from junk import JSON, parsed

from toyflow.errors import UsageError
from toyflow.robot.data.normalisation import Normalisation, Normaliser
from toyflow.robot.interface import Interface

MEANS = st.floats(-1e3, 1e3, width=32)
SPREADS = st.one_of(st.just(0.0), st.floats(0.125, 1e3, width=32))


def made(mean=(0.5, -1.0), std=(2.0, 0.0), kind="mean-std", **more) -> Normalisation:
    statistics = {"mean": list(mean), "std": list(std), **more}
    return Normalisation.from_statistics(statistics, statistics, kind)


@given(st.lists(st.tuples(MEANS, SPREADS), min_size=1, max_size=8), st.integers(0, 2**32))
def test_what_was_normalised_comes_back_and_a_constant_exactly(dimensions, seed):
    mean, std = zip(*dimensions, strict=True)
    normalisation = made(mean, std)
    normaliser = Normaliser(normalisation.action)
    noise = torch.randn(5, len(mean), generator=torch.Generator().manual_seed(seed))
    raw = torch.tensor(mean) + torch.tensor(std) * noise
    torch.testing.assert_close(normaliser.inverse(normaliser(raw)), raw, rtol=1e-4, atol=1e-3)
    constant = [i for i, spread in enumerate(std) if spread == 0]
    assert list(normalisation.action.constant()) == constant
    decoded = normaliser.inverse(noise)[:, constant]
    assert torch.equal(decoded, torch.tensor(mean)[constant].expand_as(decoded))
    assert Normalisation.from_dict(json.loads(json.dumps(normalisation.as_dict()))) == normalisation


def test_mean_and_std_become_0_and_1():
    data = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 0.1]) + 7
    normal = Normaliser(made(data.mean(0).tolist(), data.std(0).tolist()).state)(data)
    torch.testing.assert_close(normal.mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(normal.std(0), torch.ones(2), atol=1e-3, rtol=0)


def test_quantiles_become_minus_1_and_1_unless_they_coincide():
    """The second dimension is a gripper that is nearly always open: it falls back to mean and std."""
    normalisation = made((0.0, 0.9), (1.0, 0.2), "quantile", q01=[-2.0, 1.0], q99=[4.0, 1.0])
    normal = Normaliser(normalisation.action)(torch.tensor([[-2.0, 0.9], [4.0, 1.1]]))
    torch.testing.assert_close(normal, torch.tensor([[-1.0, 0.0], [1.0, 1.0]]))
    assert normalisation.constant() == ""


def test_rounding_does_not_hide_a_constant():
    still = made((120.0, 0.0), (3e-4, 2e-6))
    assert still.state.constant() == (0, 1) and "state [0, 1]" in still.constant()
    assert "state" not in still.constant(state=False)


def test_its_numbers_are_not_among_the_weights():
    assert Normaliser(made().state).state_dict() == {}


@pytest.mark.parametrize(
    ("statistics", "kind", "message"),
    [
        (
            {"mean": [0, float("nan")], "std": [1, 1]},
            "mean-std",
            "state statistics: mean of dimension 1 is nan",
        ),
        ({"mean": [0, 0], "std": [float("inf"), 1]}, "mean-std", "std of dimension 0 is inf"),
        ({"mean": [0, 0], "min": [1, 1]}, "mean-std", "state statistics: there is no std, only mean, min"),
        ({"mean": [0, 0], "std": [1]}, "mean-std", "std has 1 numbers where there are 2 dimensions"),
        ({"mean": [0, 0], "std": [1, 1]}, "quantile", "there is no q01, only mean, std"),
        ({"mean": 0, "std": [1]}, "mean-std", "mean must be a list of numbers"),
        ({}, "mean-std", "there is no mean, only nothing"),
        ({"mean": [0], "std": [1]}, "quantiles", "Did you mean 'quantile'"),
    ],
)
def test_bad_statistics_are_named_in_one_line(statistics, kind, message):
    with pytest.raises(UsageError, match=message) as caught:
        Normalisation.from_statistics(statistics, statistics, kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "none"}, "unknown normalisation 'none'"),
        ({"kind": None}, "unknown normalisation 'None'"),
        ({"state": {"centre": [0, 0]}}, "state normalisation: there is no scale"),
        ({"state": {"centre": [0, 0], "scale": [1, -1]}}, "a scale is below 0"),
        ({"action": {"centre": [0, None], "scale": [1, 1]}}, "list of numbers"),
        ({"more": 1}, "and nothing else"),
    ],
)
def test_damaged_json_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Normalisation.from_dict({**made().as_dict(), **change})


def test_it_must_fit_the_interface():
    made().check_fits(Interface(("front",), state_dim=2, action_dim=2, fps=20))
    with pytest.raises(UsageError, match="for actions of 2 numbers, the interface has 7"):
        made().check_fits(Interface(("front",), state_dim=2, action_dim=7, fps=20))


@given(
    st.dictionaries(st.sampled_from(["mean", "std", "q01", "q99"]), JSON | st.lists(st.floats(), max_size=3))
)
def test_whatever_statistics_hold_they_normalise_or_are_refused(statistics):
    good = {"mean": [0.0], "std": [1.0], "q01": [-2.0], "q99": [2.0]}
    for kind in ("mean-std", "quantile"):
        for state, action in ((statistics, good), (good, {**good, **statistics})):
            made = parsed(lambda s=state, a=action, k=kind: Normalisation.from_statistics(s, a, k))
            if made is not None:
                numbers = [*made.state.centre, *made.state.scale, *made.action.centre, *made.action.scale]
                assert all(map(math.isfinite, numbers)) and min(made.action.scale, default=0) >= 0


@given(JSON | st.fixed_dictionaries({"kind": st.just("quantile"), "state": JSON, "action": JSON}))
@example({"kind": "quantile", "state": {"\n": None}, "action": None})
def test_whatever_json_holds_it_is_a_normalisation_or_refused(values):
    made = parsed(lambda: Normalisation.from_dict(values))
    assert made is None or Normalisation.from_dict(made.as_dict()) == made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"std": [-1.0, 1.0]}, "std of dimension 0 is -1, below 0"),
        ({"mean": "12"}, "mean must be a list of numbers"),
        ({"mean": [10**400, 0]}, "mean must be a list of numbers"),
        ({"q01": [3.0, 0.0], "q99": [2.0, 1.0]}, "q01 of dimension 0 is 3, above q99, 2"),
    ],
)
def test_statistics_that_cannot_be_are_named(change, words):
    statistics = {"mean": [0.5, -1.0], "std": [2.0, 1.0], "q01": [-1.0, -2.0], "q99": [1.0, 1.0], **change}
    with pytest.raises(UsageError, match=words):
        Normalisation.from_statistics(statistics, statistics, "quantile")
