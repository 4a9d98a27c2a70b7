"""From a client's message to an observation, or to one line that says what is wrong with the message.

Cameras, state and prompt are found under openpi's names and LeRobot's; nested maps are read as `outer/inner`.
For a camera named `image`:

    observation/image    observation.images.image    images/image

openpi's client for LIBERO works unchanged: its `observation/wrist_image` is the camera `image2` of LIBERO's
data sets. `Keys.of` takes other names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from toyflow.errors import printable, unknown
from toyflow.parsing import parse_pairs
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.planner import Commitment
from toyflow.robot.runtime.serving.faults import FrameFault, ObservationFault

STATE, PROMPT = "state", "prompt"
TOYFLOW = "toyflow/"
"""How toyflow's own entries begin. Its client sends one always, the seed."""
OTHER_NAMES = {"image2": "wrist_image", "top": "cam_high"}
"""What openpi's clients call a camera, for LIBERO and ALOHA, by its name in LIBERO's and gym-aloha's data
sets."""
ALOHA_IMAGE = "images/cam_high"
"""The entry that tells openpi's ALOHA clients, in a message that has none of toyflow's own entries."""
DEEPEST, LONGEST_NAME = 4, 256
"""How deep maps may be nested, and how many characters an entry's joined name may have."""
LONGEST_SIDE = 4096
"""Longest side of an image in pixels."""
SEEDS = 1 << 63
MOST_STEPS = 100
"""Most denoising steps that a client may ask for."""
EARLIER = 16
"""Most earlier observations of a message."""
HALF_A_LEVEL = 0.5 / 255
"""How far outside 0..1 a float image may be: rounded to uint8 it is the same."""
REQUEST_OPTIONS = (
    "toyflow/seed",
    "toyflow/steps",
    "toyflow/before",
    "toyflow/reset",
    "toyflow/committed",
    "toyflow/frozen",
)
"""Entries of a message that openpi's protocol does not know; see `ObservationReader.read`."""


class ClientRequest(NamedTuple):
    """One message of a client.

    Attributes:
        seed: seed of the plan's noise; None where the client chose none.
        new_episode: whether earlier observations of the connection no longer count.
        steps: number of denoising steps; None where the client chose none.
        before: the observations before this one, oldest first; None where the client sent none.
        committed: what the chunk has to agree with; None where the client sent nothing.
        is_aloha: whether the message is of openpi's ALOHA form, whose client expects actions of that form.
    """

    observation: Observation
    seed: int | None
    new_episode: bool
    steps: int | None = None
    before: tuple[Observation, ...] | None = None
    committed: Commitment | None = None
    is_aloha: bool = False


@dataclass(frozen=True)
class Keys:
    """The names of a message's entries that feed a policy. Of alternatives the first that is there counts.

    Attributes:
        cameras: alternatives by camera.
        state: alternatives; each is one entry, or several that are concatenated.
        prompt: alternatives.
    """

    cameras: Mapping[str, tuple[str, ...]]
    state: tuple[tuple[str, ...], ...]
    prompt: tuple[str, ...]

    @classmethod
    def of(cls, interface: Interface, chosen: Mapping[str, str] | None = None) -> Keys:
        """The keys of a policy's inputs.

        Args:
            chosen: names that replace the usual ones, by camera, `state` (several are joined by +) or
                `prompt`.

        Raises:
            UsageError: `chosen` has a camera that the policy lacks.
        """
        chosen = chosen or {}
        for name in chosen:
            if name not in (*interface.cameras, STATE, PROMPT):
                raise unknown("input of the policy", name, (*interface.cameras, STATE, PROMPT))
        before = dict(interface.renamed)
        usual = ["observation/state", "observation.state", "state", *filter(None, [before.get(STATE)])]
        state = [chosen[STATE]] if STATE in chosen else usual
        return cls(
            {
                camera: (chosen[camera],) if camera in chosen else _usual(camera, before.get(camera))
                for camera in interface.cameras
            },
            tuple(tuple(name.split("+")) for name in state),
            (chosen[PROMPT],) if PROMPT in chosen else ("prompt", "task"),
        )

    def as_dict(self) -> dict[str, Any]:
        """The first name of each input, as clients are told."""
        cameras = {camera: names[0] for camera, names in self.cameras.items()}
        return {"cameras": cameras, "state": "+".join(self.state[0]), "prompt": self.prompt[0]}


