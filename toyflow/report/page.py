"""`toyflow report`: one HTML page and one Markdown file of everything that results say.

Both are made from the same `Page`. The HTML file holds its figures and needs nothing else; the Markdown file
links to what `toyflow plot` has drawn. The same results give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from toyflow.atomic import atomic_file
from toyflow.report.claims import Claim, Judgement, Paper, judge_all
from toyflow.report.episode_tables import robot_views
from toyflow.report.page_figures import FigureView, draw_overview, drawn, probed
from toyflow.report.page_tables import (
    TableView,
    configuration,
    costs,
    distinct,
    one_against_many,
    other_metrics,
    scores,
    versions,
)
from toyflow.report.results import Results, load_results, results_folders
from toyflow.sweep.presets import available_presets

TEMPLATES = Path(__file__).parent / "templates"


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
        """Anchor of the section's heading in the page."""
        return "results-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """The report."""

    name: str
    paper: Paper | None
    tally: str
    """How many claims, and how the verdicts on them are."""
    findings: Sequence[tuple[Claim, Judgement]]
    """Claims that the results bear on."""
    without_data: Sequence[tuple[Claim, Judgement]]
    sections: Sequence[Section]
    overview: FigureView | None
    """Where the results are of several tasks."""


def write_pages(out: Path, paper: Paper | None = None) -> list[Path]:
    """Write OUT/report.html and OUT/report.md, and the overview figure of `paper` where the results are of
    several tasks; the files, in order.

    Args:
        out: a results folder, or a folder of some.
        paper: what the results are held against; without, the page has no claims.

    Raises:
        UsageError: no results there.
        DamagedError: a result's file is missing or altered.
    """
    page = build_page(out, paper)
    written = [out / paper.overview.file] if paper and page.overview else []
    for name in ("report.html", "report.md"):
        path = out / name
        with atomic_file(path) as temporary:
            temporary.write_text(_render(page, f"{name}.j2"), encoding="utf-8")
        written.append(path)
    return written


def build_page(out: Path, paper: Paper | None = None) -> Page:
    """Everything that the report says; the figures are drawn, and that of all tasks together is written.
    Arguments and errors are those of `write_pages`."""
    folders = {_name(folder, out): folder for folder in results_folders(out)}
    results = {name: load_results(folder) for name, folder in folders.items()}
    judged = judge_all(paper.claims, results) if paper else []
    bearing = [each for each in judged if each[1].verdict != "no data here"]
    return Page(
        name=out.resolve().name,
        paper=paper,
        tally=_tally([judgement for _, judgement in bearing]),
        findings=bearing,
        without_data=[each for each in judged if each[1].verdict == "no data here"],
        sections=[_section(name, folders[name], found, out, paper) for name, found in results.items()],
        overview=draw_overview(paper.overview, results, out) if paper else None,
    )


def _name(folder: Path, out: Path) -> str:
    return out.resolve().name if folder == out else folder.name


def _tally(judgements: Sequence[Judgement]) -> str:
    """`14 claims: 9 agree, 2 disagree, 3 undecided`."""
    verdicts = [judgement.verdict.split(" (")[0] for judgement in judgements]
    counts = [f"{verdicts.count(v)} {v}" for v in ("agree", "disagree", "undecided") if v in verdicts]
    number = f"{len(verdicts)} claim{'' if len(verdicts) == 1 else 's'}"
    return f"These results bear on {number}: {', '.join(counts)}." if counts else "They bear on no claim."


def _section(name: str, folder: Path, results: Results, out: Path, paper: Paper | None) -> Section:
    models = {evaluation.training.folder: evaluation.training for evaluation in results.evaluations}
    trainings = list(models.values())
    task = trainings[0].record.task
    seeds = len({training.record.seed for training in trainings})
    summary = (
        f"Task {task}: {len(trainings)} trained model{'s' * (len(trainings) != 1)} on {seeds} "
        f"seed{'s' * (seeds != 1)}, {len(results.frame)} decodings of "
        f"{distinct(results.frame['examples'])} test examples each."
    )
    views = [scores(results), *one_against_many(results), *other_metrics(results), costs(results)]
    views += [*robot_views(results), *(paper.tables(results) if paper else ())]
    return Section(
        name=name,
        summary=summary,
        command=_command(folder.resolve()),
        tables=views,
        figures=[*drawn(results, folder, out), *probed(folder, out)],
        configuration=configuration(results, trainings),
        versions=versions(trainings),
    )


def _command(folder: Path) -> str | None:
    """The command of the preset that is named like the folder; empty where there is none."""
    if folder.name not in available_presets():
        return None
    return f"toyflow sweep --preset {folder.name}" + (" --quick" if folder.parent.name == "quick" else "")


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
