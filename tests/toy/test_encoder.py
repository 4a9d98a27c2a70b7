import torch

from toyflow.toy.encoder import ENCODERS, TileEncoder, TokenOfMaps, _shifted


def test_shifted_tiles_keep_their_ink_and_move_by_every_offset():
    torch.manual_seed(0)
    tiles = torch.zeros(2000, 28, 28, dtype=torch.uint8)
    tiles[:, 10, 20] = 7
    moved = _shifted(tiles, 2)
    assert (moved.sum((1, 2)) == 7).all()
    places = moved.flatten(1).argmax(1)
    offsets = {(int(place) // 28 - 10, int(place) % 28 - 20) for place in places}
    assert offsets == {(down, across) for down in range(-2, 3) for across in range(-2, 3)}


def test_what_leaves_a_tile_is_lost_and_does_not_come_back_on_the_other_side():
    torch.manual_seed(0)
    tiles = torch.zeros(100, 28, 28, dtype=torch.uint8)
    tiles[:, 0] = 1
    moved = _shifted(tiles, 2)
    assert not moved[:, 3:].any()
    assert {int(total) for total in moved.sum((1, 2))} <= {0, 26, 27, 28}


def test_only_the_shifted_encoder_moves_tiles_and_only_in_training():
    tiles = torch.randint(256, (2, 4, 28, 28), dtype=torch.uint8)
    for name, size in ENCODERS.items():
        encoder = TileEncoder(size, 8)
        for layer in encoder.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 0.0
        one, other = encoder(tiles), encoder(tiles)
        assert torch.equal(one, other) == (name != "large-shifted")
        encoder.eval()
        assert torch.equal(encoder(tiles), encoder(tiles))


def test_the_token_of_maps_is_that_of_flatten_and_a_linear_layer_and_so_are_its_gradients(generator):
    layer = TokenOfMaps(64 * 4 * 4, 96)
    maps = torch.randn(7, 64, 4, 4, generator=generator).to(memory_format=torch.channels_last)
    by_hand, own = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    expected = torch.nn.functional.linear(by_hand.flatten(1), layer.weight, layer.bias)
    token = layer(own)
    torch.testing.assert_close(token, expected)
    inputs = torch.autograd.grad(expected.square().sum(), [by_hand, layer.weight])
    for found, right in zip(
        torch.autograd.grad(token.square().sum(), [own, layer.weight]), inputs, strict=True
    ):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)


def test_weights_keep_the_names_of_0_1_0():
    names = TileEncoder(ENCODERS["base"], 96).state_dict()
    assert {name.split(".")[1] for name in names} == {"0", "1", "3", "4", "6", "7", "10"}
