"""Rendering of MuJoCo scenes without a display."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from functools import cache
from importlib import import_module, reload
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

from toyflow.errors import UsageError

Rendering = Literal["fast", "libero"]
"""`libero` renders as LIBERO does; `fast` leaves out multisampling, shadows and reflections; nor does it draw
what lies outside a camera's view, which changes no pixel."""

BACKENDS = {"linux": ("egl", "osmesa"), "darwin": ("cgl",), "win32": ("wgl",)}
DEBIAN_PACKAGES = ("libegl1", "libegl-mesa0", "libgl1-mesa-dri")
HINT = f"on Debian or Ubuntu: apt-get install {' '.join(DEBIAN_PACKAGES)}"

COLLISION_GEOMS, VISUAL_GEOMS = 0, 1
"""Geometry groups, as robosuite numbers them."""

PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
renderer = mujoco.Renderer(model, 8, 8)
renderer.update_scene(mujoco.MjData(model))
renderer.render()
renderer.close()
"""


@cache
def choose_backend() -> str:
    """Choose a value of MUJOCO_GL that works, for this process and its children, before MuJoCo is imported. A
    value that the user has set stays.

    Raises:
        UsageError: none works; the message names the packages to install.
    """
    if not os.environ.get("MUJOCO_GL"):
        tried = BACKENDS.get(sys.platform, ())
        working = next((backend for backend in tried if works(backend)), None)
        if working is None:
            raise UsageError(f"no images without OpenGL, and neither of {', '.join(tried)} works; {HINT}.")
        os.environ["MUJOCO_GL"] = working
    return os.environ["MUJOCO_GL"]


def load_mujoco() -> Any:
    """The module mujoco, imported with an OpenGL backend that works. Raises UsageError where none does."""
    backend = choose_backend()
    try:
        module: Any = import_module("mujoco")
        context = import_module(module.Renderer.__module__).gl_context
        if vars(context)["_MUJOCO_GL"] != backend.lower().strip():  # someone imported it with another backend
            reload(context)
    except Exception as error:
        raise no_images(backend, error) from error
    return module


def no_images(backend: str, error: Exception) -> UsageError:
    """The error for an OpenGL backend that fails."""
    return UsageError(f"no images with MUJOCO_GL={backend}: {error}; unset it, or {HINT}.")


def works(backend: str) -> bool:
    """Whether MuJoCo renders with this backend; tried in another process, as a driver may abort it."""
    try:
        return not subprocess.run(
            [sys.executable, "-c", PROBE],
            env={**os.environ, "MUJOCO_GL": backend},
            capture_output=True,
            timeout=60,
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


class Cameras:
    """A renderer for one model: textures and meshes are uploaded once for any number of images."""

    def __init__(self, model: Any, size: int, rendering: Rendering, hidden: int = COLLISION_GEOMS) -> None:
        """A renderer for `model`, a mujoco.MjModel.

        Args:
            size: side of the images in pixels.
            hidden: a geometry group that is not drawn.

        Raises:
            UsageError: OpenGL fails.
        """
        mujoco = load_mujoco()
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, size)
        model.vis.global_.offheight = max(model.vis.global_.offheight, size)
        self._off = ()
        if rendering == "fast":
            self._off = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)
            model.vis.quality.offsamples = model.vis.quality.shadowsize = 0
        self._model, self._mujoco = model, mujoco
        self._option = mujoco.MjvOption()
        self._option.geomgroup[VISUAL_GEOMS], self._option.geomgroup[hidden] = 1, 0
        try:
            self._renderer = mujoco.Renderer(model, size, size)
        except Exception as error:
            raise no_images(choose_backend(), error) from error
        self.close = weakref.finalize(self, self._renderer.close)
        """Frees the OpenGL context; called at exit, before OpenGL is torn down, unless it was called
        earlier."""
        self.close.atexit = False
        atexit.register(self.close)

    def image(self, data: Any, camera: str) -> UInt8[np.ndarray, "size size 3"]:
        """The image of `camera`, upright, for the state in `data`, a mujoco.MjData."""
        self._renderer.update_scene(data, camera, self._option)
        for flag in self._off:
            self._renderer.scene.flags[flag] = 0
        if self._off:  # else geometries out of view cast shadows into it
            self._leave_out_unseen(data)
        return self._renderer.render()

    def _leave_out_unseen(self, data: Any) -> None:
        """In software, nearly all time of an image goes into the vertices of meshes, seen or not."""
        scene = self._renderer.scene
        seen = in_view(scene.camera, data.geom_xpos, self._model.geom_rbound)
        geom, nothing = self._mujoco.mjtObj.mjOBJ_GEOM, self._mujoco.mjtGeom.mjGEOM_NONE
        for index in range(scene.ngeom):
            drawn = scene.geoms[index]
            if drawn.objtype == geom and not seen[drawn.objid]:
                drawn.type = nothing


def in_view(
    cameras: Sequence[Any], centres: Float[np.ndarray, "geoms 3"], radii: Float[np.ndarray, "geoms"]
) -> Bool[np.ndarray, "geoms"]:
    """Which spheres reach into the view of a square image; all do where the view is no symmetric pyramid.

    Args:
        cameras: a scene's two mjvGLCamera, between which MuJoCo renders.
        centres, radii: of the spheres, in metres; one without a radius is endless, as a plane.
    """
    first, second = cameras
    if first.orthographic or first.frustum_width or abs(first.frustum_top + first.frustum_bottom) > 1e-6:
        return np.ones(len(radii), bool)
    forward, up = np.array(first.forward), np.array(first.up)
    ahead, aside, above = (
        (centres - (np.array(first.pos) + np.array(second.pos)) / 2)
        @ np.stack([forward, np.cross(forward, up), up], axis=1)
    ).T
    reach = radii * 1.001 + 1e-5
    angle = np.arctan2(first.frustum_top, first.frustum_near)
    beside = np.maximum(np.abs(aside), np.abs(above)) * np.cos(angle) - ahead * np.sin(angle)
    inside = (ahead + reach > first.frustum_near) & (ahead - reach < first.frustum_far) & (beside < reach)
    return inside | (radii == 0)
