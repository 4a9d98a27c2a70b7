"""`toyflow robot-limits`: a limits file from demonstrations."""

from __future__ import annotations

from pathlib import Path

from toyflow.atomic import atomic_file
from toyflow.errors import UsageError
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.runtime.control.limits_template import limits_template


def write_limits(dataset: str, out: Path | None) -> str:
    """The text of a limits file made from demonstrations, written to `out` unless that is None.

    Raises:
        UsageError: the data set cannot be read, or `out` exists.

    Example:
        write_limits("data/demos/aloha", Path("aloha.toml"))
    """
    if out is not None and out.exists():
        raise UsageError(f"{out} exists, and may have been edited: name another file by --out.")
    text = limits_template(open_data_set(dataset))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(out) as temporary:
            temporary.write_text(text)
    return text
