"""Tables of a robot's evaluations on benchmarks that vary tasks, such as LIBERO-Pro: by perturbation and
suite, and few steps against many in each such cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from toyflow import stats
from toyflow.footnotes import Footnotes
from toyflow.report.page_tables import NONE, TableView
from toyflow.report.results import Results, variants
from toyflow.report.tables import MANY, shown_p
from toyflow.sweep.stored import StoredEvaluation, caveat_of, missing_tasks

ALL = "all"
"""In the columns `perturbation`, `level` and `suite`: any."""
CELL = ["perturbation", "suite"]
OF_NO_MODEL = ("sampler", "grid", "draws", "suite", "tasks", "states", "missing")
"""What does not tell one policy from another, in a result's description."""

Levels = dict[int | None, tuple[int, int]]
"""Solved episodes and all, by level."""


class Policy(NamedTuple):
    """A trained policy in one decoding, as tables name it."""

    label: str
    variant: str
    seed: str
    decoding: str

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.label, self.variant, f"seed {self.seed}", self.decoding)))


def is_varied(evaluation: StoredEvaluation) -> bool:
    """Whether its tasks vary those of another suite."""
    return any(row.get("perturbation") for row in evaluation.details.get("tasks", ()))


def perturbation_rates(results: Results) -> pd.DataFrame:
    """Success by perturbation, level and suite that is varied: a row for each policy and cell, with

    - `label`, `variant`, `seed`, `decoding` of the policy
    - `perturbation`, `level`, `suite`; where one of them is `all`, the row is of all cells that fit, and
      only a benchmark that grades difficulty has rows of a level
    - `hits`, `episodes`, `score`, and Wilson's `low_95`, `high_95`, which speak of new episodes of this
      policy
    - `unperturbed`: the same policy's score on `suite` itself, of the tasks that were run there; NaN where
      these results have none

    Where a suite under a perturbation was evaluated twice, as itself and as a part of another, the larger
    evaluation counts, whatever levels it knows of. Empty where nothing varies another suite.
    """
    cells: dict[tuple[Policy, str, str], Levels] = {}
    plain: dict[tuple[Policy, str], tuple[int, int]] = {}
    for policy, evaluation in _policies(results.evaluations):
        found: dict[tuple[Policy, str, str], Levels] = {}
        for row in evaluation.details.get("tasks", ()):
            if row.get("perturbation"):
                levels = found.setdefault((policy, row["perturbation"], row["base_suite"] or ""), {})
                hits, episodes = levels.get(row["level"], (0, 0))
                levels[row["level"]] = hits + row["hits"], episodes + row["episodes"]
        for cell, levels in found.items():
            cells[cell] = max(cells.get(cell, {}), levels, key=_size)
        if not found and "trials" in evaluation.details:
            examples = evaluation.details["examples"]
            where = policy, evaluation.details["trials"]["suite"]
            counted = round(evaluation.score * examples), examples
            plain[where] = max(plain.get(where, (0, 0)), counted, key=lambda each: each[1])
    single = pd.DataFrame(
        [
            {**policy._asdict(), "perturbation": kind, "level": level, "suite": suite, "hits": hits,
             "episodes": episodes}
            for (policy, kind, suite), levels in cells.items()
            for level, (hits, episodes) in levels.items()
        ]
    )  # fmt: skip
    if single.empty:
        return single
    frame = pd.concat([_summed(single, by) for by in _groupings(single)], ignore_index=True)
    frame["score"] = frame["hits"] / frame["episodes"].where(frame["episodes"] > 0)
    intervals = [
        stats.wilson(hits, episodes) if episodes else None
        for hits, episodes in zip(frame["hits"], frame["episodes"], strict=True)
    ]
    frame["low_95"] = [each.low if each else np.nan for each in intervals]
    frame["high_95"] = [each.high if each else np.nan for each in intervals]
    known = [plain.get((Policy(*row[:4]), row[4])) for row in frame[[*Policy._fields, "suite"]].to_numpy()]
    frame["unperturbed"] = [
        hits / episodes if episodes else np.nan for hits, episodes in (k or (0, 0) for k in known)
    ]
    return frame


