"""Writes FOLDER/explore.html: data, charts, script and tables in one file that loads nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toyflow.atomic import atomic_file
from toyflow.footnotes import Footnotes
from toyflow.report.explore.charts import charts
from toyflow.report.explore.films import Films, find_films
from toyflow.report.explore.studies import Decoded, Study, Unread, read_studies
from toyflow.report.explore.vega import vega_library
from toyflow.report.tables import INTERVAL_NOTES
from toyflow.sweep.inspection import results_folders
from toyflow.sweep.timing_doubts import MARK, doubts_in_words

FILE = "explore.html"
MOST_BYTES = 3_500_000
"""Of all denoised examples of a page together; each study has an equal share."""
TEMPLATES = Path(__file__).parent / "templates"
TEMPLATES_OF_PAGES = Path(__file__).parents[1] / "templates"
"""What this page and the report share."""


@dataclass(frozen=True)
class NumbersTable:
    """All numbers of a study, for whoever reads tables."""

    study: Study
    rows: Sequence[Sequence[str]]
    has_variants: bool
    others: list[str]
    """The names of metrics beside the headline."""
    notes: Sequence[str]


@dataclass(frozen=True)
class Field:
    """Something to choose for A and for B, and what it means."""

    name: str
    title: str
    means: str


FIELDS = (
    Field("variant", "Variant", "what else differs here: options of the task, the network or the sampler"),
    Field("objective", "Objective", "what training makes small; flow is flow matching"),
    Field(
        "schedule", "Schedule",
        "at which noise levels the network practises: uniform, at all alike; shift:8, mostly near pure noise",
    ),
    Field(
        "prediction", "Prediction",
        "what the network says: velocity, the direction from noise to answer, or data, the answer itself",
    ),
    Field("steps", "Steps K", "network calls in a row for an answer; K = 1 is the fastest"),
    Field("draws", "Draws M", "answers, each from its own noise, that are averaged"),
)  # fmt: skip


def write_explore(out: Path) -> Path:
    """Write OUT/explore.html from what lies in `out`, and return its path.

    Args:
        out: a results folder, or a folder of some. Of several, the page names those that cannot be read.

    Raises:
        UsageError: there are no results that can be read.
        DamagedError: the only results there are damaged.
    """
    folders = {
        out.resolve().name if folder == out else folder.relative_to(out).as_posix(): folder
        for folder in results_folders(out)
    }
    studies, unread = read_studies(folders)
    readable = {study.name: folders[study.name] for study in studies}
    path = out / FILE
    with atomic_file(path) as temporary:
        temporary.write_text(
            explore_page(out.resolve().name, studies, unread, find_films(readable)), encoding="utf-8"
        )
    return path


def explore_page(name: str, studies: Sequence[Study], unread: Sequence[Unread], films: Films) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, TEMPLATES_OF_PAGES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    data = {
        "studies": [study.data(MOST_BYTES // len(studies)) for study in studies],
        "charts": charts(),
        "first": _to_begin_with(studies),
    }
    return environment.get_template("explore.html.j2").render(
        name=name,
        studies=studies,
        tables=[_table(study) for study in studies],
        unread=unread,
        films=films,
        rows_of_fields=(FIELDS[:1], FIELDS[1:]),  # a variant may be long
        data=_embedded(data),
        library=Markup(vega_library().replace("</script", "<\\/script")),
        script=Markup((TEMPLATES / "explore.js").read_text(encoding="utf-8")),
    )


def _embedded(data: Mapping[str, Any]) -> Markup:
    """JSON that no HTML ends."""
    return Markup(json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))


def _to_begin_with(studies: Sequence[Study]) -> int:
    """The place of the study that has most to show."""
    shown = [(len(each.denoising), len(each.anatomies), len(each.errors_by_noise)) for each in studies]
    return shown.index(max(shown))


def _table(study: Study) -> NumbersTable:
    marks = Footnotes()
    others = list(dict.fromkeys(name for decoded in study.decoded for name in decoded.others))
    rows = [_row(study, decoded, others, marks) for decoded in study.decoded]
    methods = {decoded.interval for decoded in study.decoded}
    intervals = "; ".join(words for method, words in INTERVAL_NOTES.items() if method in methods)
    notes = [
        marks.after(f"95 % intervals: {intervals}."),
        doubts_in_words(each.doubt for each in study.decoded),
    ]
    return NumbersTable(
        study, rows, any(each.variant for each in study.settings), others, [note for note in notes if note]
    )


def _row(study: Study, decoded: Decoded, others: Sequence[str], marks: Footnotes) -> list[str]:
    setting = study.settings[decoded.setting]
    score = "" if decoded.score is None else f"{100 * decoded.score:.1f}{marks.mark(decoded.caveat)}"
    interval = ""
    if decoded.low is not None and decoded.high is not None:
        interval = f"{100 * decoded.low:.1f} to {100 * decoded.high:.1f}"
    ms = f"{_short(decoded.ms)}{MARK if decoded.ms is not None and decoded.doubt else ''}"
    return [
        setting.label,
        setting.variant,
        str(decoded.steps),
        str(decoded.draws),
        str(decoded.seeds),
        score,
        interval,
        *(_short(decoded.others.get(name)) for name in others),
        str(decoded.calls),
        ms,
        *_probed(study, decoded),
    ]


def _short(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"


def _probed(study: Study, decoded: Decoded) -> list[str]:
    """Leak, bias^2 and spread of one step, beside K = 1 and one draw; "" elsewhere."""
    found = study.anatomies.get(decoded.setting)
    if found is None or decoded.steps != 1 or decoded.draws != 1:
        return ["", "", ""]
    together = f"{found.parts['bias_and_spread']:.3g} together" if "bias_and_spread" in found.parts else ""
    split = [f"{found.parts[name]:.3g}" if name in found.parts else together for name in ("bias", "spread")]
    return [f"{found.parts['leak']:.3g}", *split]
