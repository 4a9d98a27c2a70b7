import pytest
import torch

from toyflow.errors import UsageError
from toyflow.networks import Denoiser, DenoiserSize
from toyflow.networks.denoiser import CrossBlock, JointBlock

SIZE = DenoiserSize(width=16, depth=3, heads=2)


def made(attention: str) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(5, 4, SIZE, attention).eval()  # pyright: ignore[reportArgumentType]


@pytest.fixture(params=["cross", "joint", "full"])
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    return made(request.param)


def inputs(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(batch, 5, 4), torch.rand(batch), torch.randn(batch, 7, 16)


def test_shape_and_dependence_on_every_input(denoiser):
    x, t, condition = inputs()
    out = denoiser(x, t, denoiser.read(condition))
    assert out.shape == x.shape
    for changed in [(x + 1, t, condition), (x, t / 2, condition), (x, t, condition + torch.randn(7, 16))]:
        assert not torch.allclose(denoiser(changed[0], changed[1], denoiser.read(changed[2])), out, atol=1e-5)


def test_samples_do_not_see_each_other(denoiser):
    x, t, condition = inputs()
    alone = denoiser(x[:1], t[:1], denoiser.read(condition[:1]))
    torch.testing.assert_close(denoiser(x, t, denoiser.read(condition))[:1], alone)


@pytest.mark.parametrize("attention", ["cross", "joint"])
def test_the_condition_does_not_depend_on_the_target(attention):
    """What is read of it once serves every x and t: the calls change nothing in it."""
    denoiser = made(attention)
    x, t, condition = inputs()
    memories = denoiser.read(condition)
    assert isinstance(memories, list)
    before = [memory.keys.clone() for memory in memories]
    one = denoiser(x, t, memories)
    denoiser(x + 1, t / 2, memories)
    assert torch.equal(denoiser(x, t, memories), one) and len(memories) == SIZE.depth
    assert all(torch.equal(memory.keys, kept) for memory, kept in zip(memories, before, strict=True))


def test_ten_steps_from_one_reading_are_those_from_ten(denoiser):
    x, _, condition = inputs()
    once = again = x
    read = denoiser.read(condition)
    for step in range(10):
        t = torch.full((3,), step / 10)
        once = once + denoiser(once, t, read) / 10
        again = again + denoiser(again, t, denoiser.read(condition)) / 10
    assert torch.equal(once, again)


@pytest.mark.parametrize("attention", ["joint", "full"])
def test_joint_and_full_attention_equal_a_transformer_over_both(attention):
    """The same weights run over [condition, target] at once; for `joint` under an explicit prefix mask, so
    that the condition cannot see the target, for `full` under none."""
    denoiser = made(attention)
    x, t, condition = inputs()
    mask = torch.ones(12, 12, dtype=torch.bool)
    mask[:7, 7:] = attention == "full"
    expected = over_both(denoiser, x, t, condition, mask)
    torch.testing.assert_close(denoiser(x, t, denoiser.read(condition)), expected, atol=1e-5, rtol=1e-4)


def test_a_checkpoint_of_joint_attention_loads_as_full_and_the_other_way():
    joint, full = made("joint"), made("full")
    assert [*joint.state_dict()] == [*full.state_dict()]
    x, t, condition = inputs()
    assert not torch.allclose(joint(x, t, joint.read(condition)), full(x, t, full.read(condition)), atol=1e-4)
    torch.manual_seed(1)
    other = Denoiser(5, 4, SIZE, "full")
    joint.load_state_dict(other.state_dict())
    full.load_state_dict(joint.state_dict())
    read = condition[:, :0]  # without a condition there is nothing to read in one way or the other
    torch.testing.assert_close(joint(x, t, joint.read(read)), full(x, t, full.read(read)))


def over_both(denoiser, x, t, condition, mask):
    tokens = torch.cat([condition, denoiser.embed(x) + denoiser.position + denoiser.time(t, t)[:, None]], 1)
    for block in denoiser._layers():
        assert isinstance(block, JointBlock)
        normed = block.norm(tokens)
        keys, values = block.attention.memory(normed)
        queries = block.attention._split(block.attention.query(normed))
        mixed = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        tokens = tokens + block.attention.out(mixed.transpose(1, 2).flatten(2))
        tokens = tokens + block.mlp(tokens)
    return denoiser.head(denoiser.norm(tokens[:, condition.shape[1] :]))


def test_every_parameter_learns(denoiser):
    x, t, condition = inputs()
    denoiser(x, t, denoiser.read(condition)).square().mean().backward()
    silent = [name for name, p in denoiser.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_cross_attention_starts_at_the_matching_position():
    torch.manual_seed(0)
    denoiser = Denoiser(9, 4, DenoiserSize(width=64, depth=1, heads=2))
    [block] = denoiser._layers()
    assert isinstance(block, CrossBlock)
    position = denoiser.position.detach()[None]
    keys, _ = block.memory(position)
    queries = block.cross._split(block.cross.query(block.norm_cross(position)))
    weights = (queries @ keys.transpose(-1, -2)).mean(1)[0]
    assert (weights.argmax(1) == torch.arange(9)).all()


@pytest.mark.parametrize("attention", ["joint", "full"])
def test_only_cross_attention_has_a_causal_form(attention):
    with pytest.raises(UsageError, match=f"attention=cross; {attention} has no causal form"):
        made(attention).make_causal()
