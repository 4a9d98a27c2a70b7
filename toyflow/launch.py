"""This process's place among those of `torchrun` or `accelerate launch`, from environment variables."""

from __future__ import annotations

import os
from typing import NamedTuple

from toyflow.errors import UsageError


class Launch(NamedTuple):
    """This process's place among the processes of a launcher; without one it is the only process."""

    rank: int = 0
    """Number of this process; 0 is the main one, which alone reads and writes results."""
    world_size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number of this process among those on this machine."""
    local_world_size: int = 1
    """Number of processes on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints to the user."""
        return self.rank == 0


def launch() -> Launch:
    """This process's place, read from the environment."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if not all(os.environ.get(name, "").isdigit() for name in names):
        return Launch()
    return Launch(*(int(os.environ[name]) for name in names))


def wants_bfloat16() -> bool:
    """Whether the launcher was `accelerate launch --mixed_precision bf16`.

    Raises:
        UsageError: it asks for another precision, or for FSDP, DeepSpeed or Megatron-LM.
    """
    for name in ("DEEPSPEED", "FSDP", "MEGATRON_LM"):
        if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true":
            raise UsageError(
                f"accelerate is set to {name}; toyflow keeps a whole model on every GPU: "
                "accelerate launch --multi_gpu, or torchrun."
            )
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if asked not in ("no", "bf16"):
        raise UsageError(
            f"toyflow trains in bfloat16 or float32, not in {asked}: --mixed_precision bf16 or no."
        )
    return asked == "bf16"
