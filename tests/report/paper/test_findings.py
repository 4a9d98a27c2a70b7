"""Verdicts on results made by hand, where each is known."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toyflow.report.claims import judge_all
from toyflow.report.contrasts import contrast
from toyflow.report.evidence import ANY, Data, tidy
from toyflow.report.paper import PAPER
from toyflow.report.paper.findings import CLAIMS, GRID
from toyflow.report.results import Results
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.stored import StoredEvaluation, StoredTraining

OPTIONS = {"encoder": "base", "decoder": "base", "attention": "cross"}
METRICS = {"grid-to-sequence": ("exact_match",), "dial": ("valid", "tile_accuracy")}
SPREAD = 0.003
"""How far seeds are apart, drawn anew for each model and K."""


class Made(StoredTraining):
    """A trained model without files."""

    @cached_property
    def weights_checksum(self) -> str:
        return self.details.get("weights", "")

    def curve(self):
        iterations = np.arange(10, 60, 10)
        return pd.DataFrame(
            {"iteration": iterations, "loss_s0.9": np.where(iterations < self.details["read_at"], 1.0, 0.1)}
        )


class Folder:
    """A results folder of one task, in memory."""

    def __init__(self, task="grid-to-sequence", seeds=3, spread=SPREAD):
        self.task, self.seeds, self.spread = task, range(seeds), spread
        self.evaluations = []

    def add(
        self, label, scores, *, seeds=None, data=None, metrics=None, iterations=1600.0, read_at=20, **model
    ):
        """Models of a schedule, or (objective, schedule), with the score at each K."""
        rate, weights = model.pop("rate", 0.004), model.pop("weights", "")
        prediction = model.pop("prediction", None)
        grid, draws = model.pop("grid", None), model.pop("draws", 1)
        objective, schedule = label if isinstance(label, tuple) else ("flow", label)
        options = {**OPTIONS, **model} if self.task == "grid-to-sequence" else model
        for seed in self.seeds if seeds is None else seeds:
            record = TrainingRecord(
                self.task, options, objective, schedule, "stratified" if schedule else None, seed,
                {"iterations": iterations, "batch_size": 8.0, "learning_rate": rate}, data=data or {},
                prediction=prediction,
            )  # fmt: skip
            training = Made(
                Path(), record, {}, {"training_flops": 100.0, "read_at": read_at, "weights": weights}
            )
            for steps, score in scores.items():
                name = (label, model, seed, steps, *((prediction, draws) if prediction or draws > 1 else ()))
                draw = np.random.default_rng([*repr(name).encode()]).uniform(-1, 1)
                drawn = score + self.spread * draw
                found = (
                    metrics(drawn) if metrics else dict.fromkeys(METRICS.get(self.task, ("score",)), drawn)
                )
                details = {"metrics": found, "model_calls": steps}
                decoding = EvaluationRecord("euler", steps, grid=grid, draws=draws)
                evaluation = StoredEvaluation(Path(), training, decoding, details)
                self.evaluations.append(evaluation)
        return self

    @property
    def results(self):
        return Results(pd.DataFrame(), self.evaluations, "score")

    def judge(self, name):
        return judgement_of(name, {"folder": self})

    def verdicts(self, *names):
        return [self.judge(name).verdict for name in names]


def judgement_of(name, folders, on=None, anatomies=None):
    """The judgement on the testbed `on`, else on the one of the first folder's task at default options."""
    [claim] = [claim for claim in CLAIMS if claim.name == name]
    task = next(iter(folders.values())).task.removesuffix("-v2")
    own = (testbed.name for testbed in claim.testbeds if testbed.task == task and testbed.name != "numbers")
    on = on or next(own, claim.testbeds[-1].name)
    results = {key: folder.results for key, folder in folders.items()}
    judged = judge_all(replace(PAPER, claims=[claim]), results, anatomies)
    return next(judgement for _, judgement in judged.claims if judgement.on == on)


@pytest.fixture
def grid():
    return Folder()


def add_schedules(folder, uniform, biased):
    return folder.add("uniform", uniform).add("shift:4", biased).add("shift:4@beta", biased)


