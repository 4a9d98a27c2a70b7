"""LIBERO-Pro (Zhou et al., arXiv 2510.03827): LIBERO's four suites of ten tasks under four perturbations.

`pro_files.py` gets its files from the registry, `pro_suites.py` lists its tasks, and `pro_objects.py` makes
the objects that LIBERO does not have. Nothing of the package that the files come from is imported.
"""
