"""Plug-ins that cannot be loaded are refused in one line."""

import pytest

from toyflow import plugins
from toyflow.errors import ToyflowError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a module `my_plugin` with the objective `mine`, for one test."""

    def install(code: str) -> None:
        info = tmp_path / "my_plugin-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[toyflow.objectives]\nmine = my_plugin:Mine\n")
        (tmp_path / "my_plugin.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        plugins.available.cache_clear()

    yield install
    plugins.available.cache_clear()


@pytest.mark.parametrize(
    "code",
    ["from toyflow.flow.objectives.base import squared_error", "from toyflow.flow.probe import distance"],
)
def test_one_that_imports_what_has_moved_is_told_where_to_look(installed, code):
    installed(code)
    with pytest.raises(
        ToyflowError, match=r"'mine' \(my_plugin:Mine\) .*CHANGELOG\.md lists what was moved and renamed\.$"
    ) as caught:
        plugins.load("objectives", "mine")
    assert "\n" not in str(caught.value)


def test_one_that_fails_by_itself_is_not(installed):
    installed("import no_such_package")
    with pytest.raises(ToyflowError, match=r"cannot be imported: No module named 'no_such_package'\.$"):
        plugins.load("objectives", "mine")
