"""``freeze=``: parts of the networks that are not trained, for fine-tuning.

Freezing the discriminator's first layers is FreezeD (Mo et al. 2020, arXiv:2002.10964). What is frozen has no gradients
and belongs to no optimizer; gradients pass through it to what lies before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.core.errors import GanlabError, suggestion

PARTS = (".parametrizations", ".original")  # of names of weights that spectral norm keeps elsewhere
BATCH = 4


def freeze(game: Game, words: str | Sequence[str], shape: tuple[int, ...], num_classes: int) -> None:
    """Switch gradients off for the parameters that ``words`` name.

    Args:
        game: With regularizers attached.
        words: ``discriminator:4``: its first four layers with a matrix of weights, in the order of a pass, and the
            norms between them; ``generator.mapping``: all parameters below this name; ``*.bias``: a pattern of names.
        shape: Of an image.
        num_classes: 0: unconditional.

    Raises:
        GanlabError: If a word names nothing, or a player keeps nothing to train.
    """
    words = (words,) if isinstance(words, str) else words
    roles = {role: module for player in game.players.values() for role, module in player.modules.items()}
    names = {
        _plain(f"{role}.{name}"): parameter
        for role, module in roles.items()
        for name, parameter in module.named_parameters()
    }
    for word in words:
        role, colon, count = word.partition(":")
        if colon:
            found = _first(word, roles, role, count, shape, num_classes)
        else:
            found = [p for name, p in names.items() if f"{name}.".startswith(f"{word}.") or fnmatchcase(name, word)]
        if not found:
            known = {name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1)}
            raise GanlabError(f"freeze={word} names no part of {', '.join(roles)}.{suggestion(word, known)}")
        for parameter in found:
            parameter.requires_grad_(False)
    for player, modules in game.players.items():
        if words and not any(parameter.requires_grad for parameter in modules.parameters()):
            raise GanlabError(f"freeze={','.join(words)} leaves nothing of the {player} to train.")


def _plain(name: str) -> str:
    for part in PARTS:
        name = name.replace(part, "")
    return name


def _first(
    word: str, roles: dict[str, nn.Module], role: str, count: str, shape: tuple[int, ...], num_classes: int
) -> list[nn.Parameter]:
    """The parameters of the first layers of a discriminator."""
    if role != "discriminator" or role not in roles or not count.isdecimal() or not int(count):
        raise GanlabError(
            f"freeze={word} is none of discriminator:COUNT, the COUNT first layers, and the name of a part."
        )
    layers = [list(own) for own in _called(roles[role], shape, num_classes)]
    matrices = [number for number, layer in enumerate(layers) if any(p.ndim > 1 for p in layer)]
    if int(count) >= len(matrices):
        raise GanlabError(
            f"freeze={word}: the {role} has {len(matrices)} layers with weights, of which one must be trained."
        )
    return [parameter for layer in layers[: matrices[int(count)]] for parameter in layer]


def _called(network: nn.Module, shape: tuple[int, ...], num_classes: int) -> list[Sequence[nn.Parameter]]:
    """The parameters of each layer that has some, in the order in which a pass first comes by."""
    order: dict[nn.Module, Sequence[nn.Parameter]] = {}
    watched = [
        module.register_forward_pre_hook(lambda layer, _: order.setdefault(layer, tuple(_own(layer))) and None)
        for module in network.modules()
        if any(True for _ in _own(module))
    ]
    training = network.training
    like: Tensor = next(network.parameters())
    inputs = [like.new_zeros(BATCH, *shape)]
    if num_classes:
        inputs.append(torch.zeros(BATCH, dtype=torch.int64, device=like.device))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            network.eval()(*inputs)
    except TypeError as error:  # BiGAN's D(x, z)
        raise GanlabError(
            "freeze=discriminator:COUNT follows a pass of images, and this discriminator takes more than them: name "
            "its layers instead, as discriminator.NAME."
        ) from error
    finally:
        network.train(training)
        for handle in watched:
            handle.remove()
    return list(order.values())


def _own(layer: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of a layer itself, and those of which its parametrized weights are made."""
    yield from layer.parameters(recurse=False)
    if isinstance(parametrized := getattr(layer, "parametrizations", None), nn.ModuleDict):
        yield from parametrized.parameters()
