"""The contrasts that headline presets name, tested together."""

import pandas as pd
import pytest
from report.paper.test_findings import Folder, judgement_of
from report.paper.test_one_step_judges import add

from toyflow import stats
from toyflow.report.claims import judge_all
from toyflow.report.headline import headline_frame, headline_table
from toyflow.report.paper import PAPER

NAME = "one-step/headline-wave"


def headline(spread=0.003, seeds=4, gain=0.6, first_seed=0):
    """A folder as the presets make it."""
    wave = Folder("wave", seeds=seeds, spread=spread)
    wave.seeds = range(first_seed, first_seed + seeds)
    for draws in (1, 8):
        add(wave, "uniform", {1: 0.3 if draws == 1 else 0.9, 10: 0.88}, draws=draws)
        add(wave, "shift:8", {1: 0.3 + gain, 10: 0.5}, draws=draws)
        for schedule in ("uniform", "shift:8"):
            add(wave, schedule, {1: 0.97, 10: 0.97}, prediction="data", draws=draws)
    return wave


@pytest.fixture(scope="module")
def judged():
    return judge_all(PAPER, {NAME: headline(spread=0.02).results})


def named_in(folder, name=NAME):
    return judge_all(PAPER, {name: folder.results}).headlines.get(name, ())


def test_every_contrast_of_the_presets_is_there(judged):
    found = judged.headlines[NAME]
    assert [(each.number, each.claim, each.effect.kind) for each in found] == [
        ("1", "1a", "difference"),
        ("2", "1b", "difference"),
        ("3", "1c", "not worse"),
        ("3", "1d", "not worse"),
        ("4", "10", "not worse"),
        ("4", "10", "not worse"),
        ("5", "11", "difference"),
        ("5", "11", "not worse"),
        ("6", "13a", "equivalent"),
        ("6", "13a", "equivalent"),
    ]
    assert [each.effect.title for each in found if each.number in "45"] == [
        "data prediction at K = 1 minus velocity's best decoding, under shift:8",
        "data prediction at K = 1 minus velocity's best decoding, under uniform",
        "K = 1, 8 draws minus 1 draw, under uniform",
        "K = 1 with 8 draws minus K = 10 with 1, under uniform",
    ]


def test_p_values_are_adjusted_over_all_of_them(judged):
    found = judged.headlines[NAME]
    frame = headline_frame(found)
    assert frame["p_holm"].tolist() == pytest.approx(stats.holm(frame["p"].tolist()))
    assert (frame["p_holm"] >= frame["p"]).all() and (frame["p_holm"] > frame["p"]).any()
    assert set(frame["verdict"]) <= {"agree", "disagree", "undecided"}
    sides = frame["p_holm"] < 0.05
    assert (frame.loc[~sides, "verdict"] == "undecided").all() and (
        frame.loc[sides, "verdict"] != "undecided"
    ).all()
    table = headline_table(found)
    assert len(table.rows) == 10 and "over the 10 tests" in table.note
    assert table.rows[0][3] == "different: above 0" and table.rows[-1][3] == "equivalent: within 2"


def test_a_claim_agrees_with_the_contrasts_that_were_named_of_it(judged):
    seen = set()
    for found in (judged, judge_all(PAPER, {NAME: headline(0.1, gain=0.1).results})):
        [named] = found.headlines.values()
        for claim, judgement in found.claims:
            verdicts = {each.effect.verdict for each in named if each.claim == claim.name}
            if not verdicts or judgement.verdict == "no data here":
                continue
            expected = (
                "disagree" if "disagree" in verdicts else "agree" if verdicts == {"agree"} else "undecided"
            )
            assert judgement.verdict == expected, claim.name
            assert "named before the run, at 5 % by Holm's method over the 10 tests" in judgement.evidence
            assert bool(judgement.needed) == (expected == "undecided")
            seen.add((claim.name, expected))
    assert {name for name, _ in seen} == {"1a", "1b", "1c", "1d", "11", "13a"}
    assert {verdict for _, verdict in seen} == {"agree", "disagree", "undecided"}


def test_what_is_shown_alone_may_be_undecided_among_ten():
    folder = headline(spread=0.05, seeds=3, gain=0.15)
    assert judgement_of("1a", {"one-step/wave": folder}).verdict == "agree"
    assert judgement_of("1a", {NAME: folder}).verdict == "undecided"


def test_two_headline_folders_of_one_recipe_are_tested_together():
    """Judged by the seeds of both, a claim lost its adjustment, and agreed where either folder does not."""
    names = (NAME, f"{NAME}-more")
    folders = {
        name: headline(spread=0.05, seeds=2, gain=0.15, first_seed=100 * i) for i, name in enumerate(names)
    }
    judged = judge_all(PAPER, {name: folder.results for name, folder in folders.items()})
    assert set(judged.headlines) == set(names)
    [judgement] = [
        each for claim, each in judged.claims if claim.name == "1a" and each.folders == tuple(sorted(names))
    ]
    assert judgement.seeds == 4
    assert "at 5 % by Holm's method over the 10 tests of these folders together" in judgement.evidence
    [effect] = judgement.effects
    assert effect.p is not None and effect.adjusted is not None and effect.adjusted > effect.p


def test_half_a_claim_that_was_not_named_decides_for_itself():
    """Claim 10 is of the leak, too, which the presets do not name."""
    fresh = headline()
    rows = [
        {
            "key": record.key,
            "leak": 0.05 + 0.0001 * record.seed if record.prediction else 0.1,
            "bias_and_spread": 0.01,
        }
        for record in {e.training.record.key: e.training.record for e in fresh.evaluations}.values()
    ]
    judgement = judgement_of("10", {NAME: fresh}, anatomies={NAME: pd.DataFrame(rows)})
    assert judgement.verdict == "disagree"
    leak, *score = sorted(judgement.effects, key=lambda each: "leak" not in each.name)
    assert leak.verdict == "disagree" and {each.verdict for each in score} == {"agree"}


def test_other_folders_name_nothing_and_one_seed_decides_nothing():
    assert not named_in(headline(), "one-step/wave")
    found = named_in(headline(seeds=1))
    assert {each.effect.verdict for each in found} == {"undecided (one seed)"}
    assert {row[6] for row in headline_table(found).rows} == {"n/a"}
