"""toyflow: is one denoising step enough? Flow matching for rich conditions, studied with error bars.

The names below are imported when they are first used, so that `import toyflow` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from toyflow.version import __version__

if TYPE_CHECKING:
    from toyflow.api.study import run_study
    from toyflow.flow import Model, Objective, Sampler, Schedule, parse_schedule
    from toyflow.networks import VectorModel
    from toyflow.report.results import Results, load_results
    from toyflow.toy.task import Task
    from toyflow.training import Batch

_HOMES = {
    "Batch": "toyflow.training",
    "Model": "toyflow.flow",
    "Objective": "toyflow.flow",
    "Results": "toyflow.report.results",
    "Sampler": "toyflow.flow",
    "Schedule": "toyflow.flow",
    "Task": "toyflow.toy.task",
    "VectorModel": "toyflow.networks",
    "load_results": "toyflow.report.results",
    "parse_schedule": "toyflow.flow",
    "run_study": "toyflow.api.study",
}

__all__ = [
    "Batch",
    "Model",
    "Objective",
    "Results",
    "Sampler",
    "Schedule",
    "Task",
    "VectorModel",
    "__version__",
    "load_results",
    "parse_schedule",
    "run_study",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'toyflow' has no attribute {name!r}")
