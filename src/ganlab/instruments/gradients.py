"""Gradients and steps of the players."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.contracts.instrument import Instrument, Step, Subject


class Gradients(Instrument):
    """Norms of the gradients of each player and layer, and how the steps go on.

    norm      of the gradient of a player, and of a layer; averaged over ranks, with what regularizers add, not clipped
    ratio     of a layer: that norm over the norm of its weights
    cosine    of a player: between a step of its optimizer and the one before; near 1 it goes straight on, below 0 it
              turns back
    clipped   of a player: share of the steps whose gradient exceeded ``clip.PLAYER``, where that is set

    They are means over the steps of the two iterations up to the measurement, so ``clipped`` is 0, 1 or a half where a
    player steps once in an iteration. Layers are the modules that have parameters. A player that does not step in these
    iterations has no numbers.

    Source: norms and their changes were among what Brock et al. 2019 (arXiv:1809.11096), appendix F, watched.
    """

    cost = "in two iterations an interval, a copy of each player's weights and their norms"
    iterations = 2

    def __init__(self) -> None:
        self._names: dict[nn.Parameter, str] = {}
        self._layers: dict[str, dict[str, Tensor]] = {}  # player -> layer -> 1 for each of its parameters, or 0
        self._seen: dict[str, dict[str, list[Tensor]]] = {}  # player -> quantity -> a number or a row for each step
        self._last: dict[str, list[Tensor]] = {}

    def prepare(self, subject: Subject) -> None:
        for player, members in subject.game.players.items():
            for name, network in members.modules.items():
                for path, parameter in network.named_parameters():
                    layer = path.rpartition(".")[0].removesuffix(".parametrizations.weight")
                    self._names[parameter] = ".".join(filter(None, ["" if name == player else name, layer])) or name

    @contextmanager
    def observe(self, step: Step) -> Iterator[None]:
        weights = [parameter.detach().clone() for parameter in step.parameters]
        nothing = weights[0].new_zeros(())
        gradients = [nothing if parameter.grad is None else parameter.grad for parameter in step.parameters]
        norms, sizes = self._of_layers(step, gradients), self._of_layers(step, weights)
        total = norms.norm()
        found = {"norms": norms, "ratios": norms / _positive(sizes), "norm": total}
        if step.limit is not None:
            found["clipped"] = (total > step.limit).to(total)
        yield
        moved = list(torch._foreach_sub([parameter.detach() for parameter in step.parameters], weights))
        if (before := self._last.get(step.player)) is not None:
            found["cosine"] = _cosine(moved, [x.to(nothing.device) for x in before])
        self._last[step.player] = moved
        seen = self._seen.setdefault(step.player, {})
        for quantity, value in found.items():
            seen.setdefault(quantity, []).append(value)

    @torch.no_grad()
    def measure(self, subject: Subject) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for player, seen in self._seen.items():
            means = {name: torch.stack([x.to(subject.device) for x in each]).mean(0) for name, each in seen.items()}
            for quantity, of_layers in (("norm", means.pop("norms")), ("ratio", means.pop("ratios"))):
                named = zip(self._layers[player], of_layers.float().unbind(), strict=True)
                found.update({f"{player}/{layer}/{quantity}": value for layer, value in named})
            found.update({f"{player}/{quantity}": value.float() for quantity, value in means.items()})
        self._seen, self._last = {}, {}
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen of a measurement that is not complete: nothing, unless a checkpoint is written between
        the two iterations."""
        return {"seen": self._seen, "last": self._last} if self._seen else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        seen, last = state.get("seen"), state.get("last")
        if isinstance(seen, dict) and isinstance(last, dict):
            self._seen, self._last = seen, last

    def _of_layers(self, step: Step, tensors: list[Tensor]) -> Tensor:
        """Return the norm (layers,) of the tensors of each layer, one tensor for each parameter."""
        if step.player not in self._layers:
            names = [self._names.get(parameter, "others") for parameter in step.parameters]
            rows = {name: tensors[0].new_tensor([other == name for other in names]) for name in dict.fromkeys(names)}
            self._layers[step.player] = rows
        members = torch.stack(list(self._layers[step.player].values()))
        return (members @ torch.stack(torch._foreach_norm(tensors)).square()).sqrt()


def _cosine(one: list[Tensor], other: list[Tensor]) -> Tensor:
    product = torch.stack([x.sum() for x in torch._foreach_mul(one, other)]).sum()
    lengths = [torch.stack(torch._foreach_norm(x)).norm() for x in (one, other)]
    return product / _positive(lengths[0]) / _positive(lengths[1])


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).tiny)
