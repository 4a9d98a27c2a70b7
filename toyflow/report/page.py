"""`toyflow report`: one HTML page and one Markdown file of everything that results say.

Both are made from the same `Page`. The HTML file holds its figures and needs nothing else; the Markdown file
links to what `toyflow plot` has drawn. The same results give the same bytes.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import colors
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

from toyflow import stats
from toyflow.atomic import atomic_file
from toyflow.errors import UsageError
from toyflow.report import figures, tables
from toyflow.report.evidence import MANY, Judgement
from toyflow.report.findings import Finding, judge_all
from toyflow.report.results import CELL, Results, load_results
from toyflow.report.tables import in_words
from toyflow.sweep.options import available_presets
from toyflow.sweep.store import Store, StoredTraining

TEMPLATES = Path(__file__).parent / "templates"
NONE = "\u2013"
"""In a table: not known, or does not apply."""
LONG = 40
"""A table of more rows than this is folded."""
SHARPEST, MOST_PIXELS, PALETTE = 144, 2.5e6, 96
"""Dots per inch, pixels and colours of an embedded figure, so that the page stays small."""


@dataclass(frozen=True)
class TableView:
    """A table as text; the first `names` columns name a row, the others hold numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    note: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it is folded."""
        return len(self.rows) > LONG


@dataclass(frozen=True)
class FigureView:
    """A figure: data URIs for light and dark pages, and where `toyflow plot` has put it, if it has."""

    title: str
    alt: str
    light: str
    dark: str
    width: int
    """In CSS pixels; narrower than half of it, its text cannot be read."""
    path: str | None


@dataclass(frozen=True)
class Section:
    """One results folder."""

    name: str
    summary: str
    command: str | None
    tables: Sequence[TableView]
    figures: Sequence[FigureView]
    configuration: TableView
    versions: TableView

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return "results-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """The report."""

    name: str
    tally: str
    findings: Sequence[tuple[Finding, Judgement]]
    """Those that the results bear on."""
    without_data: Sequence[tuple[Finding, Judgement]]
    sections: Sequence[Section]


def write_pages(out: Path) -> list[Path]:
    """Write OUT/report.html and OUT/report.md; `out` is a results folder or holds some.

    Raises:
        UsageError: no results there.
        DamagedError: a result's file is missing or altered.
    """
    page = build_page(out)
    written: list[Path] = []
    for name in ("report.html", "report.md"):
        path = out / name
        with atomic_file(path) as temporary:
            temporary.write_text(_render(page, f"{name}.j2"), encoding="utf-8")
        written.append(path)
    return written


def build_page(out: Path) -> Page:
    """Everything that the report says, the figures drawn. Raises as `write_pages`."""
    folders = {_name(folder, out): folder for folder in results_folders(out)}
    results = {name: load_results(Store(folder)) for name, folder in folders.items()}
    judged = judge_all(results)
    bearing = [each for each in judged if each[1].verdict != "no data here"]
    return Page(
        name=out.resolve().name,
        tally=_tally([judgement for _, judgement in bearing]),
        findings=bearing,
        without_data=[each for each in judged if each[1].verdict == "no data here"],
        sections=[_section(name, folders[name], found, out) for name, found in results.items()],
    )


def results_folders(out: Path) -> list[Path]:
    """`out` itself if it is a results folder, and those directly in it, by name.

    Raises:
        UsageError: there is none.
    """
    try:
        inside = sorted(path for path in out.iterdir() if path.is_dir()) if out.is_dir() else []
    except OSError as error:
        raise UsageError(f"cannot look into {out}: {error.strerror or error}.") from error
    found = [folder for folder in (out, *inside) if (folder / "cells").is_dir()]
    if not found:
        raise UsageError(f"{out} holds no results. `toyflow sweep --out {out}` makes some.")
    return found


def _name(folder: Path, out: Path) -> str:
    return out.resolve().name if folder == out else folder.name


def _tally(judgements: Sequence[Judgement]) -> str:
    """`14 claims: 9 agree, 2 disagree, 3 undecided`."""
    verdicts = [judgement.verdict.split(" (")[0] for judgement in judgements]
    counts = [f"{verdicts.count(v)} {v}" for v in ("agree", "disagree", "undecided") if v in verdicts]
    number = f"{len(verdicts)} claim{'' if len(verdicts) == 1 else 's'}"
    return f"These results bear on {number}: {', '.join(counts)}." if counts else "They bear on no claim."


def _section(name: str, folder: Path, results: Results, out: Path) -> Section:
    models = {evaluation.training.folder: evaluation.training for evaluation in results.evaluations}
    trainings = list(models.values())
    task = trainings[0].record.task
    seeds = len({training.record.seed for training in trainings})
    summary = (
        f"Task {task}: {len(trainings)} trained model{'s' * (len(trainings) != 1)} on {seeds} "
        f"seed{'s' * (seeds != 1)}, {len(results.frame)} decodings of "
        f"{_distinct(results.frame['examples'])} test examples each."
    )
    views = [_scores(results), *_one_against_many(results), *_other_metrics(results), _costs(results)]
    return Section(
        name=name,
        summary=summary,
        command=_command(folder.resolve()),
        tables=views,
        figures=[*_drawn(results, folder, out), *_probed(folder, out)],
        configuration=_configuration(results, trainings),
        versions=_versions(trainings),
    )


def _command(folder: Path) -> str | None:
    """Of the preset that is named like the folder, if there is one."""
    if folder.name not in available_presets():
        return None
    return f"toyflow sweep --preset {folder.name}" + (" --quick" if folder.parent.name == "quick" else "")


def _names(frame: pd.DataFrame) -> list[str]:
    """Columns that name a row: the law, and the variant where there are several."""
    return CELL if frame["variant"].nunique() > 1 else CELL[:1]


def _heads(names: Sequence[str]) -> list[str]:
    return ["law" if name == "label" else name for name in names]


def _scores(results: Results) -> TableView:
    table = tables.summary(results)
    names, steps = _names(table), sorted(table["steps"].unique())
    rows = []
    for _, group in table.groupby(CELL, sort=False):
        by_steps = {row["steps"]: row for _, row in group.iterrows()}
        cells = [_percent(by_steps[k]) if k in by_steps else NONE for k in steps]
        rows.append([*group[names].iloc[0].astype(str), str(group["seeds"].max()), *cells])
    kinds = {
        "t over seeds": "Student's t over seeds, on this test set",
        "Wilson": "with one seed Wilson's, of test-set error only",
    }
    note = (
        "Intervals at 95 %: " + "; ".join(kinds[kind] for kind in sorted(set(table["interval"]))[::-1]) + "."
    )
    columns = [*_heads(names), "seeds", *(f"K = {k}" for k in steps)]
    return TableView(f"Scores: {in_words(results.metric)} in %, by steps K", columns, rows, len(names), note)


def _percent(row: pd.Series) -> str:
    """`88.2 [86.7, 89.7]`; without bounds where seeds show no spread."""
    score, low, high = (100 * row[column] for column in ("score", "low", "high"))
    return f"{score:.1f}" if low == high else f"{score:.1f} [{low:.1f}, {high:.1f}]"


def _one_against_many(results: Results) -> Iterable[TableView]:
    steps = set(results.frame["steps"])
    many = MANY if MANY in steps else max(steps)
    models = tables.paired(results, 1, many) if many > 1 else pd.DataFrame()
    if models.empty:
        return
    names, rows = _names(models), []
    for _, group in models.groupby(CELL, sort=False):
        over = tables.paired_over_seeds(group)
        for _, row in (over if len(over) else group).iterrows():
            p = row["t_test_p" if len(over) else "mcnemar_p"]
            low, mid, high = (100 * row[column] for column in ("low_90", "difference", "high_90"))
            seed = str(len(group)) if len(over) else f"seed {row['seed']}"
            interval = f"{mid:+.1f}" if low == high else f"{mid:+.1f} [{low:+.1f}, {high:+.1f}]"
            rows.append(
                [
                    *row[names].astype(str),
                    seed,
                    interval,
                    "<0.001" if p < 0.001 else f"{p:.3f}",
                    row["verdict"],
                ]
            )
    yield TableView(
        f"K = 1 against K = {many}, same models, same noise",
        [*_heads(names), "seeds", "difference, points [90 %]", "p", "K = 1 is"],
        rows,
        len(names),
        "The seed is the unit (t-test over seeds); a single seed is tested by McNemar and speaks of that "
        f"model only. Equivalent: the interval lies within {100 * tables.MARGIN:g} points of zero; else "
        "better or worse where p < 0.05, else undecided.",
    )


def _other_metrics(results: Results) -> Iterable[TableView]:
    metrics = list(dict.fromkeys(name for e in results.evaluations for name in e.details["metrics"]))
    metrics.remove(results.metric)
    if not metrics:
        return
    names = _names(results.frame)
    rows = [
        [
            *group[names].iloc[0].astype(str),
            str(group["steps"].iloc[0]),
            *(_mean(group[name]) for name in metrics),
        ]
        for _, group in results.frame.groupby([*CELL, "steps"], sort=False)
    ]
    columns = [*_heads(names), "K", *map(in_words, metrics)]
    note = "Means over seeds, where there are several with Student's t interval at 95 %."
    yield TableView("Other metrics", columns, rows, len(names), note)


def _mean(values: pd.Series) -> str:
    values = values.dropna()
    if values.empty:
        return NONE
    digits = ".4f" if abs(values.mean()) < 1 else ".4g"
    if len(values) == 1 or np.ptp(values) == 0:
        return f"{values.mean():{digits}}"
    interval = stats.over_seeds(values.tolist())
    return f"{interval.estimate:{digits}} [{interval.low:{digits}}, {interval.high:{digits}}]"


def _costs(results: Results) -> TableView:
    details = [evaluation.training.details for evaluation in results.evaluations]
    recipes = [evaluation.training.record.recipe for evaluation in results.evaluations]
    drawn = [recipe.get("iterations", np.nan) * recipe.get("batch_size", 1) for recipe in recipes]
    passes = [training.get("training_passes", {}) for training in details]
    frame = results.frame.assign(
        forward=[each.get("forward", np.nan) for each in passes],
        backward=[each.get("backward", np.nan) for each in passes],
        training=[
            training.get("training_flops", np.nan) * n / 1e9
            for training, n in zip(details, drawn, strict=True)
        ],
        decoding=[
            (training.get("encode_flops", np.nan) + calls * training.get("call_flops", np.nan)) / 1e6
            for training, calls in zip(details, results.frame["model_calls"], strict=True)
        ],
        ms=1000
        * (results.frame["encode_seconds"] + results.frame["decode_seconds"])
        / results.frame["examples"],
    )
    columns = {
        "score": (f"{in_words(results.metric)}, %", lambda value: f"{100 * value:.1f}"),
        "model_calls": ("NFE", "{:.0f}".format),
        "forward": ("forward passes", "{:g}".format),
        "backward": ("backward passes", "{:g}".format),
        "training": ("training, GFLOP", "{:,.0f}".format),
        "training_seconds": ("training, s", "{:,.0f}".format),
        "parameters": ("parameters", "{:,.0f}".format),
        "decoding": ("decoding, MFLOP", "{:,.1f}".format),
        "ms": ("decoding, ms", "{:.2f}".format),
    }
    names, rows = _names(frame), []
    for _, group in frame.groupby([*CELL, "steps"], sort=False):
        means = group[list(columns)].mean()
        cells = [
            NONE if np.isnan(means[name]) else write(means[name]) for name, (_, write) in columns.items()
        ]
        rows.append([*group[names].iloc[0].astype(str), str(group["steps"].iloc[0]), *cells])
    note = (
        "Means over seeds, so that scores can be read at equal cost. NFE: model calls to decode. Passes: "
        "model calls per training example. Operations are counted on the model, decoding per example with "
        f"its condition encoded; times are of the machines below. {NONE}: not recorded."
    )
    heads = [*_heads(names), "K", *(head for head, _ in columns.values())]
    return TableView("Cost beside score", heads, rows, len(names), note)


def _configuration(results: Results, trainings: Sequence[StoredTraining]) -> TableView:
    records = [training.record for training in trainings]
    decodings = [evaluation.record for evaluation in results.evaluations]
    recipes = [{name.replace("_", " "): f"{v:g}" for name, v in record.recipe.items()} for record in records]
    values: dict[str, Iterable[Any]] = {
        "task": [record.task for record in records],
        "laws": results.frame["label"].unique(),
        "steps": [record.steps for record in decodings],
        "seeds": [record.seed for record in records],
        "sampler": [record.sampler for record in decodings],
        "times": [record.time_sampling for record in records],
        **_by_name([record.data for record in records]),
        **_by_name([record.model for record in records]),
        **_by_name(recipes),
        "recipe version": [record.recipe_version for record in records],
        "test set": [record.test_set for record in decodings],
        "noise seed": [record.noise_seed for record in decodings],
    }
    rows = [[name, _distinct(found)] for name, found in values.items()]
    return TableView("Configuration", ["what", "values"], rows, 2)


def _versions(trainings: Sequence[StoredTraining]) -> TableView:
    environments = _by_name([training.environment for training in trainings])
    rows = [[name.replace("_", " "), _distinct(found)] for name, found in environments.items()]
    return TableView("Versions and machine of the trainings", ["what", "values"], rows, 2)


def _by_name(mappings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    return {name: [mapping[name] for mapping in mappings if name in mapping] for name in names}


def _distinct(values: Iterable[Any]) -> str:
    """Each value once, numbers in their order, names as they come sorted."""
    unique = {value for value in values if value is not None}
    if not unique:
        return NONE
    numbers = all(isinstance(value, int | float | np.number) for value in unique)
    return ", ".join(str(value) for value in sorted(unique, key=None if numbers else str))


def _drawn(results: Results, folder: Path, out: Path) -> Iterable[FigureView]:
    """Every figure that the results allow."""
    labels = list(dict.fromkeys(results.frame["label"]))
    words = {"metric": in_words(results.metric), "laws": ", ".join(labels)}
    with plt.rc_context():
        sns.set_theme(context="paper", style="ticks", font_scale=1.1)
        for drawing in figures.DRAWINGS:
            if results.frame["variant"].nunique() > drawing.most_variants:
                continue
            figure = drawing.draw(results, figures.Style(labels))
            if figure is None:
                continue
            _take_literally(figure)
            figure.canvas.draw()
            figure.set_layout_engine("none")  # it is laid out; once is enough
            light = _picture(figure)
            _turn_greys(figure)
            dark = _picture(figure)
            plt.close(figure)
            title, alt = (_filled(text, words) for text in (drawing.title, drawing.alt))
            path = _linked(folder / "figures" / f"{drawing.name}.png", out)
            yield FigureView(
                title[:1].upper() + title[1:], alt, _uri(light), _uri(dark), _width(figure), path
            )


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


def _probed(folder: Path, out: Path) -> Iterable[FigureView]:
    """What `toyflow probe` has drawn there."""
    path = folder / "probe" / "velocity_error.png"
    if path.is_file():
        picture = path.read_bytes()
        width = Image.open(io.BytesIO(picture)).width * 96 // 160
        alt = "Line charts: error of the learned velocity against noise level, by law."
        yield FigureView("Velocity error by noise level", alt, _uri(picture), "", width, _linked(path, out))


def _linked(path: Path, out: Path) -> str | None:
    return path.relative_to(out).as_posix() if path.is_file() else None


def _picture(figure: Figure) -> bytes:
    """A small PNG without a background."""
    width, height = figure.get_size_inches()
    dots, raw, small = min(SHARPEST, (MOST_PIXELS / (width * height)) ** 0.5), io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=dots, bbox_inches="tight", transparent=True)
    Image.open(raw).quantize(PALETTE, method=Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    return small.getvalue()


def _width(figure: Figure) -> int:
    return round(figure.get_size_inches()[0] * 96)


def _uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _take_literally(figure: Figure) -> None:
    """A `$` in a name begins no formula; those of matplotlib's own tick labels do."""
    for artist in figure.findobj(Text):
        if isinstance(artist, Text) and "mathdefault" not in artist.get_text() and artist.get_text():
            artist.set_parse_math(False)