def by_perturbation(results: Results) -> list[TableView]:
    """A row per perturbation and suite, a column per policy and decoding: success, Wilson's interval, and the
    unperturbed success beside it. Where the benchmark grades difficulty, one more table by level."""
    frame = perturbation_rates(results)
    if frame.empty:
        return []
    whole = frame[frame["level"] == ALL]
    views = [_rates_view(results, whole, CELL, "Solved by perturbation and suite")]
    if (frame["level"] != ALL).any():
        graded = frame[(frame["suite"] == ALL) & (frame["level"] != ALL)]
        views.append(
            _rates_view(results, graded, ["perturbation", "level"], "Solved by perturbation and level")
        )
    return views


def paired_by_perturbation(results: Results, few: int = 1, many: int = MANY) -> pd.DataFrame:
    """Few steps against many, policy by policy, in each cell of perturbation and suite, and in all together.

    A row per policy that was decoded both in `few` and in `many` steps, and cell, with `label`, `variant`,
    `seed`, `perturbation`, `suite` (both `all` in the row of all cells); `examples`, `only_few`, `only_many`
    (episodes that only one of them solved); `difference`, few minus many, with `low_90`, `high_90`; `p` of
    McNemar's exact test; and `p_holm`, adjusted by Holm's method for all cells, or for all rows of all cells.
    Of a cell that was evaluated twice the larger counts.

    Raises:
        DamagedError: a file of outcomes is missing or altered.
    """
    decoded: dict[tuple[Policy, str], dict[int, StoredEvaluation]] = {}
    for policy, evaluation in _policies(results.evaluations):
        if is_varied(evaluation) and evaluation.record.steps in (few, many):
            alike = replace(evaluation.record, steps=1).key
            decoded.setdefault((policy._replace(decoding=""), alike), {})[evaluation.record.steps] = (
                evaluation
            )
    right: dict[tuple[Policy, str, str], tuple[np.ndarray, np.ndarray]] = {}
    for (policy, _), pair in decoded.items():
        if len(pair) < 2:
            continue
        one, other = (_by_episode(pair[steps], results.metric) for steps in (few, many))
        both = one.join(other["right"].rename("right_many"), how="inner")
        for (kind, suite), group in both.groupby(["perturbation", "base_suite"], sort=False):
            cell = policy, str(kind), str(suite)
            found = group["right"].to_numpy(), group["right_many"].to_numpy()
            right[cell] = max(right.get(cell, found), found, key=lambda each: len(each[0]))
    rows = [_test_row(*cell, [found]) for cell, found in right.items()]
    for policy in dict.fromkeys(policy for policy, _, _ in right):
        pairs = [found for (owner, _, _), found in right.items() if owner == policy]
        rows.append(_test_row(policy, ALL, ALL, pairs))
    frame = pd.DataFrame(rows)
    if not frame.empty:
        for whole in (False, True):
            chosen = (frame["perturbation"] == ALL) == whole
            frame.loc[chosen, "p_holm"] = stats.holm(frame.loc[chosen, "p"].tolist())
    return frame


def few_against_many(results: Results, few: int = 1, many: int = MANY) -> list[TableView]:
    """`paired_by_perturbation` for a page; nothing where no policy was decoded in both."""
    frame = paired_by_perturbation(results, few, many)
    if frame.empty:
        return []
    names = [name for name in ("label", "variant", "seed") if frame[name].nunique() > 1]
    rows = [
        [
            *(str(row[name]) for name in names), row["perturbation"], row["suite"], str(row["examples"]),
            str(row["only_few"]), str(row["only_many"]),
            f"{100 * row['difference']:+.1f} [{100 * row['low_90']:+.1f}, {100 * row['high_90']:+.1f}]",
            shown_p(row["p"]), shown_p(row["p_holm"]),
        ]
        for _, row in frame.iterrows()
    ]  # fmt: skip
    heads = ["schedule" if name == "label" else name for name in names]
    columns = [
        *heads, *CELL, "episodes", f"only K={few}", f"only K={many}", "difference [90 %]", "p", "p adjusted"
    ]  # fmt: skip
    note = (
        "difference in points, the same policy from the same initial states. p: McNemar's exact test, which "
        "speaks of new episodes for that policy; adjusted by Holm's method for all cells here, and apart "
        "from them for the rows of all cells."
    )
    return [TableView(f"K = {few} against K = {many} by perturbation", columns, rows, len(heads) + 2, note)]


def _policies(evaluations: Sequence[StoredEvaluation]) -> Iterable[tuple[Policy, StoredEvaluation]]:
    for evaluation, variant in zip(evaluations, variants(evaluations, without=OF_NO_MODEL), strict=True):
        record = evaluation.training.record
        yield Policy(record.label, variant, str(record.seed), evaluation.record.label), evaluation


