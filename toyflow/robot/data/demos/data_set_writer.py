"""Writes trajectories as a LeRobot data set, format v3.0, with LeRobot."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from toyflow.errors import ToyflowError, UsageError
from toyflow.machine import installed_version
from toyflow.robot.data.demos.recording import Trajectory
from toyflow.robot.data.features import ACTION, CAMERA, STATE
from toyflow.robot.interface import Interface

CODECS = {"av1": "libsvtav1", "h264": "h264"}
"""LeRobot's name of each video codec."""


class Demonstration(NamedTuple):
    """A trajectory and its task in words."""

    prompt: str
    trajectory: Trajectory


class VectorNames(NamedTuple):
    """Names of the numbers of a state and of an action."""

    state: tuple[str, ...]
    action: tuple[str, ...]


def check_lerobot() -> None:
    """Raise UsageError unless LeRobot is installed; imports nothing."""
    if installed_version("lerobot") is None:
        raise UsageError("writing data sets needs lerobot: pip install 'toyflow[robot]'.")


def write_data_set(
    folder: Path,
    demonstrations: Iterable[Demonstration],
    interface: Interface,
    image_size: int,
    video: str | None = None,
    names: VectorNames | None = None,
) -> None:
    """Write demonstrations, in their order, as a LeRobot data set.

    Args:
        folder: exists, and is empty.
        image_size: side of all images in pixels.
        video: one of `CODECS`; None keeps images as PNG, without loss.
        names: of the numbers of state and action; None numbers them.

    Raises:
        ToyflowError: an image could not be written.
    """
    # Heavy, and optional.
    from datasets import disable_progress_bars
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    disable_progress_bars()  # there is one per episode
    made = folder / "lerobot"  # LeRobot wants to make the folder; its content moves up when complete
    dataset = LeRobotDataset.create(
        folder.name,
        fps=round(interface.fps),
        features=_features(interface, image_size, video is not None, names or _numbered(interface)),
        root=made,
        use_videos=video is not None,
        image_writer_threads=2 * len(interface.cameras),
        **(_encoder(CODECS[video]) if video else {}),
    )
    try:
        for prompt, trajectory in demonstrations:
            for frame in _frames(trajectory):
                dataset.add_frame({**frame, "task": prompt})
            check_images(dataset, interface)
            dataset.save_episode()
    finally:
        if hasattr(dataset, "stop_image_writer"):  # LeRobot 0.6 stops it in `finalize`
            dataset.stop_image_writer()
    dataset.finalize()
    for part in made.iterdir():
        part.rename(folder / part.name)
    shutil.rmtree(made)


def check_images(dataset: Any, interface: Interface) -> None:
    """Raise ToyflowError unless the episode's images are on disk and whole: LeRobot 0.4 prints errors of its
    image writers, such as a full disk, and continues."""
    writer, buffer = (getattr(dataset, name, None) for name in ("image_writer", "episode_buffer"))
    if writer is None or buffer is None:
        return
    writer.wait_until_done()
    for camera in interface.cameras:
        for path in buffer[CAMERA + camera]:
            try:
                with Image.open(path) as image:
                    image.verify()
            except Exception as error:
                raise ToyflowError(
                    f"LeRobot could not write {path}: is the disk full? What is finished is kept."
                ) from error


def _encoder(codec: str) -> dict[str, Any]:
    """LeRobot's arguments for a codec, of 0.6 and of 0.4."""
    try:
        from lerobot.configs.video import RGBEncoderConfig  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {"vcodec": codec}
    return {"rgb_encoder": RGBEncoderConfig(vcodec=codec)}


def _frames(trajectory: Trajectory) -> Iterable[dict[str, Any]]:
    for index, (state, action) in enumerate(zip(trajectory.state, trajectory.action, strict=True)):
        images = {CAMERA + camera: frames[index] for camera, frames in trajectory.images.items()}
        yield {**images, STATE: state, ACTION: action}


def _features(
    interface: Interface, image_size: int, video: bool, names: VectorNames
) -> dict[str, dict[str, Any]]:
    shape, axes = (image_size, image_size, 3), ["height", "width", "channels"]
    image = {"dtype": "video" if video else "image", "shape": shape, "names": axes}
    return {
        **{CAMERA + camera: dict(image) for camera in interface.cameras},
        STATE: _vector(names.state),
        ACTION: _vector(names.action),
    }


def _numbered(interface: Interface) -> VectorNames:
    sizes = (("state", interface.state_dim), ("action", interface.action_dim))
    return VectorNames(*(tuple(f"{name}_{index}" for index in range(size)) for name, size in sizes))


def _vector(names: tuple[str, ...]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": (len(names),), "names": list(names)}
