"""A depth camera beside the others of a data set, described and stored as LeRobot 0.6 does: a video of HEVC
with one channel of 12 bits, or TIFF files of 16 bits in the table of frames."""

from __future__ import annotations

import io
import json
from pathlib import Path

import av
import numpy as np
import pandas as pd
from PIL import Image

DEPTH = "observation.images.front_depth"


def add_depth_camera(folder: Path, other: str) -> None:
    """Add the camera `front_depth` to a data set, stored in the same way as its feature `other`."""
    info_file, stats_file = folder / "meta/info.json", folder / "meta/stats.json"
    info, stats = json.loads(info_file.read_text()), json.loads(stats_file.read_text())
    height, width, _ = info["features"][other]["shape"]
    kind, frames, fps = info["features"][other]["dtype"], info["total_frames"], info["fps"]
    info["features"][other].setdefault("info", {})["is_depth_map"] = False
    about = {"is_depth_map": True, "depth_unit": "mm"}
    if kind == "video":
        about |= {
            "video.height": height, "video.width": width, "video.codec": "hevc", "video.pix_fmt": "gray12le",
            "video.fps": fps, "video.channels": 1, "has_audio": False, "video.depth_min": 0.01,
            "video.depth_max": 10.0, "video.shift": 3.5, "video.use_log": True,
        }  # fmt: skip
    info["features"][DEPTH] = {
        "dtype": kind, "shape": [height, width, 1], "names": ["height", "width", "channels"], "info": about,
    }  # fmt: skip
    stats[DEPTH] = {name: [[[1500.0]]] for name in ("min", "max", "mean", "std")} | {"count": [frames]}
    info_file.write_text(json.dumps(info))
    stats_file.write_text(json.dumps(stats))
    depths = np.random.default_rng(0).integers(0, 4096, (frames, height, width), dtype=np.uint16)
    if kind == "video":
        _write_video(folder / f"videos/{DEPTH}/chunk-000/file-000.mp4", depths, fps)
        [path] = (folder / "meta/episodes").rglob("*.parquet")
        places = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
        episodes = pd.read_parquet(path)
        copied = {f"videos/{DEPTH}/{name}": episodes[f"videos/{other}/{name}"] for name in places}
        episodes.assign(**copied).to_parquet(path)
    else:
        [path] = (folder / "data").rglob("*.parquet")
        pictures = [{"bytes": _tiff(depth), "path": f"{i}.tiff"} for i, depth in enumerate(depths)]
        pd.read_parquet(path).assign(**{DEPTH: pd.Series(pictures)}).to_parquet(path)


def _write_video(path: Path, depths: np.ndarray, fps: int) -> None:
    path.parent.mkdir(parents=True)
    _, height, width = depths.shape
    with av.open(str(path), "w") as container:
        quiet = {"x265-params": "lossless=1:log-level=none", "g": "2"}
        stream = container.add_stream("hevc", rate=fps, options=quiet)
        stream.width, stream.height, stream.pix_fmt = width, height, "gray12le"
        for number, depth in enumerate(depths):
            frame = av.VideoFrame(width, height, "gray12le")
            rows = np.zeros((height, frame.planes[0].line_size // 2), np.uint16)
            rows[:, :width] = depth
            frame.planes[0].update(rows.tobytes())
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _tiff(depth: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(depth).save(file, "TIFF", compression="raw")
    return file.getvalue()