def _size(levels: Levels) -> tuple[int, int]:
    """Episodes, and how many of them are of a known level."""
    graded = sum(episodes for level, (_, episodes) in levels.items() if level is not None)
    return sum(episodes for _, episodes in levels.values()), graded


def _groupings(single: pd.DataFrame) -> list[list[str]]:
    """Which cells are shown: of perturbation and suite, by each alone, and all; and of levels where there are
    any."""
    shown = [CELL, ["perturbation"], ["suite"], []]
    return shown + ([["perturbation", "level"], ["level"]] if single["level"].notna().any() else [])


def _summed(single: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The counts by policy and these columns; the others are `all`."""
    counted = single.groupby([*Policy._fields, *by], sort=False, as_index=False)[["hits", "episodes"]].sum()
    if "level" in by:
        counted["level"] = counted["level"].astype(int)
    return counted.assign(**{name: ALL for name in ("perturbation", "level", "suite") if name not in by})


def _rates_view(results: Results, frame: pd.DataFrame, by: Sequence[str], caption: str) -> TableView:
    """A row per cell in `by`, two columns per policy where an unperturbed score is known."""
    columns = [*Policy._fields]
    frame = frame.copy()
    frame["policy"] = [Policy(*row) for row in frame[columns].to_numpy()]
    policies = list(dict.fromkeys(frame["policy"]))
    notes, remarks = Footnotes(), _remarks(results.evaluations)
    beside = frame["unperturbed"].notna().any() and "suite" in by
    rows = []
    for cell, group in frame.groupby([*by], sort=False):
        found = {row["policy"]: row for _, row in group.iterrows()}
        row = [*map(str, cell)]
        for policy in policies:
            told = found.get(policy)
            row += [_rate(told, notes.mark(remarks.get(policy, "")))]
            if beside:
                known = told is not None and not np.isnan(told["unperturbed"])
                row.append(f"{told['unperturbed']:.1%}" if known and told is not None else "")
        rows.append(row)
    heads = [head for policy in policies for head in (str(policy), *(["unperturbed"] if beside else []))]
    note = "Solved episodes with Wilson's 95 % interval, which speaks of new episodes for that policy."
    if beside:
        note += " unperturbed: the same policy on the suite itself, of the tasks that were run there."
    return TableView(caption, [*by, *heads], rows, len(by), notes.after(f"{note}{_missing(results)}"))


def _rate(row: pd.Series | None, mark: str) -> str:
    if row is None:
        return ""
    if not row["episodes"]:
        return NONE
    return f"{row['score']:.1%}{mark} [{row['low_95']:.1%}, {row['high_95']:.1%}] of {row['episodes']}"


def _remarks(evaluations: Sequence[StoredEvaluation]) -> dict[Policy, str]:
    """What to say beside the rates of each policy; "" where there is nothing."""
    found: dict[Policy, list[StoredEvaluation]] = {}
    for policy, evaluation in _policies(evaluations):
        if is_varied(evaluation):
            found.setdefault(policy, []).append(evaluation)
    return {policy: caveat_of(*own) for policy, own in found.items()}


def _missing(results: Results) -> str:
    """What of these evaluations cannot run where they were made."""
    told = [
        f"{row['tasks']} tasks of {suite} under {kind} ({row['why'].rstrip('.')})"
        for (suite, kind), row in missing_tasks(results.evaluations).items()
    ]
    return f" Not run, as they cannot run here: {'; '.join(told)}." if told else ""


def _by_episode(evaluation: StoredEvaluation, metric: str) -> pd.DataFrame:
    outcomes = evaluation.outcomes().set_index(["task", "state"])
    return outcomes.assign(right=outcomes[metric] > 0.5)[["right", "perturbation", "base_suite"]]


def _test_row(
    policy: Policy, perturbation: str, suite: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict[str, Any]:
    first, second = (np.concatenate([pair[place] for pair in pairs]) for place in (0, 1))
    test = stats.paired_proportions(first, second)
    return {
        "label": policy.label, "variant": policy.variant, "seed": policy.seed, "perturbation": perturbation,
        "suite": suite, "examples": test.examples, "only_few": test.first_only, "only_many": test.second_only,
        "difference": test.difference.estimate, "low_90": test.difference.low,
        "high_90": test.difference.high, "p": test.p_value,
    }  # fmt: skip