@pytest.mark.parametrize(
    ("uniform", "biased", "a", "b", "c"),
    [
        ({1: 0.70, 10: 0.85}, {1: 0.90, 10: 0.90}, "agree", "agree", "agree"),
        ({1: 0.90, 10: 0.90}, {1: 0.70, 10: 0.85}, "disagree", "disagree", "disagree"),
        ({1: 0.85, 10: 0.85}, {1: 0.852, 10: 0.852}, "undecided", "undecided", "agree"),
        ({1: 0.05, 10: 0.05}, {1: 0.10, 10: 0.05}, "undecided", "undecided", "undecided"),
    ],
)
def test_noise_biased_schedules(grid, uniform, biased, a, b, c):
    add_schedules(grid, uniform, biased)
    assert grid.verdicts("1a", "1b", "1c") == [a, b, c]


def test_evidence_has_the_difference_its_interval_and_the_number_of_seeds():
    folder = Folder(spread=0.0)
    for seed, gain in enumerate((0.01, 0.02, 0.03)):
        folder.add("uniform", {1: 0.5}, seeds=[seed]).add("shift:8", {1: 0.5 + gain}, seeds=[seed])
    judgement = folder.judge("1a")
    half = 100 * 4.3027 * 0.01 / np.sqrt(3)
    [effect] = judgement.effects
    assert f"+2.0 points [95 % over seeds: {2 - half:+.1f}, {2 + half:+.1f}]" in effect.told
    assert judgement.seeds == 3 and judgement.folders == ("folder",)
    assert (judgement.verdict, judgement.needed) == (
        "undecided", "about 5 seeds, or 11 if the spread between seeds is at its upper bound",
    )  # fmt: skip


def add_other_decodings(folder):
    """What `--predict velocity,data --draws 1,8 --grid uniform,shift:3` adds, where all of it is far off."""
    for schedule, score in (("uniform", 0.99), ("shift:4", 0.1)):
        for steps in (1, 10):
            for prediction in (None, "data"):
                for grid, draws in ((None, 1), (None, 8), ("shift:3", 1)):
                    if (prediction, grid, draws) != (None, None, 1):
                        how = {"prediction": prediction, "grid": grid, "draws": draws}
                        folder.add(schedule, {steps: score}, **how)
    return folder


def test_other_predictions_grids_and_draws_do_not_change_a_verdict(grid):
    grid.add("uniform", {1: 0.70, 10: 0.85}).add("shift:4", {1: 0.90, 10: 0.90})
    alone = [grid.judge(name) for name in ("1a", "1b", "1c")]
    add_other_decodings(grid)
    assert [grid.judge(name) for name in ("1a", "1b", "1c")] == alone
    assert [judgement.verdict for judgement in alone] == ["agree"] * 3


def test_rows_are_of_the_velocity_in_equal_steps_and_one_draw_unless_named(grid):
    add_other_decodings(grid.add("uniform", {1: 0.7}).add(("regression", None), {1: 0.6}))
    data = Data(tidy({"": grid.results}, ["grid-to-sequence"]), OPTIONS, GRID)
    [plain] = data.flow("uniform", 1).groupby("cell")
    assert len(plain[1]) == 3 and plain[1]["score"].mean() == pytest.approx(0.7, abs=SPREAD)
    assert len(data.pick(objective="regression")) == 3, "which has no choice of a prediction"
    named = data.flow("uniform", 1, prediction="data", draws=8)
    assert set(zip(named["prediction"], named["grid"], named["draws"], strict=True)) == {
        ("data", "uniform", 8)
    }
    every = data.flow("uniform", 1, prediction=ANY, grid=ANY, draws=ANY)
    assert every["cell"].nunique() == 6 and set(every.groupby("cell").size()) == {3}


def test_a_decoding_that_some_seed_lacks_is_left_out_of_a_contrast(grid):
    grid.add("uniform", {1: 0.7}).add("uniform", {1: 0.1}, seeds=[0], draws=8).add("shift:4", {1: 0.9})
    data = Data(tidy({"": grid.results}, ["grid-to-sequence"]), OPTIONS, GRID)
    over = contrast(data.flow("uniform", 1, draws=ANY), data.flow("shift:4", 1))
    assert over is not None and over.first.min() > 0.69
    assert over.without == ("uniform at K = 1 in 8 draws, which has 1 of 3 seeds",)
    both = over.minus(over.reversed())
    assert both is not None and both.without == over.reversed().without == over.without


