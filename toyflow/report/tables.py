"""Tables: scores with intervals, and few steps against many on the same model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.report.results import CELL, Results, variants
from toyflow.sweep.stored import StoredEvaluation, errors_in_words, on_common_examples

MOST_MODELS = 20
"""Most models of one schedule that the paired table lists; with more it has a line over all seeds only."""
PAIR = ("decoding", "against")
"""What `paired_decodings` calls the two decodings of a row."""
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


def summary(results: Results) -> pd.DataFrame:
    """A row per schedule, variant and K, with the columns

    - `label`, `variant`, `steps` (K); `seeds`, their number
    - `metric`, the name of the headline; `score`, its mean over seeds; `low` and `high`, the 95 % interval;
      `interval`, its method (see `toyflow.stats.proportion_over_seeds`)
    - `errors`, the number of test examples of all seeds without a result, of which no number knows
    - a column per other metric, its mean over seeds
    - `model_calls`, the NFE; `encode_ms_per_example`, `decode_ms_per_example`, `training_seconds`, means over
      seeds; `timing_doubt`, why these ms may be those of a busy machine, or ""
    """
    rows = []
    for (label, variant, steps), group in results.frame.groupby([*CELL, "steps"], sort=False):
        interval = stats.proportion_over_seeds(group["hits"].tolist(), group["examples"].tolist())
        extra = {name: group[name].mean() for name in _other_metrics(results)}
        rows.append(
            {
                "label": label,
                "variant": variant,
                "steps": steps,
                "seeds": len(group),
                "metric": results.metric,
                "score": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "interval": interval.method,
                "errors": int(group["errors"].sum()),
                **extra,
                "model_calls": int(group["model_calls"].iloc[0]),
                "encode_ms_per_example": 1000 * (group["encode_seconds"] / group["examples"]).mean(),
                "decode_ms_per_example": 1000 * (group["decode_seconds"] / group["examples"]).mean(),
                "timing_doubt": "; ".join(dict.fromkeys(filter(None, group["timing_doubt"]))),
                "training_seconds": group["training_seconds"].mean(),
            }
        )
    return pd.DataFrame(rows)


def paired(results: Results, few: int = 1, many: int = MANY, margin: float = MARGIN) -> pd.DataFrame:
    """A row per trained model decoded both in `few` and in `many` steps: McNemar's test and equivalence.

    Outcomes are read from disk and checked. Columns:

    - `label`, `variant`, `seed` of the model; `examples` of the test set
    - `both_right`, `only_K1_right`, `only_K10_right` (for these K): numbers of examples
    - `difference`, the score in `few` steps minus that in `many`; `low_90`, `high_90`, its 90 % interval
    - `mcnemar_p`, of McNemar's exact test; `margin`, of equivalence; `verdict`, see `verdict`

    Raises:
        DamagedError: a file of outcomes is missing or altered.
    """
    decodings: dict[str, dict[int, int]] = {}
    for place, evaluation in enumerate(results.evaluations):
        alike = replace(evaluation.record, steps=1)
        model = f"{evaluation.training.record.key} {alike.key}"
        decodings.setdefault(model, {})[evaluation.record.steps] = place
    rows = []
    for places in decodings.values():
        if few not in places or many not in places:
            continue
        shown = results.frame.iloc[places[few]]
        named = {"label": shown["label"], "variant": shown["variant"], "seed": str(shown["seed"])}
        pair = results.evaluations[places[few]], results.evaluations[places[many]]
        rows.append(named | _pair(results, *pair, (f"K{few}", f"K{many}"), margin))
    return pd.DataFrame(rows)


def paired_decodings(results: Results, many: int = MANY, margin: float = MARGIN) -> pd.DataFrame:
    """A row per trained model and decoding with several draws or a grid of its own, against the plain
    decoding (one draw, equal steps) of the same model in as many steps, and against that in `many`.

    Columns as of `paired`, but `decoding` and `against` name the two, and `only_decoding_right` and
    `only_against_right` count. `variant` leaves out what these names say.

    Raises:
        DamagedError: a file of outcomes is missing or altered.
    """
    apart = variants(results.evaluations, without=("grid", "draws"))
    models: dict[str, list[tuple[StoredEvaluation, str]]] = {}
    for evaluation, variant in zip(results.evaluations, apart, strict=True):
        plain = replace(evaluation.record, steps=1, grid=None, draws=1)
        models.setdefault(f"{evaluation.training.record.key} {plain.key}", []).append((evaluation, variant))
    rows = []
    for decodings in models.values():
        plain = {e.record.steps: e for e, _ in decodings if e.record.draws == 1 and e.record.grid is None}
        for one, variant in decodings:
            if one in plain.values():
                continue
            record = one.training.record
            for steps in dict.fromkeys((one.record.steps, many)):
                if steps in plain:
                    names = one.record.label, plain[steps].record.label
                    named = {"label": record.label, "variant": variant, "seed": str(record.seed)}
                    named |= dict(zip(PAIR, names, strict=True))
                    rows.append(named | _pair(results, one, plain[steps], PAIR, margin))
    return pd.DataFrame(rows)


def _pair(
    results: Results, one: StoredEvaluation, other: StoredEvaluation, names: Sequence[str], margin: float
) -> dict[str, Any]:
    """McNemar's test and the difference of two decodings on the same examples, as columns of `paired`."""
    common = on_common_examples(one.outcomes(), other.outcomes())
    right, others = (each[results.metric].to_numpy() > 0.5 for each in common)
    test = stats.paired_proportions(right, others)
    return {
        "examples": test.examples,
        "both_right": test.both,
        f"only_{names[0]}_right": test.first_only,
        f"only_{names[1]}_right": test.second_only,
        "difference": test.difference.estimate,
        "low_90": test.difference.low,
        "high_90": test.difference.high,
        "mcnemar_p": test.p_value,
        "margin": margin,
        "verdict": (
            verdict(test.difference, margin, test.p_value) if (right | others).any() else "none right"
        ),
    }


