"""The example package of docs/guides/extend.md is installed and used as it stands."""

import os
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "extend.md").read_text()


@pytest.mark.slow
def test_a_plugin_of_each_kind_is_one_file_and_one_entry_point(toyflow, tmp_path):
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    [toml] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    [command] = re.findall(r"\ntoyflow (sweep .*)\n", TEXT)
    (tmp_path / "my_package.py").write_text(code)
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    points = re.sub(r'\[project\.entry-points\."(.*?)"\]', r"[\1]", toml).replace('"', "")
    (info / "entry_points.txt").write_text(points)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    short = ("--iterations", "60", "--seeds", "0", "--out", "results")
    ran = toyflow.apart(*command.split(), *short, PYTHONPATH=path)
    assert ran.returncode == 0, ran.stderr
    for words in ("power:2", "denoise", "K = 1", "K = 2"):
        assert words in ran.stdout
    assert "ralston" in toyflow.apart("runs", "list", "--out", "results", PYTHONPATH=path).stdout
