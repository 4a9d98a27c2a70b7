"""Generated stand-ins for LIBERO's assets, for machines that cannot get the originals: 100 KB, no meshes.

Files, bodies, joints, sites and outlines are those of the originals, so that LIBERO's code, BDDL files and
official initial states work with them: all of libero_object and libero_spatial. They do not look like the
originals; results on them are never called LIBERO scores.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from toyflow.atomic import DamagedError, atomic_folder, read_json, verify_all, write_json
from toyflow.errors import ToyflowError
from toyflow.robot.simulation.environments.libero.standin_shapes import ITEMS, Body, Item, Solid

VERSION = 1
"""Increased when the generated files change."""

MARKER = "stand-in.json"
"""A file in the root of generated assets; LIBERO's own lack it."""

MATTER = 'solimp="0.998 0.998 0.001" solref="0.001 1" density="100" friction="0.95 0.3 0.1"'
"""Contact parameters and density, as in all originals."""

TEXTURES = {
    "light-gray-floor-tile": (170, 170, 172),
    "light-gray-plaster": (205, 205, 200),
    "martin_novak_wood_table": (150, 105, 70),
}
"""Colour of each texture that the arenas below, or LIBERO's code, refer to."""

ARENA = """<mujoco model="arena">
<asset>
<texture builtin="gradient" height="64" width="64" rgb1=".9 .9 1" rgb2=".2 .3 .4" type="skybox"/>
<texture name="texplane" type="2d" file="../textures/light-gray-floor-tile.png"/>
<material name="floorplane" texture="texplane" texrepeat="3 3" texuniform="true" specular="0" shininess="0"/>
<texture name="tex-table" type="cube" file="../textures/martin_novak_wood_table.png"/>
<material name="table_texture" texture="tex-table" specular="0.2" shininess="0"/>
<texture name="tex-wall" type="2d" file="../textures/light-gray-plaster.png"/>
<material name="walls_mat" texture="tex-wall" texrepeat="3 3" texuniform="true" shininess="0.1"/>
</asset>
<worldbody>
{furniture}
<geom name="wall_rear_visual" type="box" pos="-2 0 1.5" quat="0.5 0.5 0.5 0.5" size="3 1.5 0.01"
  material="walls_mat" group="1" contype="0" conaffinity="0"/>
<light pos="1 1 4" dir="0 -.15 -1" diffuse=".8 .8 .8" specular=".3 .3 .3" castshadow="false"/>
<light pos="-3 -3 4" dir="0 -.15 -1" diffuse=".8 .8 .8" specular=".3 .3 .3" castshadow="false"/>
<camera mode="fixed" name="frontview" pos="1 0 1.45" quat="0.56 0.43 0.43 0.56"/>
<camera mode="fixed" name="birdview" pos="-0.2 0 3" quat="0.7071 0 0 0.7071"/>
<camera mode="fixed" name="agentview" pos="0.5 0 1.35" quat="0.653 0.271 0.271 0.653"/>
<camera mode="fixed" name="sideview" pos="-0.06 1.28 1.49" quat="0.0099 0.0069 0.5912 0.8064"/>
</worldbody>
</mujoco>
"""
FLOOR = '<geom name="floor" type="plane" size="3 3 .125" condim="3" group="1" material="floorplane"/>'
LEG = '<geom name="table_leg{}_visual" type="cylinder" size="0.05 0.1" material="table_texture" group="1"'
UNTOUCHABLE = 'contype="0" conaffinity="0"/>'
TABLE = f"""<body name="table" pos="0 0 0.4">
<geom name="table_collision" type="box" size="0.4 0.4 0.4" group="0" friction="1 0.005 0.0001"/>
<geom name="table_visual" type="box" size="0.4 0.4 0.4" group="1" material="table_texture" {UNTOUCHABLE}
<site name="table_top" pos="0 0 0.4" size="0.001 0.001 0.001" rgba="0 0 0 0"/>
{"".join(f"{LEG.format(leg)} {UNTOUCHABLE}" for leg in (1, 2, 3, 4))}
</body>"""
OBJECT = """<mujoco model="{name}">
<asset/>
<worldbody><body>
{body}
{sites}
</body></worldbody>
</mujoco>
"""
SCENES = {
    "libero_floor_base_style": f'<body name="floor">{FLOOR}</body>',
    "libero_tabletop_base_style": FLOOR + TABLE,
}


def write_stand_ins(folder: Path) -> Path:
    """Generate all stand-ins as `folder`, unless they are there and whole; `folder`.

    Raises:
        ToyflowError: the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                with atomic_folder(folder) as staging:
                    _write_all(staging)
    except OSError as error:
        raise ToyflowError(
            f"stand-in assets cannot be written to {folder}: {error.strerror or error}."
        ) from error
    return folder


def is_whole(folder: Path) -> bool:
    """Whether these are stand-ins of this version, with no file missing or altered."""
    try:
        verify_all(folder, DamagedError.hint)
        return read_json(folder / MARKER)["version"] == VERSION
    except DamagedError:
        return False


def _write_all(folder: Path) -> None:
    from PIL import Image

    write_json(folder / MARKER, {"what": "generated substitutes, not LIBERO's assets", "version": VERSION})
    for name, colour in TEXTURES.items():
        Image.new("RGB", (8, 8), colour).save(_made(folder / "textures" / f"{name}.png"))
    for name, furniture in SCENES.items():
        _made(folder / "scenes" / f"{name}.xml").write_text(ARENA.format(furniture=furniture))
    for path, item in ITEMS.items():
        _made(folder / path).write_text(_item(Path(path).stem, item))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _item(name: str, item: Item) -> str:
    """The MJCF file of an item: its body, and the three sites by which LIBERO places it."""
    points = {
        "bottom_site": (0, 0, item.bottom),
        "top_site": (0, 0, item.top),
        "horizontal_radius_site": (item.radius, item.radius, 0),
    }
    sites = "\n".join(
        f'<site name="{site}" pos="{_numbers(position)}" size="0.005" rgba="0 0 0 0"/>'
        for site, position in points.items()
    )
    body = _body(item.body, item.colour)
    return OBJECT.format(name=name, body=body, sites=sites)


def _body(body: Body, colour: str) -> str:
    inside = [
        body.joint + body.sites,
        *(_solid(solid, colour) for solid in body.solids),
        *(_body(child, colour) for child in body.bodies),
    ]
    pose = f'pos="{_numbers(body.position)}" quat="{_numbers(body.quaternion)}"'
    return "\n".join([f'<body name="{body.name}" {pose}>', *inside, "</body>"])


def _solid(solid: Solid, colour: str) -> str:
    """A collision geometry and a visual one, as in the originals."""
    shape = (
        f'<geom type="{solid.kind}" pos="{_numbers(solid.position)}" size="{_numbers(solid.size)}" '
        f'quat="{_numbers(solid.quaternion)}" {MATTER}'
    )
    visible = f'group="1" rgba="{solid.colour or colour} 1" {UNTOUCHABLE}'
    return f'{shape} group="0" rgba="0 0 0 0"/>\n{shape} {visible}'


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.5g}" for value in values)
