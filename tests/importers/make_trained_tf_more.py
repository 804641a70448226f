"""Write trained/ttur_celeba.npz: ten iterations of the authors' TensorFlow 1 code.

git clone https://github.com/bioinf-jku/TTUR && git -C TTUR checkout 73ab375c
python -m venv tf && tf/bin/pip install tensorflow-cpu==2.15.1 torch
tf/bin/python tests/importers/make_trained_tf_more.py TTUR

As in `make_trained_tf.py`. What the code took from ``tf.contrib`` is written here anew.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
from pathlib import Path
from typing import Any

import make_in_tf as theirs
import torch
from foreign import commit, stub
from make_trained_tf import filled, state
from trained import ITERATIONS, Draws, images, save
from translated import importing

tf = theirs.tf
BATCH, LATENTS, WIDTH, SIZE = 4, 6, 3, 64
RATES = {"G": 5e-4, "D": 1e-5}  # the paper's, which are arguments of their script


def batch_norm(x: Any, decay: float, epsilon: float, scale: bool, is_training: bool, scope: str, **unused: Any) -> Any:
    """Normalize by the batch's own statistics, as ``tf.contrib.layers.batch_norm`` does in training."""
    with tf.variable_scope(scope):
        beta = tf.get_variable("beta", x.shape[-1:], tf.float64)
        gamma = tf.get_variable("gamma", x.shape[-1:], tf.float64)
    return tf.nn.batch_normalization(x, *tf.nn.moments(x, [0, 1, 2]), beta, gamma, epsilon)


def get_variable(name: str, shape: Any = None, dtype: Any = tf.float64, *arguments: Any, **options: Any) -> Any:
    """In double precision where nothing else is said."""
    return tf.get_variable(name, shape, dtype, *arguments, **options)


def conv2d_transpose(x: Any, kernel: Any, output_shape: Any, strides: Any) -> Any:
    """Its shape is known, as it was."""
    made = tf.nn.conv2d_transpose(x, kernel, output_shape=output_shape, strides=strides)
    made.set_shape(output_shape)
    return made


def nets_of(variables: list[Any], starts: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {net: {v.op.name: v for v in variables if start in v.op.name} for net, start in starts.items()}


def ttur(checkout: Path) -> None:
    """``DCGAN.build_model``'s two optimizers in turn, on the same latents.

    Their paddings are larger at the right and at the bottom, ours at the left and at the top, so images are turned.
    """
    case, found, draws = "ttur_celeba", {"discriminator": [], "generator": []}, Draws("ttur_celeba")
    layers = types.SimpleNamespace(batch_norm=batch_norm)
    module = theirs.module(theirs.Drawn(), contrib=types.SimpleNamespace(layers=layers), get_variable=get_variable)
    module.nn.conv2d_transpose = conv2d_transpose
    module.summary = types.SimpleNamespace(**dict.fromkeys(("histogram", "image", "scalar", "merge"), nothing),
                                           FileWriter=nothing)  # fmt: skip
    folder = checkout / "DCGAN_FID_batched"
    with importing(folder), contextlib.redirect_stdout(io.StringIO()), tf.Graph().as_default():
        stub("fid", "scipy.misc")
        session = tf.Session()
        with session.as_default():
            made = importlib.import_module("model").DCGAN(
                session, batch_size=BATCH, sample_num=BATCH, input_height=SIZE, input_width=SIZE, is_crop=False,
                output_height=SIZE, output_width=SIZE, z_dim=LATENTS, gf_dim=WIDTH, df_dim=WIDTH,
                fid_sample_batchsize=BATCH, fid_n_samples=BATCH, beta1=0.5,
            )  # fmt: skip
        nets = nets_of(tf.trainable_variables(), {"G": "generator/", "D": "discriminator/"})
        for net, of_net in nets.items():  # what batch norm takes away again
            last = ("g_h0_lin/bias", "g_h4/biases") if net == "G" else ("d_h0_conv/biases", "d_h3_lin/bias")
            nets[net] = {name: v for name, v in of_net.items() if "bias" not in name or name.endswith(last)}
        shapes = {net: filled(session, f"{case}/{net}", of_net) for net, of_net in nets.items()}
        made.learning_rate_d.load(RATES["D"], session)
        made.learning_rate_g.load(RATES["G"], session)

        for _ in range(ITERATIONS):
            real = images(draws.reals(BATCH, SIZE, 0)[0]).flip(2, 3).permute(0, 2, 3, 1).numpy()
            z = (2 * draws.uniform(BATCH, LATENTS) - 1).numpy()
            loss, _ = session.run([made.d_loss, made.d_optim], {made.inputs: real, made.z: z})
            found["discriminator"].append(loss)
            loss, _ = session.run([made.g_loss, made.g_optim], {made.z: z})
            found["generator"].append(loss)
        trained = {net: state(session, of_net) for net, of_net in nets.items()}
    about = {"source": f"TTUR {commit(checkout)}", "shapes": shapes, "batch": BATCH, "size": SIZE, "width": WIDTH,
             "latent_dim": LATENTS, "epsilon": theirs.EPSILON}  # fmt: skip
    save(case, about, found, trained)


def nothing(*arguments: Any, **options: Any) -> Any:
    return None


CASES = {"TTUR": ttur}

if __name__ == "__main__":
    tf.disable_v2_behavior()
    torch.set_num_threads(1)
    checkouts = {Path(path).name: Path(path).resolve() for path in sys.argv[1:]}
    for name, make in CASES.items():
        if name in checkouts:
            make(checkouts[name])
