"""What a command's result is, without what differs from run to run: times and places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as parquet


def cells(root: Path) -> dict[str, Any]:
    """Of a results folder: checksums of weights, curves and outcomes without their seconds."""
    found: dict[str, Any] = {}
    for cell in sorted(root.glob("cells/[!.]*")):
        manifest = json.loads((cell / "manifest.json").read_text())
        found[cell.name] = manifest["weights.safetensors"], _table(cell / "curve.csv")
        for decoding in sorted(cell.glob("evaluations/[!.]*")):
            found[f"{cell.name}/{decoding.name}"] = _table(decoding / "outcomes.csv")
    return found


def cards(root: Path) -> list[str]:
    """Of a results folder of policies: which cards are there, each with its number of lines."""
    return [
        f"{p.parent.name} {len(p.read_text().splitlines())}" for p in sorted(root.glob("cells/*/README.md"))
    ]


def demonstrations(root: Path) -> dict[str, Any]:
    """Of a data set: every column of every episode, its description and statistics."""
    tables = {str(p.relative_to(root)): parquet.read_table(p).to_pylist() for p in _below(root, "*.parquet")}
    described = {name: json.loads((root / "meta" / f"{name}.json").read_text()) for name in ("info", "stats")}
    return {**tables, **described, "episodes": json.loads((root / "demos.json").read_text())["episodes"]}


def tables(root: Path) -> dict[str, str]:
    """Of a folder: the numbers that were written for people."""
    written = [p for pattern in ("tables/*.csv", "probe/*.csv", "report.md") for p in _below(root, pattern)]
    return {str(p.relative_to(root)): p.read_text() for p in written}


def _below(root: Path, pattern: str) -> Iterator[Path]:
    yield from sorted(p for p in root.rglob(pattern) if not p.name.startswith("."))


def _table(path: Path) -> str:
    frame = pd.read_csv(path)
    return frame.drop(columns="seconds", errors="ignore").to_csv(index=False)
