"""README's training loop is run as it stands."""

import re
from pathlib import Path

import torch

README = Path(__file__).parents[2] / "README.md"


def test_the_loop_in_the_readme_learns_and_prints_its_error_in_one_and_ten_steps(capsys):
    section = README.read_text().split("## In your own training loop\n")[1].split("\n## ")[0]
    [example] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    torch.manual_seed(0)
    exec(compile(example, "README.md", "exec"), {})
    said = re.fullmatch(r"steps 1: mean error (\S+)\nsteps 10: mean error (\S+)\n", capsys.readouterr().out)
    assert said and max(map(float, said.groups())) < 0.2, "guessing the mean of all waves errs by 0.64"
