"""Published demonstrations as LeRobot data sets, and what is refused."""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from faults.bench import inside
from robot.corrections import rename_features
from robot.simulation.environments.small_registry import run_until_killed

from toyflow.atomic import MANIFEST
from toyflow.errors import UsageError
from toyflow.robot.data.checks.check import check_data_set
from toyflow.robot.data.converting import convert, converter, replay_buffer
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.data.demo_source import CONVERTED, demo_source
from toyflow.robot.robot_task import RobotTask
from toyflow.robot.simulation.environments.pusht.board import check_installed
from toyflow.robot.simulation.trials import DemoSource, Trials

pytest.importorskip("lerobot", reason="toyflow[robot]")
pytest.importorskip("zarr", reason="toyflow[pusht]")
numcodecs = pytest.importorskip("numcodecs")

LENGTHS = (7, 5, 9)
HUMAN = os.environ.get("TOYFLOW_PUSHT")


def is_installed() -> bool:
    try:
        check_installed()
    except UsageError:
        return False
    return True


in_simulator = pytest.mark.skipif(not is_installed(), reason="gym-pusht is not installed; toyflow[pusht]")


def buffer(images: bool = False) -> dict[str, np.ndarray]:
    """Three episodes in which everything moves."""
    steps, generator = sum(LENGTHS), np.random.default_rng(0)
    arrays = {
        "state": generator.uniform(100, 400, (steps, 5)).astype(np.float32),
        "action": generator.uniform(0, 512, (steps, 2)).astype(np.float32),
        "ends": np.cumsum(LENGTHS),
    }
    arrays["state"][:, 4] = generator.uniform(0, 2 * np.pi, steps)
    if images:
        arrays["img"] = generator.integers(0, 256, (steps, 32, 32, 3)).astype(np.uint8)
    return arrays


def as_npz(folder: Path, **arrays) -> Path:
    np.savez(folder / "source.npz", **arrays)
    return folder / "source.npz"


def as_zarr(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    """In the layout of Diffusion Policy: zarr's format 2, compressed, several chunks, images as floats.
    Written here by the format's description, so that both versions of the package zarr have to read it."""
    codec = numcodecs.Blosc("zstd")
    for name, array in arrays.items():
        place = folder / "source.zarr" / ("meta/episode_ends" if name == "ends" else f"data/{name}")
        array = array.astype("<f4" if name == "img" else array.dtype)
        place.mkdir(parents=True)
        about = {
            "zarr_format": 2, "shape": array.shape, "chunks": (8, *array.shape[1:]), "dtype": array.dtype.str,
            "compressor": codec.get_config(), "fill_value": 0, "order": "C", "filters": None,
        }  # fmt: skip
        (place / ".zarray").write_text(json.dumps(about))
        for number, start in enumerate(range(0, len(array), 8)):
            chunk = np.zeros(about["chunks"], array.dtype)
            chunk[: len(array) - start] = array[start : start + 8]
            (place / ".".join(map(str, (number, *[0] * (array.ndim - 1))))).write_bytes(codec.encode(chunk))
    return folder / "source.zarr"


def zipped(folder: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + path.relative_to(folder).as_posix())
    return folder.with_suffix(".zip")


def rows_of(out: Path) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted(out.glob("data/*/*.parquet"))))


@pytest.mark.parametrize("kind", ["npz", "zarr", "zip", "zip with a folder"])
def test_every_kind_of_source_gives_the_same_data_set(tmp_path, kind):
    arrays, out = buffer(), tmp_path / "made"
    if kind == "npz":
        source = as_npz(tmp_path, **arrays)
    else:
        source = as_zarr(tmp_path, arrays)
        source = source if kind == "zarr" else zipped(source, "pusht/x.zarr/" if "folder" in kind else "")
    made = convert([source], out)
    assert (made.episodes, made.steps) == (3, 21)
    rows = rows_of(out)
    state, action = (np.stack(list(rows[name])) for name in ("observation.state", "action"))
    angle = arrays["state"][:, 4:]
    np.testing.assert_allclose(state[:, :4], arrays["state"][:, :4])
    np.testing.assert_allclose(state[:, 4:], np.hstack([np.cos(angle), np.sin(angle)]), atol=1e-6)
    np.testing.assert_array_equal(action, arrays["action"])
    assert rows["episode_index"].value_counts().sort_index().tolist() == list(LENGTHS)
    assert demo_source(str(out)) == DemoSource("pusht-state", "pusht", "0")
    assert not check_data_set(str(out), out).errors
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_with_images_it_is_what_the_hubs_data_set_is(tmp_path):
    """Camera `image` and the agent's position, from two files or from a zarr archive of floats."""
    arrays = buffer(images=True)
    np.savez(tmp_path / "img.npz", img=arrays["img"])
    apart = as_npz(tmp_path, **{name: array for name, array in arrays.items() if name != "img"})
    convert([apart, tmp_path / "img.npz"], tmp_path / "one", "pusht")
    convert([as_zarr(tmp_path, arrays)], tmp_path / "other", "pusht")
    one, other = (open_data_set(str(tmp_path / name)) for name in ("one", "other"))
    assert one.fingerprint == other.fingerprint
    assert one.interface.cameras == ("image",) and one.interface.state_dim == 2
    assert demo_source(str(tmp_path / "one")) == DemoSource("pusht", "pusht", "0")
    info = json.loads((tmp_path / "one/meta/info.json").read_text())
    assert info["features"]["observation.images.image"]["shape"] == [32, 32, 3]


