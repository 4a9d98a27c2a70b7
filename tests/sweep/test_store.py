import json

import pandas as pd
import pytest
import torch

from toyflow.atomic import SEAL, DamagedError
from toyflow.errors import UsageError
from toyflow.stats import wilson
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import FORMAT, Store
from toyflow.sweep.stored import Evaluated, Trained, on_common_examples

TRAINING = TrainingRecord("points", {}, "flow", "beta", "stratified", 0, {"iterations": 5})
ONE = EvaluationRecord("euler", 1)
ENVIRONMENT = {"torch": "x"}


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "out")
    store.prepare()
    details = {"parameters": 1, "seconds": 1.0, "final_loss": 0.1}
    trained = Trained({"w": torch.arange(3.0)}, pd.DataFrame({"iteration": [1], "loss": [0.5]}), details)
    store.write_training(TRAINING, trained, ENVIRONMENT)
    outcomes = pd.DataFrame({"close": [1.0, 0.0, 1.0]})
    evaluated = Evaluated(outcomes, {"metrics": {"close": 2 / 3}, "examples": 3})
    store.write_evaluation(TRAINING, ONE, evaluated, ENVIRONMENT)
    return store


def test_what_is_written_is_read_back(store):
    training = store.training(TRAINING.key)
    assert training.record.key == TRAINING.key and training.environment == ENVIRONMENT
    assert torch.equal(training.weights()["w"], torch.arange(3.0))
    assert training.curve()["loss"].tolist() == [0.5]
    [evaluation] = store.evaluations(training)
    assert evaluation.record.key == ONE.key and evaluation.outcomes()["close"].tolist() == [1, 0, 1]
    assert store.has_training(TRAINING) and store.has_evaluation(TRAINING, ONE)
    assert not store.has_evaluation(TRAINING, EvaluationRecord("euler", 2))


def with_errors(errors: int, **more) -> Evaluated:
    outcomes = pd.DataFrame({"close": [1.0, None, 0.0], "error": [None, "exited with 1", None]})
    counted = 3 - errors
    details = {"metrics": {"close": 0.5}, "examples": counted, "errors": errors, **more}
    return Evaluated(outcomes if errors else outcomes.fillna({"close": 1.0, "error": ""}), details)


def test_a_decoding_with_errors_is_read_and_made_again(store):
    two = EvaluationRecord("euler", 2)
    store.write_evaluation(TRAINING, two, with_errors(1, episodes=3), ENVIRONMENT)
    assert not store.has_evaluation(TRAINING, two)
    _, stored = store.evaluations(store.training(TRAINING.key))
    assert (stored.score, stored.details["examples"], stored.errors) == (0.5, 2, 1)
    assert stored.outcomes()["close"].to_dict() == {0: 1.0, 2: 0.0}
    store.write_evaluation(TRAINING, two, with_errors(0, episodes=3), ENVIRONMENT)
    assert store.has_evaluation(TRAINING, two)
    _, stored = store.evaluations(store.training(TRAINING.key))
    assert stored.errors == 0 and {path.name for path in stored.folder.parent.iterdir()} == {ONE.key, two.key}


def test_errors_that_older_results_count_as_not_solved_are_left_out(store):
    """An action that is not finite was an error too, and is the policy's failure."""
    two = EvaluationRecord("euler", 2)
    outcomes = pd.DataFrame(
        {
            "success": [1, 0, 0, 0, 1],
            "task": [0, 0, 0, 4, 4],
            "error": [None, "exited with 1", "an action is not finite: [nan].", "hung", None],
        }
    )
    tasks = [
        {"task": task, "hits": 1, "episodes": n, "low": 0.0, "high": 1.0, "errors": n - 1}
        for task, n in ((0, 3), (4, 2))
    ]
    details = {"metrics": {"success": 0.4}, "examples": 5, "errors": 3, "tasks": tasks}
    store.write_evaluation(TRAINING, two, Evaluated(outcomes, details), ENVIRONMENT)
    _, stored = store.evaluations(store.training(TRAINING.key))
    assert (stored.errors, stored.details["examples"], stored.score) == (2, 3, pytest.approx(2 / 3))
    first, last = stored.details["tasks"]
    assert (first["hits"], first["episodes"], first["errors"]) == (1, 2, 1)
    assert (last["hits"], last["episodes"], last["errors"]) == (1, 1, 1) and last["low"] == wilson(1, 1).low
    assert len(stored.outcomes()) == 3


def test_pairs_are_of_the_examples_that_both_have(store):
    one, other = pd.DataFrame({"a": [1, 2, 3]}), pd.DataFrame({"a": [4, 5, 6]})
    pair = on_common_examples(one.drop(index=0), other.drop(index=2))
    assert [each["a"].tolist() for each in pair] == [[2], [5]]


