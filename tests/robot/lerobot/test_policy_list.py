"""LeRobot's own list of policies: each that denoises works under our schedules and step counts, or is named
with its reason in `flow_policies.py`.

A type of `TRIED` is run: a small policy, or LeRobot's action head alone where the rest of the policy is on
the hub. Those of `READ` are too large for a test, and looked up in LeRobot's code.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats

pytest.importorskip("lerobot")
pytest.importorskip("num2words", reason="SmolVLA's processor needs num2words")
pytest.importorskip("diffusers", reason="LeRobot's diffusion policy needs diffusers")

from packaging.version import Version
from robot.lerobot.small_groot import save_groot
from robot.lerobot.small_pi import FLOW_KINDS, LEROBOT, needs_modern, small_pi
from robot.lerobot.small_smolvla import options, save_vlm
from robot.lerobot_policies import features, save_diffusion

from toyflow.errors import UsageError
from toyflow.flow import Decoding
from toyflow.flow.schedules import parse_schedule
from toyflow.robot.interface import Observation
from toyflow.robot.lerobot.adapt import set_schedule, set_steps, steps_at
from toyflow.robot.lerobot.flow_policies import FLOW_POLICIES, NO_FLOW, flow_policy, found
from toyflow.robot.lerobot.lerobot_checkpoint import LeRobotCheckpoint
from toyflow.robot.lerobot.lerobot_planner import LeRobotPlanner

READ = ("eo1", "fastwam", "lingbot_va", "molmoact2", "wall_x", "xvla")
TABLES = "FLOW_POLICIES or NO_FLOW of toyflow/robot/lerobot/flow_policies.py"


class Tried(NamedTuple):
    """A policy, or a part of one: `decode` calls `network` once in each step, and `train` shows `noisy` the
    noisy actions first."""

    policy: Any
    network: torch.nn.Module
    decode: Callable[[], object]
    noisy: torch.nn.Module | None = None
    train: Callable[[torch.Tensor], object] | None = None


def lerobots_types() -> dict[str, Any]:
    """{type: configuration} of LeRobot's own policies, without those of plug-ins."""
    import_module("lerobot.policies.factory")
    from lerobot.configs.policies import PreTrainedConfig

    types = PreTrainedConfig.get_known_choices()
    return {kind: config for kind, config in types.items() if config.__module__.startswith("lerobot.")}


def check_known(types: Mapping[str, Any]) -> None:
    new = ", ".join(sorted(types.keys() - {*FLOW_POLICIES, *NO_FLOW}))
    assert not new, (
        f"LeRobot {LEROBOT} has policies of type {new}, which toyflow does not know: read in "
        "lerobot/policies/TYPE/modeling_TYPE.py whether it denoises, where it keeps its number of steps and "
        f"what draws its training times, and name it in {TABLES}; a policy that denoises also goes into "
        "`tried` of this test."
    )
    untried = ", ".join(sorted((types.keys() & FLOW_POLICIES.keys()) - {*TRIED, *READ}))
    assert not untried, f"try {untried} in this test, or name it in READ."


def test_every_type_of_lerobot_is_known():
    types = lerobots_types()
    assert {"act", "diffusion", "groot", "pi0", "pi05", "smolvla"} <= types.keys()
    check_known(types)


def test_a_type_that_lerobot_adds_is_told():
    with pytest.raises(AssertionError, match=r"has policies of type pi9, which .* name it in FLOW_POLICIES"):
        check_known({**lerobots_types(), "pi9": object})


def test_what_cannot_be_done_has_a_reason():
    for kind, flow in FLOW_POLICIES.items():
        assert bool(flow.steps) != bool(flow.no_steps), kind
        assert flow.times or flow.no_schedule, kind
    assert not FLOW_POLICIES.keys() & NO_FLOW.keys()


