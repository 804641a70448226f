"""The original Progressive GAN: arrays of its variables, by their names.

Its network files are pickles that hold TensorFlow objects; in its own environment their variables are dumped with
``np.savez("Gs.npz", **tfutil.run(Gs.vars))``, and G and D likewise. The fused up-convolution's kernel is stored
(height, width, out, in) and used as a true convolution, so it is turned. Arrays do not say the group size of
the minibatch standard deviation: 4, and 16 in the authors' older networks (``discriminator.stddev_group=16``).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ganlab.importers import tensorflow
from ganlab.importers.growing import Renaming, widths
from ganlab.importers.network import Network, Tensors

NAME = "pggan_tensorflow"
AVERAGES = ("gs",)


def role(tensors: dict[str, Tensor]) -> str | None:
    if {"4x4/Dense/weight", "ToRGB_lod0/weight"} <= tensors.keys():
        return "generator"
    return "discriminator" if {"4x4/Dense1/weight", "FromRGB_lod0/weight"} <= tensors.keys() else None


def classes(discriminator: Tensors) -> int:
    return discriminator["4x4/Dense1/weight"].shape[-1] - 1


def generator(tensors: Tensors) -> Network:
    count = tensorflow.levels(tensors)
    renaming = Renaming(tensors)
    renaming.take("4x4/Dense/weight", "dense.weight", tensorflow.dense)
    renaming.take("4x4/Dense/bias", "dense_bias")
    tensorflow.layer(renaming, "4x4/Conv", "conv", tensorflow.conv)
    for i in range(count):
        at = f"{tensorflow.BASE * 2 ** (i + 1)}x{tensorflow.BASE * 2 ** (i + 1)}"
        if f"{at}/Conv0_up/weight" in tensors:
            tensorflow.layer(renaming, f"{at}/Conv0_up", f"ups.{i}", _fused)
        else:
            tensorflow.layer(renaming, f"{at}/Conv0", f"ups.{i}", tensorflow.conv)
        tensorflow.layer(renaming, f"{at}/Conv1", f"convs.{i}", tensorflow.conv)
    for i in range(count + 1):
        tensorflow.layer(renaming, f"ToRGB_lod{count - i}", f"to_image.{i}", tensorflow.conv)
    tensorflow.set_level(renaming, "", count)
    shapes = [renaming.state[f"to_image.{i}.weight"].shape for i in range(count + 1)]
    options: dict[str, Any] = widths([shape[1] for shape in shapes], tensors.source)
    options["latent_dim"] = renaming.state["dense.weight"].shape[1] - tensors.classes
    return renaming.network("pggan", options, (tensorflow.BASE * 2**count, shapes[0][0], tensors.classes))


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    return tensorflow.discriminator("pggan", tensors, image)


def _fused(weight: Tensor) -> Tensor:
    return weight.permute(2, 3, 0, 1).flip(2, 3)
