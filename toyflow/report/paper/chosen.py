"""The best of several settings, chosen without the seed that it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import pandas as pd

from toyflow.report.evidence import Contrast, unique

MODEL = ["prediction", "schedule"]
"""What a flow model is trained with, in claims 10 to 13."""
DECODING = [*MODEL, "steps", "draws"]


@dataclass(frozen=True)
class Chosen:
    """For each seed what was chosen without it, and its score there."""

    scores: pd.Series
    names: pd.Series
    folders: tuple[str, ...]

    @property
    def named(self) -> str:
        """What was chosen: `data(shift:4), K = 1`; where seeds differ, the most frequent first."""
        return " or ".join(self.names.value_counts(sort=True).index)

    def minus(self, other: Chosen) -> Contrast | None:
        """The difference on the seeds that both have."""
        seeds = self.scores.index.intersection(other.scores.index)
        if seeds.empty:
            return None
        return Contrast(self.scores[seeds], other.scores[seeds], unique([*self.folders, *other.folders]))


def best_decoding(rows: pd.DataFrame, value: str, earlier: pd.DataFrame | None = None) -> Chosen | None:
    """The best of all decodings in `rows`; see `picked`."""
    table = by_seed(rows, value, DECODING)
    if table.empty:
        return None
    known = None if earlier is None or earlier.empty else by_seed(earlier, value, DECODING)
    picks = picked(table, lambda scores: scores.mean(), known)
    scores = pd.Series({seed: table.loc[seed, pick] for seed, pick in picks.items()})
    return Chosen(scores, picks.map(lambda pick: _name(*pick)), unique(rows["folder"].tolist()))


def best_of_both(
    rows: pd.DataFrame, value: str, many: int, earlier: pd.DataFrame | None = None
) -> tuple[Chosen, Chosen] | None:
    """Of the models in `rows` the one whose worse score, of one step and of `many`, is best: its scores in
    one step and in many, with one draw."""

    def tables(of: pd.DataFrame) -> pd.DataFrame:
        plain = of[of["steps"].isin((1, many)) & (of["draws"] == 1)]
        return by_seed(plain, value, ["steps", *MODEL])

    table = tables(rows)
    if table.empty or set(table.columns.get_level_values("steps")) != {1, many}:
        return None
    known = None if earlier is None or earlier.empty else tables(earlier)
    picks = picked(table, _worse_of_both, known)
    names, folders = picks.map(lambda pick: _label(*pick)), unique(rows["folder"].tolist())
    one, several = (
        Chosen(pd.Series({seed: table.loc[seed, (k, *pick)] for seed, pick in picks.items()}), names, folders)
        for k in (1, many)
    )
    return one, several


def _worse_of_both(scores: pd.DataFrame) -> pd.Series:
    both = scores.mean().unstack("steps").dropna()
    return both.min(axis=1)


def by_seed(rows: pd.DataFrame, value: str, names: list[str]) -> pd.DataFrame:
    """A row per seed, a column per setting: those seeds on which most (setting, seed) pairs are complete."""
    if rows.empty or value not in rows:
        return pd.DataFrame()
    table = rows.pivot_table(value, "seed", names)
    choices = {tuple(table.index[table[column].notna()]) for column in table}
    whole = [table.loc[list(seeds)].dropna(axis=1) for seeds in sorted(choices)]
    return max(whole, key=lambda part: (len(part) > 1, part.size))


def picked(
    table: pd.DataFrame,
    merit: Callable[[pd.DataFrame], pd.Series],
    known: pd.DataFrame | None = None,
) -> pd.Series:
    """For each seed of `table` the setting of most `merit` by `known`, as far as `table` has it; without
    `known`, by the other seeds."""
    if known is not None:
        known = known[known.columns.intersection(table.columns)]
    picks: dict[Hashable, Hashable] = {}
    for seed in table.index:
        others = table.drop(index=seed) if len(table) > 1 else table
        picks[seed] = merit(others if known is None or known.empty else known).idxmax()
    return pd.Series(picks)


def _label(prediction: str, schedule: str) -> str:
    return f"{prediction} under {schedule}"


def _name(prediction: str, schedule: str, steps: int, draws: int) -> str:
    several = f", {draws} draws" if draws > 1 else ""
    return f"{_label(prediction, schedule)}, K = {steps}{several}"
