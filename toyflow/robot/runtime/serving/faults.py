"""What can go wrong with a request: one line for the client, and whether its connection survives."""

from __future__ import annotations

from typing import ClassVar

from toyflow.errors import ToyflowError


class Fault(ToyflowError):
    """A request that gets no actions. Its message goes to the client, as a text frame.

    Attributes:
        kind: the label under which metrics count it.
        closes: whether the connection is closed afterwards, as openpi does for what is the server's fault.
    """

    kind: ClassVar[str]
    closes: ClassVar[bool] = False


class FrameFault(Fault):
    """The frame is no msgpack map of text, numbers and arrays, or is too large."""

    kind = "frame"


class ObservationFault(Fault):
    """The message is no observation of this policy; the text names the key and what was expected."""

    kind = "observation"


class PolicyFault(Fault):
    """The policy raised, or its answer is no chunk of finite actions."""

    kind, closes = "policy", True


class LateFault(Fault):
    """No plan in time: the policy hangs, or too many clients wait for it."""

    kind, closes = "late", True
