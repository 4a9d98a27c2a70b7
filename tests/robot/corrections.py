"""Corrections of a LeRobot data set on disk, in place."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from PIL import Image


def rewritten(change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Callable[[Path], None]:
    """A change of the table of frames."""

    def rewrite(folder: Path) -> None:
        [path] = (folder / "data").rglob("*.parquet")
        table = pd.read_parquet(path)
        changed = change(table)
        (table if changed is None else changed).to_parquet(path)

    return rewrite


@rewritten
def rotate(table: pd.DataFrame) -> None:
    """Turn every image by 90 degrees; statistics stay as they are."""

    def turned(image: dict) -> dict:
        file = io.BytesIO()
        Image.open(io.BytesIO(image["bytes"])).rotate(90).save(file, "PNG")
        return {**image, "bytes": file.getvalue()}

    for name in table.columns:
        if name.startswith("observation.images."):
            table[name] = table[name].map(turned)
