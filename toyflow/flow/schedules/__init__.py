"""Schedules: distributions of the training time. See `base` for what one is, `families` for toyflow's own,
`mixture` for mixtures of them, `names` for how a name is read."""

from toyflow.flow.schedules.base import TIME_SAMPLINGS, Schedule, TimeSampling
from toyflow.flow.schedules.families import (
    Beta,
    Edm,
    GrootN1,
    GrootN17,
    LogitNormal,
    Mode,
    Pi0,
    Shift,
    Uniform,
)
from toyflow.flow.schedules.mixture import Mixture, PointMass
from toyflow.flow.schedules.names import parse_schedule

__all__ = [
    "TIME_SAMPLINGS",
    "Beta",
    "Edm",
    "GrootN1",
    "GrootN17",
    "LogitNormal",
    "Mixture",
    "Mode",
    "Pi0",
    "PointMass",
    "Schedule",
    "Shift",
    "TimeSampling",
    "Uniform",
    "parse_schedule",
]
