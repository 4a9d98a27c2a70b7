from dataclasses import replace

import numpy as np
import pytest
import torch
from losses import loss_of
from torch.nn.functional import interpolate

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import make_objective, parse_sampler, parse_schedule
from toyflow.flow.objectives.loss import squared_error
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.data.resize import resized
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.robot.policy.spec import PolicySpec
from toyflow.training import measure_cost

CAMERAS = ("front", "wrist")
INTERFACE = Interface(CAMERAS, state_dim=3, action_dim=7, fps=20)
SPEC = PolicySpec("nano", INTERFACE, image_size=32)
EULER = parse_sampler("euler")


def statistics(dims: int) -> dict[str, list[float]]:
    """Nothing has mean 0 and std 1, and the last dimension is constant."""
    return {"mean": [0.5 + i for i in range(dims)], "std": [*(2.0 + i for i in range(dims - 1)), 0.0]}


def made(spec: PolicySpec = SPEC, seed: int = 0) -> Policy:
    torch.manual_seed(seed)
    interface = spec.interface
    return Policy(
        spec, Normalisation.from_statistics(statistics(interface.state_dim), statistics(interface.action_dim))
    ).eval()


def observed(policy: Policy, batch: int = 4) -> PolicyInput:
    torch.manual_seed(1)
    side = policy.spec.image_size
    prompts = [f"pick up the {thing} now" for thing in ("mug", "red bowl", "soup", "box")][:batch]
    images = {
        name: torch.randint(256, (batch, 3, side, side), dtype=torch.uint8)
        for name in policy.spec.interface.cameras
    }
    return PolicyInput(images, torch.randn(batch, policy.spec.interface.state_dim), policy.tokeniser(prompts))


def noise(policy: Policy, batch: int = 4) -> torch.Tensor:
    return torch.randn(batch, policy.spec.horizon, 32, generator=torch.Generator().manual_seed(2))


def part(seen: PolicyInput, samples: slice) -> PolicyInput:
    images = {name: image[samples] for name, image in seen.images.items()}
    return PolicyInput(images, seen.state[samples], seen.tokens[samples])


def answer(policy: Policy, seen: PolicyInput, x: torch.Tensor) -> torch.Tensor:
    return policy(x, torch.full((len(x),), 0.3), policy.encode(seen))


