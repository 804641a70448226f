"""Regularizers: what changes or adds to a game, through hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.contracts.hooks import Hooks
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View


class Regularizer(nn.Module):
    """Anything that adds a term to a player's objective, changes its modules or gradients, or
    constrains its weights. Every hook is optional; only those that a class overrides are called.

    State lives in buffers and parameters, so it is saved, resumed and moved to the device.

    Attributes:
        provides, needs, refuses: What it declares of its company, see `ganlab.config.compatibility`.
        input_gradients: Roles of the points (``real``, ``fake``) at which `terms` takes input
            gradients in the main turn. The engine then makes the main forward pass serve for
            them where it can (float32, not compiled), which saves one pass.
        idle_hooks: Hooks that the class overrides but its options do without, so that they are not called.
        player_gradients: Players by whose parameters `terms` differentiates (`View.player_gradient`),
            in the turns of others too. Their graphs are then made in every turn.
        reads_features: Whether `terms` asks for features. Logits are then made of them, in one pass.
    """

    provides: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refuses: Mapping[str, str] = {}
    input_gradients: tuple[str, ...] = ()
    idle_hooks: tuple[str, ...] = ()
    player_gradients: tuple[str, ...] = ()
    reads_features: bool = False

    def attach(self, game: Game) -> None:
        """Parametrize modules, add modules, players or turns; before optimizers and EMA exist."""

    def acts_on(self, game: Game) -> dict[str, str]:
        """Player -> what of it is regularized, in a few words, empty for its objective. Asked after `attach`, for the
        lines with which a run begins. Without a method of its own: ``self.players``, ``self.player`` or the
        discriminator."""
        names = getattr(self, "players", None) or (getattr(self, "player", "discriminator"),)
        return {name: "" for name in names if name in game.players}

    def during(self, turn: Turn) -> AbstractContextManager[None]:
        """Surrounds the evaluation of one micro-batch; not called with ``state_updates=every_forward``."""
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

    def terms(self, turn: Turn, view: View) -> Objectives:
        """Terms to add to the players' objectives on one micro-batch."""
        return {}

    def gradients(self, turn: Turn, gradients: dict[str, list[Tensor]]) -> None:
        """Change gradients in place, after accumulation and averaging over ranks, before the step.

        ``gradients[player]`` belongs, in order, to those of the player's parameters that have one.
        """

    def after_step(self, turn: Turn) -> None:
        """Weight clipping, singular-value clamping, dual variables; after the turn's players stepped."""


def overrides(regularizer: Regularizer, hook: str) -> bool:
    """Tell if a regularizer implements ``hook`` itself, and its options use it."""
    return hook not in regularizer.idle_hooks and getattr(type(regularizer), hook) is not getattr(Regularizer, hook)


def hooks_of(regularizers: Sequence[Regularizer]) -> Hooks:
    """Collect the hooks that each of ``regularizers`` implements."""

    def of(hook: str) -> tuple[Callable[..., Any], ...]:
        return tuple(getattr(r, hook) for r in regularizers if overrides(r, hook))

    return Hooks(
        during=of("during"),
        images=of("images"),
        features=of("features"),
        scores=of("scores"),
        terms=of("terms"),
        gradients=of("gradients"),
        after_step=of("after_step"),
        input_gradients=frozenset(role for r in regularizers for role in r.input_gradients),
        by_features=bool(of("features")) or any(r.reads_features for r in regularizers),
        player_gradients=frozenset(player for r in regularizers for player in r.player_gradients),
    )
