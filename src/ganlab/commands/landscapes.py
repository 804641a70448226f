"""The views of ``ganlab dynamics`` other than verdicts: energy, pits and bounds."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from ganlab.commands.command import AS_TYPED, Only
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import Range

_SIDE = 320  # of pictures that are side by side
_QUALITY = 80  # of the films
_SHOWN = 60  # pictures of a film of pits


@dataclass
class Landscapes:
    """Landscapes that a discriminator digs, and samples that roll in them.

    Args:
        frames: pictures of a moving landscape
        beside: options of a second game, drawn beside the first: beside="reg=r1"; several with semicolons. Of
            view=bounds these are the games, unless you leave it out
    """

    frames: Annotated[int, Range(least=2, most=10_000), Only("view", ("energy",))] = field(default=60, kw_only=True)
    beside: Annotated[str | None, AS_TYPED, Only("view", ("energy", "bounds"))] = field(default=None, kw_only=True)

    def show_energy(self, problem: str | None, iterations: int, out: Path, words: Sequence[str]) -> int:
        """Train games, and write pictures of their landscapes."""
        import torch

        from ganlab.core import files
        from ganlab.dynamics import energy, training
        from ganlab.sampling import scatter

        film = _film(out)
        variants = [list(words), *(_changed(words, changes) for changes in self._variants())]
        played = [training.Training(training.configuration(problem, each)) for each in variants]
        reals, side = played[0].points[: scatter.REALS], scatter.SIDE if len(played) == 1 else _SIDE
        labels = _labels(variants)
        print(played[0].config["data"].typed, flush=True)
        pictures = []
        moments = [energy.landscapes(one, iterations, self.frames if film else 3) for one in played]
        for found in zip(*moments, strict=True):
            drawn = []
            for label, each in zip(labels, found, strict=True):
                print(f"{label}: {each}" if len(played) > 1 else each, flush=True)
                texts = [label, each.caption] if len(played) > 1 else [each.caption]
                drawn.append(scatter.captioned(energy.picture(each, reals, side), texts))
            pictures.append(torch.cat(drawn, 2))
        below = 1 if len(played) > 1 else 2  # pictures of several games one below the other
        write(pictures if film else [torch.cat(pictures, below)], out)
        print(f"to look at: {files.typed(out)}")
        return 0

    def show_pits(self, out: Path) -> int:
        """Roll samples with several momenta, and write where they end, or how they move."""
        import torch

        from ganlab.core import files
        from ganlab.dynamics import pits
        from ganlab.sampling import scatter

        film = _film(out)
        found = pits.roll()
        for each in found:
            print(
                f"momentum {each.momentum:g}: {each.left:,} of {pits.SAMPLES:,} samples leave the nearest pit, "
                f"{each.reached} of 25 pits are reached"
            )
        steps = len(found[0].paths) - 1
        at = [round(steps * (k / (_SHOWN - 1)) ** 2) for k in range(_SHOWN)] if film else [steps]  # slower at the start
        pictures = []
        for step in at:
            drawn = []
            for each in found:
                texts = [f"momentum {each.momentum:g}, step {step}: {each.left_at(step):,} in another pit"]
                drawn.append(scatter.captioned(pits.picture(each, step, _SIDE if film else scatter.SIDE), texts))
            pictures.append(torch.cat(drawn, 2))
        write(pictures, out)
        print(f"to look at: {files.typed(out)}")
        return 0

    def show_bounds(self, problem: str | None, iterations: int, out: Path, words: Sequence[str]) -> int:
        """Train games whose discriminators are bounded in several ways, and draw slopes, norms and weights."""
        from ganlab.core import files
        from ganlab.dynamics import bounds, figures, training

        figures.kind_of(out)
        files.refuse_unwritable(out)
        base = [*([] if any(word.startswith("loss=") for word in words) else [bounds.LOSS]), *words]
        found: list[bounds.Bounded] = []
        powers: dict[str, list[float]] = {}
        variants = self._variants() or [each.split() for each in bounds.METHODS]
        for label, changes in zip(_labels(variants), variants, strict=True):
            played = training.Training(training.configuration(problem, _changed(base, changes)))
            if not powers:
                print(played.config["data"].typed, flush=True)
                powers["first weights"] = bounds.iterated(bounds.largest(played))
            found.append(bounds.watch(label, played, iterations))
            print(found[-1], flush=True)
            if len(powers) == 1:
                powers[f"weights after {iterations:,} iterations"] = bounds.iterated(bounds.largest(played))
        for name, errors in powers.items():
            print(f"power iteration, {name}: off by {', '.join(f'{errors[k - 1]:.1e} ({k})' for k in (1, 10, 40))}")
        bounds.draw(found, powers, out)
        print(f"to look at: {files.typed(out)}")
        return 0

    def _variants(self) -> list[list[str]]:
        try:
            found = [shlex.split(part) for part in (self.beside or "").split(";")]
        except ValueError as error:
            raise GanlabError(f'beside={self.beside} is no list of options: {error}. Type beside="reg=r1".') from error
        if self.beside is not None and not all(found):
            raise GanlabError('beside wants options of a second game, such as beside="reg=r1 reg.r1.gamma=0.1".')
        for word in (word for each in found for word in each):
            if "=" not in word:
                raise GanlabError(f'beside wants options such as beside="reg=r1", got {word!r}.')
        return [each for each in found if each]


def _changed(words: Sequence[str], changes: Sequence[str]) -> list[str]:
    """Return words with changes in place of those with the same key, and of the options of what is replaced."""
    keys = {word.partition("=")[0] for word in changes}
    kept = [w for w in words if not any((k := w.partition("=")[0]) == key or k.startswith(f"{key}.") for key in keys)]
    return [*kept, *changes]


def _labels(games: Sequence[Sequence[str]]) -> list[str]:
    """Return the words of each game that not all of them have."""
    common = set(games[0]).intersection(*games[1:]) if len(games) > 1 else set()
    return [" ".join(word for word in words if word not in common) or "by default" for words in games]


def _film(out: Path) -> bool:
    """Tell if a file is to be a film; refuse a name of neither a film nor a picture, and one that cannot be written."""
    from ganlab.core import files
    from ganlab.pictures import animation

    suffix = out.suffix.lower()
    if suffix not in (".png", *animation.SUFFIXES):
        raise GanlabError(f"out must end in .png, {', '.join(animation.SUFFIXES)}, got {str(out)!r}.")
    files.refuse_unwritable(out)
    animation.refuse_without_ffmpeg(out)
    return suffix != ".png"


def write(pictures: list[Any], out: Path) -> None:
    """Write one picture as PNG, or several as a film."""
    from ganlab.pictures import animation
    from ganlab.sampling import generation

    try:
        if out.suffix.lower() == ".png":
            generation.write_png(pictures[0], out)
        else:
            animation.write(pictures, out, back=False, quality=_QUALITY)
    except OSError as error:
        raise GanlabError(f"{out} cannot be written: {error.strerror or error}.") from error
