"""Names of the ways in which states and actions are scaled, see `normalisation`. Imports no torch."""

from __future__ import annotations

from typing import Literal, get_args

NormalisationKind = Literal["mean-std", "quantile"]
NORMALISATION_KINDS: tuple[NormalisationKind, ...] = get_args(NormalisationKind)
