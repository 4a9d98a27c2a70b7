"""The simulator of Push-T: gym-pusht's own class, loaded quietly and without gymnasium's registry."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec
from typing import Any

from toyflow.errors import UsageError

SIDE = 512.0
"""Side of the board in pixels, the unit of positions and actions."""
RATE = 10
"""Control steps per second."""
PIXELS = 96
"""Side of the images of the published demonstrations."""
SOLVED = 0.95
"""Coverage of the target above which the task is solved."""
HINT = "pip install 'toyflow[pusht]'"


def check_installed() -> None:
    """Raise UsageError, with what to do, where gym-pusht or a package that it needs is not installed;
    imports nothing."""
    missing = [name for name in ("gym_pusht", "pymunk", "pygame", "shapely") if find_spec(name) is None]
    if missing:
        raise UsageError(f"the environment pusht needs {', '.join(missing)}, which is not installed: {HINT}.")


def open_board() -> Any:
    """A `gym_pusht.envs.pusht.PushTEnv` that observes the state, so that only a look renders. Raises
    UsageError where it is not installed."""
    check_installed()
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # else a greeting on standard output
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        from gym_pusht.envs.pusht import PushTEnv  # optional
    return PushTEnv(obs_type="state", observation_width=PIXELS, observation_height=PIXELS)
