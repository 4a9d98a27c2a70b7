"""Who may connect: anybody on this machine; elsewhere, whoever has the key."""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from toyflow.errors import UsageError

SCHEME = "Api-Key"


def read_key(file: Path | None, variable: str) -> str | None:
    """The key in a file, else in an environment variable, else none; never from the command line, which other
    users of a machine can read.

    Raises:
        UsageError: the file cannot be read, or the key is not one word of visible ASCII.
    """
    if file is not None:
        try:
            key, where = file.read_text().strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"--api-key-file {file} cannot be read: {reason}.") from error
    elif variable in os.environ:
        key, where = os.environ[variable].strip(), f"${variable}"
    else:
        return None
    if not key or not all("!" <= character <= "~" for character in key):
        raise UsageError(f"the API key in {where} must be one word of visible ASCII characters.")
    return key


def check_host(host: str, key: str | None, variable: str) -> None:
    """Raise UsageError for a server that others can reach and that asks for no key."""
    if key is None and not is_loopback(host):
        raise UsageError(
            f"--host {host} can be reached from other machines, so an API key is required: put one into a "
            f"file and give --api-key-file FILE, or set ${variable}."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_allowed(authorization: Sequence[str], key: str | None) -> bool:
    """Whether `Authorization` headers show the key, compared in constant time."""
    if key is None:
        return True
    scheme, _, shown = authorization[0].partition(" ") if len(authorization) == 1 else ("", "", "")
    same = hmac.compare_digest(shown.strip().encode(errors="surrogateescape"), key.encode())
    return same and scheme.lower() == SCHEME.lower()
