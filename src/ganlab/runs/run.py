"""A finished or running run, loaded for sampling: ``ganlab.load(run).sample(16)``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.assembly import experiment
from ganlab.core import memory
from ganlab.core.errors import GanlabError
from ganlab.priors import truncate
from ganlab.runs import checkpoint_check, choice, run_folder
from ganlab.sampling import generation, styles
from ganlab.sampling.styles import Style


class Run:
    """The networks of a run, with the weights of one of its checkpoints.

    Args:
        folder: The run folder, or a checkpoint in it.
        checkpoint: ``last`` (the newest whole one), ``best``, an iteration, or the name or path of a file.
        device: Where the networks are put: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``, a GPU if there is one.

    Attributes:
        folder: The run folder.
        checkpoint: The file whose weights these are.
        config: Its complete configuration.
        generator: The averaged generator, in evaluation mode.
        module: The whole training module.
        iteration: Iterations that the checkpoint has seen.
        messages: One sentence for each newer checkpoint that was damaged.

    Raises:
        GanlabError: If the folder is no run, has no such checkpoint or none that is whole, or there is no such device.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        checkpoint: choice.Which = choice.NEWEST,
        device: torch.device | str = "cpu",
    ) -> None:
        where = choice.device(device)
        self.folder, which = choice.named(folder, checkpoint)
        self.config = run_folder.read_config(self.folder)
        self.checkpoint, stored, self.messages = choice.opened(self.folder, which)
        self.module = experiment.build(self.config, with_data=False).module
        stored = checkpoint_check.taken(self.module, stored, self.checkpoint)
        self.module.load_state_dict(stored["state_dict"])
        self.module.on_load_checkpoint(stored)
        self.module.eval().to(where)
        self.iteration = self.module.progress.iteration
        if "generator" not in self.module.average:
            raise GanlabError(f"The game of {self.folder} has no generator to sample from.")
        self.generator: Any = self.module.average["generator"]

    @property
    def num_classes(self) -> int:
        return int(self.config["data"]["num_classes"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Give the class names of the data; empty where classes have numbers alone."""
        return run_folder.class_names(self.folder)

    def sample(
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
        prior: Any = self.module.setting.prior
        if truncation is not None:
            if isinstance(truncation, bool) or not isinstance(truncation, (int, float)) or not truncation > 0:
                raise GanlabError(f"truncation must be a positive number, got {truncation!r}.")
            prior = truncate(prior, truncation)
        memory.refuse(
            4 * count * math.prod(self.generator.image_shape),
            f"{count} images",
            "take fewer at a time, with start= for the next ones",
        )
        z = generation.latents(prior, seed, count, self.generator.latent_dim, start)
        y = self._labels(labels, count, seed, start)
        style = self.style(psi, cutoff, noise)
        return generation.generate(self.generator, z, y, batch, seed=seed, start=start, style=style)

    def style(
        self, psi: float | None = None, cutoff: int | None = None, noise: str | None = None, usual: str = "random"
    ) -> Style | None:
        """How the generator makes images, if it has a w space.

        Args:
            usual: The noise where none is asked for.

        Raises:
            GanlabError: If something is asked for that needs a w space, and there is none, or is out of range.
        """
        family = self.config["generator"]["component"]
        for name, value in (("psi", psi), ("cutoff", cutoff), ("noise", noise)):
            if value is not None:
                styles.refuse_without_styles(self.generator, family, f"{name}={value}")
        return styles.style(self.generator, family, psi, cutoff, usual if noise is None else noise)

    def _labels(self, labels: Any, count: int, seed: int, start: int = 0) -> Tensor | None:
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
