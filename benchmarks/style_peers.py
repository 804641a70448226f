"""Time whole iterations of StyleGAN2 and R3GAN against their authors' code on a CPU, and compare their memory.

    git clone https://github.com/NVlabs/stylegan2-ada-pytorch && git clone https://github.com/brownvc/R3GAN
    OMP_NUM_THREADS=1 python benchmarks/style_peers.py stylegan2_32 stylegan2-ada-pytorch
    OMP_NUM_THREADS=1 python benchmarks/style_peers.py r3gan_32 R3GAN rounds=20

Both play in turns, in one process, on one thread; times are the processor's. A round is 16 iterations of StyleGAN2,
with its lazy turns of R1 and path length, or one of R3GAN. The reference is the checkout's networks and loss, and the
loop of its training/training_loop.py, in single precision, without custom kernels (its path for a CPU), augmentation
and data loading; ganlab takes its batches from its loader. The networks have the same number of parameters. Memory is
the most that a process of its own holds in its first iterations, beyond what it holds before. The last line is JSON.

Options: batch (16), rounds (8), warmup (1).
"""

from __future__ import annotations

import copy
import importlib
import json
import resource
import statistics
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganlab.assembly import experiment
from ganlab.bench.regularizer_cost import Engine
from ganlab.config import compose

Side = tuple[Callable[[], Any], tuple[nn.Module, nn.Module]]
LATENTS = 64
CYCLE = 16  # iterations, after which StyleGAN2's lazy turns repeat
SIZES = {"stylegan2_32": 32, "stylegan2_64": 64, "r3gan_32": 32}
WIDTHS = {32: (64, 64, 64, 32), 64: (64, 64, 64, 64, 32)}  # channels of StyleGAN2's levels, from the base on
STAGES, GROUP = (64, 64, 64, 64), 16  # of R3GAN


def stylegan2_ada(size: int, checkout: Path, batch: int, device: str = "cpu") -> Side:
    """A cycle of its loop (training/training_loop.py:195-310, one process), and (G, D)."""
    networks, losses = importlib.import_module("training.networks"), importlib.import_module("training.loss")
    base = WIDTHS[size][-1] * size
    common = {"c_dim": 0, "img_resolution": size, "img_channels": 3}
    widths = {"channel_base": base, "channel_max": max(WIDTHS[size])}
    g = networks.Generator(z_dim=LATENTS, w_dim=LATENTS, synthesis_kwargs=widths, **common).train()
    d = networks.Discriminator(**common, **widths).train()
    for net in (g, d):
        net.requires_grad_(False).to(device)
    average = copy.deepcopy(g).eval()
    loss = losses.StyleGAN2Loss(torch.device(device), g.mapping, g.synthesis, d, r1_gamma=1)
    phases = []
    for name, net, every in (("G", g, 4), ("D", d, 16)):
        ratio = every / (every + 1)
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-3 * ratio, betas=(0.0, 0.99**ratio), eps=1e-8)
        phases += [(f"{name}main", net, optimizer, 1), (f"{name}reg", net, optimizer, every)]
    pixels = torch.randint(256, (batch, 3, size, size), dtype=torch.uint8, device=device)
    labels = torch.zeros(batch, 0, device=device)
    misc = importlib.import_module("torch_utils.misc")

    def cycle() -> None:
        for i in range(CYCLE):
            real = pixels.to(torch.float32) / 127.5 - 1
            latents = torch.randn([len(phases) * batch, LATENTS], device=device).split(batch)
            for (name, net, optimizer, every), z in zip(phases, latents, strict=True):
                if i % every:
                    continue
                optimizer.zero_grad(set_to_none=True)
                net.requires_grad_(True)
                loss.accumulate_gradients(name, real, labels, z, labels, sync=True, gain=every)
                net.requires_grad_(False)
                for parameter in net.parameters():
                    if parameter.grad is not None:
                        misc.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
                optimizer.step()
            with torch.no_grad():
                for mine, own in zip(average.parameters(), g.parameters(), strict=True):
                    mine.copy_(own.lerp(mine, 0.999))
                for mine, own in zip(average.buffers(), g.buffers(), strict=True):
                    mine.copy_(own)

    return cycle, (g, d)


def r3gan(size: int, checkout: Path, batch: int, device: str = "cpu") -> Side:
    """An iteration of its loop (training/training_loop.py:287-357), and (G, D), all of it in single precision."""
    networks = importlib.import_module("R3GAN.Networks")
    groups, blocks, options = [2 * width // GROUP for width in STAGES], [2] * len(STAGES), {"ExpansionFactor": 2}
    g = networks.Generator(LATENTS, list(STAGES), groups, blocks, **options)
    d = networks.Discriminator(list(STAGES), groups, blocks, **options)
    for net in (g, d):
        net.requires_grad_(False).to(device)
        for module in net.modules():
            if hasattr(module, "DataType"):
                module.DataType = torch.float32
    average = copy.deepcopy(g).eval()
    training = importlib.import_module("R3GAN.Trainer").AdversarialTraining(g, d)
    adams = {net: torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.0, 0.9), eps=1e-8) for net in (d, g)}
    pixels = torch.randint(256, (2, batch, 3, size, size), dtype=torch.uint8, device=device)

    def iteration() -> None:
        for net, adam, bytes_ in zip(adams, adams.values(), pixels, strict=True):
            real = bytes_.to(torch.float32) / 127.5 - 1
            z = torch.randn(batch, LATENTS, device=device)
            adam.zero_grad(set_to_none=True)
            net.requires_grad_(True)
            if net is d:
                training.AccumulateDiscriminatorGradients(z, real, None, 1.0)
            else:
                training.AccumulateGeneratorGradients(z, real, None)
            net.requires_grad_(False)
            adam.step()
        with torch.no_grad():
            for mine, own in zip(average.parameters(), g.parameters(), strict=True):
                mine.copy_(own.lerp(mine, 0.999))
            for mine, own in zip(average.buffers(), g.buffers(), strict=True):
                mine.copy_(own)

    return iteration, (g, d)


