import pickle
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import calculate_md5

from toyflow.errors import ToyflowError
from toyflow.toy.images import IMAGE_SETS
from toyflow.toy.mnist import load_digits

FASHION, CIFAR = IMAGE_SETS["fashion-mnist"], IMAGE_SETS["cifar-10"]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_address(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)


def write_idx(path: Path, values: np.ndarray) -> None:
    """In the format of the MNIST files."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes())


def write_fashion(folder: Path, side: int = 28) -> np.ndarray:
    """30 random training images and 20 test images, the classes in turn; returns those for training."""
    random, raw = np.random.default_rng(0), folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    train, test = (random.integers(256, size=(n, side, side)) for n in (30, 20))
    for part, pixels in (("train", train), ("t10k", test)):
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(len(pixels)) % 10)
    return train


def write_cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """10 random images per batch, and their checksums in place of torchvision's; returns all for training."""
    random, base = np.random.default_rng(0), folder / CIFAR.folder
    base.mkdir(parents=True)

    def write(name: str, content: dict[str, object]) -> str:
        (base / name).write_bytes(pickle.dumps(content))
        return calculate_md5(base / name)

    batches = [random.integers(256, size=(10, 3072), dtype=np.uint8) for _ in range(6)]
    names = [*(name for name, _ in CIFAR10.train_list), "test_batch"]
    sums = [
        [name, write(name, {"data": data, "labels": [*range(10)]})]
        for name, data in zip(names, batches, strict=True)
    ]
    meta = write("batches.meta", {"label_names": [str(label) for label in range(10)]})
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": meta})
    return np.concatenate(batches[:5]).reshape(-1, 3, 32, 32)


def test_mnist_is_the_embedded_one_and_has_the_moments_of_the_noise():
    mnist = IMAGE_SETS["mnist"]
    mnist.fetch()
    train = mnist.load(train=True)
    assert torch.equal(train.pixels[:, 0], load_digits(train=True).images)
    pixels = mnist.normalised(train.pixels[:20_000])
    assert pixels.shape[1:] == mnist.shape == (1, 28, 28)
    assert pixels.mean().item() == pytest.approx(0, abs=0.01)
    assert pixels.std().item() == pytest.approx(1, abs=0.01)


def test_fashion_mnist_on_disk_is_read_without_network(tmp_path, offline):
    written = write_fashion(tmp_path)
    FASHION.fetch(str(tmp_path))
    train, test = (FASHION.load(part, str(tmp_path)) for part in (True, False))
    assert train.pixels.shape == (30, 1, 28, 28) and test.pixels.shape == (20, 1, 28, 28)
    assert np.array_equal(train.pixels[:, 0].numpy(), written)
    assert train.labels[:11].tolist() == [*range(10), 0]


def test_cifar_10_on_disk_is_read_without_network_channels_first(tmp_path, offline, monkeypatch):
    written = write_cifar(tmp_path, monkeypatch)
    CIFAR.fetch(str(tmp_path))
    train = CIFAR.load(True, str(tmp_path))
    assert np.array_equal(train.pixels.numpy(), written) and train.pixels.shape[1:] == CIFAR.shape
    assert train.labels.tolist() == [*range(10)] * 5
    grey = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
    expected = [(128 / 255 - mean) / std for mean, std in zip(CIFAR.mean, CIFAR.std, strict=True)]
    assert CIFAR.normalised(grey)[0, :, 5, 7].tolist() == pytest.approx(expected, abs=1e-5)


def test_without_a_folder_of_ones_own_the_cache_is_where_it_looks(tmp_path, offline, monkeypatch):
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path))
    write_fashion(tmp_path)
    FASHION.fetch()
    assert len(FASHION.load(train=False).labels) == 20


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar-10"])
def test_absent_and_offline_is_one_clear_line_and_leaves_nothing(tmp_path, offline, name):
    before = socket.getdefaulttimeout()
    with pytest.raises(ToyflowError) as error:
        IMAGE_SETS[name].fetch(str(tmp_path))
    line = str(error.value)
    assert "\n" not in line and "Name or service not known" in line
    assert f"{IMAGE_SETS[name].title} is not in {tmp_path} and cannot be downloaded" in line
    assert f"put {IMAGE_SETS[name].folder} there" in line and "--set dataset=mnist" in line
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []
    assert socket.getdefaulttimeout() == before


def test_a_download_that_breaks_off_leaves_nothing_that_looks_whole(tmp_path):
    def half(root: str, download: bool) -> None:
        write_fashion(Path(root))
        raise ConnectionResetError("the server went away")

    broken = replace(FASHION, torchvision=half)
    with pytest.raises(ToyflowError, match="the server went away"):
        broken.fetch(str(tmp_path))
    assert not (tmp_path / FASHION.folder).exists()


def test_a_download_is_made_once_and_becomes_the_folder(tmp_path):
    downloads = []

    def served(root: str, train: bool = True, download: bool = False) -> object:
        if download:
            downloads.append(root)
            write_fashion(Path(root))
        return FASHION.torchvision(root, train=train)

    whole = replace(FASHION, torchvision=served)
    for _ in range(2):
        whole.fetch(str(tmp_path / "new"))
    assert len(downloads) == 1 and downloads[0] != str(tmp_path / "new")
    assert len(whole.load(train=True, data_dir=str(tmp_path / "new")).labels) == 30


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToyflowError, match=r"CIFAR-10 is not in .*file/data and cannot be downloaded"):
        CIFAR.fetch(str(tmp_path / "file" / "data"))


@pytest.mark.parametrize("damage", ["truncate", "delete", "wrong shape"])
def test_a_damaged_data_set_is_one_clear_line(tmp_path, offline, damage):
    write_fashion(tmp_path, side=20 if damage == "wrong shape" else 28)
    path = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "delete":
        path.unlink()
    with pytest.raises(ToyflowError, match=r"incomplete or damaged \(.*remove that folder") as error:
        FASHION.fetch(str(tmp_path))
    assert "\n" not in str(error.value)
