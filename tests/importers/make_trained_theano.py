"""Write trained/pggan_cifar10.npz: ten iterations of Progressive GAN's Theano code, of which the recipe's numbers are.

git clone https://github.com/tkarras/progressive_growing_of_gans theirs && git -C theirs checkout 1a05598
git clone https://github.com/Lasagne/Lasagne && git -C Lasagne checkout 5d3c63c
python3.11 -m venv theano && theano/bin/pip install aesara==2.9.4 "setuptools<70" torch
export AESARA_FLAGS=cxx=,mode=FAST_COMPILE,optimizer_excluding=AbstractConvCheck  # needs no compiler and no BLAS
PYTHONPATH=Lasagne theano/bin/python tests/importers/make_trained_theano.py theirs

Aesara is Theano by another name, and goes on where it ended. Networks, losses and Adam are theirs, in a loop that is
theirs without reports, files and data, in double precision. The weights are those of their TensorFlow code by its
names, so that one importer reads both; each layer's scale is He's, which a layer there measures on what it drew.
Real images of a level that fades in stay what they are made of: theirs rounds them down to bytes. Their average takes
the weights before the step: it is made to follow once more at the end.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from foreign import Stub, commit
from trained import ITERATIONS, Draws, save
from translated import defined, importing
from values import fill

CASE = "pggan_cifar10"
EPSILON = 1e-20  # some gradients are small
SIZE, LATENTS, BATCH = 16, 5, 4
NARROW = {"fmap_base": 32, "fmap_max": 8}
SCHEDULE = {"lod_training_kimg": 0.009, "lod_transition_kimg": 0.013}  # no iteration begins where one ends
DRIFT, TARGET = 0.001, 750.0
LEVELS = int(np.log2(SIZE)) - 1  # 4x4 is one


def as_theano() -> Any:
    """Import Aesara under Theano's names."""
    import aesara

    aesara.config.floatX = "float64"

    aesara.config.cast_policy = "numpy+floatX"
    for name in ("", ".tensor", ".tensor.nnet", ".tensor.nnet.abstract_conv", ".tensor.signal", ".tensor.signal.pool",
                 ".tensor.extra_ops", ".ifelse", ".gradient", ".compile"):  # fmt: skip
        sys.modules[f"theano{name}"] = importlib.import_module(f"aesara{name}")
    random = sys.modules["theano.sandbox"] = sys.modules["theano.sandbox.rng_mrg"] = Stub("theano.sandbox")
    random.MRG_RandomStreams = None
    graph = aesara.graph.basic
    aesara.gof = types.SimpleNamespace(Variable=graph.Variable, graph=types.SimpleNamespace(inputs=graph.graph_inputs))
    aesara.compile.SharedVariable = aesara.compile.sharedvalue.SharedVariable
    return aesara


def conv(weight: np.ndarray) -> np.ndarray:
    """Turned: Lasagne's are true convolutions. (height, width, in, out) -> (out, in, height, width)"""
    return weight[::-1, ::-1].transpose(3, 2, 0, 1)


def layers(net: str) -> dict[str, tuple[str, Any, float]]:
    """Their layer -> its name in TensorFlow, how its weights lie there, and its gain."""
    gain = float(np.sqrt(2))
    found: dict[str, tuple[str, Any, float]] = {}
    if net == "G":
        found["G1a"] = "4x4/Dense", lambda w: w.reshape(LATENTS, -1, 4, 4).transpose(1, 0, 2, 3), gain
        found["G1b"] = "4x4/Conv", conv, gain
        for i in range(2, LEVELS + 1):
            at = f"{2 ** (i + 1)}x{2 ** (i + 1)}"
            found |= {f"G{i}a": (f"{at}/Conv0", conv, gain), f"G{i}b": (f"{at}/Conv1", conv, gain)}
        return found | {f"Glod{i}": (f"ToRGB_lod{i}", lambda w: w[0, 0], 1.0) for i in range(LEVELS)}
    for i in range(1, LEVELS + 1):
        found[f"D{i}x"] = f"FromRGB_lod{LEVELS - i}", lambda w: w[0, 0], gain
    for i in range(2, LEVELS + 1):
        at = f"{2 ** (i + 1)}x{2 ** (i + 1)}"
        found |= {f"D{i}b": (f"{at}/Conv0", conv, gain), f"D{i}a": (f"{at}/Conv1", conv, gain)}
    found["D1b"] = "4x4/Conv", conv, gain
    found["D1a"] = "4x4/Dense0", lambda w: w.reshape(-1, 4, 4, w.shape[-1])[:, ::-1, ::-1].transpose(3, 0, 1, 2), gain
    return found | {"Dscores": ("4x4/Dense1", lambda w: w, 1.0)}