def test_nothing_is_pickled(store):
    endings = {p.suffix for p in store.root.rglob("*") if p.is_file()}
    assert endings == {".json", ".csv", ".safetensors"}


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "weights.safetensors",
        "curve.csv",
        "evaluations/K/config.json",
        "evaluations/K/outcomes.csv",
    ],
)
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damage_in_any_file_is_named_when_it_is_read(store, name, damage):
    path = store.cells / TRAINING.key / name.replace("K", ONE.key)
    content = path.read_bytes()
    if damage == "flip":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    elif damage == "truncate":
        path.write_bytes(content[:-3])
    else:
        path.unlink()
    with pytest.raises(DamagedError, match=path.name):
        training = store.training(TRAINING.key)
        training.weights()
        training.curve()
        for decoding in store.evaluations(training):
            decoding.outcomes()


def test_a_cell_in_anothers_folder_is_noticed(store):
    (store.cells / TRAINING.key).rename(store.cells / "0123456789abcdef")
    with pytest.raises(DamagedError, match="its folder is named otherwise"):
        store.training("0123456789abcdef")


def test_results_of_a_newer_format_are_left_alone(store):
    path = store.root / "toyflow.json"
    path.write_text(json.dumps({"format": FORMAT + 1, "written_by": "9.9"}))
    before = {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match=rf"format {FORMAT + 1}, written by toyflow 9\.9.*nothing was ch"):
        Store(store.root)
    assert {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": "1"}', json.dumps({"format": FORMAT, "written_by": "0&1.0", SEAL: "0"})]
)
def test_a_damaged_format_file_is_named(store, text):
    (store.root / "toyflow.json").write_text(text)
    with pytest.raises(DamagedError, match=r"toyflow\.json is damaged"):
        Store(store.root)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to"):
        Store(tmp_path / "file" / "out").prepare()


def test_a_folder_that_is_missing_is_not_claimed_and_is_made_by_a_claim(tmp_path):
    store = Store(tmp_path / "not" / "there")
    assert not store.is_claimed(TRAINING) and not store.root.exists()
    with store.try_claim(TRAINING) as claimed:
        assert claimed and store.is_claimed(TRAINING)


def test_a_claim_clears_what_a_killed_process_left_in_the_cell(store):
    half = store.cells / TRAINING.key / "evaluations" / f".{ONE.key}.abc"
    half.mkdir()
    with store.claim(TRAINING, on_wait=pytest.fail):
        assert not half.exists()
    assert store.has_evaluation(TRAINING, ONE)


def test_a_claim_is_tried_or_waited_for(store):
    other = Store(store.root)

    def give_up() -> None:
        raise InterruptedError

    with store.try_claim(TRAINING) as claimed, other.try_claim(TRAINING) as twice:
        assert claimed and not twice
    with store.try_claim(TRAINING), pytest.raises(InterruptedError), other.claim(TRAINING, on_wait=give_up):
        pass
    with other.claim(TRAINING, on_wait=pytest.fail):
        pass


def test_preparing_leaves_what_is_not_of_cells(store):
    for name in (".gitattributes", "..x", f".{TRAINING.key}"):
        (store.cells / name).write_text("")
    Store(store.root).prepare()
    assert {".gitattributes", "..x", f".{TRAINING.key}"} <= {p.name for p in store.cells.iterdir()}


def test_preparing_clears_what_killed_processes_left_but_not_what_one_is_writing(store):
    half = store.cells / f".{TRAINING.key}.abc"
    half.mkdir()
    with store.claim(TRAINING, on_wait=pytest.fail):
        Store(store.root).prepare()
        assert half.exists()
    Store(store.root).prepare()
    assert not half.exists() and store.has_training(TRAINING)


def test_half_written_cells_are_not_listed(store):
    (store.cells / ".0123.abc").mkdir()
    assert [t.record.key for t in store.trainings()] == [TRAINING.key]


def test_removal_though_an_earlier_one_was_killed(store):
    (store.cells / f".{TRAINING.key}.removed" / "evaluations").mkdir(parents=True)
    store.remove(TRAINING.key)
    assert not store.has_training(TRAINING) and list(store.trainings()) == []


def test_a_folder_is_of_one_task(store, tmp_path):
    store.check_task("points")
    store.check_task("points-v2")
    Store(tmp_path / "empty").check_task("wave")
    with pytest.raises(UsageError, match=r"out holds results of task points, so those of wave need a folder"):
        store.check_task("wave")
    (store.cells / TRAINING.key / "config.json").unlink()
    store.check_task("wave")  # nothing that can be read says otherwise