def test_one_seed_decides_nothing():
    folder = add_schedules(Folder(seeds=1), {1: 0.1, 10: 0.1}, {1: 0.9, 10: 0.5})
    for name in ("1a", "1b", "1c"):
        judgement = folder.judge(name)
        assert judgement.verdict == "undecided (one seed)" and "is seed 0" in judgement.evidence
        assert judgement.needed == "two seeds or more, as one shows no spread"


def test_seeds_without_spread_decide_nothing():
    grid = add_schedules(Folder(spread=0.0), {1: 0.5}, {1: 0.9})
    assert grid.judge("1a").verdict == "undecided" and "on every seed" in grid.judge("1a").effects[0].told


def test_what_was_not_run_is_said(grid):
    grid.add("uniform", {1: 0.5})
    for claim, judgement in judge_all(PAPER, {"folder": grid.results}).claims:
        assert judgement.verdict == "no data here" and claim.needs in judgement.evidence


def test_another_task_bears_on_nothing():
    folder = Folder(task="points").add("uniform", {1: 0.5})
    assert folder.judge("1a").verdict == "no data here"


def test_one_step_against_itself_is_no_evidence(grid):
    add_schedules(grid, {1: 0.5}, {1: 0.9})
    assert grid.judge("1c").verdict == "no data here"


def test_differences_are_formed_within_one_seed(grid):
    grid.add("uniform", {1: 0.5}, seeds=[0, 1]).add("shift:4", {1: 0.9}, seeds=[2, 3])
    assert grid.judge("1a").verdict == "no data here"


def test_a_schedule_that_some_seed_lacks_is_left_out(grid):
    grid.add("uniform", {1: 0.5}).add("shift:4", {1: 0.9}).add("shift:8", {1: 0.1}, seeds=[0])
    judgement = grid.judge("1a")
    assert judgement.verdict == "agree" and "In one step shift:4 is right on" in judgement.evidence
    assert judgement.evidence.endswith(". Left out: shift:8, which has 1 of 3 seeds.")


def test_options_that_a_claim_does_not_name_are_at_their_default(grid):
    grid.add("uniform", {1: 0.5}, encoder="small").add("shift:4", {1: 0.9})
    assert grid.judge("1a").verdict == "no data here"


def test_knobs_that_older_records_lack_are_at_their_default(grid):
    grid.add("uniform", {1: 0.5}).add("shift:4", {1: 0.9}, data={"side": "4", "condition-noise": "0"})
    assert grid.judge("1a").verdict == "agree"


@pytest.mark.parametrize("other", [0.001, 0.009])
def test_of_recipes_alike_in_seeds_and_length_the_one_with_most_decodings_is_judged(grid, other):
    grid.add("uniform", {1: 0.5}, rate=other).add("shift:4", {1: 0.5}, rate=other)
    grid.add("uniform", {1: 0.5, 10: 0.5}).add("shift:4", {1: 0.9, 10: 0.9})
    assert grid.judge("1a").verdict == "agree"


def test_recipes_are_not_mixed_and_the_others_are_told(grid):
    grid.add("uniform", {1: 0.5}).add("shift:4", {1: 0.9})
    grid.add("uniform", {1: 0.9}, seeds=[0], iterations=9000.0)
    grid.add("shift:4", {1: 0.5}, seeds=[0], iterations=9000.0)
    judgement = grid.judge("1a")
    assert judgement.verdict == "agree"
    assert "other recipes in these results: undecided (one seed) (iterations 9000)" in judgement.evidence


def test_several_folders_are_judged_together():
    one = Folder().add("uniform", {1: 0.5})
    other = Folder().add("shift:4", {1: 0.9})
    judgement = judgement_of("1a", {"one": one, "other": other})
    assert judgement.verdict == "agree" and set(judgement.folders) == {"one", "other"}


def test_the_same_models_in_two_folders_count_once():
    folder = Folder().add("uniform", {1: 0.5}).add("shift:4", {1: 0.9})
    assert judgement_of("1a", {"a": folder, "b": folder}) == judgement_of("1a", {"a": folder})


