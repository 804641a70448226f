"""Orthogonal regularization."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero
from ganlab.core.errors import one_of
from ganlab.regularizers.attachment import checked_players, networks, require_players
from ganlab.regularizers.gradients import add_scaled

FORMS = ("off_diagonal", "full")
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Layout:
    """The layout of a weight as matrices whose rows are the output filters of one group.

    Args:
        groups: Groups of a grouped convolution: as many matrices.
        transposed: The weight of a transposed convolution, (in, out / groups, ...).
    """

    groups: int = 1
    transposed: bool = False

    def matrices(self, weight: Tensor) -> Tensor:
        """(groups, filters, rest)."""
        weight = weight.unflatten(0, (self.groups, -1))  # (groups, out or in / groups, ...)
        return (weight.transpose(1, 2) if self.transposed else weight).flatten(2)  # (groups, filters, rest)

    def weight(self, matrices: Tensor, shape: torch.Size) -> Tensor:
        """The inverse of `matrices`: (groups, filters, rest) -> ``shape``."""
        if not self.transposed:
            return matrices.reshape(shape)
        groups, filters, _ = matrices.shape
        return matrices.reshape(groups, filters, -1, *shape[2:]).transpose(1, 2).reshape(shape)


class Ortho(Regularizer):
    """Orthogonal regularization: output filters are to be orthogonal, or orthonormal.

    off_diagonal: weight * ||W W^T o (1 - I)||_F^2        full: weight * ||W W^T - I||_F^2

    W is a weight as (output filters, rest); in a grouped convolution each group has its own W. Every
    parameter of two or more dimensions counts, maps of conditional normalization among them, as in
    BigGAN. Under spectral normalization W is the trained parameter ``original``, before it is divided.

    By default the term's gradient, 4 * weight * (W W^T o (1 - I)) W or 4 * weight * (W W^T - I) W, is added
    after the gradients were averaged over ranks; no graph is built, and no term is logged. ``as_term`` makes it
    a term of the objective instead: the same gradient through a graph, and a logged value. It goes with the
    player's main turn only, not with turns that lazy regularizers own.

    Source: Brock et al. 2019 (arXiv:1809.11096), eq. 3 and eq. 2, written with the filters as rows;
    eq. 2 is from Brock et al. 2017 (arXiv:1609.07093), which takes absolute values. BigGAN-PyTorch adds
    half of this gradient: its strength s is a ``weight`` of s / 2.

    Args:
        weight: beta of the paper, at least 0; the paper's is 1e-4.
        form: ``off_diagonal`` or ``full``.
        players: Whose networks; BigGAN: [generator].
        exclude: Paths of modules, from the network, whose parameters are left alone: the class embedding
            that BigGAN's layers share.
        as_term: True: a term of the objective; False: only its gradient is added.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        weight: float = 1e-4,
        form: str = "off_diagonal",
        players: tuple[str, ...] = ("generator",),
        exclude: tuple[str, ...] = ("embedding", "shared"),
        as_term: bool = False,
    ) -> None:
        super().__init__()
        one_of(form, FORMS, "form")
        self.weight, self.form = at_least_zero("weight", weight), form
        self.players, self.exclude = checked_players(players), tuple(exclude)
        self.addresses = tuple(Address(player) for player in self.players)
        self.idle_hooks = ("gradients",) if as_term else ("terms",)
        self._layouts: dict[str, list[tuple[nn.Parameter, Layout | None]]] = {}  # of all parameters, in order

    def attach(self, game: Game) -> None:
        require_players(game, self.players, "ortho")
        super().attach(game)

    def prepare(self, game: Game) -> None:
        for player in self.players:
            modules = networks(game, player, "ortho")
            layouts = {id(p): layout for module in modules for p, layout in find_layouts(module, self.exclude)}
            self._layouts[player] = [(p, layouts.get(id(p))) for p in game.players[player].parameters()]

    def terms(self, player: str, view: View) -> Terms:
        by_shape: dict[object, list[Tensor]] = {}
        for weight, layout in self._layouts[player]:
            if layout is not None:
                key = (weight.shape, layout, weight.dtype, weight.device)
                by_shape.setdefault(key, []).append(layout.matrices(weight))
        with torch.autocast(view.stream.device.type, enabled=False):
            parts = [squared_distance(torch.stack(group), self.form) for group in by_shape.values()]
        return {"ortho": self.weight * torch.stack(parts).sum()} if parts else {}

    @torch.no_grad()
    def gradients(self, player: str, gradients: list[Tensor]) -> None:
        by_shape: dict[tuple[object, ...], list[tuple[Tensor, Tensor, Layout]]] = {}
        used = [(p, layout) for p, layout in self._layouts[player] if p.grad is not None]
        for (weight, layout), gradient in zip(used, gradients, strict=True):
            if layout is not None:
                key = (weight.shape, layout, weight.dtype, weight.device)
                by_shape.setdefault(key, []).append((weight, gradient, layout))
        for group in by_shape.values():
            self._add(group)

    def _add(self, group: list[tuple[Tensor, Tensor, Layout]]) -> None:
        """Add the term's gradients of weights of one shape, in one batch of matrix products."""
        matrices = torch.stack([layout.matrices(weight) for weight, _, layout in group])
        slopes = quarter_slope(matrices, self.form).unbind()
        gradients = [gradient for _, gradient, _ in group]
        terms = [layout.weight(slope, w.shape) for slope, (w, _, layout) in zip(slopes, group, strict=True)]
        add_scaled(gradients, terms, 4 * self.weight)


def squared_distance(matrices: Tensor, form: str) -> Tensor:
    """The sum over (..., filters, rest) matrices of ||W W^T o (1 - I)||_F^2 or ||W W^T - I||_F^2."""
    product = matrices @ matrices.mT
    eye = torch.eye(product.shape[-1], dtype=product.dtype, device=product.device)
    return (product - eye if form == "full" else product * (1 - eye)).square().sum()


def quarter_slope(matrices: Tensor, form: str) -> Tensor:
    """(W W^T o (1 - I)) W or (W W^T - I) W of each (..., filters, rest) matrix: a quarter of the term's gradient.

    W W^T W = W (W^T W): the smaller of both products is made.
    """
    filters, rest = matrices.shape[-2:]
    if filters <= rest:
        product = matrices @ matrices.mT
        diagonal = product.diagonal(dim1=-2, dim2=-1)
        if form == "full":
            diagonal.sub_(1)
        else:
            diagonal.zero_()
        return product @ matrices
    taken = 1.0 if form == "full" else matrices.square().sum(-1, keepdim=True)
    return matrices @ (matrices.mT @ matrices) - taken * matrices


def find_layouts(network: nn.Module, exclude: tuple[str, ...]) -> list[tuple[nn.Parameter, Layout]]:
    """The weights of ``network``: its parameters of two or more dimensions, outside excluded modules."""
    holders: dict[int, nn.Module] = {}  # a parametrized weight lies in a list inside its layer
    for module in network.modules():
        if parametrize.is_parametrized(module):
            holders.update((id(listed), module) for listed in module.parametrizations.values())  # type: ignore[union-attr,operator]
    found = []
    for path, module in network.named_modules():
        if not any(f"{path}.".startswith(f"{prefix}.") for prefix in exclude):
            layout = _layout(holders.get(id(module), module))
            found += [(p, layout) for p in module.parameters(recurse=False) if p.ndim >= 2]
    return found


def _layout(module: nn.Module) -> Layout:
    groups = module.groups if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)) else 1
    return Layout(groups, isinstance(module, _TRANSPOSED))
