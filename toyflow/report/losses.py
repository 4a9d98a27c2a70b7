"""Trainings without an evaluation, such as those of policies that no simulator is for: how their loss fell.

`toyflow plot` and `toyflow report` show this of a results folder in which nothing was decoded.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment
from matplotlib.figure import Figure
from rich.table import Table

from toyflow.atomic import atomic_file
from toyflow.report.results import training_variants
from toyflow.report.style import Style, save
from toyflow.report.training_figures import loss_figure
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining

SENTENCE = "Nothing was evaluated here, so there is no score. Losses of one objective can be compared."

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}: training</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
th, td { text-align: left; padding: .25rem .7rem; } img { max-width: 100%; }
</style></head>
<body>
<h1>{{ name }}</h1>
<p>{{ sentence }}</p>
<div style="overflow-x: auto"><table>
<tr>{% for name in head %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if picture %}
<p><img alt="training loss against iteration" src="data:image/png;base64,{{ picture }}"></p>
{% endif %}
</body>
</html>
"""


def trained_only(store: Store) -> list[StoredTraining]:
    """The trainings of a results folder that has no evaluation; empty where it has one."""
    trainings = list(store.trainings())
    return trainings if not any(next(iter(store.evaluations(each)), None) for each in trainings) else []


def losses(trainings: Sequence[StoredTraining]) -> pd.DataFrame:
    """A row per training: label, variant, seed, final_loss, iterations, training_seconds, key."""
    return pd.DataFrame(
        [
            {
                "label": training.record.label,
                "variant": variant,
                "seed": training.record.seed,
                "final_loss": training.details.get("final_loss", float("nan")),
                "iterations": training.record.recipe.get("iterations"),
                "training_seconds": training.details["seconds"],
                "key": training.record.key,
            }
            for training, variant in zip(trainings, training_variants(trainings), strict=True)
        ]
    )


def losses_table(frame: pd.DataFrame) -> Table:
    """`losses` for the terminal."""
    table = Table(box=None, pad_edge=False)
    has_variants = bool(frame["variant"].any())
    for name in ("schedule", *(["variant"] * has_variants), "seed", "final loss", "seconds", "cell"):
        table.add_column(name, justify="right" if name in ("seed", "final loss", "seconds") else "left")
    for row in frame.to_dict("records"):
        variant = [row["variant"]] * has_variants
        numbers = f"{row['seed']}", f"{row['final_loss']:.4f}", f"{row['training_seconds']:.0f}"
        table.add_row(row["label"], *variant, *numbers, row["key"])
    return table


def write_losses(out: Path, trainings: Sequence[StoredTraining], formats: Sequence[str]) -> list[Path]:
    """Write OUT/figures/training_curves.* and OUT/tables/losses.csv; the files, in order."""
    written: list[Path] = []
    figure = _drawn(trainings)
    (out / "figures").mkdir(exist_ok=True)
    if figure is not None:
        written = [save(figure, out / "figures" / f"training_curves.{each}") for each in formats]
        plt.close(figure)
    (out / "tables").mkdir(exist_ok=True)
    path = out / "tables" / "losses.csv"
    with atomic_file(path) as temporary:
        losses(trainings).to_csv(temporary, index=False, float_format="%.6g")
    return [*written, path]


def write_loss_pages(out: Path, trainings: Sequence[StoredTraining]) -> list[Path]:
    """Write OUT/report.html and OUT/report.md; the files, in order."""
    frame, picture = losses(trainings).drop(columns="key"), io.BytesIO()
    figure = _drawn(trainings)
    if figure is not None:
        figure.savefig(picture, dpi=120)
        plt.close(figure)
    page = Environment(autoescape=True).from_string(_PAGE)
    rows = [[f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
            for row in frame.itertuples(index=False)]  # fmt: skip
    lines = ["| " + " | ".join(row) + " |" for row in (list(frame), ["---"] * len(frame.columns), *rows)]
    text = f"# {out.resolve().name}\n\n{SENTENCE}\n\n" + "\n".join(lines) + "\n"
    if figure is not None:
        text += "\n![training loss](figures/training_curves.png)\n"
    html = page.render(
        name=out.resolve().name,
        sentence=SENTENCE,
        head=list(frame),
        rows=rows,
        picture=base64.b64encode(picture.getvalue()).decode(),
    )
    written = []
    for name, content in (("report.html", html), ("report.md", text)):
        with atomic_file(out / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
        written.append(out / name)
    return written


def _drawn(trainings: Sequence[StoredTraining]) -> Figure | None:
    curves = [
        training.curve().assign(label=training.record.label, variant=variant, seed=training.record.seed)
        for training, variant in zip(trainings, training_variants(trainings), strict=True)
    ]
    table = pd.concat(curves)
    return loss_figure(table, Style(table["label"])) if len(table) else None
