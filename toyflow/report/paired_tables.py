"""Comparisons of decodings of one trained model: few steps with many, and draws and grids with none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.footnotes import Footnotes
from toyflow.report.results import CELL, Results, variants
from toyflow.report.tables import MANY, MARGIN, shown_p
from toyflow.sweep.stored import StoredEvaluation, caveat_of, on_common_examples

MOST_MODELS = 20
"""Most models of one schedule that a table lists; with more it has a line over all seeds only."""
PAIR = ("decoding", "against")
"""What `paired_decodings` calls the two decodings of a row."""
T_TEST, MCNEMAR = "t over seeds", "McNemar, one model"
"""What the column `test` of `paired_by_setting` can be."""
T_TEST_NOTE = "a t-test over seeds, which speaks of new seeds on this test set"
MCNEMAR_NOTE = "of a single seed McNemar's exact test, which speaks of new examples for that model"
LEVEL = 0.05
"""Significance level of every verdict."""
NONE_RIGHT = "none right"
"""The verdict where neither decoding is right on any example."""


def paired(results: Results, few: int = 1, many: int = MANY, margin: float = MARGIN) -> pd.DataFrame:
    """A row per trained model decoded both in `few` and in `many` steps: McNemar's test and equivalence.

    Outcomes are read from disk and checked. Columns:

    - `label`, `variant`, `seed` of the model; `examples` of the test set
    - `both_right`, `only_K1_right`, `only_K10_right` (for these K): numbers of examples
    - `difference`, the score in `few` steps minus that in `many`; `low_90`, `high_90`, its 90 % interval
    - `mcnemar_p`, of McNemar's exact test; `margin`, of equivalence; `verdict` on this one model, not
      adjusted for others (see `verdict`)
    - `caveat`, what to say beside the scores
    - `by_example`, a series by example: 1 where only the few steps are right, -1 where only the many are

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
            verdict(test.difference.estimate, _is_within(test.difference, margin), test.p_value)
            if (right | others).any()
            else NONE_RIGHT
        ),
        "caveat": caveat_of(one),
        "by_example": pd.Series(right.astype(np.int8) - others, common[0].index),
    }


def _is_within(difference: stats.Interval, margin: float) -> bool:
    return -margin < difference.low and difference.high < margin


def paired_by_setting(models: pd.DataFrame, by: Sequence[str] = CELL) -> pd.DataFrame:
    """Rows of `paired` by schedule and variant, or by other columns: a row per setting, with a verdict that
    is adjusted for all of them.

    - `seed`: `all 3`, or the one
    - `difference`, its mean over seeds; `low_90`, `high_90`; `interval`, what that speaks of and its method
      (see `toyflow.stats.difference_over_seeds`): of one seed, new examples for that model
    - `crossed_low_90`, `crossed_high_90`: the interval for new seeds and new examples (see
      `toyflow.stats.crossed`); empty with one seed
    - `test`: the t-test over seeds, or McNemar's of one model; `p` and, of two one-sided tests within
      `margin`, `equivalence_p`; empty where seeds show no spread, which gives no test
    - `p_holm`, `equivalence_p_holm`: each adjusted by Holm's method over all rows; where there is no test, it
      counts as one with p = 1
    - `verdict` by the adjusted p, see `verdict`
    - `caveat`, what to say beside the scores
    """
    settings = models.groupby([*by], sort=False)
    rows = [
        {
            **dict(zip(by, names, strict=True)),
            **(_over_seeds if len(group) > 1 else _of_one_model)(group),
            "caveat": group["caveat"].iloc[0],
        }
        for names, group in settings
    ]
    frame = pd.DataFrame(rows)
    for p in ("p", "equivalence_p"):
        frame[f"{p}_holm"] = pd.Series(stats.holm(frame[p].tolist()), frame.index, dtype=float)
    frame["verdict"] = [
        NONE_RIGHT if none_right else verdict(difference, bool(equivalence_p < LEVEL), p)
        for none_right, difference, equivalence_p, p in zip(
            settings["verdict"].agg(lambda said: (said == NONE_RIGHT).all()),
            frame["difference"], frame["equivalence_p_holm"], frame["p_holm"], strict=True,
        )
    ]  # fmt: skip
    return frame


def _over_seeds(group: pd.DataFrame) -> dict[str, Any]:
    tests, margin = [_test(row) for _, row in group.iterrows()], group["margin"].iloc[0]
    p_value = stats.mean_zero_p(group["difference"].tolist())
    of_equivalence = partial(stats.difference_over_seeds, tests)
    table = pd.concat(group["by_example"].tolist(), axis=1, join="inner").to_numpy(float).T
    alike = len({row.size for row in group["by_example"]}) == 1 and table.shape[1] > 1
    crossed = stats.crossed(table, 0.90, (-1.0, 1.0)) if alike else None
    return _setting(
        f"all {len(group)}",
        stats.difference_over_seeds(tests),
        crossed,
        T_TEST,
        np.nan if p_value is None else p_value,
        np.nan if p_value is None else stats.equivalence_p(of_equivalence, margin),
        margin,
    )


