"""README's training loop is run as it stands."""

import re
from pathlib import Path

import torch

README = Path(__file__).parents[2] / "README.md"


def test_the_loop_in_the_readme_learns_to_decode_in_one_step():
    section = README.read_text().split("## In your own training loop\n")[1].split("\n## ")[0]
    [example] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    torch.manual_seed(0)
    names: dict[str, torch.Tensor] = {}
    exec(compile(example, "README.md", "exec"), names)
    error = (names["wave"] - torch.sin(names["phase"] + torch.arange(8))).abs()
    assert error.mean() < 0.2, "guessing the mean of all waves errs by 0.64"
