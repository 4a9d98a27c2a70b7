"""LeRobot's flow policies under another training-time schedule, and in another number of steps.

    policy = SmolVLAPolicy.from_pretrained("lerobot/smolvla_base")
    set_schedule(policy, "shift:4")     # before training
    set_steps(policy, 1)                # before acting

`python -m toyflow.robot.lerobot.train --schedule shift:4 ARGUMENTS OF lerobot-train` does the first
for a whole training. Most of LeRobot's policies count time from data (0) to noise (1), x_t = t noise +
(1 - t) actions; their time is the noise level s of toyflow, 1 - t. `flow_policies.py` says it of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.atomic import read_sealed, write_sealed
from toyflow.errors import UsageError
from toyflow.flow.schedules import Schedule, TimeSampling, parse_schedule
from toyflow.robot.lerobot.flow_policies import FLOW_POLICIES, flow_policy, found

SCHEDULE_FILE = "toyflow.json"
"""The file beside a policy's weights that names its schedule."""
_NAMES_OF_STEPS = (
    "num_steps", "num_inference_steps", "num_denoising_steps", "num_denoise_steps", "num_inference_timesteps",
)  # fmt: skip
"""What the configuration of a type that toyflow does not know may call its number of steps."""


def steps_at(policy: Any) -> str | None:
    """The place of a LeRobot policy's number of steps, see `FlowPolicy`; None for one that decodes in one
    call. For types that toyflow does not know, the configuration is searched for a name that others use."""
    kind = policy.config.type
    if kind in FLOW_POLICIES:
        return next((place for place in FLOW_POLICIES[kind].steps if found(policy, place)), None)
    names = [name for name in _NAMES_OF_STEPS if getattr(policy.config, name, None) is not None]
    return f"config.{names[0]}" if names else None


def can_decode(kind: str, steps: int, at: str | None = None) -> bool:
    """Whether a LeRobot policy of this type can act in `steps` steps, which it keeps `at` a place of its own
    if toyflow does not know its type."""
    return steps == 1 or (steps > 1 and (bool(flow_policy(kind).steps) or at is not None))


def set_steps(policy: Any, steps: int) -> None:
    """Let a LeRobot policy act in `steps` denoising steps from now on.

    Args:
        policy: a LeRobot policy of any type.
        steps: K, 1 or more; a policy that does not denoise takes 1 alone.

    Raises:
        UsageError: a policy of this type decodes in one call, and `steps` is more; its steps cannot be set;
            or `steps` is below 1.

    >>> class Policy:  # stands in for lerobot.policies.smolvla.modeling_smolvla.SmolVLAPolicy
    ...     class config:
    ...         type, num_steps = "smolvla", 10
    >>> set_steps(Policy(), 1)
    >>> Policy.config.num_steps
    1
    """
    if steps < 1:
        raise UsageError(f"steps must be 1 or more, not {steps}.")
    kind = policy.config.type
    if reason := flow_policy(kind).no_steps:
        raise UsageError(f"the steps of a LeRobot policy of type {kind} cannot be set: {reason}.")
    place = found(policy, steps_at(policy) or "")
    if place is not None:
        setattr(*place, steps)
    elif steps > 1:
        raise UsageError(f"a LeRobot policy of type {kind} decodes in one call, not in {steps} steps.")


def set_schedule(
    policy: Any,
    schedule: Schedule | str,
    method: TimeSampling = "stratified",
    generator: torch.Generator | None = None,
) -> None:
    """Let a LeRobot policy, such as a smolvla, draw its training times from `schedule`. Where the policy is
    saved, `SCHEDULE_FILE` beside its weights names the schedule; `schedule_of` reads it.

    Args:
        policy: LeRobot's; it is changed in place.
        schedule: the schedule, or its name, such as `shift:4`; `toyflow schedules` lists them.
        method: how a batch of times is drawn, see `Schedule.sample`; LeRobot's own is `iid`.
        generator: generator of the times; by default one that torch's global generator seeds at the first
            draw.

    Raises:
        UsageError: no such schedule, or the policy draws no times.
    """
    chosen = parse_schedule(schedule) if isinstance(schedule, str) else schedule
    kind = policy.config.type
    flow = flow_policy(kind)
    place = found(policy, flow.times) if flow.times else None
    if place is None:
        able = ", ".join(name for name, each in FLOW_POLICIES.items() if each.times)
        why = flow.no_schedule or f"it has no training times that toyflow knows of; {able} have"
        raise UsageError(f"a LeRobot policy of type {kind} takes no schedule: {why}.")
    source = generator

    def sample_time(
        batch_size: int, device: torch.device | str, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "batch"]:
        nonlocal source
        if source is None:
            source = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        t = chosen.sample(batch_size, source, method)
        return (1 - t if flow.counts_noise else t).to(device=device, dtype=dtype)

    setattr(*place, sample_time)
    save = policy._save_pretrained

    def save_with_schedule(folder: Path, **more: Any) -> None:  # LeRobot 0.6 hands over a state dict
        save(folder, **more)
        write_sealed(Path(folder) / SCHEDULE_FILE, {"schedule": chosen.name, "time_sampling": method})

    policy._save_pretrained = save_with_schedule


def schedule_of(folder: Path) -> tuple[str, str] | None:
    """(schedule, time sampling) that `set_schedule` gave the policy in a LeRobot checkpoint; None if it did
    not. Raises DamagedError where `SCHEDULE_FILE` cannot be read."""
    if not (folder / SCHEDULE_FILE).is_file():
        return None
    named = read_sealed(folder / SCHEDULE_FILE)
    return named["schedule"], named["time_sampling"]
