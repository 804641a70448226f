"""The generator of a run as what is evaluated, and what is left behind in the run folder."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.assembly.experiment import Experiment
from ganlab.contracts.metric import Context, Discriminator
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.engine.loader import shrunk
from ganlab.evaluation import scores, sources
from ganlab.evaluation.engine import Evaluator, Result
from ganlab.evaluation.one_pass import BATCH
from ganlab.evaluation.protocol import Protocol
from ganlab.layers.growing import blend_reals
from ganlab.sampling import generation

PICTURES = "evaluation"


@dataclass
class Subject:
    """The networks of a run and its data.

    Args:
        folder: The run folder.
        built: The run's objects, with data.
    """

    folder: Path
    built: Experiment

    @property
    def module(self) -> Any:
        return self.built.module

    @property
    def real(self) -> RunData:
        assert self.built.data is not None
        return self.built.data

    def evaluate(self, evaluator: Evaluator, truncation: float | None = None) -> Result:
        """Score the generator as it stands.

        Raises:
            GanlabError: If there is none, or it cannot be scored.
        """
        source, context = self._asked(evaluator, truncation)
        generator = context.generator
        was_training = generator.training
        generator.eval()
        try:
            return evaluator.score(source, context, truncation)
        finally:
            generator.train(was_training)

    def refuse(self, evaluator: Evaluator) -> None:
        """What `evaluate` would refuse, before the first image is made.

        Raises:
            GanlabError: If there is no generator, or a metric cannot be had of it.
        """
        evaluator.prepare(*self._asked(evaluator, evaluator.protocol.truncation))

    def _asked(self, evaluator: Evaluator, truncation: float | None) -> tuple[sources.Source, Context]:
        protocol, module = evaluator.protocol, self.module
        if "generator" not in module.average:
            raise GanlabError(f"The game of {self.folder} has no generator to evaluate.")
        generator: Any = module.average["generator"] if protocol.ema else module.game.get_submodule("generator")
        count = protocol.samples or len(evaluator.real.splits[protocol.reference])
        shape: Any = tuple(evaluator.real.images.pixels.shape[1:])
        prior = module.setting.prior
        shares = self._shares(protocol)
        source = sources.of_generator(generator, prior, count, protocol.seed, shares, shape, truncation)

        def latents(start: int, stop: int) -> Tensor:
            return generation.latents(prior, protocol.seed, stop - start, int(generator.latent_dim), start)

        context = Context(
            discriminator=discriminator_of(module),
            generator=generator,
            latents=latents,
            labels=None if shares is None else partial(sources.labels_of, shares, protocol.seed),
            truncation=truncation,
        )
        return source, context

    def described(self, checkpoint: str, truncation: float | None) -> dict[str, Any]:
        """The subject of a record."""
        progress = self.module.progress
        return {
            "kind": "run",
            "checkpoint": checkpoint,
            "iteration": progress.iteration,
            "kimg": progress.kimg,
            "truncation": truncation,
        }

    def _shares(self, protocol: Protocol) -> Tensor | None:
        shares: Tensor | None = self.module.setting.label_shares
        if shares is None or protocol.labels == "data":
            return shares
        return torch.full_like(shares, 1 / len(shares))


def discriminator_of(module: Any) -> Discriminator | None:
    """The discriminator of a training module, as metrics ask it, or None if its game has none. One that is still
    growing sees images as its stage's training shows them: small, and real ones fading in."""
    network = getattr(module.game, "discriminator", None)
    if network is None or not hasattr(network, "head"):
        return None
    stage = module.stage

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


def keep(folder: Path, record: dict[str, Any], result: Result) -> dict[str, Any]:
    """Write the pictures and append the line. Evaluations during training share one folder of pictures, which holds
    those of the newest: it does not grow with the run.

    Raises:
        GanlabError: If they cannot be written.
    """
    shown = min(100, len(result.samples))
    columns = min(10, max(1, shown))
    # whole rows only: an empty place would be a white one
    pictures: dict[str, tuple[Tensor, int]] = {"samples": (result.samples[: shown // columns * columns], columns)}
    for score in result.scores.values():
        for name, tiles in score.pictures.items():
            rows = len(score.details.get(name, [])) or 1
            pictures[name] = (tiles, max(1, len(tiles) // rows))
    where = _pictures_folder(folder, record)
    try:
        for name, (tiles, columns) in pictures.items():
            path = where / f"{name}.png"
            try:
                generation.write_png(generation.grid(tiles.float() / 127.5 - 1, columns), path)
            except OSError as error:
                raise GanlabError(f"{path} cannot be written: {error.strerror or error}.") from error
            record["pictures"][name] = str(path.relative_to(folder))
        scores.append(folder, record)
    except GanlabError:
        if not record["during_training"]:
            shutil.rmtree(where, ignore_errors=True)  # of no line
        raise
    return record


def _pictures_folder(folder: Path, record: Mapping[str, Any]) -> Path:
    """A new folder, also where two processes evaluate one run at a time; that of training for what is measured then."""
    if record["during_training"]:
        return folder / PICTURES / "training"
    for number in itertools.count():
        path = folder / PICTURES / f"{record['time'].replace(':', '-')}_{record['protocol_hash']}_{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise GanlabError(f"{path} cannot be written: {error.strerror or error}.") from error
        return path
    raise AssertionError
