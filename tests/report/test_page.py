"""`toyflow report`'s files, from results folders made by hand."""

import base64
import io
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from toyflow.atomic import DamagedError
from toyflow.errors import UsageError
from toyflow.report import figures, pictures
from toyflow.report.page import build_page, write_pages
from toyflow.report.page_tables import configuration, costs
from toyflow.report.paper import PAPER
from toyflow.report.results import load_results
from toyflow.sweep.inspection import results_folders
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained

N = 100
HOSTILE = "<script>alert(1)</script>|$\\frac$|`*_[x](http://example.org)"
VOID = {"meta", "img", "source", "br", "link", "hr", "input"}


def fill(folder, hostile=False, cost=True, seeds=2):
    """A results folder with two schedules, a control, and an encoder of another size."""
    store = Store(folder)
    store.prepare()
    for seed in range(seeds):
        add(store, "uniform", seed, {1: 0.60 + 0.05 * seed, 10: 0.80}, cost=cost)
        add(store, "shift:4", seed, {1: 0.90, 10: 0.85 + 0.01 * seed}, cost=cost)
        add(store, None, seed, {1: 0.7}, cost=cost)
        if hostile:
            add(store, HOSTILE, seed, {1: 0.5}, encoder=HOSTILE, cost=cost)
    return folder


def add(
    store, schedule, seed, rates, encoder="base", cost=True, prediction=None, grid=None, draws=1, recipe=None
):
    record = TrainingRecord(
        task="grid-to-sequence", model={"encoder": encoder, "decoder": "base", "attention": "cross"},
        objective="flow" if schedule else "regression", schedule=schedule,
        time_sampling="stratified" if schedule else None,
        seed=seed, recipe=recipe or {"iterations": 20.0, "batch_size": 8.0}, prediction=prediction,
    )  # fmt: skip
    curve = pd.DataFrame({"iteration": np.arange(1, 11), "loss": 0.1, "loss_s0.9": 0.2})
    details = {"parameters": 1234, "seconds": 2.0}
    if cost:
        passes = {"forward": 1.5, "backward": 1}
        details |= {"encode_flops": 1e6, "call_flops": 2e6, "training_flops": 5e8, "training_passes": passes}
    environment = {"torch": "9.8.7", "commit": f"abc{seed}", "device_name": None}
    if not store.has_training(record):
        store.write_training(record, Trained({"w": torch.zeros(1)}, curve, details), environment)
    for steps, rate in rates.items():
        right = (np.arange(N) < round(rate * N)).astype(float)
        outcomes = pd.DataFrame({"exact_match": right, "digit_accuracy": 0.99})
        details = {
            "metrics": {"exact_match": float(right.mean()), "digit_accuracy": 0.99}, "examples": N,
            "model_calls": steps, "encode_seconds": 0.1, "decode_seconds": 0.1 * steps,
        }  # fmt: skip
        decoding = EvaluationRecord("euler", steps, grid=grid, draws=draws)
        store.write_evaluation(record, decoding, Evaluated(outcomes, details), {})


class Parsed(HTMLParser):
    """A page's elements; whatever is not closed, or closed twice, is an error."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += "" if {"style", "script"} & {*self.open} else data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Figures of few pixels, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "SHARPEST", 40)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder, HTML, Markdown) of two folders, one of them with hostile names and a probe."""
    out = tmp_path_factory.mktemp("report")
    fill(out / "finding-1")
    fill(out / "hostile & sons", hostile=True, cost=False)
    (out / "finding-1" / "figures").mkdir()
    (out / "hostile & sons" / "probe").mkdir()
    Image.new("RGB", (320, 160)).save(out / "hostile & sons" / "probe" / "velocity_error.png")
    Image.new("RGB", (32, 16)).save(out / "finding-1" / "figures" / "score_by_steps.png")
    (out / "notes").mkdir()
    html, markdown = write_pages(out, PAPER)
    assert (html, markdown) == (out / "report.html", out / "report.md")
    return out, html.read_text(), markdown.read_text()


def test_the_page_parses_and_needs_nothing_else(written):
    parsed = Parsed(written[1])
    for _, attributes in parsed.elements:
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/webp;base64,"))
    assert parsed.all("script") == [{}] and not parsed.all("link") and "@import" not in written[1]
    assert "url(" not in written[1]


