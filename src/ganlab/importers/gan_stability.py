"""GAN_stability, and VGAN, whose discriminator has a bottleneck: one .pt file with both networks and the average.

GAN_stability is the code of Mescheder et al. 2018 (arXiv:1801.04406), VGAN that of Peng et al. 2019 (arXiv:1810.00821).
VGAN's files do not say how strong the bottleneck's constraint is: the run's begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.growing import Renaming
from ganlab.importers.network import Network, Tensors, largest_width

NAME = "gan_stability"
ROLES = {"generator": "generator", "discriminator": "discriminator", "generator_test": "average"}
BOTTLENECK = {"mean_fn": "mean", "logstd_fn": "log_std"}
BASE = 4


def networks(content: Any) -> dict[str, dict[str, Tensor]] | None:
    """The tensors of each network in a file, by role; None if it is none of theirs.

    Raises:
        GanlabError: If it has networks of theirs that ganlab does not have.
    """
    if not isinstance(content, Mapping) or not {"generator", "discriminator"} & content.keys():
        return None
    given = {ROLES[key]: content[key] for key in ROLES if isinstance(content.get(key), Mapping)}
    found = {of: {str(n).removeprefix("module."): v for n, v in tensors.items()} for of, tensors in given.items()}
    if not all(isinstance(value, Tensor) for tensors in found.values() for value in tensors.values()):
        return None
    if any("resnet_0_0.conv_0.weight" in tensors for tensors in found.values()):
        raise GanlabError(
            "It is GAN_stability's resnet2, resnet3 or resnet4, whose blocks ganlab does not have; its resnet is read."
        )
    if not found or any(role(tensors) != of.replace("average", "generator") for of, tensors in found.items()):
        return None
    judge = found.get("discriminator", {})
    bottleneck = {name: judge.pop(name) for name in list(judge) if name.partition(".")[0] in BOTTLENECK}
    if bottleneck and not any(name.startswith("logstd_fn.") for name in bottleneck):
        raise GanlabError("Its discriminator adds noise of one size to a mean (instnoise); only vgan's can be read.")
    return {**found, **({"vib": bottleneck} if bottleneck else {})}


def role(tensors: dict[str, Tensor]) -> str | None:
    if not {"fc.weight", "conv_img.weight", "resnet.0.conv_0.weight"} <= tensors.keys():
        return None
    return "generator" if "embedding.weight" in tensors else "discriminator"


def generator(tensors: Tensors) -> Network:
    renaming, blocks = Renaming(tensors), _blocks(tensors)
    renaming.take("embedding.weight", "embedding.weight")
    _both(renaming, "fc", "linear")
    _both(renaming, "conv_img", "output")
    channels = [_block(renaming, place, i)[1] for i, place in enumerate(blocks)]
    first = tensors["resnet.0.conv_0.weight"].shape[1]
    labels, embedding_dim = tensors["embedding.weight"].shape
    options = _widths([first, *channels][: len(blocks)][::-1], tensors.source)
    options |= {"embedding_dim": embedding_dim, "latent_dim": tensors["fc.weight"].shape[1] - embedding_dim}
    colours = len(tensors["conv_img.weight"])
    image = (BASE * 2 ** (len(blocks) - 1), colours, labels if labels > 1 else 0)
    return renaming.network("gan_stability", options, image, ("width", "largest_width"))


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    renaming, blocks = Renaming(tensors), _blocks(tensors)
    _both(renaming, "fc", "linear")
    _both(renaming, "conv_img", "input")
    channels = [_block(renaming, place, i)[1] for i, place in enumerate(blocks)]
    return renaming.network("gan_stability", _widths(channels, tensors.source), image)


def vib(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    """The bottleneck: two 1x1 convolutions, and a head that takes the code itself."""
    renaming = Renaming(tensors)
    for theirs, ours in BOTTLENECK.items():
        renaming.take(f"{theirs}.weight", f"{ours}.weight", lambda weight: weight.flatten(1))
        renaming.take(f"{theirs}.bias", f"{ours}.bias")
    network = renaming.network("vib", {}, image)
    network.settings = {"reg": "vib", "reg.vib.form": "published", "reg.vib.generator_sees": "sample"}
    return network


def _blocks(tensors: Tensors) -> list[int]:
    """The places of the blocks in a sequence that has changes of size between them."""
    return tensors.places(r"resnet\.(\d+)\.conv_0\.")


def _block(renaming: Renaming, place: int, i: int) -> tuple[int, int]:
    """Take a block; its channels before and after."""
    _both(renaming, f"resnet.{place}.conv_0", f"blocks.{i}.conv1")
    _both(renaming, f"resnet.{place}.conv_1", f"blocks.{i}.conv2")
    if f"resnet.{place}.conv_s.weight" in renaming.tensors:
        renaming.take(f"resnet.{place}.conv_s.weight", f"blocks.{i}.shortcut.weight")
    return renaming.state[f"blocks.{i}.conv1.weight"].shape[1], len(renaming.state[f"blocks.{i}.conv2.weight"])


def _both(renaming: Renaming, theirs: str, ours: str) -> None:
    for name in ("weight", "bias"):
        renaming.take(f"{theirs}.{name}", f"{ours}.{name}")


def _widths(channels: list[int], source: str) -> dict[str, Any]:
    """Return the widths of maps that are 1, 2, 4, ... times smaller than the image."""
    return {"width": channels[0], "largest_width": largest_width(channels, source)}
