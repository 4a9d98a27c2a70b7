"""`toyflow schedules`: the schedules, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import torch
from rich.markup import escape
from rich.table import Table

from toyflow import plugins
from toyflow.errors import ToyflowError
from toyflow.flow import Schedule, parse_schedule
from toyflow.flow.schedules.base import has_defaults, signature

SHOWN: tuple[str, ...] = (
    "uniform", "beta", "shift:3", "shift:4", "shift:8", "shift:4@beta", "shift:8@beta", "logit-normal:0:1",
    "logit-normal:-1:1", "mode:1.29", "edm", "pi0", "groot-n1", "groot-n1.7",
)  # fmt: skip
BARS = " ▁▂▃▄▅▆▇█"


def schedules_table(names: Iterable[str] | None = None) -> Table:
    """A row per schedule. Without names: those of the paper, one of each other family, and every plug-in; of
    one that needs numbers, how its names are written."""
    chosen = list(names or ())
    families = [] if chosen else _plug_ins({name.split(":")[0] for name in SHOWN})
    schedules = [parse_schedule(name) for name in chosen or SHOWN]
    schedules += [family() for family in families if has_defaults(family)]
    title = "Schedules of the training time t (0 = noise, 1 = data; s = 1 - t)"
    table = Table(title=title, title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("density, t: 0 to 1", no_wrap=True)
    table.add_column("median s", justify="right")
    table.add_column("P(s > 0.9)", justify="right")
    table.add_column("source, and which way it counts time")
    for schedule in schedules:
        median = 1 - float(schedule.icdf(torch.tensor([0.5], dtype=torch.float64)))
        numbers = (f"{median:.2f}", f"{schedule.noise_mass():.3f}")
        table.add_row(escape(schedule.name), sparkline(schedule), *numbers, escape(schedule.source))
    for family in families:
        if not has_defaults(family):
            table.add_row(escape(signature(family)), "by its numbers", "", "", escape(family.source))
    table.caption = escape(
        "Any numbers go: beta:a:b, shift:alpha[@base], logit-normal:m:s (logit t ~ N(m, s^2)), mode:c."
    )
    table.caption_justify = "left"
    return table


def sparkline(schedule: Schedule, bins: int = 20) -> str:
    """The schedule's mass in `bins` equal parts of [0, 1], as a row of bars; works without a density."""
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    mass = schedule.cdf(edges).diff(prepend=torch.zeros(1))[1:]
    mass[0] += schedule.cdf(edges[:1])[0]
    levels = (mass / mass.max() * (len(BARS) - 1)).round().long()
    return "".join(BARS[level] for level in levels)


def _plug_ins(without: set[str]) -> list[type[Schedule]]:
    """The families under other keys than `without`, each once."""
    families: list[type[Schedule]] = []
    for key in sorted(set(plugins.available("schedules")) - without):
        with suppress(ToyflowError):  # one that cannot be imported: `toyflow doctor` says so
            family = plugins.load("schedules", key)
            if family.key == key:  # and not its older name
                families.append(family)
    return families
