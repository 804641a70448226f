"""Progressive growing: the size of the networks as a pure function of images seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganlab.contracts.game import Game
from ganlab.contracts.growth import Grows, Stage
from ganlab.core import sizes
from ganlab.core.checks import at_least_zero, checked
from ganlab.core.ranges import Range


@dataclass(frozen=True)
class Phase:
    """A stretch of training over which the level stays the same.

    Args:
        start: Images seen when it begins.
        images: Its length.
        level: Level of the networks.
        fades: Whether the level fades in over it, or is stable.
    """

    start: int
    images: int
    level: int
    fades: bool


class Progressive:
    """Progressive growing, Karras et al. 2018 (arXiv:1710.10196), counted in images as the authors' code does it.

    A level is stable for ``stable_kimg``, then the next one fades in over ``fade_kimg``: the share alpha of
    its path is the share of the fade that has been shown. The last level stays. Image size, batch and learning
    rates are the new level's as soon as its fade begins. Real images fade in as well:
    x + (up(pool(x)) - x)·(1 - alpha). Optimizers forget their state when a fade begins and when it ends;
    moving averages go on. pytorch_GAN_zoo keeps the optimizers' state when a fade ends, and starts its average anew
    with each level: ``reset_after_fade=false restart_average=true``.

    Tables name the height of images, as in ``{4:512,8:256}``. A run that sets neither ``run.max_kimg`` nor
    ``trainer.max_steps`` lasts until the last level was stable for its ``stable_kimg``.

    Args:
        image_sizes: (H, W) of each level, the smallest first.
        players: Whose learning rates follow ``learning_rate_factors``.
        batch_size: Of sizes that ``batch_sizes`` does not name.
        start_size: Height of images with which training begins; null: the networks' smallest.
        stable_kimg: Thousands of images for which a level is stable: one number, or one a level from ``start_size`` on.
        fade_kimg: Thousands of images over which the next level fades in: one number, or one a fade; 0: a jump.
        batch_sizes: Global batch of a discriminator turn by image size; other sizes take ``data.batch_size``.
        learning_rate_factors: Factors on the learning rates, by image size; other sizes 1.
        reset_optimizers: Whether optimizers forget their state when a fade begins or ends.
        reset_after_fade: False: only when it begins.
        restart_average: Whether moving averages begin anew, as copies, with each level.
        full_size_gradients: Whether input gradients are those by images of the final size, as in the authors' code,
            which enlarges smaller ones: at 1/s of the final size they are 1/s as long, and penalties weaker. False: by
            images of the level, as in pytorch_GAN_zoo. A penalty by finite differences does not follow it.

    Raises:
        ValueError: If a number is out of range, a size is none of the networks', or a phase is shorter than one batch.
    """

    def __init__(
        self,
        image_sizes: Sequence[tuple[int, int]],
        players: Sequence[str],
        batch_size: int,
        *,
        start_size: int | None = None,
        stable_kimg: float | tuple[float, ...] = 600.0,
        fade_kimg: float | tuple[float, ...] = 600.0,
        batch_sizes: dict[int, int] | None = None,
        learning_rate_factors: dict[int, float] | None = None,
        reset_optimizers: bool = True,
        reset_after_fade: bool = True,
        restart_average: bool = False,
        full_size_gradients: bool = False,
    ) -> None:
        self.image_sizes, self.players, self.batch_size = tuple(image_sizes), tuple(players), batch_size
        self.reset_optimizers, self.reset_after_fade = reset_optimizers, reset_after_fade
        self.restart_average, self.full_size_gradients = restart_average, full_size_gradients
        heights = [height for height, _ in image_sizes]
        first = _first(heights, start_size)
        self._batch_sizes = _by_size("batch_sizes", batch_sizes, heights, least=1)
        self._factors = _by_size("learning_rate_factors", learning_rate_factors, heights, least=0)
        grown = heights[first:]
        stable = _in_images("stable_kimg", stable_kimg, grown, "levels")
        fade = _in_images("fade_kimg", fade_kimg, grown[1:], "fades")
        self.phases: list[Phase] = []
        for number in range(len(grown)):
            if number and fade[number - 1]:
                self._add(fade[number - 1], first + number, True)
            self._add(stable[number], first + number, False)
        self._refuse_short_ones(heights)

    def _add(self, images: int, level: int, fades: bool) -> None:
        start = self.phases[-1].start + self.phases[-1].images if self.phases else 0
        self.phases.append(Phase(start, images, level, fades))

    def _refuse_short_ones(self, heights: Sequence[int]) -> None:
        for phase, following in zip(self.phases, [*self.phases[1:], None], strict=True):
            size = heights[phase.level]
            batch = self._batch_sizes.get(size, self.batch_size)
            name = "fade_kimg" if phase.fades else "stable_kimg"
            if 0 < phase.images < batch:
                raise ValueError(
                    f"{name} is {phase.images / 1000:g} at {size} pixels, shorter than one batch of {batch} images: "
                    f"make it at least {batch / 1000:g}, or 0"
                )
            if phase.images == 0 and following is not None and not following.fades:
                raise ValueError(f"stable_kimg and fade_kimg are both 0 at {size} pixels: one of them must be positive")

    @property
    def images(self) -> int:
        """Length of the whole schedule."""
        return self.phases[-1].start + self.phases[-1].images

    @property
    def starts(self) -> list[int]:
        """Number of images seen at which each phase begins."""
        return [phase.start + phase.fades for phase in self.phases]

    def stage(self, images_seen: int) -> Stage:
        """Return the stage after so many images."""
        # as in the authors' code the image at which a stable phase ends still belongs to it
        for number, phase in enumerate(self.phases):
            end = phase.start + phase.images
            fade_follows = number + 1 < len(self.phases) and self.phases[number + 1].fades
            if images_seen < end or (images_seen == end and fade_follows and not phase.fades):
                break
        size = self.image_sizes[phase.level]
        since_reset = number if self.reset_after_fade else phase.level
        factor = self._factors.get(size[0], 1.0)
        return Stage(
            image_size=size,
            batch_size=self._batch_sizes.get(size[0], self.batch_size),
            level=phase.level,
            alpha=(images_seen - phase.start) / phase.images if phase.fades else 1.0,
            learning_rates=dict.fromkeys(self.players, factor) if self._factors else {},
            phase=since_reset if self.reset_optimizers else 0,
            average=phase.level if self.restart_average else 0,
            gradient_scale=size[0] / self.image_sizes[-1][0] if self.full_size_gradients else 1.0,
        )


def image_sizes(game: Game, families: Mapping[str, str]) -> list[tuple[int, int]]:
    """(H, W) of each level of the game's networks, the smallest first.

    Args:
        game: The networks' game.
        families: What the generator and the discriminator are called.

    Raises:
        ValueError: If a network cannot grow, or two do not grow alike.
    """
    networks = {name: network for player in game.players.values() for name, network in player.modules.items()}
    found: dict[str, list[tuple[int, int]]] = {}
    for name, family in families.items():
        network: Any = networks.get(name)
        if not isinstance(network, Grows):
            raise ValueError(
                f"the {name} {family!r} cannot grow: take networks that hold all their levels, or growth=none"
            )
        found[name] = [tuple(network.image_size_at(level)) for level in range(network.levels + 1)]  # type: ignore[misc]
    generated, judged = found["generator"], found["discriminator"]
    if generated != judged:
        raise ValueError(f"the generator's images are {_words(generated)}, the discriminator's {_words(judged)}")
    for below, above in itertools.pairwise(generated):
        if above != (2 * below[0], 2 * below[1]):
            raise ValueError(f"each level must double the size of the one below, got {_words(generated)}")
    return generated


def _words(found: Sequence[tuple[int, int]]) -> str:
    return ", ".join(map(sizes.words, found))


def _first(heights: Sequence[int], start_size: int | None) -> int:
    if start_size is None:
        return 0
    if start_size > heights[-1]:
        raise ValueError(f"start_size={start_size} is above the size of the images, {heights[-1]}")
    if start_size not in heights:
        raise ValueError(f"start_size must be one of {', '.join(map(str, heights))}, got {start_size}")
    return heights.index(start_size)


def _in_images(name: str, kimg: float | tuple[float, ...], sizes: Sequence[int], what: str) -> list[int]:
    numbers = list(kimg) if isinstance(kimg, tuple) else [kimg] * len(sizes)
    if len(numbers) != len(sizes):
        at = ", ".join(map(str, sizes))
        raise ValueError(f"{name} must be one number, or one for each of the {what} at {at} pixels, got {len(numbers)}")
    return [round(1000 * at_least_zero(name, number)) for number in numbers]


def _by_size(name: str, table: Mapping[Any, Any] | None, heights: Sequence[int], least: float) -> dict[int, Any]:
    found = {}
    for key, value in (table or {}).items():
        # a table may serve larger and smaller networks too
        size = int(key) if str(key).isdecimal() else 0
        if size < 1 or math.log2(size / heights[0]) % 1:
            raise ValueError(f"{name} names {key} pixels, but the networks' sizes are {', '.join(map(str, heights))}")
        found[size] = checked(f"{name} at {key} pixels", value, Range(least=least, below=math.inf))
    return found
