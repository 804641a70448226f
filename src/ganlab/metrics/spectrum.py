"""The radial power spectrum of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.metrics.contract import (
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

_DECIBEL = 10 / math.log(10)


@dataclass(frozen=True)
class Spectrum(Summary):
    """``count``, and ``sum`` and ``square`` (R,) of each image's log power at R spatial frequencies, float64.

    The power of an image at frequency r is the mean of |F(u, v)|^2 over the ring round(|(u, v)|) = r, with u, v in
    cycles an image of its shorter side, up to the Nyquist frequency, and the mean over channels.
    """

    def begin(self, stream: Stream) -> Accumulator:
        return _Spectrum(stream.image_shape[1:])

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


class RadialSpectrum(Metric):
    """Mean log power of generated and real images at each spatial frequency, and how far apart they are.

    spectrum   root mean square over frequencies of the difference of the two curves, in decibels; frequency 0, the
               mean brightness, is left out
    high       signed difference at the highest quarter of the frequencies, in decibels: above 0 too much
               fine detail (the grid of transposed convolutions), below 0 too little

    Source: Durall et al. 2020 (arXiv:2003.01826), equation 5, for the radial mean; the distance is ours.
    """

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"spectrum": Spectrum()}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        curves, errors = {}, {}
        for role in ("fake", "real"):
            sums = kept[role]["spectrum"]  # type: ignore[index]
            count = sums["count"]
            curves[role] = sums["sum"] / count
            variance = (sums["square"] / count - curves[role].square()).clamp(min=0)
            errors[role] = (variance / (count - 1).clamp(min=1)).sqrt()
        difference = (curves["fake"] - curves["real"])[1:] * _DECIBEL
        highest = difference[-max(1, len(difference) // 4) :]
        details = {
            "frequency": list(range(len(curves["fake"]))),
            **{role: (curves[role] * _DECIBEL).tolist() for role in curves},
            **{f"{role}_error": (errors[role] * _DECIBEL).tolist() for role in errors},
        }
        return Score(
            {
                "spectrum": Value(
                    float(difference.square().mean().sqrt()), better="lower", about="dB, root mean square"
                ),
                "spectrum_high": Value(float(highest.mean()), better="real", real=0.0, about="dB at high frequencies"),
            },
            details,
        )


def radial_power(images: Tensor) -> Tensor:
    """Power (B, R) of images (B, C, H, W), any real dtype, in their own units squared an image element."""
    height, width = images.shape[2:]
    power = torch.fft.fft2(images.double(), norm="ortho").abs().square().mean(1).flatten(1)
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
    def __init__(self, size: tuple[int, ...]) -> None:
        rings = min(size) // 2 + 1
        shapes = {"count": (), "sum": (rings,), "square": (rings,)}
        self.kept = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}

    def update(self, batch: Batch) -> None:
        device = torch.device("cpu") if batch.images.device.type == "mps" else batch.images.device
        if self.kept["count"].device != device:
            self.kept = {name: tensor.to(device) for name, tensor in self.kept.items()}
        # one 255th squared, the step of a pixel: a blank image has a logarithm too
        logarithm = (radial_power(batch.images.to(device).double() / 255) + 1 / 255**2).log()
        self.kept["count"] += len(batch)
        self.kept["sum"] += logarithm.sum(0)
        self.kept["square"] += logarithm.square().sum(0)

    def tensors(self) -> Tensors:
        return self.kept