def back(shape: list[int], layout: Any, value: np.ndarray) -> np.ndarray:
    """Undo a layout, by what it does to the places of numbers."""
    flat = np.empty(int(np.prod(shape)))
    flat[np.ascontiguousarray(layout(np.arange(flat.size).reshape(shape))).ravel()] = value.ravel()
    return flat.reshape(shape)


class Named:
    """Their network's variables by the names and in the layout of their TensorFlow code."""

    def __init__(self, network: Any, net: str) -> None:
        self.net, by_name = net, {layer.name: layer for layer in all_layers(network)}
        self.scaled = {name: (by_name[name], by_name[name + {"G": "S", "D": "ws"}[net]]) for name in layers(net)}
        self.shapes: dict[str, list[int]] = {"lod": []}
        for name, (theirs, layout, _) in layers(net).items():
            layer, scaled = self.scaled[name]
            self.shapes[f"{theirs}/weight"] = self._shape(layer.W.get_value().shape, theirs, layout)
            self.shapes[f"{theirs}/bias"] = list(scaled.b.get_value().shape)

    def _shape(self, theirs: tuple[int, ...], name: str, layout: Any) -> list[int]:
        if name == "4x4/Dense":
            return [theirs[1], theirs[0] * 16]
        if name == "4x4/Dense0":
            return [theirs[1] * 16, theirs[0]]
        if len(theirs) == 2:
            return list(theirs) if name == "4x4/Dense1" else [1, 1, *theirs]
        return [*theirs[2:], theirs[1], theirs[0]]

    def load(self) -> None:
        values = fill(f"{CASE}/{self.net}", self.shapes)
        for name, (theirs, layout, gain) in layers(self.net).items():
            layer, scaled = self.scaled[name]
            weight = values[f"{theirs}/weight"].astype(np.float64)
            layer.W.set_value(np.ascontiguousarray(layout(weight)))
            inputs = (
                np.prod(layer.W.get_value().shape[1:]) if layer.W.get_value().ndim == 4 else len(layer.W.get_value())
            )
            scaled.scale.set_value(np.float64(gain / np.sqrt(inputs)))
            scaled.b.set_value(values[f"{theirs}/bias"].astype(np.float64))

    def tensors(self) -> dict[str, torch.Tensor]:
        found = {}
        for name, (theirs, layout, _) in layers(self.net).items():
            layer, scaled = self.scaled[name]
            weight = back(self.shapes[f"{theirs}/weight"], layout, layer.W.get_value())
            found |= {
                f"{theirs}/weight": torch.from_numpy(weight),
                f"{theirs}/bias": torch.from_numpy(scaled.b.get_value()),
            }
        return found


def all_layers(network: Any) -> list[Any]:
    import lasagne

    return lasagne.layers.get_all_layers(network.output_layers)  # type: ignore[no-any-return]


