"""Spectral normalization as a parametrization of any network's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList

from ganlab.core.errors import one_of
from ganlab.layers import state
from ganlab.layers.operator_norm import OperatorNorm

Module = TypeVar("Module", bound=nn.Module)

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)  # weight is (in, out, ...)
EVALUATIONS = ("fresh", "stored")
ELIGIBLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Embedding, *TRANSPOSED)


class SpectralNorm(nn.Module):
    """W / σ(W), with σ the largest singular value of W as a matrix (out, rest), by power iteration.

    v ← Wᵀu / max(‖Wᵀu‖, ε)        u ← Wv / max(‖Wv‖, ε)        σ = uᵀWv

    Source: Miyato et al. 2018 (arXiv:1802.05957), algorithm 1 and eq. 9. The gradient flows through W
    in σ, not through u and v (eq. 12), unless ``differentiable``, as in SAGAN's code.

    One call makes ``iterations`` iterations from the stored u. They are stored in training where
    `ganlab.layers.state.moves`; otherwise they are made afresh each time, as in the published code.
    Inside `held` every call uses the vectors with which the block began. With ``evaluation="stored"``
    v is stored with u, and σ is that of both in evaluation, without an iteration, as
    ``torch.nn.utils.spectral_norm`` has it.

    Args:
        weight: The weight to be parametrized; its shape and device count.
        out_dim: Dimension of the outputs: 0, or 1 for transposed convolutions.
        iterations: Power iterations a call.
        eps: ε.
        evaluation: ``fresh`` or ``stored``.
        exact: Whether u and v are the singular vectors, by a full decomposition each time, instead of iterates.
        differentiable: Whether the gradient also flows through u and v, to the stored u; not with ``exact``.

    Raises:
        ValueError: If ``iterations`` is below 1, ``evaluation`` neither, or ``exact`` is to be ``differentiable``.
    """

    u: Tensor
    start: Tensor  # only with differentiable=True
    v: Tensor  # only with evaluation="stored"
    left: Tensor
    right: Tensor
    sigma: Tensor

    def __init__(
        self,
        weight: Tensor,
        out_dim: int = 0,
        iterations: int = 1,
        eps: float = 1e-12,
        evaluation: str = "fresh",
        exact: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__()
        one_of(evaluation, EVALUATIONS, "evaluation")
        if iterations < 1:
            raise ValueError(f"expected at least one power iteration, got {iterations}")
        if exact and differentiable:
            raise ValueError("only power iterations are differentiable: set exact=false")
        self.out_dim, self.iterations, self.eps, self.exact = out_dim, iterations, eps, exact
        rows = weight.shape[out_dim]
        start = F.normalize(torch.randn(rows, device=weight.device, dtype=weight.dtype), dim=0)
        self.register_buffer("u", start)
        # The vectors in use inside `held`. They are computed for each block, so they are not saved.
        self.register_buffer("left", start.clone(), persistent=False)
        self.register_buffer("right", start.new_zeros(weight.numel() // rows), persistent=False)
        self.register_buffer("sigma", start.new_zeros(()), persistent=False)
        if evaluation == "stored":
            first = F.normalize(torch.mv(weight.transpose(0, out_dim).reshape(rows, -1).t(), start), dim=0, eps=eps)
            self.register_buffer("v", first)
        if differentiable:  # u before the iterations
            self.register_buffer("start", start.clone(), persistent=False)
        self.evaluation, self.differentiable, self.held = evaluation, differentiable, False

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            if self.held:
                u, v, sigma = self.left, self.right, self.sigma
            else:
                [(u, v, sigma)] = _iterate([self], [weight])
            if self.differentiable and not self.reuses and torch.is_grad_enabled():
                return weight / self._sigma(weight)
            return _Normalize.apply(weight, u, v, sigma, self.out_dim)

    def _sigma(self, weight: Tensor) -> Tensor:
        """σ after the iterations from ``start``, as a function of the weight."""
        matrix, u = self.matrix(weight), self.start.clone()
        for _ in range(self.iterations):
            v = F.normalize(torch.mv(matrix.t(), u), dim=0, eps=self.eps)
            u = F.normalize(torch.mv(matrix, v), dim=0, eps=self.eps)
        return torch.dot(u, torch.mv(matrix, v))

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight`` as (out, rest)."""
        return _matrix(weight, self.out_dim)

    @property
    def stores(self) -> bool:
        return self.training and state.moves()

    @property
    def reuses(self) -> bool:
        return self.evaluation == "stored" and not self.training


def _matrix(weight: Tensor, out_dim: int, like: Tensor | None = None) -> Tensor:
    # σ does not depend on the order of columns: take the order that needs no copy (of ``like``).
    like = weight if like is None else like
    if out_dim:
        weight, like = weight.transpose(0, out_dim), like.transpose(0, out_dim)
    if weight.ndim == 4 and not like.is_contiguous():
        weight = weight.permute(0, 2, 3, 1)  # (out, h, w, in)
    return weight.reshape(weight.shape[0], -1)  # (out, in·h·w)


