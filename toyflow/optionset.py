"""Options as a frozen dataclass: from the text of a command line or a record, back to it, and to a help text.

Declare each option once, with its type, default and range:

    >>> @dataclass(frozen=True)
    ... class GridData(OptionSet):
    ...     side: int = number(4, low=2, high=6)
    ...     noise_level: float = number(0.0, low=0, high=2)
    ...     layout: str = choice("rows", "columns")
    ...     mirrored: bool = switch(False)
    >>> GridData.parse({"side": "3", "noise-level": "0.50", "mirrored": "on"})
    GridData(side=3, noise_level=0.5, layout='rows', mirrored=True)

Text names options with hyphens. `record` gives the text that enters records and their hashes: equal options
give equal text, and `parse` gives back equal options. Numbers are exact in both. (0.1.0 rounded them to six
digits before it used them, so its records say what was run, too.)

    >>> GridData.parse({"noise-level": "0.50"}).record()
    {'side': '4', 'noise-level': '0.5', 'layout': 'rows', 'mirrored': 'off'}

An option that is added to a set of which results exist is declared with `added=True`: a record leaves it out
at its default, so that the keys of older results stay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import Any, TypeVar, cast

from toyflow.errors import UsageError, unknown

Set = TypeVar("Set", bound="OptionSet")


class Values(ABC):
    """The values that one option takes. `str` describes them in a help text, the default in bold."""

    @abstractmethod
    def check(self, option: str, value: Any) -> Any:
        """`value` as the option's own type. Raises UsageError, which names the `option`, if it is of another
        type or out of range."""

    def parse(self, option: str, text: str) -> Any:
        """The value that `text` stands for. Raises UsageError, which names the `option`, if there is none."""
        return self.check(option, text)

    @abstractmethod
    def text(self, value: Any) -> str:
        """The text of a value, for records; `parse` takes it back."""


@dataclass(frozen=True)
class Numbers(Values):
    """Numbers from `low` to `high`; whole ones where the default is an int."""

    default: float
    low: float
    high: float

    def check(self, option: str, value: Any) -> float:
        """See `Values`. A whole float such as 4.0 is taken for an int."""
        if isinstance(value, bool) or not isinstance(value, Real) or not self._holds(value):
            raise self._refusal(option, value)
        number = cast(float, value)
        return int(number) if self._whole else float(number)

    def parse(self, option: str, text: str) -> float:
        """See `Values`."""
        for number in (int, float):  # a large int is no float
            try:
                value = number(text)
            except ValueError:
                continue
            if self._holds(value):
                return self.check(option, value)
        raise self._refusal(option, text)

    def text(self, value: float) -> str:
        """See `Values`."""
        return number_text(value)

    @property
    def _whole(self) -> bool:
        return isinstance(self.default, int)

    def _holds(self, value: Any) -> bool:
        return self.low <= value <= self.high and not (self._whole and value % 1)

    def _refusal(self, option: str, value: Any) -> UsageError:
        kind = "whole number" if self._whole else "number"
        return UsageError(f"{option} must be a {kind} from {self.low:g} to {self.high:g}, got {value!r}.")

    def __str__(self) -> str:
        return f"[bold]{self.default:g}[/] ({self.low:g} to {self.high:g})"


@dataclass(frozen=True)
class Names(Values):
    """One of several names."""

    default: str
    names: tuple[str, ...]

    def check(self, option: str, value: Any) -> str:
        """See `Values`."""
        if not isinstance(value, str) or value not in self.names:
            raise unknown(option, str(value), self.names)
        return value

    def text(self, value: str) -> str:
        """See `Values`."""
        return value

    def __str__(self) -> str:
        return ", ".join([f"[bold]{self.default}[/]", *(name for name in self.names if name != self.default)])


@dataclass(frozen=True)
class OnOff(Values):
    """`on` or `off`."""

    default: bool

    def check(self, option: str, value: Any) -> bool:
        """See `Values`."""
        if not isinstance(value, bool):
            raise UsageError(f"{option} must be True or False, got {value!r}.")
        return value

    def parse(self, option: str, text: str) -> bool:
        """See `Values`."""
        if text not in ("on", "off"):
            raise unknown(option, text, ("on", "off"))
        return text == "on"

    def text(self, value: bool) -> str:
        """See `Values`."""
        return "on" if value else "off"

    def __str__(self) -> str:
        return "[bold]on[/], off" if self.default else "[bold]off[/], on"


@dataclass(frozen=True)
class FreeText(Values):
    """Text that only its user can judge; `meaning` says in a help text what it is."""

    default: str
    meaning: str

    def check(self, option: str, value: Any) -> str:
        """See `Values`. Space around it is dropped."""
        if not isinstance(value, str):
            raise UsageError(f"{option} must be text, got {value!r}.")
        return value.strip()

    def text(self, value: str) -> str:
        """See `Values`."""
        return value

    def __str__(self) -> str:
        return f"[bold]{self.default}[/] ({self.meaning})"


def number_text(value: float) -> str:
    """A number as text: six digits where they are exact, else all.

    >>> number_text(4e-3), number_text(0.12345678)
    ('0.004', '0.12345678')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def number(default: float, low: float, high: float, *, added: bool = False) -> Any:
    """A dataclass field for a number in [low, high]; a whole one if `default` is an int. With `added`,
    records leave it out at its default."""
    return _field(default, Numbers(default, low, high), added)


