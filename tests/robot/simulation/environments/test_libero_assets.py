"""Where assets are looked for, and how they get there: whole, or not at all."""

import errno
import hashlib
import io
import tarfile

import pytest

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.simulation.environments.libero import assets, package


@pytest.fixture(autouse=True)
def no_package(fresh_home, monkeypatch):
    monkeypatch.setattr(package, "folder", lambda: fresh_home / "site-packages" / "libero")


def tree(folder):
    """A tree of assets, as far as anybody looks before MuJoCo does."""
    for name in assets.FOLDERS:
        (folder / name).mkdir(parents=True)
        (folder / name / "thing.xml").write_text(name)
    return folder


def archive(path, source, inside="."):
    with tarfile.open(path, "w:xz") as tar:
        tar.add(source, inside)
    return path


def leftovers(home):
    """Files in LIBERO's cache but the lock."""
    return [path for path in (home / ".cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


class TestFind:
    def test_nothing_is_one_line_with_the_command(self, fresh_home):
        with pytest.raises(UsageError, match=r"assets are missing .*`toyflow robot-setup libero` gets them"):
            assets.find()

    def test_an_empty_cache_is_nothing(self, fresh_home):
        assets.own_folder().mkdir(parents=True)
        with pytest.raises(UsageError, match="missing"):
            assets.find()

    def test_a_download_that_broke_off_is_nothing(self, fresh_home):
        tree(assets.own_folder())
        assert assets.find() == assets.own_folder()
        (assets.own_folder() / ".cache" / "huggingface").mkdir(parents=True)
        (assets.own_folder() / ".cache" / "huggingface" / "thing.incomplete").touch()
        with pytest.raises(UsageError, match="missing"):
            assets.find()

    def test_the_users_choice_goes_before_all(self, fresh_home, monkeypatch):
        tree(assets.own_folder())
        monkeypatch.setenv("LIBERO_ASSETS", str(tree(fresh_home / "chosen")))
        assert assets.find() == fresh_home / "chosen"
        monkeypatch.setenv("LIBERO_ASSETS", str(fresh_home))
        with pytest.raises(UsageError, match="not a complete tree of assets, which has articulated_objects"):
            assets.find()


class TestKind:
    @pytest.fixture
    def three_files(self, fresh_home, monkeypatch):
        """A tree of which three files are known."""
        folder, names = tree(fresh_home / "assets"), [f"{name}/thing.xml" for name in assets.FOLDERS[:3]]
        known = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
        monkeypatch.setattr(assets, "checksums", lambda: known)
        return folder

    def test_all_of_liberos_own_are_whole(self, three_files):
        (three_files / "textures" / "of_another_benchmark.png").touch()
        assert assets.kind(three_files) == "whole"

    def test_others_and_missing_ones_are_counted(self, three_files):
        (three_files / "scenes" / "thing.xml").write_text("replaced")
        assert assets.kind(three_files) == "1-of-3-replaced"
        (three_files / "stable_hope_objects" / "thing.xml").unlink()
        assert assets.kind(three_files) == "2-of-3-replaced"

    def test_every_file_of_the_suites_is_known(self):
        known = assets.checksums()
        assert len(known) == 371 and {name.split("/")[0] for name in known} >= {*assets.FOLDERS}
        assert all(len(digest) == 64 for digest in known.values())


class TestArchive:
    @pytest.mark.parametrize("inside", [".", "assets", "LIBERO/libero/libero/assets"])
    def test_is_unpacked_wherever_the_assets_lie_in_it(self, fresh_home, inside):
        folder = assets.from_archive(archive(fresh_home / "a.tar.xz", tree(fresh_home / "source"), inside))
        assert folder == assets.find() == assets.own_folder()
        assert (folder / "scenes" / "thing.xml").read_text() == "scenes"

    def test_may_be_a_folder(self, fresh_home):
        source = tree(fresh_home / "source")
        assets.from_archive(source)
        assert assets.find() == assets.own_folder() and assets.is_complete(source)

    def test_replaces_what_a_failed_download_left(self, fresh_home):
        (assets.own_folder() / "scenes").mkdir(parents=True)
        assets.from_archive(tree(fresh_home / "source"))
        assert assets.find() == assets.own_folder()

    def test_replaces_what_a_killed_process_left(self, fresh_home):
        stale = assets.own_folder().parent / ".assets.partial" / "scenes"
        stale.mkdir(parents=True)
        (stale / "half.xml").touch()
        assets.from_archive(tree(fresh_home / "source"))
        assert not (assets.own_folder() / "scenes" / "half.xml").exists() and not stale.exists()

    def test_that_is_missing_is_named(self, fresh_home):
        with pytest.raises(UsageError, match="there is no"):
            assets.from_archive(fresh_home / "nothing.tar")

    def test_cut_short_leaves_nothing(self, fresh_home):
        whole = archive(fresh_home / "a.tar.xz", tree(fresh_home / "source"))
        whole.write_bytes(whole.read_bytes()[:-100])
        with pytest.raises(UsageError, match=r"a\.tar\.xz cannot be unpacked") as caught:
            assets.from_archive(whole)
        assert "\n" not in str(caught.value) and not leftovers(fresh_home)

    def test_of_something_else_leaves_nothing(self, fresh_home):
        (fresh_home / "source").mkdir()
        with pytest.raises(UsageError, match="does not hold LIBERO's assets"):
            assets.from_archive(archive(fresh_home / "a.tar.xz", fresh_home / "source"))
        (fresh_home / "text.tar").write_text("hello")
        with pytest.raises(UsageError, match=r"text\.tar cannot be unpacked"):
            assets.from_archive(fresh_home / "text.tar")
        assert not leftovers(fresh_home)

    @pytest.mark.parametrize("kind", ["path", "link"])
    def test_with_a_path_outside_leaves_nothing(self, fresh_home, kind):
        evil = archive(fresh_home / "a.tar", tree(fresh_home / "source"))
        with tarfile.open(evil, "w") as tar:
            tar.add(fresh_home / "source", ".")
            entry = tarfile.TarInfo("../../../escaped" if kind == "path" else "scenes/link")
            if kind == "link":
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
            tar.addfile(entry, io.BytesIO())
        with pytest.raises(UsageError, match="cannot be unpacked"):
            assets.from_archive(evil)
        assert not leftovers(fresh_home) and not (fresh_home / "escaped").exists()

    def test_on_a_full_disk_leaves_nothing(self, fresh_home, monkeypatch):
        def extractall(tar, path, filter):
            (path / "half").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)
        with pytest.raises(ToyflowError, match=r"cannot be written to .*No space left on device"):
            assets.from_archive(archive(fresh_home / "a.tar.xz", tree(fresh_home / "source")))
        assert not leftovers(fresh_home)


class TestHub:
    @pytest.fixture
    def hub(self, monkeypatch):
        """Stands for the hub's client: `answer` is what it does with a folder."""
        hub_client = pytest.importorskip("huggingface_hub")

        def set_answer(answer):
            def snapshot_download(name, repo_type, local_dir):
                assert (name, repo_type) == (assets.HUB, "dataset")
                answer(local_dir)

            monkeypatch.setattr(hub_client, "snapshot_download", snapshot_download)

        return set_answer

    def test_is_downloaded(self, fresh_home, hub):
        def answer(folder):
            tree(folder)
            (folder / ".cache").mkdir()

        hub(answer)
        assert assets.from_hub() == assets.find()
        assert not (assets.own_folder() / ".cache").exists()

    def test_a_failed_download_does_not_count_as_assets(self, fresh_home, hub):
        def answer(folder):
            (folder / "scenes").mkdir()
            (folder / "scenes" / "half.xml").touch()
            raise ConnectionError("no route\nto host")

        hub(answer)
        with pytest.raises(ToyflowError, match="libero-assets cannot be downloaded: no route") as caught:
            assets.from_hub()
        assert "\n" not in str(caught.value)
        assert not leftovers(fresh_home) and not assets.own_folder().exists()

    def test_half_a_data_set_does_not_count_as_assets(self, fresh_home, hub):
        hub(lambda folder: (folder / "scenes").mkdir())
        with pytest.raises(ToyflowError, match="not complete"):
            assets.from_hub()
        assert not assets.own_folder().exists()
