import math
from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from junk import JSON, TEXT, parsed, texts

from toyflow.errors import UsageError
from toyflow.parsing import parse_numbers
from toyflow.sweep.presets import load_preset
from toyflow.sweep.sweep_options import SweepOptions


def test_flags_override_a_preset_which_overrides_the_defaults(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('schedules = ["shift:4"]\nsteps = [1, 2]\nbatch-size = 4\n')
    options = SweepOptions().updated(load_preset(str(path)), "preset mine")
    options = options.updated({"steps": "5", "seeds": None}, "flags")
    assert (options.schedules, options.steps, options.batch_size) == (("shift:4",), (5,), (4,))
    assert options.seeds == SweepOptions().seeds


def test_settings_come_from_tables_and_flags_and_add_up():
    options = SweepOptions().updated({"set": {"side": [2, 3], "encoder": "small"}}, "preset x")
    options = options.updated({"set": ["encoder=base,large", "condition-noise=0.5"]}, "flags")
    assert options.set == {"side": ("2", "3"), "encoder": ("base", "large"), "condition-noise": ("0.5",)}


def test_lists_and_ranges():
    options = SweepOptions().updated({"seeds": "0-2, 7,7", "steps": "1,10"}, "flags")
    assert options.seeds == (0, 1, 2, 7) and options.steps == (1, 10)


@pytest.mark.parametrize("given", ["300, 1000,300", [300, 1000], (300, 1000)])
def test_numbers_of_the_recipe_are_one_or_several(given):
    assert SweepOptions().updated({"iterations": given}, "flags").iterations == (300, 1000)
    assert SweepOptions().updated({"batch_size": 16, "learning_rate": "1e-3"}, "flags").recipes() == [
        {"batch_size": 16, "learning_rate": 0.001}
    ]
    assert SweepOptions().recipes() == [{}]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": "0"}, "--steps must be 1 or more, got 0"),
        ({"steps": "1,x"}, "--steps must be whole numbers such as 1,10 or 0-4, got 'x'"),
        ({"steps": ""}, "--steps must be whole numbers"),
        ({"seeds": "-1"}, "--seeds must be whole numbers"),
        ({"seeds": "5-2"}, "range 5-2 is empty"),
        ({"draws": "1,3"}, r"--draws must be 1 or even \(pairs of noise x0, -x0\), got 3.$"),
        ({"draws": "0"}, "--draws must be 1 or even"),
        ({"draws": "1-8"}, "got 3. A range has odd numbers, too; list them instead: 1,2,4,8."),
        ({"schedules": ","}, "--schedules is empty"),
        ({"jobs": 0}, "--jobs must be a whole number of 1 or more"),
        ({"iterations": -3}, "--iterations must be"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a number above 0"),
        ({"learning_rate": "0.001,fast"}, "--learning-rate must be a number above 0, got 'fast'"),
        ({"learning_rate": "inf"}, "--learning-rate must be a number above 0, got inf"),
        ({"iterations": "300,"}, "--iterations must be a whole number of 1 or more, got ''"),
        ({"iterations": "1.5"}, "--iterations must be a whole number of 1 or more, got 1.5"),
        ({"batch_size": []}, "--batch-size is empty"),
    ],
)
def test_bad_flags_are_named(values, words):
    with pytest.raises(UsageError, match=words):
        SweepOptions().updated(values, "flags")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepps = [1]", "unknown key in preset bad 'stepps'. Did you mean 'steps'"),
        ("steps = [1.5]", "preset bad: steps must be whole numbers"),
        ("schedules = 3", "preset bad: schedules must be names"),
        ("batch-size = true", "preset bad: batch-size must be a whole number"),
        ("steps = [", "is not TOML"),
        ("steps = []", "steps is empty"),
        ('seeds = "0-9999999999"', "is longer than"),
        ("parts = [1]", r"preset bad: parts must be tables of options, \[\[parts\]\], got \[1\]"),
        ("[parts]\nsteps = 1", r"parts must be tables of options, \[\[parts\]\], got {'steps': 1}"),
        (
            "[[parts]]\n[[parts]]\nstepps = 1",
            "unknown key in part 2 of preset bad 'stepps'. Did you mean 'steps'",
        ),
        ("[[parts]]\nsteps = [1.5]", "part 1 of preset bad: steps must be whole numbers"),
        (
            '[[parts]]\nout = "there"',
            r"part 1 of preset bad sets out, which is one for all parts: set it above",
        ),
        ("[[parts]]\njobs = 2", "sets jobs, which"),
        ("[[parts]]\nthreads = 2", "sets threads, which"),
        ('[[parts]]\ntask = "dial"', "sets task, which"),
        ('[[parts]]\ndata-dir = "here"', "sets data-dir, which"),
        ("[[parts]]\n[[parts.parts]]\nsteps = 1", "sets parts, which"),
    ],
)
def test_bad_presets_are_named(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        SweepOptions().updated(load_preset(str(path)), "preset bad")


@given(texts("0123456789-, x."))
def test_step_lists_parse_or_are_refused(text):
    steps = parsed(lambda: SweepOptions().updated({"steps": text}, "flags").steps)
    assert steps is None or (steps and min(steps) >= 1 and len(set(steps)) == len(steps))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 50)), min_size=1, max_size=5))
