"""Which executor the options of a sweep ask for."""

import pytest

from toyflow.errors import UsageError
from toyflow.sweep import executors
from toyflow.sweep.executors import DebugExecutor, LocalExecutor, executor_of
from toyflow.sweep.sweep_options import SweepOptions

ON_CPU = {"device": "cpu"}


@pytest.mark.parametrize(
    ("options", "kind", "jobs"),
    [
        ({"executor": "debug"}, DebugExecutor, 1),
        ({"jobs": 3, "threads": 4}, LocalExecutor, 3),
        ({"threads": 2}, LocalExecutor, 4),
        ({"threads": 16}, LocalExecutor, 1),
    ],
)
def test_processors_are_shared_among_cells_unless_their_number_is_given(monkeypatch, options, kind, jobs):
    monkeypatch.setattr(executors, "cores", lambda: 8)
    executor = executor_of(SweepOptions(**ON_CPU, **options))
    assert isinstance(executor, kind) and executor.jobs() == jobs


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"address": "auto"}, "--address is for --executor ray; this is local"),
        ({"cpus_per_cell": 2.0, "executor": "debug"}, "--cpus-per-cell is for --executor ray; this is debug"),
        ({"gpus_per_cell": 1.0}, "--gpus-per-cell is for --executor ray"),
        ({"executor": "ray", "device": "cuda"}, "needs --gpus-per-cell"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        executor_of(SweepOptions(**{**ON_CPU, **options}))
