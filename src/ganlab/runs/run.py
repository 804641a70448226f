"""A run, loaded for sampling and scoring: ``ganlab.load(run).sample(16)``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.assembly import experiment, run_data
from ganlab.assembly.experiment import Experiment
from ganlab.config.configuration import Config
from ganlab.contracts.metric import Context, Discriminator
from ganlab.contracts.point_set import PointSet
from ganlab.core import code_files, files
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.engine.loader import shrunk
from ganlab.engine.module import GameModule
from ganlab.engine.reals import as_seen
from ganlab.evaluation import sources
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.one_pass import BATCH
from ganlab.evaluation.protocol import Protocol
from ganlab.evaluation.result import Result
from ganlab.layers.growing import blend_reals
from ganlab.runs import checkpoint_check, choice, run_folder
from ganlab.runs.notebook import InNotebook
from ganlab.runs.sampler import Sampler
from ganlab.sampling import generation, scatter


class Run(Sampler, InNotebook):
    """The folder of a run and its networks, with the weights of one of its checkpoints.

    Args:
        folder: The run folder, or a checkpoint in it: ``RUN/checkpoints/best.ckpt``.
        checkpoint: ``last``, the newest whole one; ``best``; an iteration (100); a file's name (step_000000100, with
            or without .ckpt) or its path.
        device: Where the networks are put: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``, a GPU if there is one.
        code: Files of a user's own whose classes the run was made with: ``my_file.py``, or several; or the ``code`` of
            another run.
        accept_changed_code: Take these files as they are, and not only as the run had them.

    Attributes:
        folder: The run folder.
        checkpoint: The file whose weights these are.
        messages: One sentence for each newer checkpoint that was damaged.
        code: The files of a user's own that it is made with.
        standing: Cached standing statistics of batch norm, see `ganlab.runs.standing`.

    Raises:
        GanlabError: If the folder is no run, has no such checkpoint or none that is whole, there is no such device, or
            ``code`` is not what the run was made with.
    """

    code: code_files.Allowed
    _built: Experiment

    def __init__(
        self,
        folder: str | os.PathLike[str],
        checkpoint: choice.Which = choice.NEWEST,
        device: torch.device | str = "cpu",
        code: code_files.Allowed | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        accept_changed_code: bool = False,
    ) -> None:
        where = choice.device(device)
        self.folder, which = choice.named(folder, checkpoint)
        with code_files.session(code if isinstance(code, code_files.Allowed) else None):
            if not isinstance(code, code_files.Allowed):
                paths: Any = code if isinstance(code, list | tuple) else [code]
                code_files.allow(paths, alone=True, accepting=accept_changed_code)
            self._built = experiment.build(run_folder.read_config(self.folder), with_data=False)
            self.code = code_files.allowed()
        self.load(which)
        self.module.to(where)

    @classmethod
    def of(cls, folder: Path, built: Experiment) -> Run:
        """Make a run of networks that are built already, with their weights; with data, they can be scored."""
        run = cls.__new__(cls)
        run.folder, run._built, run.code = folder, built, code_files.allowed()
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
    def module(self) -> GameModule:
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
    def family(self) -> str:
        return self.config["generator"].name

    @property
    def latent_prior(self) -> Any:
        return self.module.setting.prior

    @property
    def num_classes(self) -> int:
        return self.config.data.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Give the class names of the data; empty where classes have numbers alone."""
        return run_folder.class_names(self.folder)

    def real_points(self) -> Tensor | None:
        """Return some real points (N, D); None where the data cannot be opened: a file may be gone."""
        try:
            source = run_data.source(self.config)
        except GanlabError:
            return None
        return torch.from_numpy(source.points[: scatter.REALS]) if isinstance(source, PointSet) else None

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
                    x = as_seen(part, parameter)
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
        points = evaluator.real.images.are_points
        source = sources.of_generator(generator, prior, count, protocol.seed, shares, shape, truncation, points)

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
