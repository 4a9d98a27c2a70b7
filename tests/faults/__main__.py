"""`python tests/faults [--short] [--only WORD] [--seed N] [--write]`: toyflow under every fault we thought of."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:1] = [str(TESTS)]

from rich.console import Console  # noqa: E402

from faults import campaign, kill  # noqa: E402
from faults.bench import Bench, bench  # noqa: E402

FAMILIES = (kill,)
PAGE = TESTS.parent / "docs" / "faults.md"


def main() -> None:
    """Exit code 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="what CI runs: a few of each")
    parser.add_argument("--only", default="", help="rows that have this in their name")
    parser.add_argument("--seed", type=int, default=0, help="of moments and places")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument("--keep", type=Path, help="a new folder to work in, which stays")
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory(prefix="toyflow-faults-") as temporary:
        with bench(chosen.keep or Path(temporary), chosen.seed, chosen.short) as place:
            outcome = campaign.carry_out(_chosen(place, chosen.only), console)
    console.print(campaign.as_table(outcome))
    for finding in outcome.findings:
        console.print(finding, markup=False)
    if chosen.write:
        _write(campaign.as_markdown(outcome))
    sys.exit(0 if outcome.well else 1)


def _chosen(place: Bench, word: str) -> Iterator[campaign.Trial]:
    return (trial for family in FAMILIES for trial in family.trials(place) if word in trial.row)


def _write(table: str) -> None:
    """Replace the page's table."""
    head, _, rest = PAGE.read_text().partition("| fault |")
    tail = rest.partition("\n\n")[2]
    PAGE.write_text(f"{head}{table}\n{tail}")


if __name__ == "__main__":
    main()