def _unmatrix(matrix: Tensor, like: Tensor, out_dim: int) -> Tensor:
    shaped = like.transpose(0, out_dim) if out_dim else like
    if like.ndim == 4 and not shaped.is_contiguous():
        rows, channels, height, width = shaped.shape
        shaped = matrix.view(rows, height, width, channels).permute(0, 3, 1, 2)  # (out, in, h, w)
    else:
        shaped = matrix.view(shaped.shape)
    return shaped.transpose(0, out_dim) if out_dim else shaped  # as ``like``


def _reordered(v: Tensor, weight: Tensor, out_dim: int, *, store: bool) -> Tensor:
    """v from the order of a contiguous weight, in which it is stored, to that of `_matrix`; ``store``: back."""
    shaped = weight.transpose(0, out_dim) if out_dim else weight
    if shaped.ndim != 4 or shaped.is_contiguous():
        return v
    channels, height, width = shaped.shape[1:]
    if store:
        return v.view(height, width, channels).permute(2, 0, 1).reshape(-1)  # (in·h·w,)
    return v.view(channels, height, width).permute(1, 2, 0).reshape(-1)  # (h·w·in,)


class _Normalize(torch.autograd.Function):
    """W/σ for a given σ = uᵀWv, written out, as autograd makes twice as many passes over the weight.

    dL/dW = G/σ − (Σ G∘W)/σ²·uvᵀ for G = dL/d(W/σ).
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor, out_dim: int) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(weight, u, v, sigma)
        ctx.out_dim = out_dim
        return weight / sigma

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        weight, u, v, sigma = ctx.saved_tensors
        matrix = _matrix(weight, ctx.out_dim)
        if not torch.is_grad_enabled():  # half as many passes over the weight as the form below makes
            gradient = _matrix(grad, ctx.out_dim, like=weight)
            slope = torch.dot(gradient.reshape(-1), matrix.reshape(-1)) / sigma
            found = torch.addr(gradient, slope * u, v, alpha=-1).div_(sigma)
            return _unmatrix(found, weight, ctx.out_dim), None, None, None, None
        # From here on everything is differentiable, so that second derivatives exist.
        sigma = torch.dot(u, torch.mv(matrix, v))
        slope = (grad * weight).sum() / sigma.square()
        return grad / sigma - _unmatrix(torch.outer(slope * u, v), weight, ctx.out_dim), None, None, None, None


@torch.no_grad()
def _iterate(norms: list[SpectralNorm], weights: list[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Make ``iterations`` power iterations for each; return the new (u, v, σ), and store vectors where state moves."""
    matrices = [norm.matrix(weight) for norm, weight in zip(norms, weights, strict=True)]
    lefts = [norm.u for norm in norms]
    differentiable = [norm for norm in norms if norm.differentiable]
    if differentiable:
        torch._foreach_copy_([norm.start for norm in differentiable], [norm.u for norm in differentiable])
    rights, sigmas = lefts, lefts
    if norms[0].exact:
        triples = [torch.linalg.svd(m, full_matrices=False) for m in matrices]
        lefts, rights = [u[:, 0] for u, _, _ in triples], [v[0] for _, _, v in triples]
        sigmas = [values[0] for _, values, _ in triples]
    for _ in range(0 if norms[0].exact else norms[0].iterations):
        rights, _ = _normalized([torch.mv(m.t(), u) for m, u in zip(matrices, lefts, strict=True)], norms[0].eps)
        lefts, sigmas = _normalized([torch.mv(m, v) for m, v in zip(matrices, rights, strict=True)], norms[0].eps)
    _store(norms, weights, lefts, rights)
    found = list(zip(lefts, rights, sigmas, strict=True))
    for i, (norm, weight) in enumerate(zip(norms, weights, strict=True)):
        if norm.reuses:
            v = _reordered(norm.v, weight, norm.out_dim, store=False)
            found[i] = (norm.u, v, torch.dot(norm.u, torch.mv(matrices[i], v)))
    return found


def _store(norms: list[SpectralNorm], weights: list[Tensor], lefts: list[Tensor], rights: list[Tensor]) -> None:
    """Keep the vectors where state moves."""
    stored = [(norm.u, left) for norm, left in zip(norms, lefts, strict=True) if norm.stores]
    if stored:
        torch._foreach_copy_([u for u, _ in stored], [left for _, left in stored])
    for norm, weight, right in zip(norms, weights, rights, strict=True):
        if norm.stores and norm.evaluation == "stored":
            norm.v.copy_(_reordered(right, weight, norm.out_dim, store=True))


def _normalized(vectors: list[Tensor], eps: float) -> tuple[list[Tensor], list[Tensor]]:
    """x/max(‖x‖, ε), and its product with x: uᵀWv for x = Wv."""
    lengths = torch.stack(torch._foreach_norm(vectors))
    divisors = lengths.clamp_min(eps)
    return list(torch._foreach_div(vectors, divisors.unbind())), list((lengths.square() / divisors).unbind())


