"""Write growing/tf_*.npz: what the original Progressive GAN and StyleGAN make of our values.

git clone https://github.com/tkarras/progressive_growing_of_gans && git -C progressive_growing_of_gans checkout 2504c3f3
git clone https://github.com/NVlabs/stylegan && git -C stylegan checkout 1e0d5c78
python -m venv tf && tf/bin/pip install tensorflow-cpu==2.15.1
tf/bin/python tests/importers/make_growing_tf.py progressive_growing_of_gans stylegan

The official networks are instantiated in TensorFlow's compatibility mode, given a value for every variable, and
evaluated at every level and alpha: their lod is levels − level + 1 − alpha, and images are those of the full size.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import tensorflow
from values import CUTOFF, IMAGES, LATENTS, PSI, fill, images, kept, labels, latents, one_hot, save, stages

tf = tensorflow.compat.v1
tf.disable_v2_behavior()
sys.modules["tensorflow"] = tf

NARROW = {"fmap_base": 64, "fmap_max": 8}
PGGAN: dict[str, dict[str, Any]] = {
    "tf_pggan": {**NARROW, "resolution": 32, "num_channels": 3},
    "tf_pggan_labels": {**NARROW, "resolution": 16, "num_channels": 1, "label_size": 5, "fused_scale": False},
}
STYLED = {"latent_size": 9, "dlatent_size": 10, "mapping_fmaps": 7}
STYLEGAN: dict[str, dict[str, Any]] = {
    "tf_stylegan": {**STYLED, "fmap_base": 256, "fmap_max": 8, "resolution": 128, "num_channels": 3},
    "tf_stylegan_labels": {
        **STYLED, **NARROW, "resolution": 16, "num_channels": 1, "label_size": 5, "mapping_layers": 3,
    },
}  # fmt: skip


def enlarged(x: np.ndarray, factor: int) -> np.ndarray:
    return x.repeat(factor, 2).repeat(factor, 3)


def make(case: str, network: Any, functions: tuple[str, str], options: dict[str, Any], format_name: str) -> None:
    """Variables of G and D, filled; outputs at every stage."""
    size, classes, channels = options["resolution"], options.get("label_size", 0), options["num_channels"]
    levels = int(np.log2(size)) - 2
    nets = {name: network(name, function, **options) for name, function in zip("GD", functions, strict=True)}
    session = tf.get_default_session()
    files, outputs = {}, {}
    for name, net in nets.items():
        files[f"{name}.npz"] = {local: [d.value for d in variable.shape] for local, variable in net.vars.items()}
        for local, value in fill(f"{case}/{name}.npz", files[f"{name}.npz"]).items():
            net.vars[local].load(value, session)
    z = latents(case, nets["G"].input_shapes[0][1])
    y = one_hot(labels(f"{case}/G", LATENTS, classes), LATENTS, classes)
    d_labels = one_hot(labels(f"{case}/D", IMAGES, classes), IMAGES, classes)
    style = "stylegan" in format_name
    truncated = {"truncation_psi": PSI, "truncation_cutoff": CUTOFF, "randomize_noise": False} if style else {}
    made = nets["G"].get_output_for(tf.constant(z), tf.constant(y), **truncated)
    x_in = tf.placeholder(tf.float32, [IMAGES, channels, size, size])
    scores = nets["D"].get_output_for(x_in, tf.constant(d_labels)) if style else nets["D"].get_output_for(x_in)
    if not style:  # score and class logits: that of an image's class is added
        scores = scores[0][:, 0] + tf.reduce_sum(scores[1] * d_labels, 1)
    for level, alpha in stages(levels):
        for net in nets.values():
            net.vars["lod"].load(np.float32(levels - level + 1 - alpha), session)
        factor = 2 ** (levels - level)
        outputs[f"G/{level}/{alpha}"] = kept(session.run(made)[:, :, ::factor, ::factor])
        x = images(case, channels, size // factor)
        outputs[f"D/{level}/{alpha}"] = kept(session.run(scores, {x_in: enlarged(x, factor)}).reshape(-1))
    about = {"format": format_name, "files": files, "size": size, "channels": channels, "classes": classes}
    save(case, {**about, "latent_dim": z.shape[1]}, outputs)


class Plain:
    """The variables of a network function, by their names below its scope."""

    def __init__(self, name: str, function: Any, **options: Any) -> None:
        self.function, self.scope, self.options = function, name, options
        classes, size = options.get("label_size", 0), options["resolution"]
        length = min(options["fmap_base"], options["fmap_max"])
        self.input_shapes = [[None, length], [None, classes]]
        inputs = [tf.placeholder(tf.float32, shape) for shape in self.input_shapes]
        if name == "D":
            inputs = [tf.placeholder(tf.float32, [None, options["num_channels"], size, size])]
        with tf.variable_scope(name):
            function(*inputs, is_template_graph=True, **options)
        self.vars = {v.name[len(name) + 1 : -2]: v for v in tf.global_variables(f"{name}/")}

    def get_output_for(self, *inputs: Any) -> Any:
        with tf.variable_scope(self.scope, reuse=True):
            return self.function(*inputs, **self.options)


def pggan(path: str) -> None:
    sys.path.insert(0, path)
    import networks

    for case, options in PGGAN.items():
        with tf.Graph().as_default(), tf.Session():
            make(case, Plain, (networks.G_paper, networks.D_paper), options, "pggan_tensorflow")
    sys.path.remove(path)


def stylegan(path: str) -> None:
    sys.path.insert(0, path)
    for name in ("tensorflow.contrib", "tensorboard", "tensorboard.plugins", "tensorboard.plugins.custom_scalar"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["tensorboard"].summary = None
    sys.modules["tensorboard.plugins.custom_scalar"].layout_pb2 = None
    from dnnlib import tflib

    module = "training.networks_stylegan"
    for case, options in STYLEGAN.items():
        with tf.Graph().as_default(), tf.Session():
            make(case, tflib.Network, (f"{module}.G_style", f"{module}.D_basic"), options, "stylegan_tensorflow")


if __name__ == "__main__":
    pggan(sys.argv[1])
    stylegan(sys.argv[2])