CONDITIONS = {
    "all": SPEC,
    "one camera": replace(SPEC, interface=replace(INTERFACE, cameras=("wrist",))),
    "no images": replace(SPEC, interface=replace(INTERFACE, cameras=())),
    "no prompt": replace(SPEC, language=False),
    "no state": replace(SPEC, state=False),
    "images alone": replace(SPEC, language=False, state=False),
    "prompt alone": replace(SPEC, interface=replace(INTERFACE, cameras=()), state=False),
    "state alone": replace(SPEC, interface=replace(INTERFACE, cameras=()), language=False),
    "mlp": PolicySpec("mlp", replace(INTERFACE, cameras=()), language=False),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_it_sees_what_it_is_shown_and_nothing_else(name):
    spec = CONDITIONS[name]
    policy = made(spec)
    seen, x = observed(policy), noise(policy)
    once = answer(policy, seen, x)
    assert once.shape == (4, 10, 32) and once.isfinite().all()

    def notices(**change) -> bool:
        return not torch.allclose(answer(policy, seen._replace(**change), x), once, atol=1e-5)

    for camera in spec.interface.cameras:
        assert notices(images={**seen.images, camera: 255 - seen.images[camera]})
    assert not notices(images={**seen.images, "another": torch.zeros(4, 3, 32, 32, dtype=torch.uint8)})
    assert notices(state=seen.state + 1) == spec.state
    assert spec.language == (seen.tokens.shape[1] > 0)
    if spec.language:
        assert notices(tokens=seen.tokens.roll(1, dims=0))


def test_every_parameter_learns_with_every_condition():
    for spec in CONDITIONS.values():
        policy = made(spec)
        answer(policy, observed(policy), noise(policy)).square().mean().backward()
        silent = [name for name, p in policy.named_parameters() if p.grad is None or not p.grad.any()]
        assert silent == []


@pytest.mark.parametrize("attention", ["joint", "cross", "full"])
def test_samples_do_not_see_each_other(attention):
    policy = made(replace(SPEC, attention=attention))
    seen, x = observed(policy, 2), noise(policy, 2)
    alone = [answer(policy, part(seen, slice(i, i + 1)), x[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(answer(policy, seen, x), torch.cat(alone), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["joint", "cross", "full"])
def test_a_condition_encoded_once_serves_ten_steps(attention, monkeypatch):
    policy = made(replace(SPEC, attention=attention))
    objective = make_objective("flow", parse_schedule("uniform"))
    seen, x = observed(policy), noise(policy)
    with torch.no_grad():
        by_hand = x
        for step in range(10):
            by_hand = by_hand + policy(by_hand, torch.full((4,), step / 10), policy.encode(seen)) / 10
        condition = policy.encode(seen)
        monkeypatch.setattr(policy.backbone, "forward", lambda *_: pytest.fail("encoded again"))
        torch.testing.assert_close(objective.decode(policy, condition, x, 10, EULER), by_hand)


def test_a_checkpoint_of_joint_attention_loads_as_full():
    joint, full = made(), made(replace(SPEC, attention="full"), seed=1)
    full.load_state_dict(joint.state_dict())
    seen, x = observed(joint), noise(joint)
    assert not torch.allclose(answer(joint, seen, x), answer(full, seen, x), atol=1e-4)


def test_under_mask_supervision_the_padding_is_neither_read_nor_written():
    policy = made()
    seen, x = observed(policy), noise(policy)
    once = answer(policy, seen, x)
    other = x.clone()
    other[..., 7:] = 100
    assert torch.equal(answer(policy, seen, other), once)
    assert not once[..., 7:].any() and once[..., :7].all()
    assert not answer(policy, seen, x + 1).equal(once)


def test_under_full_supervision_all_32_dimensions_take_part():
    policy = made(replace(SPEC, supervision="full"))
    seen, x = observed(policy), noise(policy)
    once = answer(policy, seen, x)
    other = x.clone()
    other[..., 31] += 1
    assert once.all() and not torch.allclose(answer(policy, seen, other), once)


@pytest.mark.parametrize(("supervision", "dims"), [("mask", 7), ("full", 32)])
def test_the_loss_looks_at_supervised_dimensions_of_real_actions(supervision, dims):
    policy = made(replace(SPEC, supervision=supervision))
    is_pad = torch.tensor([[False] * 10, [False] * 4 + [True] * 6])
    weight = policy.weight(is_pad)
    expected = torch.zeros(2, 10, 32)
    expected[0, :, :dims] = expected[1, :4, :dims] = 1
    assert torch.equal(weight, expected)
    prediction = torch.randn(2, 10, 32, requires_grad=True)
    squared_error(prediction, torch.randn(2, 10, 32), torch.zeros(2), weight).value.backward()
    assert prediction.grad is not None and torch.equal(prediction.grad != 0, expected.bool())


def test_actions_lead_back_from_target_and_constants_are_exact():
    policy = made()
    actions = torch.randn(2, 10, 7)
    actions[..., 6] = 6.5  # its mean in `statistics`, with no spread
    target = policy.target(actions, torch.randn(2, 3))
    assert target.shape == (2, 10, 32) and not target[..., 6:].any()
    torch.testing.assert_close(target[..., 1], (actions[..., 1] - 1.5) / 3)
    torch.testing.assert_close(policy.actions(target, torch.randn(2, 3)), actions)
    assert (policy.actions(torch.randn(2, 10, 32), torch.randn(2, 3))[..., 6] == 6.5).all()


def test_prepare_gives_what_a_hand_makes():
    policy = made()
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    small = picture[:32, :32]
    state = np.array([1, 2, 3], dtype=np.float32)
    one = Observation({"front": picture, "wrist": small, "more": small}, state, "open it")
    two = Observation({"front": small, "wrist": picture[::-1]}, state + 1, "close the drawer")
    seen = policy.prepare([one, two])
    assert list(seen.images) == ["front", "wrist"]
    for camera in CAMERAS:
        assert seen.images[camera].shape == (2, 3, 32, 32) and seen.images[camera].dtype == torch.uint8
    assert torch.equal(seen.images["wrist"][0], torch.from_numpy(small.copy()).permute(2, 0, 1))
    whole = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    halved = interpolate(whole, (32, 32), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(seen.images["front"][0].float(), halved, atol=1, rtol=0)
    assert torch.equal(seen.state, torch.tensor([[1.0, 2, 3], [2, 3, 4]]))
    assert torch.equal(seen.tokens, policy.tokeniser(["open it", "close the drawer"]))
    torch.testing.assert_close(policy.prepare([two]).images["wrist"], seen.images["wrist"][1:])


def test_resizing_keeps_a_picture_of_the_right_size_and_antialiases():
    stripes = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    stripes[..., ::2] = 254
    assert resized(stripes, 128) is stripes
    grey = resized(stripes, 32)[..., 2:-2].float()
    assert (grey - 127).abs().max() < 4


def test_what_an_observation_lacks_is_said_in_one_line():
    policy = made()
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(UsageError, match="no camera wrist, which the policy uses; it has front"):
        policy.prepare([Observation({"front": image}, np.zeros(3, np.float32), "")])
    with pytest.raises(UsageError, match="state has 4 numbers, the policy was made for 3"):
        policy.prepare([Observation({"front": image, "wrist": image}, np.zeros(4, np.float32), "")])


def test_the_normalisation_must_fit():
    with pytest.raises(UsageError, match="for states of 2 numbers, the interface has 3"):
        Policy(SPEC, Normalisation.from_statistics(statistics(2), statistics(7)))


def test_the_same_seed_gives_the_same_weights():
    one, two, other = made(seed=3), made(seed=3), made(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_head_and_backbone_share_the_parameters_between_them():
    policy = made()
    counts = policy.parameter_counts()
    assert counts["total"] == sum(p.numel() for p in policy.parameters())
    assert counts["backbone"] == sum(p.numel() for p in policy.backbone.parameters()) > 0
    alone = made(CONDITIONS["state alone"]).parameter_counts()
    assert alone["backbone"] == 0 and alone["head"] == alone["total"]


@pytest.mark.parametrize("name", plugins.available("objectives"))
@pytest.mark.parametrize("attention", ["joint", "full", "cross"])
def test_every_objective_trains_and_decodes(name, attention, generator):
    policy = made(replace(SPEC, attention=attention)).train()
    objective = make_objective(name, parse_schedule("shift:4"))
    if name == "autoregressive" and attention != "cross":
        with pytest.raises(UsageError, match="causal"):
            objective.attach(policy, (10, 32))
        return
    objective.attach(policy, (10, 32))
    seen, is_pad = observed(policy), torch.zeros(4, 10, dtype=torch.bool)
    is_pad[0, 5:] = True
    target = policy.target(torch.randn(4, 10, 7, generator=generator), seen.state)
    loss = loss_of(objective, policy, policy.encode(seen), target, generator, policy.weight(is_pad))
    loss.value.backward()
    gradients = [p.grad for p in policy.parameters() if p.grad is not None]
    assert loss.value.isfinite() and all(g.isfinite().all() for g in gradients)
    assert any(p.grad is not None and p.grad.any() for p in policy.backbone.parameters())
    policy.eval()
    with torch.no_grad():
        for steps in (k for k in (1, 2, 10) if objective.can_decode(k)):
            sample = objective.decode(policy, policy.encode(seen), noise(policy), steps, EULER)
            actions = policy.actions(sample, seen.state)
            assert actions.shape == (4, 10, 7) and actions.isfinite().all()


def test_the_cost_of_the_condition_and_of_a_step_are_counted():
    """Full attention moves the condition's work from the encoding into every step."""
    costs = {}
    for attention in ("joint", "full"):
        policy = made(replace(SPEC, attention=attention))
        example = (observed(policy, 1), noise(policy, 1))
        costs[attention] = measure_cost(policy, make_objective("pure-noise", None), example)
    assert costs["full"].encode_flops < costs["joint"].encode_flops
    assert costs["full"].call_flops > 1.5 * costs["joint"].call_flops


def test_autocast_to_bfloat16_trains_and_answers_in_float32():
    policy = made()
    seen, x = observed(policy), noise(policy)
    exact = answer(policy, seen, x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = answer(policy, seen, x)
        loss = rough.square().mean()
    loss.backward()
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.1)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in policy.parameters())


def test_the_weights_alone_make_up_the_state_dict():
    policy = made()
    names = {name for name, _ in policy.named_parameters()}
    assert set(policy.state_dict()) == names
