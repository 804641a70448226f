"""Write trained/stylegan2*.npz: ten iterations of StyleGAN2-ADA's own code.

git clone https://github.com/NVlabs/stylegan2-ada-pytorch && git -C stylegan2-ada-pytorch checkout d72cc7d0
python tests/importers/make_trained_stylegan2.py stylegan2-ada-pytorch

As in `make_trained.py`: its networks and `StyleGAN2Loss` run as they are, its loop as in
training/training_loop.py:248-310 without a GPU; augmentation is off. An iteration's phases are Dmain, Gmain, Dreg and
Greg, as in ours; there they are Gmain, Greg, Dmain and Dreg. Lazy ones come every second and third iteration.
"""

from __future__ import annotations

import copy
import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from foreign import commit, fill, replaced
from make_trained_r3gan import versions
from torch import Tensor, nn
from trained import ITERATIONS, Draws, images, save

BATCH, LATENTS, W, SIZE = 4, 6, 5, 16
EMA_KIMG, RAMP_UP = 0.02, 0.5
CASES: dict[str, dict[str, Any]] = {
    "stylegan2": {"classes": 0, "loss": {"r1_gamma": 10}, "D": {}, "lr": 2e-3, "intervals": {"D": 3, "G": 2}},
    "stylegan2_cifar10": {
        "classes": 3, "loss": {"r1_gamma": 0.01, "pl_weight": 0, "style_mixing_prob": 0}, "D": {"architecture": "orig"},
        "lr": 2.5e-3, "intervals": {"D": 3, "G": 4},
    },
}  # fmt: skip


class Given:
    """The numbers that networks draw with torch's own functions, in the order of ours."""

    def __init__(self, draws: Draws, positions: int) -> None:
        self.draws, self.positions = draws, positions
        self.crossover: list[float] = []
        self.noise: list[Tensor] = []

    def randn(self, shape: list[int], **options: Any) -> Tensor:
        """A layer's noise."""
        count = shape[0] * shape[2] * shape[3]
        if not self.noise:
            self.noise.append(self.draws.normal(shape[0], self.positions))
        left = self.noise.pop()
        own, rest = left[:, : count // shape[0]], left[:, count // shape[0] :]
        if rest.numel():
            self.noise.append(rest)
        return own.reshape(shape)

    def randn_like(self, like: Tensor) -> Tensor:
        return self.draws.normal(*like.shape)

    def random_(self, tensor: Tensor, low: int, high: int) -> Tensor:
        place, chance = self.draws.uniform(1, 2)[0].tolist()
        self.crossover = [chance]
        return torch.tensor(low + int(place * (high - low)))

    def rand(self, *shape: Any, **options: Any) -> Tensor:
        return torch.tensor(self.crossover.pop())


def train(case: str, checkout: Path) -> None:
    theirs, losses = importlib.import_module("training.networks"), importlib.import_module("training.loss")
    given = CASES[case]
    classes, widths = given["classes"], {"channel_base": 64, "channel_max": 6}
    common = {"c_dim": classes, "img_resolution": SIZE, "img_channels": 3}
    mapping = {"num_layers": 2}
    nets: dict[str, nn.Module] = {
        "G": theirs.Generator(
            z_dim=LATENTS, w_dim=W, mapping_kwargs=mapping, synthesis_kwargs=widths, **common
        ),
        "D": theirs.Discriminator(mapping_kwargs=mapping, **common, **widths, **given["D"]),
    }  # fmt: skip
    shapes = {name: fill(f"{case}/{name}", net.requires_grad_(False).train()) for name, net in nets.items()}
    average, draws = copy.deepcopy(nets["G"]), Draws(case)
    loss = losses.StyleGAN2Loss("cpu", nets["G"].mapping, nets["G"].synthesis, nets["D"], **given["loss"])
    found: dict[str, list[float]] = {}
    adams = {}
    for name, every in given["intervals"].items():
        ratio = every / (every + 1)
        adams[name] = torch.optim.Adam(
            nets[name].parameters(), lr=given["lr"] * ratio, betas=(0.0, 0.99**ratio), eps=1e-8
        )
    positions = sum((4 * 2**level) ** 2 * (1 if level == 0 else 2) for level in range(3))
    inside = Given(draws, positions)
    report = lambda name, value: found.setdefault(name, []).append(float(value.mean())) or value  # noqa: E731
    functions = {name: getattr(inside, name) for name in ("randn", "randn_like", "rand")}
    random_ = lambda tensor, low, high: inside.random_(tensor, low, high)  # noqa: E731
    with replaced(torch, **functions), replaced(torch.Tensor, random_=random_), \
            replaced(losses.training_stats, report=report):  # fmt: skip
        for iteration in range(ITERATIONS):
            pixels, labels = draws.reals(BATCH, SIZE, classes)
            real, real_c = images(pixels), one_hot(labels, classes)
            for phase in ("Dmain", "Gmain", "Dreg", "Greg"):
                every = given["intervals"][phase[0]] if phase.endswith("reg") else 1
                if iteration % every or (phase == "Greg" and not loss.pl_weight):
                    continue
                net, count = nets[phase[0]], BATCH
                net.requires_grad_(True)
                adams[phase[0]].zero_grad(set_to_none=True)
                z, c = torch.zeros(BATCH, LATENTS), real_c
                if phase != "Dreg":
                    count = BATCH // 2 if phase == "Greg" else BATCH
                    y = draws.labels(count, classes) if classes else labels[:count]
                    z, c = draws.normal(count, LATENTS), one_hot(y, classes)
                    if phase == "Greg":  # it takes the first half of them
                        z, c = torch.cat([z, z]), torch.cat([c, c])
                loss.accumulate_gradients(phase, real, real_c, z, c, sync=True, gain=every)
                net.requires_grad_(False)
                adams[phase[0]].step()
            shown = iteration * BATCH
            beta = 0.5 ** (BATCH / max(min(EMA_KIMG * 1000, shown * RAMP_UP), 1e-8))
            for mine, own in zip(average.parameters(), nets["G"].parameters(), strict=True):
                mine.copy_(own.lerp(mine, beta))
            for mine, own in zip(average.buffers(), nets["G"].buffers(), strict=True):
                mine.copy_(own)
    about = {"source": f"stylegan2-ada-pytorch {commit(checkout)}", "format": "stylegan2_ada", "shapes": shapes,
             "batch": BATCH, "size": SIZE, "classes": classes, "intervals": given["intervals"], "ema_kimg": EMA_KIMG,
             "ramp_up": RAMP_UP}  # fmt: skip
    kept = {"Loss/D/loss": "discriminator", "Loss/G/loss": "generator", "Loss/D/reg": "r1", "Loss/G/reg": "path_length"}
    named = {ours: found[theirs] for theirs, ours in kept.items() if theirs in found}
    networks = {**{name: net.state_dict() for name, net in nets.items()}, "average": average.state_dict()}
    networks = {n: {k: v for k, v in s.items() if "resample_filter" not in k} for n, s in networks.items()}
    save(case, about, named, networks)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    return F.one_hot(labels, classes).double() if classes else torch.zeros(len(labels), 0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float64  # type: ignore[misc]  # what that code computes in
    versions()
    sys.path.insert(0, sys.argv[1])
    for case in CASES:
        train(case, Path(sys.argv[1]).resolve())