def test_of_two_trainings_of_one_key_the_one_of_most_decodings_counts_and_the_other_is_told():
    """Another version of the code gave other weights: decodings of the two are not of one model."""
    older = Folder().add("uniform", {1: 0.5}, weights="a").add("shift:4", {1: 0.5})
    newer = Folder().add("uniform", {1: 0.7, 10: 0.7}, weights="b")
    judgement = judgement_of("1a", {"older": older, "newer": newer})
    assert "uniform on 70." in judgement.evidence and judgement.folders == ("older", "newer")
    assert "Cells of the same record in older have other weights, and do not count" in judgement.evidence
    same = Folder().add("uniform", {1: 0.7, 10: 0.7}, weights="a")
    assert "other weights" not in judgement_of("1a", {"older": older, "same": same}).evidence


def test_of_two_trainings_of_one_key_with_as_many_decodings_the_one_in_more_draws_counts():
    curve = Folder().add("uniform", {1: 0.5, 2: 0.5, 10: 0.5}, weights="a").add("shift:4", {1: 0.9})
    averaged = Folder().add("uniform", {1: 0.7, 10: 0.7}, weights="b")
    averaged.add("uniform", {1: 0.8}, weights="b", draws=8)
    for folders in ({"curve": curve, "averaged": averaged}, {"averaged": averaged, "curve": curve}):
        assert "uniform on 70." in judgement_of("1a", folders).evidence


@pytest.mark.parametrize(
    ("base", "large", "verdict"), [(0.8, 0.9, "agree"), (0.8, 0.7, "disagree"), (0.8, 0.802, "undecided")]
)
def test_a_stronger_encoder(grid, base, large, verdict):
    for schedule in ("uniform", "shift:4@beta"):
        grid.add(schedule, {1: 0.6, 10: 0.6}, encoder="small")
        grid.add(schedule, {1: base, 10: base})
        grid.add(schedule, {1: large, 10: large}, encoder="large")
    assert grid.judge("2").verdict == verdict


@pytest.mark.parametrize(("with_large", "verdict"), [(0.6, "agree"), (0.95, "disagree"), (0.8, "undecided")])
def test_a_larger_decoder_behind_a_weak_encoder(grid, with_large, verdict):
    grid.add("shift:4@beta", {1: 0.8}).add("shift:4@beta", {1: 0.5}, encoder="small")
    grid.add("shift:4@beta", {1: with_large}, encoder="small", decoder="large")
    assert grid.judge("3").verdict == verdict


@pytest.mark.parametrize(
    ("small", "large", "about", "must_grow"),
    [
        (0.25, 0.85, "agree", "agree"),
        (0.85, 0.85, "disagree", "disagree"),
        (0.02, 0.30, "disagree", "disagree"),
    ],
)
def test_the_autoregressive_baseline(grid, small, large, about, must_grow):
    for decoder, score in (("256x4", small), ("512x8", large)):
        grid.add("shift:4@beta", {10: 0.86}, decoder=decoder)
        grid.add(("autoregressive", None), {1: score}, decoder=decoder)
    assert (grid.judge("4a").verdict, grid.judge("4b").verdict) == (about, must_grow)


def test_where_the_baseline_is_undecided_it_says_what_would_decide_it():
    grid = Folder(spread=0.03)
    for decoder, score in (("256x4", 0.33), ("512x8", 0.81)):
        grid.add("shift:4@beta", {10: 0.86}, decoder=decoder)
        grid.add(("autoregressive", None), {1: score}, decoder=decoder)
    for name in ("4a", "4b"):
        judgement = grid.judge(name)
        assert judgement.verdict == "undecided" and "seeds, or" in judgement.needed, name


def test_a_baseline_that_is_near_already_need_not_grow(grid):
    grid.add("shift:4@beta", {10: 0.86})
    grid.add(("autoregressive", None), {1: 0.86}, decoder="256x4")
    assert grid.judge("4b").verdict == "disagree"


@pytest.mark.parametrize(("few", "verdict"), [(90.0, "agree"), (10.0, "disagree"), (50.0, "undecided")])
def test_class_to_image_is_judged_by_the_frechet_distance(few, verdict):
    """The class accuracy says the opposite: the mean of a class is easily seen to be of it."""
    folder = Folder(task="class-to-image")

    def metrics(distance):
        return {"class_accuracy": distance / 100, "frechet_distance": distance}

    folder.add("uniform", {1: few, 50: 50.0}, metrics=metrics)
    folder.add(("pure-noise", None), {1: few}, metrics=metrics)
    judgement = folder.judge("5a")
    assert judgement.verdict == folder.judge("5b").verdict == verdict
    assert "flow in 50 steps" in judgement.evidence


