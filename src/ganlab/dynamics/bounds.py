"""Bounds of a discriminator's slope: its measured Lipschitz constant, the norms of its weights, and the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.core import files, randomness
from ganlab.core.errors import GanlabError
from ganlab.dynamics import energy, figures
from ganlab.dynamics.training import Training
from ganlab.layers import spectral_norm, state
from ganlab.sampling import scatter

LOSS = "loss=wasserstein"
METHODS = (
    "reg=none",
    "reg=weight_clipping reg.weight_clipping.limit=0.1",
    "reg=gradient_penalty",
    "reg=sn",
)
LOOKS = 50  # over the training
ROUNDS = 40  # of power iteration
_POINTS = 60  # along a side of the picture, at which the slope is measured
_AT_LIMIT = 0.999  # of the largest weight of a layer: it lies at the limit
_BINS = 61
_SIZES = {1: (4.4, 14.0), 2: (11, 7.2)}  # inches of a picture with so many columns
_DPI = 110
_COLOURS = ("#8a8580", "#d95f22", "#2a78d6", "#1f9e77", "#b8860b", "#7d3c98", "#c0392b")


@dataclass(frozen=True)
class Bounded:
    """A discriminator over its training.

    Args:
        name: The regularizer, in words.
        iterations: Of each look.
        constants: Largest ||∇D|| at the points of a grid and at samples, at each look: a lower bound of the Lipschitz
            constant.
        products: Product of the largest singular values of the weights as they are used: an upper bound of it, where
            activations have slopes of at most 1.
        norms: These singular values (looks, layers).
        weights: All weights between hidden layers as they are used, (N,), each over the largest one of its layer.
    """

    name: str
    iterations: list[int]
    constants: list[float]
    products: list[float]
    norms: Tensor
    weights: Tensor

    @property
    def at_limit(self) -> float:
        """Share of the weights that have the size of the largest one of their layer."""
        return float((self.weights.abs() >= _AT_LIMIT).double().mean())

    def __str__(self) -> str:
        return (
            f"{self.name}: largest slope {self.constants[-1]:.3g} (highest of the training {max(self.constants):.3g}), "
            f"product of norms {self.products[-1]:.3g}, {100 * self.at_limit:.0f} % of the weights at the limit"
        )


def watch(name: str, training: Training, iterations: int) -> Bounded:
    """Train, and return the slopes and the norms of the discriminator at equal distances.

    Raises:
        GanlabError: If the discriminator judges no single points, or has no linear layers.
    """
    at = sorted({round(iterations * look / LOOKS) for look in range(LOOKS + 1)})
    constants, norms = [], []
    for iteration in range(iterations + 1):
        if iteration:
            training.iterate()
        if iteration in at:
            constants.append(_constant(training))
            norms.append(torch.stack([torch.linalg.matrix_norm(w, 2) for w in _weights(training)]))
    hidden = [w / w.abs().max().clamp(min=1e-12) for w in _weights(training)[1:-1]] or _weights(training)
    return Bounded(
        name,
        at,
        constants,
        [float(each.double().prod()) for each in norms],
        torch.stack(norms),
        torch.cat([w.flatten() for w in hidden]),
    )


def _constant(training: Training) -> float:
    points = torch.cat([energy.grid(scatter.around(training.points), _POINTS, training.points), training.samples(1000)])
    return float(energy.gradient(training, points).norm(dim=1).max())


@torch.no_grad()
def _weights(training: Training) -> list[Tensor]:
    """Return the weights of the discriminator's linear layers, as they are used."""
    network = training.game.get_submodule("discriminator")
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise GanlabError("view=bounds needs a discriminator of linear layers: take discriminator=mlp.")
    was_training = network.training
    network.eval()
    try:
        with state.passing(moves=False):
            return [layer.weight.detach().clone() for layer in layers]
    finally:
        network.train(was_training)


def largest(training: Training) -> Tensor:
    """Return the weight of the discriminator's largest layer."""
    return max(_weights(training), key=Tensor.numel)


def iterated(weight: Tensor, rounds: int = ROUNDS) -> list[float]:
    """Return |σ_k - σ| / σ of a weight's power iteration after k = 1, 2, ... rounds from a random vector.

    With the two largest singular values s0 > s1 it falls by (s1 / s0)⁴ a round.
    """
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    layer.weight.data.copy_(weight)
    exact = float(torch.linalg.matrix_norm(layer.weight.detach(), 2))
    (found,) = spectral_norm.attach(layer)
    (norm,) = (step for step in found if isinstance(step, spectral_norm.SpectralNorm))
    start = randomness.sample(randomness.generator("cpu", 0, "power"), (weight.shape[0],), "normal").double()
    norm.u.copy_(start / start.norm())
    errors = []
    for _ in range(rounds):
        with spectral_norm.held([found]):
            errors.append(abs(float(norm.sigma) - exact) / exact)
    return errors


def draw(found: Sequence[Bounded], powers: dict[str, list[float]], path: Path, columns: int = 2) -> None:
    """Draw slopes, norms, power iterations and weights.

    Args:
        found: Of each method.
        powers: Errors of `iterated`, by name.
        path: A file that ends as one of `figures.KINDS`.
        columns: 2: two beside two; 1: one below the other, for a narrow screen.

    Raises:
        GanlabError: If it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kind = figures.kind_of(path)
    figure = Figure(figsize=_SIZES[columns], layout="constrained")
    FigureCanvasAgg(figure)
    slopes, power, norms, weights = figure.subplots(4 // columns, columns).flat
    for one, colour in zip(found, _repeated(_COLOURS), strict=False):
        slopes.plot(one.iterations, one.constants, color=colour, label=one.name)
        norms.plot(one.iterations, one.products, color=colour)
        counts, edges = np.histogram(one.weights.numpy(), np.linspace(-1, 1, _BINS + 1))
        weights.stairs(counts / counts.sum(), edges, color=colour, linewidth=1.4)
    for (name, errors), style in zip(powers.items(), _repeated(("-", "--", ":")), strict=False):
        power.plot(range(1, len(errors) + 1), errors, style, color=_COLOURS[3], label=name)
    slopes.set(title="measured Lipschitz constant: largest |∇D|", xlabel="iteration", yscale="log")
    norms.set(title="product of the largest singular values", xlabel="iteration", yscale="log")
    lines = math.ceil(len(powers) / columns)
    power.set_title("power iteration: |σₖ − σ| / σ", pad=8 + 16 * lines)  # the legend lies below it, where no curve is
    power.set(xlabel="round k")
    power.set_yscale("log", nonpositive="mask")
    weights.set(
        title="weights of hidden layers", xlabel="share of the largest", ylabel="share of the weights", yscale="log"
    )
    for axes in (slopes, norms):
        axes.axhline(1, color="0.6", linewidth=0.8)
    figure.legend(
        *slopes.get_legend_handles_labels(), loc="outside upper center", ncols=columns, frameon=False, fontsize=9
    )
    power.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=columns, frameon=False, fontsize=9)
    for axes in (slopes, power, norms, weights):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    try:
        with files.whole(path) as file:
            figure.savefig(file, format=kind, dpi=_DPI)
    except OSError as error:
        raise GanlabError(f"out={path} cannot be written: {error.strerror or error}.") from error


def _repeated(values: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from values
