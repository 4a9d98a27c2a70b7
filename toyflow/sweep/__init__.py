"""Sweeps: plan cells, run them, keep what they gave. Knows neither toy nor robot."""

from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store

__all__ = ["EvaluationRecord", "Store", "TrainingRecord"]
