"""A run, loaded for sampling and scoring: ``ganlab.load(run).sample(16)``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.assembly import experiment
from ganlab.assembly.experiment import Experiment
from ganlab.config.configuration import Config
from ganlab.contracts.metric import Context, Discriminator
from ganlab.core import files, memory
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.engine.loader import shrunk
from ganlab.engine.module import GANModule
from ganlab.evaluation import sources
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.one_pass import BATCH
from ganlab.evaluation.protocol import Protocol
from ganlab.evaluation.result import Result
from ganlab.layers.growing import blend_reals
from ganlab.priors import truncate
from ganlab.runs import checkpoint_check, choice, run_folder
from ganlab.runs.notebook import InNotebook
from ganlab.sampling import generation, styles
from ganlab.sampling.styles import Style


class Run(InNotebook):
    """The folder of a run and its networks, with the weights of one of its checkpoints.

    Args:
        folder: The run folder, or a checkpoint in it: ``RUN/checkpoints/best.ckpt``.
        checkpoint: ``last``, the newest whole one; ``best``; an iteration (100); a file's name (step_000000100, with
            or without .ckpt) or its path.
        device: Where the networks are put: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``, a GPU if there is one.

    Attributes:
        folder: The run folder.
        checkpoint: The file whose weights these are.
        messages: One sentence for each newer checkpoint that was damaged.
        standing: Cached standing statistics of batch norm, see `ganlab.pictures.latent_space`.

    Raises:
        GanlabError: If the folder is no run, has no such checkpoint or none that is whole, or there is no such device.
    """

    folder: Path
    checkpoint: Path
    messages: list[str]
    standing: dict[Any, Any]
    _built: Experiment

    def __init__(
        self,
        folder: str | os.PathLike[str],
        checkpoint: choice.Which = choice.NEWEST,
        device: torch.device | str = "cpu",
    ) -> None:
        where = choice.device(device)
        self.folder, which = choice.named(folder, checkpoint)
        self._built = experiment.build(run_folder.read_config(self.folder), with_data=False)
        self.load(which)
        self.module.to(where)

    @classmethod
    def of(cls, folder: Path, built: Experiment) -> Run:
        """Make a run of networks that are built already, with their weights; with data, they can be scored."""
        run = cls.__new__(cls)
        run.folder, run._built = folder, built
        return run

    def load(self, checkpoint: choice.Which) -> None:
        """Take the weights of a checkpoint.

        Raises:
            GanlabError: If there is none, it is damaged, or belongs to another model.
        """
        self.checkpoint, stored, self.messages = choice.opened(self.folder, checkpoint)
        stored = checkpoint_check.taken(self.module, stored, self.checkpoint)
        self.module.load_state_dict(stored["state_dict"])
        self.module.on_load_checkpoint(stored)
        self.module.eval()
        self.standing = {}

    @property
    def config(self) -> Config:
        """The complete configuration."""
        return self._built.config

    @property
    def module(self) -> GANModule:
        """The whole training module."""
        return self._built.module

    @property
    def data(self) -> RunData:
        """The images, all splits, of a run that was built with them."""
        assert self._built.data is not None
        return self._built.data

    @property
    def iteration(self) -> int:
        """The number of iterations that the weights have seen."""
        return self.module.progress.iteration

    @property
    def generator(self) -> Any:
        """The averaged generator.

        Raises:
            GanlabError: If the game has none.
        """
        return self._generator(ema=True)

    @property
    def num_classes(self) -> int:
        return self.config.data.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Give the class names of the data; empty where classes have numbers alone."""
        return run_folder.class_names(self.folder)

    def sample(  # type: ignore[override]
        self,
        count: int,
        labels: int | Sequence[int] | Tensor | None = None,
        *,
        truncation: float | None = None,
        seed: int = 0,
        start: int = 0,
        batch: int = 64,
        psi: float | None = None,
        cutoff: int | None = None,
        noise: str | None = None,
    ) -> Tensor:
        """Images, float32 (count, C, H, W) in [-1, 1] on the CPU; image i depends on (seed, i) alone.

        Args:
            count: How many.
            labels: One class for all, one for each image, or None: drawn uniformly by the seed.
            truncation: Latents come from the prior given that no |z_i| exceeds this; None: the prior.
            seed: Any non-negative number.
            start: Number of the first image: ``sample(1, start=17)`` is image 17, as in ``sample(18)``.
            batch: Images made at a time.
            psi: Truncation in w, for generators that have it: w_avg + psi·(w - w_avg).
            cutoff: Layers that ``psi`` truncates, from the first on; None: all.
            noise: ``random``, ``fixed`` or ``off``, for the same generators; None: random, a function of (seed, i).

        Raises:
            GanlabError: If an argument is out of range or does not fit the model.
        """
        for name, number, least in (("count", count, 1), ("batch", batch, 1), ("seed", seed, 0), ("start", start, 0)):
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise GanlabError(f"{name} must be a whole number of at least {least}, got {number!r}.")
        prior = self.prior(truncation)
        memory.refuse(
            4 * count * math.prod(self.generator.image_shape),
            f"{count} images",
            "take fewer at a time, with start= for the next ones",
        )
        z = generation.latents(prior, seed, count, self.generator.latent_dim, start)
        y = self.labels(labels, count, seed, start)
        style = self.style(psi, cutoff, noise)
        return generation.generate(self.generator, z, y, batch, seed=seed, start=start, style=style)

    def style(
        self, psi: float | None = None, cutoff: int | None = None, noise: str | None = None, usual: str = "random"
    ) -> Style | None:
        """Return the style options of the generator, or None without a w space.

        Args:
            usual: The default noise.

        Raises:
            GanlabError: If an option needs a w space and there is none, or is out of range.
        """
        generator, family = self.generator, self.config["generator"].name
        for name, value in (("psi", psi), ("cutoff", cutoff), ("noise", noise)):
            if value is not None:
                styles.refuse_without_styles(generator, family, f"{name}={value}")
        return styles.style(generator, family, psi, cutoff, usual if noise is None else noise)

    def prior(self, truncation: float | None) -> Any:
        """Return the distribution of latents, truncated or whole.

        Raises:
            GanlabError: If ``truncation`` is not positive.
        """
        prior: Any = self.module.setting.prior
        if truncation is None:
            return prior
        if isinstance(truncation, bool) or not isinstance(truncation, (int, float)) or not truncation > 0:
            raise GanlabError(f"truncation must be a positive number, got {truncation!r}.")
        return truncate(prior, truncation)

    def labels(
        self, labels: int | Sequence[int] | Tensor | None, count: int, seed: int, start: int = 0
    ) -> Tensor | None:
        """The class of each image as in `sample`, int64 (count,), or None if the run has no classes.

        Raises:
            GanlabError: If ``labels`` do not fit the model or the number of images.
        """
        classes = self.num_classes
        if labels is not None and not classes:
            raise GanlabError("labels were given, but the model is unconditional: leave them out.")
        if not classes:
            return None
        if labels is None:
            return generation.labels(seed, count, classes, start)
        try:
            chosen = torch.as_tensor(labels).cpu().reshape(-1)
        except (TypeError, ValueError, RuntimeError) as error:
            raise GanlabError(f"labels must be one class or a list of classes, got {labels!r}.") from error
        if len(chosen) and (chosen.is_floating_point() or chosen.is_complex() or chosen.dtype is torch.bool):
            raise GanlabError(f"labels must be whole numbers, got {labels!r}.")
        chosen = chosen.long()
        if len(chosen) not in (1, count):
            raise GanlabError(f"labels must be one class or {count} classes, got {len(chosen)}.")
        chosen = chosen.expand(count).clone()
        wrong = [int(c) for c in chosen if not 0 <= c < classes]
        if wrong:
            raise GanlabError(f"labels must be classes from 0 to {classes - 1}, got {wrong[0]}.")
        return chosen

    def score(self, evaluator: Evaluator, truncation: float | None = None) -> Result:
        """Score the generator with its present weights.

        Raises:
            GanlabError: If there is none, or it cannot be scored.
        """
        source, context = self._to_score(evaluator, truncation)
        generator = context.generator
        was_training = generator.training
        generator.eval()
        try:
            return evaluator.score(source, context, truncation)
        finally:
            generator.train(was_training)

    def refuse(self, evaluator: Evaluator) -> None:
        """Raise the errors of `score` before the first image is made.

        Raises:
            GanlabError: If there is no generator, or a metric does not work for it.
        """
        evaluator.prepare(*self._to_score(evaluator, evaluator.protocol.truncation))

    def described(self, checkpoint: str, truncation: float | None) -> dict[str, Any]:
        """The entry ``subject`` of a record of scores."""
        progress = self.module.progress
        return {
            "kind": "run",
            "checkpoint": checkpoint,
            "iteration": progress.iteration,
            "kimg": progress.kimg,
            "truncation": truncation,
        }

    def discriminator(self) -> Discriminator | None:
        """The discriminator as metrics call it, or None if the game has none.

        A discriminator that still grows sees images as in training at its stage: small, and real ones fading in.
        """
        network, stage = getattr(self.module.game, "discriminator", None), self.module.stage
        if network is None or not hasattr(network, "head"):
            return None

        @torch.no_grad()
        def logits(images: Tensor, labels: Tensor | None, real: bool) -> Tensor:
            parameter = next(network.parameters())
            was_training = network.training
            network.eval()
            try:
                found = []
                for at in range(0, len(images), BATCH):
                    part = images[at : at + BATCH]
                    if stage is not None and stage.image_size is not None:
                        part = shrunk(part, stage.image_size)
                    x = part.to(parameter.device, parameter.dtype) / 127.5 - 1
                    if stage is not None and real and x.ndim == 4:
                        x = blend_reals(x, stage.alpha)
                    y = None if labels is None else labels[at : at + BATCH].to(parameter.device)
                    found.append(network(x, y).float().cpu())
            finally:
                network.train(was_training)
            return torch.cat(found)

        return logits

    def _to_score(self, evaluator: Evaluator, truncation: float | None) -> tuple[sources.Source, Context]:
        """The images to score, and the networks for metrics that need them."""
        protocol, prior = evaluator.protocol, self.module.setting.prior
        generator = self._generator(protocol.ema)
        count = protocol.samples or len(evaluator.real.splits[protocol.reference])
        shape: Any = tuple(evaluator.real.images.pixels.shape[1:])
        shares = self._shares(protocol)
        source = sources.of_generator(generator, prior, count, protocol.seed, shares, shape, truncation)

        def latents(start: int, stop: int) -> Tensor:
            return generation.latents(prior, protocol.seed, stop - start, int(generator.latent_dim), start)

        context = Context(
            discriminator=self.discriminator(),
            generator=generator,
            latents=latents,
            labels=None if shares is None else partial(sources.labels_of, shares, protocol.seed),
            truncation=truncation,
        )
        return source, context

    def _generator(self, ema: bool) -> Any:
        if "generator" not in self.module.average:
            game = self.config["game"].name
            raise GanlabError(
                f"{files.typed(self.folder)} has no images to make or to score: its game={game} has no generator."
            )
        return self.module.average["generator"] if ema else self.module.game.get_submodule("generator")

    def _shares(self, protocol: Protocol) -> Tensor | None:
        shares: Tensor | None = self.module.setting.label_shares
        if shares is None or protocol.labels == "data":
            return shares
        return torch.full_like(shares, 1 / len(shares))
