"""Every metric that torch-fidelity has, both whole codes on the same files: the embedded digits, which are real
handwriting, half of them as they are and half of them shifted and blurred, through one extractor in both codes."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import fidelity as registered
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab import cli
from ganlab.contracts.metric import Context, Stream
from ganlab.data.digits import Digits
from ganlab.evaluation import scores
from ganlab.metrics.ppl import PPL

FEATURES, CLASSES = 48, 10


@pytest.fixture
def fidelity() -> Any:
    """torch-fidelity; what is registered in it is forgotten again."""
    pytest.importorskip("torch_fidelity")
    registry = importlib.import_module("torch_fidelity.registry")
    kept = {name: dict(value) for name, value in vars(registry).items() if name.endswith("_REGISTRY")}
    yield importlib.import_module("torch_fidelity")
    for name, value in kept.items():
        getattr(registry, name).clear()
        getattr(registry, name).update(value)


def write(folder: Path, images: Tensor) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:04}.png")
    return folder


def digits(start: int, count: int) -> Tensor:
    data = Digits()
    rows = np.random.RandomState(0).permutation(len(data))[start : start + count]
    return torch.stack([torch.as_tensor(np.asarray(data.image(int(i)))).view(1, 8, 8) for i in rows]).to(torch.uint8)


def spoiled(images: Tensor) -> Tensor:
    """Every third one shifted by a pixel, all of them blurred a little: a generator that is nearly right."""
    images = images.float()
    images[::3] = images[::3].roll(1, -1)
    blurred = nn.functional.avg_pool2d(nn.functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return (0.7 * images + 0.3 * blurred).round().to(torch.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Generated, real: 420 and 560 digits, none in both."""
    where = tmp_path_factory.mktemp("digits")
    return write(where / "fake", spoiled(digits(0, 420))), write(where / "real", digits(420, 560))


class Small(nn.Module):
    """Features and logits of (B, 3, 8, 8) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 12, 3, 2, 1), nn.Flatten())
        self.classes = nn.Linear(FEATURES, CLASSES)
        nn.init.normal_(self.classes.weight, std=2.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = 3 * self.body(x)
        return features, self.classes(features)


@pytest.fixture
def small(tmp_path: Path, fidelity: Any) -> Path:
    """The TorchScript file of a small network, which torch-fidelity knows as ``small``."""
    path = tmp_path / "small.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own TorchScript deprecated
        torch.jit.save(torch.jit.script(Small()), path)
    registered.register("small", Small)
    return path


OPTIONS = {"isc": True, "fid": True, "kid": True, "prc": True, "cuda": False, "cache": False, "verbose": False}
METRICS = "metrics=fid,is,kid,prdc"
SAME = ("protocol=mmgeneration", "reference=train", "samples=0", "prdc.nearest=3", "prdc.inclusive=true")


def theirs(fidelity: Any, folders: tuple[Path, Path], **options: Any) -> dict[str, float]:
    # no worker processes for a few hundred images
    chosen = {**OPTIONS, "save_cpu_ram": True, **options}
    found: dict[str, float] = fidelity.calculate_metrics(input1=str(folders[0]), input2=str(folders[1]), **chosen)
    return found


def ours(folders: tuple[Path, Path], out: Path, *words: str) -> dict[str, Any]:
    data = ("data=folder", f"data.path={folders[1]}", "data.image_channels=3", f"out={out}")
    assert cli.dispatch(["evaluate", f"images={folders[0]}", METRICS, *SAME, *data, *words]) == 0
    found: dict[str, Any] = {name: value["value"] for name, value in scores.read(out)[-1]["values"].items()}
    return found


NAMES = {
    "is": "inception_score_mean",
    "is_std": "inception_score_std",
    "kid": "kernel_inception_distance_mean",
    "kid_std": "kernel_inception_distance_std",
    "precision": "precision",
    "recall": "recall",
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("subsets", "size", "splits"), [(30, 100, 10), pytest.param(3, 400, 7, marks=pytest.mark.slow)]
)
def test_real_digits_score_as_with_torch_fidelity(
    subsets: int, size: int, splits: int, fidelity: Any, small: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """Through one small network. Both codes deal images to splits and draw subsets in the same order."""
    expected = theirs(
        fidelity, folders, feature_extractor="small", kid_subsets=subsets, kid_subset_size=size, isc_splits=splits
    )
    kid = (f"kid.subsets={subsets}", f"kid.subset_size={size}", f"is.splits={splits}")
    found = ours(folders, tmp_path, "features=file", f"features.path={small}", *kid)
    # a score that is 0 or 1 would be equal for the wrong reasons
    assert 0.05 < expected["precision"] < 0.99
    assert 0.05 < expected["recall"] < 0.99
    assert expected["frechet_inception_distance"] > 0.3
    assert_close(found["fid"], expected["frechet_inception_distance"], rtol=2e-6, atol=0)
    for name, key in NAMES.items():
        assert_close(found[name], expected[key], rtol=2e-5, atol=1e-7, msg=f"{name}: {{}}".format)


@pytest.mark.slow
def test_real_digits_score_as_with_torch_fidelity_through_inception(
    fidelity: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """2,048 dimensions, the resize of TensorFlow, fewer images than dimensions; the weights are random, since the
    published ones need a network connection, and scaled so that every layer's output has variance 1."""
    fake, real = (torch.stack(read(folder)) for folder in folders)
    few = write(tmp_path / "fake", fake[:12]), write(tmp_path / "real", real[:14])
    weights = tmp_path / "weights.pth"
    torch.save(registered.inception_weights(real[40:44].expand(-1, 3, -1, -1)), weights)
    options = {"feature_extractor": "inception-v3-compat", "feature_extractor_weights_path": str(weights)}
    expected = theirs(fidelity, few, kid_subsets=4, kid_subset_size=9, isc_splits=3, **options)
    chosen = ("features=inception", f"features.path={weights}", "kid.subsets=4", "kid.subset_size=9", "is.splits=3")
    found = ours(few, tmp_path, *chosen, "fid.blocks=1")
    assert expected["frechet_inception_distance"] > 10
    assert_close(found["fid"], expected["frechet_inception_distance"], rtol=0, atol=1e-3)
    for name, key in NAMES.items():
        assert_close(found[name], expected[key], rtol=1e-4, atol=1e-6, msg=f"{name}: {{}}".format)