def main(checkout: Path) -> None:
    theano = as_theano()
    import lasagne

    sys.modules["cPickle"] = pickle
    tensor, draws = theano.tensor, Draws(CASE)
    mixing = tensor.TensorType("float64", [False, True, True, True])("mixing")
    with importing(checkout):
        network = importlib.import_module("network")
        random = types.SimpleNamespace(uniform=lambda *unused, **options: mixing)
        streams = types.SimpleNamespace(rng_mrg=types.SimpleNamespace(MRG_RandomStreams=lambda seed: random))
        named = types.SimpleNamespace(**{**vars(theano), "sandbox": streams})
        train = defined(checkout / "train.py", {"Tsum", "Tmean", "adam", "evaluate_loss"},
                        np=np, theano=named, T=tensor, lasagne=lasagne)  # fmt: skip
        scaled_to = defined(checkout / "misc.py", {"adjust_dynamic_range"}, np=np)["adjust_dynamic_range"]
        network.Network._call_build_func_from_src = lambda self: None  # for their pickles
        options = {"num_channels": 3, "resolution": SIZE, "label_size": 0, **NARROW}
        nets = {"G": network.Network(func="G_paper", latent_size=LATENTS, **options),
                "D": network.Network(func="D_paper", use_gdrop=False, **options)}  # fmt: skip
    named_nets = {net: Named(nets[net], net) for net in "GD"}
    for one in named_nets.values():
        one.load()
    average = nets["G"].create_temporally_smoothed_version(beta=0.999, explicit_updates=True)
    four, two = tensor.TensorType("float64", [False] * 4), tensor.TensorType("float64", [False] * 2)
    reals, labels, latents, fake_labels = four("reals"), two("labels"), two("latents"), two("fake_labels")
    rate = theano.shared(np.float64(0.001))
    found: dict[str, list[float]] = {"discriminator": [], "generator": []}
    lods, seen, function = (-1, -2), 0, None
    for _ in range(ITERATIONS):
        training, transition = SCHEDULE["lod_training_kimg"], SCHEDULE["lod_transition_kimg"]
        tlod = (seen / 1000.0) / (training + transition)
        lod = float(LEVELS - 1 - np.floor(tlod))
        lod = max(lod - max(1.0 + (np.fmod(tlod, 1.0) - 1.0) * (training + transition) / transition, 0.0), 0.0)
        for net in nets.values():
            net.cur_lod.set_value(np.float64(lod))
        if lods != (now := (int(np.floor(lod)), int(np.ceil(lod)))):
            lods = now
            shown = scaled_to(reals, [0, 255], [-1, 1])
            for axis in (2, 3) if lods[0] > 0 else ():
                shown = tensor.extra_ops.repeat(shown, 2 ** lods[0], axis=axis)
            losses = train["evaluate_loss"](nets["G"], nets["D"], *lods, shown, labels, latents, fake_labels,
                                            cond_type=None, iwass_epsilon=DRIFT, iwass_target=TARGET)  # fmt: skip
            updates = [update for net, loss in zip("GD", losses[:2], strict=True) for update in
                       train["adam"](loss, nets[net].trainable_params(), learning_rate=rate, beta1=0.0, beta2=0.99,
                                     epsilon=EPSILON).items()]  # fmt: skip
            function = theano.function([reals, labels, latents, fake_labels, mixing], losses[:2],
                                       updates=updates + average.updates, on_unused_input="ignore")  # fmt: skip
        pixels = draws.reals(BATCH, SIZE // 2 ** lods[0], 0)[0].double().numpy()
        n, c, h, w = pixels.shape
        coarse = pixels.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5)).repeat(2, 2).repeat(2, 3)
        pixels = pixels + (coarse - pixels) * (lod - lods[0])
        none = np.zeros((BATCH, 0))
        z = draws.normal(BATCH, LATENTS).numpy()
        weights = 1 - draws.uniform(BATCH).numpy()[:, None, None, None]
        made = function(pixels, none, z, none, weights)
        found["generator"].append(float(made[0]))
        found["discriminator"].append(float(made[1]))
        seen += BATCH
    theano.function([], [], updates=average.updates)()
    averaged = Named(average, "G")
    about = {"source": f"progressive_growing_of_gans {commit(checkout)}", "size": SIZE, "batches": {"16": BATCH},
             "rates": {}, "epsilon": EPSILON, "schedule": SCHEDULE,
             "shapes": {net: one.shapes for net, one in named_nets.items()}}  # fmt: skip
    save(CASE, about, found, {"G": named_nets["G"].tensors(), "D": named_nets["D"].tensors(),
                              "average": averaged.tensors()})  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]).resolve())
