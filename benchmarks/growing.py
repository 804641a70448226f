"""Time a training iteration of Progressive GAN at 32 pixels against pytorch_GAN_zoo's.

    git clone https://github.com/facebookresearch/pytorch_GAN_zoo
    OMP_NUM_THREADS=1 python benchmarks/growing.py pytorch_GAN_zoo width=64 batch=16 rounds=10 clock=cpu

Both play whole WGAN-GP iterations in turns, in one process: discriminator, generator, optimizers and average, once
stable and once in the middle of a fade. The reference's is its own ``optimizeParameters``; ganlab's networks are the
same function of the same parameters (``variant=gan_zoo``), its batches come from its loader. ``variant=original``
times ganlab's default instead, which has as many parameters but for a bias. Each line is one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ganlab.assembly import experiment
from ganlab.bench.regularizer_cost import Engine
from ganlab.config import compose

LEVELS, SIZE = 3, 32


def reference(checkout: str, width: int, batch: int, device: str = "cpu") -> tuple[Any, Callable[[], Any]]:
    sys.path.insert(0, checkout)
    from models.progressive_gan import ProgressiveGAN

    def adam(network: torch.nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), betas=(0.0, 0.99), lr=1e-3)  # torch refuses its integer 0

    ProgressiveGAN.getOptimizerD = lambda self: adam(self.netD)
    ProgressiveGAN.getOptimizerG = lambda self: adam(self.netG)
    made = ProgressiveGAN(
        dimLatentVector=width, depthScale0=width, miniBatchStdDev=True, lambdaGP=10.0, epsilonD=0.001,
        useGPU=device != "cpu",
    )  # fmt: skip
    for _ in range(LEVELS):
        made.addScale(width)
    images = torch.rand(batch, 3, SIZE, SIZE, device=device) * 2 - 1
    return made, lambda: made.optimizeParameters(images)


def ours(
    width: int, batch: int, variant: str, device: str = "cpu", more: Sequence[str] = ()
) -> tuple[Any, Callable[[], Any]]:
    words = ["model=pggan", "loss=wasserstein", "reg=[gradient_penalty,drift]", "reg.gradient_penalty.weight=10"]
    words += ["reg.drift.weight=0.001", f"generator.latent_dim={width}", "game.discriminator_steps=1"]
    for network in ("generator", "discriminator"):
        words += [f"{network}.max_width={width}", f"{network}.width={width * 2 ** (LEVELS + 1)}"]
        words += [f"{network}.variant={variant}"]
    words += [f"data.image_size={SIZE}", "data.image_channels=3", "data.num_classes=0", f"data.batch_size={batch}"]
    built = experiment.build(compose.read([*words, *more]))
    return built.module, Engine(built, device).iterate


def main(checkout: str, *words: str) -> None:
    options: dict[str, Any] = {"width": 64, "batch": 16, "rounds": 10, "clock": "cpu", "variant": "gan_zoo"}
    for word in words:
        name, _, value = word.partition("=")
        options[name] = type(options[name])(value)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    theirs, iterate_theirs = reference(checkout, options["width"], options["batch"])
    module, iterate = ours(options["width"], options["batch"], options["variant"])
    game, clock = module.game, {"wall": time.perf_counter, "cpu": time.process_time}[options["clock"]]
    for alpha in (1.0, 0.5):
        for network in (game.generator, game.discriminator, module.average["generator"]):
            network.set_stage(LEVELS, alpha)
        for network in (theirs.netG, theirs.netD):
            network.setNewAlpha(1 - alpha)
        seconds: list[list[float]] = [[], []]
        for i in range(options["rounds"] + 1):
            for play, kept in zip((iterate_theirs, iterate), seconds, strict=True):
                started = clock()
                play()
                if i:  # the first round warms up
                    kept.append(clock() - started)
        ratios = [mine / his for his, mine in zip(*seconds, strict=True)]
        result = {
            "alpha": alpha, **options, "parameters": sum(p.numel() for p in game.parameters()),
            "reference_seconds": statistics.median(seconds[0]), "ganlab_seconds": statistics.median(seconds[1]),
            "ratio": statistics.median(ratios), "ratio_from": min(ratios), "ratio_to": max(ratios),
            "torch": torch.__version__,
        }  # fmt: skip
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
