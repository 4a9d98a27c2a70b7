"""Noise by seed for LeRobot's policies, and denoisers that take several rows of it for each observation."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from toyflow.robot.lerobot.policy_noise import SeededNoise, encode_once


def asked(how: str, rows: int) -> torch.Tensor:
    """Normal noise [rows, 5] of torch, by each way that there is."""
    like = torch.zeros(rows, 5, dtype=torch.float64)
    ways = {
        "randn": lambda: torch.randn(rows, 5, dtype=torch.float64),
        "randn of a size": lambda: torch.randn(size=(rows, 5), dtype=torch.float64, generator=None),
        "randn_like": lambda: torch.randn_like(like),
        "normal": lambda: torch.normal(mean=0.0, std=1.0, size=(rows, 5), dtype=torch.float64, device="cpu"),
        "normal of tensors": lambda: torch.normal(like, torch.ones_like(like)),
        "a distribution": lambda: torch.distributions.Normal(like, 1.0).sample(),
        "in place": like.normal_,
    }
    return ways[how]()


WAYS = ("randn", "randn of a size", "randn_like", "normal", "normal of tensors", "a distribution", "in place")


@pytest.mark.parametrize("how", WAYS)
def test_every_row_has_the_noise_of_its_seed(how):
    noise = SeededNoise([7, 8], draws=4)
    with noise:
        both = asked(how, 8).unflatten(0, (2, 4))
    assert noise.answered == 1 and both.dtype == torch.float64
    torch.testing.assert_close(both[:, 1::2], -both[:, ::2], rtol=0, atol=0)
    expected = torch.randn(5, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(both[0, 0].float(), expected, rtol=0, atol=0)
    with SeededNoise([8], draws=2):
        torch.testing.assert_close(asked(how, 2), both[1, :2], rtol=0, atol=0)
    assert len(both.flatten(0, 1).abs().unique(dim=0)) == 4


def test_later_noise_is_nested_too():
    """As within the steps of DDPM: what the first rows meet does not depend on the number of draws."""
    met = []
    for draws in (1, 2, 8):
        with SeededNoise([3], draws):
            met.append(torch.stack([torch.randn(draws, 4) for _ in range(3)]))
    torch.testing.assert_close(met[0][:, 0], met[2][:, 0], rtol=0, atol=0)
    torch.testing.assert_close(met[1], met[2][:, :2], rtol=0, atol=0)
    assert len(met[2][:, 0].unique(dim=0)) == 3


def test_mean_and_deviation_are_kept():
    with SeededNoise([1], 2):
        plain, moved, placed = (
            torch.randn(2, 3),
            torch.normal(5.0, 2.0, (2, 3)),
            torch.zeros(2, 3).normal_(5, 2),
        )
    assert not torch.equal(plain, moved)
    with SeededNoise([1], 2):
        torch.randn(2, 3)
        torch.testing.assert_close(moved, 5 + 2 * torch.randn(2, 3))
        torch.testing.assert_close(placed, 5 + 2 * torch.randn(2, 3))


def test_what_is_not_noise_of_the_batch_stays_torchs(generator):
    noise = SeededNoise([1, 2], 2)
    with noise:
        alone = torch.randn(3, 4, generator=generator)
        uniform = torch.rand(4, 2, generator=generator)
        assert torch.normal(0.0, 1.0, ()).ndim == 0
    assert noise.answered == 0
    again = generator.manual_seed(0)
    torch.testing.assert_close(alone, torch.randn(3, 4, generator=again))
    torch.testing.assert_close(uniform, torch.rand(4, 2, generator=again))


class Denoiser(nn.Module):
    """Adds what it is given, and counts its rows."""

    def forward(self, x, t, global_cond=None, *, cache):
        self.rows = len(x)
        return x + t[:, None] + global_cond + cache["layer"]["key"]


def diffusion(unet) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(type="diffusion"), diffusion=SimpleNamespace(unet=unet))


def test_a_denoiser_repeats_what_has_fewer_rows():
    unet = Denoiser()
    assert encode_once(diffusion(unet))
    x, t, condition = torch.randn(6, 3), torch.rand(2), torch.randn(2, 3)
    answer = unet(x, t, global_cond=condition, cache={"layer": {"key": condition}})
    expected = x.unflatten(0, (2, 3)) + t[:, None, None] + 2 * condition[:, None]
    torch.testing.assert_close(answer.unflatten(0, (2, 3)), expected)
    alone = unet(x[:2], t, global_cond=condition, cache={"layer": {"key": condition}})
    torch.testing.assert_close(alone, x[:2] + t[:, None] + 2 * condition)


def test_a_policy_built_otherwise_is_left_as_it_is():
    assert not encode_once(SimpleNamespace(config=SimpleNamespace(type="act")))
    assert not encode_once(SimpleNamespace(config=SimpleNamespace(type="smolvla"), model=None))
