"""Verdicts on claims 9 to 13, and on claims of several tasks, on results made by hand."""

import pandas as pd
import pytest
from report.paper.test_findings import Folder, judgement_of

from toyflow.report.paper.findings import CLAIMS

WAVE = {"points": "8", "coin": "off"}


@pytest.fixture
def wave():
    return Folder(task="wave")


def add(folder, schedule, scores, **how):
    return folder.add(schedule, scores, data=WAVE, **how)


def probed(folder, leak, bias, *, spread=None):
    """Anatomies of the folder's models: `leak` and `bias` by (prediction, schedule), apart where there is a
    spread; each seed's leak is 1 % off."""
    rows = []
    for record in {e.training.record.key: e.training.record for e in folder.evaluations}.values():
        name = record.prediction or "velocity", record.schedule
        if name in leak:
            row = {"key": record.key, "leak": leak[name] * (1 + 0.01 * record.seed)}
            row["bias_and_spread"] = bias[name] + (spread or 0.0)
            rows.append(row | ({} if spread is None else {"bias": bias[name], "spread": spread}))
    return {"wave": pd.DataFrame(rows)}


BOTH = [("velocity", "uniform"), ("velocity", "shift:8")]


@pytest.mark.parametrize(
    ("leak", "bias", "verdict"),
    [
        ((0.10, 0.02), (0.01, 0.005), "agree"),
        ((0.01, 0.02), (0.10, 0.20), "disagree"),
        ((0.10, 0.02), (0.01, 0.06), "disagree"),  # the mean is more than half, and one schedule is not
    ],
)
def test_leak_comes_first(wave, leak, bias, verdict):
    add(add(wave, "uniform", {1: 0.3, 10: 0.9}), "shift:8", {1: 0.9, 10: 0.5})
    anatomies = probed(wave, dict(zip(BOTH, leak, strict=True)), dict(zip(BOTH, bias, strict=True)))
    judgement = judgement_of("9", {"wave": wave}, anatomies=anatomies)
    assert judgement.verdict == verdict
    share = 100 * sum(1.01**0 * each / (each + b) for each, b in zip(leak, bias, strict=True)) / 2
    assert f"{share - 50:+.0f}"[:2] in judgement.effects[0].told


def test_the_tasks_own_spread_is_not_counted(wave):
    add(wave, "uniform", {1: 0.3, 10: 0.9})
    anatomies = probed(wave, {BOTH[0]: 0.1}, {BOTH[0]: 0.01}, spread=5.0)
    judgement = judgement_of("9", {"wave": wave}, anatomies=anatomies)
    assert judgement.verdict == "agree" and "taken as zero" not in judgement.evidence


def test_a_spread_that_was_not_measured_is_said_to_be_taken_as_zero(wave):
    add(wave, "uniform", {1: 0.3, 10: 0.9})
    anatomies = probed(wave, {BOTH[0]: 0.1}, {BOTH[0]: 0.01})
    assert "taken as zero" in judgement_of("9", {"wave": wave}, anatomies=anatomies).evidence


def test_where_bias_and_spread_are_not_told_apart_the_share_is_a_lower_bound():
    arms = Folder(task="robot").add("shift:4", {1: 0.2, 10: 0.7}, data={"dataset": "aloha-state"})
    small, large = (
        probed(arms, {("velocity", "shift:4"): 0.1}, {("velocity", "shift:4"): b}) for b in (0.01, 1)
    )
    assert judgement_of("9", {"wave": arms}, anatomies=small).verdict == "agree"
    judgement = judgement_of("9", {"wave": arms}, anatomies=large)
    assert judgement.verdict == "undecided" and "several targets per condition" in judgement.needed
    assert "at least" in judgement.evidence


def test_models_that_were_not_probed_are_no_evidence(wave):
    add(wave, "uniform", {1: 0.3, 10: 0.9})
    add(wave, "uniform", {1: 1.0}, prediction="data")
    for name in ("9", "10"):
        judgement = judgement_of(name, {"wave": wave})
        assert judgement.verdict == "no data here" and "toyflow probe" in judgement.evidence


