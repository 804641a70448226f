"""The check that the batches of a run divide over its processes and micro-batches."""

from __future__ import annotations

from collections.abc import Iterator

from ganlab.contracts import plan
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule

_MOST_PARTS = 1000  # times a batch


def check(module: GameModule, world_size: int) -> None:
    """Check that every turn's batch divides over ranks and accumulations.

    Raises:
        GanlabError: If one does not, with the nearest batch sizes that do.
    """
    options = module.training_options
    parts = options.accumulate * world_size
    for key, batch, progress in _batches(module):
        if parts > _MOST_PARTS * batch:  # no size near it divides
            raise GanlabError(
                f"accumulate={options.accumulate} cuts {key}={batch} into parts of less than an image: take "
                f"accumulate={max(1, batch // world_size)} at most."
            )
        slots = plan.plan(module.game, progress, options.batch_size).slots
        for slot in slots:
            if not _divides(batch, slot.turn.batch, parts):
                found = [
                    next((n for n in sizes if all(_divides(n, s.turn.batch, parts) for s in slots)), None)
                    for sizes in (range(batch, 0, -1), range(batch, batch + 1000 * parts))
                ]
                near = " or ".join(str(n) for n in found if n)
                share = f" (a share of {slot.turn.batch:g} of it in one turn)" if slot.turn.batch != 1 else ""
                raise GanlabError(
                    f"{key}={batch}{share} does not divide into accumulate={options.accumulate} "
                    f"times {world_size} process{'es' if world_size > 1 else ''}: try {key}={near}."
                )


def _divides(batch: int, share: float, parts: int) -> bool:
    """Tell if a share of a batch divides into ``parts`` of one size, at least one image each."""
    size = round(batch * share)
    return size > 0 and size % parts == 0


def _batches(module: GameModule) -> Iterator[tuple[str, int, plan.Progress]]:
    """Yield every batch size of a run: its key, its value, and the progress at which the run takes it."""
    given, schedule = module.training_options.batch_size, module.game.growth
    if schedule is None:
        yield "data.batch_size", given, module.progress
        return
    for start in schedule.starts:
        stage = schedule.stage(start)
        batch = given if stage.batch_size is None else stage.batch_size
        key = "data.batch_size" if batch == given else f"growth.batch_sizes.{stage.image_size[0]}"
        yield key, batch, plan.Progress(images_seen=start)
