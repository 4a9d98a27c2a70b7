"""Names of the ways in which a policy says actions, see `relative_actions`. Imports no torch and no numpy."""

from __future__ import annotations

from typing import Literal, get_args

ActionKind = Literal["absolute", "relative"]
ACTION_KINDS: tuple[ActionKind, ...] = get_args(ActionKind)
STAY_ABSOLUTE = "gripper"
"""Numbers of an action with this in their name stay absolute, unless a user says otherwise."""
