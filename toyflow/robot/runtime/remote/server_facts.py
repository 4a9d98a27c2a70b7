"""What a policy server says of its policy in its first frame, and what is assumed where it says nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toyflow.errors import ToyflowError, UsageError, first_line
from toyflow.flow import Decoding
from toyflow.robot.interface import Interface
from toyflow.robot.limits import checked_motion
from toyflow.robot.runtime.remote.messages import OPENPI_SIDE, MessageNames
from toyflow.robot.runtime.serving.observations import MOST_STEPS, REQUEST_OPTIONS
from toyflow.robot.runtime.serving.protocol import unpack

RENDERED = 256
"""Side in pixels of a simulator's images for a server that says nothing: what openpi's client for LIBERO
renders, before it resizes them."""
OPENPI_REPLAN, ALOHA_REPLAN = 5, 10
"""Actions before the next plan for a server that says nothing: as openpi's clients for LIBERO and for
gym-aloha."""
MOST_NUMBERS = 100_000
"""Most numbers of a chunk of actions."""


@dataclass(frozen=True)
class ServerFacts:
    """A server's policy, as far as it is known.

    Attributes:
        is_toyflow: whether toyflow serves it: then requests may have a seed.
        name: what the policy is called; empty if the server does not say.
        policy: what identifies it: the key of its cell, else a hash of the metadata.
        interface: cameras, state, action and rate.
        horizon: actions of a chunk; 0 if the server does not say.
        names: names of a message's entries.
        side: side in pixels of the images that are sent; None as they are.
        decoding: how it decodes unless it is asked otherwise; None if it does not say.
        steps_accepted: numbers of steps that it can be asked for.
        is_random: whether its plans may differ between seeds, or from one request to the next.
        continues: whether it takes what is committed, see `Planner.continue_plan`.
        motion: ranges of its training actions, see `Limits.of_data`; empty if it does not say.
    """

    url: str
    is_toyflow: bool
    name: str
    policy: str
    interface: Interface
    horizon: int
    replan: int
    history: int
    image_size: int
    names: MessageNames
    side: int | None
    decoding: Decoding | None
    steps_accepted: frozenset[int]
    takes_before: bool
    is_random: bool
    continues: bool
    motion: Mapping[str, Any]

    @classmethod
    def read(cls, url: str, metadata: bytes, otherwise: Interface | None) -> ServerFacts:
        """The facts in the first frame of the server at `url`.

        Args:
            otherwise: cameras, state and action of a policy whose server does not say: those of the robot or
                simulator.

        Raises:
            UsageError: the frame is no map, or it is toyflow's and makes no sense; or it says nothing and
                `otherwise` is None.
        """
        try:
            said = unpack(metadata)
        except ToyflowError as error:
            raise UsageError(f"{url} began with no map of metadata: {error}") from error
        if not str(said.get("server", "")).startswith("toyflow "):
            return cls._unknown(url, metadata, said, otherwise)
        try:
            return cls._toyflow(url, said)
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise UsageError(
                f"{url} calls itself {str(said['server'])!r:.60}, but its metadata make no sense: "
                f"{type(error).__name__} {first_line(error)}."
            ) from error

    @classmethod
    def _unknown(
        cls, url: str, metadata: bytes, said: Mapping[str, Any], interface: Interface | None
    ) -> ServerFacts:
        if interface is None:
            raise UsageError(
                f"{url} does not say what its policy sees and does: name a simulator or robot whose cameras, "
                "state and actions it was made for."
            )
        steps = said.get("steps", said.get("num_steps"))
        known = type(steps) is int and 1 <= steps <= MOST_STEPS
        names = MessageNames.openpi(interface)
        replan = ALOHA_REPLAN if names.is_aloha else OPENPI_REPLAN
        digest = hashlib.sha256(metadata).hexdigest()[:16]
        return cls(
            url, False, "", digest, interface, 0, replan, 1, RENDERED, names, OPENPI_SIDE,
            Decoding(steps) if known else None, frozenset(),
            False, True, False, {},
        )  # fmt: skip

    @classmethod
    def _toyflow(cls, url: str, said: Mapping[str, Any]) -> ServerFacts:
        accepts = said.get("accepts", ())
        interface = Interface.from_dict({
            "cameras": list(said["keys"]["cameras"]), "state_dim": said["state_dim"],
            "action_dim": said["action_dim"], "fps": said["fps"], "renamed": said.get("renamed", {}),
        })  # fmt: skip
        horizon = _whole(said, "action_horizon", MOST_NUMBERS)
        if not 1 <= interface.action_dim * horizon <= MOST_NUMBERS or interface.state_dim < 0:
            raise ValueError(f"a chunk of {horizon} actions of {interface.action_dim} numbers")
        motion = said.get("motion", {})
        if motion != {}:
            motion = checked_motion(motion, interface.action_dim, "motion.")
        return cls(
            url, True, str(said["law"])[:80], str(said["policy"])[:80], interface, horizon,
            min(_whole(said, "replan", MOST_NUMBERS, horizon), horizon), _whole(said, "history", 16, 1),
            _whole(said, "image_size", 4096), MessageNames.of_metadata(said["keys"]), None,
            Decoding(_whole(said, "steps", 10_000), said["sampler"], said["grid"], said["draws"]),
            frozenset(_whole({"K": each}, "K", MOST_STEPS) for each in said.get("steps_accepted", ())),
            REQUEST_OPTIONS[2] in accepts, said.get("random") is not False, said.get("continues") is True,
            motion,
        )  # fmt: skip


def _whole(said: Mapping[str, Any], name: str, most: int, otherwise: int | None = None) -> int:
    value = said.get(name, otherwise)
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} is {value!r:.40}, not a whole number from 1 to {most}")
    return value
