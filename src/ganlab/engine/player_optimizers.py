"""One optimizer a player: its rates, and how the player's gradients become a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganlab.contracts.game import Game
from ganlab.contracts.hooks import Hooks
from ganlab.contracts.instrument import Observer, Step
from ganlab.contracts.pending import Pending
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import MAIN, Player, Turn
from ganlab.core import distributed

OptimizerFactory = Callable[[Iterator[nn.Parameter]], Optimizer]


class PlayerOptimizers:
    """The optimizers of a game's players.

    Args:
        game: The game, with regularizers attached.
        factories: A factory a player; those of the game without one are stepped by somebody else.
        hooks: The regularizers' hooks.
        setting: Its timer measures the steps.
        following: Schedules of players' options, ``lr`` and ``betas``, by player and option.
        clip: Maximal gradient norm of a player, by name.
        averages: Gradients are averaged over ranks here; False: somebody else does it.

    Attributes:
        by_player: The optimizers, once they are taken.
        parameters: What each player trains.
        last_steps: The last step of each player, of which the optimistic update takes back a part; saved and resumed.
        pending: New values of buffers, which they take after a step that stays.
        observers: Called with each step that stays, see `ganlab.contracts.instrument.Step`; their contexts surround it.
    """

    def __init__(
        self,
        game: Game,
        factories: Mapping[str, OptimizerFactory],
        hooks: Hooks,
        setting: Setting,
        following: Mapping[str, Mapping[str, Any]] | None = None,
        clip: Mapping[str, float] | None = None,
        averages: bool = True,
    ) -> None:
        self.factories = factories
        self.by_player: dict[str, Optimizer] = {}
        self.parameters = {n: [p for p in pl.parameters() if p.requires_grad] for n, pl in game.players.items()}
        self.last_steps: dict[str, list[Tensor]] = {}
        self.pending = Pending()
        self.observers: list[Observer] = []
        self._players, self._hooks, self._setting = game.players, hooks, setting
        self._following, self._clip = dict(following or {}), dict(clip or {})
        self._averages = averages
        self._rates: dict[str, list[float]] = {}
        self._options: dict[str, list[dict[str, Any]]] = {}

    def make(self) -> list[Optimizer]:
        """Return new optimizers, in the order of the players."""
        optimizers = []
        for name, player in self._stepped().items():
            optimizer = self.factories[name](iter(self.parameters[name]))
            _correct_for_lazy_steps(optimizer, player)
            self._rates[name] = [group["lr"] for group in optimizer.param_groups]
            self._options[name] = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
            optimizers.append(optimizer)
        return optimizers

    def take(self, optimizers: Sequence[Optimizer]) -> None:
        """Use these optimizers, which `make` made."""
        self.by_player = dict(zip(self._stepped(), optimizers, strict=True))

    def start(self, device: torch.device) -> None:
        """Replace the optimizers' options in a checkpoint by those of the configuration, and move kept steps."""
        for name, optimizer in self.by_player.items():
            for group, options in zip(optimizer.param_groups, self._options[name], strict=True):
                group.update(options)
        self.last_steps = {n: [step.to(device) for step in s] for n, s in self.last_steps.items()}

    def forget(self) -> None:
        """Forget moments and last steps."""
        for optimizer in self.by_player.values():
            optimizer.state.clear()
        self.last_steps.clear()

    def unrecordable(self) -> Iterator[str]:
        """Yield what steps cannot be recorded, and why, in words that follow ``with``."""
        for player, schedules in self._following.items():
            if "betas" in schedules:
                yield f"optimizer.{player}.betas as a schedule, because torch's optimizers read them on the host"
        for player, optimizer in zip(self._stepped(), self.make(), strict=True):
            if not all("capturable" in group or "fused" in group for group in optimizer.param_groups):
                name = type(optimizer).__name__
                yield f"the optimizer {name} of the {player}, because it has no option capturable and no fused form"

    def record(self, grows: bool) -> None:
        """Have steps read nothing on the host, so that they can be recorded.

        Rates that change become tensors, which `follow` fills.

        Args:
            grows: Rates of all players change, with the stage of growth.
        """
        moving = set(self.by_player) if grows else {p for p, s in self._following.items() if "lr" in s}
        for player, optimizer in self.by_player.items():
            for group in optimizer.param_groups:
                device = group["params"][0].device
                if "capturable" in group:
                    group["capturable"] = device.type == "cuda"  # torch knows it on accelerators alone
                if player in moving and not isinstance(group["lr"], Tensor):
                    # fused forms alone read such a rate on the device, on CUDA one in float32
                    dtype = torch.float32 if device.type == "cuda" else torch.float64
                    group["lr"] = torch.tensor(group["lr"], dtype=dtype, device=device)
                    if "fused" in group:
                        group["fused"], group["foreach"] = True, False
            for state in optimizer.state.values():
                if isinstance(state.get("step"), Tensor):  # of a checkpoint whose steps were counted on the host
                    state["step"] = state["step"].to(device)

    def follow(self, images_seen: int, factors: Mapping[str, float]) -> None:
        """Set what follows schedules, and the rates times a stage's factors by player."""
        for player in {*self._following, *factors}:
            schedules, factor = self._following.get(player, {}), factors.get(player, 1.0)
            share = _lazy_share(self._players[player])
            for group, rate in zip(self.by_player[player].param_groups, self._rates[player], strict=True):
                rate = factor * (share * schedules["lr"](images_seen) if "lr" in schedules else rate)
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate
                if "betas" in schedules:
                    group["betas"] = tuple(beta**share for beta in schedules["betas"](images_seen))

    def step(self, turn: Turn, final: bool = True, origin: Mapping[str, Sequence[Tensor]] | None = None) -> None:
        """Average gradients over ranks, let regularizers change them, clip, step the turn's players.

        Args:
            final: False: a step that will be taken back, after which regularizers do nothing.
            origin: Weights of each player from which to step; None: the present ones, at which regularizers change
                gradients in any case.
        """
        device = next(p.device.type for p in chain.from_iterable(self.parameters.values()))
        if not torch.is_autocast_enabled(device):
            self._step(turn, final, origin or {})
            return
        with torch.autocast(device, enabled=False):  # gradients and weights are float32, whatever the passes were
            self._step(turn, final, origin or {})

    def gradients(self, turn: Turn) -> dict[str, list[Tensor]]:
        """Average the gradients of the turn's players over ranks and let regularizers change them; return those there
        are."""
        gradients = {player: self._gradients(player) for player in turn.players}
        if self._averages:
            distributed.average(g for group in gradients.values() for g in group)
        for hook in self._hooks.gradients:
            if hook.acts_in(turn):
                with self._setting.timer("penalty"):
                    hook.call(hook.player, gradients[hook.player])
        return gradients

    def taken(self, turn: Turn) -> Tensor:
        """Return the gradients (P,) of all players' weights, 0 for those whose turn it is not, and drop them."""
        parts = []
        for player, parameters in self.parameters.items():
            for p in parameters:
                own = p.grad if turn.has(player) else None
                parts.append((torch.zeros_like(p) if own is None else own).reshape(-1))
                p.grad = None
        return torch.cat(parts)

    def _step(self, turn: Turn, final: bool, origin: Mapping[str, Sequence[Tensor]]) -> None:
        if turn.name != MAIN:
            self._complete(turn)
        gradients = self.gradients(turn)
        for player, weights in origin.items():
            torch._foreach_copy_([p.detach() for p in self.parameters[player]], list(weights))
        with self._setting.timer("optimizer"):
            for player in turn.players:
                limit = self._clip.get(player)
                with ExitStack() as stack:
                    for observe in self.observers if final else ():
                        stack.enter_context(observe(Step(player, self.parameters[player], limit)))
                    if limit is not None:
                        nn.utils.clip_grads_with_norm_(
                            self.parameters[player], limit, nn.utils.get_total_norm(gradients[player])
                        )
                    self.by_player[player].step()
                self.by_player[player].zero_grad(set_to_none=True)
        if final:
            self.pending.settle()
            for hook in self._hooks.after_step:
                if hook.acts_in(turn):
                    hook.call(hook.player)

    def _complete(self, turn: Turn) -> None:
        """Give a lazy turn the gradient 0 of parameters on which its terms do not depend.

        So each step is one of all parameters, as in StyleGAN2's code and as `_lazy_share` counts them: Adam's second
        moments decay alike.
        """
        for player in turn.players:
            state = self.by_player[player].state
            for parameter in self.parameters[player]:
                if parameter.grad is None and parameter in state:
                    parameter.grad = torch.zeros_like(parameter)

    def _stepped(self) -> dict[str, Player]:
        return {name: player for name, player in self._players.items() if name in self.factories}

    def _gradients(self, player: str) -> list[Tensor]:
        # the only Python loop over parameters in a step; optimizers make the same one
        return [p.grad for p in self.parameters[player] if p.grad is not None]


def _correct_for_lazy_steps(optimizer: Optimizer, player: Player) -> None:
    """lr <- c·lr, beta <- beta^c with c of `_lazy_share` (StyleGAN2, arXiv:1912.04958, appendix B)."""
    share = _lazy_share(player)
    if share < 1:
        for group in optimizer.param_groups:
            group["lr"] *= share
            if "betas" in group:
                group["betas"] = tuple(beta**share for beta in group["betas"])


def _lazy_share(player: Player) -> float:
    """c = 1 / (1 + extra steps an iteration): k / (k + 1) for one lazy turn every k iterations."""
    return 1 / (1 + player.lazy_steps)
