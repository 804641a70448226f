"""The largest singular value of every weight, held."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.core.checks import at_least_zero, positive
from ganlab.core.errors import one_of
from ganlab.regularizers.attachment import checked_players, networks, require_players
from ganlab.regularizers.ortho import Layout, find_layouts

METHODS = ("penalty", "clamp")


class SingularValue(Regularizer):
    """Hold the largest singular value s0 of every weight W at a bound s.

    penalty: weight * sum over W of (s0 - s)^2        clamp: W <- W - max(0, s0 - s) u0 v0^T after each step

    s is a constant, or ratio * s1 with the second singular value s1, through which no gradient goes. W is a
    weight as (output filters, rest), per group of a grouped convolution, with singular vectors u0 and v0; under
    spectral normalization it is the trained parameter ``original``. Weights with one row or column have no s1
    and are left alone without a constant.

    The penalty's gradient, 2 * weight * (s0 - s) u0 v0^T, is added after the gradients were averaged over ranks; no
    graph is built. s0, s1, u0 and v0 come from the eigenvectors of the smaller Gram matrix, W W^T or
    W^T W, weights of one shape together: exact, without state, and for wide layers the larger part of a step.

    Source: Brock et al. 2019 (arXiv:1809.11096), sec. 4.1, who tried both on the generator. The paper does
    not give the form of "regularize towards": the square is ours, and so are ``weight`` and the default of ``ratio``.

    Args:
        method: ``penalty`` or ``clamp``.
        weight: Of the penalty, at least 0.
        bound: The constant s, positive; null: ``ratio`` counts.
        ratio: s / s1, positive.
        players: Whose networks.
        exclude: Paths of modules, from the network, whose parameters are left alone.

    Raises:
        ValueError: If an option is out of range.
    """

    unrecordable = "it decomposes weights, for which the host waits"

    def __init__(
        self,
        method: str = "penalty",
        weight: float = 0.1,
        bound: float | None = None,
        ratio: float = 1.0,
        players: tuple[str, ...] = ("generator",),
        exclude: tuple[str, ...] = ("embedding", "shared"),
    ) -> None:
        super().__init__()
        one_of(method, METHODS, "method")
        self.weight, self.ratio = at_least_zero("weight", weight), positive("ratio", ratio)
        self.bound = None if bound is None else positive("bound", bound)
        self.players, self.exclude = checked_players(players), tuple(exclude)
        self.addresses = tuple(Address(player) for player in self.players)
        self.idle_hooks = ("after_step",) if method == "penalty" else ("gradients",)
        self._layouts: dict[str, list[tuple[nn.Parameter, Layout]]] = {}

    def attach(self, game: Game) -> None:
        require_players(game, self.players, "singular_value")
        super().attach(game)

    def prepare(self, game: Game) -> None:
        for player in self.players:
            modules = networks(game, player, "singular_value")
            found = (pair for module in modules for pair in find_layouts(module, self.exclude))
            self._layouts[player] = [(weight, layout) for weight, layout in found if weight.requires_grad]

    @torch.no_grad()
    def gradients(self, player: str, gradients: list[Tensor]) -> None:
        for weights, excess, outer in self._held(player):
            for (weight, layout), e, o in zip(weights, excess, outer, strict=True):
                if weight.grad is not None:
                    weight.grad += layout.weight(2 * self.weight * e[:, None, None] * o, weight.shape)

    @torch.no_grad()
    def after_step(self, player: str) -> None:
        for weights, excess, outer in self._held(player):
            for (weight, layout), e, o in zip(weights, excess.clamp(min=0), outer, strict=True):
                weight.sub_(layout.weight(e[:, None, None] * o, weight.shape))

    def _held(self, player: str) -> Iterator[tuple[list[tuple[nn.Parameter, Layout]], Tensor, Tensor]]:
        """Yield weights of one shape, their (weights, groups) s0 - s, (weights, groups, filters, rest) u0 v0^T."""
        by_shape: dict[object, list[tuple[nn.Parameter, Layout]]] = {}
        for weight, layout in self._layouts[player]:
            by_shape.setdefault((weight.shape, layout, weight.dtype, weight.device), []).append((weight, layout))
        for weights in by_shape.values():
            matrices = torch.stack([layout.matrices(weight) for weight, layout in weights])
            if self.bound is None and min(matrices.shape[-2:]) < 2:
                continue
            first, second, outer = top_singular_values(matrices)
            yield weights, first - (self.ratio * second if self.bound is None else self.bound), outer


def top_singular_values(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """s0, s1 (...) and u0 v0^T (..., filters, rest) of (..., filters, rest) matrices; s1 is 0 if there is none.

    u0 v0^T = u0 u0^T W / s0 = W v0 v0^T / s0, so one side's vector is enough; it is 0 for a matrix of zeros.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    gram = matrices @ matrices.mT if wide else matrices.mT @ matrices
    squares, vectors = torch.linalg.eigh(gram)  # ascending
    first, top = squares[..., -1].clamp(min=0).sqrt(), vectors[..., -1:]
    second = squares[..., -2].clamp(min=0).sqrt() if squares.shape[-1] > 1 else torch.zeros_like(first)
    projector = top @ top.mT
    outer = projector @ matrices if wide else matrices @ projector
    return first, second, outer / first.clamp(min=torch.finfo(first.dtype).tiny)[..., None, None]
