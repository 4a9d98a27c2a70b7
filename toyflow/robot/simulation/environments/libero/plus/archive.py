"""LIBERO-Plus's archive (`assets.zip` of the hub's Sylvest/LIBERO-plus, 6.4 GB): where it is, and how LIBERO
learns of the scenes, textures and objects in it."""

from __future__ import annotations

import zlib
from lzma import LZMAError
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from toyflow.errors import UsageError, first_line
from toyflow.robot.simulation.environments.libero import assets, package
from toyflow.robot.simulation.environments.libero.plus import plus_files
from toyflow.robot.simulation.environments.registry_wheels import staged

TITLE = "LIBERO-Plus's archive"
NEEDED = f"needs {TITLE}, 6.4 GB: `{plus_files.SETUP} --assets FILE`"
"""Why a task cannot run without it."""


def own_folder() -> Path:
    """Where the unpacked archive is kept, or a link to it."""
    return plus_files.folder().parent / "assets"


def is_there() -> bool:
    """Whether it is there, as far as a task needs to know: `install` checks the files."""
    return _has_objects(own_folder())


def install(archive: Path) -> Path:
    """Unpack a zip or tar archive, or link to a folder of it; returns where it is then.

    Raises:
        UsageError: there is no such file, it is damaged, or lacks files that tasks need.
        ToyflowError: it cannot be written.
    """
    if not archive.exists():
        raise UsageError(f"there is no {archive}.")
    with staged(own_folder(), lambda target: False, TITLE) as staging:
        if archive.is_dir():
            root = _root(archive.resolve())
            _check(root, archive)
            staging.rmdir()
            staging.symlink_to(root)
        else:
            _unpack(archive, staging)
            root = _root(staging)
            _check(root, archive)
            assets.lift(root, staging)
    return own_folder()


def lacking(folder: Path) -> list[str]:
    """Which files that tasks need are not in `folder`."""
    scenes = plus_files.scenes()
    needed = {scene for _, scene, _, _ in scenes["problems"].values()} | set(scenes["objects"].values())
    parts = [f"{part}/" for part in assets.FOLDERS if not (folder / part).is_dir()]
    return parts + sorted(name for name in needed if not (folder / name).is_file())


def register(problem: str, categories: list[str]) -> None:
    """Make a BDDL problem, and kinds of objects, known to LIBERO, unless they are.

    Args:
        problem: in lower case.
        categories: kinds of objects as BDDL files name them.
    """
    scenes = plus_files.scenes()
    if problem in scenes["problems"]:
        _register_problem(problem, *scenes["problems"][problem])
    kinds = package.load("envs.base_object").OBJECTS_DICT
    sources = {_category(name): (name, path) for name, path in scenes["objects"].items()}
    for category in categories:
        if category not in kinds and category in sources:
            name, path = sources[category]
            kinds[category] = _object_class(name, own_folder() / path)


def _register_problem(problem: str, base: str, scene: str, floor: str, wall: str) -> None:
    known = package.load("envs.bddl_base_domain").TASK_MAPPING
    for kind, styles in package.load("envs.arenas.style").STYLE_MAPPING.items():
        for style, texture in plus_files.scenes()["styles"][kind].items():
            styles.setdefault(style, texture)
    samplers = package.load("envs.regions").REGION_SAMPLERS
    samplers.setdefault(problem, samplers[base.lower()])
    parent: Any = known[base.lower()]

    class Problem(parent):
        def __init__(self, *args: Any, **options: Any) -> None:
            options["scene_xml"] = scene
            options["scene_properties"] = {"floor_style": floor, "wall_style": wall}
            super().__init__(*args, **options)

    Problem.__name__ = problem  # LIBERO compares it with the BDDL file's
    known.setdefault(problem, Problem)


def _object_class(name: str, path: Path) -> type:
    """A free object from an XML file, in which its body lies at the top."""
    from robosuite.models.objects import MujocoXMLObject  # optional  # pyright: ignore[reportMissingImports]

    parent: Any = MujocoXMLObject

    class Added(parent):
        rotation = {  # noqa: RUF012 - read by LIBERO
            "x": (-3.141592653589793 / 2,) * 2,
            "y": (-3.141592653589793,) * 2,
            "z": (3.141592653589793,) * 2,
        }
        rotation_axis = None

        def __init__(self, name: str) -> None:
            free = [{"type": "free", "damping": "0.0005"}]
            super().__init__(str(path), name, joints=free, obj_type="all", duplicate_collision_geoms=False)
            self.category_name = _category(type(self).__name__)
            self.object_properties = {"vis_site_names": {}}

        def _get_object_subtree(self) -> Any:
            """robosuite looks for the body, which it copies, one level further down."""
            body = self.worldbody.find("./body[@name='object']")
            if body is None:
                return super()._get_object_subtree()
            around = self.worldbody.makeelement("body", {})
            self.worldbody.remove(body)
            self.worldbody.append(around)
            around.append(body)
            try:
                return super()._get_object_subtree()
            finally:
                self.worldbody.remove(around)
                self.worldbody.append(body)

    Added.__name__ = name
    return Added


def _category(name: str) -> str:
    """The kind of object of a class, as LIBERO registers it: `alarm_clock__1` of `AlarmClock_1`."""
    spaced = "".join(f" {letter}" if letter.isupper() or letter.isdigit() else letter for letter in name)
    return "_".join(spaced.split()).lower()


def _root(folder: Path) -> Path:
    """Where in `folder` the archive's parts lie; `folder` if nowhere."""
    return assets.root_of(folder, "new_objects", _has_objects) or folder


def _has_objects(folder: Path) -> bool:
    return (folder / "new_objects").is_dir()


def _check(root: Path, archive: Path) -> None:
    if absent := lacking(root):
        raise UsageError(
            f"{archive} does not hold {TITLE}: {len(absent)} files are missing, such as {absent[0]}."
        )


def _unpack(archive: Path, folder: Path) -> None:
    if not is_zipfile(archive):
        assets.unpack_tar(archive, folder)
        return
    try:
        with ZipFile(archive) as packed:
            packed.extractall(folder)
    except (BadZipFile, LZMAError, zlib.error, EOFError, RuntimeError) as error:
        raise UsageError(f"{archive} cannot be unpacked: {first_line(error).rstrip(': .')}.") from error
