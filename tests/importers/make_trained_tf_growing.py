"""Write trained/pggan_celebahq.npz and stylegan_ffhq.npz: ten iterations of the authors' TensorFlow 1 code.

git clone https://github.com/tkarras/progressive_growing_of_gans && git -C progressive_growing_of_gans checkout 2504c3f3
git clone https://github.com/NVlabs/stylegan && git -C stylegan checkout 1e0d5c78
python -m venv tf && tf/bin/pip install tensorflow-cpu==2.15.1 torch
tf/bin/python tests/importers/make_trained_tf_growing.py progressive_growing_of_gans stylegan

As in `make_trained_tf.py`: their networks, losses, schedule and treatment of reals, in a loop that is theirs without
reports and files, looks at the schedule in every iteration, and neither flips nor uses several GPUs. Their average
follows before the generator's step of an iteration: it is made to follow once more at the end.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import make_in_tf as theirs
import numpy as np
import torch
from foreign import Stub, commit
from trained import ITERATIONS, Draws, save
from translated import Source3, defined, importing
from values import fill

tf = theirs.tf
EPSILON = 1e-20  # some gradients are small
NARROW = {"fmap_base": 32, "fmap_max": 8}
SIZE, LATENTS, DEPTH = 16, 5, 2
SCHEDULE = {"lod_training_kimg": 0.009, "lod_transition_kimg": 0.013}  # no iteration begins where one ends


def last(function: Any) -> Any:
    """A function of maps, channels first, made of TensorFlow's for channels last: on a CPU there is no other."""

    def call(x: Any, *arguments: Any, data_format: str = "NHWC", **options: Any) -> Any:
        if data_format != "NCHW":
            return function(x, *arguments, **options)
        for name in ("strides", "ksize"):
            if name in options:
                options[name] = [options[name][i] for i in (0, 2, 3, 1)]
        if arguments and isinstance(arguments[-1], list):  # the shape of a transposed convolution's output
            arguments = (*arguments[:-1], [arguments[-1][i] for i in (0, 2, 3, 1)])
        made = function(tf.transpose(x, [0, 2, 3, 1]), *arguments, **options)
        return tf.transpose(made, [0, 3, 1, 2])

    return call


def get_variable(name: str, shape: Any = None, initializer: Any = None, trainable: bool = True, **unused: Any) -> Any:
    return tf.get_variable(name, shape, tf.float64, initializer, trainable=trainable)


class Random:
    """Placeholders for what a graph draws, by what it is for."""

    def __init__(self) -> None:
        self.places: dict[Any, str] = {}

    def place(self, what: str, shape: Any, kind: Any = None) -> Any:
        with tf.control_dependencies(None):  # outside of conditions
            made = tf.placeholder(tf.float64 if kind is None else kind, shape)
        self.places[made] = what
        return made

    def normal(self, shape: Any, *unused: Any, **options: Any) -> Any:
        scope = tf.get_variable_scope().name
        if scope.endswith("Noise"):
            _, size, layer, _ = scope.rsplit("/", 3)
            side = int(size.partition("x")[0])
            return self.place(
                f"noise/{2 * int(np.log2(side)) - 4 + (layer in ('Conv', 'Conv1'))}", [None, 1, side, side]
            )
        return self.place("latents" if isinstance(shape, list) else "style mixing", [None, LATENTS])

    def uniform(self, shape: Any, *unused: Any, **options: Any) -> Any:
        if shape:
            return self.place("interpolation", [None, 1, 1, 1])
        return self.place("layer", [], tf.int32) if "int" in str(options.get("dtype")) else self.place("chance", [])


