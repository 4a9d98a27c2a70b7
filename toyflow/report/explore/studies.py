"""The data that the page shows of a results folder: settings and scores, probes, and denoised examples."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from toyflow.atomic import DamagedError
from toyflow.errors import ToyflowError
from toyflow.report.explore.denoising import Denoising, read_denoising
from toyflow.report.explore.one_step import PROBES, OneStep, left_out, one_step, read_probes, whole
from toyflow.report.results import CELL, UNIFORM_GRID, Results, load_results, training_variants, variants
from toyflow.report.tables import in_words, other_metrics, summary
from toyflow.sweep.subject import subject_of

LEVEL = {"noise_level": "noise", "mse": "mse", "mse_low": "low", "mse_high": "high"}
"""Columns of a probe's table of errors by noise level, and their names on the page."""


@dataclass(frozen=True)
class Setting:
    """What can be chosen, but for K and draws: a way of training and what else differs in the study.

    Attributes:
        label: as tables name it.
        variant: in words, what else differs; "" where nothing does.
        probed: the same without what is of a decoding, as tables of a probe name it.
        keys: of its trained models.
        noise_seed: of its decodings.
    """

    label: str
    variant: str
    objective: str
    schedule: str | None
    prediction: str | None
    probed: str
    keys: Sequence[str]
    noise_seed: int


@dataclass(frozen=True)
class Decoded:
    """Scores and times of a setting in K steps and M draws, over its seeds.

    Attributes:
        setting: its place in `Study.settings`.
        low, high: the 95 % interval of `score`, by the method that `interval` names.
        others: means of the task's other metrics, by their names in words.
        ms: milliseconds for an answer, with its condition; `doubt` says why a busy machine may have made
            them long.
        caveat: what to say beside the score.

    A number that is not known is None.
    """

    setting: int
    steps: int
    draws: int
    sampler: str | None
    grid: str | None
    seeds: int
    score: float | None
    low: float | None
    high: float | None
    interval: str
    others: Mapping[str, float | None]
    errors: int
    calls: int
    ms: float | None
    doubt: str
    caveat: str


@dataclass(frozen=True)
class Study:
    """One results folder that can be read."""

    name: str
    task: str
    described: str
    """What is learned, and how it is scored; "" where the task is not installed."""
    metric: str
    """The headline metric, in words."""
    settings: Sequence[Setting]
    decoded: Sequence[Decoded]
    errors_by_noise: Mapping[int, Sequence[Mapping[str, float | None]]]
    """Of settings that were probed: `noise`, `mse`, `low`, `high`, a row per noise level; the last two None
    where there is no interval."""
    anatomies: Mapping[int, OneStep]
    """Of settings that were probed."""
    denoising: Mapping[int, Denoising]
    """Of settings of noise seed 0 for which it is stored."""
    untold: Sequence[int] = ()
    """Settings of whose label errors were measured, but the probe's table does not tell of which variant."""

    def data(self, room: int) -> dict[str, Any]:
        """What the page's script is given, with as much of `denoising` as has `room` in bytes."""
        shown = dict[int, Denoising]()
        for place, each in self.denoising.items():
            if each.size <= room:
                shown[place] = each
                room -= each.size
        return {
            "name": self.name,
            "task": self.task,
            "described": self.described,
            "metric": self.metric,
            "settings": [
                {
                    name: getattr(each, name)
                    for name in ("label", "variant", "objective", "schedule", "prediction", "noise_seed")
                }
                for each in self.settings
            ],
            "decoded": [asdict(each) for each in self.decoded],
            "errors": self.errors_by_noise,
            "untold": self.untold,
            "anatomies": {place: asdict(each) for place, each in self.anatomies.items()},
            "denoising": {place: asdict(each) for place, each in shown.items()},
            "left_out": len(self.denoising) - len(shown),
        }


@dataclass(frozen=True)
class Unread:
    """A results folder that cannot be shown, and why."""

    name: str
    why: str


def read_study(name: str, folder: Path) -> Study:
    """The results folder `folder`, to be called `name`.

    Raises:
        UsageError: it holds no results, or those of another version.
        DamagedError: one of its files is damaged or half-written.
    """
    results = load_results(folder)
    settings, decoded = _settings(results)
    probes = read_probes(folder)
    velocities = _read_velocities(folder / PROBES / "velocity_error.csv")
    errors = _by_setting(settings, velocities)
    first = results.evaluations[0].training.record
    return Study(
        name=name,
        task=first.task,
        described=_described(results),
        metric=in_words(results.metric),
        settings=settings,
        decoded=decoded,
        errors_by_noise=errors,
        untold=[place for place in _untold(settings, velocities) if place not in errors],
        anatomies={
            place: found
            for place, setting in enumerate(settings)
            if (found := one_step(probes, setting.keys)) is not None
        },
        denoising={
            place: found
            for place, setting in enumerate(settings)
            if setting.noise_seed == 0  # the only one whose noise is decoded for the page
            and (found := read_denoising(folder, setting.keys)) is not None
        },
    )


