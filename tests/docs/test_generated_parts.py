"""The reference says what the code has."""

import pytest
from generated_parts import PARTS, filled

from toyflow import plugins
from toyflow.cli.index import INDEX
from toyflow.sweep.presets import available_presets


def test_every_command_has_a_section_with_its_options_and_examples():
    text = PARTS["commands"]()
    for name in (name for names in INDEX.values() for name in names):
        assert f"\n## toyflow {name}\n" in f"\n{text}"
    for words in (
        "## toyflow runs prune",
        "| `--schedules` | Schedules of the training time",
        "toyflow sweep --preset finding-1 --dry-run\n",
        "| `checkpoint",
    ):
        assert words in text
    assert "[bold]" not in text and "--help`" not in text


@pytest.mark.parametrize("group", ["schedules", "objectives", "tasks"])
def test_every_plugin_is_there(group):
    text = PARTS[group]()
    assert not [name for name in plugins.available(group) if name not in text]


def test_every_preset_says_what_it_shows_and_costs():
    text = PARTS["presets"]()
    for name in available_presets():
        section = text.split(f"### {name}\n")[1].split("\n### ")[0]
        assert "**Cost:**" in section and f"toyflow sweep --preset {name}" in section


def test_tables_are_whole():
    for part in PARTS.values():
        rows = [line for line in part().splitlines() if line.startswith("| ")]
        counts = [row.replace(r"\|", "").count(" | ") for row in rows]
        assert set(counts) <= {1, 2, 3}


def test_a_place_is_filled_and_an_unknown_one_is_an_error():
    page = "# A\n\n<!-- generated: schedules -->\n\nEnd <!-- generated: commands --> of a line.\n"
    assert "| `uniform` |" in filled(page) and filled(page).endswith(
        "<!-- generated: commands --> of a line.\n"
    )
    with pytest.raises(KeyError, match="nothing"):
        filled("<!-- generated: nothing -->")
