"""Films of one initial state in several decodings."""

from toyflow.report.explore import films
from toyflow.report.explore.films import find_films


def film(folder, key, name, size=10):
    path = folder / "rollouts" / key / "videos" / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def test_scenes_are_films_of_one_policy_and_state(tmp_path):
    for name in ("K10-failure", "K1-success", "K2-M8-success"):
        film(tmp_path, "abcdef0123", f"libero_spatial-task-03-state-000-{name}")
    film(tmp_path, "abcdef0123", "libero_spatial-task-03-state-001-K1-success")  # alone
    film(tmp_path, "fedcba9876", "libero_spatial-task-03-state-001-K10-success")  # of another policy
    film(tmp_path, "abcdef0123", "notes")
    found = find_films({"robots": tmp_path})
    [scene] = found.scenes
    assert scene.name == "robots, policy abcdef: libero_spatial, task 3, state 0"
    assert [(each.decoding, each.solved) for each in scene.films] == [
        ("K = 1", True), ("K = 2, M = 8", True), ("K = 10", False)
    ]  # fmt: skip
    assert scene.films[0].uri.startswith("data:video/mp4;base64,")


def test_scenes_for_which_there_is_no_room_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(films, "MOST_BYTES", 60)
    for state, size in ((0, 100), (1, 20), (2, 20)):
        for name in ("K1-success", "K10-success"):
            film(tmp_path, "abcdef", f"points-task-00-state-{state:03d}-{name}", size)
    found = find_films({"robots": tmp_path})
    assert [scene.name[-7:] for scene in found.scenes] == ["state 1"] and found.left_out == 2


def test_a_folder_without_films_has_no_scenes(tmp_path):
    assert find_films({"robots": tmp_path}).scenes == []
