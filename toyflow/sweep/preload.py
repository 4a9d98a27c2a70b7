"""Imported by the fork server before its first worker, and by nothing else."""

from toyflow.sweep.workers import preload

preload()