def numbers(random: Random, draws: Draws, batch: int, level: int, needed: set[str]) -> dict[Any, Any]:
    """Return what one step draws, in the order in which ganlab draws it."""
    found: dict[str, Any] = {"latents": draws.normal(batch, LATENTS)}
    if "style mixing" in needed:
        found["style mixing"] = draws.normal(batch, LATENTS)
        place, chance = draws.uniform(1, 2)[0].tolist()
        layers = 2 * level + 2
        found |= {"chance": chance, "layer": 1 + int(place * (layers - 1))}
        sides = [4 * 2 ** (i // 2) for i in range(layers)]
        maps = draws.normal(batch, sum(side**2 for side in sides)).split([side**2 for side in sides], 1)
        found |= {f"noise/{i}": made.view(batch, 1, side, side) for i, (made, side) in enumerate(zip(maps, sides))}  # noqa: B905
    if "interpolation" in needed:
        found["interpolation"] = 1 - draws.uniform(batch)[:, None, None, None]
    feeds = {}
    for place_, what in random.places.items():
        if what in needed:
            unused = np.zeros([batch if n is None else n for n in place_.shape.as_list()])
            feeds[place_] = np.asarray(found.get(what, unused))
    return feeds


class Code:
    """The parts of one of the codes that `train` takes."""

    networks: dict[str, Any]  # G, D, Gs with get_output_for, input_shapes and vars
    losses: dict[str, Callable[..., Any]]
    schedule: Callable[..., Any]
    reals: Callable[..., Any]
    beta: float


def variables(network: Any) -> dict[str, Any]:
    return dict(network.vars)


def train(case: str, code: Code, batches: dict[int, int], rates: dict[int, float], random: Random, about: Any) -> None:
    session, draws, found = tf.get_default_session(), Draws(case), {"discriminator": [], "generator": []}  # type: ignore[var-annotated]
    nets = code.networks
    opt = types.SimpleNamespace(apply_loss_scaling=lambda v: v, undo_loss_scaling=lambda v: v)
    dataset = types.SimpleNamespace(
        resolution_log2=int(np.log2(SIZE)), get_random_labels_tf=lambda count: tf.zeros([count, 0], tf.float64)
    )
    lod, rate = tf.placeholder(tf.float64, []), tf.placeholder(tf.float64, [])
    pixels = tf.placeholder(tf.float64, [None, 3, None, None])
    optimizers = {net: tf.train.AdamOptimizer(rate, beta1=0.0, beta2=0.99, epsilon=EPSILON) for net in "GD"}
    steps: dict[tuple[str, int], tuple[Any, Any, set[str]]] = {}
    for batch in sorted(set(batches.values())):
        common = {"G": nets["G"], "D": nets["D"], "opt": opt, "training_set": dataset, "minibatch_size": batch}
        made = {"reals": code.reals(pixels, lod, False, [0, 255], [-1, 1]), "labels": tf.zeros([batch, 0], tf.float64)}
        for net, more in (("D", made), ("G", {})):
            before = set(random.places)
            loss = tf.reduce_mean(code.losses[net](**common, **more))
            trained = [v for v in variables(nets[net]).values() if v in tf.trainable_variables()]
            pairs = [(tf.zeros_like(v) if g is None else g, v)
                     for g, v in optimizers[net].compute_gradients(loss, trained)]  # fmt: skip
            own = {random.places[place] for place in set(random.places) - before}
            with tf.control_dependencies([loss, *(gradient for gradient, _ in pairs)]):  # all reads before all writes
                stepped = optimizers[net].apply_gradients(pairs)
            steps[net, batch] = loss, (stepped, set(random.places) - before), own
    follow = [tf.assign(v, code.beta * v + (1 - code.beta) * nets["G"].vars[name] if v in tf.trainable_variables()
                        else nets["G"].vars[name]) for name, v in nets["Gs"].vars.items()]  # fmt: skip
    session.run(tf.global_variables_initializer())
    shapes = {net: {name: [int(n) for n in v.shape] for name, v in variables(nets[net]).items()} for net in "GD"}
    for net in ("G", "D", "Gs"):
        for name, value in fill(f"{case}/{net[0]}", shapes[net[0]]).items():
            nets[net].vars[name].load(value.astype(np.float64), session)
    seen, before_lod = 0, -1.0
    for _ in range(ITERATIONS):
        now = code.schedule(seen, dataset)
        if np.floor(now.lod) != np.floor(before_lod) or np.ceil(now.lod) != np.ceil(before_lod):
            session.run([v.initializer for o in optimizers.values() for v in o.variables()])
        before_lod = now.lod
        for net in ("G", "D", "Gs"):
            nets[net].vars["lod"].load(now.lod, session)
        session.run(follow)
        size, batch = now.resolution, now.minibatch
        level = int(np.log2(size)) - 2
        for net, name in (("D", "discriminator"), ("G", "generator")):
            loss, (op, places), needed = steps[net, batch]
            given = {lod: now.lod, rate: getattr(now, f"{net}_lrate")}
            if net == "D":
                given[pixels] = draws.reals(batch, size, 0)[0].numpy()
            step = Random()
            step.places = {place: what for place, what in random.places.items() if place in places}
            value, _ = session.run([loss, op], {**given, **numbers(step, draws, batch, level, needed)})
            found[name].append(value)
        seen += batch
    session.run(follow)
    trained_ = {net: {name: torch.from_numpy(np.asarray(session.run(v))) for name, v in variables(nets[here]).items()
                      if name != "lod" and not name.endswith("/lod")}
                for net, here in (("G", "G"), ("D", "D"), ("average", "Gs"))}  # fmt: skip
    save(case, {**about, "shapes": shapes, "size": SIZE, "batches": batches, "rates": rates, "epsilon": EPSILON,
                "schedule": SCHEDULE}, found, trained_)  # fmt: skip


class Plain:
    """A network function of Progressive GAN's code, with its variables by their names below its scope."""

    def __init__(self, scope: str, function: Any, inputs: list[Any], **options: Any) -> None:
        self.function, self.scope, self.options = function, scope, options
        self.input_shapes, self.output_shapes = [[None, LATENTS], [None, 0]], [[None, 1], [None, 0]]
        with tf.variable_scope(scope):
            function(*inputs, is_template_graph=True, **options)
        self.vars = {v.name[len(scope) + 1 : -2]: v for v in tf.global_variables(f"{scope}/")}

    def get_output_for(self, *inputs: Any, **unused: Any) -> Any:
        with tf.variable_scope(self.scope, reuse=True):
            return self.function(*inputs, **self.options)


def session() -> Any:
    """Return a session that takes graphs as they are: to optimise one for every variable that is set takes long."""
    config = tf.ConfigProto()
    config.graph_options.place_pruned_graph = True
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = tf.OptimizerOptions.L0
    return tf.Session(config=config)


def prepared(**names: Any) -> Random:
    random = Random()
    module = theirs.module(theirs.Drawn(), get_variable=get_variable, **names)
    module.random_normal, module.random_uniform = random.normal, random.uniform
    for name in ("conv2d", "avg_pool", "depthwise_conv2d", "conv2d_transpose"):
        setattr(module.nn, name, last(getattr(tf.nn, name)))
    return random


def pggan(checkout: Path) -> None:
    case, batches, rates = "pggan_celebahq", {4: 8, 8: 4, 16: 4}, {8: 1.5, 16: 2.0}
    random, code = prepared(), Code()
    options = {**NARROW, "resolution": SIZE, "num_channels": 3}
    tfutil: Any = types.SimpleNamespace(lerp=lambda a, b, t: a + (b - a) * t, autosummary=lambda name, value: value)
    with importing(checkout, Source3), tf.Graph().as_default(), session():
        sys.modules["tfutil"] = tfutil
        networks, loss = importlib.import_module("networks"), importlib.import_module("loss")
        empty = tf.placeholder(tf.float64, [None, 0])
        z, x = tf.placeholder(tf.float64, [None, LATENTS]), tf.placeholder(tf.float64, [None, 3, SIZE, SIZE])
        code.networks = {
            "D": Plain("D", networks.D_paper, [x], **options),
            **{name: Plain(name, networks.G_paper, [z, empty], latent_size=LATENTS, **options) for name in ("G", "Gs")},
        }
        code.losses = {"G": loss.G_wgan_acgan, "D": loss.D_wgangp_acgan}
        misc = types.SimpleNamespace(**defined(checkout / "misc.py", {"adjust_dynamic_range"}, Source3, np=np))
        made = defined(checkout / "train.py", {"TrainingSchedule", "process_reals"}, Source3, np=np,
                       tf=sys.modules["tensorflow"], tfutil=tfutil, misc=misc,
                       config=types.SimpleNamespace(num_gpus=1))  # fmt: skip
        by_size = {size: 0.001 * factor for size, factor in rates.items()}
        code.schedule = lambda seen, dataset: made["TrainingSchedule"](
            seen,
            dataset,
            minibatch_base=4,
            minibatch_dict=batches,
            G_lrate_dict=by_size,
            D_lrate_dict=by_size,
            **SCHEDULE,
        )
        code.reals, code.beta = made["process_reals"], 0.999
        train(case, code, batches, rates, random, {"source": f"{checkout.name} {commit(checkout)}"})


def stylegan(checkout: Path) -> None:
    case, batches, rates = "stylegan_ffhq", {4: 4, 8: 4, 16: 4}, {8: 1.5, 16: 2.0}
    sys.path.insert(0, str(checkout))
    for name in ("tensorflow.contrib", "tensorboard", "tensorboard.plugins", "tensorboard.plugins.custom_scalar"):
        sys.modules[name] = Stub(name)
    random, code = prepared(), Code()
    options = {**NARROW, "resolution": SIZE, "num_channels": 3, "label_size": 0}
    styled = {"latent_size": LATENTS, "dlatent_size": 6, "mapping_fmaps": 7, "mapping_layers": 8}
    with importing(checkout, Source3), tf.Graph().as_default(), session():
        tflib, loss = importlib.import_module("dnnlib.tflib"), importlib.import_module("training.loss")
        loss.autosummary = lambda name, value: value
        module = "training.networks_stylegan"
        code.networks = {
            "D": tflib.Network("D", f"{module}.D_basic", **options),
            **{name: tflib.Network(name, f"{module}.G_style", **styled, **options) for name in ("G", "Gs")},
        }
        code.losses = {"G": loss.G_logistic_nonsaturating, "D": loss.D_logistic_simplegp}
        misc = types.SimpleNamespace(
            **defined(checkout / "training" / "misc.py", {"adjust_dynamic_range"}, Source3, np=np)
        )
        dnnlib: Any = types.SimpleNamespace(EasyDict=importlib.import_module("dnnlib").EasyDict)
        made = defined(checkout / "training" / "training_loop.py", {"training_schedule", "process_reals"}, Source3,
                       np=np, tf=sys.modules["tensorflow"], tflib=tflib, misc=misc, dnnlib=dnnlib)  # fmt: skip
        by_size = {size: 0.001 * factor for size, factor in rates.items()}
        code.schedule = lambda seen, dataset: made["training_schedule"](
            seen, dataset, 1, minibatch_base=4, minibatch_dict=batches, G_lrate_dict=by_size, D_lrate_dict=by_size,
            **SCHEDULE
        )  # fmt: skip
        code.reals, code.beta = made["process_reals"], 0.5 ** (4 / (10.0 * 4 / 32 * 1000))
        train(case, code, batches, rates, random, {"source": f"{checkout.name} {commit(checkout)}"})


CASES = {"progressive_growing_of_gans": pggan, "stylegan": stylegan}

if __name__ == "__main__":
    tf.disable_v2_behavior()
    torch.set_num_threads(1)
    for path in sys.argv[1:]:
        CASES[Path(path).name](Path(path))
