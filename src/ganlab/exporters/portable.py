"""The portable generator: from named tensors to images, without state, draws or branches on values."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

import ganlab
from ganlab.core.errors import GanlabError, sentence
from ganlab.layers.folding import folded_state
from ganlab.runs import exported, rebuilt
from ganlab.runs.exported import Description
from ganlab.runs.run import Run
from ganlab.runs.standing import standing
from ganlab.sampling import generation, styles

TOLERANCE = 1e-4  # of pixels in [-1, 1], between an export and the run
OPEN = 4  # times its rounding that two ways to compute a pixel in float32 may be apart
BATCHES = (7, 1)  # that a graph is compared for
EXAMPLE = 3  # images of the batch that a graph is traced with


@dataclass(frozen=True)
class Fixed:
    """Values that an export fixes; None: an input, or what the run does.

    Args:
        truncation: No |z_i| exceeds it.
        standing_statistics: Passes of latents at this truncation that the statistics of batch norm are averaged over.
        psi: ψ in w.
        cutoff: Layers that ψ truncates.
        noise: ``input``, ``fixed`` or ``off``; None: an input where there is noise.
    """

    truncation: float | None = None
    standing_statistics: int | None = None
    psi: float | None = None
    cutoff: int | None = None
    noise: str | None = None


class Portable(nn.Module):
    """An averaged generator as a function of its inputs alone: folded, in evaluation, with what is fixed in it.

    z, label, psi, noise -> images, where the generator has them. With a truncation t, z is clamped to [-t, t]: that
    changes nothing of latents that are drawn for it, and no others can leave the range.

    Args:
        generator: Without parametrizations.
        truncation, psi, cutoff, noise: As in `Fixed`.

    Shape: z (B, latent_dim), label (B,) int64, psi (), noise (B or 1, positions) -> float32 (B, C, H, W) in [-1, 1].
    """

    def __init__(
        self, generator: Any, truncation: float | None, psi: float | None, cutoff: int | None, noise: str | None
    ) -> None:
        super().__init__()
        self.generator = generator
        self.truncation, self.psi, self.cutoff, self.noise = truncation, psi, cutoff, noise
        self.eval()

    def forward(
        self, z: Tensor, label: Tensor | None = None, psi: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        if self.truncation is not None:
            z = z.clamp(-self.truncation, self.truncation)
        generator = self.generator
        if not styles.has_styles(generator):
            images: Tensor = generator(z, label)
            return images
        ws = generator.styles(generator.mapping(z, label), self.psi if psi is None else psi, self.cutoff)
        made: Tensor = generator.synthesis(ws, self.noise if noise is None else noise)
        return made


@dataclass(frozen=True)
class Made:
    """A generator that is exported, with its description.

    Args:
        portable: The generator.
        about: Its description.
        run: The run that it is from.
        license: Of the weights, for the model card.
        data_license: Of the data, for the same.
        hub_name: OWNER/NAME that it is pushed to, for the same.
    """

    portable: Portable
    about: Description
    run: Run
    license: str | None = None
    data_license: str | None = None
    hub_name: str | None = None

    def weights(self) -> dict[str, Tensor]:
        """The state of the folded generator, each tensor with memory of its own."""
        return folded_state(self.portable.generator)

    def inputs(self, count: int, seed: int = 0) -> dict[str, Tensor]:
        """Inputs of ``count`` images, as the run draws them."""
        about = self.about
        made = {"z": generation.latents(self.run.prior(about.truncation), seed, count, about.latent_dim)}
        if about.labelled:
            made["label"] = generation.labels(seed, count, about.num_classes)
        if "psi" in about.inputs:
            made["psi"] = torch.tensor(0.7)
        if "noise" in about.inputs:
            positions = self.portable.generator.synthesis.noise_positions
            made["noise"] = torch.cat([styles.numbers(seed, i, positions) for i in range(count)])
        return made

    @cached_property
    def program(self) -> ExportedProgram:
        """The portable generator traced as a torch.export program, for batches of any size.

        Raises:
            GanlabError: If it cannot be traced.
        """
        batch = Dim("batch")
        given = self.inputs(EXAMPLE)
        shapes = {name: {0: batch} if tensor.ndim else {} for name, tensor in given.items()}
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # torch's own
                return torch.export.export(self.portable, (), given, dynamic_shapes=shapes, strict=False)
        except Exception as error:  # whatever the tracer finds in a network of the user's own
            family = self.about.generator["component"]
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise GanlabError(
                f"generator={family} cannot be traced by torch.export ({lines[0][:200]}): take format=safetensors."
            ) from error

    @torch.no_grad()
    def allowed(self, given: Mapping[str, Tensor]) -> float:
        """Return how much a pixel may differ: `TOLERANCE`, or what float32 leaves open where that is more.

        Pixel norm of few channels divides by lengths near 0, so that the order of a sum changes pixels by more than
        1e-4. What is left open is `OPEN` times the largest difference to the same generator in float64.
        """
        exact = copy.deepcopy(self.portable).double()
        wide = {name: each.double() if each.is_floating_point() else each for name, each in given.items()}
        rounding = float((exact(**wide) - self.portable(**given)).abs().max())
        return max(TOLERANCE, OPEN * rounding)

    @torch.no_grad()
    def refuse_other_images(self, images: Callable[[Mapping[str, Tensor]], Tensor], what: str) -> None:
        """Compare what is written with the generator, for batches of several sizes.

        Raises:
            GanlabError: If a pixel differs by more than is `allowed`.
        """
        for count in BATCHES:
            given = self.inputs(count)
            difference = float((images(given) - self.portable(**given)).abs().max())
            if not difference <= TOLERANCE and not difference <= self.allowed(given):
                raise GanlabError(
                    f"{what} makes other images than {self.about.generator['component']} (by {difference:.2g} of a "
                    f"range of 2): nothing is written."
                )


def make(run: Run, fixed: Fixed, **of_card: str | None) -> Made:
    """Make the portable generator of a run.

    Args:
        of_card: ``license``, ``data_license`` and ``hub_name`` of `Made`.

    Raises:
        GanlabError: If the run has no generator, what is to be fixed does not fit it, or it cannot be built from its
            description.
    """
    about = describe(run, fixed)
    with standing(run, fixed.standing_statistics, fixed.truncation), torch.no_grad():
        generator = _folded(run, about)
        portable = Portable(generator, fixed.truncation, fixed.psi, fixed.cutoff, about.noise)
        made = Made(portable, about, run, **of_card)
        _refuse_unlike_run(made)
    return made


def describe(run: Run, fixed: Fixed) -> Description:
    """Describe a run's generator and what is fixed in it.

    Raises:
        GanlabError: If that does not fit the family.
    """
    generator = run.generator
    noise = None if fixed.noise is None else exported.NOISE[fixed.noise]
    run.style(fixed.psi, fixed.cutoff, noise)
    run.prior(fixed.truncation)
    inputs: dict[str, list[Any]] = {"z": ["batch", generator.latent_dim]}
    if run.num_classes and getattr(generator, "num_classes", run.num_classes):
        inputs["label"] = ["batch"]
    chosen = None
    if styles.has_styles(generator):
        positions = generator.synthesis.noise_positions
        chosen = fixed.noise or ("input" if positions else "off")
        if fixed.psi is None:
            inputs["psi"] = []
        if chosen == "input" and positions:
            inputs["noise"] = ["batch", positions]
    level = getattr(generator, "level", None)
    final = tuple(generator.image_shape)
    height, width = final[1:] if level is None else generator.image_size_at(level)
    return Description(
        generator=run.config["generator"].plain(),
        prior=run.config["prior"].plain(),
        image_size=list(final[1:]),
        image_shape=[final[0], height, width],
        latent_dim=generator.latent_dim,
        latents=_distribution(run.prior(fixed.truncation)),
        num_classes=run.num_classes,
        class_names=list(run.class_names) if len(run.class_names) == run.num_classes else [],
        truncation=fixed.truncation,
        standing_statistics=fixed.standing_statistics,
        psi=fixed.psi,
        cutoff=fixed.cutoff,
        noise=chosen,
        inputs=inputs,
        name=run.folder.name,
        iteration=run.iteration,
        ganlab=ganlab.__version__,
    )


def _distribution(prior: Any) -> dict[str, float] | None:
    """Describe a prior by numbers: a normal distribution of a scale, with or without ends, or a uniform one of ends."""
    if hasattr(prior, "low"):
        return {"low": prior.low, "high": prior.high}
    if not hasattr(prior, "scale"):
        return None
    if not hasattr(prior, "threshold"):
        return {"scale": prior.scale}
    end = prior.threshold * prior.scale
    return {"scale": prior.scale, "low": -end, "high": end}


def _folded(run: Run, about: Description) -> Any:
    """Build a generator as a reader does, from its description, and give it the run's weights."""
    generator = rebuilt.generator(about)
    try:
        generator.load_state_dict(folded_state(run.generator))
    except RuntimeError as error:
        raise GanlabError(
            f"{run.folder} cannot be exported: its generator has another state than its component builds "
            f"({sentence(error)[:160]})."
        ) from error
    return generator


def _refuse_unlike_run(made: Made) -> None:
    about, run = made.about, made.run
    given = made.inputs(2)
    given.pop("psi", None)
    noise = None if about.noise is None else exported.NOISE[about.noise]
    labels = given["label"] if about.labelled else None
    psi = {} if "psi" not in about.inputs else {"psi": torch.ones(())}
    expected = run.sample(2, labels, truncation=about.truncation, psi=about.psi, cutoff=about.cutoff, noise=noise)
    difference = float((made.portable(**given, **psi) - expected).abs().max())
    if difference <= TOLERANCE:
        return
    allowed = made.allowed({**given, **psi})
    if not difference <= allowed:
        raise GanlabError(
            f"{run.folder} cannot be exported: its portable generator differs by {difference:.2g}, where {allowed:.2g} "
            f"is allowed."
        )