def test_a_version_of_a_task_is_that_task():
    folder = Folder(task="class-to-image-v2")
    folder.add("uniform", {1: 0.5, 50: 0.9}, metrics=lambda score: {"class_accuracy": score})
    judgement = folder.judge("5b")
    assert judgement.verdict == "agree" and "50 steps" in judgement.evidence


@pytest.mark.parametrize(
    ("uniform", "biased", "later", "lower"),
    [((40, 0.75), (20, 0.87), "agree", "agree"), ((20, 0.87), (40, 0.75), "disagree", "disagree")],
)
def test_joint_attention(grid, uniform, biased, later, lower):
    for schedule, (read_at, score) in (("uniform", uniform), ("shift:4@beta", biased)):
        for seed in range(3):  # reads 10 iterations later on one seed under one schedule
            at = read_at + 10 * (seed == 2 and schedule == "uniform")
            grid.add(schedule, {1: score, 10: score}, attention="joint", read_at=at, seeds=[seed])
    assert grid.verdicts("6a", "6b") == [later, lower]


@pytest.mark.parametrize(
    ("one", "ten", "verdict"), [(0.1, 0.95, "agree"), (0.9, 0.93, "disagree"), (0.05, 0.1, "undecided")]
)
def test_coupled_choices(one, ten, verdict):
    folder = Folder(task="dial")
    knobs = {"modes": "2", "tiles": "4", "coupling": "coupled"}
    folder.add("uniform", {1: one, 10: ten}, data={**knobs, "certainty": "0"})
    folder.add("uniform", {1: 1.0, 10: 0.5}, data={**knobs, "certainty": "1"})
    assert folder.judge("7a").verdict == verdict


@pytest.mark.parametrize(("one", "verdict"), [(0.6, "agree"), (0.1, "disagree"), (0.3, "undecided")])
def test_coupled_choices_one_likelier(one, verdict):
    folder = Folder(task="dial")

    def metrics(distance):
        return {"valid": 0.9, "total_variation": distance}

    knobs = {"modes": "2", "tiles": "4", "coupling": "coupled"}
    folder.add("uniform", {1: one, 10: 0.3}, data={**knobs, "certainty": "0.4"}, metrics=metrics)
    folder.add("uniform", {1: 0.3, 10: 0.9}, data={**knobs, "certainty": "0"}, metrics=metrics)
    judgement = folder.judge("7c")
    assert judgement.verdict == verdict
    assert f"{one:.2f} at K = 1" in judgement.evidence and "90.0 %" in judgement.evidence
    assert "have not learned" not in judgement.evidence


def test_it_is_told_where_many_steps_have_not_learned_the_joint_distribution():
    folder = Folder(task="dial")
    knobs = {"modes": "10", "tiles": "4", "coupling": "coupled", "certainty": "0.4"}
    folder.add(
        "uniform", {1: 0.99, 10: 0.1}, data=knobs,
        metrics=lambda score: {"valid": score, "total_variation": 1 - score / 2},
    )  # fmt: skip
    judgement = folder.judge("7c")
    assert judgement.verdict == "disagree"
    assert "% (10 steps have not learned it)" in judgement.evidence
    assert "10 modes (10 steps have not learned it)" in judgement.effects[0].title


@pytest.mark.parametrize(("one", "verdict"), [(0.7, "agree"), (0.5, "disagree"), (0.58, "undecided")])
def test_independent_choices(one, verdict):
    folder = Folder(task="dial")
    knobs = {"modes": "2", "tiles": "4", "coupling": "independent"}
    folder.add("uniform", {1: one, 10: 0.58}, data={**knobs, "certainty": "0.4"})
    folder.add("uniform", {1: 0.1, 10: 0.9}, data={**knobs, "certainty": "0"})
    assert folder.judge("7b").verdict == verdict


@pytest.mark.parametrize(
    ("regression", "meanflow", "verdict"),
    [(0.85, 0.80, "agree"), (0.85, 0.95, "disagree"), (0.85, 0.89, "undecided")],
)
def test_few_step_methods(grid, regression, meanflow, verdict):
    grid.add("shift:4@beta", {1: 0.87})
    grid.add(("regression", None), {1: regression}).add(("meanflow", None), {1: meanflow, 10: 0.99})
    grid.add(("mip", None), {1: 0.99, 2: 0.8}).add(("shortcut", "shift:4@beta"), {1: 0.8})
    grid.add(("consistency", "shift:4@beta"), {1: 0.8})
    grid.add(("shortcut", "uniform"), {1: 0.99}).add(("autoregressive", None), {1: 0.99})
    judgement = grid.judge("8")
    assert judgement.verdict == verdict
    told = "; ".join(effect.told for effect in judgement.effects)
    assert "meanflow (1 call, at flow's training cost)" in told
    assert "mip (2 calls" in told and "autoregressive" not in told


