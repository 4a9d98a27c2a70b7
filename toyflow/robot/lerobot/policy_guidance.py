"""Guidance of LeRobot's flow policies towards what is known of a chunk: `--handover rtc` for them.

LeRobot's pi0, pi05 and smolvla let a guide into each denoising step, `model.rtc_processor`, in 0.4.4 and in
0.6. Its own one computes the velocity before it asks for the gradient, so that the Jacobian is the identity:
the free actions are not moved, and a plan of one step goes as many times too far as the gain is large. Here
toyflow's guidance (`toyflow.flow.guidance`) stands in that place, as for its own policies:

    with guided(policy, known, steps=10):
        policy.predict_action_chunk(batch, noise=noise)

Only the numbers that are actions are guided. LeRobot pads them to a width of its own and trains nothing of
the padding, so that an error there would be handed on to the actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toyflow.flow import Known, VelocityPrediction
from toyflow.flow.guidance import guided_velocity


class Guide:
    """Stands in the place of a policy's `RTCProcessor`. LeRobot's time s goes from noise (1) to data (0),
    and its velocity u = x0 - x1 from data to noise: toyflow's are t = 1 - s and v = -u.

    Args:
        known: y and W of every row, y as wide as actions are, in the network's units.
        steps: K.
    """

    def __init__(self, known: Known, steps: int) -> None:
        self.known, self.steps = known, steps

    def is_debug_enabled(self) -> bool:
        """LeRobot asks whether steps are to be recorded."""
        return False

    def denoise_step(
        self,
        x_t: Float[Tensor, "rows horizon width"],
        prev_chunk_left_over: object,
        inference_delay: object,
        time: float,
        original_denoise_step_partial: Callable[[Tensor], Tensor],
        execution_horizon: object = None,
    ) -> Float[Tensor, "rows horizon width"]:
        """The guided u of a step. What LeRobot says of the chunk before is not used: `known` has it."""
        dims = self.known.values.shape[-1]
        padding = x_t[..., dims:]
        said: list[Tensor] = []

        def answer(x: Tensor, t: Tensor) -> Tensor:
            said.append(original_denoise_step_partial(torch.cat([x, padding], -1)))
            return -said[-1][..., :dims]

        x, t = x_t[..., :dims], x_t.new_full((len(x_t),), 1 - float(time))
        if self.steps == 1:
            velocity = self.known.pulled_to(x + answer(x, t)) - x
        else:
            velocity = guided_velocity(answer, VelocityPrediction(), self.known)(x, t)
        return torch.cat([-velocity, said[0][..., dims:].detach()], -1)


@contextmanager
def guided(policy: Any, known: Known, steps: int) -> Iterator[None]:
    """Let a policy whose type `is_guided` denoise towards what is known; not in `torch.inference_mode`."""
    from lerobot.policies.rtc.configuration_rtc import RTCConfig  # heavy and optional

    flow, config = policy.model, policy.config
    before = flow.rtc_processor, config.rtc_config
    flow.rtc_processor, config.rtc_config = Guide(known, steps), RTCConfig(enabled=True)
    try:
        yield
    finally:
        flow.rtc_processor, config.rtc_config = before