@in_simulator
def test_a_policy_is_evaluated_where_the_data_set_says(tmp_path):
    convert([as_npz(tmp_path, **buffer())], tmp_path / "made")
    options = {"dataset": str(tmp_path / "made"), "cameras": "none", "horizon": "4"}
    trials = Trials.parse(RobotTask.choose(options).test_set)
    assert (trials.environment, trials.suite, trials.tasks) == ("pusht-state", "pusht", (0,))


@in_simulator
def test_the_hubs_data_set_trains_for_pusht_by_its_names(tmp_path):
    """lerobot/pusht has a camera observation.image, and nothing of toyflow beside it."""
    folder = convert([as_npz(tmp_path, **buffer(images=True))], tmp_path / "made", "pusht").out
    rename_features(folder, {"observation.images.image": "observation.image"})
    for name in (CONVERTED, MANIFEST):
        (folder / name).unlink()
    assert demo_source(str(folder)) is None
    options = {"dataset": str(folder), "environment": "pusht", "suite": "pusht", "horizon": "4"}
    assert Trials.parse(RobotTask.choose(options).test_set).environment == "pusht"
    with pytest.raises(UsageError, match="pusht-state has no camera image"):
        RobotTask.choose({**options, "environment": "pusht-state"})


@in_simulator
@pytest.mark.slow
def test_from_the_source_to_a_score(tmp_path):
    as_npz(tmp_path, **buffer())
    done = inside(tmp_path, "robot-data", "convert", "source.npz", "--out", "made")
    assert done.code == 0 and "3 episodes, 21 steps: made" in done.out
    short = ("--iterations", "2", "--batch-size", "2", "--horizon", "4", "--threads", "1", "--states", "2")
    done = inside(tmp_path, "robot-train", "--dataset", "made", "--cameras", "none", *short, "--out", "out")
    assert done.code == 0, done.err
    assert "mean score [95 %]" in done.out
    for outcomes in (tmp_path / "out").glob("cells/*/evaluations/*/outcomes.csv"):
        assert pd.read_csv(outcomes)["episode_score"].between(0, 1).all()
    done = inside(tmp_path, "robot-data", "convert", "source.npz", "--out", "made")
    assert (done.code, done.err.count("\n")) == (2, 1) and "is there already" in done.err


def refused(sources: list[Path], out: Path, match: str, environment: str = "pusht-state") -> None:
    with pytest.raises(UsageError, match=match) as caught:
        convert(sources, out, environment)
    assert "\n" not in str(caught.value)
    assert not out.exists() and not [*out.parent.glob(".*")]