def paired_over_seeds(models: pd.DataFrame, by: Sequence[str] = CELL) -> pd.DataFrame:
    """Rows of `paired` by schedule and variant, or by other columns: the mean difference over seeds with its
    90 % interval, whose method is in the column `interval` (see `toyflow.stats.difference_over_seeds`), and
    the p of a t-test over seeds, empty where these show no spread. Those with one seed are left out."""
    rows = []
    for names, group in models.groupby([*by], sort=False):
        if len(group) < 2:
            continue
        differences, margin = group["difference"].tolist(), group["margin"].iloc[0]
        interval = stats.difference_over_seeds([_test(row) for _, row in group.iterrows()])
        p_value = stats.mean_zero_p(differences)
        rows.append(
            {
                **dict(zip(by, names, strict=True)),
                "seed": f"all {len(group)}",
                "difference": interval.estimate,
                "low_90": interval.low,
                "high_90": interval.high,
                "interval": interval.method,
                "t_test_p": np.nan if p_value is None else p_value,
                "margin": margin,
                "verdict": verdict(interval, margin, p_value),
            }
        )
    return pd.DataFrame(rows)


def verdict(difference: stats.Interval, margin: float, p_value: float | None) -> str:
    """`equivalent` where the 90 % interval lies within the margin, else `better` or `worse` where p is
    below 5 %, else `undecided`. Without a p (seeds without spread, which tell nothing of other seeds) `equal`
    where there is no difference at any seed, else `undecided`."""
    if p_value is None:
        return "undecided" if difference.estimate else "equal"
    if -margin < difference.low and difference.high < margin:
        return "equivalent"
    if p_value < 0.05:
        return "better" if difference.estimate > 0 else "worse"
    return "undecided"


def summary_table(frame: pd.DataFrame) -> Table:
    """`summary` for a terminal: a line per schedule, a column per K."""
    several_variants = frame["variant"].nunique() > 1
    table = Table(title=f"{in_words(frame['metric'].iloc[0])}, % [95 % interval]", title_justify="left")
    table.add_column("schedule", no_wrap=True)
    if several_variants:
        table.add_column("variant")
    table.add_column("seeds", justify="right")
    steps = sorted(frame["steps"].unique())
    for k in steps:
        table.add_column(f"K = {k}", justify="right", no_wrap=True, min_width=9)
    for (label, variant), group in frame.groupby(CELL, sort=False):
        by_steps = group.set_index("steps")
        cells = [_estimate(by_steps.loc[k]) if k in by_steps.index else "[dim]n/a[/]" for k in steps]
        names = [escape(str(label)), *([escape(str(variant))] if several_variants else [])]
        table.add_row(*names, str(group["seeds"].max()), *cells)
    table.caption = "95 % intervals: " + interval_notes(frame)
    table.caption_justify = "left"
    return table


