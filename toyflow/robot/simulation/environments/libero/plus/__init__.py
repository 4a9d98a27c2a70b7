"""LIBERO-Plus (arXiv 2510.13626): LIBERO's tasks under perturbations of seven dimensions."""
