"""Which features of a data set a policy reads, whatever the data set calls them. Imports no torch.

A policy reads pictures (every feature of dtype image or video is a camera), `observation.state` and `action`.
Other names are mapped to these by a renaming, `--rename DATA=POLICY`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toyflow.errors import UsageError, unknown
from toyflow.parsing import parse_pairs, renaming_hint
from toyflow.robot.data.local_files import INFO

CAMERA = "observation.images."
STATE, ACTION = "observation.state", "action"
PICTURES = ("image", "video")
"""Dtypes of features that are pictures."""
BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns of every data set that no policy reads; neither does it `next.*`, rewards and ends of episodes."""
COLOURS = 3
SMALLEST_SIDE = 8
"""A feature of three axes, two of them at least this long, is taken for a picture."""

_OFTEN = {
    STATE: ("state", "states", "observation.states", "qpos", "observation.qpos", "proprio", "robot_state"),
    ACTION: ("actions", "action.actions", "observation.action"),
}
"""What others call the state and the action, the most frequent first."""


_MORE = ("video_info", "info")
"""Where LeRobot says more of a picture feature: until format v2.1, and since."""


def parse_renaming(text: str) -> dict[str, str]:
    """{old name: new name} of `DATA=POLICY`, several joined by a comma or, as in a sweep's options, by +.

    Raises:
        UsageError: the text is no such list, or a name is there twice.

    >>> parse_renaming("state=observation.state,actions=action")
    {'state': 'observation.state', 'actions': 'action'}
    """
    items = [item for item in re.split(r"[,+]", text) if item.strip()]
    pairs = parse_pairs(items, "--rename", "state=observation.state,actions=action")
    if len(pairs) < len(items) or len({*pairs.values()}) < len(pairs):
        raise UsageError(f"--rename takes each old and each new name once, not {text!r}.")
    return pairs


def renaming_text(renaming: Mapping[str, str]) -> str:
    """The text that `parse_renaming` takes back."""
    return ",".join(f"{old}={new}" for old, new in renaming.items())


def camera_name(feature: str) -> str:
    """What policies call the camera of a feature.

    >>> camera_name("observation.images.top"), camera_name("observation.image"), camera_name("wrist_image")
    ('top', 'image', 'wrist_image')
    """
    return feature.removeprefix(CAMERA).removeprefix("observation.")


@dataclass(frozen=True)
class FeatureNames:
    """A data set's features by their use; all names but those of cameras are the data set's own.

    Attributes:
        cameras: {camera: feature}.
        state, action: the features that are read as such.
        unread: {picture feature that no policy can read: why}.
        unused: other features that are not read, without `BOOKKEEPING`.
        renamed: {name as a policy knows it: name before `--rename`} of cameras, `state` and `action`.
    """

    cameras: Mapping[str, str]
    state: str
    action: str
    unread: Mapping[str, str]
    unused: tuple[str, ...]
    renamed: Mapping[str, str]

    @classmethod
    def of(
        cls, features: Mapping[str, Mapping[str, Any]], renaming: Mapping[str, str], where: str
    ) -> FeatureNames:
        """The use of the features of a meta/info.json.

        Args:
            features: {name: {"dtype": ..., "shape": ...}}.
            renaming: {name in the data set: name that it is read under}.
            where: the data set, for errors.

        Raises:
            UsageError: state or action is missing, two features would have one name, or the renaming does
                not fit; where a `--rename` would help, the message has it.
        """
        for old, new in renaming.items():
            if old not in features:
                hint = renaming_hint(
                    "DATA=POLICY, the data set's name first", f"{new}={old}", new in features
                )
                raise UsageError(f"{unknown(f'feature of data set {where}', old, features)}{hint}")
        by_name: dict[str, str] = {}
        for feature, about in features.items():
            if problem := _nonsense(about):
                raise UsageError(f"data set {where}, {INFO}: feature {feature} has {problem}.")
            name = renaming.get(feature, feature)
            if name in by_name:
                raise UsageError(
                    f"data set {where}: --rename gives {by_name[name]} and {feature} one name, {name}."
                )
            by_name[name] = feature
        _check_found(by_name, features, renaming, where)
        cameras, unread = _cameras(by_name, features, where)
        state, action = by_name[STATE], by_name[ACTION]
        used = {state, action, *cameras.values(), *unread}
        unused = [f for f in features if f not in (*used, *BOOKKEEPING) and not f.startswith("next.")]
        known_as = {**{feature: camera for camera, feature in cameras.items()}, state: "state",
                    action: "action"}  # fmt: skip
        renamed = {
            known_as[old]: camera_name(old) if known_as[old] in cameras else old
            for old in renaming
            if old in known_as
        }
        return cls(cameras, state, action, unread, tuple(unused), renamed)

    def check_seen(self, camera: str, where: str) -> None:
        """Raise UsageError unless a policy can see this camera of the data set `where`."""
        if camera in self.cameras:
            return
        if why := next((why for feature, why in self.unread.items() if camera_name(feature) == camera), ""):
            raise UsageError(f"data set {where}: no policy can see {camera}: {why}.")
        has = ", ".join(self.cameras) or "none"
        raise UsageError(f"data set {where} has no camera {camera!r}; it has {has}.")

    def other_names(self) -> dict[str, str]:
        """{camera: feature} where the feature is not named observation.images.CAMERA."""
        return {camera: name for camera, name in self.cameras.items() if name != CAMERA + camera}


