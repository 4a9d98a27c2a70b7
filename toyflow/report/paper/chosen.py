"""The best of several settings, chosen on all seeds but the one that it is then judged on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from toyflow.report.contrasts import Contrast, contrast

MODEL = ["prediction", "schedule"]
"""What a flow model is trained with, in claims 10 to 13."""
DECODING = [*MODEL, "steps", "draws"]


@dataclass(frozen=True)
class Chosen:
    """For each seed what was chosen without it."""

    rows: pd.DataFrame
    """A decoding per seed."""
    value: str
    """The column that it was chosen by."""
    names: Sequence[str]
    """What was chosen for each."""
    by: str
    """What it was chosen on: `earlier results`, `the other seeds` or `this seed itself`."""
    without: int
    """How many decodings were no choice, as some seed lacks them."""

    @property
    def scores(self) -> pd.Series:
        """By seed."""
        return self.rows.set_index("seed")[self.value]

    @property
    def named(self) -> str:
        """`data under shift:4, K = 1`; where seeds differ, what was chosen most often first."""
        return " or ".join(pd.Series(self.names).value_counts().index)

    def minus(self, other: Chosen) -> Contrast | None:
        """The difference on the seeds that both have."""
        one, two = (of.rows.assign(cell="chosen", steps=0) for of in (self, other))
        over = contrast(one, two, self.value)
        lacking = max(self.without, other.without)
        if over is None or not lacking:
            return over
        said = f"{lacking} decoding{'s' * (lacking > 1)} that some seed lacks"
        return replace(over, without=(*over.without, said))


def best_decoding(rows: pd.DataFrame, value: str, earlier: pd.DataFrame | None = None) -> Chosen | None:
    """The best of all decodings in `rows` by the column `value`; see `picked`."""
    table, known = by_seed(rows, value), by_seed(earlier, value)
    if table.empty:
        return None
    return _chosen(rows, value, *picked(table, lambda scores: scores.mean(), known))


def best_of_both(
    rows: pd.DataFrame, value: str, many: int, earlier: pd.DataFrame | None = None
) -> tuple[Chosen, Chosen] | None:
    """Of the models in `rows` the one whose worse score, of one step and of `many`, is best: in one step and
    in many, each with the number of draws that is best there. None where there are not two models on the
    same seeds.

    For one draw alone, hand in rows of one draw.
    """
    table, known = (by_seed(_in(of, (1, many)), value) for of in (rows, earlier))
    if table.empty or len(_worse_of_both(table)) < 2:
        return None
    picks, by = picked(table, _worse_of_both, known)
    one, several = ({seed: pick[place] for seed, pick in picks.items()} for place in (0, 1))
    return _chosen(rows, value, one, by), _chosen(rows, value, several, by)


def _in(rows: pd.DataFrame | None, steps: tuple[int, int]) -> pd.DataFrame | None:
    return None if rows is None or rows.empty else rows[rows["steps"].isin(steps)]


def _chosen(rows: pd.DataFrame, value: str, picks: Mapping[int, tuple[Any, ...]], by: str) -> Chosen:
    known = rows.dropna(subset=value)[DECODING].drop_duplicates()
    without = len(known) - by_seed(rows, value).shape[1]
    return Chosen(_rows_of(rows, picks), value, [_decoding(*pick) for pick in picks.values()], by, without)


def _worse_of_both(scores: pd.DataFrame) -> pd.Series:
    """The worse of a model's scores in few and in many steps, by the pair of its decodings that are best in
    each."""
    worse: dict[Any, float] = {}
    for _, of_model in scores.mean().groupby(level=MODEL, dropna=False):
        best = of_model.groupby(level="steps").idxmax()
        if len(best) == 2:
            worse[tuple(best)] = min(of_model[pick] for pick in best)
    return pd.Series(list(worse.values()), pd.Index([*worse], tupleize_cols=False), dtype=float)


def by_seed(rows: pd.DataFrame | None, value: str) -> pd.DataFrame:
    """A row per seed, a column per decoding: of those seeds on which most pairs of both are complete."""
    if rows is None or rows.empty or value not in rows:
        return pd.DataFrame()
    table = rows.pivot_table(value, "seed", DECODING)
    choices = {tuple(table.index[table[column].notna()]) for column in table}
    whole = [table.loc[list(seeds)].dropna(axis=1) for seeds in sorted(choices)]
    return max(whole, key=lambda part: (len(part) > 1, part.size))


def picked(
    table: pd.DataFrame, merit: Callable[[pd.DataFrame], pd.Series], known: pd.DataFrame
) -> tuple[dict[int, tuple[Any, ...]], str]:
    """For each seed of `table` the setting of most `merit` by `known`, as far as `table` has it; where
    nothing is known, by the other seeds. And which of these it was, see `Chosen.by`."""
    known = known[known.columns.intersection(table.columns)] if len(known) else known
    if known.size and len(merit(known)):
        on, by = dict.fromkeys(table.index, known), "earlier results"
    elif len(table) < 2:
        on, by = dict.fromkeys(table.index, table), "this seed itself"
    else:
        on, by = {seed: table.drop(index=seed) for seed in table.index}, "the other seeds"
    picks: dict[int, Any] = {int(seed): merit(rows).idxmax() for seed, rows in on.items()}
    return picks, by


def _rows_of(rows: pd.DataFrame, picks: Mapping[int, tuple[Any, ...]]) -> pd.DataFrame:
    """The decoding of each seed that was picked."""
    keys = pd.MultiIndex.from_frame(rows[["seed", *DECODING]])
    found = rows[keys.isin([(seed, *pick) for seed, pick in picks.items()])]
    return found.drop_duplicates("seed")


def _decoding(prediction: str, schedule: str, steps: Any, draws: Any) -> str:
    several = f", {draws} draws" if draws > 1 else ""
    return f"{prediction} under {schedule}, K = {steps}{several}"
