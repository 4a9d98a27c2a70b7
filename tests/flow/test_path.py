import torch

from toyflow.flow.path import interpolate, noise_level, path_velocity


def test_the_path_runs_from_noise_to_data_at_its_velocity():
    x0, x1 = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    torch.testing.assert_close(interpolate(x0, x1, torch.zeros(3)), x0)
    torch.testing.assert_close(interpolate(x0, x1, torch.ones(3)), x1)
    t = torch.tensor([0.1, 0.5, 0.8])
    later = interpolate(x0, x1, t + 0.1)
    torch.testing.assert_close(later, interpolate(x0, x1, t) + 0.1 * path_velocity(x0, x1), atol=1e-5, rtol=0)


def test_noise_level_is_its_own_inverse():
    t = torch.rand(5)
    torch.testing.assert_close(noise_level(noise_level(t)), t)
    assert noise_level(torch.zeros(1)) == 1
