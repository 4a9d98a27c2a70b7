"""Simulators, and episodes in them: what a policy is evaluated in."""
