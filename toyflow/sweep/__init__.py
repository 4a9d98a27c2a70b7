"""Sweeps: plan cells, run them, keep what they gave. Knows neither toy nor robot."""
