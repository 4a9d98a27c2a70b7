"""Corrections of a LeRobot data set on disk, in place."""

import io
import json
from collections.abc import Callable, Mapping
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


def rename_features(folder: Path, names: Mapping[str, str]) -> None:
    """Call features otherwise, in all files."""
    for file in ("meta/info.json", "meta/stats.json"):
        values = json.loads((folder / file).read_text())
        part = values.get("features", values)
        for old, new in names.items():
            part[new] = part.pop(old)
        (folder / file).write_text(json.dumps(values))
    rewritten(lambda table: table.rename(columns=dict(names)))(folder)


def hold_still(folder: Path, feature: str, dimension: int, value: float = 0.0) -> None:
    """Let a number of the state or the action never change, in the frames and in the statistics."""

    def held(table: pd.DataFrame) -> None:
        table[feature] = [[*row[:dimension], value, *row[dimension + 1 :]] for row in table[feature]]

    rewritten(held)(folder)
    path = folder / "meta" / "stats.json"
    statistics = json.loads(path.read_text())
    for name, numbers in statistics[feature].items():
        if name != "count":
            numbers[dimension] = 0.0 if name == "std" else value
    path.write_text(json.dumps(statistics))
