"""`loads` for TOML: the standard library's, or tomli's in Python 3.10, which has none."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 11):
    from tomllib import loads
else:
    from tomli import loads  # pyright: ignore[reportMissingImports]

__all__ = ["loads"]
