"""Where policy servers listen, and how they are asked: what a user writes in place of a checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from toyflow.errors import UsageError

EXAMPLE = "ws://HOST:PORT, or one server for each number of steps: 1=ws://HOST:8000,10=ws://HOST:8001"
_ADDRESS = re.compile(r"(?:(\d{1,3})=)?(wss?://[^\s,=]+)")


class Address(NamedTuple):
    """A server, and the number of denoising steps that it is asked for or is known to take.

    Attributes:
        steps: None where the server is to say.
    """

    url: str
    steps: int | None = None


@dataclass(frozen=True)
class RemoteOptions:
    """What a user chooses about servers.

    Attributes:
        keys: names of a message's entries, CAMERA=ENTRY,state=ENTRY:COUNT+ENTRY,prompt=ENTRY; None for what
            the server says or, where it says nothing, openpi's names for LIBERO.
        name: the name that results are kept under; None for the policy that the server names, or its address.
        key_file: file with the servers' API key; None for `$TOYFLOW_API_KEY`, if set.
        timeout: longest wait for a plan, in seconds; see `FIRST` for the first.

    Raises:
        UsageError: the timeout is not above 0, or the name is no plain word.
    """

    keys: str | None = None
    name: str | None = None
    key_file: Path | None = None
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.timeout < float("inf"):
            raise UsageError(f"--timeout takes seconds, a finite number above 0, not {self.timeout:g}.")
        if self.name is not None and not re.fullmatch(r"[\w.:@+/-]{1,80}", self.name):
            raise UsageError(
                f"--name takes a word of letters, digits and . : @ + / -, not {self.name!r:.90}."
            )


FIRST = 10.0
"""The first plan of a server may take so many times as long as the others: it may compile."""


def is_remote(checkpoint: str) -> bool:
    """Whether a checkpoint is the address of servers.

    >>> is_remote("1=ws://localhost:8000"), is_remote("results/robot/cells/KEY")
    (True, False)
    """
    return "ws://" in checkpoint or "wss://" in checkpoint


def check_no_web_page(checkpoint: str) -> None:
    """Raise UsageError for the address of a web page: policy servers are websockets.

    >>> check_no_web_page("http://gpu:8000")
    Traceback (most recent call last):
    toyflow.errors.UsageError: 'http://gpu:8000' is no policy server's address: write ws://gpu:8000.
    """
    scheme, separator, rest = checkpoint.rpartition("=")[2].partition("://")
    if separator and scheme in ("http", "https") and not is_remote(checkpoint):
        meant = f"ws{scheme[4:]}://{rest}"
        raise UsageError(f"{checkpoint!r:.80} is no policy server's address: write {meant:.80}.")


def parse_addresses(text: str) -> tuple[Address, ...]:
    """The servers that a user names.

    Raises:
        UsageError: the text is no list of addresses, or names an address or a number of steps twice.

    >>> parse_addresses("1=ws://gpu:8000,10=ws://gpu:8001")
    (Address(url='ws://gpu:8000', steps=1), Address(url='ws://gpu:8001', steps=10))
    """
    found: list[Address] = []
    for part in text.split(","):
        match = _ADDRESS.fullmatch(part.strip())
        if match is None or not _has_host(match[2]) or match[1] == "0":
            raise UsageError(f"{part.strip()!r:.80} is no server's address: write {EXAMPLE}.")
        found.append(Address(match[2].rstrip("/"), int(match[1]) if match[1] else None))
    urls, steps = [each.url for each in found], [each.steps for each in found if each.steps]
    for values, what in ((urls, "an address"), (steps, "a number of steps")):
        if len({*values}) < len(values):
            raise UsageError(f"{text!r:.160} names {what} twice: write {EXAMPLE}.")
    return tuple(found)


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
