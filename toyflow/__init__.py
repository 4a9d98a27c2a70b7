"""toyflow: is one denoising step enough? Flow matching for rich conditions, studied with error bars.

The names below are imported when they are first used, so that `import toyflow` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from toyflow.version import __version__

if TYPE_CHECKING:  # what `__getattr__` does, for editors and type checkers
    from toyflow.api.study import run_study
    from toyflow.errors import ToyflowError, UsageError
    from toyflow.flow import (
        MIP,
        Anatomy,
        Autoregressive,
        Beta,
        Consistency,
        DataPrediction,
        Decoding,
        Edm,
        FlowMatching,
        GrootN1,
        GrootN17,
        LogitNormal,
        Loss,
        MeanFlow,
        Mixture,
        Mode,
        Model,
        Moments,
        Objective,
        Pi0,
        PointMass,
        Prediction,
        PureNoise,
        Regression,
        RegressionL1,
        RegressionL1Learned,
        RegressionLearned,
        RegressionLearnedZero,
        Sampler,
        Schedule,
        Shift,
        Shortcut,
        TimeGrid,
        Uniform,
        VelocityPrediction,
        dissect,
        dissect_model,
        draw_noise,
        euler,
        heun,
        make_objective,
        midpoint,
        normal_like,
        parse_grid,
        parse_prediction,
        parse_sampler,
        parse_schedule,
        squared_error,
        uniform_grid,
        weighted_mean,
    )
    from toyflow.networks import VectorModel
    from toyflow.optionset import OptionSet
    from toyflow.report.results import Results, load_results
    from toyflow.toy.task import Task
    from toyflow.training import Batch

__all__ = [
    "MIP",
    "Anatomy",
    "Autoregressive",
    "Batch",
    "Beta",
    "Consistency",
    "DataPrediction",
    "Decoding",
    "Edm",
    "FlowMatching",
    "GrootN1",
    "GrootN17",
    "LogitNormal",
    "Loss",
    "MeanFlow",
    "Mixture",
    "Mode",
    "Model",
    "Moments",
    "Objective",
    "OptionSet",
    "Pi0",
    "PointMass",
    "Prediction",
    "PureNoise",
    "Regression",
    "RegressionL1",
    "RegressionL1Learned",
    "RegressionLearned",
    "RegressionLearnedZero",
    "Results",
    "Sampler",
    "Schedule",
    "Shift",
    "Shortcut",
    "Task",
    "TimeGrid",
    "ToyflowError",
    "Uniform",
    "UsageError",
    "VectorModel",
    "VelocityPrediction",
    "__version__",
    "dissect",
    "dissect_model",
    "draw_noise",
    "euler",
    "heun",
    "load_results",
    "make_objective",
    "midpoint",
    "normal_like",
    "parse_grid",
    "parse_prediction",
    "parse_sampler",
    "parse_schedule",
    "run_study",
    "squared_error",
    "uniform_grid",
    "weighted_mean",
]

_HOMES = {
    "Batch": "toyflow.training",
    "OptionSet": "toyflow.optionset",
    "Results": "toyflow.report.results",
    "Task": "toyflow.toy.task",
    "ToyflowError": "toyflow.errors",
    "UsageError": "toyflow.errors",
    "VectorModel": "toyflow.networks",
    "load_results": "toyflow.report.results",
    "run_study": "toyflow.api.study",
}
"""The modules of the names in `__all__` that are not of `toyflow.flow`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'toyflow' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES.get(name, "toyflow.flow")), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
