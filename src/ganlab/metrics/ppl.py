"""Perceptual path length in w."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Value
from ganlab.core import randomness
from ganlab.core.checks import at_least, share
from ganlab.core.errors import GanlabError, one_of
from ganlab.metrics import intervals

Distance = Callable[[Tensor, Tensor], Tensor]
_SMALLEST = 16  # of VGG-16's four poolings
_LARGEST = 256  # larger images are shrunk: VGG-16 was trained at 224


class PPL(Metric):
    """E[d(G(w_t), G(w_{t + eps})) / eps^2], w_t on the line from one w to another: how fast images change along it.

    Images are not quantised, the network's noise is fixed, both ends of a line have one label (drawn as the protocol's
    samples draw theirs), and what lies beyond the 1st and the 99th percentile is left out, as in StyleGAN's code. A
    truncation of the protocol holds here too; published path lengths have none. It needs a generator with a w space,
    and images of its own: two for each sample.
    LPIPS sees images as they are, those of more than 256 pixels shrunk to about that by averaging, as in that code
    (torch-fidelity stretches all to 64 by default).

    It says how smooth a generator is and not how real its images are: in training it may rise, as images begin to
    differ, or fall, and real images have none. The interval is for other pairs, and knows of what is left out.

    Source: Karras et al. 2019 (arXiv:1812.04948), section 4.1; sampling at t = 0: StyleGAN2 (arXiv:1912.04958).

    Args:
        samples: Pairs.
        epsilon: eps.
        ends: t = 0 as StyleGAN2 has it; False: t uniform in [0, 1) as StyleGAN.
        distance: ``lpips``: LPIPS of VGG-16 through torch-fidelity, which downloads it; ``pixels``: the mean squared
            difference of pixels in [-1, 1], which is no perceptual distance and needs no weights.

    Raises:
        ValueError: If an option is out of range.
    """

    roles: ClassVar[tuple[Role, ...]] = ("fake",)
    needs_run: ClassVar[bool] = True
    meanings: ClassVar[Mapping[str, str]] = {
        "ppl": "How abruptly images change on a path between two latents; low: smoothly.",
    }

    def __init__(
        self, samples: int = 10_000, epsilon: float = 1e-4, ends: bool = True, distance: str = "lpips"
    ) -> None:
        at_least("samples", samples, 2)
        share("epsilon", epsilon, zero=False, one=False)
        one_of(distance, ("lpips", "pixels"), "distance")
        self.samples, self.epsilon, self.ends, self.distance = samples, epsilon, ends, distance
        self.own_samples = samples
        self.seed = 0
        self.between: Distance = _pixels

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {}

    def prepare(self, fake: Stream, context: Context) -> None:
        if context.latents is None or not all(
            hasattr(context.generator, n) for n in ("mapping", "styles", "synthesis")
        ):
            raise GanlabError("ppl needs a generator with a w space, and this one has none: leave ppl out.")
        self.seed, self.between = fake.seed, _pixels
        if self.distance == "lpips":
            size = min(_image_size(context.generator, fake))
            if size < _SMALLEST:
                raise GanlabError(
                    f"LPIPS needs images of at least {_SMALLEST} pixels, and these have {size}: "
                    f"set ppl.distance=pixels, or leave ppl out."
                )
            self.between = _lpips(next(context.generator.parameters()).device)

    @torch.no_grad()
    def measure(self, start: int, stop: int, context: Context) -> Tensor:
        """d / eps^2 of pairs, float64 (stop - start,): pair i has the latents 2i and 2i + 1, and the label of 2i."""
        generator = context.generator
        assert context.latents is not None
        parameter = next(generator.parameters())
        z = context.latents(2 * start, 2 * stop).to(parameter)
        y = context.labels(2 * start, 2 * stop)[0::2].to(parameter.device) if context.labels is not None else None
        t = torch.zeros(stop - start, 1) if self.ends else torch.cat([self._place(i) for i in range(start, stop)])
        begin, end = (generator.mapping(part, y) for part in (z[0::2], z[1::2]))
        psi = () if context.truncation is None else (context.truncation,)
        first, second = (
            generator.synthesis(generator.styles(torch.lerp(begin, end, at.to(begin)), *psi), noise="fixed").float()
            for at in (t, t + self.epsilon)
        )
        return self.between(first, second).cpu().double() / self.epsilon**2

    def _place(self, pair: int) -> Tensor:
        """t of a pair, (1, 1)."""
        return torch.rand(1, 1, generator=randomness.generator("cpu", self.seed, "ppl", pair))

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        values = context.own if context.own is not None else self.measure(0, self.samples, context)
        values = values.sort().values
        # from the order statistic below the 1st percentile to the one above the 99th, as the published code
        inner = values[math.floor(0.01 * (len(values) - 1)) : math.ceil(0.99 * (len(values) - 1)) + 1]
        value, half = float(inner.mean()), intervals.NORMAL * _error_of_trimmed(values, inner)
        return Score(
            {"ppl": Value(value, max(0.0, value - half), value + half, "lower", about=f"in w, {self.distance}")}
        )


def _image_size(generator: Any, fake: Stream) -> tuple[int, int]:
    """Return (H, W) of the images that the generator makes now: one that is still growing makes smaller ones."""
    size: tuple[int, int] = (
        generator.image_size_at(generator.level) if hasattr(generator, "image_size_at") else fake.image_shape[1:]
    )
    return size


def _error_of_trimmed(values: Tensor, inner: Tensor) -> float:
    """Standard error of the mean of the ``inner`` of ``values``: what was cut off counts as the nearest that was kept.

    Source: Tukey & McLaughlin 1963.
    """
    winsorized = values.clamp(inner.min(), inner.max())
    return float(winsorized.std()) * len(values) ** 0.5 / len(inner)


def _pixels(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().mean((1, 2, 3))


def _lpips(device: torch.device) -> Distance:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module("torch_fidelity.sample_similarity_lpips")
            network: Any = module.SampleSimilarityLPIPS("lpips-vgg16").to(device)
    except Exception as error:  # not installed, or urllib's and torch's many ways of not getting a file
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise GanlabError(
            f"The weights of LPIPS cannot be loaded ({reason}): run ppl once on a machine with a network and copy "
            f"~/.cache/torch/hub, install ganlab[metrics], or take ppl.distance=pixels."
        ) from error

    def distance(x: Tensor, y: Tensor) -> Tensor:
        factor = max(1, min(x.shape[2:]) // _LARGEST)
        x, y = (F.avg_pool2d((images.expand(-1, 3, -1, -1) + 1) * 127.5, factor) for images in (x, y))
        found: Tensor = network(x, y)
        return found.flatten()  # (B,)

    return distance
