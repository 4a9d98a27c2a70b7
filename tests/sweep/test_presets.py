from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import parsed

from toyflow.api.study import plan_study
from toyflow.errors import UsageError
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.robot_task import RobotTask
from toyflow.robot.simulation.trials import TrialOptions
from toyflow.sweep.presets import Notes, available_presets, load_preset, notes
from toyflow.sweep.subject import ResolvedOptions
from toyflow.sweep.sweep_options import SweepOptions


def _altered(path: Path) -> st.SearchStrategy[bytes]:
    """A file with one byte altered, or its end cut off."""
    content = path.read_bytes()
    places = st.integers(0, len(content) - 1)
    flipped = st.builds(
        lambda at, byte: content[:at] + bytes([byte]) + content[at + 1 :], places, st.integers(0, 255)
    )
    return flipped | places.map(lambda end: content[:end])


@pytest.mark.parametrize("name", sorted(available_presets()))
def test_every_preset_that_ships_can_be_planned_and_has_a_short_version(name, monkeypatch):
    def choose(cls: type[RobotTask], options: Mapping[str, str]) -> ResolvedOptions:
        """Without the data set of a hub and the simulator that the real one looks into."""
        cls.check_names(options)
        TrialOptions.parse(options)
        data = {"dataset": options["dataset"]}
        return ResolvedOptions(data, PolicyOptions.parse(options).record(), options.get("suite", "auto"))

    monkeypatch.setattr(RobotTask, "choose", classmethod(choose))
    whole, short = (plan_study(SweepOptions().updated(load_preset(name, q), name)) for q in (False, True))
    assert sum(c.training.recipe["iterations"] for c in short) < sum(
        c.training.recipe["iterations"] for c in whole
    )
    path = available_presets()[name]
    said = notes(path)
    assert path.read_text().startswith(f"# toyflow sweep --preset {name}\n")
    assert said.cost.startswith(f"{len(whole)} cell") and said.shows.endswith(".") and said.quick


def check_decides(path: Path) -> None:
    """Refuse a preset whose header does not say what would decide it: seeds, interval, and what would refute
    it."""
    said = notes(path).decides
    assert said, f"{path.name}: its header has no paragraph `Decides:`"
    lacking = [word for word in ("refuted", "interval", "seed") if word not in said.lower()]
    assert not lacking, f"{path.name}: `Decides:` does not say anything of: {', '.join(lacking)}"


@pytest.mark.parametrize("name", sorted(available_presets()))
def test_every_preset_says_what_would_decide_it(name):
    check_decides(available_presets()[name])


AFTER_THEIR_FIRST_RUN = (
    "attention",
    "best",
    "dial",
    "objectives",
    "paper-table-6",
    *(f"finding-{n}" for n in range(1, 6)),
)


@pytest.mark.parametrize("name", AFTER_THEIR_FIRST_RUN)
def test_what_was_written_after_the_first_run_says_so(name):
    assert notes(available_presets()[name]).decides.startswith("Written after the first run.")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("# Shows: this.\n# Cost: 2 cells.", "no paragraph `Decides:`"),
        ("# Shows: this.\n# Decides:\n# Cost: 2 cells.", "no paragraph `Decides:`"),
        (
            "# Shows: this.\n\n# Decides: a 95 % interval over seeds; refuted below 0.",
            "no paragraph `Decides:`",
        ),
        (
            "# Decides: a minus b above 0 by the 95 % interval over seeds 0 to 2.",
            "not say anything of: refuted",
        ),
    ],
)
def test_a_preset_that_decides_nothing_is_refused(tmp_path, header, words):
    path = tmp_path / "mine.toml"
    path.write_text(f"{header}\n\nsteps = [1]\n")
    with pytest.raises(AssertionError, match=words):
        check_decides(path)


def test_a_presets_short_version_overrides_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("steps = [1, 2]\n[set]\nside = [2, 3]\n[quick]\nsteps = [1]\n")
    assert load_preset(str(path), quick=True) == {"steps": [1], "set": {"side": [2, 3]}}
    path.write_text("steps = [1]")
    with pytest.raises(UsageError, match="has no quick version"):
        load_preset(str(path), quick=True)


def test_an_unknown_preset_is_refused_with_a_guess(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'objectives'"):
        load_preset("objectivs")
    with pytest.raises(UsageError, match="no such file"):
        load_preset(str(tmp_path / "none.toml"))


@given(st.binary(max_size=60) | st.sampled_from(sorted(available_presets().values())).flatmap(_altered))
def test_whatever_a_preset_file_holds_it_is_a_table_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "junk.toml"
    path.write_bytes(content)
    values = parsed(lambda: load_preset(str(path)))
    assert values is None or isinstance(values, dict)


def test_a_preset_nested_without_end_is_refused(tmp_path):
    (tmp_path / "deep.toml").write_text("steps = " + "[" * 100_000)
    with pytest.raises(UsageError, match="is not TOML"):
        load_preset(str(tmp_path / "deep.toml"))


def test_notes_are_the_paragraphs_above_the_options(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "# toyflow sweep\n#\n# Cost: 2 cells,\n# first: a minute.\n# Shows: this.\n"
        "# Decides: a\n# contrast.\n#\n# aside\n\nsteps = [1]\n# First: no"
    )
    assert notes(path) == Notes(
        shows="this.", decides="a contrast.", cost="2 cells, first: a minute.", quick="", first=""
    )
