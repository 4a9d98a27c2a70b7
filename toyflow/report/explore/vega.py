"""The chart library as text: Vega, Vega-Lite and Vega-Embed, from vl-convert-python, without a network."""

from __future__ import annotations

import logging
from importlib.metadata import version

import vl_convert

from toyflow.atomic import DamagedError, read_sealed, write_sealed
from toyflow.machine import cache_folder

LOG = logging.getLogger(__name__)


def vega_library() -> str:
    """JavaScript that defines `vegaEmbed`. To put it together takes seconds, so it is kept in the cache."""
    path = cache_folder() / "vega" / f"{version('vl-convert-python')}.json"
    if path.is_file():
        try:
            return read_sealed(path)["library"]
        except DamagedError as error:
            LOG.warning(f"{error} It is made again.")
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(path, {"library": library})
    return library