@pytest.mark.parametrize("kind", READ)
def test_lerobots_code_reads_what_we_set(kind):
    config = lerobots_types().get(kind)
    if config is None:
        pytest.skip(f"LeRobot {LEROBOT} has no {kind}")
    flow = FLOW_POLICIES[kind]
    found_at = find_spec(f"lerobot.policies.{kind}.modeling_{kind}")  # to import it takes packages of its own
    assert found_at is not None and found_at.origin is not None
    code = Path(found_at.origin).read_text()
    for place in flow.steps:
        owner, _, name = place.rpartition(".")
        assert owner == "config" and name in config.__dataclass_fields__ and name in code
    if flow.times:
        *_, name = flow.times.split(".")
        assert f"{name}(" in code
        mix = "t * noise + (1 - t" if flow.counts_noise else "(1 - t) * noise + t *"
        assert mix in code.replace("time_expanded", "t")


def modeling(kind: str) -> Any:
    return import_module(f"lerobot.policies.{kind}.modeling_{kind}")


def part(config: Any, **parts: Any) -> Any:
    """Stands in for a policy of which there are only these parts."""
    return SimpleNamespace(config=config, _save_pretrained=lambda folder: None, **parts)


def policy_of(kind: str, patch: pytest.MonkeyPatch, folder: Any) -> Tried:
    """A whole pi0, pi05 or smolvla."""
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

    if kind == "smolvla":
        small = SmolVLAConfig(
            **features(32), device="cpu", push_to_hub=False, **options(save_vlm(folder / "vlm"))
        )
        policy: Any = modeling(kind).SmolVLAPolicy(small)
    else:
        policy = small_pi(kind, patch)
    side = policy.config.image_features["observation.images.front"].shape[-1]

    def batch(actions: torch.Tensor) -> dict[str, torch.Tensor]:
        rows = len(actions)
        return {
            "observation.images.front": torch.rand(rows, 3, side, side),
            "observation.state": torch.randn(rows, 4),
            "observation.language.tokens": torch.ones(rows, 12, dtype=torch.long),
            "observation.language.attention_mask": torch.ones(rows, 12, dtype=torch.bool),
            "action": actions,
        }

    seen = policy.model.action_in_proj
    return Tried(
        policy,
        seen,
        lambda: policy.predict_action_chunk(batch(torch.zeros(1, 6, 2))),
        seen,
        lambda actions: policy.forward(batch(actions)),
    )


def diffusion(kind: str, patch: pytest.MonkeyPatch, folder: Any) -> Tried:
    policy = modeling(kind).DiffusionPolicy.from_pretrained(save_diffusion(folder / "policy"))
    unet: Any = policy.diffusion.unet
    unet.forward = lambda x, *_, **__: x
    return Tried(policy, unet, lambda: policy.diffusion.conditional_sample(1))


def groot(kind: str, patch: pytest.MonkeyPatch, folder: Any) -> Tried:
    """The action head of GR00T N1.5, of LeRobot 0.4, or N1.7, of 0.6."""
    from transformers.feature_extraction_utils import BatchFeature

    blocks = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "dropout": 0.0}
    sizes = {
        "hidden_size": 16, "input_embedding_dim": 16, "backbone_embedding_dim": 16, "action_horizon": 6,
        "max_state_dim": 4, "max_num_embodiments": 2, "num_inference_timesteps": 4,
        "vl_self_attention_cfg": {**blocks, "num_layers": 1},
        "diffusion_model_cfg": {**blocks, "output_dim": 16, "norm_type": "ada_norm"},
    }  # fmt: skip
    if Version("0.6") > LEROBOT:
        code = import_module("lerobot.policies.groot.action_head.flow_matching_action_head")
        sizes["diffusion_model_cfg"]["cross_attention_dim"] = 16
        defaults = {"max_seq_len": 64, "add_pos_embed": True, "noise_beta_alpha": 1.5, "noise_beta_beta": 1.0}
        defaults |= {"use_vlln": True, "num_target_vision_tokens": 2, "num_timestep_buckets": 1000}
        defaults |= {"noise_s": 0.999, "tune_projector": True, "tune_diffusion_model": True, "action_dim": 3}
        head = code.FlowmatchingActionHead(code.FlowmatchingActionHeadConfig(**defaults, **sizes))
    else:
        code = import_module("lerobot.policies.groot.groot_n1_7")
        sizes |= {"max_action_dim": 3, "use_alternate_vl_dit": False}
        head = code.GR00TN17ActionHead(code.GR00TN17Config(**sizes))
    head.eval()

    def seen(rows: int) -> BatchFeature:
        here = torch.ones(rows, 5, dtype=torch.bool)
        told = {"backbone_features": torch.randn(rows, 5, 16), "backbone_attention_mask": here}
        return BatchFeature({**told, "image_mask": here})

    def asked(rows: int, **more: torch.Tensor) -> BatchFeature:
        told = {"embodiment_id": torch.zeros(rows, dtype=torch.long), "state": torch.zeros(rows, 1, 4)}
        return BatchFeature({**told, **more})

    def train(actions: torch.Tensor) -> object:
        wide = torch.nn.functional.pad(actions, (0, 1))
        return head(seen(len(wide)), asked(len(wide), action=wide, action_mask=torch.ones_like(wide)))

    policy = part(SimpleNamespace(type=kind), _groot_model=SimpleNamespace(action_head=head))
    return Tried(policy, head.model, lambda: head.get_action(seen(1), asked(1)), head.action_encoder, train)


