"""Write trained/vgan_cifar10.npz and trained/meg_cifar10.npz: ten iterations of the authors' code of VDB and MEG.

git clone https://github.com/akanazawa/vgan && git -C vgan checkout 7f4d73c3
git clone https://github.com/ritheshkumar95/energy_based_generative_models
git -C energy_based_generative_models checkout b4a8d82d
python tests/importers/make_trained_more.py vgan energy_based_generative_models

As in `make_trained.py`. MEG's script trains the generator before the energy, here it follows it, as in the paper's
algorithm 1 and in ours.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from argparse import Namespace
from pathlib import Path

import torch
from foreign import commit, fill, replaced
from torch import Tensor, nn
from trained import ITERATIONS, Draws, images, save

BATCH, LATENTS, WIDTH = 4, 6, 4


def vgan(checkout: Path) -> None:
    """Trainer's two steps and update_average, in the order of train.py:203-225."""
    case, found = "vgan_cifar10", {name: [] for name in ("discriminator", "vib", "generator")}
    sys.path.insert(0, str(checkout))
    training, configuration = (importlib.import_module(f"gan_training.{name}") for name in ("train", "config"))
    config = configuration.yaml.safe_load((checkout / "configs" / "cifar10_vgan.1.yaml").read_text())
    options = config["training"]
    for network, latent in (("generator", {}), ("discriminator", {"vgan_latent_dim": 2 * WIDTH})):
        config[network]["kwargs"] = {"nfilter": WIDTH, "nfilter_max": 2 * WIDTH, "embed_size": 1, **latent}
    config["z_dist"]["dim"], config["data"]["img_size"] = LATENTS, 16
    (g, d), (average, _) = configuration.build_models(config), configuration.build_models(config)
    shapes = {"G": fill(f"{case}/G", g), "D": fill(f"{case}/D", d)}
    average.load_state_dict(g.state_dict())
    trainer = training.Trainer(
        g, d, *configuration.build_optimizers(g, d, config), options["gan_type"], options["reg_type"],
        options["reg_param"], options["adaptive_beta"], **options["kwargs"],
    )  # fmt: skip
    draws, y = Draws(case), torch.zeros(BATCH, dtype=torch.long)
    with replaced(torch, randn_like=lambda like: draws.noise(*like.shape)):
        for _ in range(ITERATIONS):
            beta, real = float(trainer.reg_param), images(draws.reals(BATCH, 16, 0)[0])
            loss, scaled, _ = trainer.discriminator_trainstep(real, y, draws.normal(BATCH, LATENTS))
            found["discriminator"].append(loss)
            # it gives beta * KL over the next beta
            found["vib"].append(scaled * max(float(trainer.reg_param), 1e-5) - beta * options["kwargs"]["target_kl"])
            found["generator"].append(trainer.generator_trainstep(y, draws.normal(BATCH, LATENTS)))
            training.update_average(average, g, beta=options["model_average_beta"])
    about = {"source": f"vgan {commit(checkout)}", "shapes": shapes, "batch": BATCH, "size": 16, "classes": 0,
             "latent_dim": LATENTS, "embedding_dim": 1}  # fmt: skip
    save(case, about, found, {"G": g.state_dict(), "D": d.state_dict(), "average": average.state_dict()})


def meg(checkout: Path) -> None:
    """train_energy_model five times, then train_generator."""
    case, found = "meg_cifar10", {name: [] for name in ("energy", "score", "generator", "information")}
    sys.path[:0] = [str(checkout), str(checkout / "scripts" / "train")]
    theirs, functions = importlib.import_module("networks.cifar"), importlib.import_module("functions")
    nets: dict[str, nn.Module] = {
        "G": theirs.Generator(LATENTS, 8 * WIDTH),
        "D": theirs.EnergyModel(8 * WIDTH),
        "H": theirs.StatisticsNetwork(LATENTS, 8 * WIDTH),
    }
    shapes = {name: fill(f"{case}/{name}", net) for name, net in nets.items()}
    adams = {name: torch.optim.Adam(net.parameters(), lr=1e-4, betas=(0.5, 0.9)) for name, net in nets.items()}
    given, draws = Namespace(batch_size=BATCH, z_dim=LATENTS, lamda=10), Draws(case)
    torch.Tensor.cuda = lambda self: self  # type: ignore[method-assign,assignment]
    draw: dict[str, object] = {"randn": draws.normal, "randperm": draws.order}
    of_energy: list[list[float]] = []
    of_generator: list[list[float]] = []
    with replaced(torch, **draw):  # type: ignore[arg-type]
        for _ in range(ITERATIONS):
            reals: list[Tensor] = [images(draws.reals(BATCH, 32, 0)[0]) for _ in range(5)]
            for x in reals:
                functions.train_energy_model(x, nets["G"], nets["D"], adams["D"], given, of_energy)
            functions.train_generator(nets["G"], nets["D"], nets["H"], adams["G"], adams["H"], given, of_generator)
    for real, fake, penalty in of_energy:
        found["energy"].append(real - fake)
        found["score"].append(given.lamda * penalty)
    for energy, information in of_generator:
        found["generator"].append(energy)
        found["information"].append(information)
    about = {"source": f"energy_based_generative_models {commit(checkout)}", "shapes": shapes, "batch": BATCH,
             "latent_dim": LATENTS, "width": WIDTH}  # fmt: skip
    save(case, about, found, {name: net.state_dict() for name, net in nets.items()})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    vgan(Path(sys.argv[1]).resolve())
    meg(Path(sys.argv[2]).resolve())
