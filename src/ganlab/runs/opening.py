"""The lines with which a run begins: its data, its networks, its length, and what ``auto`` came to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ganlab.assembly.experiment import Experiment
from ganlab.config.configuration import Config
from ganlab.contracts import plan
from ganlab.contracts.game import Game
from ganlab.contracts.plan import Progress
from ganlab.core import kinds, sizes
from ganlab.data.headers import look
from ganlab.data.prepare import Images
from ganlab.data.run_images import RunData
from ganlab.engine import record_check
from ganlab.runs import naming

WIDTH = 100


def lines(built: Experiment, world_size: int, progress: Progress) -> list[str]:
    """Return three lines, the data, the networks, the length, one for each option that was ``auto``, and one on what is
    recorded.

    Details are left out of a line wider than `WIDTH`.

    Args:
        built: With data.
        world_size: Processes.
        progress: The progress of a resumed run; zero for a new one.
    """
    assert built.data is not None
    length = _length(built, built.data, world_size, progress)
    return [
        _data(built.config, built.data),
        _networks(built),
        length,
        *built.automatic,
        *record_check.said(built.module),
    ]


def _data(config: Config, data: RunData) -> str:
    images = data.images
    parts = _points(images) if images.are_points else _images(data)
    held_out = len(images) - len(data.splits["train"])
    parts += [f"{held_out:,} held out"] if held_out else []
    parts += [f"{len(images.skipped):,} unreadable ones left out"] if images.skipped else []
    line = f"data: {naming.data_name(config)}, {', '.join(parts)}; "
    if images.labels is None or not images.num_classes:
        return f"{line}no classes"
    line += f"{images.num_classes:,} classes"
    if not config.data.num_classes:
        return f"{line}, not used"
    counts = torch.bincount(images.labels, minlength=images.num_classes).tolist()
    return line + _classes(images.class_names, counts, WIDTH - len(line))


def _points(images: Images) -> list[str]:
    """The number of points, their coordinates and extent: networks learn points of about 1."""
    dimensions = images.pixels.shape[1]
    low, high = float(images.pixels.min()), float(images.pixels.max())
    what = "points of the plane" if dimensions == 2 else f"points of {dimensions} coordinate{'s' * (dimensions > 1)}"
    return [f"{len(images):,} {what} from {low:.3g} to {high:.3g}"]


def _images(data: RunData) -> list[str]:
    """The number of images, their size as stored and as trained."""
    images, found = data.images, None if data.source is None else look(data.source)
    channels, height, width = images.pixels.shape[1:]
    several = "s" if len(images) != 1 else ""
    parts = [f"{len(images):,} image{several}"]
    at = sizes.words((height, width))
    trained = f"trained at {at}"
    if found is not None and found.sizes:
        first, last = map(sizes.words, (found.sizes[0], found.sizes[-1]))
        colour = {1: "grey", 3: "colour"}
        stored = first if len(set(found.sizes)) == 1 else f"{first} to {last}"
        parts = [f"{len(images):,} {colour[found.channels]} image{several} of {stored}"]
        enlarged = min(height, width) > min(found.sizes[-1])
        trained = f"{'enlarged to' if enlarged else 'trained at'} {at}"
        trained += f" in {colour[channels]}" if channels != found.channels and channels in colour else ""
    return [*parts, trained]


def _classes(names: Sequence[str], counts: Sequence[int], room: int) -> str:
    """Each class with its number of images, or only the smallest and the largest number."""
    each = f": {', '.join(f'{name} {count:,}' for name, count in zip(names, counts, strict=False))}"
    if len(each) <= room and len(names) == len(counts):
        return each
    low, high = min(counts), max(counts)
    return f" of {low:,} each" if low == high else f" of {low:,} to {high:,}"


def _networks(built: Experiment) -> str:
    config, game = built.config, built.module.game
    acts: dict[str, list[tuple[str, str]]] = {player: [] for player in game.players}
    for name, regularizer in built.module.regularizers.items():
        shown = config[name].name if name in kinds.single_hooks() else name
        for player, what in regularizer.acts_on(game).items():  # type: ignore[operator]
            acts.setdefault(player, []).append((shown, what))
    players = sorted(game.players, key=lambda player: "generator" not in game.players[player].modules)
    line = ""
    for label, details in (("networks (parameters)", True), ("networks", True), ("networks", False)):
        of_players = (f"{_modules(built, player)}{_regularized(acts[player], details)}" for player in players)
        line = f"{label}: {'; '.join(of_players)}"
        if len(line) <= WIDTH:
            break
    return line


def _modules(built: Experiment, player: str) -> str:
    """``generator sngan 1.2 M``, of each network of a player, and ``0.3 M frozen``."""
    config, module = built.config, built.module
    trained = {id(parameter) for parameter in module.player_optimizers.parameters[player]}
    found = []
    for name, network in module.game.players[player].modules.items():
        count = sum(parameter.numel() for parameter in network.parameters())
        frozen = sum(parameter.numel() for parameter in network.parameters() if id(parameter) not in trained)
        component = config[name].name if name in kinds.networks() and name in config else None
        found.append(
            " ".join(filter(None, [name, component, _count(count)])) + (f", {_count(frozen)} frozen" if frozen else "")
        )
    return ", ".join(found)


def _regularized(acts: Sequence[tuple[str, str]], details: bool) -> str:
    words = [f"{name}: {what}" if what and details else name for name, what in acts]
    return f" ({', '.join(words)})" if words else ""


def _length(built: Experiment, data: RunData, world_size: int, progress: Progress) -> str:
    config, game = built.config, built.module.game
    steps, max_kimg, batch, accumulate = (
        config.max_steps, config.run.max_kimg, config.data.batch_size, config.accumulate,
    )  # fmt: skip
    end = _end(game, batch, progress, steps if steps >= 0 else None, max_kimg)
    if end is None:
        parts = ["until it is stopped"]
    else:
        iterations = f"{end.iteration:,} iteration{'' if end.iteration == 1 else 's'}"
        if progress.iteration:
            iterations = f"iterations {progress.iteration + 1:,} to {end.iteration:,}"
        passes = end.images_seen / max(1, len(data.splits["train"]))
        parts = [iterations, f"{end.kimg:,.4g} kimg", f"{passes:,.{1 if passes < 10 else 0}f} epochs"]
    through, batches = _stages(game, batch)
    parts.append(f"batch {' to '.join(f'{size:,}' for size in batches)}")
    if world_size * accumulate > 1:
        processes = [f"{world_size} processes"] if world_size > 1 else []
        micro = [f"{accumulate} micro-batches"] if accumulate > 1 else []
        each = " to ".join(f"{size // (world_size * accumulate):,}" for size in batches)
        parts[-1] += f" = {' x '.join([*processes, *micro, each])}"
    if len(through) > 1:
        parts.append(f"growing from {through[0]} to {through[-1]}")
    if config.trainer.get("max_time") is not None:
        parts.append(f"at most trainer.max_time={config.trainer['max_time']}")
    return f"length: {', '.join(parts)}"


def _end(game: Game, batch_size: int, progress: Progress, steps: int | None, max_kimg: float | None) -> Progress | None:
    """Return the end of a run, phase by phase of its growth; None: it has none."""
    if steps is None and max_kimg is None:
        return None
    starts = [] if game.growth is None else list(game.growth.starts)
    limit = math.inf if max_kimg is None else 1000 * max_kimg
    iteration, images, consumed = progress.iteration, progress.images_seen, progress.images_consumed
    while images < limit and (steps is None or iteration < steps):
        planned = plan.plan(game, Progress(images_seen=images), batch_size)
        until = min([start for start in starts if start > images] + [limit])
        count = steps - iteration if steps is not None else None
        if until < math.inf and planned.counted:
            needed = math.ceil((until - images) / planned.counted)
            count = needed if count is None else min(count, needed)
        if not count:
            return None  # no turn counts images, so run.max_kimg is never reached
        iteration, images = iteration + count, images + count * planned.counted
        consumed += count * planned.consumed
    return Progress(iteration, images, consumed)


def _stages(game: Game, batch_size: int) -> tuple[list[str], list[int]]:
    """The sizes that images grow through, and the smallest and the largest batch."""
    if game.growth is None:
        return [], [batch_size]
    stages = [game.growth.stage(start) for start in game.growth.starts]
    batches = {batch_size if stage.batch_size is None else stage.batch_size for stage in stages}
    through = dict.fromkeys(sizes.words(stage.image_size) for stage in stages)
    return list(through), sorted({min(batches), max(batches)})


def _count(parameters: int) -> str:
    if parameters >= 10**6:
        return f"{parameters / 1e6:.1f} M"
    return f"{parameters / 1e6:.2f} M" if parameters >= 10**4 else f"{parameters:,}"
