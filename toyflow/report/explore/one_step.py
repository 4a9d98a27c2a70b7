"""What one step of a setting's models gets wrong, from the probes that lie in its results folder."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from toyflow.atomic import MANIFEST, DamagedError, read_json, verified
from toyflow.flow.anatomy import DRAWS, MEASURES, Anatomy
from toyflow.report.stored_anatomies import FILE, read_anatomies

PROBES = "probe"
"""The folder in which `toyflow probe` writes."""
LEAK = ("leak", "leak_even")
"""Measures that say what several draws leave of the leak."""
LOG = logging.getLogger(__name__)
_Row = tuple[str, str, str, Mapping[str, float]]
"""Where it was measured, the fingerprint of a data set, the model's key, its measures."""


@dataclass(frozen=True)
class OneStep:
    """The parts of one step's error in mean squares per number, means over some trained models.

    Attributes:
        where: on what it was measured, in words.
        models: how many.
        parts: `error`, `leak`, and `bias` and `spread` or, where these are not told apart, `bias_and_spread`.
        left: the leak of the mean of M draws, by M; of one draw alone where no pairs of noises were measured.
    """

    where: str
    models: int
    parts: Mapping[str, float]
    left: Mapping[int, float]


@dataclass(frozen=True)
class Probe:
    """What was measured on the same conditions: measures by the key of the trained model."""

    where: str
    models: dict[str, Mapping[str, float]] = field(default_factory=dict)


def read_probes(folder: Path) -> list[Probe]:
    """The probe of a results folder's models, then those of its policies on each data set. A damaged file is
    warned of and left out."""
    probes = dict[tuple[str, str], Probe]()
    for where, fingerprint, key, measures in (*_together(folder), *_alone(folder)):
        probes.setdefault((where, fingerprint), Probe(where)).models[key] = measures
    return list(probes.values())


def whole(path: Path) -> Path:
    """`path` of a file of a probe, after its checksum was verified; older probes have no manifest.

    Raises:
        DamagedError: it is not what was written.
    """
    return verified(path.parent, path.name) if (path.parent / MANIFEST).exists() else path


def one_step(probes: Sequence[Probe], keys: Sequence[str]) -> OneStep | None:
    """That of the models `keys`: of the probe that has the most of them, which is the first of several. None
    where none has one."""
    found = [(probe, [probe.models[key] for key in keys if key in probe.models]) for probe in probes]
    probe, models = max(found, key=lambda each: len(each[1]), default=(None, []))
    if probe is None or not models:
        return None
    mean = {
        name: sum(model[name] for model in models) / len(models)
        for name in models[0]
        if all(name in model for model in models)
    }
    rest = ["bias", "spread"] if {"bias", "spread"} <= mean.keys() else ["bias_and_spread"]
    leak = {name: torch.tensor([mean[name]], dtype=torch.double) for name in LEAK if name in mean}
    told = (1, *DRAWS) if "leak_even" in leak else (1,)
    return OneStep(
        where=probe.where,
        models=len(models),
        parts={name: _digits(mean[name]) for name in ("error", "leak", *rest)},
        left={draws: _digits(Anatomy(**leak).left(draws).item()) for draws in told},
    )


def _together(folder: Path) -> Iterator[_Row]:
    """What `toyflow probe --out FOLDER` wrote."""
    try:
        rows = read_anatomies(folder).to_dict("records")
        yield from [(row["conditions_are"], "", row["key"], found) for row in rows if (found := _known(row))]
    except (DamagedError, KeyError) as error:
        left_out(folder / FILE, error)


def _alone(folder: Path) -> Iterator[_Row]:
    """What `toyflow probe FOLDER/cells/KEY` wrote of one policy at a time."""
    for path in sorted((folder / PROBES).glob("*/probe.json")):
        try:
            said = read_json(whole(path))
            where = f"{said['frames_are']} of {Path(said['dataset']).name}"
            anatomy = {name: interval[0] for name, interval in said["actions"]["anatomy"].items()}
            if found := _known(anatomy):
                yield where, said["fingerprint"], said["key"], found
        except (DamagedError, KeyError, TypeError, AttributeError) as error:
            left_out(path, error)


def _known(row: Mapping[Any, Any]) -> dict[str, float]:
    """The measures that are known; none where they do not make up an error."""
    known = {name: float(row[name]) for name in MEASURES if name in row and math.isfinite(row[name])}
    return known if {"error", "leak", "bias_and_spread"} <= known.keys() else {}


def left_out(path: Path, error: Exception) -> None:
    """Warn that a file of a probe is not shown, and why."""
    why = str(error) if isinstance(error, DamagedError) else f"{path} is not a probe that this toyflow knows."
    LOG.warning(f"{why} It is left out. Measure it again: `toyflow probe`.")


def _digits(value: float) -> float:
    """6 of them, which the page has room for."""
    return float(f"{value:.6g}")