def test_links_lead_somewhere(written):
    parsed = Parsed(written[1])
    places = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    links = {attributes["href"] for attributes in parsed.all("a")}
    assert links <= {f"#{place}" for place in places}
    assert {f"#claim-{name}" for name in ("1a", "1b", "1c", "1d", "8", "13a")} <= links


def test_figures_have_words_and_a_dark_form(written):
    parsed = Parsed(written[1])
    strips = [image for image in parsed.all("img") if "height" in image]
    images = [image for image in parsed.all("img") if "height" not in image and "class" not in image]
    assert [bool(strip["alt"]) for strip in strips[::2]] == [False, *[True] * 2, False, *[True] * 4]
    grounds = [picture["class"] for picture in parsed.all("picture")]
    assert grounds == ["on-light", "on-dark"] * (len(strips + images) // 2)
    alone = [image for image in parsed.all("img") if "class" in image]
    assert len(images) == 2 * 8 and len(alone) == 1 and all(image["alt"] for image in images + alone)
    assert len(parsed.all("figcaption")) == 8 + 1
    assert [image["alt"] for image in images[::2]] == [image["alt"] for image in images[1::2]]
    light, black = (decoded(image["src"]) for image in images[:2])
    assert light.shape == black.shape
    opaque = (light[..., 3] > 200) & (black[..., 3] > 200)
    assert light[opaque][:, :3].mean() < black[opaque][:, :3].mean() - 50


def test_the_overview_has_a_form_for_narrow_pages(tmp_path):
    def draw(folders, stacked=False):
        assert set(folders) == {"a", "b"}
        return plt.subplots(figsize=(2, 6) if stacked else (6, 2))[0]

    for name in ("a", "b"):
        fill(tmp_path / name)
    written = write_pages(tmp_path, replace(PAPER, overview=replace(PAPER.overview, draw=draw)))
    assert written[0] == tmp_path / "story.png" and written[0].is_file()
    parsed = Parsed((tmp_path / "report.html").read_text())
    narrow = parsed.all("source")
    assert ["max-width" in each["media"] for each in narrow] == [True, True]
    wide = [each for each in parsed.all("img") if each["alt"] == PAPER.overview.alt]
    for small, large in zip(narrow, wide, strict=True):
        height, width = decoded(small["srcset"]).shape[:2]
        assert height > width
        height, width = decoded(large["src"]).shape[:2]
        assert height < width


def decoded(uri):
    picture = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA")).astype(int)


def test_tables_have_captions_and_heads(written):
    parsed = Parsed(written[1])
    tables = parsed.all("table")
    of_claims, of_folder = 1 + 6 + 1, 6  # of all claims, of each, and of what is undecided
    named = [table for table in tables if {"aria-label", "aria-labelledby"} & {*table}]
    assert len(tables) == len(named) + len(parsed.all("caption")) == of_claims + 2 * of_folder
    assert all("scope" in head for head in parsed.all("th"))
    levels = [int(name[1]) for name, _ in parsed.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_names_stay_text(written):
    _, html, markdown = written
    assert HOSTILE in Parsed(html).text and HOSTILE not in html
    assert "<script" not in markdown.replace("\\<script", "")
    assert "[x](http" not in markdown.replace("\\]", "")
    for lines in re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}
        assert len(counts) == 1


def test_findings_stand_beside_the_papers_claims(written):
    _, html, markdown = written
    text = " ".join(Parsed(html).text.replace("\u00a0", " ").split())
    for words in (
        "Training nearer to the noise raises the score in one step.",
        "uniform 70.2 %, shift:4 85.2 %",
        "shift:4 is right on 90.0 % of the grids, uniform on 62.5 %",
        "shift:4 minus uniform, K = 1: +27.5 points [95 % over seeds and examples: ",
        "It needs flow with encoder = small, base and large.",
    ):
        assert words in text and words in re.sub(r"\\(.)", r"\1", markdown)
    assert "These results bear on 6 claims: 2 agree, 4 undecided." in text
    assert "As good as” and “not worse” mean within 2 points." in text


def test_our_claims_are_told_from_the_papers_wherever_they_stand(written):
    _, html, markdown = written
    named = re.findall(r'<a href="#claim-(\w+)">\1</a> [^<]*(<span class="tag">\(ours\))?', html)
    assert {name for name, tag in named if tag} == {"13a"}
    assert len({*named}) == 6 < len(named), "a claim is ours everywhere or nowhere"
    assert re.findall(r"^\| 13a(.*?): \w", markdown, flags=re.MULTILINE) == [", ours"] * 3


def test_tables_say_what_was_measured(written):
    text = " ".join(Parsed(written[1]).text.replace("\u00a0", " ").split())
    assert "90.0" in text and "62.5 [30.7, 94.3]" in text
    assert "1.5 1 80 2 1,234 3.0 2.00" in text  # passes, GFLOP, seconds, parameters, MFLOP, ms
    assert "\u2013 \u2013 \u2013 2 1,234 \u2013 2.00" in text  # a folder from before costs were kept
    assert "9.8.7" in text and "abc0, abc1" in text and "20" in text
    assert "toyflow sweep --preset finding-1" in text


def test_predictions_grids_and_draws_are_told_where_one_is_not_the_default(tmp_path):
    results = load_results(fill(tmp_path / "r", seeds=1))
    names = {"prediction", "grid", "draws"}
    trainings = [evaluation.training for evaluation in results.evaluations]
    assert not names & {name for name, _ in configuration(results, trainings).rows}
    store = Store(tmp_path / "r")
    add(store, "uniform", 0, {1: 0.7}, draws=8)
    add(store, "uniform", 0, {2: 0.7}, prediction="data", grid="shift:3")
    results = load_results(store)
    found = {name: value for name, value in configuration(results, trainings).rows if name in names}
    assert found == {"prediction": "data, velocity", "grid": "shift:3, uniform", "draws": "1, 8"}
    table = costs(results)
    [averaged] = [row for row in table.rows if "draws=8" in row[1]]
    assert averaged[table.columns.index("decoding, MFLOP")] == "17.0", "a condition, and 8 draws of one call"
    assert averaged[table.columns.index("NFE")] == "1"
    assert "decoding per example" in table.note and "plan" not in table.note


def test_a_headline_folder_has_a_table_of_its_contrasts_on_the_page_and_on_disk(tmp_path):
    written = write_pages(fill(tmp_path / "headline-grid"), PAPER)
    table = tmp_path / "headline-grid" / "tables" / "headline_contrasts.csv"
    assert written == [table, *(tmp_path / "headline-grid" / f"report.{kind}" for kind in ("html", "md"))]
    contrasts = pd.read_csv(table)
    assert contrasts["claim"].tolist() == ["1a", "1b", "1c", "1d", "13a", "13a"]
    assert (contrasts["p_holm"] >= contrasts["p"]).all()
    for path in written[1:]:
        text = path.read_text()
        assert "Contrasts that were named before the run" in text and "over the 6 tests here" in text


def test_markdown_links_only_to_figures_that_exist(written):
    out, _, markdown = written
    links = re.findall(r"!\[[^\n]*\]\(([^)]*)\)", markdown)
    assert links == ["finding-1/figures/score_by_steps.png", "hostile%20%26%20sons/probe/velocity_error.png"]
    assert "data:image" not in markdown and (out / links[0]).is_file()


def test_the_same_results_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "DRAWINGS", figures.DRAWINGS[:1])
    pages = []
    for place in ("here", "there"):
        folder = fill(tmp_path / place / "results", seeds=1)
        pages.append([path.read_bytes() for path in write_pages(folder, PAPER)])
    assert pages[0] == pages[1]
    assert b"undecided (one seed)" in pages[0][0] and len(pages[0][0]) < 1e6
    assert str(tmp_path).encode() not in pages[0][0]