def few_step(flow, regression, others=0.8, rates=(0.004, 0.004, 0.004), seeds=range(3)):
    """Flow, regression, and the other few-step methods, each of these three with its learning rate."""
    folder, (of_flow, of_regression, of_others) = Folder(), rates
    folder.seeds = seeds
    folder.add("shift:4@beta", {1: flow}, rate=of_flow)
    folder.add(("regression", None), {1: regression}, rate=of_regression)
    folder.add(("mip", None), {2: others}, rate=of_others).add(
        ("meanflow", None), {1: others}, rate=of_others
    )
    for name in ("shortcut", "consistency"):
        folder.add((name, "shift:4@beta"), {1: others}, rate=of_others)
    return folder


OWN_RATES = (0.004, 0.012, 0.0013)


def test_in_a_headline_folder_each_objective_brings_its_learning_rate():
    folders = {"headline-objectives": few_step(0.87, 0.80, rates=OWN_RATES)}
    judgement = judgement_of("8", folders)
    assert judgement.verdict == "agree" and len(judgement.effects) == 5
    told = "0.0013 for mip, meanflow, shortcut and consistency; 0.004 for flow; 0.012 for regression"
    assert f"Each has the learning rate that was chosen for it: {told}." in judgement.evidence


def test_outside_of_a_headline_folder_learning_rates_are_not_mixed():
    judgement = judgement_of("8", {"objectives": few_step(0.87, 0.80, rates=OWN_RATES)})
    assert judgement.verdict == "no data here"


def test_an_objective_at_two_learning_rates_is_not_pooled_in_a_headline_folder():
    folder = few_step(0.87, 0.80, rates=OWN_RATES).add(("regression", None), {1: 0.99}, rate=0.004)
    judgement = judgement_of("8", {"headline-objectives": folder})
    assert judgement.verdict == "disagree" and "learning rate that was chosen" not in judgement.evidence
    [effect] = judgement.effects
    assert "flow minus regression" in effect.told and "-12." in effect.told
    assert "Not run here: mip, shortcut, consistency and meanflow" in judgement.evidence


def test_results_at_a_shared_learning_rate_are_judged_as_before_and_told_apart():
    shared, own = few_step(0.87, 0.95), few_step(0.87, 0.80, rates=OWN_RATES, seeds=range(40, 44))
    alone = judgement_of("8", {"objectives": shared})
    assert alone.verdict == "disagree" and "learning rate" not in alone.evidence
    both = judgement_of("8", {"objectives": shared, "one-step/headline-objectives": own})
    assert (both.verdict, both.seeds, both.folders) == ("agree", 4, ("one-step/headline-objectives",))
    assert (
        "This is by learning rates of one-step/headline-objectives; other recipes in these results: disagree "
        "(learning rate 0.004)." in both.evidence
    )


def test_two_headline_folders_with_rates_of_their_own_are_not_pooled():
    """Flow has one rate in each, and two in both together."""
    first = few_step(0.87, 0.80, rates=OWN_RATES)
    second = few_step(0.87, 0.95, rates=(0.012, 0.004, 0.004), seeds=range(4))
    judgement = judgement_of("8", {"headline-a": first, "headline-b": second})
    assert judgement.folders == ("headline-b",)
    assert "by learning rates of headline-b; other recipes in these results: agree" in judgement.evidence


def test_nothing_is_said_of_methods_that_were_not_run(grid):
    grid.add("shift:4", {1: 0.9}).add(("regression", None), {1: 0.8}).add(("mip", None), {2: 0.8})
    judgement = grid.judge("8")
    assert judgement.verdict == "undecided"
    assert "Not run here: shortcut, consistency and meanflow" in judgement.evidence
    assert judgement.needed == "to run shortcut, consistency and meanflow"
    assert grid.add(("meanflow", None), {1: 0.99}).judge("8").verdict == "disagree"
