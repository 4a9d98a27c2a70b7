"""`toyflow report`: one HTML page and one Markdown file about everything in a folder of results.

Both are made from the same `Page`. The HTML file holds its figures and needs nothing else; the Markdown file
links to what `toyflow plot` has drawn. The same results give the same bytes: there is no date and no path of
a machine. Both end with a digest of the results, which shows whether they are older than these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from toyflow.atomic import atomic_file
from toyflow.report.claims import Claim, Judged, Paper, judge_all
from toyflow.report.digest import digest_of
from toyflow.report.episode_tables import robot_views
from toyflow.report.evidence import Testbed
from toyflow.report.forest import Forest, forest_of
from toyflow.report.headline import FILE, Named, headline_frame, headline_table
from toyflow.report.judgement import Judgement
from toyflow.report.losses import trained_only, write_loss_pages
from toyflow.report.page_claims import (
    PartView,
    Source,
    answer,
    groups_of,
    margins_of,
    open_questions,
    parts_of,
    tally,
    testbeds_of,
    without_data,
)
from toyflow.report.page_figures import draw_overview, drawn, probed
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
from toyflow.report.pictures import FigureView
from toyflow.report.results import Results, load_results
from toyflow.report.stored_anatomies import read_anatomies
from toyflow.report.write import write_csv
from toyflow.sweep.inspection import results_folders
from toyflow.sweep.presets import available_presets
from toyflow.sweep.store import Store

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
    named: Sequence[Named] = ()
    """Of a headline folder: its contrasts, tested together."""

    @property
    def anchor(self) -> str:
        """Anchor of the section's heading in the page."""
        return _anchor(self.name)


@dataclass(frozen=True)
class Page:
    """The report."""

    name: str
    paper: Paper | None
    answer: str
    """The title's question answered by the verdicts, in a sentence; empty where none says."""
    tally: str
    """How many claims, and how the verdicts on them are."""
    parts: Sequence[PartView]
    """Claims that the results bear on."""
    forest: Forest
    """The same on one screen."""
    testbeds: Sequence[Testbed]
    """The tasks on which they are judged."""
    margins: str
    """Within what scores on these are as good as each other; empty where there are none."""
    numbers: Sequence[TableView]
    """Tables of the paper's numbers beside these."""
    undecided: Sequence[tuple[Claim, Judgement]]
    without_data: Sequence[tuple[Claim, str, str]]
    """Claims, on which tasks there is no data, and what would have to be run."""
    sections: Sequence[Section]
    overview: FigureView | None
    """Where the results are of several tasks."""
    digest: str
    """See `digest_of`."""


def write_pages(out: Path, paper: Paper | None = None) -> list[Path]:
    """Write OUT/report.html and OUT/report.md, the overview figure of `paper` where the results are of
    several tasks, and into each headline folder tables/headline_contrasts.csv; the files, in order.

    Args:
        out: a results folder, or a folder of some.
        paper: what the results are held against; without, the page has no claims.

    Raises:
        UsageError: no results there.
        DamagedError: a result's file is missing or altered.
    """
    if (out / "cells").is_dir() and (trained := trained_only(Store(out))):
        return write_loss_pages(out, trained)
    page = build_page(out, paper)
    written = [out / paper.overview.file] if paper and page.overview else []
    folders = {_name(folder, out): folder for folder in results_folders(out)}
    written += [
        write_csv(headline_frame(section.named), folders[section.name] / "tables" / f"{FILE}.csv")
        for section in page.sections
        if section.named
    ]
    for name, render in (("report.html", html), ("report.md", markdown)):
        path = out / name
        with atomic_file(path) as temporary:
            temporary.write_text(render(page), encoding="utf-8")
        written.append(path)
    return written


def build_page(out: Path, paper: Paper | None = None, pixels: bool = True) -> Page:
    """Everything that the report says. The figure of all tasks together is written. Without `pixels` nothing
    is, and the page's pictures are empty; the rest is the same. Other arguments and errors are those of
    `write_pages`."""
    folders = {_name(folder, out): folder for folder in results_folders(out)}
    results = {name: load_results(folder) for name, folder in folders.items()}
    anatomies = {name: read_anatomies(folder) for name, folder in folders.items()}
    judged = judge_all(paper, results, anatomies) if paper else Judged((), {})
    sources = {name: Source(name, _anchor(name), _command(folder)) for name, folder in folders.items()}
    parts = parts_of(judged.claims, sources)
    testbeds = testbeds_of(parts)
    beside = [
        replace(table, caption=f"{table.caption} ({name})" if len(results) > 1 else table.caption)
        for name, found in results.items()
        for table in (paper.tables(found) if paper else ())
    ]
    return Page(
        name=out.resolve().name,
        paper=paper,
        answer=answer(parts),
        tally=tally(paper, parts),
        parts=parts,
        forest=forest_of(groups_of(parts), pixels),
        testbeds=testbeds,
        margins=margins_of(testbeds) if testbeds else "",
        numbers=beside,
        undecided=open_questions(parts),
        without_data=without_data(judged.claims),
        sections=[
            _section(sources[name], folders[name], found, judged.headlines.get(name, ()), out, pixels)
            for name, found in results.items()
        ],
        overview=draw_overview(paper.overview, results, out, pixels) if paper else None,
        digest=digest_of(out, folders.values()),
    )


def _name(folder: Path, out: Path) -> str:
    return out.resolve().name if folder == out else folder.relative_to(out).as_posix()


def _anchor(name: str) -> str:
    return "results-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _section(
    source: Source, folder: Path, results: Results, named: Sequence[Named], out: Path, pixels: bool
) -> Section:
    models = {evaluation.training.folder: evaluation.training for evaluation in results.evaluations}
    trainings = list(models.values())
    task = trainings[0].record.task
    seeds = len({training.record.seed for training in trainings})
    summary = (
        f"Task {task}: {len(trainings)} trained model{'s' * (len(trainings) != 1)} on {seeds} "
        f"seed{'s' * (seeds != 1)}, {len(results.frame)} decodings of "
        f"{distinct(results.frame['examples'])} test examples each."
    )
    headline = [headline_table(named)] if named else []
    views = [*headline, scores(results), *one_against_many(results), *other_metrics(results), costs(results)]
    return Section(
        name=source.name,
        summary=summary,
        command=source.command,
        tables=[*views, *robot_views(results)],
        figures=[*drawn(results, folder, out, pixels), *probed(folder, out, pixels)],
        configuration=configuration(results, trainings),
        versions=versions(trainings),
        named=named,
    )


def _command(folder: Path) -> str | None:
    """The command of the preset that is named like the folder, with the name of the folder around it or
    without; None where there is none."""
    folder, presets = folder.resolve(), available_presets()
    name = next(
        (name for name in (f"{folder.parent.name}-{folder.name}", folder.name) if name in presets), None
    )
    quick = " --quick" if folder.parent.name == "quick" else ""
    return None if name is None else f"toyflow sweep --preset {name}{quick}"


def html(page: Page) -> str:
    """The page as one self-contained HTML file."""
    return _render(page, "report.html.j2")


def markdown(page: Page) -> str:
    """The page as Markdown."""
    return _render(page, "report.md.j2")


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
