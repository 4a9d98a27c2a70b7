"""What a task is, as its docstring says it."""

import doctest

import pytest

from toyflow import Task
from toyflow.errors import UsageError
from toyflow.toy import task


def test_the_example_is_run():
    assert doctest.testmod(task) == (0, 3)


def test_a_headline_that_is_better_when_lower_is_refused():
    with pytest.raises(UsageError, match="task Far: the headline metric must be better when higher"):
        type("Far", (Task,), {"metrics": ("distance",), "lower_is_better": ("distance",)})


@pytest.mark.parametrize("metrics", [(), "close"])
def test_metrics_are_names(metrics):
    with pytest.raises(UsageError, match="task Mute: metrics must be names of scores, the headline first"):
        type("Mute", (Task,), {"metrics": metrics})