def vla_jepa(kind: str, patch: pytest.MonkeyPatch, folder: Any) -> Tried:
    """Its action head."""
    config = lerobots_types()[kind](
        action_model_type="DiT-test", action_hidden_size=16, action_num_layers=1, action_dim=2, state_dim=0,
        chunk_size=6, n_action_steps=6, num_inference_timesteps=4,
    )  # fmt: skip
    code = import_module("lerobot.policies.vla_jepa.action_head")
    head = code.VLAJEPAActionHead(config, cross_attention_dim=16).eval()
    policy = part(config, model=SimpleNamespace(action_model=head))
    return Tried(
        policy,
        head.model,
        lambda: head.predict_action(torch.randn(1, 5, 16)),
        head.action_encoder,
        lambda actions: head(torch.randn(len(actions), 5, 16), actions),
    )


def evo1(kind: str, patch: pytest.MonkeyPatch, folder: Any) -> Tried:
    """Its action head."""
    code = import_module("lerobot.policies.evo1.flow_matching")
    head = code.FlowmatchingActionHead(
        embed_dim=16, hidden_dim=16, action_dim=12, horizon=6, per_action_dim=2, num_heads=2, num_layers=1
    )
    policy = part(SimpleNamespace(type=kind), model=SimpleNamespace(action_head=head))
    seen, mask = torch.randn(1, 5, 16), torch.ones(1, 2)
    return Tried(policy, head.norm_out, lambda: head.get_action(seen, action_mask=mask))


