"""Films of a policy's episodes from one initial state, decoded in several ways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from toyflow.report.explore.embedded import data_uri

MOST_BYTES = 3_000_000
"""Of all films of a page together."""
NAME = re.compile(
    r"(?P<suite>.+)-task-(?P<task>\d+)-state-(?P<state>\d+)-(?P<decoding>.+)-(?P<end>success|failure)\.mp4"
)
"""How `toyflow robot-eval --videos` names a film."""


@dataclass(frozen=True)
class Film:
    """One episode."""

    decoding: str
    solved: bool
    uri: str


@dataclass(frozen=True)
class Scene:
    """Episodes of one policy that begin in the same state."""

    name: str
    films: list[Film]


@dataclass(frozen=True)
class Films:
    """What a page shows, and how many scenes there was no room for."""

    scenes: list[Scene]
    left_out: int


def find_films(folders: Mapping[str, Path]) -> Films:
    """Scenes of the results folders, by name, that were filmed in two decodings or more, as many as fit."""
    scenes, left_out, room = list[Scene](), 0, MOST_BYTES
    for name, found in _scenes(folders):
        size = sum(path.stat().st_size for path in found.values()) * 4 // 3
        if size > room:
            left_out += 1
            continue
        room -= size
        films = [
            Film(_spaced(decoding), path.stem.endswith("-success"), data_uri(path.read_bytes(), "video/mp4"))
            for decoding, path in found.items()
        ]
        scenes.append(Scene(name, films))
    return Films(scenes, left_out)


def _scenes(folders: Mapping[str, Path]) -> Iterator[tuple[str, dict[str, Path]]]:
    """(name, films by decoding) of each scene that has several."""
    for name, folder in folders.items():
        scenes: dict[str, dict[str, Path]] = {}
        for path in sorted(folder.glob("rollouts/*/videos/*.mp4")):
            if told := NAME.fullmatch(path.name):
                key = path.parts[-3]
                place = f"task {int(told['task'])}, state {int(told['state'])}"
                scene = f"{name}, policy {key[:6]}: {told['suite']}, {place}"
                scenes.setdefault(scene, {})[told["decoding"]] = path
        for scene, films in scenes.items():
            if len(films) > 1:
                yield scene, dict(sorted(films.items(), key=lambda film: _steps(film[0])))


def _steps(decoding: str) -> tuple[int, str]:
    number = re.search(r"K(\d+)", decoding)
    return int(number[1]) if number else 0, decoding


def _spaced(decoding: str) -> str:
    """`K = 10, M = 8` of `K10-M8`."""
    return re.sub(r"\b([KM])(\d+)", r"\1 = \2", decoding).replace("-", ", ")
