"""Images as few pixels, distances between them, and labels read from them without a network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SIZE = 8  # pixels of a side
_RIDGE = 0.1  # of the mean variance of a pixel


def small(images: Tensor) -> Tensor:
    """Return images (N, ...) as float vectors (N, D): pictures as means of at most 8 x 8 boxes, all else as it is."""
    x = images.float()
    if x.ndim == 4:
        x = F.adaptive_avg_pool2d(x, (min(_SIZE, x.shape[2]), min(_SIZE, x.shape[3])))
    return x.flatten(1)


def pairs(x: Tensor, labels: Tensor | None) -> Tensor:
    """Return the mean distance of two of the vectors (N, D); with labels (N,), of two that have the same one."""
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")  # 0 for equal ones
    if labels is None:
        return distances.sum() / max(1, len(x) * (len(x) - 1))
    same = labels[:, None] == labels
    same.fill_diagonal_(False)
    return (distances * same).sum() / same.sum().clamp(min=1)


class Reading:
    """A linear classifier of small images by least squares with a ridge, in closed form.

    It is fitted to one half of the images and measured on the other. It reads few classes as well as a network would,
    but it tells labels that belong to the images from those that do not.

    Args:
        x: Small real images (N, D), in random order.
        y: Their labels (N,).
        classes: Their number.

    Attributes:
        evidence: That labels belong to images: how far, in standard deviations, the score that images of the second
            half have for their own label is above that for labels in another order. About 0 where they do not.
    """

    def __init__(self, x: Tensor, y: Tensor, classes: int) -> None:
        self.classes, half = classes, len(x) // 2
        known, target = x[:half].double(), F.one_hot(y[:half], classes).double()
        self._mean = known.mean(0)
        known = known - self._mean
        covariance = known.mT @ known / half
        covariance.diagonal().add_(_RIDGE * covariance.diagonal().mean().clamp(min=1e-12))
        self._weight = torch.linalg.solve(covariance, known.mT @ (target - target.mean(0)) / half)
        self._bias = target.mean(0)
        self._shares = torch.bincount(y, minlength=classes).double() / len(y)
        self.evidence = self._evidence(x[half:], y[half:])

    def _evidence(self, x: Tensor, y: Tensor) -> Tensor:
        scores = (x.double() - self._mean) @ self._weight
        shares = torch.bincount(y, minlength=self.classes).double() / len(y)
        mean = scores @ shares
        variance = scores.square() @ shares - mean.square()
        own = scores.gather(1, y[:, None]).squeeze(1)
        return ((own - mean).sum() / variance.clamp(min=0).sum().sqrt().clamp(min=1e-12)).float()

    def share(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the share of small images (N, D) whose label (N,) is read from them."""
        return (self.read(x) == y).float().mean()

    def read(self, x: Tensor) -> Tensor:
        """Return the class (N,) that is read from each small image (N, D)."""
        return ((x.double() - self._mean) @ self._weight + self._bias).argmax(1)
