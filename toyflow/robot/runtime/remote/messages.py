"""What a server is sent: an observation under the names that it reads, with images as it takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from toyflow.errors import UsageError
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.runtime.serving.observations import OTHER_NAMES, PROMPT, STATE

IMAGES = "images/"
"""Entries of this map are images with their channels first, as openpi's ALOHA policies read them."""
ALOHA_BASE, ALOHA_CAMERAS = "cam_high", ("cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist")
"""The camera that openpi's ALOHA policies cannot do without, and all that they know."""
ALOHA_NUMBERS = 14
"""Numbers of ALOHA's state and action."""
OPENPI_SIDE = 224
"""Side in pixels of the images that openpi's clients send."""


@dataclass(frozen=True)
class StateEntry:
    """An entry that holds numbers of the state, in order; `count` of None takes all that are left."""

    name: str
    count: int | None = None


@dataclass(frozen=True)
class MessageNames:
    """Under which names a server reads an observation.

    Attributes:
        cameras: {camera: entry}.
    """

    cameras: Mapping[str, str]
    state: tuple[StateEntry, ...]
    prompt: str

    @classmethod
    def openpi(cls, interface: Interface) -> MessageNames:
        """openpi's names. For a robot with 14 numbers and a camera `cam_high`, or `top` as gym-aloha calls
        it, those for ALOHA: `images/NAME` of the cameras that its policies know, `state` and `prompt`. Else
        those for LIBERO: `observation/image`, `observation/wrist_image` for the camera `image2`,
        `observation/state` and `prompt`; other cameras are `observation/NAME`."""
        theirs = {name: OTHER_NAMES.get(name, name) for name in interface.cameras}
        numbers = {interface.state_dim, interface.action_dim}
        if ALOHA_BASE in theirs.values() and numbers == {ALOHA_NUMBERS}:
            known = {name: f"{IMAGES}{each}" for name, each in theirs.items() if each in ALOHA_CAMERAS}
            return cls(known, (StateEntry("state"),), "prompt")
        cameras = {name: f"observation/{each}" for name, each in theirs.items()}
        return cls(cameras, (StateEntry("observation/state"),), "prompt")

    @property
    def is_aloha(self) -> bool:
        """Whether images go as openpi's ALOHA policies read them."""
        return any(entry.startswith(IMAGES) for entry in self.cameras.values())

    @classmethod
    def of_metadata(cls, keys: Mapping[str, Any]) -> MessageNames:
        """The names that a server of toyflow says. Of several entries for the state the first takes all."""
        state = tuple(StateEntry(name) for name in str(keys["state"]).split("+"))
        return cls(
            {str(name): str(entry) for name, entry in keys["cameras"].items()}, state, str(keys["prompt"])
        )

    def changed(self, chosen: Mapping[str, str]) -> MessageNames:
        """With other names: {camera, `state` or `prompt`: entry}; entries of the state are joined by +, each
        with the count of its numbers after a colon, but for the last.

        Raises:
            UsageError: there is no such camera, or a count is no number.
        """
        cameras, state, prompt = dict(self.cameras), self.state, self.prompt
        for name, entry in chosen.items():
            if name == STATE:
                state = tuple(map(_state_entry, entry.split("+")))
            elif name == PROMPT:
                prompt = entry
            elif name in cameras:
                cameras[name] = entry
            else:
                has = ", ".join((*cameras, STATE, PROMPT))
                raise UsageError(f"--keys: there is no camera {name!r}; there are {has}.")
        return MessageNames(cameras, state, prompt)


@dataclass(frozen=True)
class MessageWriter:
    """Turns observations into messages.

    Attributes:
        interface: what the policy sees, with the cameras' names before `--rename`.
        side: side in pixels of the images that are sent, resized and padded as openpi does; None to send them
            as they are, for a server that resizes.
    """

    names: MessageNames
    interface: Interface
    side: int | None = None

    def message(self, observation: Observation) -> dict[str, Any]:
        """The entries of an observation. Those whose names begin with `images/` are a map `images`.

        Raises:
            UsageError: it lacks a camera, or has a state of another length.
        """
        entries: dict[str, Any] = {}
        nested: dict[str, np.ndarray] = {}
        for camera, entry in self.names.cameras.items():
            found = self.interface.found(camera, observation.images)
            if found is None:
                has = ", ".join(observation.images) or "none"
                raise UsageError(
                    f"the observation has no camera {camera}, which the server reads; it has {has}."
                )
            image = np.ascontiguousarray(observation.images[found])
            image = image if self.side is None else resize_with_pad(image, self.side)
            if self.side is not None and entry.startswith(IMAGES):
                nested[entry.removeprefix(IMAGES)] = np.ascontiguousarray(image.transpose(2, 0, 1))
            else:
                entries[entry] = image
        if self.interface.state_dim:
            entries |= self._state(observation)
        if nested:
            entries[IMAGES.rstrip("/")] = nested
        return {**entries, self.names.prompt: observation.prompt}

    def _state(self, observation: Observation) -> dict[str, np.ndarray]:
        state = np.asarray(observation.state, np.float32)
        count = self.interface.state_dim
        if len(state) != count:
            raise UsageError(
                f"the observation has a state of {len(state)} numbers, the server reads {count}."
            )
        parts, begin = {}, 0
        for entry in self.names.state:
            end = len(state) if entry.count is None else begin + entry.count
            parts[entry.name] = state[begin:end]
            begin = end
        if begin != len(state):
            raise UsageError(f"--keys: state names {begin} numbers in all; the state has {len(state)}.")
        return parts


def resize_with_pad(
    image: UInt8[np.ndarray, "height width 3"], side: int
) -> UInt8[np.ndarray, "side side 3"]:
    """The image in a square of `side` pixels: scaled bilinearly to fit, centred on black, as openpi's clients
    do before they send.

    >>> resize_with_pad(np.full((40, 80, 3), 9, np.uint8), 20)[:, 0, 0].tolist().count(9)
    10
    """
    height, width = image.shape[:2]
    if (height, width) == (side, side):
        return image
    from PIL import Image  # optional: it comes with LeRobot

    ratio = max(height, width) / side
    new_height, new_width = max(1, int(height / ratio)), max(1, int(width / ratio))
    scaled = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BILINEAR)
    padded = np.zeros((side, side, 3), np.uint8)
    top, left = (side - new_height) // 2, (side - new_width) // 2
    padded[top : top + new_height, left : left + new_width] = np.asarray(scaled)
    return padded


def _state_entry(text: str) -> StateEntry:
    name, colon, count = text.partition(":")
    if colon and not (count.isdigit() and int(count)):
        raise UsageError(f"--keys: {text!r:.60} should be ENTRY:COUNT, such as observation/joint_position:7.")
    return StateEntry(name, int(count) if colon else None)
