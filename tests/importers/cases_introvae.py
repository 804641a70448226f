"""The case of `test_trained.py` whose source is IntroVAE's code; see `make_trained_introvae.py`."""

from __future__ import annotations

from typing import Any

from replay import About, Case, Terms, Translated
from torch import Tensor
from trained import weights

BLOCK = {"conv_expand": "shortcut", "conv1": "conv1", "conv2": "conv2", "bn1": "norm1", "bn2": "norm2"}
OTHERS = {"G": {"fc.0": "linear", "main.predict": "output"},
          "D": {"fc": "output", "main.0": "input", "main.1": "norm"}}  # fmt: skip


def place(network: str, name: str, sizes: list[int]) -> str:
    """Of main.res_in_16.conv1.weight, fc.0.bias and the like."""
    path, _, field = name.rpartition(".")
    if "res_in_" in path:
        _, block, layer = path.split(".")
        path = f"blocks.{sizes.index(int(block.removeprefix('res_in_')))}.{BLOCK[layer]}"
    else:
        path = OTHERS[network][path]
    return f"{'encoder.' if network == 'D' else ''}{path}.{field}"


def introvae(case: str, about: About, network: str) -> Translated:
    """Statistics of the generator move with two passes an iteration there, and with four here."""
    values = weights(f"{case}/{network}", about["shapes"][network])
    found = {int(name.split(".")[1].removeprefix("res_in_")) for name in values if "res_in_" in name}
    sizes = sorted(found, reverse=network == "D")
    names = {name: place(network, name, sizes) for name in values}
    unlike = [name for name in values if network == "G" and "running" in name]
    state = {names[name]: value for name, value in values.items()}

    def theirs(ours: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: ours[here] for name, here in names.items() if name not in unlike}

    return Translated({}, state, theirs)


def of_introvae(about: About) -> dict[str, Any]:
    """The fixture does not flip."""
    options: dict[str, Any] = {"data.batch_size": about["batch"], "data.image_size": about["size"],
                               "data.mirror": False}  # fmt: skip
    for kind in ("generator", "encoder"):
        options |= {f"{kind}.{key}": about[key] for key in ("width", "largest_width")}
    return {**options, "generator.latent_dim": about["latent_dim"]}


def encoder(terms: Terms) -> Tensor:
    return sum(terms["discriminator"].values())  # type: ignore[return-value]


LOSSES = {"discriminator": encoder, "generator": lambda terms: terms["generator"]["kl"]}
CASE = {"introvae_celebahq": Case(["experiment=introvae_celebahq"], LOSSES, of_introvae, introvae)}