@dataclass(frozen=True)
class ObservationReader:
    """Reads messages for one policy.

    Attributes:
        prompt: used where a client sends none; None makes the client's compulsory.
    """

    interface: Interface
    keys: Keys
    prompt: str | None = None

    def read(self, message: Mapping[str, Any]) -> ClientRequest:
        """The request in a message.

        Images are HxWx3 or 3xHxW, uint8 or floats in 0..1, of any size: policies resize. A prompt is a text,
        UTF-8 bytes or an array of one text. Optional entries: `seed` (or `toyflow/seed`); `toyflow/steps`,
        the number of denoising steps; and for a policy with a history either `reset` (or `toyflow/reset`),
        true in the first request of an episode, or `toyflow/before`, a list of the messages of the steps
        before; and `toyflow/committed`, the actions [left, action] that are left of the chunk before, with
        `toyflow/frozen`, how many of them will have been carried out when the answer comes. Other entries are
        ignored.

        Raises:
            ObservationFault: an entry is missing, or does not fit the policy.
        """
        entries = dict(_flat(message))
        seed, steps = _first(entries, ("toyflow/seed", "seed")), entries.get("toyflow/steps")
        if seed is not None and (type(seed) is not int or not 0 <= seed < SEEDS):
            raise ObservationFault(f"seed: expected a whole number from 0 to 2^63 - 1, got {_what(seed)}.")
        if steps is not None and (type(steps) is not int or not 1 <= steps <= MOST_STEPS):
            raise ObservationFault(
                f"toyflow/steps: expected a whole number from 1 to {MOST_STEPS}, got {_what(steps)}."
            )
        reset = _first(entries, ("toyflow/reset", "reset")) is True
        return ClientRequest(
            self._observation(entries),
            seed,
            reset,
            steps,
            self._before(entries),
            self._committed(entries),
            ALOHA_IMAGE in entries and not any(name.startswith(TOYFLOW) for name in entries),
        )

    def _observation(self, entries: Mapping[str, Any]) -> Observation:
        images = {camera: self._image(entries, camera) for camera in self.keys.cameras}
        return Observation(images, self._state(entries), self._prompt(entries))

    def _before(self, entries: Mapping[str, Any]) -> tuple[Observation, ...] | None:
        earlier = entries.get("toyflow/before")
        if earlier is None:
            return None
        expected = f"a list of at most {EARLIER} messages"
        if not isinstance(earlier, list) or len(earlier) > EARLIER:
            raise ObservationFault(f"toyflow/before: expected {expected}, got {_what(earlier)}.")
        for each in earlier:
            if not isinstance(each, dict):
                raise ObservationFault(f"toyflow/before: expected {expected}, got {_what(each)} in it.")
        return tuple(self._observation(dict(_flat(each))) for each in earlier)

    def _committed(self, entries: Mapping[str, Any]) -> Commitment | None:
        actions, frozen = entries.get("toyflow/committed"), entries.get("toyflow/frozen", 0)
        if actions is None:
            return None
        dim = self.interface.action_dim
        expected = f"finite numbers of shape leftx{dim}"
        if not isinstance(actions, np.ndarray) or actions.dtype.kind not in "fiu":
            raise ObservationFault(f"toyflow/committed: expected {expected}, got {_what(actions)}.")
        with np.errstate(over="ignore"):
            actions = actions.astype(np.float32)
        if actions.ndim != 2 or actions.shape[1] != dim or not is_finite(actions):
            raise ObservationFault(f"toyflow/committed: expected {expected}, got {_what(actions)}.")
        if type(frozen) is not int or not 0 <= frozen <= len(actions):
            raise ObservationFault(
                f"toyflow/frozen: expected a whole number from 0 to {len(actions)}, got {_what(frozen)}."
            )
        return Commitment(actions, frozen)

    def _image(self, entries: Mapping[str, Any], camera: str) -> UInt8[np.ndarray, "height width 3"]:
        expected = "an image, HxWx3 or 3xHxW, of uint8 or of floats in 0..1"
        key = _found(entries, self.keys.cameras[camera], f"camera {camera}", expected)
        image = entries[key]
        if not isinstance(image, np.ndarray) or image.ndim != 3 or 3 not in (image.shape[0], image.shape[2]):
            raise ObservationFault(f"{key}: expected {expected}, got {_what(image)}.")
        if image.shape[2] != 3:
            image = image.transpose(1, 2, 0)
        if not 1 <= min(image.shape[:2]) <= max(image.shape[:2]) <= LONGEST_SIDE:
            raise ObservationFault(
                f"{key}: expected an image with sides of 1 to {LONGEST_SIDE} pixels, got {_what(image)}."
            )
        if image.dtype == np.uint8:
            return np.array(image, order="C")  # the policy may write to it; the frame's bytes are constant
        low, high = -HALF_A_LEVEL, 1 + HALF_A_LEVEL
        if image.dtype.kind != "f" or not (image.min() >= low and image.max() <= high):
            span = f" from {image.min():g} to {image.max():g}" if image.dtype.kind == "f" else ""
            raise ObservationFault(f"{key}: expected {expected}, got {_what(image)}{span}.")
        return np.rint(image.astype(np.float32).clip(0, 1) * 255).astype(np.uint8, order="C")

    def _state(self, entries: Mapping[str, Any]) -> Float32[np.ndarray, "state"]:
        dim = self.interface.state_dim
        if dim == 0:
            return np.zeros(0, np.float32)
        expected = f"{dim} finite numbers in all"
        names = next((each for each in self.keys.state if each[0] in entries), self.keys.state[0])
        parts = []
        for name in names:
            others = [each[0] for each in self.keys.state if each[0] != name] if len(names) == 1 else []
            part = entries[_found(entries, (name, *others), "the state", expected)]
            try:
                parts.append(_numbers(part))
            except (ValueError, TypeError, OverflowError):
                raise ObservationFault(f"{name}: expected {expected}, got {_what(part)}.") from None
        state = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if len(state) != dim or not is_finite(state):
            got = f"{len(state)} numbers" if len(state) != dim else "some that are not finite"
            raise ObservationFault(f"{'+'.join(names)}: expected {expected}, got {got}.")
        return state

    def _prompt(self, entries: Mapping[str, Any]) -> str:
        if self.prompt is not None and _first(entries, self.keys.prompt) is None:
            return self.prompt
        key = _found(entries, self.keys.prompt, "the prompt", "a text that says what to do")
        prompt = entries[key]
        if isinstance(prompt, bytes):
            with suppress(UnicodeDecodeError):
                prompt = prompt.decode()
        if not isinstance(prompt, str):
            raise ObservationFault(f"{key}: expected a text that says what to do, got {_what(prompt)}.")
        return prompt


