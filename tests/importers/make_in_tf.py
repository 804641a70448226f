"""Codes of TensorFlow 1 and Python 2, run as they are in TensorFlow 2's compatibility mode, in double precision.

Sources are `translated`. What a graph draws are placeholders, filled from `trained.Draws`.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow
from translated import quotient, translated

tf = tensorflow.compat.v1
EPSILON = 1e-12  # of Adam: it is added before the moments' correction there, and after it here


class Built(Exception):
    """The graph is there; what follows is their training loop."""


def built(*arguments: Any, **options: Any) -> Any:
    raise Built


class Set(ast.NodeTransformer):
    """Give constants that a script sets at its top other values."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self.constants = constants

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id in self.constants:
            node.value = ast.Constant(self.constants[target.id])
        return node


def script(path: Path, constants: Mapping[str, Any], **functions: Any) -> dict[str, Any]:
    """Run a script until it has built its graph, with some functions of its top replaced; its names."""
    tree = translated(path.read_text(), str(path))
    body = [node for node in tree.body if getattr(node, "name", None) not in functions]
    tree.body = [Set(constants).visit(node) if isinstance(node, ast.Assign) else node for node in body]
    names = {"__name__": path.stem, "__quotient__": quotient, "xrange": range, **functions}
    with contextlib.suppress(Built):
        exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), names)
    return names


# --- TensorFlow


class Over:
    """A module, of which some names are others."""

    def __init__(self, module: Any, **names: Any) -> None:
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class Drawn:
    """The draws of a graph, in the order in which it was made: placeholders, each with what it is."""

    def __init__(self) -> None:
        self.places: list[tuple[Any, str]] = []

    def place(self, what: str, shape: Any) -> Any:
        made = tf.placeholder(tf.float64, [int(n) for n in shape])
        self.places.append((made, what))
        return made

    def normal(self, shape: Any, *unused: Any, **options: Any) -> Any:
        return self.place("normal", shape)

    def uniform(self, shape: Any, minval: Any = 0, maxval: Any = 1, *unused: Any, **options: Any) -> Any:
        return minval + self.place("uniform", shape) * (maxval - minval)

    def dropout(self, x: Any, keep_prob: float) -> Any:
        if keep_prob == 1:
            return x
        return tf.where(self.place("dropout", x.shape) < 1 - keep_prob, tf.zeros_like(x), x / keep_prob)

    def needed(self, fetches: Any) -> list[tuple[Any, str]]:
        """Those that ``fetches`` depend on."""
        seen, todo = set(), [getattr(f, "op", f) for f in tf.nest.flatten(fetches)]
        while todo:
            operation = todo.pop()
            if operation not in seen:
                seen.add(operation)
                todo += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
        return [(made, what) for made, what in self.places if made.op in seen]

    def run(self, session: Any, fetches: Any, feeds: Mapping[Any, Any], give: Callable[[str, Any], Any]) -> Any:
        drawn = {made: np.asarray(give(what, [int(n) for n in made.shape])) for made, what in self.needed(fetches)}
        return session.run(fetches, {**feeds, **drawn})


def conv2d(input: Any = None, filter: Any = None, strides: Any = None, padding: Any = None, **options: Any) -> Any:
    """On a CPU there is only NHWC."""
    if options.get("data_format") != "NCHW":
        return tf.nn.conv2d(input, filter, strides=strides, padding=padding)
    strides = [strides[0], *strides[2:], strides[1]]
    made = tf.nn.conv2d(tf.transpose(input, [0, 2, 3, 1]), filter, strides=strides, padding=padding)
    return tf.transpose(made, [0, 3, 1, 2])


def fused_batch_norm(x: Any, scale: Any, offset: Any, epsilon: float = 1e-3, data_format: str = "NHWC") -> Any:
    """It has no double precision."""
    axes, shape = ([0, 2, 3], [1, -1, 1, 1]) if data_format == "NCHW" else ([0, 1, 2], [1, 1, 1, -1])
    mean, variance = tf.nn.moments(x, axes)
    parts = [tf.reshape(value, shape) for value in (mean, variance, offset, scale)]
    return tf.nn.batch_normalization(x, *parts, epsilon), mean, variance


def module(drawn: Drawn, **names: Any) -> Any:
    """Return the module that they import as tensorflow."""

    def adam(*arguments: Any, **options: Any) -> Any:
        return tf.train.AdamOptimizer(*arguments, **{**options, "epsilon": EPSILON})

    nn = Over(tf.nn, conv2d=conv2d, fused_batch_norm=fused_batch_norm, dropout=drawn.dropout)
    made = Over(
        tf,
        __version__="1.15",
        float32=tf.float64,
        nn=nn,
        maximum=maximum,
        train=Over(tf.train, AdamOptimizer=adam),
        random_normal=drawn.normal,
        random_uniform=drawn.uniform,
        device=lambda name: contextlib.nullcontext(),
        **names,
    )
    sys.modules["tensorflow"] = made  # type: ignore[assignment]
    return made


def maximum(a: Any, b: Any, **options: Any) -> Any:
    """A number takes the type of the other."""
    return tf.maximum(tf.cast(a, tf.float64) if isinstance(a, float) else a, b, **options)
