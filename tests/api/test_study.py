"""The README's example is run as it stands."""

import re
from pathlib import Path

import pytest

from toyflow import Task, UsageError
from toyflow.api.study import check_instance, run_study
from toyflow.toy.tasks.wave import Wave

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_a_study_of_ones_own_task_in_20_lines(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    [example] = [block for block in blocks if "run_study" in block]
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 20
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines() if "uniform" in line or "shift" in line]
    score = {(schedule, int(steps), int(seed)): float(value) for schedule, seed, steps, value, _ in lines}
    assert len(score) == 8, out
    for seed in (0, 1):
        assert score["uniform", 10, seed] > 0.8 and score["shift:4", 10, seed] > 0.6, out
        assert score["shift:4", 1, seed] > score["uniform", 1, seed] + 0.2, out


class Unmade(Task):
    name, metrics = "unmade", ("right",)

    def __init__(self):
        pass

    def train_batch(self, size, generator):
        raise NotImplementedError

    def test_set(self):
        raise NotImplementedError

    def build_model(self, options):
        raise NotImplementedError

    def score(self, sample, test):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("task", "words"),
    [(Unmade, r"an instance of a subclass of toyflow.Task, such as Unmade\(\)"), (Unmade(), "super")],
)
def test_what_is_no_task_is_refused_in_one_line(task, words):
    with pytest.raises(UsageError, match=words):
        check_instance(task)


def test_progress_is_shown_where_it_is_asked_for(tmp_path, capsys):
    def study(seed, **more):
        run_study(Wave(), schedules=["uniform"], seeds=[seed], steps=[1], iterations=3, out=tmp_path, **more)
        return capsys.readouterr()

    assert "[1/1] done    uniform seed 0" in study(0, progress=True).err
    assert study(1) == ("", "")
