"""One micro-batch of a turn: what its players minimise, and the gradients of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ganlab.contracts.game import Game
from ganlab.contracts.hooks import Hooks
from ganlab.contracts.plan import Progress
from ganlab.contracts.points import Points
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import MAIN, Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core.randomness import Stream, using
from ganlab.engine.player_optimizers import PlayerOptimizers
from ganlab.layers import state
from ganlab.layers.casting import cast_once


class Turns:
    """Evaluates the turns of a game, a micro-batch at a time; it knows neither a Trainer nor a loop.

    Args:
        game: The game, with regularizers attached.
        hooks: The regularizers' hooks.
        setting: The options that all views share.
        optimizers: Their parameters are what players train; `View.update` goes to their pending values.
        compiled: Networks are compiled: parametrized weights are then computed in each pass.
        sharded: FSDP holds the weights: a pass is then made with others, whose gradients it hands on.

    Attributes:
        previous: The turn evaluated last, if only its players have stepped since and weights are held; None: any player
            may have.
    """

    def __init__(
        self,
        game: Game,
        hooks: Hooks,
        setting: Setting,
        optimizers: PlayerOptimizers,
        *,
        compiled: bool = False,
        sharded: bool = False,
    ) -> None:
        self._sharded = sharded
        self.game, self.hooks, self.setting, self.optimizers = game, hooks, setting, optimizers
        self._playing: tuple[str, ...] | None = None
        self.previous: Turn | None = None
        self._casts_once = not compiled and not sharded
        self._holds = any(parametrize.is_parametrized(m) for m in game.modules())
        self._shares_weights = not compiled

    def forget(self) -> None:
        """Assume that any player may have stepped since the last turn."""
        self.previous = None

    def objectives(
        self,
        turn: Turn,
        stream: Stream,
        progress: Progress,
        *,
        batch: int,
        reals: Callable[[], Points] | None,
        fakes: Points | None = None,
        carried: dict[str, Tensor] | None = None,
    ) -> tuple[View, Objectives]:
        """Return a view of one micro-batch, and what the turn's players minimise on it.

        Args:
            turn: The turn.
            stream: Keyed randomness of the micro-batch.
            progress: That before the iteration.
            batch: Number of fakes on this rank.
            reals: Makes the real images of the micro-batch; None: the turn has none.
            fakes: Fakes that the game does not make itself, see `View`.
            carried: What earlier turns left for the micro-batch, see `View`.
        """
        self._require_grad(turn.players)
        casts = cast_once(stream.device.type, self._casts_once)
        with using(stream), state.passing(moves=False), self._weights_held(turn), casts:
            with self.setting.timer("data"):
                points = None if reals is None else reals()
            view = View(
                self.game,
                self.hooks,
                turn,
                stream,
                self.setting,
                reals=points,
                batch=batch,
                iteration=progress.iteration,
                images_seen=progress.images_seen,
                pending=self.optimizers.pending,
                fakes=fakes,
                carried=carried,
            )
            return view, view.objectives()

    def backward(self, objectives: Objectives, parts: int = 1) -> None:
        """Add the gradients of the players' objectives to their parameters' ``.grad``.

        Args:
            parts: Micro-batches whose mean is one objective.
        """
        with self.setting.timer("backward"):
            last = len(objectives) - 1
            # leaves other than the players' parameters exist only where penalties made them; without any,
            # the plain call saves a walk over the graph
            plain = self._sharded or (last == 0 and not self.hooks.terms and not self.hooks.features)
            for i, (player, terms) in enumerate(objectives.items()):
                total = summed(terms.values())
                total = total / parts if parts > 1 else total
                if total.requires_grad:
                    inputs = None if plain else self.optimizers.parameters[player]
                    total.backward(inputs=inputs, retain_graph=i < last)

    def _weights_held(self, turn: Turn) -> AbstractContextManager[None]:
        """Compute parametrized weights once: within a micro-batch they do not change."""
        return self._holding(turn) if self._holds and not self.setting.every_forward else nullcontext()

    def stepped(self, turn: Turn) -> None:
        """Take it that a turn was evaluated and its players have stepped, as a recording has them do."""
        if self._holds and not self.setting.every_forward:
            # with other update rules all step together after the last turn
            self.previous = turn if self.game.update == "alternating" else None

    @contextmanager
    def _holding(self, turn: Turn) -> Iterator[None]:
        with ExitStack() as stack:
            for during in self.hooks.during:
                stack.enter_context(during(turn, self.previous))
            self.stepped(turn)
            if self._shares_weights:
                stack.enter_context(parametrize.cached())
            yield

    def release(self) -> None:
        """Switch gradients on for the weights of all players: those whose turn it was are used elsewhere."""
        self._require_grad(tuple(self.optimizers.parameters))

    def _require_grad(self, players: tuple[str, ...]) -> None:
        """Switch gradients on for weights of the players, and of those by whose weights regularizers differentiate.

        The other networks then keep no activations for weights. It is a loop over parameters (about 0.1 microseconds
        each), run when the players change.
        """
        if players != self._playing:
            for name, parameters in self.optimizers.parameters.items():
                for parameter in parameters:
                    parameter.requires_grad_(name in players or name in self.hooks.player_gradients)
            self._playing = players


class Kept:
    """Scalars of an iteration by name, on the device: terms of players and notes of views.

    Args:
        objectives: Gets the names of those that players minimise.
    """

    def __init__(self, objectives: set[str]) -> None:
        self.values: dict[str, list[Tensor]] = {}
        self.objectives = objectives

    def add(self, turn: Turn, objectives: Mapping[str, Mapping[str, Tensor]], notes: Mapping[str, Tensor]) -> None:
        """Keep the terms and notes of one micro-batch."""
        for player, terms in objectives.items():
            prefix = player if turn.name == MAIN else f"{player}/{turn.name}"
            for name, value in terms.items():
                self.objectives.add(f"{prefix}/{name}")
                self.values.setdefault(f"{prefix}/{name}", []).append(value.detach().float())
        for name, value in notes.items():
            self.values.setdefault(name, []).append(value.float())

    def add_all(self, names: Sequence[str], values: Tensor) -> None:
        """Keep one value (N,) of each name, of objectives that are known already."""
        for name, value in zip(names, values.unbind(), strict=True):
            self.values.setdefault(name, []).append(value)

    def means(self) -> dict[str, Tensor]:
        """Return the mean of each over turns and micro-batches."""
        return {name: v[0] if len(v) == 1 else torch.stack(v).mean() for name, v in self.values.items()}


def summed(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of scalars, in float32 at least."""
    scalars = [term.float() if term.dtype is torch.bfloat16 else term for term in terms]
    return scalars[0] if len(scalars) == 1 else torch.stack(scalars).sum()
