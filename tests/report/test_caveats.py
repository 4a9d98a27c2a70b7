"""Scores on LIBERO's scenes with replaced files say so at the number, in every table; others have no mark."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from toyflow.report.compare import compare
from toyflow.report.episode_tables import by_task
from toyflow.report.page_tables import costs, one_against_many, scores
from toyflow.report.paired_tables import paired, paired_table
from toyflow.report.paper.published import published_table
from toyflow.report.results import load_results
from toyflow.report.runs import cells_table, show_cell
from toyflow.report.tables import summary, summary_table
from toyflow.report.verdicts import comparison_table, verdicts
from toyflow.report.write import write_csv
from toyflow.robot.policy.card import _card
from toyflow.sweep.store import Store

LIBERO = Path(__file__).parent / "replaced_assets"
"""Results made with replaced files, before toyflow checked them."""
ARMS = Path(__file__).parents[2] / "results" / "reference" / "aloha"
TWO_ARMS = "shift:4,cameras=all,K=1", "shift:4,cameras=all,K=10"
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


def test_a_simulators_own_files_need_no_remark():
    for view in on_a_page(ARMS):
        assert "†" not in view.note and not any("†" in cell for row in view.rows for cell in row)
    assert not any("†" in text for text in in_a_terminal(ARMS, *TWO_ARMS))
    assert not any("files" in sentence for sentence in verdicts(compare(ARMS, TWO_ARMS)))
