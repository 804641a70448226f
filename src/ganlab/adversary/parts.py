"""The parts of an adversary: names and objects -> a game with its regularizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ganlab.adversary import numbers, outputs, wrappers
from ganlab.adversary.opponent import GENERATOR, Opponent
from ganlab.assembly import game as games
from ganlab.assembly import parts
from ganlab.contracts import compatibility
from ganlab.contracts.regularizer import Regularizer, overrides
from ganlab.core import kinds
from ganlab.core.errors import GanlabError, sentence, shown
from ganlab.core.schedules import Scheduled


@dataclass(frozen=True)
class Parts:
    """The parts that an adversary plays with.

    Args:
        game: With regularizers attached.
        regularizers: By name, the augmentation among them.
        scheduled: Numbers that follow schedules.
        compiled: The discriminator is to be compiled.
        sharded: Somebody else averages its gradients.
    """

    game: Opponent
    regularizers: dict[str, Regularizer]
    scheduled: list[Scheduled]
    compiled: bool
    sharded: bool


def parts_of(discriminator: Any, loss: Any, reg: Any, augment: Any, total_steps: int | None, **options: Any) -> Parts:
    """Return the parts that are named or given.

    Args:
        options: Of `Opponent`.

    Raises:
        GanlabError: If a name or an option is wrong, or parts do not go together.
    """
    network, compiled, sharded = _network(discriminator)
    loss, reg = parts.unbundled(loss, () if _none(reg) else reg)
    chosen = parts.one("loss", numbers.completed(loss, total_steps))
    hooks = [*parts.several("reg", numbers.completed(reg, total_steps)).values()]
    if not _none(augment):
        hooks.append(parts.one("augment", numbers.completed(augment, total_steps)))
    made = {one.key: one.make() for one in (chosen, *hooks)}
    typed = {one.typed: made[one.key] for one in (chosen, *hooks)}
    typed |= {f"discriminator={type(network).__name__}": network, "Adversary": Opponent}
    if reasons := compatibility.refusals(typed):
        raise GanlabError(" ".join(reasons))
    try:
        game = Opponent(discriminator=network, loss=made[chosen.key], **options)
    except ValueError as error:
        raise GanlabError(f"{chosen.typed}: {sentence(error)}") from error
    for one in hooks:
        if sharded and getattr(getattr(made[one.key], "slopes", None), "exact", False):
            raise GanlabError(
                f"{one.typed} differentiates twice, which FSDP cannot: set estimator=finite_difference where it has "
                f"this option, or leave it out."
            )
        games.attach(one.typed, made[one.key], game)
        _refuse_weights_of_others(one.typed, made[one.key], game)
    scheduled = [number for one in (chosen, *hooks) for number in numbers.follow(one, made[one.key])]
    return Parts(game, {one.name: made[one.key] for one in hooks}, scheduled, compiled, sharded)


def _none(chosen: Any) -> bool:
    """Tell if no component is chosen: None, or ``none`` as on the command line."""
    return chosen is None or (isinstance(chosen, str) and chosen == kinds.NONE)


def _network(discriminator: Any) -> tuple[nn.Module, bool, bool]:
    """Return the discriminator, whether it is to be compiled, and whether a wrapper averages its gradients."""
    if isinstance(discriminator, str) or (isinstance(discriminator, Mapping) and len(discriminator) == 1):
        discriminator = _by_name(discriminator)
    if isinstance(discriminator, Sequence) and discriminator and not isinstance(discriminator, nn.Module):
        each = [_network(one) for one in discriminator]
        network: nn.Module = outputs.Several([one for one, _, _ in each])
        compiled, sharded = any(c for _, c, _ in each), [s for _, _, s in each]
        if len(set(sharded)) > 1:
            raise GanlabError("discriminator: FSDP wraps some of the networks and not the others: wrap all, or none.")
        return network, compiled, sharded[0]
    if not isinstance(discriminator, nn.Module):
        raise GanlabError(
            f"discriminator must be a torch module, a list of them, or a name with options, got a "
            f"{type(discriminator).__name__}."
        )
    network, compiled, sharded_one = wrappers.unwrapped(discriminator)
    if not any(p.requires_grad for p in network.parameters()):
        raise GanlabError(f"discriminator: {type(network).__name__} has no parameters that require a gradient.")
    return network, compiled, sharded_one


def _by_name(chosen: str | Mapping[str, Any]) -> nn.Module:
    """Return one of ganlab's discriminators; what a run would supply is among its options: ``image_size``."""
    name, options = (chosen, {}) if isinstance(chosen, str) else next(iter(chosen.items()))
    if not isinstance(options, Mapping | None):
        raise GanlabError(f"discriminator: the options of {name!r} must be a mapping, got {shown(options)}.")
    given = {key: value for key, value in (options or {}).items() if key in kinds.given("discriminator")}
    others = {key: value for key, value in (options or {}).items() if key not in given}
    part = parts.one("discriminator", {str(name): others})
    try:
        network: nn.Module = part.make(**given)
    except TypeError as error:
        raise GanlabError(f"discriminator={name}: {sentence(error)}") from error
    return network


def _refuse_weights_of_others(typed: str, regularizer: Regularizer, game: Opponent) -> None:
    """Refuse what changes the generator's gradients or weights: its optimizer is not here."""
    if any(overrides(regularizer, hook) for hook in ("gradients", "after_step")):
        for address in regularizer.addresses:
            if game.owner(address.player) == GENERATOR:
                raise GanlabError(
                    f"{typed} changes weights of the generator, which your own loop trains: leave it out, or name "
                    f"the discriminator in its players."
                )
