"""An extension of griffe, which reads docstrings for the reference: examples become blocks of code.

A docstring here has its doctest under `Example: a sentence.`, which griffe takes for prose and Markdown for
quotations. Lines from `>>>` on to the next empty line or lesser indentation get a fence.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


def fenced(text: str) -> str:
    """A docstring whose doctests are fenced.

    >>> fenced("Two:\\n    >>> 1 + 1\\n    2")
    'Two:\\n    ```pycon\\n    >>> 1 + 1\\n    2\\n    ```'
    """
    lines: list[str] = []
    indent: str | None = None
    for line in [*text.split("\n"), ""]:
        if indent is not None and (not line.strip() or not line.startswith(indent)):
            lines.append(f"{indent}```")
            indent = None
        if indent is None and (prompt := re.match(r"( *)>>> ", line)):
            indent = prompt[1]
            lines.append(f"{indent}```pycon")
        lines.append(line)
    return "\n".join(lines[:-1])


class FencedExamples(griffe.Extension):
    """Fences the doctests of every docstring."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