def is_finite(values: Float32[np.ndarray, "..."]) -> bool:
    """Whether all numbers are finite: then so is their sum in double precision. A call of numpy takes 30 to
    80 us after a plan, which has filled the processor's caches; this takes 5 us for a hundred numbers."""
    return math.isfinite(sum(values.ravel().tolist()))


def parse_keys(text: str | None) -> dict[str, str]:
    """Parse `front=observation/exterior_image_1_left,state=joints+gripper` for `Keys.of`.

    Raises:
        UsageError: the text is no list of such pairs.
    """
    example = "front=observation/front,state=joints+gripper, the policy's input first"
    return parse_pairs((text or "").split(","), "--keys", example)


def _usual(camera: str, before: str | None = None) -> tuple[str, ...]:
    """The usual names of a camera, and of the name that it had `before` it was renamed for training."""
    openpi = OTHER_NAMES.get(camera)
    others = (f"observation/{openpi}", f"images/{openpi}") if openpi else ()
    own = (f"observation/{camera}", *others, f"observation.images.{camera}", f"images/{camera}")
    return (*own, f"observation.{camera}", *(_usual(before) if before else ()))


def _flat(message: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterable[tuple[str, Any]]:
    """Entries of nested maps by their joined names, whose depth and length are bounded, as names add up."""
    for key, value in message.items():
        name = before + key
        if len(name) > LONGEST_NAME:
            raise FrameFault(
                f"an entry's name is longer than {LONGEST_NAME} characters: {ascii(name)[:40]}..."
            )
        if not isinstance(value, dict):
            yield name, value
        elif depth == DEEPEST:
            raise FrameFault(f"{ascii(name)[:80]}: maps are nested more than {DEEPEST} deep.")
        else:
            yield from _flat(value, f"{name}/", depth + 1)


def _first(entries: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((entries[key] for key in keys if key in entries), None)


def _found(entries: Mapping[str, Any], keys: tuple[str, ...], what: str, expected: str) -> str:
    for key in keys:
        if key in entries:
            return key
    has = ", ".join(map(printable, entries))
    first, *more = keys
    others = f" (or {', '.join(more)})" if more else ""
    raise ObservationFault(
        f"{first}{others} is missing, {what}: expected {expected}; the message has {has[:400] or 'nothing'}."
    )


def _numbers(value: object) -> Float32[np.ndarray, "count"]:
    if not isinstance(value, (np.ndarray, list, int, float)):
        raise TypeError
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        return value.flatten()  # a copy, as below: the policy may write to it
    with np.errstate(over="ignore"):  # what overflows is not finite, and refused as such
        return np.asarray(value, np.float32).reshape(-1)


def _what(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {'x'.join(map(str, value.shape)) or 'none'}"
    return f"{type(value).__name__} {ascii(value)[:40]}" if value is not None else "nothing"
