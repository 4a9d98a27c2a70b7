"""The joint share of a spread, against covariances that are known."""

from __future__ import annotations

import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow.joint_spread import joint_share, squared_covariance


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_squared_covariances_are_unbiased_with_few_samples():
    mixing = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.5, 2.0]])
    covariance = mixing @ mixing.T
    samples = torch.randn(4, 100_000, 3, generator=generator()) @ mixing.T + 7
    found = squared_covariance(samples)
    everything = covariance.square().sum()
    between = everything - covariance.diagonal().square().sum()
    for measured, known in ((found.all, everything), (found.between, between)):
        error = float(measured.std()) / len(measured) ** 0.5
        assert error < 0.2 and float(measured.mean()) == pytest.approx(float(known), abs=4 * error)


def test_elements_of_one_token_do_not_count_as_joint():
    coin = torch.randint(2, (8, 2000, 4, 1), generator=generator()).float()
    each = coin * torch.tensor([1.0, -1.0, 0.5])
    assert joint_share(each) == pytest.approx(0, abs=0.02)
    assert joint_share(each.flatten(2)) > 0.1  # as a vector, every element is a token
    assert joint_share(each[:, :, :1].expand(-1, -1, 4, -1)) == pytest.approx(1, abs=0.02)


def test_a_die_moves_all_tokens_though_each_in_its_own_direction():
    faces = torch.randint(3, (8, 500), generator=generator())
    places = torch.randint(10, (500, 4), generator=generator())
    tokens = torch.eye(10)[(places + faces[..., None]) % 10]
    assert joint_share(tokens) == pytest.approx(1, abs=0.05)


def test_without_a_spread_or_other_tokens_nothing_is_joint():
    assert joint_share(torch.ones(8, 5, 4)) != joint_share(torch.ones(8, 5, 4))  # NaN
    assert joint_share(torch.randn(8, 5, 1)) != joint_share(torch.randn(8, 5, 1))


def test_too_few_samples_are_refused():
    with pytest.raises(UsageError, match="4 samples or more"):
        joint_share(torch.randn(3, 5, 4))
