"""Regularizers: what changes or adds to a game, through hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from ganlab.contracts.address import Address, Addressed
from ganlab.contracts.game import Game
from ganlab.contracts.hooks import Hooks
from ganlab.contracts.plan import Progress
from ganlab.contracts.turn import Terms, Turn
from ganlab.contracts.view import View
from ganlab.core.errors import GanlabError


class Regularizer(nn.Module):
    """Anything that adds a term to a player's objective, changes its modules or gradients, or
    constrains its weights. Every hook is optional; only those that a class overrides are called.

    `terms`, `gradients` and `after_step` are called where ``addresses`` say, with the player as their first argument:

        class Drift(Regularizer):
            addresses = (Address("discriminator"),)

            def terms(self, player, view):
                return {"drift": view.logits(view.reals).square().mean()}

    State lives in buffers and parameters, so it is saved, resumed and moved to the device. Inside a turn no attribute
    changes, and a buffer gets a new value with `View.update`.

    Attributes:
        addresses: Where it acts. With one that names a turn of its own it plays lazily.
        provides, needs, refuses: The conditions on other components, see `ganlab.contracts.compatibility`.
        input_gradients: Roles of the points (``real``, ``fake``) at which `terms` takes input
            gradients in the main turn. The engine then makes the main forward pass serve for
            them where it can (float32, not compiled), which saves one pass.
        idle_hooks: Hooks that the class overrides but its options do without, so that they are not called.
        player_gradients: Players by whose parameters `terms` differentiates (`View.player_gradient`),
            in the turns of others too. Their graphs are then made in every turn.
        reads_features: `terms` reads features. Logits are then made of them, in one pass.
        unrecordable: Why turns with it cannot be recorded and replayed: it reads a value on the host in a turn, or a
            number that changes between iterations and is no tensor. Empty: they can. Games, losses and networks
            declare it likewise.
        host_options: Options that turns read on the host, as in ``if self.weight``. In recorded turns numbers that
            follow schedules are tensors, so these cannot. Games and losses declare it likewise.
    """

    addresses: tuple[Address, ...] = ()
    provides: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refuses: Mapping[str, str] = {}
    input_gradients: tuple[str, ...] = ()
    idle_hooks: tuple[str, ...] = ()
    player_gradients: tuple[str, ...] = ()
    reads_features: bool = False
    unrecordable: str = ""
    host_options: tuple[str, ...] = ()

    def attach(self, game: Game) -> None:
        """Add the turns of the addresses to the game; a method of your own calls this one.

        It may parametrize modules and add modules or players: optimizers and averages do not exist yet.

        Raises:
            ValueError: If the game does not have a player of the addresses.
        """
        for address in self.addresses:
            player = game.owner(address.player)
            if address.adds_turn:
                game.add_turn(address.own_turn(player))

    def prepare(self, game: Game) -> None:
        """Keep lists of the game's parameters or modules that hooks use.

        Called when all regularizers are attached: each may have parametrized modules or added some.
        """

    def acts_on(self, game: Game) -> dict[str, str]:
        """Return player -> what of it is regularized, in a few words, empty for its objective.

        Called after `attach`, for the lines with which a run begins.
        """
        return {game.owner(address.player): "" for address in self.addresses}

    def before_recording(self) -> None:
        """Give tensors sizes that depend on no value: turns are recorded from now on."""

    def before_iteration(self, progress: Progress) -> None:
        """Change state between two iterations, such as the strength of an augmentation."""

    def during(self, turn: Turn, previous: Turn | None) -> AbstractContextManager[None]:
        """Surround the evaluation of one micro-batch; not called with ``state_updates=every_forward``.

        Args:
            previous: The turn of the micro-batch before. Since then only its players have stepped; None: any player may
                have.
        """
        return nullcontext()

    def images(self, images: Tensor, role: str, view: View) -> Tensor:
        """Change what the discriminator sees: augmentation, instance noise."""
        return images

    def features(self, features: Tensor, role: str, view: View) -> Tensor:
        """Change the discriminator's last map before its head: an information bottleneck."""
        return features

    def scores(self, real_logits: Tensor | None, fake_logits: Tensor, view: View) -> tuple[Tensor | None, Tensor]:
        """Change what the adversarial loss sees: top-k. ``real_logits`` is None where it does without."""
        return real_logits, fake_logits

    def terms(self, player: str, view: View) -> Terms:
        """Return the terms, by name, that the player minimises in addition, on one micro-batch."""
        return {}

    def gradients(self, player: str, gradients: list[Tensor]) -> None:
        """Change the player's gradients in place, after accumulation and averaging over ranks, before the step.

        They belong, in order, to those of the player's parameters that have one.
        """

    def after_step(self, player: str) -> None:
        """Constrain weights or state after the player's step: weight clipping, singular-value clamping."""


EVERYWHERE = ("before_recording", "before_iteration", "during", "images", "features", "scores")
ADDRESSED = ("terms", "gradients", "after_step")


def overrides(regularizer: Regularizer, hook: str) -> bool:
    """Tell if a regularizer implements ``hook`` itself, and its options use it."""
    return hook not in regularizer.idle_hooks and getattr(type(regularizer), hook) is not getattr(Regularizer, hook)


def hooks_of(game: Game, regularizers: Sequence[Regularizer]) -> Hooks:
    """Prepare all ``regularizers``, which are attached, and collect the hooks that each of them implements.

    Raises:
        GanlabError: If a regularizer implements a hook that needs an address and has none, or has not added its turn.
    """

    for regularizer in regularizers:
        regularizer.prepare(game)

    def of(hook: str) -> tuple[Callable[..., Any], ...]:
        return tuple(getattr(r, hook) for r in regularizers if overrides(r, hook))

    def addressed(hook: str) -> tuple[Addressed, ...]:
        return tuple(found for r in regularizers if overrides(r, hook) for found in _addressed(game, r, hook))

    return Hooks(
        **{hook: of(hook) for hook in EVERYWHERE},  # type: ignore[arg-type]
        **{hook: addressed(hook) for hook in ADDRESSED},  # type: ignore[arg-type]
        input_gradients=frozenset(role for r in regularizers for role in r.input_gradients),
        by_features=bool(of("features")) or any(r.reads_features for r in regularizers),
        player_gradients=frozenset(player for r in regularizers for player in r.player_gradients),
    )


def _addressed(game: Game, regularizer: Regularizer, hook: str) -> list[Addressed]:
    name, call = type(regularizer).__name__, getattr(regularizer, hook)
    if not regularizer.addresses:
        raise GanlabError(f"{name}.{hook} needs an address: set the attribute addresses.")
    found = [Addressed(game.owner(address.player), address, call) for address in regularizer.addresses]
    for one in found:
        if one.address.adds_turn and not any(one.acts_in(turn) for turn in game.all_turns()):
            raise GanlabError(f"{name}.attach must call super().attach(game), which adds its turn to the game.")
    return found