def read_studies(folders: Mapping[str, Path]) -> tuple[list[Study], list[Unread]]:
    """(those of the folders, by name, that can be read; the others). Raises the error of the first where none
    can be."""
    studies, unread, first = list[Study](), list[Unread](), None
    for name, folder in folders.items():
        try:
            studies.append(read_study(name, folder))
        except ToyflowError as error:
            first = first or error
            unread.append(Unread(name, error.in_full()))
    if first is not None and not studies:
        raise first
    return studies, unread


def _described(results: Results) -> str:
    """What the task says of itself: what is learned, and how it is scored."""
    try:
        subject = subject_of(results.evaluations[0].training.record)
    except ToyflowError:  # results are read without what made them
        return ""
    return " ".join((inspect.getdoc(subject) or "").split("\n\n")[0].split())


def _settings(results: Results) -> tuple[list[Setting], list[Decoded]]:
    frame, evaluations = results.frame, results.evaluations
    frame = frame.assign(other=variants(evaluations, without=["draws"]))
    trained = training_variants([evaluation.training for evaluation in evaluations])
    settings, decoded = dict[tuple[str, str], Setting](), list[Decoded]()
    groups = frame.groupby([*CELL, "steps"], sort=False)
    for (_, group), row in zip(groups, summary(results).to_dict("records"), strict=True):
        one = group.iloc[0]
        names = one["label"], one["other"]
        if names not in settings:
            of_setting = (frame["label"] == names[0]) & (frame["other"] == names[1])
            settings[names] = Setting(
                label=one["label"],
                variant=one["other"],
                objective=one["objective"],
                schedule=_text(one["schedule"]),
                prediction=_text(one["prediction"]),
                probed=trained[group.index[0]],
                keys=list(dict.fromkeys(frame.loc[of_setting, "key"])),
                noise_seed=evaluations[group.index[0]].record.noise_seed,
            )
        decoded.append(
            Decoded(
                setting=list(settings).index(names),
                steps=int(one["steps"]),
                draws=int(one["draws"]),
                sampler=_text(one["sampler"]),
                grid=None if one["grid"] == UNIFORM_GRID else one["grid"],
                seeds=row["seeds"],
                score=_rounded(row["score"]),
                low=_rounded(row["low_95"]),
                high=_rounded(row["high_95"]),
                interval=row["interval"],
                others={in_words(name): _rounded(row[name]) for name in other_metrics(results)},
                errors=row["errors"],
                calls=row["model_calls"],
                ms=_rounded(row["answer_ms"]),
                doubt=row["timing_doubt"],
                caveat=row["caveat"],
            )
        )
    return list(settings.values()), decoded


def _read_velocities(path: Path) -> pd.DataFrame:
    """A probe's table of errors by noise level; empty where there is none. A damaged one is warned of and
    left out."""
    if path.is_file():
        try:
            table = pd.read_csv(whole(path), dtype={"label": str, "variant": str}).fillna({"variant": ""})
            return table[["label", "variant", *LEVEL]].astype(dict.fromkeys(LEVEL, float))
        except DamagedError as error:
            left_out(path, error)
        except (ValueError, KeyError) as error:
            left_out(path, DamagedError(f"{path} is damaged: {error}."))
    return pd.DataFrame(columns=["label", "variant", *LEVEL])


def _by_setting(
    settings: Sequence[Setting], velocities: pd.DataFrame
) -> dict[int, list[dict[str, float | None]]]:
    """The levels of each setting that was probed, by its place."""
    levels = {place: _levels(_rows(velocities, each, settings)) for place, each in enumerate(settings)}
    return {place: found for place, found in levels.items() if found}


def _untold(settings: Sequence[Setting], velocities: pd.DataFrame) -> list[int]:
    """Places of settings that have rows of their label whose variant is none of this folder's."""
    variants_of = velocities.groupby("label")["variant"].unique()
    return [
        place
        for place, each in enumerate(settings)
        if set(variants_of.get(each.label, ())) - {s.probed for s in settings if s.label == each.label}
    ]


def _rows(table: pd.DataFrame, setting: Setting, settings: Sequence[Setting]) -> pd.DataFrame:
    """Those of a setting: of its label and variant, or of its label alone where that can be no other's, as
    variants have other names since models were added to the folder."""
    rows = table[table["label"] == setting.label]
    trained = {each.probed for each in settings if each.label == setting.label}
    return rows if len(trained) == rows["variant"].nunique() == 1 else rows[rows["variant"] == setting.probed]


def _levels(rows: pd.DataFrame) -> list[dict[str, float | None]]:
    """Levels at which the error is known."""
    levels = [{new: _rounded(row[old]) for old, new in LEVEL.items()} for row in rows.to_dict("records")]
    return [level for level in levels if level["mse"] is not None]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _rounded(value: float) -> float | None:
    """To 6 digits, which the page has room for; None where it is not known."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
