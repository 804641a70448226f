"""The radial power spectrum of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.contracts.figures import Chart, Line
from ganlab.contracts.metric import (
    Accumulator,
    Batch,
    Context,
    Kept,
    Metric,
    Role,
    Score,
    Stream,
    Summary,
    Tensors,
    Value,
)
from ganlab.core.checks import at_least
from ganlab.metrics import intervals
from ganlab.metrics.stored import dealt, in_random_order

_DECIBEL = 10 / math.log(10)


@dataclass(frozen=True)
class Spectrum(Summary):
    """``count`` (B,), ``sum`` (B, R) and ``square`` (B, R) of each image's log power at R spatial frequencies, float64.

    The power of an image at frequency r is the mean of |F(u, v)|^2 over the ring round(|(u, v)|) = r, with u, v in
    cycles an image of its shorter side, up to the Nyquist frequency, and the mean over channels.

    Args:
        blocks: B equal parts of the stream, to which its images are dealt at random.
    """

    blocks: int = 1

    def begin(self, stream: Stream) -> Accumulator:
        return _Spectrum(stream, self.blocks)

    def memory(self, stream: Stream) -> float:
        return in_random_order(stream) + 8.0 * self.blocks * (1 + min(stream.image_shape[1:]))

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


class RadialSpectrum(Metric):
    """Mean log power of generated and real images at each spatial frequency, and how far apart they are.

    spectrum   root mean square over frequencies of the difference of the two curves, in decibels; frequency 0, the
               mean brightness, is left out
    high       signed difference at the highest quarter of the frequencies, in decibels: above 0 too much
               fine detail (the grid of transposed convolutions), below 0 too little

    Intervals are for another draw of the generated images, the real ones held fixed, by a jackknife over blocks.

    Source: Durall et al. 2020 (arXiv:2003.01826), equation 5, for the radial mean; the distance is ours.

    Args:
        blocks: Blocks of the jackknife.

    Raises:
        ValueError: If ``blocks`` is below 2.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "spectrum": "How far the frequencies in images are from those in real ones: blur, and patterns.",
        "spectrum_high": "Strength of fine detail against real images: below 0 too little, above 0 too much.",
    }

    def __init__(self, blocks: int = 20) -> None:
        self.blocks = at_least("blocks", blocks, 2)

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"spectrum": Spectrum(self.blocks if role == "fake" else 1)}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        curves, errors = {}, {}
        for role in ("fake", "real"):
            sums = kept[role]["spectrum"]
            count = sums["count"].sum()
            curves[role] = sums["sum"].sum(0) / count
            variance = (sums["square"].sum(0) / count - curves[role].square()).clamp(min=0)
            errors[role] = (variance / (count - 1).clamp(min=1)).sqrt()
        found = _numbers(curves["fake"], curves["real"])
        ends: list[tuple[float | None, float | None]] = [(None, None)] * 2
        blocks = kept["fake"]["spectrum"]
        if float(blocks["count"].min()) >= 1:
            others = blocks["count"].sum() - blocks["count"]
            without = (blocks["sum"].sum(0) - blocks["sum"]) / others[:, None]
            left_out = [_numbers(curve, curves["real"]) for curve in without]
            ends = [intervals.jackknife(value, [n[i] for n in left_out]) for i, value in enumerate(found)]
        (low, high), (low_of_high, high_of_high) = ends
        details = {
            "frequency": list(range(len(curves["fake"]))),
            **{role: (curves[role] * _DECIBEL).tolist() for role in curves},
            **{f"{role}_error": (errors[role] * _DECIBEL).tolist() for role in errors},
        }
        values = {
            "spectrum": Value(
                found[0], None if low is None else max(0.0, low), high, "lower", about="dB, root mean square"
            ),
            "spectrum_high": Value(found[1], low_of_high, high_of_high, "real", 0.0, "dB at high frequencies"),
        }
        return Score(values, details, [_chart(curves, errors)])


def _chart(curves: Mapping[str, Tensor], errors: Mapping[str, Tensor]) -> Chart:
    """Both spectra, each with the 95 % interval of its means."""
    lines = []
    for role, name in (("fake", "generated"), ("real", "real")):
        means, halves = (curves[role] * _DECIBEL).tolist(), (errors[role] * _DECIBEL * intervals.NORMAL).tolist()
        band = [(r, mean - half, mean + half) for r, (mean, half) in enumerate(zip(means, halves, strict=True))]
        lines.append(Line(name, list(enumerate(means)), band))
    return Chart("Power at each spatial frequency", "cycles an image", "mean log power, dB", lines)


def _numbers(fake: Tensor, real: Tensor) -> tuple[float, float]:
    """Root mean square difference of two curves, and the mean one at high frequencies, in decibels."""
    difference = (fake - real)[1:] * _DECIBEL
    highest = difference[-max(1, len(difference) // 4) :]
    return float(difference.square().mean().sqrt()), float(highest.mean())


def radial_power(images: Tensor) -> Tensor:
    """Power (B, R) of images (B, C, H, W), any real dtype, in their own units squared an image element."""
    height, width = images.shape[2:]
    power = torch.fft.fft2(images.double(), norm="ortho").abs().square().mean(1).flatten(1)  # (B, H·W)
    ring, size = _rings(height, width)
    sums = torch.zeros(len(images), len(size), dtype=power.dtype, device=power.device)
    sums.index_add_(1, ring.to(power.device), power)
    return sums[:, :-1] / size[:-1].to(power.device)


def _rings(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The ring of each frequency of an FFT, flattened; and the size of each ring. The last one is what lies beyond."""
    short = min(height, width)
    v, u = (torch.fft.fftfreq(n, 1 / short, dtype=torch.float64) for n in (height, width))
    rings = short // 2 + 1
    radius = (v[:, None].square() + u[None].square()).sqrt().round().long().clamp(max=rings)
    return radius.flatten(), torch.bincount(radius.flatten(), minlength=rings + 1).double().clamp(min=1)


class _Spectrum(Accumulator):
    def __init__(self, stream: Stream, blocks: int) -> None:
        rings = min(stream.image_shape[1:]) // 2 + 1
        self.block = dealt(stream, blocks)
        shapes = {"count": (blocks,), "sum": (blocks, rings), "square": (blocks, rings)}
        self.kept = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}

    def update(self, batch: Batch) -> None:
        device = batch.images.device
        if self.kept["count"].device != device:
            self.kept = {name: tensor.to(device) for name, tensor in self.kept.items()}
        # one 255th squared, the step of a pixel: a blank image has a logarithm too
        logarithm = (radial_power(batch.images.double() / 255) + 1 / 255**2).log()
        block = self.block[batch.start : batch.start + len(batch)].to(device)
        self.kept["count"].index_add_(0, block, torch.ones_like(logarithm[:, 0]))
        self.kept["sum"].index_add_(0, block, logarithm)
        self.kept["square"].index_add_(0, block, logarithm.square())

    def tensors(self) -> Tensors:
        return self.kept
