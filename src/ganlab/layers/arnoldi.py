"""Leading eigenvalues of a linear map that is known by its products alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_NOTHING = 1e-12  # of a product, which rounding leaves


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues of a real map A on a Krylov space, and their vectors Qy.

    Args:
        values: λ (k,), complex, the largest modulus first, on the CPU; NaN where products are not finite.
        basis: Q (P, k), orthonormal.
        vectors: y (k, k), complex, a column of length 1 for each value, on the CPU.
        errors: |A Qy - λ Qy| (k,): 0 where they are exact.
    """

    values: Tensor
    basis: Tensor
    vectors: Tensor
    errors: Tensor


def eigenpairs(product: Callable[[Tensor], Tensor], start: Tensor, depth: int) -> Eigenpairs:
    """Return eigenvalues of A from ``depth`` products with it, by Arnoldi's iteration.

    Q spans v, Av, ..., A^(k-1) v, and the values are those of H = Q'AQ; outer ones are found first. k is ``depth``, or
    less where the space is invariant: then all of its eigenvalues are exact. It reads its numbers on the host.

    Source: Arnoldi 1951; Saad 2011, Numerical Methods for Large Eigenvalue Problems, algorithm 6.2 and proposition 6.8.

    Args:
        product: x (P,) -> Ax.
        start: v (P,), not 0.
        depth: Products, at least 1; vectors of the length of v that are kept.
    """
    depth = min(depth, len(start))
    basis = start.new_empty(depth + 1, len(start))
    basis[0] = start / start.norm()
    upper = torch.zeros(depth + 1, depth, dtype=start.dtype)
    size = depth
    for k in range(depth):
        new = product(basis[k])
        scale = new.norm()
        for _ in range(2):  # rounding leaves a part of the basis, which is large where little else is new
            inside = basis[: k + 1] @ new
            new = new - inside @ basis[: k + 1]
            upper[: k + 1, k] += inside.cpu()
        rest = new.norm()
        if k + 1 == len(start) or rest <= _NOTHING * scale:
            size = k + 1
            break
        upper[k + 1, k] = rest.cpu()
        basis[k + 1] = new / rest
    if not upper.isfinite().all():
        nothing = torch.full((size,), torch.nan, dtype=start.dtype)
        return Eigenpairs(
            torch.complex(nothing, nothing), basis[:size].mT, torch.complex(upper, upper)[:size, :size], nothing
        )
    values, vectors = torch.linalg.eig(upper[:size, :size])
    order = torch.argsort(values.abs(), descending=True, stable=True)
    errors = upper[size, size - 1].abs() * vectors[-1].abs()
    return Eigenpairs(values[order], basis[:size].mT, vectors[:, order], errors[order])