@pytest.mark.parametrize(
    ("left", "score", "verdict"),
    [(0.001, 0.95, "agree"), (0.05, 0.95, "disagree"), (0.001, 0.80, "disagree"), (0.001, 0.88, "undecided")],
)
def test_data_prediction(wave, left, score, verdict):
    """Against velocity's best decoding, 8 draws in one step; in its own one step it is far off."""
    add(wave, "uniform", {1: 0.3, 10: 0.6})
    add(wave, "uniform", {1: 0.9}, draws=8)
    add(wave, "uniform", {1: score, 10: score}, prediction="data")
    data = "data", "uniform"
    anatomies = probed(wave, {BOTH[0]: 0.1, data: left}, {BOTH[0]: 0.01, data: 0.01})
    judgement = judgement_of("10", {"wave": wave}, anatomies=anatomies)
    assert judgement.verdict == verdict
    assert "under uniform velocity under uniform, K = 1, 8 draws" in judgement.evidence


@pytest.mark.parametrize(
    ("eight", "ten", "verdict"),
    [(0.9, 0.85, "agree"), (0.3, 0.2, "undecided"), (0.6, 0.85, "disagree"), (0.25, 0.2, "disagree")],
)
def test_averaging(wave, eight, ten, verdict):
    add(add(wave, "uniform", {1: 0.3, 10: ten}), "uniform", {1: eight}, draws=8)
    assert judgement_of("11", {"wave": wave}).verdict == verdict


def test_a_schedule_that_shows_the_contrary_refutes_a_claim_of_all(wave):
    add(add(wave, "uniform", {1: 0.1, 10: 0.5}), "uniform", {1: 0.9}, draws=8)
    add(add(wave, "shift:8", {1: 0.8, 10: 0.9}), "shift:8", {1: 0.85}, draws=8)
    judgement = judgement_of("11", {"wave": wave})
    assert judgement.verdict == "disagree" and "Holm's method over 2 tests" in judgement.evidence


def test_half_a_claim_says_which_schedule_has_fewer_seeds(wave):
    for schedule, seeds in (("uniform", range(3)), ("shift:4", range(2))):
        add(wave, schedule, {1: 0.3, 10: 0.8}, seeds=seeds)
        add(wave, schedule, {1: 0.9}, seeds=seeds, prediction="data")
    names = [*BOTH, ("velocity", "shift:4"), ("data", "uniform"), ("data", "shift:4")]
    leak = {name: 0.001 if name[0] == "data" else 0.1 for name in names}
    judgement = judgement_of("10", {"wave": wave}, anatomies=probed(wave, leak, dict.fromkeys(names, 0.01)))
    assert "mean over uniform." in judgement.evidence
    assert "Left out: shift:4, which has 2 of 3 seeds" in judgement.evidence


def test_a_schedule_that_is_left_out_does_not_say_what_the_decoding_was_chosen_on(wave):
    for schedule, seeds in (("shift:4", range(3)), ("uniform", range(1))):
        add(wave, schedule, {1: 0.3, 10: 0.8}, seeds=seeds)
        add(wave, schedule, {1: 0.9}, seeds=seeds, prediction="data")
    names = [
        (prediction, schedule) for prediction in ("velocity", "data") for schedule in ("shift:4", "uniform")
    ]
    leak = {name: 0.001 if name[0] == "data" else 0.1 for name in names}
    judgement = judgement_of("10", {"wave": wave}, anatomies=probed(wave, leak, dict.fromkeys(names, 0.01)))
    assert "chosen on the other seeds: shift:4" in judgement.evidence