def test_what_is_cut_off_is_refused(tmp_path):
    out, source = tmp_path / "made", as_npz(tmp_path, **buffer())
    whole = source.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        source.write_bytes(whole[:length])
        refused([source], out, "cut off")
    bitten = bytearray(whole)
    bitten[len(whole) // 4] ^= 0xFF
    source.write_bytes(bitten)
    refused([source], out, "cannot be read, it may be cut off: Bad CRC")
    archive = as_zarr(tmp_path, buffer())
    whole = zipped(archive).read_bytes()
    (tmp_path / "source.zip").write_bytes(whole[: len(whole) // 2])
    refused([tmp_path / "source.zip"], out, "neither a zarr archive nor an npz file, or it is cut off")
    refused([tmp_path / "none.zarr"], out, "none.zarr does not exist")


def test_parts_that_lack_are_refused_and_never_filled_in(tmp_path):
    """Without a fill value they were cut off; else their writer may have left out what is all of it."""
    archive, out = as_zarr(tmp_path, buffer()), tmp_path / "made"
    (archive / "data/action/1.0").unlink()
    lack = "2 of 3 parts of data/action are there. It is cut off"
    for source in (archive, zipped(archive)):
        refused([source], out, f"{lack}, or its writer left out parts in which all is 0, as zarr 3 does")
    about = archive / "data/action/.zarray"
    about.write_text(json.dumps({**json.loads(about.read_text()), "fill_value": None}))
    refused([archive], out, f"{lack}: get it again")


def test_a_part_that_is_cut_off_is_refused(tmp_path):
    """Blosc takes for the rest of it what memory holds, and raises nothing."""
    archive, out = as_zarr(tmp_path, buffer()), tmp_path / "made"
    part = archive / "data/action/1.0"
    whole = part.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        part.write_bytes(whole[:length])
        for source in (archive, zipped(archive)):
            refused([source], out, "data/action/1.0 is cut off: get it again")


def test_an_archive_of_zarr_3_without_its_zeros_is_refused_and_with_them_read(tmp_path):
    zarr = pytest.importorskip("zarr", minversion="3")
    arrays = {**buffer(), "action": np.zeros((21, 2), np.float32)}
    for complete in (False, True):
        source = tmp_path / f"{complete}.zarr"
        group = zarr.open_group(str(source), mode="w", zarr_format=2)
        for name, array in arrays.items():
            made = group.create_array(
                "meta/episode_ends" if name == "ends" else f"data/{name}", shape=array.shape,
                chunks=(8, *array.shape[1:]), dtype=array.dtype, fill_value=0,
                config={"write_empty_chunks": complete},
            )  # fmt: skip
            made[:] = array
        if complete:
            assert convert([source], tmp_path / "made").steps == 21
        else:
            refused([source], tmp_path / "made", "0 of 3 parts of data/action are there. It is cut off, or")


def test_two_at_once_into_one_folder(tmp_path, monkeypatch):
    """The second says so in one line, and takes nothing from the first."""
    source, out, write = as_npz(tmp_path, **buffer()), tmp_path / "made", converter.write_data_set

    def meanwhile(*args):
        with pytest.raises(UsageError, match=r"another process is making .*made; wait for it"):
            convert([source], out)
        write(*args)

    monkeypatch.setattr(converter, "write_data_set", meanwhile)
    assert convert([source], out).steps == 21
    assert not [*tmp_path.glob(".*")]


def test_a_kill_in_the_middle_leaves_nothing_that_counts(tmp_path):
    source, out = as_npz(tmp_path, **buffer()), tmp_path / "made"
    run_until_killed(
        "from pathlib import Path\n"
        "from toyflow.robot.data.converting import converter\n"
        "written = converter.write_data_set\n"
        "converter.write_data_set = lambda *args: (written(*args), kill())\n"
        f"converter.convert([Path({str(source)!r})], Path({str(out)!r}))\n"
    )
    assert not out.exists() and [*tmp_path.glob(".made.*")]
    assert convert([source], out).steps == 21
    assert not [*tmp_path.glob(".*")]


def test_what_does_not_fit_together_is_refused(tmp_path):
    out, arrays = tmp_path / "made", buffer()

    def attempt(match: str, environment: str = "pusht-state", **changes: np.ndarray | None) -> None:
        changed = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
        refused([as_npz(tmp_path, **changed)], out, match, environment)

    attempt("has no action; found: episode_ends, state", action=None)
    attempt("has no img", "pusht")
    attempt("steps of action 20, state 21", action=arrays["action"][:-1])
    attempt("the last episode ends at 12", ends=arrays["ends"][:2])
    attempt("do not fit together", ends=np.array([7, 7, 21]))
    attempt("state has shape \\(21, 4\\), not \\(steps, 5\\)", state=arrays["state"][:, :4])
    attempt("action has numbers that are not finite", action=np.full((21, 2), np.nan))
    attempt("img has values of 1 to 1, not 0 to 255", "pusht", img=np.ones((21, 8, 8, 3)))
    attempt("img has shape", "pusht", img=np.zeros((21, 8, 9, 3), np.uint8))
    attempt(r"img has shape \(\), not", "pusht", img=np.array(3))
    attempt(r"img has shape \(21, 0, 0, 3\), not", "pusht", img=np.zeros((21, 0, 0, 3)))
    attempt("action has type bool", action=arrays["action"] > 3)
    attempt("episode_ends has type <U1", ends=np.array(["a", "b", "c"]))
    for ends in ([7.0, 12.0, np.nan], [7.0, 12.0, 21.0], [12, 7, 21], []):
        attempt(
            "the ends of episodes, . numbers of type .*, are not whole numbers that rise", ends=np.array(ends)
        )
    attempt("state has numbers that are not finite", state=np.full((21, 5), 1e300))
    attempt("episode_ends is there twice", episode_ends=np.array([10, 21]))
    source = as_npz(tmp_path, **arrays)
    shutil.copy(source, tmp_path / "other.npz")
    refused([source, tmp_path / "other.npz"], out, "other.npz: action is there twice")
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("state", b"none")
    refused([source], out, "state is not an array")


def test_other_units_are_refused(tmp_path):
    out, arrays = tmp_path / "made", buffer()
    turned = np.hstack([arrays["state"][:, :4], np.rad2deg(arrays["state"][:, 4:])])
    for match, changed in (
        ("angles of the state are .* radians", {"state": turned}),
        ("actions are -.*; Push-T has pixels of 0 to 512", {"action": arrays["action"] / 256 - 1}),
        ("positions of the state are .* to 600", {"state": np.where(arrays["state"] > 300, 600, 1)}),
    ):
        refused([as_npz(tmp_path, **{**arrays, **changed})], out, match)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """A file of megabytes may unpack to any size."""
    out, archive = tmp_path / "made", as_zarr(tmp_path, buffer())
    about = archive / "data/state/.zarray"
    about.write_text(json.dumps({**json.loads(about.read_text()), "shape": [10**12, 5]}))
    for source in (archive, zipped(archive)):
        refused([source], out, r"unpacks to 20,000\.0 GB, and this machine has")
    monkeypatch.setattr(replay_buffer, "MEMORY_SHARE", 1e-9)
    refused([as_npz(tmp_path, **buffer())], out, r"unpacks to 0\.0 GB, and this machine has")


class Loaded:
    """Says so where it is unpickled."""

    def __reduce__(self):
        return os._exit, (7,)


def test_pickled_data_are_never_loaded(tmp_path):
    """Each of these would end this process if it were."""
    out, arrays = tmp_path / "made", buffer()
    refused([as_npz(tmp_path, **{**arrays, "state": np.array([Loaded()] * 21, object)})], out, "is pickled")
    bare = tmp_path / "demos.pkl"
    bare.write_bytes(pickle.dumps(Loaded()))
    refused([bare], out, "neither a zarr archive nor an npz file")
    archive = as_zarr(tmp_path, arrays)
    described = json.loads((archive / "data/state/.zarray").read_text())
    for change in (
        {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}], "fill_value": 0},
        {"filters": [{"id": "pickle", "protocol": 5}]},
        {"compressor": {"id": "pickle", "protocol": 5}},
    ):
        (archive / "data/state/.zarray").write_text(json.dumps({**described, **change}))
        for part in (archive / "data/state").glob("[0-9]*"):
            part.write_bytes(pickle.dumps(Loaded()))
        refused([archive], out, "data/state holds pickle, not plain numbers")
        refused([zipped(archive)], out, "data/state holds pickle, not plain numbers")


def test_a_description_that_was_not_checked_is_not_read(tmp_path):
    archive = as_zarr(tmp_path, buffer())
    (archive / "data/state/zarr.json").write_text("{}")
    for source in (archive, zipped(archive)):
        refused([source], tmp_path / "made", "data/state has a zarr.json beside its .zarray; remove one")
    (archive / "data/state/zarr.json").unlink()
    (archive / "data/state/.zarray").write_text("[]")
    refused([archive], tmp_path / "made", "cannot be read, it may be cut off")


def test_what_is_there_stays(tmp_path):
    source, out = as_npz(tmp_path, **buffer()), tmp_path / "made"
    out.mkdir()
    (out / "notes").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        convert([source], out)
    assert (out / "notes").read_text() == "mine"
    with pytest.raises(UsageError, match="unknown environment of Push-T 'aloha'"):
        convert([source], tmp_path / "other", "aloha")
    (tmp_path / ".other.abcdefgh").mkdir()  # of a conversion that was killed
    convert([source], tmp_path / "other")
    assert not [*tmp_path.glob(".other*")]


@pytest.mark.slow
@pytest.mark.skipif(HUMAN is None, reason="TOYFLOW_PUSHT names no folder with demonstrations")
def test_people_s_demonstrations(tmp_path):
    made = convert([Path(HUMAN or "") / "pusht_low_dim.npz"], tmp_path / "made")
    assert (made.episodes, made.steps) == (206, 25650)
    assert not check_data_set("made", made.out).errors
    shutil.rmtree(made.out)
