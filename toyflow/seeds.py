"""A seed's independent streams of random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

Stream = Literal["weights", "data", "noise", "network", "test noise"]


def generator(seed: int, stream: Stream) -> torch.Generator:
    """One of a seed's independent streams of random numbers."""
    entropy = np.random.SeedSequence([seed, *stream.encode()]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(entropy >> 1))


@contextmanager
def global_state(seed: int, stream: Stream, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators for what draws from nothing else, and put them back."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, stream).initial_seed())
        yield