def test_a_schedule_with_fewer_seeds_is_not_part_of_the_mean(wave):
    add(add(wave, "uniform", {1: 0.3, 10: 0.8}), "uniform", {1: 0.9}, draws=8)
    add(wave, "shift:4", {1: 0.9, 10: 0.9}, seeds=[0])
    add(wave, "shift:4", {1: 0.1}, seeds=[0], draws=8)
    judgement = judgement_of("11", {"wave": wave})
    assert judgement.verdict == "agree" and "under shift:4" not in judgement.evidence
    assert judgement.evidence.endswith(". Left out: shift:4, which has 1 of 3 seeds.")


@pytest.mark.parametrize(("remedy", "verdict"), [(0.5, "agree"), (0.95, "disagree"), (0.87, "undecided")])
def test_joint_modes(remedy, verdict):
    dial = Folder(task="dial", spread=0.02)
    knobs = {"modes": "2", "tiles": "4", "coupling": "coupled", "certainty": "0"}
    for schedule in ("uniform", "shift:4"):
        dial.add(schedule, {1: 0.4, 10: 0.96}, data=knobs)
        dial.add(schedule, {1: 0.5, 10: 0.97}, data=knobs, prediction="data")
        dial.add(schedule, {1: remedy}, data=knobs, draws=8)
    judgement = judgement_of("12", {"dial": dial})
    assert judgement.verdict == verdict and len(judgement.effects) == 2


@pytest.mark.parametrize(
    ("one", "ten", "verdict"), [(0.95, 0.95, "agree"), (0.80, 0.95, "disagree"), (0.95, 0.80, "disagree")]
)
def test_one_model_for_both(wave, one, ten, verdict):
    add(add(wave, "uniform", {1: 0.2, 10: 0.95}), "shift:8", {1: 0.95, 10: 0.2})
    add(wave, "uniform", {1: one, 10: ten}, prediction="data")
    judgement = judgement_of("13a", {"wave": wave})
    assert (
        judgement.verdict == verdict
        and "decoded as data under uniform, K = 1, right on" in judgement.evidence
    )


def test_with_draws_one_model_may_serve_both(wave):
    """In one draw the one step of data prediction is behind; in eight it is not."""
    for draws, one in ((1, 0.80), (8, 0.95)):
        add(wave, "uniform", {1: 0.2, 10: 0.90}, draws=draws)
        add(wave, "uniform", {1: one, 10: 0.95}, prediction="data", draws=draws)
    assert judgement_of("13a", {"wave": wave}).verdict == "disagree"
    judgement = judgement_of("13b", {"wave": wave})
    assert (
        judgement.verdict == "agree"
        and "decoded as data under uniform, K = 1, 8 draws, right on" in judgement.evidence
    )


def test_decodings_that_some_seed_lacks_are_no_choice_and_are_counted(wave):
    add(add(wave, "uniform", {1: 0.9, 10: 0.9}), "shift:8", {1: 0.8, 10: 0.8})
    add(wave, "shift:4", {1: 1.0, 10: 1.0}, seeds=[0])
    judgement = judgement_of("13a", {"wave": wave})
    assert "Left out: 2 decodings that some seed lacks" in judgement.evidence


def test_one_model_alone_is_no_choice(wave):
    assert judgement_of("13a", {"wave": add(wave, "uniform", {1: 0.9, 10: 0.9})}).verdict == "no data here"


def test_a_setting_is_not_chosen_by_the_seed_that_it_is_judged_by():
    """What is best on a seed by luck alone is bad on the others."""
    wave = Folder(task="wave", seeds=3, spread=0.0)
    for lucky in range(3):
        for seed in range(3):
            score = 1.0 if seed == lucky else 0.2
            add(wave, f"shift:{lucky + 2}", {1: score, 10: score}, seeds=[seed])
    judgement = judgement_of("13a", {"wave": wave})
    assert "K = 1, right on 20.0 % of the waves" in judgement.evidence


