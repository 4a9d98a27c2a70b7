"""The answers of a policy on which it is probed: in which numbers of steps, from how many noises.

Noise is a policy's in one of three ways:

    pairs         the policy decodes from x0 and -x0 of a seed: what draws remove of the leak is measured
    independent   every answer has a noise of its own, as those of a server or of a policy that draws codes
    none          the answer is a function of the observation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.flow import Decoding
from toyflow.flow.anatomy import MANY_STEPS, ONE_STEP_DRAWS, SAMPLE_DRAWS
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.moments import observations_at
from toyflow.robot.interface import Observation
from toyflow.robot.planner import PlanLost, Planner
from toyflow.robot.simulation.rollout import MOST_LOST
from toyflow.seeds import mixed_seed

ROWS = 128
"""Most action chunks that are decoded at once."""
Noise = Literal["pairs", "independent", "none"]
OnProgress = Callable[[int, int], None]
"""(frames done, frames in all)."""


class Answers(NamedTuple):
    """What a policy answered at every frame.

    Attributes:
        noise: as the answers tell it: `none`, too, where those of independent noises do not differ.
        chunks: by number of steps; the same noises in each, where the policy takes them from the seed.
        draws: how many draws the policy averages by itself in each answer.
    """

    noise: Noise
    chunks: Mapping[int, Float[Tensor, "draws frames horizon action"]]
    draws: int


def noise_of(planner: Planner) -> Noise:
    """How a policy takes noise."""
    if planner.takes_noise:
        return "pairs"
    return "independent" if planner.is_random_otherwise else "none"


def steps_to_probe(planner: Planner, noise: Noise, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of steps to decode in: 1 where the policy can, and those asked for, or else the largest up
    to `MANY_STEPS`.

    Raises:
        UsageError: the policy cannot decode in one that is asked for.
    """
    one = {1} if _can_decode(planner, 1) else set[int]()
    if asked is not None:
        for count in asked:
            planner.set_decoding(Decoding(count))
        return tuple(sorted(one | {*asked}))
    if noise == "none" and one:
        return (1,)
    many = next((count for count in range(MANY_STEPS, 1, -1) if _can_decode(planner, count)), None)
    return tuple(sorted(one | ({many} if many else set()))) or (planner.decoding.steps,)


def draws_to_probe(planner: Planner, noise: Noise, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of draws to average.

    Raises:
        UsageError: several are asked for, and the policy cannot average answers to pairs of noise.
    """
    if asked is None:
        return (1, 8) if noise == "pairs" else (1,)
    counts = tuple(sorted(set(asked)))
    for count in counts:
        if count > 1 and noise == "none":
            raise UsageError(
                f"this policy takes no noise: its leak is 0 by construction, and {count} draws are all the "
                "same. Leave --draws at 1."
            )
        planner.set_decoding(Decoding(planner.decoding.steps, draws=count))
    return counts


def ask(
    planner: Planner,
    data: DataSet,
    frames: Int64[Tensor, "frames"],
    noise: Noise,
    steps: Sequence[int],
    averaged: Sequence[int],
    on_progress: OnProgress,
) -> Answers:
    """The answers at each frame, whose noise is seeded by its number.

    Args:
        steps, averaged: of `steps_to_probe` and `draws_to_probe`.
        on_progress: called with (frames done, frames in all).

    Raises:
        UsageError: an answer is not finite.
        PlanLost: a server was lost more than `MOST_LOST` times at the same frames.
    """
    counts = _draws(noise, steps, averaged)
    at_once = max(1, ROWS // max(counts.values()))
    answers: dict[int, list[Tensor]] = {count: [] for count in steps}
    done = 0
    for part in frames.split(at_once):
        seen = observations_at(data, part, planner.interface.cameras, planner.history)
        for count, draws in counts.items():
            planner.set_decoding(Decoding(count))
            answers[count].append(_answered(planner, seen, part.tolist(), draws, noise))
            if not torch.isfinite(answers[count][-1]).all():
                raise UsageError("the policy answers with numbers that are not finite; it cannot be probed.")
        done += len(part)
        on_progress(done, len(frames))
    chunks = {count: torch.cat(found, dim=1).double() for count, found in answers.items()}
    if noise == "independent" and all((each == each[:1]).all() for each in chunks.values()):
        return Answers("none", {count: each[:1] for count, each in chunks.items()}, planner.decoding.draws)
    return Answers(noise, chunks, planner.decoding.draws)


def _draws(noise: Noise, steps: Sequence[int], averaged: Sequence[int]) -> dict[int, int]:
    """From how many noises to decode in each number of steps."""
    if noise == "none":
        return dict.fromkeys(steps, 1)
    if noise == "independent":  # each is a plan of its own
        return dict.fromkeys(steps, SAMPLE_DRAWS)
    several = max(SAMPLE_DRAWS, *averaged)
    return {count: max(several, ONE_STEP_DRAWS) if count == 1 else several for count in steps}


def _answered(
    planner: Planner, seen: Sequence[Observation], frames: Sequence[int], draws: int, noise: Noise
) -> Float[Tensor, "draws frames horizon action"]:
    if noise != "independent":
        return torch.from_numpy(_kept_asking(planner, seen, frames, draws))
    seeds = [[mixed_seed(frame, draw) for frame in frames] for draw in range(draws)]
    return torch.cat([torch.from_numpy(_kept_asking(planner, seen, each, 1)) for each in seeds])


def _kept_asking(
    planner: Planner, seen: Sequence[Observation], seeds: Sequence[int], draws: int
) -> Float32[np.ndarray, "draws frames horizon action"]:
    """The answers, asked for again where a server was lost."""
    for _ in range(MOST_LOST):
        try:
            return planner.answers(seen, seeds, draws)
        except PlanLost:
            continue
    return planner.answers(seen, seeds, draws)


def _can_decode(planner: Planner, steps: int) -> bool:
    try:
        planner.set_decoding(Decoding(steps))
    except UsageError:
        return False
    return True
