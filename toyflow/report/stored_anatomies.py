"""The anatomy of each model as `toyflow probe` stored it, for the claims of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from toyflow.atomic import read_sealed, write_sealed
from toyflow.flow.anatomy import MEASURES
from toyflow.report.anatomy_report import DissectedModel

FILE = Path("probe") / "anatomy_by_model.json"
"""Where it lies in a results folder."""
HINT = "Measure it again: toyflow probe --out FOLDER."


def write_anatomies(models: Sequence[DissectedModel], out: Path) -> Path:
    """Write OUT/probe/anatomy_by_model.json, with a checksum: of each trained model its key, its names, and
    the mean over conditions of each of `MEASURES` that was measured. Returns the path."""
    rows = [
        {
            "key": model.key,
            "label": model.label,
            "variant": model.variant,
            "seed": model.seed,
            "conditions_are": model.origin,
            "target_variance": model.variance,
            **{name: part.estimate for name, part in model.anatomy.intervals().items() if name in MEASURES},
        }
        for model in models
        if model.key
    ]
    path = out / FILE
    write_sealed(path, {"models": rows})
    return path


def read_anatomies(out: Path) -> pd.DataFrame:
    """What `write_anatomies` wrote into the results folder `out`, a row per model; empty where there is
    none. Raises DamagedError for anything else."""
    path = out / FILE
    return pd.DataFrame(read_sealed(path, HINT)["models"]) if path.is_file() else pd.DataFrame()