def paired_table(models: pd.DataFrame, few: int = 1, many: int = MANY) -> Table:
    """`paired` and `paired_over_seeds` for a terminal: a line per trained model, and one per schedule."""
    title = f"K = {few} against K = {many}, same model, same test set"
    table = Table(title=title, title_justify="left")
    several_variants = models["variant"].nunique() > 1
    table.add_column("schedule", no_wrap=True)
    if several_variants:
        table.add_column("variant")
    for column in ("seed", f"only\nK={few}", f"only\nK={many}", "difference\n\\[90 %]", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(f"K = {few} is")
    for schedule, group in models.groupby(CELL, sort=False):
        names = [escape(str(name)) for name in (schedule if several_variants else schedule[:1])]
        for _, row in group.iterrows() if len(group) <= MOST_MODELS else ():
            alone = (str(row[f"only_K{few}_right"]), str(row[f"only_K{many}_right"]))
            table.add_row(*names, row["seed"], *alone, *_difference(row, "mcnemar_p"))
        for _, row in paired_over_seeds(group).iterrows():
            table.add_row(*names, row["seed"], "", "", *_difference(row, "t_test_p"), style="bold")
        table.add_section()
    table.caption = (
        "difference in points; p: McNemar's exact test of one model, in bold rows a t-test over seeds; n/a "
        "where these show no spread, and the interval is Newcombe's of the examples of all seeds. "
        f"equivalent: the 90 % interval lies within {100 * models['margin'].iloc[0]:g} points of zero; "
        "else better or worse where p < 0.05, else undecided; equal: no difference at any seed."
    )
    table.caption_justify = "left"
    return table


def decodings_table(models: pd.DataFrame) -> Table:
    """`paired_decodings` for a terminal: a line per trained model, and one per schedule over seeds."""
    table = Table(title="draws and grids against one draw and equal steps, same model", title_justify="left")
    names = ["label", *(["variant"] if models["variant"].nunique() > 1 else []), *PAIR]
    for name, head in zip(names, ["schedule", *names[1:]], strict=True):
        table.add_column(head, no_wrap=name != "variant")
    for column in ("seed", "only", "only\nagainst", "difference\n\\[90 %]", "p", "is"):
        table.add_column(column, justify="right", no_wrap=True)
    for _, group in models.groupby([*CELL, *PAIR], sort=False):
        for _, row in group.iterrows() if len(group) <= MOST_MODELS else ():
            alone = [str(row[f"only_{each}_right"]) for each in PAIR]
            cells = [*row[names], row["seed"], *alone]
            table.add_row(*map(escape, cells), *_difference(row, "mcnemar_p"))
        for _, row in paired_over_seeds(group, [*CELL, *PAIR]).iterrows():
            cells = [*row[names], row["seed"], "", ""]
            table.add_row(*map(escape, cells), *_difference(row, "t_test_p"), style="bold")
    table.caption = "difference in points, p and verdict as of K = 1 against K = 10: McNemar's exact test."
    table.caption_justify = "left"
    return table


def _test(row: pd.Series) -> stats.PairedTest:
    """What a row of `paired` was made from."""
    first, second = (int(row[name]) for name in map(str, row.index) if name.startswith("only_"))
    return stats.PairedTest(
        both=int(row["both_right"]),
        first_only=first,
        second_only=second,
        examples=int(row["examples"]),
        difference=stats.Interval(row["difference"], row["low_90"], row["high_90"], stats.NEWCOMBE),
        p_value=row["mcnemar_p"],
    )


def _difference(row: pd.Series, p: str) -> tuple[str, str, str]:
    difference, low, high = (100 * row[column] for column in ("difference", "low_90", "high_90"))
    return f"{difference:+.1f} \\[{low:+.1f}, {high:+.1f}]", shown_p(row[p]), row["verdict"]


def interval_notes(frame: pd.DataFrame) -> str:
    """What the intervals of a `summary` speak of."""
    return "; ".join(note for method, note in INTERVAL_NOTES.items() if method in set(frame["interval"]))


def shown_p(p: float) -> str:
    """`0.031`, `<0.001`, or `n/a` where there is no test."""
    return "n/a" if np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _other_metrics(results: Results) -> list[str]:
    return [name for name in results.evaluations[0].details["metrics"] if name != results.metric]


def _estimate(row: pd.Series) -> str:
    beside = f"\n[yellow]{errors_in_words(row['errors'])}[/]" if row["errors"] else ""
    return f"{100 * row['score']:.1f}\n[dim]{100 * row['low']:.1f}-{100 * row['high']:.1f}[/]{beside}"


def in_words(name: str) -> str:
    """A metric's name as text."""
    return name.replace("_", " ")