def choice(*names: str, default: str | None = None, added: bool = False) -> Any:
    """A dataclass field for one of `names`; the first is the default unless `default` names another. With
    `added`, records leave it out at its default."""
    chosen = names[0] if default is None else default
    return _field(chosen, Names(chosen, names), added)


def switch(default: bool, *, added: bool = False) -> Any:
    """A dataclass field for a bool, written `on` or `off`. With `added`, records leave it out at its
    default."""
    return _field(default, OnOff(default), added)


def text(default: str, meaning: str, *, added: bool = False) -> Any:
    """A dataclass field for free text; `meaning` is for help. With `added`, records leave it out at its
    default."""
    return _field(default, FreeText(default, meaning), added)


def _field(default: Any, values: Values, added: bool) -> Any:
    return field(default=default, metadata={"values": values, "added": added})


@dataclass(frozen=True)
class OptionSet:
    """Base of dataclasses whose fields are `number`, `choice`, `switch` and `text`; itself it has none.

    Raises:
        UsageError: when made with a value of another type than its field's, or out of its range.
    """

    def __post_init__(self) -> None:
        for name, values in self.values().items():
            attribute = _attribute(name)
            checked = values.check(name, getattr(self, attribute))
            object.__setattr__(self, attribute, checked)  # the class is frozen

    @classmethod
    def values(cls) -> dict[str, Values]:
        """What each option takes, by its name in text."""
        return {f.name.replace("_", "-"): cast(Values, f.metadata["values"]) for f in fields(cls)}

    @classmethod
    def parse(cls: type[Set], texts: Mapping[str, str]) -> Set:
        """The options that `texts` names, by name in text; others are at their default, and names that are
        no option of this set are passed over (see `check_names`).

        Raises:
            UsageError: a value that its option does not take.
        """
        taken = {name: values for name, values in cls.values().items() if name in texts}
        return cls(**{_attribute(name): values.parse(name, texts[name]) for name, values in taken.items()})

    def changed(self: Set, flags: Mapping[str, Any]) -> Set:
        """These options with the values of `flags`, by field, in their place; None leaves one as it is.

        Raises:
            UsageError: no such option, or a value that it does not take.

        Example:
            >>> @dataclass(frozen=True)
            ... class Size(OptionSet):
            ...     width: int = number(4, low=1, high=10)
            >>> Size().changed({"width": 8})
            Size(width=8)
        """
        known = {_attribute(name): (name, values) for name, values in self.values().items()}
        checked: dict[str, Any] = {}
        for attribute, value in flags.items():
            if attribute not in known:
                raise unknown(f"option of {type(self).__name__}", attribute, known or ("none",))
            if value is not None:
                name, values = known[attribute]
                checked[attribute] = values.check(name, value)
        return replace(self, **checked)

    @classmethod
    def added(cls) -> dict[str, str]:
        """The options that were declared with `added=True`: their defaults, as text."""
        every = cls.values()
        names = [name for name, f in zip(every, fields(cls), strict=True) if f.metadata["added"]]
        return {name: every[name].text(getattr(cls, _attribute(name))) for name in names}

    def texts(self) -> dict[str, str]:
        """Every option as text."""
        return {name: values.text(getattr(self, _attribute(name))) for name, values in self.values().items()}

    def record(self) -> dict[str, str]:
        """Every option as text, for a record and its key; those declared with `added=True` only where they
        are not at their default.

        Example:
            >>> @dataclass(frozen=True)
            ... class Size(OptionSet):
            ...     width: int = number(4, low=1, high=10)
            ...     depth: int = number(2, low=1, high=10, added=True)
            >>> Size().record(), Size(depth=3).record()
            ({'width': '4'}, {'width': '4', 'depth': '3'})
        """
        left_out = self.added().items()
        return {name: value for name, value in self.texts().items() if (name, value) not in left_out}


def check_names(names: Iterable[str], sets: Iterable[type[OptionSet]], owner: str) -> None:
    """Raise UsageError, with what exists, for a name that is an option of none of the `sets`; `owner` says in
    the message whose they are."""
    every = [name for options in sets for name in options.values()]
    for name in names:
        if name not in every:
            raise unknown(f"option of {owner}", name, every or ("none",))


def _attribute(name: str) -> str:
    return name.replace("-", "_")
