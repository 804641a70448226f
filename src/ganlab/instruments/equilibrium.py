"""Eigenvalues of the game's Jacobian."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganlab.contracts.instrument import Field, Instrument, Subject
from ganlab.core import randomness
from ganlab.core.checks import at_least
from ganlab.layers.arnoldi import Eigenpairs, eigenpairs

_STEP = 1e-6  # of the differences: in float64 their error is about 1e-9 of v, and few relus change sides


class Equilibrium(Instrument):
    """Leading eigenvalues of the Jacobian J = dv/dw of the game's vector field.

    v(w) = (df_1/dw_1, df_2/dw_2, ...)      f_p what player p minimises, with what regularizers add; w_p its weights

    Near a point with v = 0, simultaneous gradient descent w <- w - h v multiplies what lies along the eigenvector of an
    eigenvalue λ by 1 - h λ: it converges if Re λ > 0 and h < 2 Re λ / |λ|², goes away if Re λ < 0, and turns around
    where Im λ is not 0. Far from such a point (see ``gradient``) the numbers say how v changes, not where it leads to.

    real0, imaginary0, ...   the eigenvalues of largest modulus, the largest first; of a complex pair the one above
    error0, ...              |Jx - λx| of its vector x of length 1, by Arnoldi's estimate
    rotation                 largest |Im λ| / |λ| of them: 0 no rotation, 1 nothing else
    least_real               least Re λ of them
    largest_rate             least 2 Re λ / |λ|² of them: the largest rate h that converges; 0 if a Re λ is not positive
    PLAYER/share0, ...       the player's part of |x|²
    PLAYER/gradient          norm of its part of v

    v is that of the iteration after the checkpoint, on its batch: all players at the same weights and in training mode,
    each turn once, without clipping, optimizers and rates. Arnoldi's iteration needs the products Jx alone, which are
    (v(w + hx) - v(w - hx)) / 2h with h = 1e-6, in float64. So v is that of training, whatever it is made of: gradients
    that regularizers change, numbers through which no gradient goes, networks that cannot be differentiated twice. A
    relu that changes sides between w - hx and w + hx adds an error, which is rare.

    Source: Mescheder et al. 2017 (arXiv:1705.10461), section 3; 2018 (arXiv:1801.04406), section 2; Berard et al. 2020
    (arXiv:1906.04848), sections 3 and 4, whose v and signs these are.

    Args:
        values: Eigenvalues, at least 1; a complex pair counts once.
        depth: Products of the Jacobian, at least ``values``: more make the errors smaller.

    Raises:
        ValueError: If an option is out of range.
    """

    cost = "2 watch.equilibrium.depth iterations in float64, and as many vectors of all weights; for checkpoints alone"

    def __init__(self, values: int = 6, depth: int = 40) -> None:
        self.values = at_least("values", values, 1)
        self.depth = at_least("depth", depth, values)

    def prepare(self, subject: Subject) -> None:
        if subject.vector_field is None:
            raise ValueError(
                f"it costs as much as {2 * self.depth} iterations, so it measures checkpoints afterwards: "
                "ganlab watch RUN what=equilibrium"
            )
        if subject.device.type == "mps":
            raise ValueError("it needs float64, which mps does not have: set device=cpu")

    def measure(self, subject: Subject) -> dict[str, Tensor]:
        assert subject.vector_field is not None
        with subject.vector_field() as field:
            v = field(field.weights)
            parts = dict(zip(field.sizes, v.split(list(field.sizes.values())), strict=True))
            norms = {f"{player}/gradient": part.norm() for player, part in parts.items()}
            draw = randomness.sample(randomness.generator("cpu", subject.seed, "equilibrium"), v.shape)
            pairs = eigenpairs(lambda x: _product(field, x), draw.to(v), self.depth)
        return _summary(pairs, field.sizes, self.values) | {name: norm.float() for name, norm in norms.items()}


def _product(field: Field, x: Tensor) -> Tensor:
    """Return Jx (P,) for a vector x of length 1."""
    there, back = field(field.weights + _STEP * x), field(field.weights - _STEP * x)
    return (there - back) / (2 * _STEP)


def _summary(pairs: Eigenpairs, sizes: Mapping[str, int], count: int) -> dict[str, Tensor]:
    at = (pairs.values.imag >= 0).nonzero().flatten()[:count]  # none where they are not finite
    values, errors, y = pairs.values[at], pairs.errors[at], pairs.vectors[:, at]
    found: dict[str, Tensor] = {}
    for i, value in enumerate(values):
        found |= {f"real{i}": value.real, f"imaginary{i}": value.imag, f"error{i}": errors[i]}
    if len(values):
        size = values.abs().clamp(min=torch.finfo(errors.dtype).tiny)
        found["rotation"] = (values.imag / size).max()
        found["least_real"] = values.real.min()
        found["largest_rate"] = (2 * values.real / size.square()).min().clamp(min=0)
    for player, rows in zip(sizes, pairs.basis.split(list(sizes.values())), strict=True):
        gram = (rows.mT @ rows).cpu().to(y)
        shares = (y.conj() * (gram @ y)).sum(0).real
        found |= {f"{player}/share{i}": share for i, share in enumerate(shares)}
    return {name: number.float() for name, number in found.items()}
