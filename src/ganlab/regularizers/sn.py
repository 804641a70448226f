"""Spectral normalization."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Turn
from ganlab.core.checks import at_least, positive
from ganlab.core.errors import GanlabError, one_of
from ganlab.layers import spectral_norm, state
from ganlab.layers.map_sizes import map_sizes
from ganlab.layers.operator_norm import OperatorNorm
from ganlab.regularizers.attachment import checked_players, networks

CONVOLUTIONS = ("kernel", "operator")
NORMS = (spectral_norm.SpectralNorm, OperatorNorm)
JUDGE = "discriminator"  # the player whose networks every paper normalizes that normalizes any
DECLARATION = "spectral_normalization"  # the attribute by which a network says where its paper has it


class SpectralNormalization(Regularizer):
    """Spectral normalization: every weight is divided by its largest singular value, W / sigma(W).

    sigma is that of the reshaped kernel (out, in·h·w), by power iteration or by a decomposition; or, for
    convolutions, that of the map from feature map to feature map, with its stride and padding, by power iteration
    on that map: it is at least the kernel's, where a kernel fits into the map, and at most sqrt(h·w) times as large.

    It is attached to the convolutions, linear maps and embeddings of the players' networks, a third party's
    too, as a parametrization: the trained parameter becomes ``parametrizations.weight.original``. Layers that a
    network exempts (a shared class embedding, tables of conditional normalization) and modules that other
    regularizers add stay as they are. The vectors move in the player's own turn, once a micro-batch.

    Source: Miyato et al. 2018 (arXiv:1802.05957), algorithm 1. That the reshaped kernel's norm is not the
    operator's: Sedghi et al. 2019 (arXiv:1805.10408), whose theorem 6 has it in closed form for circular padding.

    Args:
        players: Whose networks; null: where the papers have it. Those are the networks with the attribute
            ``spectral_normalization = True``, such as BigGAN's and SAGAN's generators, and those of the player
            ``discriminator`` that do not have it as ``False``.
        iterations: Power iterations each time that the vectors move, at least 1.
        eps: Smallest length that a vector is divided by, positive; BigGAN's is 1e-6.
        evaluation: ``fresh``: in evaluation sigma is that of an iteration made from the stored vectors, as in
            BigGAN; ``stored``: it is that of the stored vectors, as in ``torch.nn.utils.spectral_norm``.
        exact: Whether sigma is found by a singular value decomposition of each weight each time: slow, for checks.
        convolutions: ``kernel``: the norm of the reshaped kernel; ``operator``: that of the convolution on maps of
            the size that it is given in a pass over one image of the final size.
        differentiable: Whether the gradient also flows through the power iteration, to the vectors that it begins
            with. Papers take the vectors as constants (eq. 12); SAGAN's code does not.
        moving: Players whose vectors move in the other players' turns too, not only in their own; they are among
            those normalized. In SAGAN's code the generator's do.

    Raises:
        ValueError: If an option is out of range; when attached, a `GanlabError` if a weight is all zeros, which has
            no direction.
    """

    provides = ("spectral_norm",)

    def __init__(
        self,
        players: tuple[str, ...] | None = None,
        iterations: int = 1,
        eps: float = 1e-12,
        evaluation: str = "fresh",
        exact: bool = False,
        convolutions: str = "kernel",
        differentiable: bool = False,
        moving: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.iterations, self.eps = at_least("iterations", iterations, 1), positive("eps", eps)
        one_of(evaluation, spectral_norm.EVALUATIONS, "evaluation")
        one_of(convolutions, CONVOLUTIONS, "convolutions")
        if exact and convolutions == "operator":
            raise ValueError(
                "exact=true decomposes reshaped kernels; with convolutions=operator set iterations higher instead"
            )
        if differentiable and (exact or convolutions == "operator"):
            raise ValueError("differentiable=true goes with exact=false and convolutions=kernel alone")
        if exact:
            self.unrecordable = "exact=true decomposes weights, for which the host waits"
        self.evaluation, self.exact, self.convolutions = evaluation, exact, convolutions
        self.differentiable, self.moving = differentiable, checked_players(moving) if moving else ()
        self._attached: dict[str, list[ParametrizationList]] = {}
        self.players = None if players is None else checked_players(players)

    def attach(self, game: Game) -> None:
        for player, found in self._networks(game).items():
            for network in found:
                spectral_norm.attach(
                    network,
                    iterations=self.iterations,
                    eps=self.eps,
                    evaluation=self.evaluation,
                    exact=self.exact,
                    differentiable=self.differentiable,
                    sizes=map_sizes(network, "reg=sn") if self.convolutions == "operator" else None,
                )
                _refuse_zeros(player, network)
            self._attached[player] = [p for network in found for p in spectral_norm.attached(network)]
            if not any(parametrize.is_parametrized(module) for network in found for module in network.modules()):
                raise GanlabError(f"reg=sn finds no weights to normalize in the {player}: drop it from reg.sn.players.")
        if not self._attached:
            raise GanlabError("reg=sn: no network of this game says it is normalized: name some in reg.sn.players.")
        for player in self.moving:
            if player not in self._attached:
                raise GanlabError(
                    f"reg.sn.moving names {player}, whose networks are not normalized: see reg.sn.players."
                )

    def _networks(self, game: Game) -> dict[str, list[nn.Module]]:
        """The networks that are normalized, by player."""
        if self.players is not None:
            return {player: networks(game, player, "sn") for player in self.players}
        found = {}
        trained = [name for name, player in game.players.items() if next(player.parameters(), None) is not None]
        for player in sorted(trained, key=lambda name: name != JUDGE):
            declared = [n for n in networks(game, player, "sn") if getattr(n, DECLARATION, player == JUDGE)]
            if declared:
                found[player] = declared
        return found

    def acts_on(self, game: Game) -> dict[str, str]:
        return {player: _layers(networks(game, player, "sn")) for player in self._attached}

    @contextmanager
    def during(self, turn: Turn, previous: Turn | None) -> Iterator[None]:
        with ExitStack() as stack:
            for player, parametrizations in self._attached.items():
                always = player in self.moving
                unchanged = previous is not None and not previous.has(player) and not always
                with state.passing(moves=always or turn.has(player)):  # all of the player's vectors at once
                    stack.enter_context(spectral_norm.held(parametrizations, unchanged=unchanged))
            yield


def _layers(found: list[nn.Module]) -> str:
    """Return the number of layers that are normalized, in words."""
    layers = [module for network in found for module in network.modules() if isinstance(module, spectral_norm.ELIGIBLE)]
    count = sum(parametrize.is_parametrized(module, "weight") for module in layers)
    return f"{count} layers" if count == len(layers) else f"{count} of {len(layers)} layers"


def _refuse_zeros(player: str, network: nn.Module) -> None:
    for path, module in network.named_modules():
        normalized = isinstance(module, ParametrizationList) and any(isinstance(step, NORMS) for step in module)
        if normalized and not module.original.any():  # type: ignore[operator,union-attr]
            layer = path.removesuffix(".parametrizations.weight")
            raise GanlabError(
                f"reg=sn divides weights by their norm, and those of {layer} in the {player} are all 0: start "
                "them at other numbers, or mark the layer with ganlab.layers.spectral_norm.exempt."
            )