def read(folder: Path) -> list[Tensor]:
    return [torch.from_numpy(np.asarray(Image.open(path)).copy())[None] for path in sorted(folder.iterdir())]


class Space(nn.Module):
    """Images (B, 3, 16, 16) of a w that is z itself; bent, so that its path length differs from place to place."""

    num_classes = 0

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(6, 24, generator=generator).double() / 2)
        self.second = nn.Parameter(torch.randn(24, 768, generator=generator).double() / 5)

    def mapping(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z

    def styles(self, w: Tensor) -> Tensor:
        return w[:, None]

    def synthesis(self, ws: Tensor, noise: str = "random") -> Tensor:
        return torch.tanh((ws[:, 0] @ self.first).sin() @ self.second).view(-1, 3, 16, 16)

    def forward(self, z: Tensor) -> Tensor:
        return self.synthesis(self.styles(z.to(self.first)))


def pixels(fidelity: Any) -> None:
    contract = importlib.import_module("torch_fidelity.sample_similarity_base")

    class Pixels(contract.SampleSimilarityBase):  # type: ignore[misc, name-defined]
        def __init__(self, name: str, **options: Any) -> None:
            super().__init__(name)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return (x - y).square().flatten(1).mean(1) / 127.5**2

    fidelity.register_sample_similarity("pixels", Pixels)


def lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity's LPIPS with random weights: the published ones are downloaded."""
    module = importlib.import_module("torch_fidelity.sample_similarity_lpips")
    vgg = importlib.import_module("torchvision.models.vgg")

    def network() -> Any:
        torch.manual_seed(0)
        whole = nn.Module()
        whole.features = vgg.make_layers(vgg.cfgs["D"], batch_norm=False)
        return whole

    channels = (64, 128, 256, 512, 512)
    drawn = torch.Generator().manual_seed(1)
    weights = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=drawn) for i, c in enumerate(channels)}
    monkeypatch.setattr(module, "torchvision_load_pretrained_vgg16", network)
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *a, **o: weights)


def percentile(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity names an option of numpy as numpy did before 2.4."""
    original: Callable[..., Any] = np.percentile

    def renamed(values: Any, q: float, interpolation: str = "linear", **options: Any) -> Any:
        return original(values, q, method=interpolation, **options)

    monkeypatch.setattr(np, "percentile", renamed)


@pytest.mark.parametrize("distance", ["pixels", "lpips"])
def test_path_length_is_torch_fidelitys(distance: str, fidelity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Along lines in w from t = 0, with the same endpoints; torch-fidelity is given the w space for its z."""
    percentile(monkeypatch)
    pixels(fidelity)
    if distance == "lpips":
        lpips(monkeypatch)
    generator, count, epsilon = Space(), 120, 1e-2

    class Bytes(nn.Module):
        """Images in [0, 255], as torch-fidelity's similarities take them, not rounded."""

        def forward(self, z: Tensor) -> Tensor:
            return (generator(z) + 1) * 127.5

    expected = fidelity.calculate_metrics(
        input1=fidelity.GenerativeModelModuleWrapper(Bytes(), 6, "normal", 0),
        input1_model_num_samples=count,
        ppl=True,
        ppl_epsilon=epsilon,
        ppl_sample_similarity="lpips-vgg16" if distance == "lpips" else "pixels",
        ppl_sample_similarity_resize=None,
        ppl_sample_similarity_dtype=None,
        cuda=False,
        verbose=False,
    )
    drawn = np.random.RandomState(2020)
    ends = [torch.from_numpy(drawn.randn(count, 6)).float() for _ in range(2)]
    z = torch.stack(ends, 1).flatten(0, 1)  # begin and end in turns
    metric = PPL(samples=count, epsilon=epsilon, distance=distance)
    context = Context(generator=generator, latents=lambda start, stop: z[start:stop])
    metric.prepare(Stream(count, image_shape=(3, 16, 16)), context)
    found = metric.score({}, context).values["ppl"].value
    assert_close(found, expected["perceptual_path_length_mean"], rtol=1e-4, atol=0)