def test_folders(tmp_path):
    with pytest.raises(UsageError, match="holds no results"):
        results_folders(tmp_path)
    with pytest.raises(UsageError, match="holds no results"):
        write_pages(tmp_path / "nowhere")
    for name in ("b", "a"):
        (tmp_path / name / "cells").mkdir(parents=True)
    assert results_folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    (tmp_path / "cells").mkdir()
    assert results_folders(tmp_path)[0] == tmp_path


@pytest.mark.parametrize("name", ["config.json", "curve.csv", "outcomes.csv"])
def test_damaged_results_are_one_line(tmp_path, monkeypatch, name):
    monkeypatch.setattr(figures, "DRAWINGS", [d for d in figures.DRAWINGS if d.name == "training_curves"])
    fill(tmp_path, seeds=1)
    victim = sorted(tmp_path.glob(f"cells/**/{name}"))[0]
    victim.write_text(victim.read_text() + " ")
    with pytest.raises(DamagedError, match=re.escape(name)) as error:
        write_pages(tmp_path)
    assert "\n" not in str(error.value) and not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("quick/dial", "toyflow sweep --preset dial --quick"),
        ("dial", "toyflow sweep --preset dial"),
        ("mine", None),
    ],
)
def test_a_preset_is_named_by_its_folder(tmp_path, monkeypatch, folder, command):
    monkeypatch.setattr(figures, "DRAWINGS", ())
    (tmp_path / folder).mkdir(parents=True)
    for file in write_pages(fill(tmp_path / folder, seeds=1)):
        found = re.findall(r"The preset of this name: (?:<code>|`)(.*?)(?:</code>|`)\.", file.read_text())
        assert found == ([command] if command else [])