def names_of_numbers(feature: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """What each of the `count` numbers of a feature is called; `0`, `1`, ... where info.json does not say."""
    names = feature.get("names")
    if isinstance(names, Mapping):  # {"motors": [...]} in many data sets
        names = [name for group in names.values() if isinstance(group, list) for name in group]
    return tuple(map(str, names if isinstance(names, list) and len(names) == count else range(count)))


def is_picture(feature: Mapping[str, Any]) -> bool:
    """Whether a feature holds pictures in a form that LeRobot decodes."""
    return feature.get("dtype") in PICTURES


def channels(feature: Mapping[str, Any]) -> int | None:
    """Channels of a picture feature: by the names of its axes, else the short one; None if it has no three
    axes."""
    shape, names = list(feature.get("shape") or ()), feature.get("names")
    if len(shape) != 3:
        return None
    if isinstance(names, list) and len(names) == 3:
        for size, name in zip(shape, names, strict=True):
            if str(name).startswith("channel") or name == "c":
                return int(size)
    return int(shape[2] if shape[2] <= 4 else shape[0])


def _cameras(
    by_name: Mapping[str, str], features: Mapping[str, Mapping[str, Any]], where: str
) -> tuple[dict[str, str], dict[str, str]]:
    cameras: dict[str, str] = {}
    unread: dict[str, str] = {}
    for name, feature in by_name.items():
        if why := _why_unread(features[feature]):
            unread[feature] = why
        elif is_picture(features[feature]):
            camera = camera_name(name)
            if camera in cameras:
                raise UsageError(
                    f"data set {where}: {cameras[camera]} and {feature} would both be the camera {camera}; "
                    f"name one anew: --rename {feature}={CAMERA}{camera}2."
                )
            cameras[camera] = feature
    return cameras, unread


def _nonsense(about: Mapping[str, Any]) -> str:
    """What cannot be in the description of a feature, in words; empty where all can."""
    shape, dtype = about.get("shape"), about.get("dtype")
    if not isinstance(dtype, str):
        return f"dtype {dtype!r}, no name of a type"
    sides = () if shape is None else shape
    if not isinstance(sides, (list, tuple)) or not all(type(side) is int and side > 0 for side in sides):
        return f"shape {shape!r}, not whole numbers above 0"
    wrong = next((name for name in _MORE if not isinstance(about.get(name) or {}, Mapping)), "")
    return f"{wrong} {about[wrong]!r}, which is no table" if wrong else ""


def _why_unread(feature: Mapping[str, Any]) -> str:
    """Why no policy can read these pictures; empty where one can, and for what is no picture."""
    shape = list(feature.get("shape") or ())
    if not is_picture(feature):
        sides = sorted(int(side) for side in shape) if len(shape) == 3 else [0]
        is_array = len(sides) == 3 and sides[0] <= 4 and sides[1] >= SMALLEST_SIDE
        return "it holds pictures as plain numbers, not as image or video" if is_array else ""
    info = {key: value for name in _MORE for key, value in (feature.get(name) or {}).items()}
    if info.get("video.is_depth_map") or info.get("is_depth_map"):
        return "it is a depth map"
    count = channels(feature)
    if count is None:
        return f"its shape is {shape}, not height, width and channels"
    return "" if count == COLOURS else f"it has {count} channel{'s' * (count != 1)}, not red, green and blue"


def _check_found(
    by_name: Mapping[str, str],
    features: Mapping[str, Mapping[str, Any]],
    renaming: Mapping[str, str],
    where: str,
) -> None:
    missing = [name for name in (STATE, ACTION) if name not in by_name]
    if missing:
        guesses = {name: _guess(name, by_name, features) for name in missing}
        hint = ""
        if all(guesses.values()):
            suggested = {**renaming, **{by_name[str(old)]: new for new, old in guesses.items()}}
            hint = f" If these are other names for it: --rename {renaming_text(suggested)}."
        has = ", ".join(sorted(by_name))
        raise UsageError(
            f"data set {where} has no feature {' and no '.join(map(repr, missing))}; it has {has}.{hint}"
        )
    for name in (STATE, ACTION):
        shape = features[by_name[name]].get("shape")
        if not isinstance(shape, Sequence) or len(shape) != 1:
            raise UsageError(f"data set {where}: {by_name[name]} must be a vector, not of shape {shape}.")


def _guess(wanted: str, by_name: Mapping[str, str], features: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The name that is probably meant by `wanted`; None where none or several may be."""
    vectors = [
        name
        for name, feature in by_name.items()
        if len(features[feature].get("shape") or ()) == 1
        and name not in (STATE, ACTION, *BOOKKEEPING)
        and not name.startswith("next.")
    ]
    for often in _OFTEN[wanted]:
        if often in vectors:
            return often
    stem = "action" if wanted == ACTION else "state"
    like = [name for name in vectors if stem in name.lower() and "environment" not in name]
    return like[0] if len(like) == 1 else None
