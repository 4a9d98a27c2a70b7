"""A seed's independent streams of random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

Stream = Literal["weights", "data", "noise", "network", "test noise"]


def generator(seed: int, stream: Stream) -> torch.Generator:
    """A generator of the independent stream `stream` of `seed`.

    Example:
        >>> import torch
        >>> from toyflow.seeds import generator
        >>> one, again, other = (torch.rand(1, generator=generator(0, s)) for s in ("data", "data", "noise"))
        >>> bool(one == again), bool(one == other)
        (True, False)
    """
    entropy = np.random.SeedSequence([seed, *stream.encode()]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(entropy >> 1))


def mixed_seed(seed: int, number: int) -> int:
    """The `number`-th seed of a sequence that `seed` begins; both are 0 or more.

    Example:
        >>> from toyflow.seeds import mixed_seed
        >>> mixed_seed(0, 1) == mixed_seed(0, 1), mixed_seed(0, 1) == mixed_seed(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def global_state(seed: int, stream: Stream, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside, and restore their state at the end; for what takes no generator,
    such as the initial weights of torch's layers, and dropout."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, stream).initial_seed())
        yield
