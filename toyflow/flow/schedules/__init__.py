"""Schedules: distributions of the training time. See `base` for what one is, `families` for toyflow's own."""

from toyflow.flow.schedules.base import TIME_SAMPLINGS, Schedule, TimeSampling, parse_schedule
from toyflow.flow.schedules.families import (
    Beta,
    Edm,
    Groot,
    GrootN17,
    LogitNormal,
    Mode,
    Pi0,
    Shift,
    Uniform,
)

__all__ = [
    "TIME_SAMPLINGS",
    "Beta",
    "Edm",
    "Groot",
    "GrootN17",
    "LogitNormal",
    "Mode",
    "Pi0",
    "Schedule",
    "Shift",
    "TimeSampling",
    "Uniform",
    "parse_schedule",
]
