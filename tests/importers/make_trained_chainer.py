"""Write trained/sngan_*.npz: what ten iterations of SNGAN's own code make of our weights, pixels and draws.

git clone https://github.com/pfnet-research/sngan_projection && git -C sngan_projection checkout e84b1a5f
python3.11 -m venv chainer && chainer/bin/pip install "numpy<1.24" "setuptools<70" wheel six
chainer/bin/pip install --no-build-isolation chainer==7.8.1 torch
chainer/bin/python tests/importers/make_trained_chainer.py sngan_projection

Networks and `Updater.update_core` run as they are, in double precision. It begins with the generator's turn: the first
one is undone, and one more follows the last iteration, after which ours has made as many. The rate is set in each
iteration, the same in both turns. Adam's epsilon is smaller, for it is added before the moments' correction there.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from foreign import commit
from trained import ITERATIONS, Draws, images, save, weights

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sngan_cifar10": ("resnet_32", "snresnet_32", {"size": 32, "classes": 0, "width": 6, "decay_from": 0}),
    "sngan_imagenet128": ("resnet", "snresnet", {"size": 128, "classes": 5, "width": 2, "decay_from": 4}),
}
BATCH, LATENTS, STEPS, END, EPSILON = 4, 7, 5, 12, 1e-12


class Done(Exception):
    """The last turn of the generator was made."""


def arrays(network: Any) -> dict[str, Any]:
    """Parameters, and what they save beside them, by name; the arrays themselves."""
    found = {name.lstrip("/").replace("/", "."): parameter.array for name, parameter in network.namedparams()}
    for path, link in network.namedlinks():
        prefix = path.lstrip("/").replace("/", ".")
        found.update({f"{prefix}.{name}".lstrip("."): value for name in link._persistent
                      if isinstance(value := getattr(link, name), np.ndarray)})  # fmt: skip
    return found


def fill(case: str, network: Any) -> dict[str, list[int]]:
    shapes = {name: list(value.shape) for name, value in arrays(network).items()}
    for name, value in weights(case, {n: s for n, s in shapes.items() if not n.endswith(".N")}).items():
        filled = value.numpy()
        if name.endswith(".u"):
            filled = filled / np.linalg.norm(filled)
        elif name.endswith("avg_mean"):
            filled = np.zeros_like(filled)
        elif name.endswith("avg_var"):
            filled = np.ones_like(filled)
        arrays(network)[name][...] = filled
    return shapes


def make(case: str, checkout: Path, chainer: Any) -> None:
    generator, discriminator, about = CASES[case]
    draws, found = Draws(case), {"generator": [], "discriminator": []}
    updater = importlib.import_module("updater")
    classes, size = about["classes"], about["size"]
    g = importlib.import_module(f"gen_models.{generator}").ResNetGenerator(
        ch=about["width"], dim_z=LATENTS, n_classes=classes
    )
    d = importlib.import_module(f"dis_models.{discriminator}").SNResNetProjectionDiscriminator(
        ch=about["width"], n_classes=classes
    )
    for network in (g, d):
        for parameter in network.params():
            parameter.array = parameter.array.astype(np.float64)
        for link in network.links():  # vectors and statistics are arrays of single precision
            for name in link._persistent:
                if isinstance(value := getattr(link, name), np.ndarray):
                    setattr(link, name, value.astype(np.float64))
    shapes = {"G": fill(f"{case}/G", g), "D": fill(f"{case}/D", d)}
    adams = {name: chainer.optimizers.Adam(2e-4, beta1=0.0, beta2=0.9, eps=EPSILON) for name in ("opt_gen", "opt_dis")}
    adams["opt_gen"].setup(g)
    adams["opt_dis"].setup(d)
    iteration = {"opt_gen": -1, "opt_dis": 0}

    def stepping(name: str, step: Callable[[], None]) -> Callable[[], None]:
        def update() -> None:
            at = iteration[name] if name == "opt_gen" else iteration[name] // STEPS
            iteration[name] += 1
            if at < 0:
                fill(f"{case}/G", g)
                fill(f"{case}/D", d)
                return
            adams[name].alpha = 2e-4 * min(1.0, 1 - (at - about["decay_from"]) / (END - about["decay_from"]))
            step()
            if name == "opt_gen":
                found["generator"].append(float(losses[-1].array))
                if at == ITERATIONS - 1:
                    raise Done

        return update

    for name, adam in adams.items():
        adam.update = stepping(name, adam.update)
    begun = False

    def latents(dim: int, count: int, **options: Any) -> Any:
        return draws.normal(count, dim).numpy() if begun else np.random.randn(count, dim)

    def labels(cats: int, count: int, **options: Any) -> Any:
        return (draws.labels(count, cats).numpy() if begun else np.zeros(count)).astype(np.int32)

    singular = importlib.import_module("source.functions.max_sv")
    singular._l2normalize = lambda v, eps: v / (np.linalg.norm(v) + eps)  # theirs is a kernel of a GPU
    module = importlib.import_module(f"gen_models.{generator}")
    module.sample_continuous = latents
    updater.sample_categorical = module.sample_categorical = labels

    class Theirs(updater.Updater):  # type: ignore[misc,name-defined]
        def __init__(self, **options: Any) -> None:
            self.__dict__.update(options)

        def get_optimizer(self, name: str) -> Any:
            return adams[name]

        def get_batch(self, xp: Any) -> Any:
            nonlocal begun
            begun = True
            pixels, y = draws.reals(BATCH, size, classes)
            return chainer.Variable(images(pixels).numpy()), y.numpy().astype(np.int32) if classes else None

    losses: list[Any] = []

    def of_generator(dis_fake: Any) -> Any:
        losses.append(updater.loss_hinge_gen(dis_fake))
        return losses[-1]

    def of_discriminator(dis_fake: Any, dis_real: Any) -> Any:
        loss = updater.loss_hinge_dis(dis_fake, dis_real)
        found["discriminator"].append(float(loss.array))
        return loss

    made = Theirs(models={"gen": g, "dis": d}, n_dis=STEPS, conditional=classes > 0, n_gen_samples=2 * BATCH,
                  loss_gen=of_generator, loss_dis=of_discriminator)  # fmt: skip
    with contextlib.suppress(Done):
        while True:
            made.update_core()
    nets = {"G": arrays(g), "D": arrays(d)}
    about = {**about, "source": f"{checkout.name} {commit(checkout)}", "shapes": shapes, "batch": BATCH,
             "latent_dim": LATENTS, "end": END, "epsilon": EPSILON}  # fmt: skip
    save(case, about, found, {n: {k: torch.from_numpy(np.array(v)) for k, v in net.items()} for n, net in nets.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(sys.argv[1]).resolve()))
    np.float, np.int, np.bool = float, int, bool  # type: ignore[attr-defined]  # chainer is older than their absence
    import chainer

    chainer.global_config.dtype = np.dtype(np.float64)
    chainer.reporter.report = lambda values, observer=None: None
    for case in CASES:
        make(case, Path(sys.argv[1]).resolve(), chainer)
