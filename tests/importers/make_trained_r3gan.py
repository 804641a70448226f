"""Write trained/r3gan_cifar10.npz and trained/r3gan_ffhq.npz: ten iterations of R3GAN's own code.

git clone https://github.com/brownvc/R3GAN && git -C R3GAN checkout 19a7ddf4
python tests/importers/make_trained_r3gan.py R3GAN

As in `make_trained.py`: its networks, losses and schedules run as they are, in the order of
training/training_loop.py:287-357, whose loop needs a GPU; augmentation is off. Schedules end with the tenth iteration.
It also prints how far the losses of the same iterations in single precision are from those.
"""

from __future__ import annotations

import copy
import importlib
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from foreign import commit, fill, stub
from replay import error
from torch import Tensor, nn
from trained import ITERATIONS, Draws, save

BATCH, LATENTS = 4, 6
SCHEDULES = {"lr": (2e-4, 5e-5), "beta2": (0.9, 0.99), "gamma": (2.0, 0.2), "ema": (0.0, 40.0)}
CASES: dict[str, dict[str, Any]] = {
    "r3gan_cifar10": {"widths": [8, 8, 4], "blocks": [2, 2, 2], "classes": 3},
    "r3gan_ffhq": {"widths": [8, 6, 4, 2], "blocks": [1, 1, 1, 1], "classes": 0},
}


def versions() -> None:
    """Stand in for pkg_resources, which is gone from setuptools."""
    module = types.ModuleType("pkg_resources")
    module.parse_version = lambda text: tuple(map(int, text.split("+")[0].split(".")[:2]))  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module


def prepared(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    versions()
    stub("legacy", "metrics", "metrics.metric_main", "psutil")


def compute_in(dtype: torch.dtype, network: nn.Module) -> None:
    """Let a network's stages compute in ``dtype``; its filters are in single precision, as that code asks of them."""
    network.to(dtype)
    for module in network.modules():
        if hasattr(module, "Kernel"):
            module.Kernel = module.Kernel.float()
        if hasattr(module, "DataType"):
            module.DataType = dtype


def networks(case: str) -> dict[str, nn.Module]:
    theirs, given = importlib.import_module("R3GAN.Networks"), CASES[case]
    groups = [width // 2 for width in given["widths"]]
    label = {"ConditionDimension": given["classes"]} if given["classes"] else {}
    common = {"ExpansionFactor": 2, **label}
    embedding_dim = LATENTS if label else 0
    return {
        "G": theirs.Generator(
            LATENTS, given["widths"], groups, given["blocks"], ConditionEmbeddingDimension=embedding_dim, **common
        ),
        "D": theirs.Discriminator(
            given["widths"][::-1], groups[::-1], given["blocks"][::-1],
            ConditionEmbeddingDimension=given["widths"][0] if label else 0, **common,
        ),
    }  # fmt: skip


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in network.state_dict().items() if not name.endswith("Kernel")}


Played = tuple[dict[str, Any], dict[str, list[float]], dict[str, dict[str, Tensor]]]


def train(case: str, checkout: Path, dtype: torch.dtype = torch.float64) -> Played:
    """Return facts of ten iterations, their losses, and the states that they end with."""
    loop = importlib.import_module("training.training_loop")
    trainer, given = importlib.import_module("R3GAN.Trainer").AdversarialTraining, CASES[case]
    nets = networks(case)
    shapes = {}
    for name, net in nets.items():
        shapes[name] = fill(f"{case}/{name}", net)
        compute_in(dtype, net)
        net.requires_grad_(False)
    average, draws = copy.deepcopy(nets["G"]), Draws(case)
    adams = {name: torch.optim.Adam(net.parameters(), lr=1.0, betas=(0.0, 0.0), eps=1e-8) for name, net in nets.items()}
    found: dict[str, list[float]] = {name: [] for name in ("discriminator", "r1", "r2", "generator")}
    size, training = 4 * 2 ** (len(given["widths"]) - 1), trainer(nets["G"], nets["D"])
    for iteration in range(ITERATIONS):
        shown = iteration * BATCH
        now = {
            name: loop.cosine_decay_with_warmup(shown, first, ITERATIONS * BATCH, last)
            for name, (first, last) in SCHEDULES.items()
        }
        batches = [draws.reals(BATCH, size, given["classes"]) for _ in nets]
        latents = [draws.normal(BATCH, LATENTS).to(dtype) for _ in nets]
        for name, (pixels, labels), z in zip(("D", "G"), batches, latents, strict=True):
            real = pixels.to(dtype) / 127.5 - 1
            y = F.one_hot(labels, given["classes"]).to(dtype) if given["classes"] else None
            adams[name].zero_grad(set_to_none=True)
            nets[name].requires_grad_(True)
            if name == "D":
                loss, _, r1, r2 = training.AccumulateDiscriminatorGradients(z, real, y, now["gamma"])
                found["discriminator"].append(float(loss.mean()))
                found["r1"].append(float(now["gamma"] / 2 * r1.mean()))
                found["r2"].append(float(now["gamma"] / 2 * r2.mean()))
            else:
                found["generator"].append(float(training.AccumulateGeneratorGradients(z, real, y)[0].mean()))
            nets[name].requires_grad_(False)
            for group in adams[name].param_groups:
                group["lr"], group["betas"] = now["lr"], (0.0, now["beta2"])
            adams[name].step()
        beta = 0.5 ** (BATCH / max(now["ema"], 1e-8))
        for mine, own in zip(average.parameters(), nets["G"].parameters(), strict=True):
            mine.copy_(own.lerp(mine, beta))
    about = {"source": f"R3GAN {commit(checkout)}", "format": "r3gan", "shapes": shapes, "batch": BATCH, "size": size,
             "classes": given["classes"], "schedules": SCHEDULES}  # fmt: skip
    return about, found, {**{name: state(net) for name, net in nets.items()}, "average": state(average)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    prepared(Path(sys.argv[1]).resolve())
    for case in CASES:
        about, found, states = train(case, Path(sys.argv[1]).resolve())
        save(case, about, found, states)
        _, single, _ = train(case, Path(sys.argv[1]).resolve(), torch.float32)
        far = {name: error(torch.tensor(single[name]), torch.tensor(values)) for name, values in found.items()}
        print("in single precision", {name: f"{value:.2g}" for name, value in far.items()})
