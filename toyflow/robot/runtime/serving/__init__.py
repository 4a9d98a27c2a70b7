"""The policy server: a policy behind openpi's websocket protocol, for any number of robots."""

from __future__ import annotations

from collections.abc import Sequence

from toyflow.errors import UsageError
from toyflow.machine import installed_version

PACKAGES = ("websockets", "msgpack", "prometheus-client")


def check_packages(what: str = "serving", packages: Sequence[str] = PACKAGES) -> None:
    """Raise UsageError, in one line, unless the packages that a server needs are installed.

    Args:
        what: what needs `packages`, for the message.
    """
    missing = [name for name in packages if installed_version(name) is None]
    if missing:
        raise UsageError(f"{what} needs {' and '.join(missing)}: pip install 'toyflow[robot]'.")
