"""Errors that a user reads: one line, what was wrong, what exists, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ToyflowError(Exception):
    """Something failed while running. The command line prints it `in_full` and exits with code 1."""

    exit_code = 1
    hint = ""
    """What comes after the message: what to do about it, or what only the command knows."""

    def in_full(self) -> str:
        """The message and the hint, in one line.

        Example:
            >>> error = ToyflowError("x.csv is missing.")
            >>> error.hint = "Make it again."
            >>> error.in_full()
            'x.csv is missing. Make it again.'
        """
        return " ".join(filter(None, (str(self), self.hint)))


class UsageError(ToyflowError):
    """The request cannot be carried out as it was given. Raised before any work starts; exit code 2."""

    exit_code = 2


class MissingInputError(UsageError):
    """Something that has to be made first is not there.

    Args:
        message: what is missing.
        hint: what makes it; `hinted` says something better where it is known.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
        self._message = message

    def hinted(self, hint: str) -> MissingInputError:
        """The same with another hint."""
        return MissingInputError(self._message, hint)


def first_line(error: BaseException) -> str:
    """First line of the message of another library's error; the name of its type if it has no message."""
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__


def named_line(error: BaseException) -> str:
    """As `first_line`, after the name of the error's type."""
    name, said = type(error).__name__, first_line(error)
    return name if said == name else f"{name}: {said}"


def printable(name: object) -> str:
    """A name out of somebody's file or message, as one line shows it.

    Example:
        >>> printable("state"), printable("a\\nb")
        ('state', "'a\\\\nb'")
    """
    text = str(name)
    return text if text.isprintable() else ascii(text)


def unknown(kind: str, name: str, existing: Iterable[str]) -> UsageError:
    """The error for a `name` that is not among the `existing` ones, with a guess at what was meant."""
    existing = sorted(existing)
    guesses = get_close_matches(name, existing, n=1, cutoff=0.5)
    hint = f" Did you mean {guesses[0]!r}?" if guesses else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Available: {', '.join(existing)}.")
