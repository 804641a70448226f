"""Slopes of the discriminator from two of its outputs, without derivatives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganlab.contracts.points import Points, mapped
from ganlab.contracts.view import View
from ganlab.core.checks import checked, positive
from ganlab.core.errors import one_of
from ganlab.core.ranges import Range

ESTIMATORS = ("exact", "finite_difference")


@dataclass(frozen=True)
class Slopes:
    """The estimator of a penalty on the input gradient.

    Args:
        estimator: ``exact``: ||dD/dx||, by differentiating twice. ``finite_difference``: |D(x + eps n) - D(x)| / eps
            with n ~ N(0, I), whose square has the expectation ||dD/dx||^2 for a linear D.
        eps: Size of the step, in units of the images; positive.
        share: Share of the batch at which differences are taken, 1/k for a whole k: every k-th image.

    Raises:
        ValueError: If an option is out of range.
    """

    estimator: str = "exact"
    eps: float = 0.01
    share: float = 0.25

    def __post_init__(self) -> None:
        one_of(self.estimator, ESTIMATORS, "estimator")
        positive("eps", self.eps)
        checked("share", self.share, Range(above=0, most=1))
        if abs(1 / self.share - round(1 / self.share)) > 1e-6:
            raise ValueError(f"share must be 1/k for a whole k, such as 0.25 or 0.5, got {self.share}")

    @property
    def exact(self) -> bool:
        """Tell if the gradient itself is taken."""
        return self.estimator == "exact"

    def differences(self, view: View, points: Points) -> Tensor:
        """Return (D(x + eps n) - D(x)) / eps, one for each of the points taken, in float32 at least.

        Both passes are the penalty's own, in the images' precision with autocast off, and draw the same numbers:
        dropout, noise and augmentations do not come into the difference. Gradients go through both.
        """
        step = round(1 / self.share)
        images = points.images.detach()[::step]
        images = images.float() if images.dtype in (torch.bfloat16, torch.float16) else images
        noise = view.draw(f"finite difference at {points.role}", images.shape).to(images)
        labels, codes = mapped((points.labels, points.codes), lambda condition: condition[::step])
        some = replace(points, images=images, labels=labels, codes=codes)
        purpose = f"finite difference at {points.role}"
        found = []
        with torch.autocast(images.device.type, enabled=False):
            for at in (some, replace(some, images=images + self.eps * noise)):
                with view.replayed(purpose):
                    found.append(view.game.per_image(view.logits(at)))
        return (found[1] - found[0]) / self.eps
