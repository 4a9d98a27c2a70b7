"""Which entries feed a policy, and what is said of those that do not."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from junk import JSON, parsed, texts

from toyflow.errors import UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.runtime.serving.faults import Fault, FrameFault, ObservationFault
from toyflow.robot.runtime.serving.observations import (
    DEEPEST,
    LONGEST_NAME,
    Keys,
    ObservationReader,
    is_finite,
    parse_keys,
)
from toyflow.robot.runtime.serving.protocol import pack, unpack
from toyflow.robot.runtime.serving.session import Session

LIBERO = Interface(("image", "image2"), state_dim=8, action_dim=7, fps=20)
IMAGE = np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)
OPENPI = {
    "observation/image": IMAGE,
    "observation/wrist_image": IMAGE[::-1],
    "observation/state": np.arange(8.0),
    "prompt": "pick up the soup",
}


def read(message, interface=LIBERO, prompt=None, **chosen):
    return ObservationReader(interface, Keys.of(interface, chosen), prompt).read(message)


def complaint(message, **options) -> str:
    with pytest.raises(ObservationFault) as caught:
        read(message, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_openpis_client_for_libero_works_unchanged():
    observation, seed, new_episode, steps, before, committed, is_aloha = read(OPENPI)
    assert (observation.images["image"] == IMAGE).all() and (
        observation.images["image2"] == IMAGE[::-1]
    ).all()
    assert observation.state.dtype == np.float32 and observation.state.tolist() == list(range(8))
    assert observation.prompt == "pick up the soup" and seed is None and not new_episode
    assert steps is None and before is None and committed is None and not is_aloha
    assert observation.images["image"].flags.writeable


def test_a_policy_may_write_to_what_it_is_shown():
    for dtype in (np.float32, np.float64):
        observation = read({**OPENPI, "observation/state": np.zeros(8, dtype)}).observation
        assert observation.state.flags.writeable and observation.images["image"].flags.writeable


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_finite_is_what_has_neither_nan_nor_infinity(bad):
    numbers = np.full((3, 400), np.finfo(np.float32).max, np.float32)
    assert is_finite(numbers) and is_finite(np.zeros(0, np.float32))
    numbers[1, 7] = bad
    assert not is_finite(numbers)
    assert not is_finite(np.array([np.inf, -np.inf], np.float32))


def test_lerobots_names_and_nested_ones_work():
    lerobot = {
        "observation.images.image": IMAGE,
        "observation.images.image2": IMAGE,
        "observation.state": [0.0] * 8,
        "task": "fold",
    }
    nested = {"images": {"image": IMAGE, "image2": IMAGE}, "state": np.zeros(8), "prompt": "fold"}
    for message in (lerobot, nested):
        observation = read(message).observation
        assert set(observation.images) == {"image", "image2"} and observation.prompt == "fold"


def test_channels_may_come_first_and_floats_are_converted():
    first = np.ascontiguousarray(IMAGE.transpose(2, 0, 1))
    for image in (first, first / 255, (IMAGE / 255).astype(np.float32)):
        observation = read({**OPENPI, "observation/image": image}).observation
        assert (observation.images["image"] == IMAGE).all()
        assert observation.images["image"].flags.c_contiguous


def test_a_float_image_may_be_outside_by_rounding():
    image = np.full((4, 4, 3), 0.5, np.float32)
    image[0, 0] = 1.0000001, -0.0000001, 1
    seen = read({**OPENPI, "observation/image": image}).observation.images["image"]
    assert seen[0, 0].tolist() == [255, 0, 255] and seen[1, 1].tolist() == [128] * 3
    image[0, 0, 0] = 1.01
    assert "from -1e-07 to 1.01" in complaint({**OPENPI, "observation/image": image})


@pytest.mark.parametrize("prompt", [b"fold \xc3\xbc", np.asarray("fold ü"), np.array(["fold ü"])])
def test_a_prompt_may_be_bytes_or_an_array_of_one_text(prompt):
    assert read(unpack(pack({**OPENPI, "prompt": prompt}))).observation.prompt == "fold ü"


def test_a_prompt_that_is_no_text_is_named():
    for prompt in (b"\xff", 3.0, np.zeros(2)):
        assert complaint({**OPENPI, "prompt": prompt}).startswith("prompt: expected a text")


def test_steps_and_earlier_observations_come_with_a_request():
    request = read({**OPENPI, "toyflow/steps": 3, "toyflow/before": [{**OPENPI, "prompt": "then"}]})
    assert request.steps == 3 and request.before is not None
    assert [each.prompt for each in request.before] == ["then"]
    for bad in (0, 101, 1.0, "3", True):
        assert "toyflow/steps: expected a whole number" in complaint({**OPENPI, "toyflow/steps": bad})
    for bad in (1, [1], [OPENPI] * 17):
        assert "toyflow/before: expected a list" in complaint({**OPENPI, "toyflow/before": bad})
    assert "observation/state is missing" not in complaint({**OPENPI, "toyflow/before": [{}]})


def test_other_names_are_told():
    droid = Interface(("left",), state_dim=8, action_dim=8, fps=15)
    message = {
        "observation/exterior_image_1_left": IMAGE,
        "observation/joint_position": np.zeros(7),
        "observation/gripper_position": 1.0,
        "prompt": "go",
    }
    keys = parse_keys(
        "left=observation/exterior_image_1_left, "
        "state=observation/joint_position+observation/gripper_position"
    )
    assert read(message, droid, **keys).observation.state.tolist() == [0.0] * 7 + [1.0]
    assert "observation/gripper_position is missing, the state: expected 8" in complaint(
        {**message, "observation/gripper_position": {}}, interface=droid, **keys
    )
    assert Keys.of(droid, keys).as_dict() == {
        "cameras": {"left": "observation/exterior_image_1_left"},
        "state": "observation/joint_position+observation/gripper_position",
        "prompt": "prompt",
    }
    with pytest.raises(UsageError, match=r"'lft'. Did you mean 'left'"):
        Keys.of(droid, {"lft": "x"})
    with pytest.raises(UsageError, match="pairs"):
        parse_keys("left")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("observation/image", IMAGE[..., 0], "^observation/image: expected an image, HxWx3 .* shape 24x32"),
        ("observation/image", IMAGE[None], "1x24x32x3"),
        ("observation/image", IMAGE.astype(np.float32), "got float32 of shape 24x32x3 from 0 to 255"),
        ("observation/image", np.full((4, 4, 3), np.nan), "float64"),
        ("observation/image", IMAGE.astype(np.int32), "int32"),
        ("observation/image", np.zeros((0, 3, 3), np.uint8), "0x3x3"),
        ("observation/image", np.zeros((5000, 2, 3), np.uint8), "1 to 4096 pixels"),
        ("observation/image", "a.png", "got str 'a.png'"),
        ("observation/wrist_image", None, "observation/wrist_image: .* got nothing"),
        ("observation/state", np.zeros(7), "observation/state: expected 8 finite numbers in all, got 7"),
        ("observation/state", np.full(8, np.nan), "not finite"),
        ("observation/state", np.full(8, 1e300), "not finite"),
        ("observation/state", ["a"] * 8, "got list"),
        ("observation/state", [[1], [2, 3]], "got list"),
        ("observation/state", "1.5", "got str"),
        ("prompt", 3, "prompt: expected a text .* got int 3"),
        ("seed", -1, "seed: expected a whole number .* got int -1"),
        ("toyflow/seed", 1.5, "seed: .* got float"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(key, value, said):
    assert re.search(said, complaint({**OPENPI, key: value}))


def test_what_is_missing_is_named_with_what_is_there():
    left = {key: value for key, value in OPENPI.items() if key != "observation/image"}
    said = complaint(left)
    assert said.startswith(
        "observation/image (or observation.images.image, images/image, observation.image) is missing, "
        "camera image"
    )
    assert "the message has observation/wrist_image, observation/state, prompt." in said
    assert "prompt (or task) is missing" in complaint({**OPENPI, "prompt": {}})
    assert "has nothing" in complaint({})
    assert "\\x1b" in complaint({"\x1b[2J": 1})


def test_a_default_prompt_stands_in():
    without = {key: value for key, value in OPENPI.items() if key != "prompt"}
    assert read(without, prompt="fold").observation.prompt == "fold"
    assert read(OPENPI, prompt="fold").observation.prompt == "pick up the soup"


def test_a_policy_without_state_needs_none():
    blind = Interface((), state_dim=0, action_dim=2, fps=0)
    assert len(read({"prompt": "go"}, blind).observation.state) == 0


def requests(*states, **more):
    return [read({**OPENPI, "observation/state": np.full(8, state), **more}) for state in states]


def test_seeds_follow_connection_and_plan_unless_the_request_has_one():
    def seeds(number, noise_seed=0):
        session = Session(number, 1, noise_seed)
        return [session.plan_inputs(request)[1] for request in requests(0, 1, 2)]

    assert seeds(0) == seeds(0)
    assert len({*seeds(0), *seeds(1), *seeds(0, noise_seed=1)}) == 9
    [request] = requests(0, seed=7)
    assert Session(0, 1, 0).plan_inputs(request)[1] == 7


def test_a_policy_with_a_past_gets_the_moments_before():
    def states(observation):
        return [int(each.state[0]) for each in (*observation.before, observation)]

    session = Session(0, 3, 0)
    shown = [states(session.plan_inputs(request)[0]) for request in requests(0, 1, 2, 3)]
    assert shown == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    [first] = requests(9, reset=True)
    assert states(session.plan_inputs(first)[0]) == [9, 9, 9]


def test_names_of_nested_maps_do_not_add_up_without_end():
    deep = {"state": 1}
    for _ in range(DEEPEST):
        deep = {"a": deep}
    with pytest.raises(FrameFault, match=f"nested more than {DEEPEST} deep"):
        read(deep)
    with pytest.raises(FrameFault, match=f"longer than {LONGEST_NAME} characters"):
        read({"a" * 200: {"b" * 200: 1}})


VALUES = st.one_of(
    JSON,
    arrays(np.uint8, array_shapes(min_dims=0, max_dims=4, max_side=4)),
    arrays(np.float32, array_shapes(min_dims=0, max_dims=3, max_side=4)),
)
NAMES = st.sampled_from([*OPENPI, "observation", "images", "state", "task", "seed", "reset", "toyflow/seed"])


@given(st.dictionaries(NAMES | st.text(max_size=4), VALUES, max_size=5))
def test_whatever_a_message_holds_it_is_a_request_or_refused(change):
    request = parsed(lambda: read({**OPENPI, **change}), Fault)
    if request is not None:
        observation, seed = request.observation, request.seed
        assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in observation.images.values())
        assert observation.state.shape == (8,) and np.isfinite(observation.state).all()
        assert isinstance(observation.prompt, str) and (seed is None or 0 <= seed < 2**63)


@given(texts("image=observation/+,state "))
def test_whatever_keys_are_given_they_are_pairs_or_refused(text):
    keys = parsed(lambda: parse_keys(text))
    assert keys is None or all(name and entry for name, entry in keys.items())


def test_a_client_may_say_what_is_committed():
    actions = np.arange(21.0).reshape(3, 7)
    committed = read({**OPENPI, "toyflow/committed": actions, "toyflow/frozen": 2}).committed
    assert committed is not None and committed.frozen == 2 and committed.actions.dtype == np.float32
    assert (committed.actions == actions).all()
    for changes, message in (
        (
            {"toyflow/committed": [1, 2]},
            "toyflow/committed: expected finite numbers of shape leftx7, got list",
        ),
        ({"toyflow/committed": np.zeros((3, 6))}, "leftx7, got float32 of shape 3x6"),
        ({"toyflow/committed": np.array(3.0)}, "leftx7, got float32 of shape none"),
        ({"toyflow/committed": np.full_like(actions, np.inf)}, "leftx7, got float32 of shape 3x7"),
        (
            {"toyflow/committed": actions, "toyflow/frozen": 4},
            "toyflow/frozen: expected a whole number from 0 to 3",
        ),
        ({"toyflow/committed": actions, "toyflow/frozen": True}, "from 0 to 3, got bool"),
    ):
        assert message in complaint({**OPENPI, **changes})
