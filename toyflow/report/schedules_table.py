"""`toyflow schedules`: the schedules, side by side."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from rich.markup import escape
from rich.table import Table

from toyflow import plugins
from toyflow.errors import ToyflowError
from toyflow.flow import Schedule, parse_schedule

SHOWN: tuple[str, ...] = (
    "uniform", "beta", "shift:3", "shift:4", "shift:8", "shift:4@beta", "shift:8@beta", "logit-normal:0:1",
    "logit-normal:-1:1", "mode:1.29", "edm", "pi0", "groot", "groot-n1.7",
)  # fmt: skip
BARS = " ▁▂▃▄▅▆▇█"


def schedules_table(names: Iterable[str] | None = None) -> Table:
    """A row per schedule. Without names: those of the paper, one of each other family, and every plug-in
    that needs no number."""
    schedules = [parse_schedule(name) for name in (names or _all_names())]
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
        table.add_row(schedule.name, sparkline(schedule), *numbers, schedule.source)
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


def _all_names() -> list[str]:
    names = list(SHOWN)
    keys = {name.split(":")[0] for name in names}
    for key in sorted(set(plugins.available("schedules")) - keys):
        try:
            names.append(parse_schedule(key).name)
        except ToyflowError:  # it needs a number, or cannot be imported: `toyflow doctor` says which
            continue
    return names
