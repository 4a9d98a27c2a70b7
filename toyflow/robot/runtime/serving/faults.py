"""Faults: requests that get no actions, but one line that says why."""

from __future__ import annotations

from typing import ClassVar

from toyflow.errors import ToyflowError

NOT_FINITE = "the policy answered with actions that are not finite."
"""What a client is told where a plan has a nan or an infinite number."""


class Fault(ToyflowError):
    """A request that gets no actions. Its message goes to the client, as a text frame.

    Attributes:
        kind: the reason under which metrics count it; see `metrics.REASONS`.
        closes: whether the connection is closed afterwards, as openpi does after faults of the server.
    """

    kind: ClassVar[str]
    closes: ClassVar[bool] = False


class FrameFault(Fault):
    """The frame is no msgpack map of texts, numbers and arrays, or exceeds a limit."""

    kind = "frame"


class ObservationFault(Fault):
    """The message is no observation of this policy; the text names the key and what was expected."""

    kind = "observation"


class PolicyFault(Fault):
    """The policy raised, or its plan is no chunk of finite actions."""

    kind, closes = "policy", True


class LateFault(Fault):
    """No plan in time: the policy hangs, or too many clients wait for it."""

    kind, closes = "late", True
