"""Write trained/sagan_imagenet128.npz: ten iterations of the authors' TensorFlow 1 code.

git clone https://github.com/brain-research/self-attention-gan && git -C self-attention-gan checkout ad9612e6
python -m venv tf && tf/bin/pip install tensorflow-cpu==2.15.1 torch
tf/bin/python tests/importers/make_trained_tf_sagan.py self-attention-gan

As in `make_trained_tf.py`. In the discriminator's step their two passes read and write the same vectors in an order
that TensorFlow leaves open: here both read those with which the step begins.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
import types
from pathlib import Path
from typing import Any

import make_in_tf as theirs
import torch
from foreign import Stub, commit
from make_trained_tf import state
from make_trained_tf_more import batch_norm, nothing
from trained import ITERATIONS, Draws, images, save, weights
from translated import importing

tf = theirs.tf
CASE, SIZE = "sagan_imagenet128", 128
BATCH, LATENTS, WIDTH, CLASSES = 4, 6, 4, 5
theirs.EPSILON = 1e-20  # some gradients are small


class Vector:
    """A variable whose value before the step is what is read; it is written after that."""

    def __init__(self, variable: Any) -> None:
        self.variable, self.value = variable, variable.read_value()

    def assign(self, value: Any) -> Any:
        with tf.control_dependencies([self.value]):
            return self.variable.assign(value)


tf.register_tensor_conversion_function(Vector, lambda vector, **options: vector.value)


class Variables:
    """``tf.get_variable`` in double precision, with `Vector` where spectral norm is."""

    def __init__(self) -> None:
        self.vectors: dict[str, Vector] = {}

    def get(self, name: str, shape: Any = None, dtype: Any = tf.float64, *arguments: Any, **options: Any) -> Any:
        if name != "u":
            return tf.get_variable(name, shape, dtype, *arguments, **options)
        variable = tf.get_variable(name, shape, dtype, use_resource=True, trainable=False)
        return self.vectors.setdefault(variable.op.name, Vector(variable))


def removed(name: str) -> bool:
    """Tell if batch norm takes a bias away again, whose gradient is then rounding."""
    return bool(re.search(r"g_block\d/snconv1/biases|g_block[45]/snconv[23]/biases", name))


def sagan(checkout: Path) -> None:
    """Their ``SNGAN`` on one tower; D's step first, where theirs begins with G's: the order is else the same."""
    variables, drawn = Variables(), theirs.Drawn()
    found: dict[str, list[float]] = {"discriminator": [], "generator": []}
    draws = Draws(CASE)
    contrib = types.SimpleNamespace(
        gan=Stub("gan"),
        layers=types.SimpleNamespace(batch_norm=batch_norm, xavier_initializer=nothing),
    )
    contrib.gan.eval = types.SimpleNamespace(image_grid=nothing)
    module = theirs.module(drawn, contrib=contrib, get_variable=variables.get)
    module.one_hot = lambda *arguments: tf.one_hot(*arguments, dtype=tf.float64)
    module.multinomial = lambda logits, count: tf.cast(drawn.place("labels", [BATCH, count]), tf.int64)
    module.Print = lambda x, *arguments, **options: x
    module.summary = types.SimpleNamespace(image=nothing, scalar=nothing)
    with importing(checkout), contextlib.redirect_stdout(io.StringIO()), tf.Graph().as_default():
        real, labels = tf.placeholder(tf.float64, [BATCH, SIZE, SIZE, 3]), tf.placeholder(tf.int64, [BATCH, 1])
        sys.modules["utils_ori"] = types.SimpleNamespace(  # type: ignore[assignment]
            get_imagenet_batches=lambda *a, **o: [(real, labels)], squarest_grid_size=nothing
        )
        code = importlib.import_module("model")
        flags = code.FLAGS
        flags(["train", f"--gf_dim={WIDTH}", f"--df_dim={WIDTH}", f"--number_classes={CLASSES}", f"--z_dim={LATENTS}"])
        config = types.SimpleNamespace(ps_tasks=0, sync_replicas=False, num_workers=1, num_towers=1, batch_size=BATCH,
                                       data_parallelism=1, shuffle_buffer_size=1)  # fmt: skip
        step = tf.train.create_global_step()
        made = code.SNGAN(zs=[drawn.normal([BATCH, LATENTS])], config=config, global_step=step, devices=["cpu:0"])
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        everything = {v.op.name: v for v in tf.trainable_variables()}
        everything |= {name: vector.variable for name, vector in variables.vectors.items()}
        nets = {net: {name: v for name, v in everything.items() if name.startswith(start)}
                for net, start in (("G", "model/g_"), ("D", "model/d_"))}  # fmt: skip
        shapes = {net: {name: [int(n) for n in v.shape] for name, v in of_net.items()} for net, of_net in nets.items()}
        for net, of_net in nets.items():
            for name, value in weights(f"{CASE}/{net}", shapes[net]).items():
                of_net[name].load(value.numpy(), session)

        def give(what: str, shape: Any) -> Any:
            return draws.normal(*shape) if what == "normal" else draws.labels(BATCH, CLASSES)[:, None]

        for _ in range(ITERATIONS):
            pixels, classes = draws.reals(BATCH, SIZE, CLASSES)
            feeds = {real: images(pixels).permute(0, 2, 3, 1).numpy(), labels: classes[:, None].numpy()}
            loss, _ = drawn.run(session, [made.d_losses[0], made.d_optim], feeds, give)
            found["discriminator"].append(loss)
            loss, _ = drawn.run(session, [made.g_losses[0], made.g_optim], {}, give)
            found["generator"].append(loss)
        kept = {net: {name: v for name, v in of_net.items() if not removed(name)} for net, of_net in nets.items()}
        trained = {net: state(session, of_net) for net, of_net in kept.items()}
    about = {"source": f"self-attention-gan {commit(checkout)}", "shapes": shapes, "batch": BATCH, "size": SIZE,
             "width": WIDTH, "latent_dim": LATENTS, "classes": CLASSES, "epsilon": theirs.EPSILON}  # fmt: skip
    save(CASE, about, found, trained)


if __name__ == "__main__":
    tf.disable_v2_behavior()
    torch.set_num_threads(1)
    sagan(Path(sys.argv[1]).resolve())
