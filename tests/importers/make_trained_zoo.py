"""Write trained/zoo_*.npz: what pytorch_GAN_zoo's training makes of our weights, pixels and draws.

git clone https://github.com/facebookresearch/pytorch_GAN_zoo && git -C pytorch_GAN_zoo checkout b75dee40
python tests/importers/make_trained_zoo.py pytorch_GAN_zoo

`ProgressiveGAN.optimizeParameters`, `addScale` and the trainer's `inScaleUpdate` run as they are, in double precision
on a CPU. What they draw is replaced by `trained.Draws`, and layers that a new scale adds get our values.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from foreign import commit, replaced, stub
from torch import Tensor, nn
from trained import Draws, images, save, weights

BATCH, LATENTS, DEPTHS = 4, 7, [8, 8, 4]
# iterations at each scale, and the share of the older scale in its first ones
CASES: dict[str, tuple[list[int], list[list[float]]]] = {
    "zoo_stable": ([0, 0, 10], [[], [], []]),
    "zoo_growing": ([3, 5, 6], [[], [2 / 3, 1 / 3, 0.0], [3 / 4, 2 / 4, 1 / 4, 0.0]]),
}
LOSSES = {"discriminator": ("lossD_real", "lossD_fake"), "gradient_penalty": ("lossD_Grad",),
          "drift": ("lossD_Epsilon",), "generator": ("lossG_fake",)}  # fmt: skip
Values = dict[str, dict[str, Tensor]]


def plain(name: str) -> str:
    return name.replace(".module.", ".")  # of a layer with its scale


def load(net: nn.Module, values: dict[str, Tensor]) -> None:
    net.load_state_dict({key: values[plain(key)] for key in net.state_dict()})


def modules(checkout: Path) -> tuple[Any, Any]:
    """Their ``progressive_gan``, and the class of their trainer without what reads data sets."""
    sys.path.insert(0, str(checkout))
    stub("h5py", "torchvision", "torchvision.transforms", "torchvision.models")
    package = types.ModuleType("models.trainer")
    package.__path__ = [str(checkout / "models" / "trainer")]
    importlib.import_module("models").trainer = sys.modules["models.trainer"] = package  # type: ignore[attr-defined]
    base = types.ModuleType("models.trainer.gan_trainer")
    base.GANTrainer = object  # type: ignore[attr-defined]
    sys.modules[base.__name__] = base
    trainer = importlib.import_module("models.trainer.progressive_gan_trainer").ProgressiveGANTrainer
    return importlib.import_module("models.progressive_gan"), trainer


def shapes(progressive: Any) -> dict[str, dict[str, list[int]]]:
    """Of the networks at their full size."""
    nets = {"G": progressive.GNet(LATENTS, DEPTHS[0]), "D": progressive.DNet(DEPTHS[0], miniBatchNormalization=True)}
    for net in nets.values():
        for depth in DEPTHS[1:]:
            net.addScale(depth)
    return {name: {plain(key): list(v.shape) for key, v in net.state_dict().items()} for name, net in nets.items()}


def model(progressive: Any, values: Values) -> Any:
    """Theirs, at the smallest scale."""

    class Model(progressive.ProgressiveGAN):  # type: ignore[misc,name-defined]
        def buildAvG(self) -> None:
            super().buildAvG()
            object.__setattr__(self.avgG, "module", self.avgG)  # updateAlpha takes it for a DataParallel

    made = Model(LATENTS, DEPTHS[0], useGPU=False, lambdaGP=10.0, epsilonD=0.001, lossMode="WGANGP",
                 baseLearningRate=0.001, miniBatchStdDev=True)  # fmt: skip
    load(made.netG, values["G"])
    load(made.netD, values["D"])
    made.updateSolversDevice()
    return made


@contextlib.contextmanager
def our_new_layers(progressive: Any, values: Values) -> Iterator[None]:
    """Within, a network that grows gets our values where it had none."""

    def growing(add: Callable[..., None], name: str) -> Callable[..., None]:
        def call(self: nn.Module, depth: int) -> None:
            before = {plain(key): value.clone() for key, value in self.state_dict().items()}
            add(self, depth)
            load(self, {**values[name], **before})

        return call

    nets = {"G": progressive.GNet, "D": progressive.DNet}
    originals = {name: net.addScale for name, net in nets.items()}
    for name, net in nets.items():
        net.addScale = growing(originals[name], name)
    try:
        yield
    finally:
        for name, net in nets.items():
            net.addScale = originals[name]


def main(checkout: Path) -> None:
    progressive, trainer = modules(checkout)
    adam = torch.optim.Adam
    for case, (iterations, alphas) in CASES.items():
        draws, found, of_all = Draws(case), {name: [] for name in LOSSES}, shapes(progressive)
        values = {name: weights(f"{case}/{name}", of_all[name]) for name in of_all}
        given = {"randn": draws.normal, "rand": draws.uniform}
        # torch refuses betas that are no floats
        floats = {"Adam": lambda p, betas, lr: adam(p, lr=lr, betas=tuple(map(float, betas)))}
        with (
            contextlib.redirect_stdout(io.StringIO()),
            replaced(torch, **given),
            replaced(progressive.optim, **floats),
            our_new_layers(progressive, values),
        ):
            made = train(model(progressive, values), trainer, draws, iterations, alphas, found)
        about = {"source": f"pytorch_GAN_zoo {commit(checkout)}", "format": "gan_zoo", "shapes": of_all, "batch": BATCH,
                 "iterations": iterations, "alphas": alphas}  # fmt: skip
        nets = {"G": made.netG, "D": made.netD, "average": made.avgG}
        save(case, about, found, {n: {plain(k): v for k, v in net.state_dict().items()} for n, net in nets.items()})


def train(made: Any, trainer: Any, draws: Draws, iterations: list[int], alphas: list[list[float]], found: Any) -> Any:
    """The trainer's loops over scales and iterations, in which its own `inScaleUpdate` sets alpha and blends reals."""
    for scale, count in enumerate(iterations):
        if scale:
            made.addScale(DEPTHS[scale])
        jumps = {scale: list(range(len(alphas[scale])))}
        schedule = types.SimpleNamespace(iterAlphaJump=jumps, alphaJumpVals={scale: alphas[scale]})
        this = types.SimpleNamespace(model=made, indexJumpAlpha=0, modelConfig=schedule)
        for i in range(count):
            real = trainer.inScaleUpdate(this, i, scale, images(draws.reals(BATCH, 4 * 2**scale, 0)[0]))
            losses = made.optimizeParameters(real)
            for name, keys in LOSSES.items():
                found[name].append(sum(float(losses[key]) for key in keys))
    return made


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    main(Path(sys.argv[1]).resolve())