def _turn_greys(figure: Figure) -> None:
    """Make black white and light greys dark, for a dark page."""
    for artist in figure.findobj(Artist):
        if isinstance(artist, Text):
            artist.set_color(_turned(artist.get_color()))
        elif isinstance(artist, Line2D):
            artist.set_color(_turned(artist.get_color()))
            artist.set_markerfacecolor(_turned(artist.get_markerfacecolor()))
            artist.set_markeredgecolor(_turned(artist.get_markeredgecolor()))
        elif isinstance(artist, Collection | Patch):
            face, edge = artist.get_facecolor(), artist.get_edgecolor()
            artist.set_facecolor(_turned(face))
            artist.set_edgecolor(_turned(edge))


def _turned(color: Any) -> Any:
    """One colour or several; what has a hue, or says none, stays."""
    if isinstance(color, str) and color in ("none", "auto"):
        return color
    rgba = colors.to_rgba_array(color)
    grey = np.ptp(rgba[:, :3], axis=1) < 0.02
    rgba[grey, :3] = 1 - 0.88 * rgba[grey, :3]
    return rgba if len(rgba) != 1 else tuple(rgba[0])


def _render(page: Page, template: str) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": _markdown, "unbroken": _unbroken}
    return environment.get_template(template).render(page=page)


def _markdown(text: str) -> str:
    """Plain text as Markdown that says the same, in a table too."""
    return re.sub(r"([\\`*_\[\]<>|#~$&!])", r"\\\1", " ".join(str(text).split()))


def _unbroken(text: str) -> str:
    """No line ends within `85.2 %` or `K = 1`."""
    return re.sub(r" (?=%)|(?<=\bK) (?== )|(?<=\bK =) ", "\u00a0", text)
