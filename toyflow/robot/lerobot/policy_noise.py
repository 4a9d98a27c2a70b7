"""The noise that a LeRobot policy denoises: chosen by seed, and several draws of it for one observation.

LeRobot's policies draw their noise themselves, for the whole batch at once. Here every row of a batch has a
seed of its own, so that a plan does not depend on its company, and one observation may have many rows:

    encode_once(policy)                             # pi0, pi05, smolvla and diffusion
    noise = SeededNoise(seeds=[7, 8], draws=4)      # 2 observations, 8 rows
    start = noise.rows((horizon, width))
    with noise:                                     # torch.randn and its like give such rows, too
        policy.predict_action_chunk(batch_of_2, noise=start)                    # [8, horizon, action]

Rows lie observation by observation: those of one observation are neighbours.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from toyflow.flow import draw_noise
from toyflow.robot.lerobot.flow_policies import flow_policy, found
from toyflow.seeds import mixed_seed


class SeededNoise(TorchFunctionMode):
    """Gaussian noise for `draws` rows of each seed: x0, -x0 of its first pair, then of its second, and so on.

    As a context, it answers whatever asks torch for normal noise with as many rows: `torch.randn`,
    `torch.randn_like`, `torch.normal` and `Tensor.normal_`. So a policy that takes no noise as an argument
    has it anyhow, and a sampler that adds noise in its steps (DDPM) adds -z to the second of a pair where
    the first has z. Each pair has a generator of its own, so that the first row of a seed meets the same
    noise whatever the number of draws.

    Args:
        seeds: one per observation.
        draws: M, 1 or even; see `toyflow.flow.decoding.Decoding`.

    Attributes:
        count: number of rows.
        answered: how often noise was asked for inside the context, and given.

    >>> noise = SeededNoise([0, 1], draws=2)
    >>> with noise:
    ...     x = torch.randn(4, 3)
    >>> bool((x[0] == -x[1]).all()), bool((x[2] == -x[3]).all()), noise.answered
    (True, True, 1)
    >>> with SeededNoise([1], draws=1):
    ...     print(bool((torch.randn(1, 3) == x[2]).all()))
    True
    """

    def __init__(self, seeds: Sequence[int], draws: int) -> None:
        super().__init__()
        self.seeds, self.draws = seeds, draws
        self.count, self.answered = len(seeds) * draws, 0
        pairs = range((draws + 1) // 2)
        self._generators = [[_generator(seed, pair) for seed in seeds] for pair in pairs]

    def rows(self, shape: Sequence[int]) -> Float[Tensor, "rows ..."]:
        """The next noise of this shape for every row, on the CPU."""
        pairs = iter(self._generators)

        def draw_one() -> Tensor:
            return torch.stack([torch.randn(*shape, generator=generator) for generator in next(pairs)])

        drawn = draw_noise(self.draws, draw_one)  # [draws, observations, ...]
        return drawn.reshape(self.draws, -1, *shape).transpose(0, 1).flatten(0, 1)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Answer a call of torch."""
        named = kwargs or {}
        like = _like(func, args, named)
        if like is None or like.ndim == 0 or len(like) != self.count:
            return func(*args, **named)
        self.answered += 1
        noise = self.rows(like.shape[1:]).to(like)
        if func is Tensor.normal_:
            mean, std = _moments(args[1:], named)
            return args[0].copy_(mean + std * noise)
        if func is torch.normal:
            mean, std = _moments(args, named)
            return mean + std * noise
        return noise


def encode_once(policy: Any) -> bool:
    """Let the denoiser of a LeRobot policy take several rows of noise for each observation, so that the
    condition is encoded for the observations alone: whatever the denoiser is given with fewer rows is
    repeated.

    Args:
        policy: LeRobot's; it is changed in place. Given a row of noise per observation, it does as before.

    Returns:
        Whether it can; for a policy of any other type, the observations have to be repeated.
    """
    place = found(policy, flow_policy(policy.config.type).denoiser)
    if place is None:  # another type, or a version of LeRobot that is built otherwise
        return False
    owner, name = place
    denoise = getattr(owner, name)

    @functools.wraps(denoise)
    def denoise_all(*args: Any, **named: Any) -> Any:
        given = [value for value in (*args, *named.values()) if isinstance(value, Tensor)]
        counts = {len(value) for value in given if value.ndim}
        if len(counts) > 1:
            repeat = functools.partial(_repeated, count=min(counts), times=max(counts) // min(counts))
            args, named = tuple(map(repeat, args)), {key: repeat(value) for key, value in named.items()}
        return denoise(*args, **named)

    setattr(owner, name, denoise_all)
    return True


def _repeated(value: Any, count: int, times: int) -> Any:
    """Every row of `count` rows `times` times: of a tensor, of a cache, or of a dictionary of such."""
    if hasattr(value, "batch_repeat_interleave"):  # a cache of transformers, which changes in place
        value = copy.deepcopy(value)
        value.batch_repeat_interleave(times)
        return value
    return tree_map(
        lambda leaf: (
            leaf.repeat_interleave(times, 0)
            if isinstance(leaf, Tensor) and leaf.shape[:1] == (count,)
            else leaf
        ),
        value,
    )


def _generator(seed: int, pair: int) -> torch.Generator:
    """The generator of a seed's `pair`-th pair of rows; for the first pair, the seed's own."""
    if pair:
        seed = mixed_seed(seed % 2**64, pair)
    return torch.Generator().manual_seed(seed)


def _like(function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Tensor | None:
    """A tensor like the one that this call would fill with normal noise; None for any other call."""
    options = {key: value for key, value in named.items() if key in ("size", "dtype", "device")}
    if function is torch.randn:
        return torch.empty(*args, **options)
    if function is torch.randn_like:
        return torch.empty_like(*args, **options)
    if function is Tensor.normal_:
        return args[0]
    if function is torch.normal:
        size = named.get("size", args[2] if len(args) > 2 else None)
        mean, std = _moments(args, named)
        return mean + std if size is None else torch.empty(**{**options, "size": size})
    return None


def _moments(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
    """The mean and the deviation that a call of `normal` is given."""
    mean = args[0] if args else named.get("mean", 0.0)
    return mean, args[1] if len(args) > 1 else named.get("std", 1.0)
