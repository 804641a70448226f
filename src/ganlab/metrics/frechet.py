"""The Fréchet distance between two Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor


class Frechet:
    """d^2 = |m_1 - m_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2) to one fixed Gaussian (m_1, S_1).

    With S_1 = V diag(w) V^T and A = diag(w)^(1/2) V^T the trace of the root is the sum of the roots of the
    eigenvalues of the symmetric A S_2 A^T, which are those of S_1 S_2: real and not negative, so nothing
    imaginary is left over and no small matrix is added to the diagonal. Directions in which S_1 has no
    variance add nothing and are dropped, so a covariance of fewer images than dimensions is exact. Where S_1 has full
    rank beyond doubt its Cholesky factor serves as A, at a twentieth of the cost.

    Source: Dowson & Landau 1982, equation 4; FID: Heusel et al. 2017 (arXiv:1706.08500).

    Args:
        mean: (D,).
        covariance: (D, D), symmetric.
        rank: What the rank of ``covariance`` cannot exceed (images less one); None: not known.
    """

    def __init__(self, mean: Tensor, covariance: Tensor, rank: int | None = None) -> None:
        self.mean, covariance = mean.double(), covariance.double()
        self.factor = _factor(covariance, rank)
        self.trace = covariance.trace()

    def distance(self, mean: Tensor, covariance: Tensor, rank: int | None = None) -> float:
        """Return the squared distance to (mean, covariance), as FID is reported."""
        mean, covariance = mean.to(self.mean), covariance.to(self.mean)
        values = torch.linalg.eigvalsh(self._product(covariance))
        return self._value(mean, covariance, values[_positive(values, rank)].sqrt())

    def expanded(self, mean: Tensor, covariance: Tensor, rank: int | None = None) -> tuple[float, Tensor, Tensor]:
        """The squared distance to (mean, covariance), and its derivatives there by the mean, (D,), and by the
        covariance, (D, D): 2 (m - m_1) and I - T, with T = A^T U diag(l)^(-1/2) U^T A the map of optimal transport and
        A S A^T = U diag(l) U^T; directions without variance are left out of T.
        """
        mean, covariance = mean.to(self.mean), covariance.to(self.mean)
        values, vectors = torch.linalg.eigh(self._product(covariance))
        kept = _positive(values, rank)
        root = values[kept].sqrt()
        half = (vectors[:, kept] / root.sqrt()).T @ self.factor
        by_covariance = torch.eye(len(mean)).to(covariance) - half.T @ half
        return self._value(mean, covariance, root), 2 * (mean - self.mean), by_covariance

    def _product(self, covariance: Tensor) -> Tensor:
        product = self.factor @ covariance @ self.factor.T
        return (product + product.T) / 2

    def _value(self, mean: Tensor, covariance: Tensor, root: Tensor) -> float:
        value = float((self.mean - mean).square().sum() + self.trace + covariance.trace() - 2 * root.sum())
        return max(value, 0.0)  # not by rounding either; NaN stays NaN in this order


def _factor(covariance: Tensor, rank: int | None) -> Tensor:
    """A (k, D) with A^T A = S, k the rank of S."""
    if rank is None or rank >= len(covariance):
        lower, failed = torch.linalg.cholesky_ex(covariance)
        pivots = lower.diagonal().square()
        if not failed and pivots.min() > 1e-10 * pivots.max():
            return lower.T
    values, vectors = torch.linalg.eigh(covariance)
    kept = _positive(values, rank)
    return (vectors[:, kept] * values[kept].sqrt()).T


def frechet(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """The Fréchet distance between two Gaussians, see `Frechet`."""
    return Frechet(mean, covariance).distance(other_mean, other_covariance)


def _positive(values: Tensor, rank: int | None) -> Tensor:
    """Tell ascending eigenvalues from rounding noise around 0, which would enter by its root."""
    kept = values > torch.finfo(values.dtype).eps * values.clamp(min=0).max() if len(values) else values > 0
    if rank is not None and rank < len(values):
        kept[: len(values) - rank] = False
    return kept
