"""Names of the ways in which a denoiser reads its condition, see `denoiser`. Imports no torch."""

from __future__ import annotations

from typing import Literal, get_args

AttentionKind = Literal["cross", "joint", "full"]
ATTENTION_KINDS: tuple[AttentionKind, ...] = get_args(AttentionKind)
