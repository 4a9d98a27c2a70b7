import pytest
import torch

from toyflow.errors import UsageError
from toyflow.networks import MLPDenoiser, MLPSize


@pytest.fixture
def denoiser() -> MLPDenoiser:
    torch.manual_seed(0)
    return MLPDenoiser(5, 4, MLPSize(width=16, depth=2), used=3).eval()


def inputs(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(batch, 5, 4), torch.rand(batch), torch.randn(batch, 1, 16)


def test_the_numbers_that_are_used_depend_on_every_input_and_the_others_are_zero(denoiser):
    x, t, condition = inputs()
    out = denoiser(x, t, condition)
    assert out.shape == x.shape and not out[..., 3:].any() and out[..., :3].all()
    for changed in [(x + 1, t, condition), (x, t / 2, condition), (x, t, condition + torch.randn(16))]:
        assert not torch.allclose(denoiser(*changed), out, atol=1e-5)
    assert not torch.allclose(denoiser(x, t, condition, torch.ones(3)), out, atol=1e-5)
    assert torch.equal(denoiser(x, t, condition, t), out), "without a jump, r is t"
    unread = torch.cat([x[..., :3], torch.randn(3, 5, 1)], dim=-1)
    assert torch.equal(denoiser(unread, t, condition), out)


def test_each_token_depends_on_all_tokens(denoiser):
    x, t, condition = inputs(1)
    x.requires_grad_()
    for token in range(5):
        [gradient] = torch.autograd.grad(denoiser(x, t, condition)[0, token].sum(), x)
        assert gradient[0, :, :3].all()


def test_samples_do_not_see_each_other_and_draws_of_one_example_are_as_its_copies(denoiser):
    x, t, condition = inputs()
    torch.testing.assert_close(denoiser(x, t, condition)[:1], denoiser(x[:1], t[:1], condition[:1]))
    repeated = denoiser.repeat(denoiser.read(condition), 2)
    twice = denoiser(torch.cat([x, x + 1]), t.repeat(2), repeated)
    torch.testing.assert_close(twice[3:], denoiser(x + 1, t, condition))


def test_an_mlp_has_no_causal_form(denoiser):
    with pytest.raises(UsageError, match="no causal form"):
        denoiser.make_causal()
