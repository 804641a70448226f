"""IntroVAE (Huang et al. 2018, arXiv:1807.06358): a pickle of the whole model, or its state dictionary.

Nothing of the file is run: an object of the classes that these files name becomes a `Record` of what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.growing import Renaming
from ganlab.importers.network import Network, Tensors, largest_width, side
from ganlab.importers.records import Record

NAME = "introvae"
BESIDE = ("encoder",)
PARTS = {"decoder": "generator", "encoder": "encoder"}
BLOCK = {"conv1": "conv1", "conv2": "conv2", "bn1": "norm1", "bn2": "norm2"}
STATISTICS = ("weight", "bias", "running_mean", "running_var")
SETTINGS = {
    "model": "small", "encoder": "introvae", "discriminator": "none", "loss": "none", "game": "introvae",
    "optimizer/generator": "adam", "optimizer/discriminator": "adam",
    "optimizer.generator.betas": [0.9, 0.999], "optimizer.discriminator.betas": [0.9, 0.999],
    "ema.half_life_kimg": 0.0,
}  # fmt: skip


class Module(Record):
    """Takes the place of a class of modules."""

    def __setstate__(self, state: Any) -> None:
        self.content = dict(state) if isinstance(state, Mapping) else {}


STAND_INS = (
    *((Module, f"networks.{name}") for name in ("IntroVAE", "Encoder", "Decoder", "_Residual_Block")),
    *((Module, f"torch.nn.modules.{name}") for name in (
        "container.Sequential", "conv.Conv2d", "batchnorm.BatchNorm2d", "activation.LeakyReLU", "activation.ReLU",
        "pooling.AvgPool2d", "upsampling.Upsample", "linear.Linear",
    )),
)  # fmt: skip


def networks(content: Any) -> dict[str, dict[str, Tensor]] | None:
    """The tensors of the encoder and the decoder, by role."""
    model = content.get("model", content) if isinstance(content, Mapping) else content
    tensors = model.tensors() if isinstance(model, Record) else model
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        return None
    found = {
        of: {str(name).removeprefix(f"{part}."): v for name, v in tensors.items() if str(name).startswith(f"{part}.")}
        for part, of in PARTS.items()
    }
    return found if all(role(tensors) == of for of, tensors in found.items()) else None


def role(tensors: dict[str, Tensor]) -> str | None:
    if "fc.0.weight" in tensors and "main.predict.weight" in tensors:
        return "generator"
    return "encoder" if {"fc.weight", "main.0.weight", "main.1.running_mean"} <= tensors.keys() else None


def generator(tensors: Tensors) -> Network:
    renaming, sizes = Renaming(tensors), _sizes(tensors)
    for name in ("weight", "bias"):
        renaming.take(f"fc.0.{name}", f"linear.{name}")
        renaming.take(f"main.predict.{name}", f"output.{name}")
    channels = [_block(renaming, size, i) for i, size in enumerate(sizes)]
    rows, latent_dim = tensors["fc.0.weight"].shape
    base = side(rows // channels[0], "fc")
    options = {**_options(renaming, channels[:-1][::-1], (0, len(sizes) - 1)), "latent_dim": latent_dim}
    image = (base * 2 ** (len(sizes) - 1), len(tensors["main.predict.weight"]), 0)
    network = renaming.network("introvae", options, image, ("width", "largest_width", "equal_shortcuts", "unit_range"))
    network.settings = SETTINGS
    return network


def encoder(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    renaming, sizes = Renaming(tensors), _sizes(tensors)[::-1]
    renaming.take("main.0.weight", "input.weight")
    for name in STATISTICS:
        renaming.take(f"main.1.{name}", f"norm.{name}")
    for name in ("weight", "bias"):
        renaming.take(f"fc.{name}", f"output.{name}")
    channels = [_block(renaming, size, i) for i, size in enumerate(sizes)]
    widths = [len(tensors["main.0.weight"]), *channels[:-1]]
    return renaming.network("introvae", _options(renaming, widths, (len(sizes) - 1,)), image)


def _sizes(tensors: Tensors) -> list[int]:
    """The sides of the maps of the blocks, which are in their names, the smallest first."""
    return tensors.places(r"main\.res_in_(\d+)\.")


def _block(renaming: Renaming, size: int, i: int) -> int:
    """Take a block; its channels."""
    for theirs, ours in BLOCK.items():
        for name in STATISTICS if theirs.startswith("bn") else ("weight",):
            renaming.take(f"main.res_in_{size}.{theirs}.{name}", f"blocks.{i}.{ours}.{name}")
    if f"main.res_in_{size}.conv_expand.weight" in renaming.tensors:
        renaming.take(f"main.res_in_{size}.conv_expand.weight", f"blocks.{i}.shortcut.weight")
    return len(renaming.state[f"blocks.{i}.conv2.weight"])


def _options(renaming: Renaming, channels: list[int], own: tuple[int, ...]) -> dict[str, Any]:
    """Return widths, and whether blocks between equally wide maps have a convolution as their shortcut.

    Args:
        channels: Of the maps, the largest map first.
        own: Blocks between a map and itself, which have none.
    """
    state, source = renaming.state, renaming.tensors.source
    renaming.ignore(*(name for name in renaming.tensors if name.endswith("num_batches_tracked")))
    shapes = {i: state[f"blocks.{i}.conv1.weight"].shape for i in range(len(_sizes(renaming.tensors)))}
    equal = {f"blocks.{i}.shortcut.weight" in state for i, s in shapes.items() if s[0] == s[1] and i not in own}
    if len(equal) > 1:
        raise GanlabError(f"{source} has a shortcut convolution in some of the blocks between equally wide maps only.")
    return {
        "width": channels[0], "largest_width": largest_width(channels, source), "equal_shortcuts": True in equal,
        "unit_range": True,
    }  # fmt: skip
