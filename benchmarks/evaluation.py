"""Time ``ganlab evaluate`` against torch-fidelity, and prdc against plain numpy.

    python benchmarks/evaluation.py fidelity FAKE_FOLDER REAL_FOLDER features=random rounds=5
    python benchmarks/evaluation.py fidelity FAKE_FOLDER REAL_FOLDER features=weights-inception-2015-12-05-6726825d.pth
    OMP_NUM_THREADS=1 python benchmarks/evaluation.py prdc samples=10000 dims=64,512 number=float64

``fidelity``: both whole codes on the same files, in turns, in one process, nothing cached: fid, is, kid and prdc (for
torch-fidelity precision and recall; ganlab adds density, coverage and every interval) through one extractor with
2,048 features and 1,008 logits. ``features=random`` is one strided convolution, which costs next to nothing, so that
what is left are reading, moments, the Fréchet distance, kernels and neighbours; a file is Inception with these weights;
``features=inception`` is Inception with random ones, which cost the same. Folders of PNGs of one size, in colour.

``prdc``: of normal clouds that overlap (and of others, where the generated cloud lies inside the real one), in turns;
numpy makes the three matrices of distances whole, of the given ``number``.

Options: rounds, warmup; device (cpu or cuda), metrics (of fid,is,kid,prdc), subsets (of kid); dims, samples, number.
Seconds are wall clock and CPU time of the process. Each line is one JSON object; ``ratio`` is ganlab's time over the
other's, median of pairs.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganlab import cli
from ganlab.metrics.prdc import prdc

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import fidelity as registered

NAMES = {"fid": "fid", "is": "isc", "kid": "kid", "prdc": "prc"}


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, warmup: int) -> dict[str, Any]:
    """Seconds of both and their ratio, by both clocks."""
    seconds: dict[str, list[list[float]]] = {"wall": [[], []], "cpu": [[], []]}
    for turn in range(warmup + rounds):
        for index, code in enumerate((ours, theirs)):
            started = time.perf_counter(), time.process_time()
            code()
            if turn >= warmup:
                seconds["wall"][index].append(time.perf_counter() - started[0])
                seconds["cpu"][index].append(time.process_time() - started[1])
    found: dict[str, Any] = {"rounds": rounds, "threads": torch.get_num_threads(), "torch": torch.__version__}
    for clock, (mine, others) in seconds.items():
        ratios = sorted(a / b for a, b in zip(mine, others, strict=True))
        found[clock] = {
            "ganlab": round(statistics.median(mine), 3),
            "other": round(statistics.median(others), 3),
            "ratio": round(statistics.median(ratios), 3),
            "from": round(ratios[0], 3),
            "to": round(ratios[-1], 3),
        }
    return found


# --- torch-fidelity


class Cheap(nn.Module):
    """2,048 features of pieces of the image, and 1,008 logits of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.resize = nn.AdaptiveAvgPool2d(8)
        self.body = nn.Conv2d(3, 512, 4, 4)
        self.head = nn.Linear(2048, 1008)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of images in [-1, 1]."""
        features = self.body(self.resize(images)).flatten(1)
        return features, self.head(features)


def fidelity(
    folders: list[str], features: str, metrics: str, subsets: int, rounds: int, warmup: int, device: str = "cpu"
) -> dict[str, Any]:
    library = importlib.import_module("torch_fidelity")
    fake, real = folders
    count = min(len(list(Path(folder).iterdir())) for folder in folders)
    size = min(1000, count)
    with tempfile.TemporaryDirectory() as work:
        ours, theirs = extractors(features, Path(work))
        chosen = {NAMES[name]: True for name in metrics.split(",")}
        options = {"kid_subsets": subsets, "kid_subset_size": size, "cache": False, "verbose": False}
        options["cuda"] = device == "cuda"

        def library_run() -> None:
            with contextlib.redirect_stderr(io.StringIO()):
                library.calculate_metrics(input1=fake, input2=real, **chosen, **options, **theirs)

        turn = iter(range(10**6))

        def ganlab_run() -> None:
            os.environ["GANLAB_CACHE"] = f"{work}/cache{next(turn)}"
            words = [f"metrics={metrics}", "protocol=mmgeneration", "reference=train", "samples=0", f"out={work}/out"]
            words += [f"device={device}", "data=folder", f"data.path={real}", "data.image_channels=3", *ours]
            if "kid" in metrics:
                words += [f"kid.subsets={subsets}", f"kid.subset_size={size}"]
            if "prdc" in metrics:
                words += ["prdc.nearest=3", "prdc.inclusive=true", f"prdc.limit={10**6}"]
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                if cli.dispatch(["evaluate", f"images={fake}", *words]):
                    raise SystemExit("ganlab evaluate failed")

        about = {"features": features, "metrics": metrics, "images": [len(list(Path(f).iterdir())) for f in folders]}
        return {**about, **in_turns(ganlab_run, library_run, rounds, warmup)}


def extractors(features: str, work: Path) -> tuple[list[str], dict[str, str]]:
    """Words for ganlab and options for torch-fidelity that name the same network."""
    if features == "random":
        path = work / "cheap.ts"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(Cheap()), path)
        registered.register("cheap", Cheap)
        return ["features=file", f"features.path={path}"], {"feature_extractor": "cheap"}
    path = work / "inception.pth" if features == "inception" else Path(features)
    if features == "inception":
        torch.save(registered.inception_weights(), path)
    theirs = {"feature_extractor": "inception-v3-compat", "feature_extractor_weights_path": str(path)}
    return ["features=inception", f"features.path={path}"], theirs


# --- numpy


def numpy_prdc(real: np.ndarray, fake: np.ndarray, nearest: int = 5) -> dict[str, float]:
    """The definitions, with all three matrices."""

    def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
        return np.sqrt(np.maximum(squared, 0))

    def radii(x: np.ndarray) -> np.ndarray:
        return np.partition(distances(x, x), nearest, axis=1)[:, nearest]

    real_radii, fake_radii = radii(real), radii(fake)
    between = distances(real, fake)
    held = between < real_radii[:, None]
    return {
        "precision": float(held.any(0).mean()),
        "recall": float((between < fake_radii).any(1).mean()),
        "density": float(held.sum(0).mean() / nearest),
        "coverage": float((between.min(1) < real_radii).mean()),
    }


def clouds(kind: str, samples: int, dim: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(samples, dim, generator=generator) for _ in range(2))
    return real, fake if kind == "overlapping" else 0.9 * fake + 0.05


def neighbours(samples: int, dims: str, number: str, rounds: int, warmup: int) -> Iterator[dict[str, Any]]:
    for dim in map(int, dims.split(",")):
        for kind in ("overlapping", "inside"):
            real, fake = clouds(kind, samples, dim)
            ours, theirs = (x.numpy().astype(number) for x in (real, fake))
            mine, others = prdc(real, fake), numpy_prdc(ours, theirs)
            about: dict[str, Any] = {"samples": samples, "dim": dim, "clouds": kind, "number": number}
            about["difference"] = max(abs(mine[name] - others[name]) / max(others[name], 1) for name in mine)
            yield {**about, **in_turns(lambda: prdc(real, fake), lambda: numpy_prdc(ours, theirs), rounds, warmup)}  # noqa: B023


def main(words: list[str]) -> None:
    options: dict[str, Any] = {
        "features": "random", "metrics": "fid,is,kid,prdc", "subsets": 100, "rounds": 3, "warmup": 1, "device": "cpu",
        "samples": 10_000, "dims": "64", "number": "float64",
    }  # fmt: skip
    positional = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in options:
            options[name] = type(options[name])(value)
        else:
            positional.append(word)
    match positional:
        case ["fidelity", *folders] if len(folders) == 2:
            names = ("features", "metrics", "subsets", "rounds", "warmup", "device")
            results: Iterable[dict[str, Any]] = [fidelity(folders, **{name: options[name] for name in names})]
        case ["prdc"]:
            results = neighbours(**{name: options[name] for name in ("samples", "dims", "number", "rounds", "warmup")})
        case _:
            raise SystemExit(__doc__)
    for result in results:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
