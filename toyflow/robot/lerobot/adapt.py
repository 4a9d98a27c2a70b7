"""LeRobot's flow policies under another training-time schedule, and in another number of steps.

    policy = SmolVLAPolicy.from_pretrained("lerobot/smolvla_base")
    set_schedule(policy, "shift:4")     # before training
    set_steps(policy, 1)                # before acting

`python -m toyflow.robot.lerobot.train --schedule shift:4 ARGUMENTS OF lerobot-train` does the first
for a whole training. LeRobot counts time from data (0) to noise (1), x_t = t noise + (1 - t) actions; its
time is the noise level s of toyflow, 1 - t.
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

SCHEDULE_FILE = "toyflow.json"
"""The file beside a policy's weights that names its schedule."""
STEPS_ARE_AT = {
    "diffusion": "diffusion.num_inference_steps",
    "groot": "_groot_model.action_head.num_inference_timesteps",
    "pi0": "config.num_inference_steps",
    "pi05": "config.num_inference_steps",
    "smolvla": "config.num_steps",
    "toyflow": "config.num_steps",
    "xvla": "config.num_denoising_steps",
}
"""Where a policy of each type keeps its number of steps."""
_NAMES_OF_STEPS = ("num_steps", "num_inference_steps", "num_denoising_steps", "num_inference_timesteps")
"""What the configuration of any other type may call it."""


def steps_at(policy: Any) -> str | None:
    """Where a LeRobot policy keeps its number of steps; None for one that decodes in one call. For types that
    are not in `STEPS_ARE_AT`, the configuration is searched for a name that other types use."""
    found = [name for name in _NAMES_OF_STEPS if getattr(policy.config, name, None) is not None]
    return STEPS_ARE_AT.get(policy.config.type) or (f"config.{found[0]}" if found else None)


def can_decode(kind: str, steps: int, at: str | None = None) -> bool:
    """Whether a LeRobot policy of this type can act in `steps` steps, which it keeps `at` a place of its own
    if its type is not in `STEPS_ARE_AT`."""
    return steps == 1 or (steps > 1 and (kind in STEPS_ARE_AT or at is not None))


def set_steps(policy: Any, steps: int) -> None:
    """Let a LeRobot policy act in `steps` denoising steps from now on.

    Args:
        policy: a LeRobot policy of any type.
        steps: K, 1 or more; a policy that does not denoise takes 1 alone.

    Raises:
        UsageError: a policy of this type decodes in one call, and `steps` is more; or `steps` is below 1.

    >>> class Policy:  # stands in for lerobot.policies.smolvla.modeling_smolvla.SmolVLAPolicy
    ...     class config:
    ...         type, num_steps = "smolvla", 10
    >>> set_steps(Policy(), 1)
    >>> Policy.config.num_steps
    1
    """
    if steps < 1:
        raise UsageError(f"steps must be 1 or more, not {steps}.")
    place = steps_at(policy)
    if place is None:
        if steps > 1:
            raise UsageError(
                f"a LeRobot policy of type {policy.config.type} decodes in one call, not in {steps} steps."
            )
        return
    *parents, last = place.split(".")
    for name in parents:
        policy = getattr(policy, name)
    setattr(policy, last, steps)


def set_schedule(
    policy: Any,
    schedule: Schedule | str,
    method: TimeSampling = "stratified",
    generator: torch.Generator | None = None,
) -> None:
    """Let a pi0, pi05 or smolvla policy draw its training times from `schedule`. Where the policy is saved,
    `SCHEDULE_FILE` beside its weights names the schedule; `schedule_of` reads it.

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
    flow: Any = getattr(policy, "model", None)
    if not callable(getattr(flow, "sample_time", None)):
        kind = policy.config.type
        raise UsageError(
            f"a LeRobot policy of type {kind} draws no training times; pi0, pi05 and smolvla do."
        )
    source = generator

    def sample_time(batch_size: int, device: torch.device | str) -> Float[Tensor, "batch"]:
        nonlocal source
        if source is None:
            source = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        return (1 - chosen.sample(batch_size, source, method)).to(device=device, dtype=torch.float32)

    flow.sample_time = sample_time
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
