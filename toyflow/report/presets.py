"""`toyflow presets`: the sweeps that come with toyflow."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from toyflow.sweep.presets import available_presets, notes


def presets_table() -> Table:
    """A line per preset: what it shows, and what it and its short version cost."""
    table = Table(title="presets", title_justify="left", show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("what it shows", ratio=3)
    table.add_column("what it costs", ratio=2)
    for name, path in available_presets().items():
        said = notes(path)
        first = f"\n[dim]first:[/] {escape(said.first)}" if said.first else ""
        quick = f"\n[bold]--quick:[/] {escape(said.quick)}" if said.quick else ""
        table.add_row(name, escape(said.shows) + first, escape(said.cost) + quick)
    table.caption = (
        "toyflow sweep --preset NAME, and --quick for the short version; the files are in experiments/"
    )
    table.caption_justify = "left"
    return table
