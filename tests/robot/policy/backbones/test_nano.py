import torch

from toyflow.robot.policy.backbones.nano import KeypointEye, PromptReader, _places
from toyflow.robot.policy.language import PADDING, HashedWords


def test_places_are_right_and_down_from_the_middle():
    places = _places(torch.zeros(1, 2, 3, 5)).reshape(3, 5, 2)
    assert places[0, 0].tolist() == [-1, -1]
    assert places[0, 4].tolist() == [1, -1]
    assert places[1, 2].tolist() == [0, 0]
    assert places[2, 0].tolist() == [-1, 1]


def test_a_keypoint_is_where_its_query_finds_most():
    """Queries for one feature each, and features of which one pixel of the map stands out."""
    eye, tokens = KeypointEye(width=8, reads=False), []
    torch.nn.init.eye_(eye.queries)
    eye.token.register_forward_pre_hook(lambda _, given: tokens.append(given[0]))
    eye.features = Peak()  # pyright: ignore[reportAttributeAccessIssue]
    eye(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), None)
    keypoint = tokens[0][0, 0, : 64 + 2]
    torch.testing.assert_close(keypoint[64:], torch.tensor([12 / 7.5 - 1, 3 / 7.5 - 1]))
    assert keypoint[0] == 1000 and not keypoint[1:64].any()


class Peak(torch.nn.Module):
    def forward(self, pixels):
        features = torch.zeros(1, 64, 16, 16)
        features[0, 0, 3, 12] = 1000
        return features


def test_a_prompt_is_read_in_order_and_padding_is_not():
    torch.manual_seed(0)
    words, reader = HashedWords(100, 12), PromptReader(100, 12, width=16)
    one, other = reader(words(["red on blue"])), reader(words(["blue on red"]))
    assert not torch.allclose(one, other, atol=1e-3)
    with torch.no_grad():
        reader.words.weight[PADDING] += 1
    assert torch.equal(reader(words(["red on blue"])), one)
    assert reader(words([""])).isfinite().all()
