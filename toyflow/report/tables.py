"""Tables of scores with intervals. `paired_tables` compares decodings of one model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.footnotes import Footnotes
from toyflow.report.results import CELL, Results, by_example
from toyflow.sweep.stored import StoredEvaluation, errors_in_words

MARGIN = 0.02
"""Two scores within this of each other count as equivalent, unless said otherwise."""
MANY = 10
"""The steps that one step is held against; where these were not run, the most that were."""
INTERVAL_NOTES = {
    stats.T: "Student's t over seeds, on this test set",
    stats.RESOLUTION: "where seeds agree, the test set's resolution",
    stats.WILSON: "with one seed Wilson's, of test-set error only",
}
"""What the intervals of `summary` speak of, by their method."""


def summary(results: Results, examples: bool = False) -> pd.DataFrame:
    """A row per schedule, variant and K, with the columns

    - `label`, `variant`, `steps` (K); `seeds`, their number
    - `metric`, the name of the headline; `score`, its mean over seeds; `low_95` and `high_95`, its interval;
      `interval`, what that speaks of and its method (see `toyflow.stats.proportion_over_seeds`)
    - with `examples`, `crossed_low_95` and `crossed_high_95`: the interval for new seeds and new examples
      (see `toyflow.stats.crossed`), empty with one seed
    - `errors`, the number of test examples of all seeds without a result, of which no number knows
    - a column per other metric, its mean over seeds
    - `caveat`, what to say beside the score
    - `model_calls`, the NFE; `answer_ms`, `training_seconds`, means over seeds; `timing_doubt`, why these ms
      may be those of a busy machine, or ""

    Args:
        results: of a results folder.
        examples: whether to read the outcomes by example, which are many files.

    Raises:
        DamagedError: a file of outcomes is missing or altered.
    """
    rows = []
    for (label, variant, steps), group in results.frame.groupby([*CELL, "steps"], sort=False):
        interval = stats.proportion_over_seeds(group["hits"].tolist(), group["examples"].tolist())
        extra = {name: group[name].mean() for name in other_metrics(results)}
        rows.append(
            {
                "label": label,
                "variant": variant,
                "steps": steps,
                "seeds": len(group),
                "metric": results.metric,
                "score": interval.estimate,
                "low_95": interval.low,
                "high_95": interval.high,
                "interval": interval.method,
                **(_crossed_score([results.evaluations[place] for place in group.index]) if examples else {}),
                "errors": int(group["errors"].sum()),
                **extra,
                "caveat": group["caveat"].iloc[0],
                "model_calls": int(group["model_calls"].iloc[0]),
                "answer_ms": group["answer_ms"].mean(),
                "timing_doubt": "; ".join(dict.fromkeys(filter(None, group["timing_doubt"]))),
                "training_seconds": group["training_seconds"].mean(),
            }
        )
    return pd.DataFrame(rows)


def _crossed_score(evaluations: Sequence[StoredEvaluation]) -> dict[str, float]:
    """The columns of `summary` for new seeds and new examples."""
    table = by_example(evaluations) if len(evaluations) > 1 else None
    if table is None or table.shape[1] < 2:
        return {"crossed_low_95": np.nan, "crossed_high_95": np.nan}
    interval = stats.crossed(table, within=(0.0, 1.0))
    return {"crossed_low_95": interval.low, "crossed_high_95": interval.high}


def summary_table(frame: pd.DataFrame) -> Table:
    """`summary` for a terminal: a line per schedule, a column per K."""
    several_variants = frame["variant"].nunique() > 1
    table = Table(title=f"{in_words(frame['metric'].iloc[0])}, % [95 % interval]", title_justify="left")
    table.add_column("schedule", no_wrap=True)
    if several_variants:
        table.add_column("variant")
    table.add_column("seeds", justify="right")
    steps, notes = sorted(frame["steps"].unique()), Footnotes()
    for k in steps:
        table.add_column(f"K = {k}", justify="right", no_wrap=True, min_width=9)
    for (label, variant), group in frame.groupby(CELL, sort=False):
        by_steps = group.set_index("steps")
        cells = [_estimate(by_steps.loc[k], notes) if k in by_steps.index else "[dim]n/a[/]" for k in steps]
        names = [escape(str(label)), *([escape(str(variant))] if several_variants else [])]
        table.add_row(*names, str(group["seeds"].max()), *cells)
    table.caption = notes.after(f"95 % intervals: {interval_notes(frame)}.")
    table.caption_justify = "left"
    return table


def interval_notes(frame: pd.DataFrame) -> str:
    """What the intervals of a `summary` speak of."""
    return "; ".join(note for method, note in INTERVAL_NOTES.items() if method in set(frame["interval"]))


def shown_p(p: float | None) -> str:
    """`0.031`, `<0.001`, or `n/a` where there is no test."""
    return "n/a" if p is None or np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def other_metrics(results: Results) -> list[str]:
    """The names of the task's metrics beside the headline."""
    return [name for name in results.evaluations[0].details["metrics"] if name != results.metric]


def _estimate(row: pd.Series, notes: Footnotes) -> str:
    beside = f"\n[yellow]{errors_in_words(row['errors'])}[/]" if row["errors"] else ""
    score = f"{100 * row['score']:.1f}{notes.mark(row['caveat'])}"
    return f"{score}\n[dim]{100 * row['low_95']:.1f}-{100 * row['high_95']:.1f}[/]{beside}"


def in_words(name: str) -> str:
    """A metric's name as text: `Fréchet distance` of `frechet_distance`."""
    return name.replace("_", " ").replace("frechet", "Fréchet")