def test_another_task_whose_recipe_says_little_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "DRAWINGS", ())
    store = Store(tmp_path)
    store.prepare()
    record = TrainingRecord("mine", {}, "flow", "beta", "stratified", 0, {})
    details = {"parameters": 1, "seconds": 1.0}
    curve = pd.DataFrame({"iteration": [1], "loss": [0.1], "loss_s0.9": [0.1]})
    store.write_training(record, Trained({"w": torch.zeros(1)}, curve, details), {})
    details = {
        "metrics": {"good": 1.0}, "examples": 1, "model_calls": 1, "encode_seconds": 0.1,
        "decode_seconds": 0.1,
    }  # fmt: skip
    evaluated = Evaluated(pd.DataFrame({"good": [1.0]}), details)
    store.write_evaluation(record, EvaluationRecord("euler", 1), evaluated, {})
    html, markdown = write_pages(tmp_path, PAPER)
    assert "They bear on no claim." in html.read_text() and "Task mine" in markdown.read_text()


def test_a_page_without_a_paper_makes_no_claims(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "DRAWINGS", ())
    html, markdown = (path.read_text() for path in write_pages(fill(tmp_path, seeds=1)))
    Parsed(html)
    for words in ("Findings", "arXiv", "claim"):
        assert words not in Parsed(html).text and words not in markdown
    assert "Scores: exact match" in html and "Scores: exact match" in markdown


def test_every_interval_of_a_table_says_its_confidence(written):
    """In the head of its column or in the table's caption; the column of claims says it of those within."""
    page = build_page(written[0], PAPER)
    tables = [table for section in page.sections for table in section.tables]
    shown = 0
    for table in tables:
        for place, column in enumerate(table.columns):
            if any(re.search(r"\[[-+]?\d", row[place]) for row in table.rows if place >= table.names):
                shown += 1
                assert re.search(r"\[9[05] %\]", f"{column} {table.caption}"), (table.caption, column)
    assert shown >= 6


def test_recipes_in_one_folder_are_told_apart_at_every_number(tmp_path):
    fill(tmp_path)
    store = Store(tmp_path)
    add(store, "uniform", 0, {1: 0.2, 10: 0.3}, recipe={"iterations": 20.0, "batch_size": 8.0, "ema": 0.9})
    add(store, "uniform", 0, {1: 0.4, 10: 0.5}, recipe={"iterations": 40.0, "batch_size": 8.0})
    [section] = build_page(tmp_path, PAPER).sections
    numbers = [table for table in section.tables if "schedule" in table.columns]
    assert len(numbers) == 4
    for table in numbers:
        place = list(table.columns).index("variant")
        found = {row[place] for row in table.rows if row[0] == "uniform"}
        assert found == {"iterations=20", "iterations=20, ema=0.9", "iterations=40"}
