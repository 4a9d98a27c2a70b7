"""`python tests/faults [--short] [--rounds N] [--only WORD] [...]`: what a machine does to toyflow."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:1] = [str(TESTS)]

from faults import campaign, clock, damage, full_disk, kill, memory, pairs, parsers, read_only  # noqa: E402
from faults.bench import Bench, bench  # noqa: E402
from rich.console import Console  # noqa: E402

FAMILIES = (damage, kill, full_disk, parsers, pairs, read_only, clock, memory)
PAGE = TESTS.parent / "docs" / "reference" / "faults.md"


def main() -> None:
    """Exit code 1 if anything was found, or nothing tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="what CI runs: a few of each")
    parser.add_argument("--only", default="", help="rows that have this in their name")
    parser.add_argument("--seed", type=int, default=0, help="of moments and places")
    parser.add_argument("--rounds", type=int, help="a round has one trial of each family; all, unless given")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no trial begins")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which stays; its world is used again")
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with (
        tempfile.TemporaryDirectory(prefix="toyflow-faults-") as temporary,
        bench(chosen.keep or Path(temporary), chosen.seed, chosen.short) as place,
    ):
        outcome = campaign.carry_out(_chosen(place, chosen.only, chosen.rounds), console, 60 * chosen.minutes)
    console.print(campaign.as_table(outcome))
    for finding in outcome.findings:
        console.print(finding, markup=False)
    if chosen.write:
        _write(outcome)
    sys.exit(0 if outcome.well and outcome.rows else 1)


def _chosen(place: Bench, word: str, rounds: int | None) -> Iterator[campaign.Trial]:
    """One of each family, then the next of each: where time is short, some of every kind are tried."""
    for trials in islice(zip_longest(*(family.trials(place) for family in FAMILIES)), rounds):
        yield from (trial for trial in trials if trial is not None and word in trial.row)


def _write(outcome: campaign.Outcome) -> None:
    """Put the rows into the page's table, in place of those of the same name."""
    head, mark, rest = PAGE.read_text().partition("| fault |")
    table, _, tail = (mark + rest).partition("\n\n")
    rows = {**campaign.from_markdown(table), **outcome.rows}
    PAGE.write_text(f"{head}{campaign.as_markdown(rows.values())}\n{tail}")


if __name__ == "__main__":
    main()
