"""Scores on LIBERO's scenes with replaced files say so at the number, in every table; others have no mark."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.text import Text
from rich.console import Console

from toyflow.footnotes import MARKS
from toyflow.report import figures
from toyflow.report.compare import compare
from toyflow.report.contrasts import contrast
from toyflow.report.effects import Effect
from toyflow.report.episode_tables import by_task
from toyflow.report.evidence import tidy
from toyflow.report.page_tables import NONE, costs, one_against_many, other_metrics, scores
from toyflow.report.paired_tables import paired, paired_table
from toyflow.report.paper.published import published_table
from toyflow.report.results import load_results
from toyflow.report.runs import cells_table, show_cell
from toyflow.report.style import Style
from toyflow.report.tables import summary, summary_table
from toyflow.report.verdicts import comparison_table, verdicts
from toyflow.report.write import write_csv
from toyflow.robot.policy.card import _card
from toyflow.sweep.store import Store

LIBERO = Path(__file__).parent / "replaced_assets"
"""Results made with replaced files, before toyflow checked them."""
ARMS = Path(__file__).parents[2] / "results" / "reference" / "aloha"
TWO_ARMS = "shift:4,cameras=all,K=1", "shift:4,cameras=all,K=10"
STYLE = Style(load_results(ARMS).frame["label"])
SAID = "with 29 of LIBERO's 371 asset files replaced"


def in_a_terminal(folder, *compared):
    """Every table of scores that a terminal shows, as text."""
    results = load_results(folder)
    first = results.frame["key"][0]
    tables = [
        summary_table(summary(results)), paired_table(paired(results)),
        comparison_table(compare(folder, compared)), cells_table(folder), show_cell(folder, first)[0],
    ]  # fmt: skip
    for table in tables:
        console = Console(width=250, file=StringIO(), record=True)
        console.print(table)
        yield console.export_text()


def on_a_page(folder):
    results = load_results(folder)
    views = [scores(results), *one_against_many(results), costs(results), by_task(results.evaluations)]
    return [*views, *published_table(results)]


def test_every_row_of_scores_is_marked():
    for view in on_a_page(LIBERO):
        assert all(any("†" in cell for cell in row) for row in view.rows), view.caption
        assert f"† {SAID}" in view.note
    for text in in_a_terminal(LIBERO, "shift:4,K=1", "shift:4,K=10"):
        assert text.count("†") >= 2 and SAID in " ".join(text.split())


def test_the_mark_is_at_the_number():
    by_steps, differences, *_ = on_a_page(LIBERO)
    assert by_steps.rows[1][-2:] == ["84.0† [77.3, 89.0]", "66.7† [58.8, 73.7]"]
    assert "+17.3† [" in differences.rows[1][2]


def test_what_a_policys_cost_counts_is_told():
    """Operations and times are of one plan, whatever an episode has of them."""
    note = costs(load_results(LIBERO)).note
    assert "decoding per plan" in note and "an answer's the median of single plans" in note


def test_a_comparison_and_a_card_say_it():
    assert SAID in verdicts(compare(LIBERO, ["shift:4", "uniform"]))[-1]
    for training in (store := Store(LIBERO)).trainings():
        card = _card(training, list(store.evaluations(training)))
        assert "%† [" in card and f"\n† {SAID}" in card


def test_tables_for_other_programs_have_a_column_for_it(tmp_path):
    results = load_results(LIBERO)
    assert results.frame["caveat"].str.startswith(SAID).all()
    assert SAID in write_csv(summary(results), tmp_path / "libero.csv").read_text()
    assert "caveat" not in write_csv(summary(load_results(ARMS)), tmp_path / "arms.csv").read_text()


def with_errors(results):
    """The same, as if the simulator had crashed in two more episodes of each decoding."""
    evaluations = [replace(each, details={**each.details, "errors": 2}) for each in results.evaluations]
    return replace(results, frame=results.frame.assign(errors=2), evaluations=evaluations)


def test_examples_without_a_result_are_told_at_every_score():
    results = with_errors(load_results(ARMS))
    assert all(" errors" in cell or cell == NONE for row in scores(results).rows for cell in row[-2:])
    for view in (*one_against_many(results), *other_metrics(results), costs(results)):
        assert all({*MARKS} & {*"".join(row)} for row in view.rows), view.caption
        assert " errors left out." in view.note
    rows = tidy({"arms": results}, {"robot"})
    one, ten = (rows[rows["steps"] == steps] for steps in (1, 10))
    over = contrast(one, ten, alike=["cell"])
    assert over is not None and "(2 errors left out)" in Effect("K = 1 minus K = 10", over).told
    assert " errors left out" in words_of(figures.score_by_steps(results, STYLE))
    assert "left out" not in words_of(figures.score_by_steps(load_results(ARMS), STYLE))


def test_times_of_a_busy_machine_are_marked_in_the_figure_of_times():
    results = load_results(ARMS)
    doubt = "timed on a busy machine: other processes kept 1.5 of 2 processors busy"
    of_many = results.frame["steps"] == results.frame["steps"].max()
    for doubts, marks in (("", set()), (of_many.map({True: doubt, False: ""}), {"K=10*"})):
        frame = results.frame.assign(timing_doubt=doubts)
        told = words_of(figures.score_by_decode_time(replace(results, frame=frame), STYLE))
        assert set(re.findall(r"K=\d+\*", told)) == marks and (f"* {doubt}." in told) == bool(marks)


def words_of(figure):
    told = " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())
    plt.close(figure)
    return told


def test_a_simulators_own_files_need_no_remark():
    for view in on_a_page(ARMS):
        assert "†" not in view.note and not any("†" in cell for row in view.rows for cell in row)
    assert not any("†" in text for text in in_a_terminal(ARMS, *TWO_ARMS))
    assert not any("files" in sentence for sentence in verdicts(compare(ARMS, TWO_ARMS)))
