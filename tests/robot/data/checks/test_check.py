"""What a check says beside contradictions: statistics, conventions, older formats, videos; how it looks."""

import json
import random
import shutil

import numpy as np
import pytest

pytest.importorskip("lerobot")

from robot.converter import convert_command
from robot.corrections import hold_still, rename_features, rewritten
from robot.data.checks.contradictions import CONTRADICTIONS, META, rewrite

from toyflow.errors import UsageError
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.checks.page import page
from toyflow.robot.data.demo_source import DEMOS
from toyflow.robot.data.demos.data_set_writer import Demonstration, write_data_set
from toyflow.robot.data.demos.recording import Trajectory
from toyflow.robot.interface import Interface


@pytest.fixture
def copy(small, tmp_path):
    return shutil.copytree(small[0], tmp_path / "mine")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A data set of two episodes of 12 frames with a video each camera."""
    chance = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("filmed") / "data"
    folder.mkdir()

    def one() -> Demonstration:
        images = {"front": chance.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)}
        state, action = (chance.normal(size=(12, dim)).astype(np.float32) for dim in (4, 2))
        return Demonstration("go", Trajectory(images, state, action))

    write_data_set(folder, [one(), one()], Interface(("front",), 4, 2, 10), 64, video="h264")
    return folder


def sentences(report, level):
    return [str(each) for each in report.findings if each.level == level]


def write_named(folder, state, action, names):
    """A data set of these numbers, one episode, whose numbers have names."""
    folder.mkdir()
    write_data_set(
        folder, [Demonstration("go", Trajectory({}, state.astype(np.float32), action.astype(np.float32)))],
        Interface((), state.shape[1], action.shape[1], 10), 64,
    )  # fmt: skip
    info = json.loads((folder / "meta/info.json").read_text())
    for feature, texts in names.items():
        info["features"][feature]["names"] = texts
    (folder / "meta/info.json").write_text(json.dumps(info))
    return check_data_set("mine", folder, cameras=[])


def test_statistics_stand_beside_those_of_the_columns(small):
    rows = check_data_set("mine", small[0]).ranges
    assert [(row.feature, row.number) for row in rows] == [
        *(("observation.state", i) for i in range(4)), ("action", 0), ("action", 1)
    ]  # fmt: skip
    actions = np.concatenate([made.trajectory.action for made in small[1]]).astype(float)
    for row in rows[4:]:
        for name in ("mean", "std", "min", "max"):
            is_so = getattr(actions[:, row.number], name)()
            assert row.computed[name] == pytest.approx(is_so, abs=1e-6)
            assert row.stored[name] == pytest.approx(is_so, abs=1e-5)


def test_what_never_or_hardly_moves_is_a_warning(copy):
    hold_still(copy, "action", 1, 3.0)
    report = check_data_set("mine", copy)
    assert not report.errors
    [said] = sentences(report, "warning")
    assert said.startswith("action: number 1 (action_1) never changes, it is 3")
    hold_still(copy, "observation.state", 0, 2.0)
    state = "number 0 (state_0) never changes, it is 2"
    assert any(state in each for each in sentences(check_data_set("mine", copy), "warning"))
    (copy / DEMOS).write_text("{}")
    assert any(state in each for each in sentences(check_data_set("mine", copy), "note"))


def test_an_unused_feature_is_named(copy):
    rename_features(copy, {"observation.images.wrist": "observation.images.eye"})
    info = json.loads((copy / "meta/info.json").read_text())
    info["features"]["observation.effort"] = {"dtype": "float32", "shape": [1], "names": None}
    (copy / "meta/info.json").write_text(json.dumps(info))
    rewritten(lambda table: table.assign(**{"observation.effort": 1.0}))(copy)
    assert sentences(check_data_set("mine", copy), "warning") == [
        "observation.effort: no policy of toyflow reads it."
    ]


def test_another_prompt_in_the_episodes_which_training_does_not_read_is_a_warning(copy):
    rewrite(copy / META, lambda columns: columns["tasks"].__setitem__(1, ["fly"]))
    report = check_data_set("mine", copy)
    assert report.errors == []
    [warning] = sentences(report, "warning")
    assert "episode 1" in warning and "'fly'" in warning and "by the frames' task_index" in warning


def test_a_camera_that_cannot_be_seen_may_be_left_out(copy):
    CONTRADICTIONS["one channel"](copy, random.Random(0))
    report = check_data_set("mine", copy)
    [unseen] = [each for each in report.errors if "no policy can see it: it has 1 channel" in each.sentence]
    camera = unseen.feature.rpartition(".")[2]
    other = {"front": "wrist", "wrist": "front"}[camera]
    assert f"--cameras {other}." in unseen.sentence
    assert check_data_set("mine", copy, cameras=[other]).errors == []
    with pytest.raises(UsageError, match="has no camera 'eye'"):
        check_data_set("mine", copy, cameras=["eye"])


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_an_older_format_is_converted_by_a_whole_command(copy, version):
    path = copy / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "codebase_version": version}))
    [error] = check_data_set("mine", copy).errors
    assert error.file == "meta/info.json" and "\n" not in error.sentence
    before = "Convert it" if version == "v2.1" else ", then"
    assert error.sentence.endswith(f"{before}: {convert_command(copy)}")
    assert ("convert_dataset_v20_to_v21" in error.sentence) == (version == "v2.0")


def test_units_and_conventions_are_notes_with_both_readings(tmp_path):
    chance = np.random.default_rng(0)
    walk = np.cumsum(chance.normal(size=(200, 3)), 0)
    joints = np.interp(walk, (walk.min(), walk.max()), (-170, 170))
    grip = (chance.random((200, 1)) > 0.5).astype(float)
    state = np.concatenate([joints, grip], 1)
    report = write_named(
        tmp_path / "a", state, np.concatenate([np.roll(joints, -1, 0) / 57.3, 2 * grip - 1], 1),
        {"observation.state": ["elbow.pos", "wrist.pos", "waist.pos", "gripper.pos"],
         "action": ["elbow.pos", "wrist.pos", "waist.pos", "gripper.pos"]},
    )  # fmt: skip
    notes, warnings = "\n".join(sentences(report, "note")), "\n".join(sentences(report, "warning"))
    assert "observation.state: joints are up to 170: degrees, not radians." in notes
    assert "action: joints are up to 2.967: radians" in notes
    assert "observation.state: number 3 (gripper.pos) is from 0 to 1: 0..1, not -1..1 as LIBERO" in notes
    assert "action: number 3 (gripper.pos) is from -1 to 1: -1..1, as LIBERO" in notes
    assert "the state is in degrees and the action in radians?" in warnings


@pytest.mark.parametrize(
    ("in_degrees", "said"),
    [
        ([], None),
        ([2], (2, "in 1 of 5 episodes numbers go ", "degrees there, radians elsewhere?")),
        ([0, 1, 2, 4], (3, "in 1 of 5 episodes numbers go ", "radians there, degrees elsewhere?")),
    ],
)
def test_episodes_in_another_unit_than_the_others_are_told(tmp_path, in_degrees, said):
    chance = np.random.default_rng(0)

    def one(episode: int) -> Demonstration:
        goal = chance.uniform(-1.5, 1.5, 6) * (57.3 if episode in in_degrees else 1)
        way = np.linspace(0, 1, 30)[:, None] * goal
        return Demonstration("go", Trajectory({}, way.astype(np.float32), way.astype(np.float32)))

    folder = tmp_path / "mine"
    folder.mkdir()
    write_data_set(folder, [one(episode) for episode in range(5)], Interface((), 6, 6, 10), 64)
    found = [each for each in check_data_set("mine", folder).findings if "elsewhere" in each.sentence]
    assert [(each.feature, each.level) for each in found] == [
        (feature, "warning") for feature in ("observation.state", "action") if said
    ]
    for each in found:
        assert said is not None and each.episode == said[0] and each.frame == 30 * said[0]
        assert each.sentence.startswith(said[1]) and each.sentence.endswith(said[2])


def test_joints_that_end_at_exactly_100_are_shares_of_their_range(tmp_path):
    walk = np.cumsum(np.random.default_rng(0).normal(size=(200, 2)), 0)
    shares, degrees = (np.interp(walk, (walk.min(), walk.max()), (-end, end)) for end in (100.0, 98.7))
    names = {"observation.state": ["elbow.pos", "wrist.pos"], "action": ["elbow.pos", "wrist.pos"]}
    notes = "\n".join(sentences(write_named(tmp_path / "a", shares, degrees, names), "note"))
    assert (
        "observation.state: joints are up to 100: -100..100 of LeRobot's normalised motors, not degrees."
        in notes
    )
    assert "action: joints are up to 98.7: degrees, or -100..100 of LeRobot's normalised motors" in notes


def test_rotations_and_relative_actions_are_told(tmp_path):
    chance = np.random.default_rng(0)
    state = np.cumsum(chance.normal(size=(300, 6)), 0) * 0.1
    change = np.diff(state, axis=0, append=state[-1:])
    names = ["x", "y", "z", "roll", "pitch", "yaw"]
    relative = write_named(tmp_path / "a", state, change, {"observation.state": names})
    notes = "\n".join(sentences(relative, "note"))
    assert (
        "(roll, pitch, yaw) are read by their names as roll, pitch and yaw, not as axis times angle" in notes
    )
    assert "actions are changes of the state" in notes and "relative, not absolute" in notes
    absolute = write_named(tmp_path / "b", state, np.roll(state, -1, 0), {})
    assert "actions are targets of the state" in "\n".join(sentences(absolute, "note"))


def test_an_action_of_one_number_is_read(tmp_path):
    chance = np.random.default_rng(0)
    report = write_named(tmp_path / "a", chance.normal(size=(30, 1)), chance.normal(size=(30, 1)), {})
    assert report.errors == [] and len(report.ranges) == 2


def test_videos_decode(filmed):
    report = check_data_set("mine", filmed)
    assert report.errors == [] and report.cameras["front"]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda video: video.unlink(), "the video is missing"),
        (lambda video: video.write_bytes(b"no video"), "the video cannot be opened"),
    ],
)
def test_videos_that_do_not_decode_are_named(filmed, tmp_path, break_it, said):
    folder = shutil.copytree(filmed, tmp_path / "mine")
    [video] = folder.glob("videos/*/*/*.mp4")
    break_it(video)
    [error] = check_data_set("mine", folder).errors
    assert said in error.sentence and error.feature == "observation.images.front"
    assert error.file == video.relative_to(folder).as_posix() and error.episode == 0


def test_a_video_of_another_size_or_too_short_is_named(filmed, tmp_path):
    folder = shutil.copytree(filmed, tmp_path / "mine")
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["observation.images.front"]["shape"] = [32, 32, 3]
    (folder / "meta/info.json").write_text(json.dumps(info))
    [error] = check_data_set("mine", folder).errors
    assert "it has 64x64 pixels, and meta/info.json says shape [32, 32, 3]" in error.sentence


def test_the_page_holds_pictures_ranges_and_findings(copy):
    CONTRADICTIONS["std"](copy, random.Random(0))
    shown = page(check_data_set("<mine>", copy))
    assert "&lt;mine&gt;" in shown and shown.count("data:image/png;base64,") == 2
    assert "the statistics are not of these frames" in shown and "Training on it would be wrong" in shown
    assert "http" not in shown.replace("http-equiv", "")


def test_the_command_exits_by_what_it_found(toyflow, copy):
    good = toyflow("robot-data", "check", str(copy))
    assert good.returncode == 0 and "nothing in it would make training wrong" in good.stdout
    frame = CONTRADICTIONS["nan state"](copy, random.Random(0)).frame
    bad = toyflow("robot-data", "check", str(copy), "--json", "--html", "page.html")
    found = json.loads(bad.stdout)
    assert bad.returncode == 1 and found["counts"]["error"] == 1
    assert found["findings"][0]["feature"] == "observation.state" and found["findings"][0]["frame"] == frame
    assert (toyflow.folder / "page.html").is_file()
    for words, said in (
        ((str(toyflow.folder),), "holds no data set"),
        ((str(copy), "--cameras", "eye"), "has no camera 'eye'"),
        ((str(copy), "--rename", "stat=observation.state"), "unknown feature"),
        ((str(copy), "--rename", "x"), "takes pairs"),
    ):
        done = toyflow("robot-data", "check", *words)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
