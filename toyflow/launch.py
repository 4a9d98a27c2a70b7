"""What `torchrun` or `accelerate launch` says of this process, by environment variables."""

from __future__ import annotations

import os
from typing import NamedTuple

from toyflow.errors import UsageError


class Launch(NamedTuple):
    """This process's place in a launch; without a launcher it is the only one."""

    rank: int = 0
    """Its number, 0 for the main one, which alone reads and writes results."""
    world_size: int = 1
    """How many there are."""
    local_rank: int = 0
    """Its number on this machine."""
    local_world_size: int = 1
    """How many there are on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that tells the user."""
        return self.rank == 0


def launch() -> Launch:
    """This process's place."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if not all(os.environ.get(name, "").isdigit() for name in names):
        return Launch()
    return Launch(*(int(os.environ[name]) for name in names))


def wants_bfloat16() -> bool:
    """Whether `accelerate launch --mixed_precision bf16` was said.

    Raises:
        UsageError: it asks for what toyflow does not train with: another precision, or FSDP and the like.
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
