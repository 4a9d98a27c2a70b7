"""LeRobot's types of policy: where each that denoises keeps what toyflow reads and sets, or why it cannot.

A test compares these tables with LeRobot's own list of policies, in the version that is installed
(`tests/robot/lerobot/test_policy_list.py`), so that a type that LeRobot adds is looked at before toyflow
trains or evaluates it. Types of other packages are in no table: they are judged by what their configuration
and their plans say.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple


class FlowPolicy(NamedTuple):
    """A type of policy that denoises. A place is the path of an attribute from the policy, such as
    `config.num_steps`.

    Attributes:
        steps: places of the number of steps, of which the first that the policy has is the one.
        times: place of the method (batch size, device, ...) that draws the times of training.
        counts_noise: whether these times are levels of noise, 1 for noise; else 1 is data, as in toyflow.
        denoiser: place of the call that denoises, apart from the one that encodes the condition. Such a
            policy takes its noise as an argument.
        stacks: whether it plans from a queue of observations, as LeRobot's diffusion policy does.
        is_guided: whether LeRobot lets a guide into each step (`model.rtc_processor`, for its real-time
            chunking), and toyflow's has been tried there.
        no_steps, no_schedule: why `set_steps`, `set_schedule` cannot be used.
        no_plan: why toyflow cannot plan with it at all.
    """

    steps: tuple[str, ...] = ()
    times: str = ""
    counts_noise: bool = True
    denoiser: str = ""
    stacks: bool = False
    is_guided: bool = False
    no_steps: str = ""
    no_schedule: str = ""
    no_plan: str = ""


_IN_ITS_LOSS = "LeRobot draws its training times within the loss, with no method that could be replaced"
_OPENPI = FlowPolicy(
    ("config.num_inference_steps",), "model.sample_time", denoiser="model.denoise_step", is_guided=True
)

FLOW_POLICIES = {
    "diffusion": FlowPolicy(
        ("diffusion.num_inference_steps",),
        denoiser="diffusion.unet.forward",
        stacks=True,
        no_schedule="it is trained on the numbered noise levels of a diffusion, not on times of a flow",
    ),
    "eo1": FlowPolicy(("config.num_denoise_steps",), "model.sample_time"),
    "evo1": FlowPolicy(("model.action_head.num_inference_timesteps",), no_schedule=_IN_ITS_LOSS),
    "fastwam": FlowPolicy(
        ("config.num_inference_steps",),
        no_schedule="it draws times of a video and of its actions, as numbers from 0 to 1000",
    ),
    "groot": FlowPolicy(
        ("_groot_model.action_head.num_inference_timesteps",),
        "_groot_model.action_head.sample_time",
        counts_noise=False,
    ),
    "lingbot_va": FlowPolicy(
        no_steps="it denoises a video and then its actions, each in a number of steps of its own",
        no_schedule="it draws the noise of a video and of its actions, for each picture",
        no_plan="it plans from the pictures and actions since its episode began, one robot at a time",
    ),
    "molmoact2": FlowPolicy(("config.num_inference_steps",), no_schedule=_IN_ITS_LOSS),
    "multi_task_dit": FlowPolicy(
        ("objective.num_inference_steps", "config.num_integration_steps"),
        "objective._sample_timesteps",
        counts_noise=False,
        stacks=True,
        no_schedule="it is trained as a diffusion; with --policy.objective=flow_matching it draws times",
    ),
    "pi0": _OPENPI,
    "pi05": _OPENPI,
    "smolvla": _OPENPI._replace(steps=("config.num_steps",)),
    "toyflow": FlowPolicy(
        ("config.num_steps",), no_schedule="its schedule is an option of its own: --policy.schedule=NAME"
    ),
    "vla_jepa": FlowPolicy(
        ("model.action_model.num_inference_timesteps",), "model.action_model.sample_time", counts_noise=False
    ),
    "wall_x": FlowPolicy(
        times="model.action_preprocessor.sample_time",
        counts_noise=False,
        no_steps="it denoises in 10 steps, a number within LeRobot's code",
    ),
    "xvla": FlowPolicy(("config.num_denoising_steps",), no_schedule=_IN_ITS_LOSS),
}
"""The types that denoise."""

NO_FLOW = {
    "act": "decodes in one call",
    "gaussian_actor": "draws from a normal distribution",
    "pi0_fast": "decodes tokens one after the other",
    "reward_classifier": "tells a reward",
    "sac": "draws from a normal distribution",
    "sarm": "tells a reward",
    "tdmpc": "plans in a model of the world",
    "vqbet": "draws one of several codes",
}
"""LeRobot's other types, and what they do instead."""


def flow_policy(kind: str) -> FlowPolicy:
    """What is known of a type; nothing of one that is not in `FLOW_POLICIES`."""
    return FLOW_POLICIES.get(kind, FlowPolicy())


def found(policy: Any, place: str) -> tuple[Any, str] | None:
    """The owner of the attribute at a place of a policy, and its name there; None where there is none.

    >>> from types import SimpleNamespace as Some
    >>> policy = Some(config=Some(num_steps=10))
    >>> found(policy, "config.num_steps"), found(policy, "model.num_steps")
    ((namespace(num_steps=10), 'num_steps'), None)
    """
    *parents, name = place.split(".")
    try:
        owner = functools.reduce(getattr, parents, policy)
    except AttributeError:
        return None
    return (owner, name) if hasattr(owner, name) else None
