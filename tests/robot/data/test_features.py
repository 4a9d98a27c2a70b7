"""Which features are cameras, state and action, whatever they are called."""

import pytest

from toyflow.errors import UsageError
from toyflow.robot.data.features import FeatureNames, channels, parse_renaming, renaming_text

IMAGE = {"dtype": "video", "shape": [96, 128, 3], "names": ["height", "width", "channels"]}
VECTOR = {"dtype": "float32", "shape": [7], "names": None}
OPENPI = {"image": IMAGE, "wrist_image": IMAGE, "state": VECTOR, "actions": VECTOR}
PUSHT = {
    "observation.image": IMAGE, "observation.state": VECTOR, "action": VECTOR, "next.reward": VECTOR,
    "timestamp": VECTOR, "observation.effort": VECTOR,
}  # fmt: skip


def names(features, rename=""):
    return FeatureNames.of(features, parse_renaming(rename), "mine")


def test_every_picture_is_a_camera_and_what_is_left_over_is_named():
    found = names(PUSHT)
    assert found.cameras == {"image": "observation.image"}
    assert found.unused == ("observation.effort",)
    assert found.other_names() == {"image": "observation.image"}


def test_openpis_names_are_refused_with_the_renaming_that_works():
    with pytest.raises(UsageError, match=r"no feature 'observation\.state' and no 'action'") as caught:
        names(OPENPI)
    rename = str(caught.value).partition("--rename ")[2].rstrip(".")
    found = names(OPENPI, rename)
    assert (found.state, found.action) == ("state", "actions")
    assert found.cameras == {"image": "image", "wrist_image": "wrist_image"}
    assert found.renamed == {"state": "state", "action": "actions"}


def test_a_renamed_camera_remembers_its_name():
    found = names(PUSHT, "observation.image=observation.images.top")
    assert found.cameras == {"top": "observation.image"} and found.renamed == {"top": "image"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"shape": [96, 128, 1]}, "1 channel, not"),
        ({"shape": [96, 128, 4]}, "4 channels"),
        ({"info": {"video.is_depth_map": True}}, "a depth map"),
        ({"video_info": {"video.is_depth_map": True}}, "a depth map"),
        ({"shape": [96, 128]}, "not height, width and channels"),
        ({"dtype": "uint8"}, "as plain numbers"),
    ],
)
def test_pictures_that_no_policy_can_see_are_told_apart(change, why):
    found = names({**PUSHT, "observation.images.depth": {**IMAGE, **change}})
    assert why in found.unread["observation.images.depth"] and list(found.cameras) == ["image"]


@pytest.mark.parametrize(
    ("features", "rename", "said"),
    [
        (PUSHT, "stat=observation.state", "unknown feature of data set mine 'stat'"),
        (PUSHT, "stat=state", r"--rename takes DATA=POLICY, the data set's name first\.$"),
        (PUSHT, "state=observation.state", "the other way round: --rename observation.state=state"),
        (PUSHT, "observation.effort=action", "gives .* one name, action"),
        ({**PUSHT, "image": IMAGE}, "", "would both be .* image; .*--rename image=observation.images.image2"),
        ({**PUSHT, "action": IMAGE}, "", "action must be a vector"),
        ({"observation.state": VECTOR, "timestamp": VECTOR}, "", "no feature 'action'; it has .*timestamp.$"),
        (PUSHT, "a=b,a=c", "each old and each new name once"),
        (PUSHT, "a=c,b=c", "each old and each new name once"),
        (PUSHT, "a", "--rename takes pairs such as state=observation.state"),
    ],
)  # fmt: skip
def test_what_fits_no_policy_is_one_line(features, rename, said):
    with pytest.raises(UsageError, match=said) as caught:
        names(features, rename)
    assert "\n" not in str(caught.value)


def test_a_renaming_is_text_and_back():
    renaming = {"state": "observation.state", "actions": "action"}
    assert parse_renaming(renaming_text(renaming)) == renaming
    assert parse_renaming(renaming_text(renaming).replace(",", "+")) == renaming  # as in a sweep's options
    assert parse_renaming("") == {}


def test_channels_are_where_their_axis_is():
    assert channels({"shape": [3, 96, 128], "names": ["channels", "height", "width"]}) == 3
    assert channels({"shape": [480, 640, 1]}) == 1 and channels({"shape": [1, 480, 640]}) == 1
    assert channels({"shape": [7]}) is None