class Still(torch.nn.Module):
    """A network that answers with what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, t: torch.Tensor, conditioning_vec: object) -> torch.Tensor:
        return x + self.weight


def multi_task_dit(kind: str, patch: pytest.MonkeyPatch, folder: Any) -> Tried:
    """Its objective."""
    config, network = lerobots_types()[kind](objective="flow_matching"), Still()
    objective = modeling(kind).FlowMatchingObjective(config, action_dim=2, horizon=6)
    return Tried(
        part(config, objective=objective),
        network,
        lambda: objective.conditional_sample(network, 1, torch.zeros(1, 1)),
        network,
        lambda actions: objective.compute_loss(network, {"action": actions}, torch.zeros(1, 1)),
    )


TRIED = {
    "diffusion": diffusion, "evo1": evo1, "groot": groot, "multi_task_dit": multi_task_dit,
    "pi0": policy_of, "pi05": policy_of, "smolvla": policy_of, "vla_jepa": vla_jepa,
}  # fmt: skip


PARTS = tuple(kind for kind in TRIED if TRIED[kind] is not policy_of)
RUN = (*PARTS, *FLOW_KINDS)
DRAWS_TIMES = (*(kind for kind in PARTS if FLOW_POLICIES[kind].times), *FLOW_KINDS)


@pytest.fixture
def tried(request, monkeypatch, tmp_path):
    kind = request.param
    if kind not in lerobots_types():
        pytest.skip(f"LeRobot {LEROBOT} has no {kind}")
    torch.manual_seed(0)
    return TRIED[kind](kind, monkeypatch, tmp_path)


@pytest.mark.parametrize("tried", RUN, indirect=True)
def test_k_steps_are_k_calls(tried):
    calls = []
    tried.network.register_forward_hook(lambda *_: calls.append(1))
    assert steps_at(tried.policy) in flow_policy(tried.policy.config.type).steps
    for steps in (1, 3):
        set_steps(tried.policy, steps)
        calls.clear()
        tried.decode()
        assert len(calls) == steps


@pytest.mark.parametrize("tried", DRAWS_TIMES, indirect=True)
def test_training_noises_actions_at_the_times_of_a_schedule(tried):
    """Actions of 1000 tell the time: x = t 1000 + (1 - t) noise. Noise is small beside them."""
    schedule = parse_schedule("shift:4")
    set_schedule(tried.policy, schedule, "iid", torch.Generator().manual_seed(0))
    shown = []
    tried.noisy.register_forward_pre_hook(lambda _, given: shown.append(given[0].detach().float()))
    tried.train(torch.full((64, 6, 2), 1000.0))
    t = shown[0][..., :2].mean((1, 2)) / 1000
    assert t.shape == (64,)
    assert stats.kstest(t.numpy(), lambda x: schedule.cdf(torch.tensor(x)).numpy()).pvalue > 1e-3
    place = found(tried.policy, flow_policy(tried.policy.config.type).times)
    assert place is not None
    assert getattr(*place)(3, device="cpu", dtype=torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", [kind for kind, flow in FLOW_POLICIES.items() if flow.no_schedule])
def test_a_schedule_is_refused_with_the_reason(kind):
    policy = SimpleNamespace(config=SimpleNamespace(type=kind))
    reason = FLOW_POLICIES[kind].no_schedule
    with pytest.raises(UsageError, match=f"^a LeRobot policy of type {kind} takes no schedule: ") as refused:
        set_schedule(policy, "shift:4")
    assert reason in str(refused.value)


@pytest.mark.parametrize("kind", [kind for kind, flow in FLOW_POLICIES.items() if flow.no_steps])
def test_steps_are_refused_with_the_reason(kind):
    policy = SimpleNamespace(config=SimpleNamespace(type=kind, num_steps=10))
    for steps in (1, 10):
        with pytest.raises(UsageError, match=f"type {kind} cannot be set: {FLOW_POLICIES[kind].no_steps}"):
            set_steps(policy, steps)


def test_the_documentation_names_every_type():
    text = (Path(__file__).parents[3] / "docs/guides/lerobot.md").read_text()
    kinds = {*FLOW_POLICIES, *NO_FLOW} - {"toyflow", "reward_classifier", "sarm"}
    assert not [kind for kind in kinds if f"`{kind}`" not in text]


@needs_modern
def test_a_whole_groot_plans(monkeypatch, tmp_path):
    pytest.importorskip("tree", reason="GR00T needs dm-tree: lerobot[groot]")
    checkpoint = LeRobotCheckpoint.found(str(save_groot(tmp_path, monkeypatch)))
    assert checkpoint is not None
    plans = LeRobotPlanner(checkpoint, torch.device("cpu"))
    images = [np.full((32, 32, 3), fill, np.uint8) for fill in (20, 200)]
    seen = [Observation({"front": each}, np.full(4, each.mean() / 255, np.float32), "go") for each in images]
    calls = []
    plans.policy._groot_model.action_head.model.register_forward_hook(lambda *_: calls.append(1))
    for steps in (1, 3):
        plans.set_decoding(Decoding(steps))
        calls.clear()
        both = plans.plan(seen, [3, 4])
        assert len(calls) == 2 * steps  # one observation after the other
        assert both.shape == (2, plans.horizon, 2) and plans.horizon == 6
        np.testing.assert_allclose(plans.plan(seen[1:], [4])[0], both[1], atol=1e-5)
    answers = plans.answers(seen, [3, 4], 4)
    np.testing.assert_allclose(answers[0], both, atol=1e-5)
    assert plans.takes_noise and answers.std(0).max() > 1e-3
    with pytest.raises(UsageError, match=r"rtc is for .* this one is of type groot"):
        plans.check_continues()
