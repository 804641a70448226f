"""torchvision's named sets, from tiny files in their own formats; nothing is fetched."""

from __future__ import annotations

import inspect
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from pictures import encoded, labels_of

from ganlab.core.errors import GanlabError
from ganlab.data.prepare import prepare
from ganlab.data.torchvision import TorchvisionDataset


@pytest.fixture
def vision() -> ModuleType:
    try:
        import torchvision
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return torchvision


@pytest.fixture
def mnist(vision: ModuleType, tmp_path: Path) -> Path:
    """Five training and three test images in MNIST's IDX files; image i is filled with i, its label is 9 - i."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 5), ("t10k", 3)):
        images = b"".join(bytes([index]) * 28 * 28 for index in range(count))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + images)
        labels = bytes(9 - index for index in range(count))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)
    return tmp_path


def test_a_set_with_a_train_option(mnist: Path) -> None:
    train = TorchvisionDataset("MNIST", path=str(mnist))
    assert len(train) == 5
    assert [int(np.asarray(train.image(index))[0, 0]) for index in range(5)] == [0, 1, 2, 3, 4]
    assert labels_of(train).tolist() == [9, 8, 7, 6, 5]
    assert labels_of(train).dtype == np.int64
    assert train.num_classes == 10
    assert train.class_names[9] == "9 - nine"
    assert train.name(3) == "MNIST train 3"
    assert labels_of(TorchvisionDataset("MNIST", split="test", path=str(mnist))).tolist() == [9, 8, 7]


def test_a_set_with_a_split_option(vision: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "dtd" / "dtd"
    for part, level in (("train", 1), ("val", 2), ("test", 3)):
        (folder / "labels").mkdir(parents=True, exist_ok=True)
        (folder / "labels" / f"{part}1.txt").write_text(f"dotted/{part}.png\nwoven/{part}.png\n")
        for name in ("dotted", "woven"):
            (folder / "images" / name).mkdir(parents=True, exist_ok=True)
            (folder / "images" / name / f"{part}.png").write_bytes(encoded(level))
    dataset = TorchvisionDataset("DTD", split="val", path=str(tmp_path))
    assert dataset.class_names == ("dotted", "woven")
    assert labels_of(dataset).tolist() == [0, 1]
    assert np.asarray(dataset.image(0)).max() == 2
    with pytest.raises(ValueError, match="split"):
        TorchvisionDataset("DTD", split="validation", path=str(tmp_path))


def test_a_set_without_splits(vision: ModuleType, tmp_path: Path) -> None:
    for name in ("Forest", "River"):
        (tmp_path / "eurosat" / "2750" / name).mkdir(parents=True)
        (tmp_path / "eurosat" / "2750" / name / "1.png").write_bytes(encoded(1))
    dataset = TorchvisionDataset("EuroSAT", path=str(tmp_path))
    assert (dataset.class_names, labels_of(dataset).tolist()) == (("Forest", "River"), [0, 1])
    with pytest.raises(ValueError, match="EuroSAT is not split"):
        TorchvisionDataset("EuroSAT", split="test", path=str(tmp_path))


def test_a_set_without_labels_of_its_own_is_unlabelled_and_can_be_prepared(vision: ModuleType) -> None:
    dataset = TorchvisionDataset("FakeData")
    dataset._set.size = 4
    assert dataset.labels is None
    images = prepare(dataset, image_size=(16, 16), image_channels=3, memory_budget_mib=10)
    assert images.pixels.shape == (4, 3, 16, 16)


def test_fingerprints_tell_splits_and_contents_apart(mnist: Path) -> None:
    def fingerprint(split: str = "train") -> str:
        return TorchvisionDataset("MNIST", split=split, path=str(mnist)).fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    assert fingerprint("test") != before
    file = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    assert fingerprint() != before


def test_nothing_is_fetched_unless_it_is_asked_for(vision: ModuleType, tmp_path: Path) -> None:
    assert inspect.signature(TorchvisionDataset).parameters["download"].default is False
    with pytest.raises(GanlabError, match=r"CIFAR10 cannot be read from .*data\.path .*data\.download=true"):
        TorchvisionDataset(path=str(tmp_path))


def test_files_are_looked_for_in_the_cache(vision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path))
    with pytest.raises(GanlabError, match=str(tmp_path / "torchvision")):
        TorchvisionDataset()


def test_an_unknown_set_is_refused_with_the_nearest(vision: ModuleType) -> None:
    with pytest.raises(GanlabError, match=r"no data set 'Cifar10'\. Did you mean 'CIFAR10"):
        TorchvisionDataset("Cifar10")
    with pytest.raises(GanlabError, match="no data set 'wrap_dataset_for_transforms_v2'"):
        TorchvisionDataset("wrap_dataset_for_transforms_v2")


def test_an_unknown_split_is_refused(mnist: Path) -> None:
    with pytest.raises(ValueError, match="split of MNIST must be train or test, got 'valid'"):
        TorchvisionDataset("MNIST", split="valid", path=str(mnist))


def test_a_set_that_cannot_be_fetched_says_so(vision: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match="cannot download ImageNet"):
        TorchvisionDataset("ImageNet", path=str(tmp_path), download=True)


def test_a_missing_torchvision_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(GanlabError, match=r'needs torchvision.*pip install "ganlab\[vision\]"'):
        TorchvisionDataset()


def test_a_torchvision_that_does_not_fit_torch_is_reported_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with pytest.raises(GanlabError, match=r'nms does not exist.*pip install "ganlab\[vision\]"'):
        TorchvisionDataset()