def test_ranges_are_what_they_say(ranges):
    text = ",".join(f"{first}-{first + more}" if more else f" {first} " for first, more in ranges)
    every = [number for first, more in ranges for number in range(first, first + more + 1)]
    assert parse_numbers(text, "--seeds") == tuple(dict.fromkeys(every))


def test_a_number_without_end_is_refused():
    for text in ("9" * 5000, f"0-{'9' * 5000}", "٣" * 5000):
        with pytest.raises(UsageError, match="--seeds must be whole numbers"):
            parse_numbers(text, "--seeds")


KEYS = st.sampled_from([field.name for field in fields(SweepOptions)]) | st.text(max_size=8)


@given(st.dictionaries(KEYS, JSON, max_size=3))
@example({"cpus-per-cell": 10**400})
@example({"gpus-per-cell": 10**400})
@example({"learning-rate": 10**400})
def test_whatever_a_preset_holds_it_is_options_or_refused(values):
    options = parsed(lambda: SweepOptions().updated(values, "preset x"))
    if options is not None:
        assert all(isinstance(step, int) and step > 0 for step in options.steps)
        assert options.learning_rate is None or 0 < options.learning_rate < math.inf


@given(st.lists(TEXT, max_size=3))
def test_whatever_set_is_given_it_is_settings_or_refused(words):
    options = parsed(lambda: SweepOptions().updated({"set": words}, "flags"))
    assert options is None or all(name and values for name, values in options.set.items())


def test_an_option_that_is_set_twice_is_refused():
    with pytest.raises(UsageError, match="--set side is given twice; write side=VALUE,VALUE"):
        SweepOptions().updated({"set": ["side=2", "side=3"]}, "flags")


PARTED = """
seeds = "0-2"
out = "results/x"
[set]
side = [2, 3]
[[parts]]
schedules = ["uniform"]
set = { encoder = "small" }
[[parts]]
objectives = ["mip"]
steps = [2]
[quick]
seeds = [0]
"""


def parted(tmp_path, text: str = "", quick: bool = False) -> SweepOptions:
    path = tmp_path / "parted.toml"
    path.write_text(PARTED + text)
    return SweepOptions().updated(load_preset(str(path), quick), "preset parted")


def test_parts_have_the_options_above_them_and_their_own(tmp_path):
    first, second = parted(tmp_path).parts
    assert first.seeds == second.seeds == (0, 1, 2) and first.out == second.out == "results/x"
    assert first.set == {"side": ("2", "3"), "encoder": ("small",)} and second.set == {"side": ("2", "3")}
    assert (first.schedules, first.objectives) == (("uniform",), ("flow",))
    assert (second.schedules, second.objectives, second.steps) == (None, ("mip",), (2,))


def test_flags_override_every_part(tmp_path):
    options = parted(tmp_path).updated({"steps": "1,4", "set": ["side=4"], "out": "there"}, "flags")
    assert options.out == "there"
    assert [(part.steps, part.set["side"], part.seeds) for part in options.parts] == [
        ((1, 4), ("4",), (0, 1, 2))
    ] * 2


def test_a_short_version_keeps_the_parts_or_has_its_own(tmp_path):
    short = parted(tmp_path, quick=True)
    assert [part.seeds for part in short.parts] == [(0,), (0,)]
    own = parted(tmp_path, "[[quick.parts]]\nsteps = [1]\n", quick=True)
    assert [(part.steps, part.objectives) for part in own.parts] == [((1,), ("flow",))]
    assert parted(tmp_path, "parts = []", quick=True).parts == ()
