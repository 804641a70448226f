"""Maximum-entropy generators (Kumar et al. 2019, arXiv:1901.08508): netG.pt, netE.pt and netH.pt, state dictionaries.

Their networks for CIFAR-10 and for CelebA are read; those for MNIST have other layers. The energy is -logit.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.growing import Renaming
from ganlab.importers.network import Network, Tensors, largest_width, side

NAME = "meg"
BESIDE = ("discriminator", "statistics")
COMMON = ("width", "largest_width")
SETTINGS = {"game": "meg", "statistics": "meg", "loss": "none"}


def role(tensors: dict[str, Tensor]) -> str | None:
    if not {"expand.weight", "main.0.weight", "expand.bias"} <= tensors.keys():
        return None
    if "classify.0.weight" in tensors:
        return "statistics"
    if "main.1.running_mean" in tensors:
        return "generator"
    return "discriminator" if len(tensors["expand.weight"]) == 1 else None


def generator(tensors: Tensors) -> Network:
    renaming = Renaming(tensors)
    places = [place for place in tensors.places(r"main\.(\d+)\.") if f"main.{place}.running_mean" not in tensors]
    _take(renaming, "expand", "linear")
    _take(renaming, f"main.{places[-1]}", "output")
    for i, place in enumerate(places[:-1]):
        _take(renaming, f"main.{place}", f"convs.{i}")
        _take(renaming, f"main.{place + 1}", f"norms.{i}", ("weight", "bias", "running_mean", "running_var"))
    renaming.ignore(*(name for name in tensors if name.endswith("num_batches_tracked")))
    channels = [tensors[f"main.{place}.weight"].shape[0] for place in places][::-1]
    rows, latent_dim = tensors["expand.weight"].shape
    base, colours = side(rows // channels[-1], "expand"), tensors[f"main.{places[-1]}.weight"].shape[1]
    options = {**_widths(channels, tensors.source), "latent_dim": latent_dim}
    network = renaming.network("meg", options, (base * 2 ** (len(places) - 1), colours, 0), COMMON)
    network.settings = SETTINGS
    return network


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    renaming = Renaming(tensors)
    options = _body(renaming)
    _take(renaming, "expand", "linear")
    return renaming.network("meg", options, image)


def statistics(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    renaming = Renaming(tensors)
    options = _body(renaming)
    for theirs, ours in (("expand", "image"), ("classify.0", "both"), ("classify.2", "output")):
        _take(renaming, theirs, ours)
    return renaming.network("meg", options, image)


def _body(renaming: Renaming) -> dict[str, Any]:
    """Take the convolutions, which are numbered with the activations between them; their widths."""
    places = renaming.tensors.places(r"main\.(\d+)\.")
    if len(places) % 2 == 0:
        raise GanlabError(f"{renaming.tensors.source} has other layers than MEG's for CIFAR-10 and CelebA.")
    for i, place in enumerate(places):
        _take(renaming, f"main.{place}", f"body.convs.{i}")
    channels = [len(renaming.state[f"body.convs.{i}.weight"]) for i in range(0, len(places), 2)]
    return _widths(channels, renaming.tensors.source)


def _take(renaming: Renaming, theirs: str, ours: str, names: tuple[str, ...] = ("weight", "bias")) -> None:
    for name in names:
        renaming.take(f"{theirs}.{name}", f"{ours}.{name}")


def _widths(channels: list[int], source: str) -> dict[str, Any]:
    """Return the widths of maps that are 1, 2, 4, ... times smaller than the image."""
    return {"width": channels[0], "largest_width": largest_width(channels, source)}
