import pytest
import torch
from torch.nn.functional import pad

from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec
from toyflow.robot.probe_moments import TrainedDimensions


@pytest.mark.parametrize(("supervision", "dims"), [("mask", 2), ("full", 32)])
def test_the_trained_dimensions_are_answered_as_by_the_policy(supervision, dims):
    interface = Interface((), 4, 2, 10)
    ones = ({"mean": [0.0] * n, "std": [1.0] * n} for n in (4, 2))
    spec = PolicySpec("nano", interface, language=False, supervision=supervision)
    torch.manual_seed(0)
    policy = Policy(spec, Normalisation.from_statistics(next(ones), next(ones))).eval()
    assert spec.action_dims == dims
    x, t = torch.randn(3, 10, dims), torch.rand(3)
    condition = policy.denoiser.read(torch.randn(3, 1, spec.parts.head.width))
    whole = policy(pad(x, (0, 32 - dims)), t, condition)
    torch.testing.assert_close(TrainedDimensions(policy)(x, t, condition), whole[..., :dims])
    assert not whole[..., dims:].any()
