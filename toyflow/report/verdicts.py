"""What a comparison says: its table, and a sentence for each pair."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.footnotes import Footnotes
from toyflow.report.compare import Comparison, Measure, Pair
from toyflow.report.tables import in_words

TABLE_WIDTH = 80
"""Columns that `comparison_table` needs."""
LEVEL = 0.05
"""Significance level of every test here."""


def verdicts(comparison: Comparison) -> list[str]:
    """A sentence for each pair; one more where the two differ in several settings, and one on the single
    models where both decode the same."""
    sentences = []
    for pair in comparison.pairs:
        said = _verdict(pair, pair.test, comparison) if pair.test else _no_test(pair, comparison)
        sentences.append(said + _on_other_examples(pair, comparison.measure))
        if pair.confounded:
            sentences.append(_confounded(pair))
        if pair.same_models and len(pair.models) > 1:
            counts = "; ".join(
                f"seed {seed}: {model.first_only} and {model.second_only} (p {_p(model.p_value)})"
                for seed, model in pair.models.items()
            )
            sentences.append(
                f"Examples that only {pair.first} and only {pair.second} got right, model by model "
                f"(McNemar's exact test, not adjusted): {counts}."
            )
    if comparison.caveat:
        sentences.append(f"All scores: {comparison.caveat}.")
    return sentences


def _verdict(pair: Pair, test: stats.SeedTest, comparison: Comparison) -> str:
    measure, both, where = comparison.measure, f"{pair.first} and {pair.second}", _where(pair, comparison)
    mean = measure.difference(test.difference.estimate)
    difference = f"{mean} {measure.bounds(test.difference)}"
    p = "p" if comparison.tests == 1 else "Holm-adjusted p"
    tested = f"{'paired' if test.paired else 'unpaired, Welch'} t-test, {p} {_p(pair.p_value)}"
    different = _is_shown(pair.p_value)
    if _is_shown(pair.equivalence_p):
        equivalent = f"{both} are equivalent {measure.within}{where}"
        if different:
            return f"{equivalent}, though the difference of {difference} {pair.over} is not zero ({tested})."
        return (
            f"{equivalent}: {mean} {measure.bounds(test.within)}, 90 %, {pair.over} (two one-sided t-tests, "
            f"{p} {_p(pair.equivalence_p)})."
        )
    if different:
        more, less = ("better", "worse") if measure.headline else ("higher", "lower")
        word = more if test.difference.estimate > 0 else less
        return f"{pair.first} is {word} than {pair.second}{where}: {difference} {pair.over} ({tested})."
    level = LEVEL / comparison.tests
    needed, cautious = (
        stats.seeds_needed(test.difference.estimate, deviation, measure.margin, level)
        for deviation in (test.deviation, stats.upper_deviation(test.deviation, test.freedom))
    )
    already = needed.to_be_equivalent is not None and needed.to_be_equivalent <= min(map(len, pair.seeds))
    more = _or(needed.to_differ, cautious.to_differ, "if the spread between seeds is at its upper bound")
    even_so = _or(needed.to_be_equivalent, cautious.to_be_equivalent, "at that bound")
    power = f"{100 * stats.POWER:g} %"
    return (
        f"Too few seeds to tell: {both} differ by {difference}{where} {pair.over}. If a difference of this "
        f"size is real, {_about(needed.to_differ)} seeds would show it{more}; if there is none, "
        f"{_about(needed.to_be_equivalent)} seeds {'should already' if already else 'would'} show that they "
        f"are equal {measure.within}{even_so} ({power} power; the bound is one-sided at {power})."
    )


def _is_shown(p: float | None) -> bool:
    return p is not None and p < LEVEL


def _on_other_examples(pair: Pair, measure: Measure) -> str:
    """A warning where what the seeds show on this test set is not shown for new examples."""
    if pair.test is None or pair.crossed is None:
        return ""
    wide, narrow = pair.crossed
    if _is_shown(pair.equivalence_p) and not -measure.margin < narrow.low <= narrow.high < measure.margin:
        shown = f"{measure.bounds(narrow)}, 90 %, which is not {measure.within}"
    elif _is_shown(pair.p_value) and wide.low <= 0 <= wide.high:
        shown = f"{measure.bounds(wide)}, which includes zero"
    else:
        return ""
    return f" That is of this test set; for new seeds and new examples the interval is {shown}."


def _no_test(pair: Pair, comparison: Comparison) -> str:
    measure = comparison.measure
    differ = f"{pair.first} and {pair.second} differ by {measure.difference(pair.means[0] - pair.means[1])}"
    where = _where(pair, comparison)
    by_examples = (
        f" By the examples of all seeds: {measure.bounds(pair.pooled)}, 90 %." if pair.pooled else ""
    )
    if pair.several and pair.seeds[0] == pair.seeds[1] and pair.means[0] == pair.means[1]:
        return (
            f"{pair.first} and {pair.second} are equal{where} {pair.over}, without a difference at any seed "
            f"to judge others by.{by_examples}"
        )
    if pair.several:
        return (
            f"Too few seeds to tell: {differ}{where} {pair.over}, and these seeds show no spread to judge "
            f"that by; more are needed.{by_examples}"
        )
    if pair.seeds[0] != pair.seeds[1]:
        return (
            f"Too few seeds to tell: {differ}{where} {pair.over}; each needs two or more, or one in common."
        )
    said = "the schedule; on this one model" if pair.same_models else "the schedules; on this pair of models"
    shown = [
        f" {measure.bounds(model.difference)} (Newcombe, 90 %; McNemar p {_p(pair.p_value)})"
        for model in pair.models.values()
    ]
    return f"One seed: nothing can be said about {said}, {differ}{''.join(shown)}{where}."


def _confounded(pair: Pair) -> str:
    """A note that a difference has several possible causes."""
    settings = [f"{name} ({one} and {two})" for name, (one, two) in pair.confounded.items()]
    *rest, last = settings
    return (
        f"Note: {pair.first} and {pair.second} differ in {', '.join(rest)} and {last}, so this comparison "
        "cannot tell which of these is the cause."
    )


def comparison_table(comparison: Comparison) -> Table:
    """Table for a terminal, a line per pair."""
    measure, several = comparison.measure, comparison.tests > 1
    unit = ", %; differences in points" if measure.headline else ""
    table = Table(title=f"{in_words(measure.metric)}{unit}", title_justify="left", show_lines=True)
    table.add_column("first\nsecond")
    holm = ",\nHolm" if several else ""
    heads = ("difference\n[95 %]\n[90 %]", f"p{holm}", "d_z\n[95 %]", f"p, equi-\nvalence{holm}")
    for head in ("seeds", "mean", *heads):
        table.add_column(escape(head), justify="right", no_wrap=True)
    notes = Footnotes()
    mark = notes.mark(comparison.caveat)
    for pair in comparison.pairs:
        table.add_row(*map(escape, _row(pair, measure, mark)))
    table.caption = notes.after(
        "Tests are over training seeds, on this test set. difference: first - second; new examples: its "
        "intervals for new seeds and new examples at once. d_z: mean / standard deviation of "
        f"the seeds' differences. Equivalence: the 90 % interval lies {measure.within} of zero (two "
        "one-sided tests)."
        + (
            " p of the differences and p of equivalence are each adjusted by Holm; intervals are not."
            if several
            else ""
        )
    )
    table.caption_justify = "left"
    return table


def _row(pair: Pair, measure: Measure, mark: str) -> list[str]:
    means = [f"{100 * mean:.1f}{mark}" if measure.headline else f"{mean:.4g}{mark}" for mean in pair.means]
    difference = measure.signed(pair.means[0] - pair.means[1])
    row = [
        f"{pair.first}\n{pair.second}{pair.at}",
        "\n".join(str(len(s)) for s in pair.seeds),
        "\n".join(means),
    ]
    crossed = ["new examples:", *map(measure.bounds, pair.crossed)] if pair.crossed else []
    if pair.test is None:
        return [*row, "\n".join([difference, *crossed]), "n/a", "n/a", "n/a"]
    bounds = [measure.bounds(interval) for interval in (pair.test.difference, pair.test.within)]
    d_z = pair.test.effect
    effect = "n/a" if d_z is None else f"{d_z.estimate:+.2f}\n[{d_z.low:+.2f}, {d_z.high:+.2f}]"
    p_values = [_p(p).removeprefix("= ") for p in (pair.p_value, pair.equivalence_p)]
    return [*row, "\n".join([difference, *bounds, *crossed]), p_values[0], effect, p_values[1]]


def _where(pair: Pair, comparison: Comparison) -> str:
    measure = comparison.measure
    return pair.at if measure.headline else f" in {in_words(measure.metric)}{pair.at}"


def _p(p: float | None) -> str:
    return "n/a" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _about(seeds: int | None) -> str:
    return f"more than {stats.MOST_SEEDS}" if seeds is None else f"about {seeds}"


def _or(seeds: int | None, more: int | None, where: str) -> str:
    """`, or 27 at that bound`; nothing where that is as many."""
    if seeds == more:
        return ""
    return f", or {f'more than {stats.MOST_SEEDS}' if more is None else more} {where}"