def _of_one_model(group: pd.DataFrame) -> dict[str, Any]:
    [test], margin = [_test(row) for _, row in group.iterrows()], group["margin"].iloc[0]
    of_equivalence = partial(stats.pooled_difference, [test])
    return _setting(
        str(group["seed"].iloc[0]),
        test.difference,
        None,
        MCNEMAR,
        test.p_value,
        stats.equivalence_p(of_equivalence, margin),
        margin,
    )


def _setting(
    seed: str,
    difference: stats.Interval,
    crossed: stats.Interval | None,
    test: str,
    p: float,
    equivalence_p: float,
    margin: float,
) -> dict[str, Any]:
    """Columns of `paired_by_setting`."""
    return {
        "seed": seed,
        "difference": difference.estimate,
        "low_90": difference.low,
        "high_90": difference.high,
        "interval": difference.method,
        "crossed_low_90": crossed.low if crossed else np.nan,
        "crossed_high_90": crossed.high if crossed else np.nan,
        "test": test,
        "p": p,
        "equivalence_p": equivalence_p,
        "margin": margin,
    }


def verdict(difference: float, equivalent: bool, p_value: float) -> str:
    """`equivalent` where that is shown, else `better` or `worse` where p is below 5 %, else `undecided`.
    Where p is NaN (seeds without spread, which tell nothing of other seeds) `equal` where there is no
    difference at any seed, else `undecided`."""
    if np.isnan(p_value):
        return "undecided" if difference else "equal"
    if equivalent:
        return "equivalent"
    if p_value < LEVEL:
        return "better" if difference > 0 else "worse"
    return "undecided"


def paired_table(models: pd.DataFrame, few: int = 1, many: int = MANY) -> Table:
    """`paired` and `paired_by_setting` for a terminal: a line per trained model, and one per setting."""
    title = f"K = {few} against K = {many}, same model, same test set"
    counts = {f"only_K{k}_right": f"only\nK={k}" for k in (few, many)}
    return _table(models, CELL, counts, title, f"K = {few} is")


def decodings_table(models: pd.DataFrame) -> Table:
    """`paired_decodings` for a terminal: a line per trained model, and one per setting."""
    title = "draws and grids against one draw and equal steps, same model"
    counts = {f"only_{PAIR[0]}_right": "only", f"only_{PAIR[1]}_right": "only\nagainst"}
    return _table(models, [*CELL, *PAIR], counts, title, "is")


def _table(
    models: pd.DataFrame, by: Sequence[str], counts: Mapping[str, str], title: str, verdict: str
) -> Table:
    table = Table(title=title, title_justify="left")
    names = [name for name in by if name != "variant" or models["variant"].nunique() > 1]
    for name in names:
        table.add_column("schedule" if name == "label" else name, no_wrap=name != "variant")
    for column in ("seed", *counts.values(), "difference\n\\[90 %]", "p", verdict):
        table.add_column(column, justify="right", no_wrap=True)
    settings, notes = paired_by_setting(models, by), Footnotes()
    groups = models.groupby([*by], sort=False)
    for (_, group), (_, setting) in zip(groups, settings.iterrows(), strict=True):
        for _, row in group.iterrows() if 1 < len(group) <= MOST_MODELS else ():
            alone = [str(row[name]) for name in counts]
            table.add_row(*_cells(row, names, alone, row["mcnemar_p"], "", notes), style="dim")
        alone = [str(group[name].iloc[0]) if len(group) == 1 else "" for name in counts]
        told = _cells(setting, names, alone, setting["p_holm"], setting["verdict"], notes)
        table.add_row(*told, style="bold")
    dim = " Dim lines: one model each, p by McNemar, not adjusted." if (groups.size() > 1).any() else ""
    table.caption = notes.after(f"difference in points. {judged_note(settings)}{dim}")
    table.caption_justify = "left"
    return table


def _cells(
    row: pd.Series, names: Sequence[str], counts: Sequence[str], p: float, verdict: str, notes: Footnotes
) -> Iterable[str]:
    difference, low, high = (100 * row[column] for column in ("difference", "low_90", "high_90"))
    bounds = f"{difference:+.1f}{notes.mark(row['caveat'])} [{low:+.1f}, {high:+.1f}]"
    return map(
        escape, [*(str(row[name]) for name in names), row["seed"], *counts, bounds, shown_p(p), verdict]
    )


def judged_note(settings: pd.DataFrame) -> str:
    """How the verdicts of `paired_by_setting` came about, for below its table."""
    margin, several = 100 * settings["margin"].iloc[0], len(settings) > 1
    tests = set(settings["test"])
    said = [T_TEST_NOTE] if T_TEST in tests else []
    said += [MCNEMAR_NOTE] if MCNEMAR in tests else []
    if settings["p"].isna().any():
        said.append("n/a where seeds show no spread, which gives no test")
    holm = f", adjusted by Holm's method for the {len(settings)} verdicts here" if several else ""
    so = ", adjusted in the same way; the 90 % intervals are not" if several else ""
    return (
        f"p: {'; '.join(said)}{holm}. equivalent: within {margin:g} points of zero, by two one-sided tests "
        f"at {100 * LEVEL:g} %{so}. Else better or worse where p < {LEVEL:g}, else undecided; equal: no "
        "difference at any seed."
    )


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
