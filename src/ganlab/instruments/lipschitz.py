"""Slopes of the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.contracts.instrument import Instrument, Subject
from ganlab.core import randomness
from ganlab.core.checks import at_least
from ganlab.instruments.spectra import Spectra


class Lipschitz(Instrument):
    """Norms of the discriminator's gradient by the image, |dD(x)/dx|: the largest and the mean of some points.

    real_max, real_mean         at training images
    fake_max, fake_mean         at generated images
    between_max, between_mean   at x + a (G(z) - x) with a in [0, 1), where a gradient penalty has its points
    sigma_product               product of the largest singular values of the discriminator's convolutions and linear
                                maps, as they are used

    The largest of some points is a lower bound of the Lipschitz constant. For a plain stack of layers whose activations
    have slopes of at most 1 the product of ``operator`` norms is an upper bound; residual blocks, and the ``kernel``
    norms of convolutions, make it a number to watch only. The points are the same ones each time; gradients are those
    of the discriminator alone, without augmentation, in evaluation mode.

    Source: Gulrajani et al. 2017 (arXiv:1704.00028) for the points between; Miyato et al. 2018 (arXiv:1802.05957),
    section 2.1, for the product.

    Args:
        samples: Points of each kind, at least 1.
        convolutions: As of `ganlab show watch spectra`: ``kernel`` or ``operator``.

    Raises:
        ValueError: If an option is out of range.
    """

    cost = "three times watch.lipschitz.samples images through the discriminator and back, and spectra of its weights"

    def __init__(self, samples: int = 32, convolutions: str = "kernel") -> None:
        self.samples = at_least("samples", samples, 1)
        self._spectra = Spectra(convolutions=convolutions)
        self._products: tuple[str, ...] = ()

    def prepare(self, subject: Subject) -> None:
        network, _ = subject.discriminator, subject.generator
        if not subject.counts.get("train"):
            raise ValueError("it needs real images, and the run has none")
        self._spectra.players = (subject.game.owner("discriminator"),)
        self._spectra.prepare(subject)
        inside = set(network.modules())
        self._products = tuple(
            layer.name
            for layer in self._spectra.layers
            if layer.module in inside and not isinstance(layer.module, nn.Embedding)
        )

    def measure(self, subject: Subject) -> dict[str, Tensor]:
        (real, labels), (fake, fake_labels) = (
            subject.reals("train", self.samples),
            subject.fakes(self.samples, averaged=False),
        )
        count = min(len(real), len(fake))
        share = randomness.sample(randomness.generator("cpu", subject.seed, "lipschitz"), (count,), "uniform")
        share = share.to(real, non_blocking=True).view(-1, *[1] * (real.ndim - 1))
        points = {
            "real": (real, labels),
            "fake": (fake, fake_labels),
            "between": (
                real[:count] + share * (fake[:count] - real[:count]),
                None if labels is None else labels[:count],
            ),
        }
        found: dict[str, Tensor] = {}
        for role, (x, y) in points.items():
            norms = _slopes(subject, x, y)
            found[f"{role}_max"], found[f"{role}_mean"] = norms.max(), norms.mean()
        values = self._spectra.measure(subject)
        used = [values.get(f"{name}/used_sigma0", values[f"{name}/sigma0"]) for name in self._products]
        return {**found, "sigma_product": torch.stack(used).double().prod().float()} if used else found

    def state_dict(self) -> dict[str, Any]:
        return self._spectra.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._spectra.load_state_dict(state)


def _slopes(subject: Subject, images: Tensor, labels: Tensor | None) -> Tensor:
    """Return |dD(x)/dx| of each image (B,)."""
    x = images.detach().requires_grad_()
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(subject.logits(x, labels).sum(), x)
    return gradients.flatten(1).norm(dim=1)