@torch.no_grad()
def power_iterate(parametrizations: Iterable[ParametrizationList], *, unchanged: bool = False) -> None:
    """One step of every vector u at once, and the vectors that `held` then uses.

    Vectors are stored under the same rule as in a forward pass. A loop over layers spends most of its
    time in small operations: here only the two products with W are made layer by layer.

    Args:
        unchanged: Neither weights nor vectors changed since the last call, which stored none: its result is taken
            again.
    """
    groups: dict[tuple[object, ...], list[tuple[SpectralNorm, Tensor]]] = {}
    pairs = [_normalized_weight(parametrization) for parametrization in parametrizations]
    if unchanged:
        norms, weights = [norm for norm, _ in pairs], [weight for _, weight in pairs]
        _store(norms, weights, [norm.left for norm in norms], [norm.right for norm in norms])
        return
    for norm, weight in pairs:
        key = (norm.u.device, norm.u.dtype, norm.iterations, norm.eps, norm.exact)
        groups.setdefault(key, []).append((norm, weight))
    for group in groups.values():
        norms, weights = [norm for norm, _ in group], [weight for _, weight in group]
        found = _iterate(norms, weights)
        torch._foreach_copy_([norm.left for norm in norms], [u for u, _, _ in found])
        torch._foreach_copy_([norm.right for norm in norms], [v for _, v, _ in found])
        torch._foreach_copy_([norm.sigma for norm in norms], [sigma for _, _, sigma in found])


def _normalized_weight(parametrization: ParametrizationList) -> tuple[SpectralNorm, Tensor]:
    """The `SpectralNorm` of ``parametrization`` and the weight that it is given."""
    weight = parametrization.original
    for step in parametrization:
        if isinstance(step, SpectralNorm):
            return step, weight
        weight = step(weight)
    raise LookupError("expected a parametrization with spectral norm")


@contextmanager
def held(parametrizations: Sequence[ParametrizationList], *, unchanged: bool = False) -> Iterator[None]:
    """One power iteration of everything in ``parametrizations``; every pass inside uses its vectors.

    So a micro-batch's passes over real and fake images see the same σ and the vectors move once.
    Normalized weights may be shared as well, by ``torch.nn.utils.parametrize.cached()`` around passes
    that are all recorded by autograd, or all not, and between two steps of the optimizer.

    Args:
        unchanged: As for `power_iterate`.
    """
    power_iterate(parametrizations, unchanged=unchanged)
    norms = [_normalized_weight(parametrization)[0] for parametrization in parametrizations]
    for norm in norms:
        norm.held = True
    try:
        yield
    finally:
        for norm in norms:
            norm.held = False


def attached(network: nn.Module) -> list[ParametrizationList]:
    """Every parametrization in ``network`` that has a `SpectralNorm`."""
    return [
        module
        for module in network.modules()
        if isinstance(module, ParametrizationList) and any(isinstance(step, SpectralNorm) for step in module)
    ]


def attach(
    network: nn.Module,
    *,
    iterations: int = 1,
    eps: float = 1e-12,
    evaluation: str = "fresh",
    exact: bool = False,
    differentiable: bool = False,
    sizes: Mapping[nn.Module, Sequence[int]] | None = None,
) -> list[ParametrizationList]:
    """Parametrize the weight of every convolution, linear map and embedding of ``network``.

    Modules marked by `exempt` and those that have it already are left alone. The parameter moves to
    ``parametrizations.weight.original``, so this goes before optimizers and averages are made.

    Args:
        iterations, eps, evaluation, exact, differentiable: As in `SpectralNorm`.
        sizes: Convolutions -> the maps (H, W) that they are given: they are divided by the norm of the
            operator on such maps (`ganlab.layers.operator_norm`) instead of that of the reshaped kernel.

    Returns:
        The parametrizations of the whole network, for `held` and `power_iterate`.
    """
    for module in list(network.modules()):
        if not isinstance(module, ELIGIBLE) or getattr(module, "exempt_from_spectral_norm", False):
            continue
        if parametrize.is_parametrized(module, "weight") and _is_normalized(module):
            continue
        if parametrize.is_parametrized(module, "weight") and not hasattr(module.parametrizations.weight, "original"):  # type: ignore[union-attr]
            raise ValueError(
                "spectral norm cannot be put on weight norm: leave one of them out "
                "(reg.sn.players=[discriminator], or generator.weight_norm=false)"
            )
        norm: nn.Module
        if sizes is not None and module in sizes and any(n > 1 for n in module.kernel_size):  # type: ignore[union-attr]
            norm = OperatorNorm(module, sizes[module], iterations, eps)
        else:
            out_dim = int(isinstance(module, TRANSPOSED))
            norm = SpectralNorm(module.weight.detach(), out_dim, iterations, eps, evaluation, exact, differentiable)
        norm.train(module.training)
        # unsafe skips a trial run, which would move the vector
        parametrize.register_parametrization(module, "weight", norm, unsafe=True)
    return attached(network)


def _is_normalized(module: nn.Module) -> bool:
    steps = module.get_submodule("parametrizations").modules()
    return any(isinstance(step, (SpectralNorm, OperatorNorm)) for step in steps)


def exempt(module: Module) -> Module:
    """Mark ``module`` as one whose weight spectral norm leaves alone; returns it."""
    module.exempt_from_spectral_norm = True  # type: ignore[assignment]
    return module
