import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import JSON, parsed

from toyflow.errors import UsageError
from toyflow.robot.interface import Interface
from toyflow.robot.policy.policy_options import SIZE_NAMES
from toyflow.robot.policy.policy_recipes import RECIPES
from toyflow.robot.policy.sizes import SIZES
from toyflow.robot.policy.spec import PolicySpec

LIBERO = Interface(("agentview", "wrist"), state_dim=8, action_dim=7, fps=20)
SPEC = PolicySpec("nano", LIBERO)


def test_json_round_trip():
    spec = PolicySpec("tiny", LIBERO, 20, "full", "full", language=False, image_size=112, pretrained=False)
    assert PolicySpec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec
    assert SPEC.image_size == 64 and PolicySpec.from_dict(SPEC.as_dict()).image_size == 64


def test_what_a_record_leaves_out_is_at_its_default():
    assert PolicySpec.from_dict({"size": "nano", "interface": LIBERO.as_dict()}) == SPEC


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "nanno"}, "unknown policy size 'nanno'. Did you mean 'nano'?"),
        ({"size": None}, "unknown policy size 'None'"),
        ({"supervision": "mask7"}, "Did you mean 'mask'"),
        ({"attention": "prefix"}, "Available: cross, full, joint"),
        ({"tokeniser": ["hashed"]}, "unknown policy tokeniser"),
        ({"horizon": 0}, "horizon must be a whole number from 1 to 100, got '0'"),
        ({"horizon": 101}, "from 1 to 100, got '101'"),
        ({"horizon": True}, "a whole number, not True"),
        ({"horizon": "10"}, "a whole number, not '10'"),
        ({"delay_max": 10}, "--delay-max must be below the horizon, 10, so that something is left"),
        ({"delay_max": -1}, "from 0 to 99, got '-1'"),
        ({"language": 1}, "language is true or false, not 1"),
        ({"image_size": 65}, "images of 32 to 512 pixels in steps of 16, not 65"),
        ({"image_size": -64}, "got '-64'"),
        ({"pretrained": True}, "--pretrained needs size tiny or full"),
        ({"tokeniser": "paligemma"}, "nano has the tokeniser `hashed`, not `paligemma`"),
        ({"size": "tiny", "pretrained": True, "image_size": 112}, "take images of 224 pixels"),
        ({"size": "full", "pretrained": True, "image_size": 224}, "need the tokeniser `paligemma`"),
        ({"horizn": 3}, "unknown key in the policy's spec 'horizn'. Did you mean 'horizon'?"),
        ({"interface": {}}, "interface has cameras, state_dim, action_dim, fps"),
        ({"interface": None}, "interface has cameras"),
        ({"interface": {**LIBERO.as_dict(), "action_dim": 33}}, "1 to 32 action dimensions, not 33"),
        ({"interface": {**LIBERO.as_dict(), "action_dim": 0}}, "1 to 32 action dimensions, not 0"),
        (
            {"interface": {**LIBERO.as_dict(), "state_dim": 0}},
            "no dimensions here; switch it off: --no-state",
        ),
        ({"interface": {**LIBERO.as_dict(), "state_dim": "8"}}, "state_dim is a whole number, not '8'"),
        ({"interface": {**LIBERO.as_dict(), "fps": "20"}}, "fps is a number"),
        ({"interface": {**LIBERO.as_dict(), "cameras": ["a", "a"]}}, "camera a is named twice"),
        (
            {"interface": {**LIBERO.as_dict(), "cameras": []}, "language": False, "state": False},
            "the policy sees nothing",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(change, message):
    with pytest.raises(UsageError) as caught:
        PolicySpec.from_dict({**SPEC.as_dict(), **change})
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [None, [], "nano", {}, {"size": "nano"}])
def test_what_is_no_spec_is_refused(values):
    with pytest.raises(UsageError, match=r"spec has no (size and no )?interface"):
        PolicySpec.from_dict(values)


def test_each_supervision_trains_its_dimensions():
    assert (SPEC.action_dims, replace(SPEC, supervision="full").action_dims) == (7, 32)
    assert replace(SPEC, language=False).prompt_length == 0


@given(st.dictionaries(st.sampled_from(sorted(SPEC.as_dict())) | st.text(max_size=5), JSON))
def test_whatever_a_spec_is_changed_to_it_is_one_or_refused(change):
    spec = parsed(lambda: PolicySpec.from_dict({**SPEC.as_dict(), **change}))
    assert spec is None or PolicySpec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec


@given(st.dictionaries(st.sampled_from(sorted(LIBERO.as_dict())), JSON))
def test_whatever_its_interface_is_changed_to(change):
    parsed(lambda: PolicySpec.from_dict({**SPEC.as_dict(), "interface": {**LIBERO.as_dict(), **change}}))


STATE_ALONE = PolicySpec("mlp", replace(LIBERO, cameras=()), language=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"language": True}, "size mlp reads the state alone: give it --cameras none --no-language"),
        ({"interface": LIBERO.as_dict()}, "size mlp reads the state alone"),
        ({"attention": "cross"}, "size mlp has no --attention"),
        ({"delay_max": 3}, "size mlp has no --delay-max"),
        ({"pretrained": True}, "--pretrained needs size tiny or full; mlp has no published weights"),
        ({"tokeniser": "paligemma"}, "size mlp has the tokeniser `hashed`"),
    ],
)
def test_what_an_mlp_has_not_is_refused(change, message):
    with pytest.raises(UsageError) as caught:
        PolicySpec.from_dict({**STATE_ALONE.as_dict(), **change})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_size_without_a_backbone_has_no_images_and_no_prompts():
    assert (STATE_ALONE.image_size, STATE_ALONE.vocabulary, STATE_ALONE.prompt_length) == (0, 0, 0)
    earlier = {**STATE_ALONE.as_dict(), "image_size": 64}
    assert PolicySpec.from_dict(earlier).as_dict() == earlier, "earlier records stay as they are"


def test_every_size_that_can_be_chosen_is_there():
    assert set(SIZES) == set(SIZE_NAMES) == set(RECIPES)
