"""``init=RUN``: a new run that begins with another one's weights.

Networks and averages are copied, optimizers and counts are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganlab.config.configuration import Config
from ganlab.contracts.growth import Grows
from ganlab.core import sizes
from ganlab.core.differences import differences, is_plain
from ganlab.core.errors import GanlabError, few
from ganlab.engine.module import GameModule
from ganlab.runs import choice, run_folder

PREFIXES = ("game.", "average.")
ORIGINAL, LEFT, RIGHT = (f"parametrizations.weight.{name}" for name in ("original", "0.u", "0.v"))
POWER_ITERATIONS = 30


@torch.no_grad()
def start_from(module: GameModule, config: Config) -> list[str]:
    """Fill networks and averages of ``module`` from the run ``init``: its newest checkpoint, or the one that it names.

    With another number of classes the tensors that have a part for each class keep their fresh weights.

    Returns:
        What the user should know, a sentence each.

    Raises:
        GanlabError: If the run cannot be read, or its tensors do not fit, by their names.
    """
    run = str(config.init)
    folder, which = choice.named(run)
    _, checkpoint, damaged = choice.opened(folder, which)
    messages = [f"{sentence} An older checkpoint is used." for sentence in damaged]
    before, now = run_folder.read_config(folder).data.classes, config.data.classes
    ours = {key: value for key, value in module.state_dict().items() if key.startswith(PREFIXES)}
    theirs = _normalized_alike(_as_numbers(checkpoint["state_dict"], ours, run), ours)
    fresh = [
        key for key in ours if key in theirs and before and now and _by_class(ours[key], theirs[key], now - before)
    ]
    taken = {key: value for key, value in theirs.items() if key not in fresh}
    if misfits := list(differences("", taken, {key: value for key, value in ours.items() if key not in fresh})):
        raise GanlabError(f"init={run}: its weights do not fit these networks: {few(misfits, between='; ')}.")
    for key, value in ours.items():
        if key not in fresh:
            value.copy_(theirs[key])
    messages += _set_first_stage(module, checkpoint["ganlab"].get("stage"), run)
    if fresh:
        names = dict.fromkeys(
            key.split(".", 1)[1].partition(".parametrizations")[0].removesuffix(".weight") for key in fresh
        )
        messages.append(
            f"{run} has {before} classes, the data {now}: what belongs to classes starts afresh "
            f"({few(list(names), most=4)})."
        )
    return messages


def _as_numbers(stored: Mapping[str, Tensor], ours: Mapping[str, Tensor], run: str) -> dict[str, Tensor]:
    """The networks' tensors of a checkpoint, which may hold anything, in the precision of ``ours``."""
    found = {key: value for key, value in stored.items() if key.startswith(PREFIXES)}
    for key, value in found.items():
        like, floats = ours.get(key), value.dtype in (torch.float32, torch.float64)
        counts = not value.ndim if like is None else value.dtype == like.dtype
        if not is_plain(value) or not (floats or counts):
            raise GanlabError(f"init={run}: {key} is no plain tensor of single or double precision.")
        if floats:
            found[key] = value.detach().to(torch.get_default_dtype() if like is None else like.dtype)
    return found


def _set_first_stage(module: GameModule, theirs: Any, run: str) -> list[str]:
    """Set the networks to the first stage of the new run's growth, or to full size."""
    networks = [n for player in module.game.players.values() for n in player.modules.values() if isinstance(n, Grows)]
    stage = module.game.stage(0)
    for network in (*networks, *module.average.values()):
        if isinstance(network, Grows):
            network.set_stage(*((network.levels, 1.0) if stage is None else (stage.level, stage.alpha)))
    level = theirs.get("level") if isinstance(theirs, Mapping) else None
    if type(level) is not int or stage is not None or not 0 <= level < max((n.levels for n in networks), default=0):
        return []
    size = sizes.words(networks[0].image_size_at(level))
    return [f"{run} has grown to {size} only: what belongs to larger images is as good as new."]


def _by_class(ours: Tensor, theirs: Tensor, more_classes: int) -> bool:
    """Tell if two shapes differ in one dimension, and there by the number of classes."""
    if ours.ndim != theirs.ndim or more_classes == 0:
        return False
    differences = [a - b for a, b in zip(ours.shape, theirs.shape, strict=True) if a != b]
    return differences == [more_classes]


def _has_vectors(tensors: Mapping[str, Tensor], module: str) -> bool:
    """Tell if a layer has a weight and vectors of spectral norm that fit it."""
    weight, u, v = (tensors.get(f"{module}.{name}") for name in (ORIGINAL, LEFT, RIGHT))
    if weight is None or u is None or weight.ndim < 2:
        return False
    matrix = weight.flatten(1)
    return u.shape == matrix.shape[:1] and (v is None or v.shape == matrix.shape[1:])


def _normalized_alike(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add or remove spectral norm as ``ours`` has it, so that the networks compute the same."""
    found = dict(theirs)
    for key in theirs:
        module, _, last = key.rpartition(".")
        if last == "weight" and key not in ours and f"{module}.{ORIGINAL}" in ours and theirs[key].ndim > 1:
            weight = found.pop(key)
            matrix = weight.flatten(1)
            u = F.normalize(ours[f"{module}.{LEFT}"], dim=0)
            if u.shape[0] == matrix.shape[0]:
                for _ in range(POWER_ITERATIONS):
                    v = F.normalize(matrix.t() @ u, dim=0)
                    u = F.normalize(matrix @ v, dim=0)
            found[f"{module}.{ORIGINAL}"], found[f"{module}.{LEFT}"] = weight, u
        elif key.endswith(f".{ORIGINAL}") and key not in ours:
            module = key.removesuffix(f".{ORIGINAL}")
            if f"{module}.weight" in ours and _has_vectors(theirs, module):
                weight, u = found.pop(key), found.pop(f"{module}.{LEFT}")
                matrix = weight.flatten(1)
                if f"{module}.{RIGHT}" in found:
                    v = found.pop(f"{module}.{RIGHT}")
                else:
                    v = F.normalize(matrix.t() @ u, dim=0)
                    u = F.normalize(matrix @ v, dim=0)
                found[f"{module}.weight"] = weight / (u @ matrix @ v)
    for key in ours:  # vectors that only one of both stores
        if key.endswith(f".{RIGHT}") and key not in found:
            module = key.removesuffix(f".{RIGHT}")
            if _has_vectors(found, module):
                matrix = found[f"{module}.{ORIGINAL}"].flatten(1)
                found[key] = F.normalize(matrix.t() @ found[f"{module}.{LEFT}"], dim=0)
    return {key: value for key, value in found.items() if not (key.endswith(f".{RIGHT}") and key not in ours)}
