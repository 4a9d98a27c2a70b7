"""Completion in bash and fish of words that hold a colon, an equals sign or an at sign: shift:4@beta.

In bash, readline ends a word at each character of COMP_WORDBREAKS, which has `:`, `=` and `@`, and replaces
only what comes after the last one; an `@` it replaces, too. So of `--schedules shift:4@be`, Typer's script
gets the words `--schedules`, `shift`, `:`, `4`, `@` and `be`, and bash wants `@beta` as an answer, not
`shift:4@beta`.
bash-completion has functions for it (`_get_comp_words_by_ref -n :`, `__ltrim_colon_completions`); it is not
installed everywhere, and Typer's script calls none of them.

Fish ends words where it should, and replaces all of them: of `--schedules=un` it wants `--schedules=uniform`,
not the value alone, which is what Typer answers.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

BREAKS = frozenset(":=@")
"""Characters at which bash ends a word and a shell does not."""


def whole_words(pieces: list[str], current: int) -> tuple[list[str], int, str]:
    """Words as they were typed, the place of the one with the cursor, and what of it bash will not replace.

    Args:
        pieces: COMP_WORDS, the words of a line as readline ends them.
        current: COMP_CWORD, the place of the piece with the cursor. It is `len(pieces)` at a new word.

    Example:
        >>> whole_words(["toyflow", "sweep", "--schedules", "shift", ":", "4", "@", "be"], 7)
        (['toyflow', 'sweep', '--schedules', 'shift:4@be'], 3, 'shift:4')
        >>> whole_words(["toyflow", "sweep", "--schedules", "=", "be"], 4)
        (['toyflow', 'sweep', '--schedules=be'], 2, '--schedules=')
    """
    words: list[str] = []
    place, kept, after_break = len(pieces), "", False
    for number, piece in enumerate(pieces):
        is_break = bool(piece) and BREAKS.issuperset(piece)
        belongs = bool(words) and (is_break or (after_break and not piece.startswith("-")))
        before = words.pop() if belongs else ""
        words.append(before + piece)
        after_break = is_break
        if number == current:
            place, kept = len(words) - 1, before + piece if is_break else before
    return words, min(place, len(words)), kept.rstrip("@")


@contextmanager
def completing_words() -> Iterator[None]:
    """While Typer completes for bash or fish: give it whole words, and the shell what it replaces."""
    shell = os.environ.get("_TOYFLOW_COMPLETE")
    if shell == "complete_bash":
        answer = _for_bash()
    elif shell == "complete_fish":
        answer = _for_fish()
    else:
        yield
        return
    answered = io.StringIO()
    try:
        with redirect_stdout(answered):
            yield
    finally:
        for line in answered.getvalue().splitlines():
            sys.stdout.write(f"{answer(line)}\n")
        sys.stdout.flush()


def _for_bash() -> Callable[[str], str]:
    pieces = os.environ.get("COMP_WORDS", "").split("\n")  # Typer's script joins them so
    words, current, kept = whole_words(pieces, int(os.environ.get("COMP_CWORD", "0")))
    os.environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(current)}
    option, equals, value = kept.partition("=")
    if equals and option.startswith("-"):  # of --option=value, values are offered
        kept = value
    return lambda line: line.removeprefix(kept)


def _for_fish() -> Callable[[str], str]:
    word = os.environ.get("_TYPER_COMPLETE_ARGS", "").rpartition(" ")[2]
    option, equals, _ = word.partition("=")
    before = f"{option}=" if equals and option.startswith("-") else ""
    return lambda line: f"{before}{line}"
