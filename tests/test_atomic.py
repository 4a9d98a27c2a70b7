import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import JSON, parsed

from toyflow.atomic import (
    MANIFEST,
    SEAL,
    DamagedError,
    atomic_file,
    atomic_folder,
    manifest_of,
    read_json,
    read_sealed,
    remove_stale,
    verified,
    verify_all,
    write_sealed,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_what_is_made_is_for_all_whom_the_umask_lets(tmp_path):
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "a.txt").write_text("a")
        (folder / "a.txt").chmod(0o600)  # as safetensors leaves its own
    with atomic_file(tmp_path / "b.txt") as temporary:
        temporary.write_text("b")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain.txt").write_text("")
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "plain").stat().st_mode
    for path in (tmp_path / "folder" / "a.txt", tmp_path / "b.txt"):
        assert path.stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_a_failed_replacement_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), atomic_file(path):
        raise OSError("disk full")
    assert path.read_text() == "old"


def test_a_folder_appears_whole_with_its_manifest(tmp_path):
    with atomic_folder(tmp_path / "cell") as folder:
        (folder / "x.csv").write_text("1")
        assert not (tmp_path / "cell").exists()
    assert list(manifest_of(tmp_path / "cell")) == ["x.csv"]
    assert [p.name for p in tmp_path.iterdir()] == ["cell"]


def test_of_two_writers_the_first_stays(tmp_path):
    with atomic_folder(tmp_path / "cell") as late:
        (late / "x").write_text("late")
        with atomic_folder(tmp_path / "cell") as early:
            (early / "x").write_text("early")
    assert verified(tmp_path / "cell", "x").read_text() == "early"
    assert [p.name for p in tmp_path.iterdir()] == ["cell"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "manifest", "unlisted", "entry"])
def test_damage_is_noticed_and_named(tmp_path, damage):
    with atomic_folder(tmp_path / "cell") as folder:
        (folder / "x").write_text("content")
        (folder / "y").write_text("content")
    cell = tmp_path / "cell"
    if damage == "flip":
        (cell / "x").write_text("cOntent")
    elif damage == "truncate":
        (cell / "x").write_text("conte")
    elif damage == "delete":
        (cell / "x").unlink()
    elif damage == "manifest":
        (cell / MANIFEST).write_text("{")
    elif damage == "entry":
        text = (cell / MANIFEST).read_text()
        (cell / MANIFEST).write_text(text.replace('"y"', '"Y"'))
    else:
        (cell / MANIFEST).write_text("{}")
    with pytest.raises(DamagedError, match=str(cell)):
        verified(cell, "x")


def test_json_that_is_not_utf8_is_damage(tmp_path):
    (tmp_path / "c.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DamagedError, match=r"c\.json is damaged"):
        read_json(tmp_path / "c.json")


@given(st.dictionaries(st.text(max_size=5).filter(lambda name: name != SEAL), JSON, max_size=4), st.data())
def test_a_sealed_file_is_read_as_written_or_not_at_all(tmp_path_factory, content, data):
    path = tmp_path_factory.getbasetemp() / "sealed.json"
    write_sealed(path, content)
    written = json.loads(json.dumps(content))
    assert json.dumps(read_sealed(path)) == json.dumps(written)
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    back = parsed(lambda: read_sealed(path), DamagedError)
    assert back is None or json.dumps(back) == json.dumps(written), "blanks may differ, and nothing else"


def test_every_file_of_a_folder_is_verified(tmp_path):
    with atomic_folder(tmp_path / "data") as folder:
        (folder / "x").write_text("content")
        (folder / "y").write_text("content")
    verify_all(tmp_path / "data", "make it again")
    (tmp_path / "data" / "y").write_text("cOntent")
    with pytest.raises(DamagedError, match=r"y is damaged") as caught:
        verify_all(tmp_path / "data", "make it again")
    assert caught.value.hint == "make it again"


def test_a_full_disk_says_what_was_being_written(tmp_path):
    with pytest.raises(OSError, match="space") as caught, atomic_file(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "no space")
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / ".half").mkdir()
    (tmp_path / ".half" / "x").touch()
    (tmp_path / ".file").touch()
    remove_stale([*tmp_path.glob(".*"), tmp_path / ".gone"])
    assert list(tmp_path.iterdir()) == []


OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def on_disk(monkeypatch):
    """What was flushed to disk and renamed, in this order: ("flush", path) and ("rename", path)."""
    done = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def flushed(handle):
        done.append(("flush", (OPEN_FILES / str(handle)).readlink()))
        fsync(handle)

    def renamed(move):
        def moved(path, to):
            done.append(("rename", Path(to)))
            return move(path, to)

        return moved

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "rename", renamed(rename))
    monkeypatch.setattr(Path, "replace", renamed(replace))
    return done


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="names of open files are read from /proc")
def test_a_file_survives_a_power_cut(tmp_path, on_disk):
    """Its content is on disk before it has its name, and its name before anybody is told that it is there."""
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert on_disk == [("flush", temporary), ("rename", tmp_path / "a.txt"), ("flush", tmp_path)]


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="names of open files are read from /proc")
def test_a_folder_survives_a_power_cut(tmp_path, on_disk):
    with atomic_folder(tmp_path / "cell") as temporary:
        (temporary / "part").mkdir()
        (temporary / "part" / "x.csv").write_text("1")
    names = ["part/x.csv", MANIFEST, "part", "."]
    assert on_disk[-2:] == [("rename", tmp_path / "cell"), ("flush", tmp_path)]
    assert {what for what, _ in on_disk[:-2]} == {"flush"}
    assert {path for _, path in on_disk[:-2]} == {temporary / name for name in names}


@pytest.fixture
def refuse_folders(monkeypatch):
    """Make `os.open` or `os.fsync` fail for folders."""
    calls = {"open": os.open, "fsync": os.fsync}

    def refuse(call: str, number: int) -> None:
        def refused(of, *others):
            folder = Path(of) if call == "open" else OPEN_FILES / str(of)
            if folder.is_dir():
                raise OSError(number, os.strerror(number))
            return calls[call](of, *others)

        monkeypatch.setattr(os, call, refused)

    return refuse


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="names of open files are read from /proc")
@pytest.mark.parametrize("call", ["open", "fsync"])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_cannot_flush_folders_is_put_up_with(tmp_path, refuse_folders, call, number):
    refuse_folders(call, number)
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="names of open files are read from /proc")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_under_a_folder_is_an_error(tmp_path, refuse_folders, number):
    refuse_folders("fsync", number)
    with pytest.raises(OSError) as caught, atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert caught.value.errno == number