def test_validation_results_choose_and_do_not_judge(wave):
    """By the test split the model of the lower validation score would have been chosen."""
    for split, scores in (("validation", (0.9, 0.7)), ("test", (0.7, 0.9))):
        for schedule, score in zip(("uniform", "shift:4"), scores, strict=True):
            wave.add(schedule, {1: score, 10: score}, data={**WAVE, "split": split})
    judgement = judgement_of("13a", {"wave": wave})
    assert judgement.verdict == "disagree" or "chosen on validation results" in judgement.evidence
    assert "decoded as velocity under uniform, K = 1, right on 70." in judgement.evidence


def test_validation_results_of_one_number_of_steps_choose_no_model(wave):
    """As of a search over learning rates: these say nothing of a model that serves both."""
    for schedule, scores in (("uniform", (0.9, 0.5)), ("shift:4", (0.7, 0.9))):
        wave.add(schedule, dict(zip((1, 10), scores, strict=True)))
    alone = judgement_of("13a", {"wave": wave})
    assert "chosen on the other seeds, decoded as velocity under shift:4" in alone.evidence
    wave.add("uniform", {1: 0.99}, data={**WAVE, "split": "validation"}, seeds=[30])
    assert judgement_of("13a", {"wave": wave}) == alone


def test_validation_results_decide_nothing(wave):
    split = {**WAVE, "split": "validation"}
    for draws in (1, 8):
        wave.add("uniform", {1: 0.2 + 0.08 * draws, 10: 0.8}, data=split, draws=draws)
    assert judgement_of("11", {"wave": wave}).verdict == "no data here"


def test_claims_are_judged_by_the_fresh_seeds_of_a_headline_folder():
    first = add(add(Folder("wave"), "uniform", {1: 0.1, 10: 0.8}), "uniform", {1: 0.9}, draws=8)
    fresh = Folder("wave")
    fresh.seeds = range(100, 104)
    add(add(fresh, "uniform", {1: 0.5, 10: 0.9}), "uniform", {1: 0.5}, draws=8)
    assert judgement_of("11", {"one-step/wave": first}).verdict == "agree"
    judgement = judgement_of("11", {"one-step/wave": first, "one-step/headline-wave": fresh})
    assert (judgement.verdict, judgement.seeds) == ("disagree", 4)
    assert judgement.folders == ("one-step/headline-wave",)


def test_a_claim_has_a_verdict_for_each_task():
    grid = Folder().add("uniform", {1: 0.5, 10: 0.5}).add("shift:4", {1: 0.9, 10: 0.9})
    numbers = Folder()
    for schedule, score in (("uniform", 0.9), ("shift:4", 0.5)):
        numbers.add(
            schedule, {1: score, 10: score}, data={"code": "scalar", "side": "3"},
        )  # fmt: skip
    folders = {"grid": grid, "numbers": numbers}
    verdicts = {on: judgement_of("1a", folders, on).verdict for on in ("grid", "numbers")}
    assert verdicts == {"grid": "agree", "numbers": "disagree"}


def test_options_that_a_testbed_leaves_open_are_not_mixed():
    numbers = Folder()
    for side, first, second in (("3", 0.5, 0.9), ("4", 0.9, 0.5)):
        for schedule, score in (("uniform", first), ("shift:4", second)):
            numbers.add(
                schedule, {1: score}, data={"code": "scalar", "side": side}, seeds=range(2 + (side == "3")),
            )  # fmt: skip
    judgement = judgement_of("1a", {"numbers": numbers}, "numbers")
    assert judgement.verdict == "agree" and judgement.seeds == 3
    assert "This is by side 3; other recipes in these results: disagree" in judgement.evidence


def test_every_undecided_verdict_says_what_would_decide_it():
    wave = Folder("wave", spread=0.05)
    add(add(wave, "uniform", {1: 0.3, 10: 0.3}), "uniform", {1: 0.301}, draws=8)
    judgement = judgement_of("11", {"wave": wave})
    assert judgement.verdict == "undecided" and "seeds" in judgement.needed


def test_names_of_claims_are_their_own():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names) == 22
