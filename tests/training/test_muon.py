"""Muon against the exact singular value decomposition."""

import pytest
import torch
from torch import nn

from toyflow.training.muon import Muon, orthogonal
from toyflow.training.recipes import OneCycle


@pytest.mark.parametrize("shape", [(6, 20), (8, 8), (20, 6)])
def test_an_update_keeps_the_singular_directions_and_has_singular_values_near_one(shape, generator):
    matrix = torch.randn(shape, generator=generator)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    along = left.T @ orthogonal(matrix, iterations=8) @ right.T
    values = along.diagonal()
    assert values.min() > 0.6 and values.max() < 1.3
    assert (along - values.diag()).abs().max() < 1e-4


def test_an_update_does_not_depend_on_the_size_of_the_gradient(generator):
    matrix = torch.randn(4, 9, generator=generator)
    torch.testing.assert_close(orthogonal(matrix), orthogonal(1e-3 * matrix), rtol=1e-3, atol=1e-4)


def test_steps_follow_nesterov_momentum(generator):
    kernel = nn.Parameter(torch.randn(3, 2, 3, 3, generator=generator))
    optimiser, mean = Muon([kernel], lr=0.1, momentum=0.9), torch.zeros_like(kernel)
    for _ in range(2):
        before = kernel.detach().clone()
        kernel.grad = torch.randn(kernel.shape, generator=generator)
        optimiser.step()
        mean = 0.9 * mean + 0.1 * kernel.grad
        ahead = 0.1 * kernel.grad + 0.9 * mean
        expected = before - 0.1 * orthogonal(ahead.flatten(1)).view_as(kernel)
        torch.testing.assert_close(kernel.detach(), expected)


def test_kernels_have_muon_and_the_rest_has_adam():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 2))
    adam, muon = OneCycle(kernel_learning_rate=0.3).optimisers(model)
    assert isinstance(muon, Muon) and muon.param_groups[0]["lr"] == 0.3
    assert [id(p) for p in muon.param_groups[0]["params"]] == [id(model[0].weight)]
    assert sum(len(group["params"]) for group in adam.param_groups) == 3
