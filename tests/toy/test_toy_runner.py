from dataclasses import replace

import pytest
import torch

from toyflow.atomic import DamagedError
from toyflow.errors import ToyflowError, UsageError
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.toy.tasks.grid_to_sequence import GridToSequence
from toyflow.toy.toy_runner import ToyRunner
from toyflow.training import Batch

SHORT = {
    "iterations": 8, "batch_size": 4, "learning_rate": 4e-3, "warmup": 0.1, "weight_decay": 1e-4,
    "beta1": 0.9, "beta2": 0.95, "clip_norm": 1.0,
}  # fmt: skip
RECORD = TrainingRecord(
    task="grid-to-sequence", model={"encoder": "small", "decoder": "small", "attention": "cross"},
    objective="flow", schedule="beta", time_sampling="stratified", seed=0, recipe=SHORT,
    data={"side": "4", "condition-noise": "0"},
)  # fmt: skip
STEPS = [EvaluationRecord("euler", k) for k in (1, 3)]


class FewGrids(GridToSequence):
    """The task with 50 test grids, for speed."""

    def test_set(self) -> Batch:
        test = super().test_set()
        return Batch(test.observation[:50], test.target[:50])


def quiet(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def study() -> ToyRunner:
    return ToyRunner("grid-to-sequence", task=FewGrids())


def evaluate(study: ToyRunner, record: TrainingRecord, path, evaluations=STEPS):
    store = Store(path)
    store.prepare()
    store.write_training(record, study.train(record, quiet), {})
    return list(study.evaluate(store.training(record.key), evaluations, quiet))


def test_the_same_seed_gives_identical_numbers(study, tmp_path):
    """Weights, curve and every outcome, whatever the global random state is."""
    torch.manual_seed(5)
    one = study.train(RECORD, quiet)
    torch.manual_seed(6)
    two = study.train(RECORD, quiet)
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert one.curve.drop(columns="seconds").equals(two.curve.drop(columns="seconds"))
    first, second = (evaluate(study, RECORD, tmp_path / name) for name in "ab")
    assert all(a.outcomes.equals(b.outcomes) for a, b in zip(first, second, strict=True))


def test_another_seed_gives_other_numbers(study):
    one, two = (study.train(replace(RECORD, seed=seed), quiet) for seed in (0, 1))
    assert not torch.equal(one.weights["denoiser.head.weight"], two.weights["denoiser.head.weight"])


def test_the_global_random_state_is_left_alone(study):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    study.train(RECORD, quiet)
    assert torch.equal(torch.rand(3), expected)


def test_dropout_draws_from_the_seed_too(tmp_path):
    class Forgetful(FewGrids):
        def build_model(self, options):
            model = super().build_model(options)
            model.encoder.layers.append(torch.nn.Dropout(0.5))  # pyright: ignore
            return model

    study = ToyRunner("grid-to-sequence", task=Forgetful())
    weights = []
    for state in (1, 2):
        torch.manual_seed(state)
        weights.append(study.train(RECORD, quiet).weights["denoiser.head.weight"])
    assert torch.equal(*weights)


def test_a_headline_that_is_not_0_or_1_is_refused(tmp_path):
    class Graded(FewGrids):
        metrics = ("digit_accuracy", "exact_match")

        def score(self, sample, test):
            score = super().score(sample, test)
            return {name: score[name] for name in self.metrics}

    with pytest.raises(ToyflowError, match="the first metric, digit_accuracy, must be 0 or 1"):
        evaluate(ToyRunner("grid-to-sequence", task=Graded()), RECORD, tmp_path)


def test_results_of_another_version_of_the_task_are_not_mixed(study):
    with pytest.raises(UsageError, match="these results are of task grid-to-sequence-v2"):
        study.train(replace(RECORD, task="grid-to-sequence-v2"), quiet)


def test_a_model_of_another_recipe_version_is_not_decoded(study, tmp_path):
    """Its weights may fit, and mean something else."""
    with pytest.raises(UsageError, match="was trained under recipe version 1; this toyflow runs models of"):
        evaluate(study, replace(RECORD, recipe_version=1), tmp_path)


def test_weights_of_another_network_are_named(study, tmp_path):
    store = Store(tmp_path)
    store.prepare()
    trained = study.train(RECORD, quiet)
    other = replace(RECORD, model={**RECORD.model, "decoder": "base"})
    store.write_training(other, trained, {})
    with pytest.raises(DamagedError, match="do not fit GridReader"):
        list(study.evaluate(store.training(other.key), STEPS, quiet))


def test_cost_and_passes_are_kept(study):
    details = study.train(RECORD, quiet).details
    assert details["training_passes"] == {"forward": 1, "backward": 1}
    assert details["training_flops"] == 3 * (details["encode_flops"] + details["call_flops"]) > 1e6


def test_schedules_under_one_seed_start_from_the_same_model_and_data(study):
    still = {**SHORT, "learning_rate": 1e-30, "kernel_learning_rate": 1e-30}
    one, two = (study.train(replace(RECORD, schedule=s, recipe=still), quiet) for s in ("beta", "uniform"))
    assert torch.equal(one.weights["denoiser.head.weight"], two.weights["denoiser.head.weight"])
    mean = "encoder.layers.1.running_mean"  # depends on the batches that were seen
    assert torch.equal(one.weights[mean], two.weights[mean])


def test_what_is_kept_of_a_decoding(study, tmp_path):
    one, three = evaluate(study, RECORD, tmp_path)
    assert list(one.outcomes.columns) == ["exact_match", "digit_accuracy"] and len(one.outcomes) == 50
    assert (one.details["model_calls"], three.details["model_calls"]) == (1, 3)
    assert one.details["metrics"]["digit_accuracy"] == pytest.approx(one.outcomes["digit_accuracy"].mean())
    assert 0 < one.details["decode_seconds"] < 60


def test_decodings_share_their_noise(study, tmp_path):
    """Decoding again, alone and in another order, gives what it gave: the noise belongs to the record."""
    together = evaluate(study, RECORD, tmp_path / "a")
    [alone] = evaluate(study, RECORD, tmp_path / "b", STEPS[1:])
    assert alone.outcomes.equals(together[1].outcomes)


def test_an_estimate_is_of_the_right_size(study):
    record = replace(RECORD, recipe={**SHORT, "iterations": 100})
    *_, (training, decoding) = study.estimate(record, STEPS)
    seconds = study.train(record, quiet).details["seconds"]
    assert seconds / 10 < training.low <= training.high < 10 * seconds  # a guard against wrong units
    assert 0 < decoding.low == decoding.high < 60


def test_an_estimate_counts_the_tokens_of_a_decoding_once(monkeypatch):
    """A decoding of one batch takes a second here, whatever it does."""
    monkeypatch.setattr("toyflow.toy.toy_runner.decode", lambda *_: (None, 0.0, 1.0))
    record = replace(RECORD, objective="autoregressive", schedule=None, time_sampling=None)
    study = ToyRunner("grid-to-sequence", task=FewGrids())
    estimate = next(study.estimate(record, [EvaluationRecord(None, 1)]))
    assert estimate.decoding.low == pytest.approx(1.0)


@pytest.mark.slow
def test_the_task_is_learned_in_a_short_run(tmp_path):
    """Not luck: 220 iterations read most digits, where chance is 10 %."""
    task = FewGrids()
    record = replace(RECORD, model=task.choose({})[1], recipe={**SHORT, "iterations": 220, "batch_size": 8})
    one, three = evaluate(ToyRunner("grid-to-sequence", task=task), record, tmp_path)
    assert one.details["metrics"]["digit_accuracy"] > 0.8
    assert three.details["metrics"]["digit_accuracy"] > 0.8
