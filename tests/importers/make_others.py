"""Write others/*.npz: what networks of GAN_stability, VGAN, IntroVAE and MEG make of our weights, and their gradients.

git clone https://github.com/LMescheder/GAN_stability && git -C GAN_stability checkout c1f64c9e
git clone https://github.com/akanazawa/vgan && git -C vgan checkout 7f4d73c3
git clone https://github.com/hhb072/IntroVAE && git -C IntroVAE checkout c8ce5d29
git clone https://github.com/ritheshkumar95/energy_based_generative_models
git -C energy_based_generative_models checkout b4a8d82d
python tests/importers/make_others.py GAN_stability vgan IntroVAE energy_based_generative_models

Their classes run as they are, in double precision on a CPU.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from foreign import commit, replaced, stub
from others import FOLDER, given, noise, outcome, slope, values
from torch import Tensor, nn

LATENTS, WIDTHS = 6, {"nfilter": 4, "nfilter_max": 8}
Ask = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


def module(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def write(case: str, checkout: Path, nets: dict[str, nn.Module], ask: Ask, **about: Any) -> None:
    arrays: dict[str, Any] = {}
    shapes = {}
    for name, net in nets.items():
        shapes[name] = {key: list(value.shape) for key, value in net.state_dict().items()}
        net.load_state_dict(values(case, name, shapes[name]))
        outputs = []
        for step in range(4):
            net.double().train(step > 0)
            z, x, y = given(case, about["size"], LATENTS, about["classes"], step)
            outputs.append(ask(net, z.double(), x.double(), y))
        names, parameters = zip(*net.named_parameters(), strict=True)
        found = torch.autograd.grad(slope(f"{case}/{name}", outputs[-1]), parameters)
        arrays |= outcome(case, name, outputs, net.state_dict(), dict(zip(names, found, strict=True)))
    about.update(source=f"{checkout.name} {commit(checkout)}", shapes=shapes, latent_dim=LATENTS)
    path = FOLDER / f"{case}.npz"
    np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def stability(checkout: Path) -> None:
    theirs = module(checkout / "gan_training/models/resnet.py")
    for case, labels, embedded in (("stability", 1, 1), ("stability_labels", 5, 3)):
        nets = {name: theirs.Generator(LATENTS, labels, 16, embed_size=embedded, **WIDTHS) for name in ("G", "average")}
        nets["D"] = theirs.Discriminator(LATENTS, labels, 16, embed_size=embedded, **WIDTHS)
        ask = lambda net, z, x, y: net(z if hasattr(net, "embedding") else x, y)  # noqa: E731
        write(case, checkout, nets, ask, format="gan_stability", size=16, classes=labels if labels > 1 else 0)


def vgan(checkout: Path) -> None:
    theirs = module(checkout / "gan_training/models/resnet.py")
    nets = {
        "G": theirs.Generator(LATENTS, 1, 16, embed_size=1, **WIDTHS),
        "D": theirs.Discriminator(LATENTS, 1, 16, embed_size=1, reg_type="vgan", vgan_latent_dim=8, **WIDTHS),
    }
    ask = lambda net, z, x, y: net(z, y) if hasattr(net, "embedding") else net(x, y)["out"]  # noqa: E731
    with replaced(torch, randn_like=noise):
        write("vgan", checkout, nets, ask, format="gan_stability", size=16, classes=0)


class Own(int):
    """A number that is no other object, as those that a script reads are: the code compares by identity."""


def introvae(checkout: Path) -> None:
    stub("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.utils")
    theirs = module(checkout / "networks.py")
    ask = lambda net, z, x, y: torch.cat(net(x), 1) if hasattr(net, "hdim") else net(z)  # noqa: E731
    for case, channels in (("introvae", [3, 6, 6]), ("introvae_script", [3, Own(6), Own(6)])):
        nets = {kind: part(3, LATENTS, channels, 32) for kind, part in (("G", theirs.Decoder), ("D", theirs.Encoder))}
        write(case, checkout, nets, ask, format="introvae", size=32, classes=0)


def meg(checkout: Path) -> None:
    for case, size in (("cifar", 32), ("celeba", 64)):
        theirs = module(checkout / f"networks/{case}.py")
        nets = {"G": theirs.Generator(LATENTS, 32), "D": theirs.EnergyModel(32),
                "H": theirs.StatisticsNetwork(LATENTS, 32)}  # fmt: skip

        def ask(net: nn.Module, z: Tensor, x: Tensor, y: Tensor) -> Tensor:
            takes = {"Generator": (z,), "EnergyModel": (x,), "StatisticsNetwork": (x, z)}[type(net).__name__]
            return net(*takes)

        write(f"meg_{case}", checkout, nets, ask, format="meg", size=size, classes=0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for make, path in zip((stability, vgan, introvae, meg), sys.argv[1:], strict=True):
        make(Path(path).resolve())
