"""The original StyleGAN: arrays of its variables, by their names.

Its network files are pickles that hold TensorFlow objects; in its own environment their variables are dumped with
``np.savez("Gs.npz", **tflib.run(Gs.vars))``, and G and D likewise. From 128 pixels on its up-convolutions are fused
(``fused_scale='auto'``, which arrays do not say), and these use their kernels turned.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from ganlab.importers import tensorflow
from ganlab.importers.growing import Renaming, widths
from ganlab.importers.network import Network, Tensors

NAME = "stylegan_tensorflow"
AVERAGES = ("gs",)
FUSED_FROM = 128  # pixels


def role(tensors: dict[str, Tensor]) -> str | None:
    if {"G_synthesis/ToRGB_lod0/weight", "G_mapping/Dense0/weight"} <= tensors.keys():
        return "generator"
    return "discriminator" if {"4x4/Dense1/weight", "FromRGB_lod0/weight"} <= tensors.keys() else None


def generator(tensors: Tensors) -> Network:
    count = tensorflow.levels(tensors, "G_synthesis/")
    renaming = Renaming(tensors)
    renaming.take("dlatent_avg", "w_avg")
    layers = tensors.count(r"G_mapping/Dense(\d+)/")
    for i in range(layers):
        tensorflow.layer(renaming, f"G_mapping/Dense{i}", f"mapping.layers.{i}", tensorflow.dense)
    classes = 0
    if "G_mapping/LabelConcat/weight" in tensors:
        renaming.take("G_mapping/LabelConcat/weight", "mapping.embedding.weight")
        classes = renaming.state["mapping.embedding.weight"].shape[0]
    noise = any(re.match(r"G_synthesis/noise\d+$", name) for name in tensors)

    base = "G_synthesis/4x4"
    renaming.take(f"{base}/Const/const", "synthesis.const")
    renaming.take(f"{base}/Const/bias", "synthesis.const_bias")
    tensorflow.layer(renaming, f"{base}/Conv", "synthesis.conv", tensorflow.conv)
    ends = [f"{base}/Const", f"{base}/Conv"]
    for i in range(count):
        size = tensorflow.BASE * 2 ** (i + 1)
        at = f"G_synthesis/{size}x{size}"
        layout = tensorflow.flipped_conv if size >= FUSED_FROM else tensorflow.conv
        renaming.take(f"{at}/Conv0_up/weight", f"synthesis.ups.{i}.weight", layout)
        renaming.take(f"{at}/Conv0_up/bias", f"synthesis.up_biases.{i}")
        tensorflow.layer(renaming, f"{at}/Conv1", f"synthesis.convs.{i}", tensorflow.conv)
        ends += [f"{at}/Conv0_up", f"{at}/Conv1"]
    for i, end in enumerate(ends):
        tensorflow.layer(renaming, f"{end}/StyleMod", f"synthesis.styles.{i}.affine", tensorflow.dense)
        if noise:
            renaming.take(f"{end}/Noise/weight", f"synthesis.noises.{i}.weight")
            renaming.take(f"G_synthesis/noise{i}", f"synthesis.noises.{i}.fixed")
    for i in range(count + 1):
        tensorflow.layer(renaming, f"G_synthesis/ToRGB_lod{count - i}", f"synthesis.to_image.{i}", tensorflow.conv)
    tensorflow.set_level(renaming, "synthesis.", count)
    renaming.ignore("G_synthesis/lod")  # set to lod before each use

    shapes = [renaming.state[f"synthesis.to_image.{i}.weight"].shape for i in range(count + 1)]
    options: dict[str, Any] = widths([shape[1] for shape in shapes], tensors.source)
    first, last = (renaming.state[f"mapping.layers.{i}.weight"] for i in (0, layers - 1))
    options |= {
        "latent_dim": first.shape[1] // (2 if classes else 1),
        "w_dim": last.shape[0],
        "mapping_layers": layers,
        "mapping_width": first.shape[0],
    }
    if not noise:
        options["noise"] = False
    return renaming.network("stylegan", options, (tensorflow.BASE * 2**count, shapes[0][0], classes))


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    return tensorflow.discriminator("stylegan", tensors, image)
