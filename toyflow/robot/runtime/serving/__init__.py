"""The policy server: a policy behind openpi's websocket protocol, for any number of robots."""

from __future__ import annotations

from toyflow.errors import UsageError
from toyflow.machine import installed_version

PACKAGES = ("websockets", "msgpack", "prometheus-client")


def check_packages() -> None:
    """Raise UsageError, in one line, unless the packages that a server needs are installed."""
    missing = [name for name in PACKAGES if installed_version(name) is None]
    if missing:
        raise UsageError(f"serving needs {' and '.join(missing)}: pip install 'toyflow[robot]'.")
