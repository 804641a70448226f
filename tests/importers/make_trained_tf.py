"""Write trained/*.npz of the codes that are TensorFlow 1: ten iterations, see `make_trained.py`.

git clone https://github.com/igul222/improved_wgan_training && git -C improved_wgan_training checkout fa66c574
git clone https://github.com/biuyq/CT-GAN && git -C CT-GAN checkout 5ebc7e13
git clone https://github.com/musikisomorphie/wgan-div && git -C wgan-div checkout be1086f9
python -m venv tf && tf/bin/pip install tensorflow-cpu==2.15.1 torch
tf/bin/python tests/importers/make_trained_tf.py improved_wgan_training CT-GAN wgan-div
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_in_tf as theirs
import numpy as np
import torch
from foreign import commit, stub
from trained import ITERATIONS, Draws, save, weights
from translated import importing

tf = theirs.tf
SCALE = 2.6  # of kernels, where a slope is raised to its 6th power
CRITIC, LENGTH = 5, 20  # steps; iterations until the rate is 0


Checkouts = dict[str, Path]


def state(session: Any, variables: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(session.run(v))) for name, v in variables.items()}


def filled(session: Any, case: str, variables: dict[str, Any], scale: float = 1.0) -> dict[str, list[int]]:
    """Give variables our values, kernels ``scale`` times as large; their shapes."""
    shapes = {name: [int(n) for n in variable.shape] for name, variable in variables.items()}
    for name, value in weights(case, shapes).items():
        variables[name].load((value * scale if value.ndim > 1 else value).numpy(), session)
    return shapes


def without(*names: str) -> Any:
    """tflib with modules that are empty, but for what loads data, where scripts have built their graph."""
    import tflib

    stub(*(f"tflib.{name}" for name in names), "sklearn", "sklearn.datasets", "fid")
    for name in names:
        module = sys.modules[f"tflib.{name}"]
        module.load = theirs.built  # type: ignore[attr-defined]
        setattr(tflib, name, module)
    return tflib


def parted(draw: Any, shape: Any, parts: int) -> Any:
    """Of each part of a batch in turn: they draw for all at once what ganlab draws for each micro-batch."""
    return np.concatenate([draw(shape[0] // parts, *shape[1:]) for _ in range(parts)])


def masks(draws: Draws, *shape: int) -> Iterator[Any]:
    """Of a critic's step of CT-GAN: main pass, second pass and interpolates, three places each.

    ganlab makes the second pass for the reals alone, and has the fakes first in the main one.
    """
    count, *rest = shape
    passes: list[list[Any]] = [[], [], []]
    for place in (1, 2, 3):
        of_reals, of_others = (f"dropout of {role} at blocks.{place}" for role in ("real", "interpolated"))
        main, again = [], []
        for _ in range(2):
            main.append(draws.mask(of_reals, count, *rest))  # of half a batch of fakes, and of reals
            again.append(draws.mask(of_reals, count // 2, *rest))
        reals, fakes = ([m[at] for m in main] for at in (slice(count // 2, None), slice(count // 2)))
        passes[0].append(torch.cat([*reals, *fakes]))
        passes[1].append(torch.cat([*again, torch.ones(count, *rest)]))
        passes[2].append(torch.cat([draws.mask(of_others, count // 2, *rest) for _ in range(2)]))
    return iter([mask for of_pass in passes for mask in of_pass])


def cifar_resnet(case: str, checkout: Path, folder: Path, file: str, losses: list[str]) -> None:
    """WGAN-GP's script, and CT-GAN's, which is the same with dropout and a term."""
    batch, width = 4, 6
    constants = {"N_GPUS": 1, "BATCH_SIZE": batch, "DIM_G": width, "DIM_D": width, "ITERS": LENGTH,
                 "CONDITIONAL": False, "DATA_DIR": "none"}  # fmt: skip
    drawn, draws, found = theirs.Drawn(), Draws(case), {name: [] for name in losses}
    theirs.module(drawn)
    with importing(folder), contextlib.redirect_stdout(io.StringIO()), tf.Graph().as_default():
        without("save_images", "inception_score", "plot", "cifar10")
        names = theirs.script(folder / file, constants)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        nets = {short: {v.op.name.rpartition("/")[2]: v for v in tf.trainable_variables() if v.op.name.startswith(long)}
                for short, long in (("G", "Generator"), ("D", "Discriminator"))}  # fmt: skip
        shapes = {net: filled(session, f"{case}/{net}", of_net) for net, of_net in nets.items()}
        masked: Iterator[Any] = iter([])

        def give(what: str, shape: Any) -> Any:
            if what == "normal":
                return draws.normal(*shape)
            if what == "dropout":
                return next(masked)
            if shape[1] == 1:
                return 1 - parted(lambda n, *_: draws.uniform(n, 1), shape, 2)  # the share of the fake
            return parted(lambda n, *_: draws.dequantization(n, 3, 32, 32).flatten(1), shape, 2)

        for iteration in range(ITERATIONS):
            for _ in range(CRITIC):
                masked = masks(draws, batch, width, 8, 8)
                pixels = torch.cat([draws.reals(batch // 2, 32, 0)[0] for _ in range(2)]).flatten(1)
                feeds = {names["all_real_data_int"]: pixels.numpy(), names["_iteration"]: iteration}
                values, _ = drawn.run(session, [names["disc_costs"], names["disc_train_op"]], feeds, give)
                for name, value in zip(losses, values, strict=False):
                    found[name].append(value)
            masked = (draws.mask(f"dropout of fake at blocks.{place}", batch, width, 8, 8)
                      for _ in range(2) for place in (1, 2, 3))  # fmt: skip
            loss, _ = drawn.run(session, [names["gen_cost"], names["gen_train_op"]],
                                {names["_iteration"]: iteration}, give)  # fmt: skip
            found["generator"].append(loss)
        trained = {net: state(session, of_net) for net, of_net in nets.items()}
    about = {"source": f"{checkout.name} {commit(checkout)}", "shapes": shapes, "batch": batch, "width": width,
             "length": LENGTH, "epsilon": theirs.EPSILON}  # fmt: skip
    save(case, about, found, trained)


def wgan_gp(checkout: Path, checkouts: Checkouts) -> None:
    cifar_resnet("wgan_gp_cifar10", checkout, checkout, "gan_cifar_resnet.py",
                 ["discriminator", "gradient_penalty", "generator"])  # fmt: skip


def ct_gan(checkout: Path, checkouts: Checkouts) -> None:
    folder = checkout / "CT-GANs" / "tensorflow_generative_model"
    cifar_resnet("ct_gan_cifar10", checkout, folder, "CT_gan_cifar_resnet.py",
                 ["discriminator", "lipschitz_consistency", "gradient_penalty", "generator"])  # fmt: skip


def wgan_div(checkout: Path, checkouts: Checkouts) -> None:
    """Their graph around WGAN-GP's networks: the recipe's are those of SNGAN too."""
    case, batch, width, size = "wgan_div_celeba", 4, 6, 32
    networks = checkouts["improved_wgan_training"]
    drawn, draws, found = theirs.Drawn(), Draws(case), {"discriminator": [], "wgan_div": [], "generator": []}
    theirs.module(drawn)
    of_networks = {"N_GPUS": 1, "BATCH_SIZE": batch, "DIM_G": width, "DIM_D": width, "CONDITIONAL": False,
                   "DATA_DIR": "none"}  # fmt: skip
    with tf.Graph().as_default(), contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        with importing(networks):
            without("save_images", "inception_score", "plot", "cifar10")
            made = theirs.script(networks / "gan_cifar_resnet.py", of_networks)
        with importing(checkout):
            without("save_images", "plot", "data_loader").params_with_name = made["lib"].params_with_name
            g, d = made["Generator"], made["Discriminator"]
            functions = (lambda count, noise=None: g(count, None, noise), lambda x: d(x, None)[0])
            names = theirs.script(
                checkout / "wgan_div.py",
                {"N_GPUS": 1, "BATCH_SIZE": batch, "DIM": size, "LAMBDA": 2, "LOG_DIR": folder},
                GeneratorAndDiscriminator=lambda: functions,
            )
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        nets = {short: {v.op.name.rpartition("/")[2]: v for v in tf.trainable_variables() if v.op.name.startswith(long)}
                for short, long in (("G", "Generator"), ("D", "Discriminator"))}  # fmt: skip
        shapes = {net: filled(session, f"{case}/{net}", of_net, SCALE) for net, of_net in nets.items()}

        def give(what: str, shape: Any) -> Any:
            return draws.normal(*shape) if what == "normal" else 1 - draws.uniform(*shape)

        for _ in range(ITERATIONS):
            for _ in range(4):
                feeds = {names["all_real_data_conv"]: draws.reals(batch, size, 0)[0].numpy()}
                loss, penalty, _ = drawn.run(
                    session, [names["disc_cost"], names["gradient_penalty"], names["disc_train_op"]], feeds, give
                )
                found["discriminator"].append(loss - 2 * penalty)
                found["wgan_div"].append(2 * penalty)
            loss, _ = drawn.run(session, [names["gen_cost"], names["gen_train_op"]], {}, give)
            found["generator"].append(loss)
        trained = {net: state(session, of_net) for net, of_net in nets.items()}
    about = {"source": f"{checkout.name} {commit(checkout)}", "networks": f"{networks.name} {commit(networks)}",
             "shapes": shapes, "batch": batch, "width": width, "epsilon": theirs.EPSILON, "scale": SCALE}  # fmt: skip
    save(case, about, found, trained)


CASES = {"improved_wgan_training": wgan_gp, "CT-GAN": ct_gan, "wgan-div": wgan_div}

if __name__ == "__main__":
    tf.disable_v2_behavior()
    torch.set_num_threads(1)
    checkouts = {Path(path).name: Path(path).resolve() for path in sys.argv[1:]}
    for name, make in CASES.items():
        if name in checkouts:
            make(checkouts[name], checkouts)
