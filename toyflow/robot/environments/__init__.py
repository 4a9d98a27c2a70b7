"""Simulators, one module or package each."""
