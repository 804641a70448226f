"""``ganlab sample RUN``: a grid of images from a trained generator."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from ganlab.commands.coded import Coded
from ganlab.commands.command import PATH, RUN, Command, Only
from ganlab.core import code_files, run_files
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import Filled, Range, at_least

MOVING = (".png", ".webp", ".gif", ".mp4")
PICTURES = {"interpolation": MOVING, "projection": MOVING}  # and of every other kind
COUNTS = {"grid": 64, "interpolation": 8, "truncation": 8, "mixing": 6, "reconstruction": 32, "projection": 8}
STEPS = 8
Numbers = Annotated[list[float], Filled("a list of at least one number")]


def _of(*kinds: str) -> Only:
    return Only("kind", kinds)


@dataclass
class Sample(Coded, Command):
    """Make images with a trained generator; of a run on points a plot.

    Options about w are for generators that have such a space, as stylegan has.

    Args:
        kind: grid; or interpolation: rows from one latent or class to another; or truncation: rows by threshold or psi;
            or mixing: styles of the first row's images in coarse, middle and fine layers of others; or reconstruction:
            images of a folder beside what encoder and generator make of them; or projection: images of a folder
            beside what the nearest latents make, which are kept in an .npz beside the picture
        count: images of a grid, 64 (points: 2,000); otherwise rows (interpolation), 8, or columns (truncation, 8;
            mixing, 6)
        images: a folder: its first images, at most count of them, 32 (projection, 8); between=images also takes the
            .npz of a projection
        space: w, w+ or z, of a projection; null: w and w+ where there is a w space, or else z
        iterations: of a projection
        features: of a projection's distance, beside pixels; null: those of protocol=fast; none: pixels alone
        labels: a class, a list of classes [0,1,2], or null: all classes, in turn; in a grid one row a class
        truncation: latents given that no |z_i| exceeds this; null: the whole prior
        seed: image i depends on (seed, i) and its class alone
        start: number of the first image: count=1 start=17 is image 17
        columns: images of a row
        steps: images of a row, 8; of a moving one, 50
        between: latents or classes: what it goes between, the other one is fixed; or w: from w to w; or seeds: the
            first images of seeds=; or images: projected ones
        seeds: from one to the next: [0,7,12]
        path: spherical or linear: how latents are interpolated
        thresholds: rows, where latents are truncated: [2.0,1.0,0.5,0.04]
        standing_statistics: passes that batch statistics are averaged over, for each truncation
        psi: truncation in w: w_avg + psi*(w - w_avg)
        cutoff: how many layers psi truncates, from the first on; null: all
        psis: rows, by psi: [1.0,0.7,0.5,0.0,-0.5,-1.0]
        noise: random (the rule in a grid), fixed (the rule elsewhere: the same in every image) or off; of a projection
            optimized (the rule: found with the codes) or fixed
        layers: ranges of layers that are exchanged, as [[0,4],[4,8]]; null: coarse, middle and fine ones
        rows: for each range of layers
        checkpoint: last, best, an iteration, or the name or path of a file; RUN may be such a file itself
        device: cpu, cuda, cuda:1, mps; auto: a GPU if there is one
        out: PNG file; null: RUN/samples/sample_seedN.png; of kind=interpolation also .webp, .gif or .mp4 (with ffmpeg):
            a walk, there and back; of kind=grid also FOLDER/, numbered PNGs, with a folder a class; or .npz, arr_0 and
            arr_1; or .csv, of points
    """

    run_folder: Annotated[str, RUN]
    kind: Literal["grid", "interpolation", "truncation", "mixing", "reconstruction", "projection"] = "grid"
    count: Annotated[int | None, at_least(1)] = None
    labels: int | Annotated[list[int], Filled("a list of at least one class")] | None = None
    truncation: Annotated[float | None, _of("grid", "interpolation", "mixing")] = None
    seed: Annotated[int, at_least(0)] = 0
    start: Annotated[int, at_least(0), _of("grid")] = 0
    columns: Annotated[int | None, at_least(1), _of("grid")] = None
    steps: Annotated[int | None, at_least(2), _of("interpolation")] = None
    seeds: Annotated[Annotated[list[int], Filled("a list of at least one seed")] | None, _of("interpolation")] = None
    between: Annotated[Literal["latents", "classes", "w", "seeds", "images"], _of("interpolation")] = "latents"
    path: Annotated[Literal["linear", "spherical"], _of("interpolation")] = "spherical"
    thresholds: Annotated[Numbers | None, _of("truncation")] = None
    standing_statistics: Annotated[
        int | None, Range(least=1, most=10_000), _of("grid", "interpolation", "truncation")
    ] = None
    psi: Annotated[float | None, _of("grid", "interpolation", "mixing")] = None
    cutoff: int | None = None
    psis: Annotated[Numbers | None, _of("truncation")] = None
    noise: Literal["random", "fixed", "off", "optimized"] | None = None
    layers: Annotated[list[list[int]], Filled("a list of at least one range"), _of("mixing")] | None = None
    rows: Annotated[int, at_least(1), _of("mixing")] = 2
    images: Annotated[str | None, PATH, _of("reconstruction", "projection", "interpolation")] = None
    space: Annotated[Literal["w", "w+", "z"] | None, _of("projection", "interpolation")] = None
    iterations: Annotated[int, Range(least=1, most=1_000_000), _of("projection", "interpolation")] = 500
    features: Annotated[str | None, _of("projection", "interpolation")] = None
    checkpoint: Annotated[int | str, PATH] = "last"
    device: str = "auto"
    out: Annotated[str | None, PATH] = None

    def __call__(self) -> int:
        self._check_ends()
        self._check_out()
        from ganlab.core import files
        from ganlab.pictures import animation, kinds
        from ganlab.runs import exported
        from ganlab.runs.run import Run
        from ganlab.runs.sampler import Sampler
        from ganlab.sampling import captions, generation

        if self._moving:
            animation.refuse_without_ffmpeg(Path(str(self.out)))
        run: Sampler
        if exported.is_export(self.run_folder):
            run = exported.opened(self.run_folder, self.checkpoint, self.device)
        else:
            run = Run(self.run_folder, self.checkpoint, self.device, code_files.allowed())
        for message in run.messages:
            print(f"{message} An older checkpoint is used.", file=sys.stderr)
        if run.makes_points:
            return self._points(run)
        if str(self.out).lower().endswith(".csv"):
            raise GanlabError(f"out={self.out} is for points, and this run makes images: take .png, .npz or FOLDER/.")
        if self.count is None:
            fitting = animation.rows_that_fit(min(run.generator.image_shape[1:]))
            self.count = fitting if self._moving else COUNTS[self.kind]
        if self.steps is None:
            self.steps = animation.STEPS if self._moving else STEPS
        if not self._many:
            self._refuse_too_many(run.generator.image_shape)
        made, out = self.count, self._path(run)
        chosen = {**asdict(self), "out": out, "moving": self._moving}
        try:
            if self._many:
                kinds.export_samples(run, out, chosen)
            else:
                images, columns, names = kinds.MAKERS[self.kind](run, self.count, chosen)
                made = self.count if self.kind == "grid" else len(images)
                if self._moving:
                    animation.write(animation.frames(images, self._rows(len(names))), out)
                else:
                    generation.write_png(captions.beside(generation.grid(images, columns), names), out)
        except OSError as error:
            raise GanlabError(f"{out} cannot be written: {error.strerror or error}.") from error
        print(f"{made:,} images of iteration {run.iteration}: {files.typed(out)}")
        return 0

    def _points(self, run: Any) -> int:
        """Make what there is of points."""
        from ganlab.core import files
        from ganlab.pictures import points

        out = self._path(run)
        try:
            made = points.make(run, out, asdict(self))
        except OSError as error:
            raise GanlabError(f"{out} cannot be written: {error.strerror or error}.") from error
        print(f"{made:,} points of iteration {run.iteration}: {files.typed(out)}")
        return 0

    def _rows(self, named: int) -> int:
        """Paths that a moving picture shows side by side; those from seed to seed follow one another."""
        if self.kind == "projection":
            return named
        assert self.count is not None
        return 1 if self.between in ("seeds", "images") else self.count

    def _check_ends(self) -> None:
        """Refuse kinds without what they begin with, and that of others."""
        if self.kind in ("reconstruction", "projection") and not self.images:
            raise GanlabError(f"kind={self.kind} takes images=FOLDER: the images to make again.")
        if self.noise == "optimized" and self.kind != "projection":
            raise GanlabError("noise=optimized goes with kind=projection.")
        if self.kind != "interpolation":
            return
        for ends in ("seeds", "images"):
            given = getattr(self, ends)
            if self.between == ends and not given:
                raise GanlabError(f"between={ends} takes {ends}=, what it goes between.")
            if self.between != ends and given:
                raise GanlabError(f"{ends} goes with between={ends}, not with between={self.between}.")
        if self.seeds and min(self.seeds) < 0:
            raise GanlabError(f"seeds must be at least 0, got {min(self.seeds)}.")

    @property
    def _many(self) -> bool:
        """Tell if the images of a grid are written one by one."""
        out = self.out
        endings = ("/", ".npz", ".csv")
        return out is not None and self.kind == "grid" and (out.lower().endswith(endings) or os.path.isdir(out))

    @property
    def _moving(self) -> bool:
        return self.out is not None and not self._many and Path(self.out).suffix.lower() != ".png"

    def _path(self, run: Any) -> Path:
        if self.out:
            return Path(self.out)
        name: str = "sample" if self.kind == "grid" else self.kind
        if not hasattr(run, "module"):  # an export, which stays as it was written
            return Path(f"{run.folder.stem}_{name}_seed{self.seed}.png")
        if self.changed(["checkpoint"]) or os.path.isfile(self.run_folder):
            name += f"_{run.checkpoint.stem}"
        return Path(run.folder / run_files.SAMPLES / f"{name}_seed{self.seed}.png")

    def _check_out(self) -> None:
        """Refuse names of other files, and options without effect on what is written."""
        suffixes = PICTURES.get(self.kind, (".png",))
        if self.out is not None and not self._many and Path(self.out).suffix.lower() not in suffixes:
            more = ", in .npz, or in / for a folder of PNGs" if self.kind == "grid" else ""
            raise GanlabError(f"out must end in {' or '.join(suffixes)}{more}, got {self.out!r}.")
        if self._many and self.columns is not None:
            raise GanlabError(f"columns={self.columns} is of a picture, and out={self.out} has images: leave it out.")

    def _refuse_too_many(self, image_shape: Sequence[int]) -> None:
        """Refuse pictures that do not fit into memory."""
        from ganlab.core import memory

        several = {"interpolation": ["steps"], "mixing": ["rows"], "grid": ["columns"]}.get(self.kind, [])
        factors = {key: int(getattr(self, key) or 1) for key in ("count", *several)}
        images = max(factors.values()) if self.kind == "grid" else math.prod(factors.values())
        typed = " ".join(f"{key}={value}" for key, value in factors.items() if value > 1)
        advice = "take fewer, or out=FOLDER/ for images one by one" if self.kind == "grid" else "take fewer"
        memory.refuse(4 * images * math.prod(image_shape), f"The images of {typed}", advice)