def ours(name: str, batch: int, device: str = "cpu", *more: str) -> Side:
    """The same in ganlab, with its loader; ``more`` options of ``ganlab train``."""
    size, r3 = SIZES[name], name.startswith("r3gan")
    widths = ",".join(map(str, STAGES if r3 else WIDTHS[size]))
    words = [f"{player}.width=[{widths}]" for player in ("generator", "discriminator")]
    words += ["generator.latent_dim=64", "ema.ramp_up=null", "guard=off"]
    if r3:
        words += ["model=r3gan", "loss=r3gan", "game.fresh_reals=true", "reg.r1.gamma=1", "reg.r2.gamma=1"]
        words += [f"{player}.group_width={GROUP}" for player in ("generator", "discriminator")]
    else:
        words += ["model=stylegan2", "loss=stylegan2", "generator.w_dim=64", "state_updates=every_forward",
                  "reg.r1.gamma=1"]  # fmt: skip
    words += [f"data.image_size={size}", "data.image_channels=3", "data.num_classes=0", f"data.batch_size={batch}"]
    built = experiment.build(compose.read([*words, *more]))
    engine, game = Engine(built, device), built.module.game

    def cycle() -> None:
        for _ in range(1 if r3 else CYCLE):
            engine.iterate()

    return cycle, (game.get_submodule("generator"), game.get_submodule("discriminator"))


def theirs(name: str, checkout: Path, batch: int, device: str = "cpu") -> Side:
    sys.path.insert(0, str(checkout))
    versions = types.ModuleType("pkg_resources")  # gone from setuptools, and not needed
    versions.parse_version = lambda text: tuple(map(int, text.split("+")[0].split(".")[:2]))  # type: ignore[attr-defined]
    sys.modules[versions.__name__] = versions
    return (r3gan if name.startswith("r3gan") else stylegan2_ada)(SIZES[name], checkout, batch, device)


def memory(words: list[str], side: str) -> float:
    """MiB that a process of its own needs for one side, in its first two rounds, beyond what it holds before."""
    told = subprocess.run(
        [sys.executable, __file__, *words, f"only={side}"], capture_output=True, text=True, check=True
    )
    return float(told.stdout.split()[-1])


def measure_memory(cycle: Callable[[], Any], iterations: int) -> float:
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    for _ in range(2 if iterations == 1 else 1):  # optimizers have their state from the first step on
        cycle()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before / 2**20


def main(words: list[str]) -> None:
    options = dict(word.split("=") for word in words if "=" in word)
    positional = [word for word in words if "=" not in word]
    if len(positional) != 2 or positional[0] not in SIZES or options.keys() - {"batch", "rounds", "warmup", "only"}:
        raise SystemExit(__doc__)
    name, checkout = positional[0], Path(positional[1]).resolve()
    batch, rounds = int(options.get("batch", 16)), int(options.get("rounds", 8))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if "only" in options:
        print(
            measure_memory(
                (theirs(name, checkout, batch) if options["only"] == "theirs" else ours(name, batch))[0],
                1 if name.startswith("r3gan") else CYCLE,
            )
        )
        return
    sides = theirs(name, checkout, batch), ours(name, batch)
    counts = [[sum(p.numel() for p in net.parameters()) for net in networks] for _, networks in sides]
    if counts[0] != counts[1]:
        raise SystemExit(f"the networks differ: {counts[0]} parameters there, {counts[1]} here")
    seconds: list[list[float]] = [[], []]
    for i in range(int(options.get("warmup", 1)) + rounds):
        for (cycle, _), kept in zip(sides, seconds, strict=True):
            started = time.process_time()
            cycle()
            if i >= int(options.get("warmup", 1)):
                kept.append(time.process_time() - started)
    ratios = sorted(mine / other for other, mine in zip(*seconds, strict=True))
    mebibytes = [memory(words, side) for side in ("theirs", "ours")]
    found = {
        "case": name, "batch": batch, "rounds": rounds, "parameters": counts[0], "torch": torch.__version__,
        "theirs_seconds": statistics.median(seconds[0]), "ours_seconds": statistics.median(seconds[1]),
        "ratio": statistics.median(ratios), "ratio_from": ratios[0], "ratio_to": ratios[-1],
        "theirs_mib": mebibytes[0], "ours_mib": mebibytes[1],
    }  # fmt: skip
    print(
        f"{name}, batch {batch}: {found['theirs_seconds']:.2f} s there, {found['ours_seconds']:.2f} s here, ratio "
        f"{found['ratio']:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}); {mebibytes[0]:.0f} and {mebibytes[1]:.0f} MiB"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
