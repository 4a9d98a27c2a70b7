"""One byte altered, or the end cut off, in every kind of file that toyflow writes; then whoever reads it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from unittest import mock

from faults import results
from faults.bench import DEMOS, ON_POINTS, STOPPED, SWEEP, TRAIN, Bench, Done, inside, refused, well
from faults.campaign import Accepted, Rude, Trial

TIMES = 6
"""Damages of each kind of file in the long form."""


Damage = Callable[[], object]


@dataclass(frozen=True)
class Reading:
    """A command that reads, in a copy of the world's `parts`.

    It must name the file and fail; or name it, make again what it can, and come to its usual result; or name
    it and leave it out, where it `goes_on`; or come to its usual result as if nothing had happened, which it
    may where it does not look at what was altered.
    """

    words: tuple[str, ...]
    result: Callable[[Path, Done], Any]
    without: str = ""
    """A folder that is removed before, so that it is made from the rest."""
    goes_on: bool = False
    """Whether it may leave out what it names."""

    def __call__(self, bench: Bench, folder: Path, file: Path, damage: Damage) -> bool:
        """Whether the file was named. Raises a `Finding`."""
        words = tuple(_named_in(folder, file, word) for word in self.words)
        expected = self._expected(bench, words, tuple(part.name for part in folder.iterdir()))
        original = file.read_bytes()
        damage()
        damaged = file.read_bytes()
        done = self._done(folder, words)
        if file.is_file() and file.read_bytes() == damaged:
            file.write_bytes(original)  # what the command left alone is not what it came to
        if done.code:
            refused(done, file.name, file.parent.name)
            return True
        named = "damaged" in done.said and (file.name in done.said or file.parent.name in done.said)
        if self.result(folder, done) != expected and not (named and self.goes_on):
            raise Accepted(f"`toyflow {' '.join(words)}` took it for good")
        return named

    def _done(self, folder: Path, words: tuple[str, ...]) -> Done:
        if self.without:
            shutil.rmtree(folder / self.without)
        return inside(folder, *words)

    def _expected(self, bench: Bench, words: tuple[str, ...], parts: tuple[str, ...]) -> Any:
        if words not in _EXPECTED:
            folder = bench.fresh(*parts)
            done = well(self._done(folder, words), " ".join(words))
            _EXPECTED[words] = self.result(folder, done)
            bench.drop(folder)
        return _EXPECTED[words]


_EXPECTED: dict[tuple[str, ...], Any] = {}
"""What commands come to in the undamaged world; each is asked once."""

Reader = Callable[[Bench, Path, Path, Damage], bool]
"""(bench, copy of the world's parts, a file of it, what damages that): whether it was named."""


def _meaning(content: bytes) -> Any:
    """What a file says, as far as that can be told: blanks of JSON say nothing."""
    try:
        values = json.loads(content)
    except ValueError:
        return content
    return values["format"] if isinstance(values, dict) and "format" in values else values


@dataclass(frozen=True)
class Kind:
    """Files that serve one purpose: their pattern, the parts of the world that readers need, and readers; or
    why damage cannot matter."""

    pattern: str
    parts: tuple[str, ...] = ()
    readers: tuple[Reader, ...] = ()
    why: str = ""
    last: bool = False
    """Whether only the last of these files is read."""


def _named_in(folder: Path, file: Path, word: str) -> str:
    """`word`, POLICY and CELL being those of this folder and file."""
    if word == "POLICY":
        return "robot/cells/" + next(folder.glob("robot/cells/[!.]*")).name
    if word == "CELL":
        cells = file.parts.index("cells") if "cells" in file.parts else None
        return file.parts[cells + 1] if cells else next(folder.glob("toy/cells/[!.]*")).name
    return word


def _said(folder: Path, done: Done) -> Any:
    """What a command printed, and the numbers that it wrote for people."""
    return done.out, results.tables(folder)


def _cells(root: str) -> Callable[[Path, Done], Any]:
    return lambda folder, done: results.cells(folder / root)


def _demos(folder: Path, done: Done) -> Any:
    return results.demonstrations(folder / "demos")


def _exported(folder: Path, done: Done) -> Any:
    return (folder / "again" / "manifest.json").read_text()


def _sent(folder: Path, done: Done) -> Any:
    from toyflow.robot.runtime.control.log import read_log

    return [line["sent"] for line in read_log(folder / "l.jsonl").of("step")]


ON_ONE = (*ON_POINTS, "--suite", "points", "--states", "1", "--threads", "1")
REPORT = Reading(("report", "--out", "toy"), _said)
EXPLORE = Reading(
    ("explore", "--out", "toy"), lambda folder, done: (folder / "toy" / "explore.html").read_text()
)
EXPLORE_WITHOUT = replace(EXPLORE, goes_on=True)
TOY = (
    Reading(("runs", "show", "CELL", "--out", "toy"), _said),
    Reading(("compare", "beta", "regression", "--steps", "1", "--out", "toy"), _said),
    Reading(("runs", "list", "--out", "toy"), _said, goes_on=True),
    Reading((*SWEEP, "--steps", "1,2,3"), _cells("toy")),
    Reading(("probe", "--out", "toy"), _said),
    Reading(("plot", "--out", "toy"), _said),
    REPORT,
)
POLICY = (
    Reading(("runs", "show", "CELL", "--out", "robot"), _said),
    Reading(("robot-export", "POLICY", "again"), _exported),
    Reading(("robot-run", "POLICY", "--robot", "points", "--suite", "points", "--log", "l.jsonl"), _sent),
    Reading(("robot-eval", "POLICY", *ON_ONE, "--steps", "1,2,4"), _cells("robot")),
)
EPISODES = (Reading(("robot-eval", "POLICY", *ON_ONE, "--states", "2", "--steps", "1,2"), _cells("robot")),)
TRAINING = (Reading((*STOPPED, "--iterations", "60"), _cells("stopped")),)
DATA = (
    Reading(DEMOS, _demos),
    Reading((*TRAIN, "--suite", "none", "--seed", "2", "--iterations", "2"), _cells("robot")),
)
GATHERED = (Reading(DEMOS, _demos, without="demos"),)
EXPORTED = (Reading(("robot-eval", "exported", *ON_ONE, "--steps", "1", "--out", "other"), _cells("other")),)
TRAIN_ON_FRAMES = Reading((*TRAIN, "--suite", "none", "--seed", "3", "--iterations", "2"), _cells("robot"))


def _read_mnist(bench: Bench, folder: Path, file: Path, damage: Damage) -> bool:
    """Unpacked again."""
    damage()
    from torchvision.datasets.utils import check_integrity

    from toyflow.toy.mnist import MD5, load_digits

    with _notes() as notes:
        load_digits(train=file.name.startswith("train"))
    if not check_integrity(str(file), MD5[file.name]):
        raise Accepted("it is still damaged")
    return any(file.name in note for note in notes)


def _read_classifier(bench: Bench, folder: Path, file: Path, damage: Damage) -> bool:
    """Trained again, or rather taken for that."""
    damage()
    from toyflow.toy import features
    from toyflow.toy.images import IMAGE_SETS

    again = features.Classifier(1).requires_grad_(False).eval()
    with _notes() as notes, mock.patch.object(features, "train_classifier", lambda train, images: again):
        features.load_classifier(IMAGE_SETS["mnist"])
    return any(file.parent.name in note for note in notes)


def _read_log(bench: Bench, folder: Path, file: Path, damage: Damage) -> bool:
    """Read as far as it is whole, and said to end there."""
    damage()
    from toyflow.robot.runtime.control.log import read_log

    done = inside(folder, "robot-replay", file.name)
    if done.code:
        refused(done, file.name)
        return True
    if read_log(file).lines != read_log(bench.world / file.name).lines[: len(read_log(file).lines)]:
        raise Accepted("lines are read that were never written")
    return "damage:" in done.out or "the log has no end" in done.out


def _read_place(bench: Bench, folder: Path, file: Path, damage: Damage) -> bool:
    """Where an imported policy is on this machine."""
    damage()
    from toyflow.atomic import DamagedError, read_sealed

    try:
        read_sealed(file)
    except DamagedError as error:
        return file.name in str(error)
    return False


@contextmanager
def _notes() -> Iterator[list[str]]:
    """What toyflow warns of."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("toyflow")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


FOR_PEOPLE = "no command of toyflow reads it; the same command writes it again"
FOR_LOCKS = "a lock; nothing is in it"


def kinds() -> list[Kind]:
    """Every kind of file in the world, the first that fits a file being its own."""
    return [
        Kind("*/.locks/*", why=FOR_LOCKS), Kind("*lock", why=FOR_LOCKS),
        Kind("toy/toyflow.json", ("toy",), TOY),
        *(Kind(f"toy/cells/*/{name}", ("toy",), TOY) for name in (
            "evaluations/*/config.json", "evaluations/*/manifest.json", "evaluations/*/outcomes.csv",
            "config.json", "curve.csv", "manifest.json", "weights.safetensors",
        )),
        *(Kind(f"robot/cells/*/{name}", ("robot", "demos"), POLICY) for name in (
            "evaluations/*/config.json", "evaluations/*/manifest.json", "evaluations/*/outcomes.csv",
            "config.json", "curve.csv", "manifest.json", "weights.safetensors",
        )),
        Kind("toy/probe/anatomy_by_model.json", ("toy",), (REPORT, EXPLORE_WITHOUT)),
        Kind("toy/probe/velocity_error.csv", ("toy",), (EXPLORE_WITHOUT,)),
        Kind("toy/probe/manifest.json", ("toy",), (EXPLORE_WITHOUT,)),
        Kind("toy/denoising/*.json", ("toy",), (EXPLORE,)),
        Kind("robot/rollouts/*/episodes/*.json", ("robot",), EPISODES),
        *(Kind(f"stopped/training/*/*/{name}", ("stopped", "demos"), TRAINING, last=True) for name in (
            "manifest.json", "state.json", "state.safetensors",
        )),
        *(Kind(f"demos/{name}", ("demos", "demos.episodes"), DATA) for name in (
            "data/*.parquet", "meta/episodes/*.parquet", "meta/tasks.parquet", "meta/info.json",
            "meta/stats.json", "demos.json", "manifest.json",
        )),
        *(Kind(f"demos.episodes/{name}", ("demos", "demos.episodes"), GATHERED) for name in (
            "recipe.json", "task-*/episode.npz", "task-*/outcome.json", "task-*/manifest.json",
        )),
        *(Kind(f"exported/{name}", ("exported",), EXPORTED) for name in (
            "config.json", "model.safetensors", "policy_postprocessor.json", "policy_preprocessor.json",
            "manifest.json",
        )),
        Kind("run.jsonl", ("run.jsonl",), (_read_log,)),
        Kind("cache/MNIST/raw/*-ubyte", (), (_read_mnist,)),
        *(Kind(f"cache/classifiers/*/{name}", (), (_read_classifier,)) for name in (
            "weights.safetensors", "manifest.json",
        )),
        Kind("cache/vega/*.json", ("toy",), (EXPLORE,)),
        *(Kind(f"cache/frames/*/{name}", ("demos",), (TRAIN_ON_FRAMES,)) for name in (
            "frames.npy", "manifest.json",
        )),
        Kind("imported/imported/*.json", ("imported",), (_read_place,)),
        *(Kind(f"{out}*", why=f"of a kind that is tried in another folder: {out}") for out in (
            "advice/cells/", "imported/cells/", "imported/rollouts/", "advice/toyflow.json",
            "imported/toyflow.json", "robot/toyflow.json", "stopped/toyflow.json",
        )),
        *(Kind(pattern, why=FOR_PEOPLE) for pattern in (
            "advice/recommendation.json", "*/cells/*/README.md", "*/rollouts/*/videos/*.mp4",
            "*/logs/*/events.out.tfevents.*", "toy/figures/*.png", "toy/probe/*", "toy/report.*",
            "toy/explore.html", "toy/tables/*.csv", "run.png", "toy/story.png",
        )),
    ]  # fmt: skip


def trials(bench: Bench) -> Iterator[Trial]:
    """A row for every kind that has readers, and one that looks for files of no kind."""
    files: dict[int, list[Path]] = {}
    strange: list[str] = []
    every = kinds()
    for file in sorted(p.relative_to(bench.world) for p in bench.world.rglob("*") if p.is_file()):
        for number, kind in enumerate(every):
            if fnmatch(str(file), kind.pattern) or file.match(kind.pattern):
                files.setdefault(number, []).append(file)
                break
        else:
            strange.append(str(file))

    def covered() -> int:
        absent = [kind.pattern for number, kind in enumerate(every) if kind.readers and number not in files]
        if strange or absent:
            raise Rude(f"files of no known kind: {strange}; kinds without files: {absent}")
        return len(files)

    yield Trial("damage: every file is of a known kind", covered)
    for number, kind in enumerate(every):
        for time in range(TIMES if not bench.short else 1) if kind.readers else ():
            flipped = (time + number) % 2 == 0

            def run(
                kind: Kind = kind, number: int = number, flipped: bool = flipped, time: int = time
            ) -> int:
                readers = kind.readers
                if bench.short:
                    readers = tuple({readers[0], readers[(number + time) % len(readers)]})
                file = files[number][-1] if kind.last else bench.random.choice(files[number])
                return _damage(bench, kind, file, flipped, readers)

            yield Trial(f"{'byte flipped' if flipped else 'cut short'}: {kind.pattern}", run)


def _damage(bench: Bench, kind: Kind, name: Path, flipped: bool, readers: tuple[Reader, ...]) -> int:
    """Damage one file for each reader; at least one must name it, unless the file still says the same."""
    whole = (bench.world / name).read_bytes()
    place = bench.random.randrange(len(whole))
    altered = bytes([whole[place] ^ bench.random.randrange(1, 256)])
    content = whole[:place] + altered + whole[place + 1 :] if flipped else whole[:place]
    how = f"byte {place} of {len(whole)} became {altered!r}" if flipped else f"cut to {place} bytes"
    named = False
    for reader in readers:
        cached = name.parts[0] == "cache"  # where workers look for it is settled once
        folder = bench.fresh(*kind.parts)
        file = (bench.world if cached else folder) / name
        try:
            named |= reader(bench, folder, file, lambda file=file: file.write_bytes(content))
        except (Accepted, Rude) as finding:
            raise type(finding)(f"{name}, {how}: {finding}") from finding
        finally:
            if cached:
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(whole)
        bench.drop(folder)
    if not named and _meaning(content) != _meaning(whole):
        raise Rude(f"{name}, {how}: nobody names it")
    return len(readers)
