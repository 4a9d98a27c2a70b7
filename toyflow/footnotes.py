"""Marks at numbers that need a remark, and the remarks below their table."""

from __future__ import annotations

MARKS = "†‡§¶"
MOST_REASONS = 3
"""Most reasons of one kind that are listed."""


class Footnotes:
    """The footnotes of one table. The same remark has the same mark.

    >>> notes = Footnotes()
    >>> [f"{score}{notes.mark(remark)}" for score, remark in ((73.3, "half the test set"), (80.1, ""))]
    ['73.3†', '80.1']
    >>> notes.after("Intervals at 95 %.")
    'Intervals at 95 %. † half the test set.'
    """

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def mark(self, remark: str) -> str:
        """The mark of `remark`, to be written at its number; nothing for an empty one."""
        if not remark:
            return ""
        place = len(self._marks)
        return self._marks.setdefault(remark, MARKS[place % len(MARKS)] * (place // len(MARKS) + 1))

    def after(self, note: str) -> str:
        """A table's note with the remarks that were marked after it."""
        return " ".join(filter(None, (note, *(f"{mark} {said}." for said, mark in self._marks.items()))))
