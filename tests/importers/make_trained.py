"""Write trained/*.npz: what ten iterations of other codes' training make of our weights, pixels and draws.

git clone https://github.com/ajbrock/BigGAN-PyTorch && git -C BigGAN-PyTorch checkout 98459431
git clone https://github.com/kwotsin/mimicry && git -C mimicry checkout a7fda06c
git clone https://github.com/LMescheder/GAN_stability && git -C GAN_stability checkout c1f64c9e
python tests/importers/make_trained.py BigGAN-PyTorch mimicry GAN_stability

Their own networks and training functions run as they are, in double precision on a CPU. What they draw is replaced by
`trained.Draws`. Packages that they import and that training does not need are empty modules.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from foreign import commit, fill, recorded, replaced, stub
from torch import Tensor
from trained import ITERATIONS, Draws, images, save

# --- BigGAN-PyTorch: Generator, Discriminator, G_D, ema and GAN_training_function

HIERARCHICAL = {"dim_z": 20, "shared_dim": 6, "G_shared": True, "hier": True, "SN_eps": 1e-6, "adam_eps": 1e-6}
BIGGAN: dict[str, tuple[str, dict[str, Any]]] = {
    "biggan_cifar10": (
        "BigGAN",
        {"resolution": 32, "G_ch": 2, "D_ch": 2, "dim_z": 7, "n_classes": 10, "batch_size": 6, "num_D_steps": 4,
         "G_lr": 2e-4, "D_lr": 2e-4, "ema_start": 5},
    ),
    "biggan_imagenet128": (
        "BigGAN",
        {**HIERARCHICAL, "resolution": 64, "G_ch": 2, "D_ch": 4, "n_classes": 5, "batch_size": 2, "G_lr": 1e-4,
         "D_lr": 4e-4, "G_attn": "32", "D_attn": "16", "num_D_accumulations": 3, "num_G_accumulations": 3,
         "ema_start": 3},
    ),
    "biggan_deep_imagenet128": (
        "BigGANdeep",
        {**HIERARCHICAL, "dim_z": 8, "resolution": 32, "G_ch": 4, "D_ch": 4, "G_depth": 2, "D_depth": 2, "n_classes": 5,
         "batch_size": 3, "G_lr": 1e-4, "D_lr": 4e-4, "G_attn": "0", "D_attn": "16", "num_D_accumulations": 2,
         "num_G_accumulations": 2, "ema_start": 3},
    ),
}  # fmt: skip
DEFAULTS = {
    "SN_eps": 1e-8, "BN_eps": 1e-5, "adam_eps": 1e-8, "G_B1": 0.0, "D_B1": 0.0, "G_B2": 0.999, "D_B2": 0.999,
    "G_attn": "0", "D_attn": "0", "G_shared": False, "skip_init": True, "num_D_steps": 1, "num_D_accumulations": 1,
    "num_G_accumulations": 1, "split_D": False, "toggle_grads": True, "D_ortho": 0.0, "G_ortho": 0.0, "ema": True,
    "ema_decay": 0.9999,
}  # fmt: skip


def biggan(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    stub("h5py", "animal_hash", "datasets", "torchvision", "torchvision.transforms")
    torch.Tensor.float = lambda self: self  # type: ignore[method-assign,assignment]  # or batch norm leaves double
    utils, losses, functions = (importlib.import_module(name) for name in ("utils", "losses", "train_fns"))
    for case, (module, options) in BIGGAN.items():
        theirs, config, draws = importlib.import_module(module), {**DEFAULTS, **options}, Draws(case)
        batch, classes, found = config["batch_size"], config["n_classes"], {}
        with contextlib.redirect_stdout(io.StringIO()):
            g, g_ema = theirs.Generator(**config), theirs.Generator(no_optim=True, **config)
            d = theirs.Discriminator(**config)
            shapes = {"G": fill(f"{case}/G", g), "D": fill(f"{case}/D", d)}
            average = utils.ema(g, g_ema, config["ema_decay"], config["ema_start"])
        z, y, state = torch.zeros(batch, g.dim_z), torch.zeros(batch, dtype=torch.long), {"itr": 0}
        z.sample_ = lambda z=z, draws=draws: z.copy_(draws.normal(*z.shape))  # type: ignore[attr-defined]
        y.sample_ = lambda y=y, draws=draws, classes=classes: y.copy_(draws.labels(len(y), classes))  # type: ignore[attr-defined]
        wanted = {f"{player}_loss": recorded(found, player, getattr(losses, f"{player}_loss"))
                  for player in ("discriminator", "generator")}  # fmt: skip
        with replaced(losses, **wanted):
            train = functions.GAN_training_function(g, d, theirs.G_D(g, d), z, y, average, state, config)
            for _ in range(ITERATIONS):
                pairs = [draws.reals(batch, config["resolution"], classes)
                         for _ in range(config["num_D_steps"] * config["num_D_accumulations"])]  # fmt: skip
                state["itr"] += 1  # as train.py does before it trains
                for network in (g, d, g_ema):
                    network.train()
                train(images(torch.cat([x for x, _ in pairs])), torch.cat([labels for _, labels in pairs]))
        about = {"source": f"BigGAN-PyTorch {commit(checkout)}", "format": "biggan_pytorch", "shapes": shapes,
                 "config": config}  # fmt: skip
        save(case, about, found, {"G": g.state_dict(), "D": d.state_dict(), "average": g_ema.state_dict()})


# --- mimicry: the networks' train_step, by its Trainer

MIMICRY = {"sngan": "SNGAN", "sagan": "SAGAN", "cgan_pd": "CGANPD", "wgan_gp": "WGANGP"}
CLASSES, BATCH, LATENTS, STEPS = 5, 4, 10, 2


def mimicry(checkout: Path) -> None:
    stub("torch.utils.tensorboard", "skimage", "skimage.io", "torchvision", "torchvision.utils")
    families = [*MIMICRY, "gan", "basemodel"]
    for name in ("", ".nets", ".utils", ".training", *(f".nets.{family}" for family in families)):
        package = types.ModuleType(f"torch_mimicry{name}")  # their own __init__ files import everything
        package.__path__ = [str(checkout / "torch_mimicry" / name.replace(".", "/").lstrip("/"))]
        sys.modules[f"torch_mimicry{name}"] = package
    training = importlib.import_module("torch_mimicry.training.trainer")

    class Silent:
        def __init__(self, **options: Any) -> None: ...

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *arguments, **options: None

    training.logger.Logger = Silent
    for family, prefix in MIMICRY.items():
        case, found = f"mimicry_{family}", {}
        draws, module = Draws(case), importlib.import_module(f"torch_mimicry.nets.{family}.{family}_32")
        known = {"num_classes": CLASSES} if family in ("sagan", "cgan_pd") else {}
        g = getattr(module, f"{prefix}Generator32")(ngf=8, nz=LATENTS, **known)
        d = getattr(module, f"{prefix}Discriminator32")(ndf=8, **known)
        shapes = {"G": fill(f"{case}/G", g), "D": fill(f"{case}/D", d)}
        adams = [torch.optim.Adam(network.parameters(), 2e-4, betas=(0.0, 0.9)) for network in (g, d)]
        for network, name in ((g, "generator"), (d, "discriminator")):
            network.compute_gan_loss = recorded(found, name, network.compute_gan_loss)
        if family == "wgan_gp":
            d.compute_gradient_penalty_loss = recorded(found, "gradient_penalty", d.compute_gradient_penalty_loss)

        def batches(draws: Draws = draws, known: Any = known) -> Iterator[tuple[Tensor, Tensor]]:
            while True:
                pixels, labels = draws.reals(BATCH, 32, len(known) and CLASSES)
                yield images(pixels), labels

        class Loader:
            batch_size = BATCH

            def __len__(self) -> int:
                return 1

            def __iter__(self, served: Any = batches()) -> Any:  # noqa: B008
                return served

        given = {
            "randn": lambda shape, device=None, draws=draws: draws.normal(*shape),
            "rand": lambda count, one, draws=draws: draws.uniform(count, one),
            "randint": lambda low, high, size, device=None, draws=draws: draws.labels(size[0], high),
        }
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.redirect_stdout(io.StringIO()),
            replaced(torch, **given),
        ):
            trainer = training.Trainer(
                netD=d, netG=g, optD=adams[1], optG=adams[0], n_dis=STEPS, num_steps=ITERATIONS, lr_decay="linear",
                dataloader=Loader(), log_dir=folder, device=torch.device("cpu"),
            )  # fmt: skip
            trainer.train()
        about = {"source": f"mimicry {commit(checkout)}", "format": "mimicry", "shapes": shapes, "batch": BATCH,
                 "classes": len(known) and CLASSES, "steps": STEPS}  # fmt: skip
        save(case, about, found, {"G": g.state_dict(), "D": d.state_dict()})


# --- GAN_stability: Trainer's two steps and update_average, in the order of train.py:152-177

STABILITY: dict[str, dict[str, Any]] = {
    "r1_celebahq": {"nlabels": 1, "embed_size": 1, "reg_type": "real"},
    "r1_conditional": {"nlabels": 5, "embed_size": 6, "reg_type": "real"},
    "stability_wgangp": {"nlabels": 1, "embed_size": 1, "reg_type": "wgangp"},
}


def stability(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    sys.modules.pop("utils", None)
    training, configuration = (importlib.import_module(f"gan_training.{name}") for name in ("train", "config"))
    defaults = configuration.yaml.safe_load((checkout / "configs" / "default.yaml").read_text())["training"]
    size, batch, length = 16, 4, 6
    for case, options in STABILITY.items():
        draws, found, labels = Draws(case), {}, options["nlabels"]
        network = {"name": "resnet", "kwargs": {"nfilter": 4, "nfilter_max": 8, "embed_size": options["embed_size"]}}
        config = {
            "generator": network, "discriminator": network,
            "data": {"nlabels": labels, "img_size": size}, "z_dist": {"dim": length}, "training": defaults,
        }  # fmt: skip
        g, d = configuration.build_models(config)
        shapes = {"G": fill(f"{case}/G", g), "D": fill(f"{case}/D", d)}
        average, _ = configuration.build_models(config)
        average.load_state_dict(g.state_dict())
        trainer = training.Trainer(g, d, *configuration.build_optimizers(g, d, config), gan_type=defaults["gan_type"],
                                   reg_type=options["reg_type"], reg_param=defaults["reg_param"])  # fmt: skip
        given = {"rand": lambda count, device=None, draws=draws: 1 - draws.uniform(count)}  # the share of the fake
        with replaced(torch, **given):
            for _ in range(ITERATIONS):
                pixels, y = draws.reals(batch, size, labels)
                loss, penalty = trainer.discriminator_trainstep(images(pixels), y, draws.normal(batch, length))
                found.setdefault("discriminator", []).append(loss)
                found.setdefault("penalty", []).append(penalty)
                found.setdefault("generator", []).append(trainer.generator_trainstep(y, draws.normal(batch, length)))
                training.update_average(average, g, beta=defaults["model_average_beta"])
        about = {"source": f"GAN_stability {commit(checkout)}", "shapes": shapes, "batch": batch,
                 "classes": labels if labels > 1 else 0, "size": size, "latent_dim": length,
                 "embedding_dim": options["embed_size"],
                 "decay": defaults["model_average_beta"]}  # fmt: skip
        save(case, about, found, {"G": g.state_dict(), "D": d.state_dict(), "average": average.state_dict()})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    mimicry(Path(sys.argv[2]).resolve())
    stability(Path(sys.argv[3]).resolve())
    biggan(Path(sys.argv[1]).resolve())  # last: it changes what ``float`` does
