"""What a simulator's scenes are made of, as results record it, and what to say beside scores on them."""

from __future__ import annotations

import re
from collections.abc import Iterable

OWN = "own"
"""The simulator's own files, as far as it says. Earlier versions recorded it of LIBERO unchecked."""

WHOLE = "whole"
"""LIBERO's own files, each of which was checked."""

STAND_IN = "stand-in"
"""Generated substitutes, which earlier versions had for LIBERO."""

ARCHIVE = "archive"
"""Beyond the simulator's own files, those of an archive that the user gave for some tasks, which nobody
checked: LIBERO-Plus's."""

YAM_OWN = "1.3.6.post1"
"""The version of I2RT's model files that `own` stands for in results of the YAM station, as in all that are
published. Another version is recorded as `i2rt-VERSION`, so that results of both are never paired."""

_YAM = re.compile(r"i2rt-(.+)")
_REPLACED = re.compile(r"(\d+)-of-(\d+)-replaced")


def replaced(count: int, total: int) -> str:
    """The record of files of which `count` of `total` are not the simulator's own, or are missing.

    >>> replaced(29, 371)
    '29-of-371-replaced'
    """
    return f"{count}-of-{total}-replaced"


def yam_files(version: str) -> str:
    """The record of the YAM station's model files of this version.

    >>> yam_files("1.3.6.post1"), yam_files("1.4.0")
    ('own', 'i2rt-1.4.0')
    """
    return OWN if version == YAM_OWN else f"i2rt-{version}"


def with_extra(assets: str, extra: Iterable[str]) -> str:
    """The record of scenes that need these files beyond the simulator's.

    >>> with_extra("whole", ["archive", "", "archive"]), with_extra("whole", [""])
    ('whole+archive', 'whole')
    """
    return "+".join([assets, *sorted(set(extra) - {""})])


def without_extra(assets: str) -> str:
    """The record of the simulator's files alone.

    >>> without_extra("whole+archive")
    'whole'
    """
    return assets.partition("+")[0]


def caveat(environment: str, assets: str) -> str:
    """What to say beside a score made with these assets; empty where they are the simulator's own.

    Args:
        environment: the simulator's name.
        assets: as `toyflow.robot.simulation.environment.Environment.assets_of` gave it.

    >>> caveat("libero", "whole"), caveat("aloha", "own")
    ('', '')
    >>> caveat("libero", "29-of-371-replaced")
    "with 29 of LIBERO's 371 asset files replaced"
    >>> caveat("libero", "whole+archive")
    "with scenes of LIBERO-Plus's archive, whose files nobody checked"
    """
    own, *extra = assets.split("+")
    return ", and ".join(filter(None, [_of_own(environment, own), *map(_of_extra, extra)]))


def _of_extra(extra: str) -> str:
    if extra == ARCHIVE:
        return "with scenes of LIBERO-Plus's archive, whose files nobody checked"
    return f"with scenes of {extra!r} beyond the suite's own"


def _of_own(environment: str, assets: str) -> str:
    if assets == WHOLE or (assets == OWN and environment != "libero"):
        return ""
    if assets == OWN:
        return (
            "with 29 of LIBERO's 371 asset files replaced (known of toyflow's published results; earlier "
            "versions did not check)"
        )
    if assets == STAND_IN:
        return "on generated stand-in assets, whose scores are not the suite's"
    if environment in ("yam", "yam-state") and (found := _YAM.fullmatch(assets)):
        return f"with I2RT's model files {found[1]}, not {YAM_OWN} as toyflow's published results"
    if found := _REPLACED.fullmatch(assets):
        owner = "LIBERO's" if environment == "libero" else "the simulator's"
        return f"with {found[1]} of {owner} {found[2]} asset files replaced"
    return f"on assets {assets!r}, which are not the suite's own"
