import gzip
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from toyflow.errors import ToyflowError
from toyflow.toy import mnist
from toyflow.toy.mnist import MD5, load_digits, unpack_mnist


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path))
    return tmp_path / "MNIST" / "raw"


def test_it_is_mnist(cache):
    train, test = load_digits(train=True), load_digits(train=False)
    assert train.images.shape == (60_000, 28, 28) and test.images.shape == (10_000, 28, 28)
    assert Counter(test.labels.tolist())[1] == 1135
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert train.images.float().mean() / 255 == pytest.approx(mnist.MEAN, abs=1e-4)
    assert train.images.float().std() / 255 == pytest.approx(mnist.STD, abs=1e-4)
    assert sorted(p.name for p in cache.iterdir() if not p.name.startswith(".")) == sorted(MD5)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_cache_is_noticed_and_rebuilt(cache, damage):
    unpack_mnist()
    path = cache / "t10k-labels-idx1-ubyte"
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    elif damage == "truncate":
        path.write_bytes(content[:5000])
    else:
        path.unlink()
    unpack_mnist()
    assert path.read_bytes() == content


def test_a_whole_cache_is_read_without_writing(cache):
    unpack_mnist()
    before = {p: p.stat().st_mtime_ns for p in cache.iterdir()}
    load_digits(train=False)
    assert {p: p.stat().st_mtime_ns for p in cache.iterdir()} == before


def test_processes_that_start_at_once_share_the_work(cache):
    code = "from toyflow.toy.mnist import load_digits; assert len(load_digits(False).labels) == 10_000"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    assert not [p for p in cache.iterdir() if p.name.startswith(".t")], "no temporary file is left"


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path / "file"))
    with pytest.raises(ToyflowError, match="Set TOYFLOW_CACHE to a folder"):
        unpack_mnist()


def test_a_damaged_package_is_one_clear_error(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "files", lambda package: tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"not MNIST"))
    with pytest.raises(ToyflowError, match="wrong checksum; reinstall"):
        unpack_mnist()


def test_the_licence_note_is_in_the_package():
    assert (
        "CC BY-SA" in (note := (files("toyflow.toy") / "data" / "LICENSE-MNIST.md").read_text())
        or "ShareAlike" in note
    )
