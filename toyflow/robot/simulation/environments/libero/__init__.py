"""LIBERO: tabletop manipulation suites in MuJoCo (Liu et al., NeurIPS 2023), from `hf-libero`."""

from toyflow.robot.simulation.environments.libero.libero_environment import Libero

__all__ = ["Libero"]
