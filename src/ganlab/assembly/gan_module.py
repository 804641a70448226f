"""`ganlab.GANModule`: a game as a LightningModule, of a run's configuration or of networks of one's own."""

from __future__ import annotations

import os
import pickle
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn
from typing_extensions import Self

from ganlab.assembly import clipping, given, lightning_check, own_loader
from ganlab.assembly import game as games
from ganlab.assembly.bars import Arriving
from ganlab.assembly.own_loader import Reading
from ganlab.assembly.validation import Scores
from ganlab.config.configuration import Config
from ganlab.contracts.game import Game
from ganlab.contracts.plan import plan
from ganlab.contracts.setting import Setting
from ganlab.core import files
from ganlab.core.errors import GanlabError, sentence, shown
from ganlab.engine import module as engine
from ganlab.engine import record_check
from ganlab.sampling import generation


class GANModule(engine.GameModule):
    """A GAN as a LightningModule: `of` networks of one's own, or of the configuration of a run.

    Scalars are logged by the names that a run's ``metrics.jsonl`` has, ``generator/adversarial`` and so on, and one for
    each player in the progress bar.
    """

    reading: Reading | None = None  # how a loader of one's own is read; None: it gives whole iterations
    arguments: Mapping[str, Any] | None = None  # those of `of`, as a checkpoint keeps them
    _arriving: Arriving | None = None

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.scores: Scores | None = None  # those of `validate` and `test`

    @classmethod
    def of(
        cls,
        *,
        generator: nn.Module,
        discriminator: nn.Module | None = None,
        loss: Any = None,
        reg: Any = (),
        augment: Any = None,
        game: Any = None,
        optimizer: Any = None,
        lr: Any = None,
        latent_dim: int | None = None,
        num_classes: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Self:
        """Make a module of networks of one's own; any DataLoader trains it, see ``docs/lightning.md``.

        A component is given by its name, by its name with options as ``{"r1": {"gamma": 1.0}}``, or as an object.
        Where none is given, it is that of ``ganlab train``.

        Args:
            generator: Any module G(z) or G(z, y).
            discriminator: Any module D(x) or D(x, y); logits (B,), (B, 1), or (B, 1, h, w) of patches, high for real.
            loss: An adversarial loss.
            reg: Regularizers: one, a list of them, or ``{name: options}``.
            augment: An augmentation of what D sees.
            game: Who plays, and by what rule.
            optimizer: A name, a function of parameters such as `torch.optim.Adam`, or one of these for each player.
            lr: Learning rate, or one for each player; None: the optimizer's own default.
            latent_dim: Width of z; None: the generator's attribute of this name.
            num_classes: Classes of y; None: the networks' attribute of this name, or 0 where they take no y.
            seed: Of all that is random.
            options: Options of the game, such as ``discriminator_steps=2``; its other networks, such as ``encoder``; a
                ``prior``; ``label_shares``, the share of each class among generated images; ``clip``, the largest
                gradient norm by player; ``accumulate``, the batches of the loader whose mean gradient is one step;
                ``ema``, options of the averaged generator; ``mirror``, ``dequantize``, ``state_updates``,
                ``channels_last``, ``compile``, ``recorded``, and ``batch_size`` for schedules in steps; for `validate`,
                ``metrics`` and their ``features``, see `ganlab.metrics.as_torchmetric`.

        Raises:
            GanlabError: With what is wrong, in one sentence.
        """
        named = {
            "generator": generator, "discriminator": discriminator, "loss": loss, "reg": reg, "augment": augment,
            "game": game, "optimizer": optimizer, "lr": lr, "latent_dim": latent_dim, "num_classes": num_classes,
            "seed": seed,
        }  # fmt: skip
        return cls._of({**named, **options})

    @classmethod
    def _of(cls, arguments: Mapping[str, Any]) -> Self:
        config, networks = given.read(**arguments)
        played, parts = games.of(config, networks)
        config = given.with_optimizers(config, list(played.players), arguments["optimizer"], arguments["lr"])
        if "batch_size" not in arguments:
            given.refuse_steps(config)
        shares = given.shares(arguments.get("label_shares"), config.data.classes)
        module = cls.assembled(config, played, parts, shares)
        module.reading, module._arriving = Reading(config.data.classes), Arriving()
        module.arguments = given.storable(arguments)
        if arguments.get("metrics") is not None:
            classes = config.data.classes
            module.scores = Scores(arguments["metrics"], arguments.get("features"), classes, config.seed)
            # hooks of the class would make Lightning ask for a loader in every fit
            module.validation_step = module.test_step = module._score_step  # type: ignore[method-assign]
        return module

    @classmethod
    def assembled(
        cls, config: Config, game: Game, parts: Mapping[str, Any], label_shares: Tensor | None = None
    ) -> Self:
        """Make the module of a game and its parts, see `ganlab.assembly.game.of`.

        Args:
            label_shares: Shares of the labels that fakes get; None: unconditional.

        Raises:
            GanlabError: If an optimizer or a schedule does not fit.
        """
        regularizers = {name: parts[part.key] for name, part in config.regularizers.items()}
        memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        for module in (game, *regularizers.values()):
            module.to(memory_format=memory_format)  # type: ignore[call-overload]
            games.across_ranks(module, config.sync_batch_norm)
        setting = Setting(
            prior=parts["prior"],
            latent_dim=getattr(parts.get("generator"), "latent_dim", 0),
            label_shares=label_shares,
            every_forward=config.state_updates == "every_forward",
        )
        images_per_step = games.images_per_step(game, config.data.batch_size)
        average, scheduled = games.average(game, vars(config.ema), images_per_step)
        factories, following = games.optimizers(game, config.of("optimizer"), images_per_step)
        scheduled += [s for key, part in parts.items() for s in config[key].follow(part, images_per_step)]
        training = engine.Training(
            seed=config.seed,
            batch_size=config.data.batch_size,
            accumulate=config.accumulate,
            channels_last=config.channels_last,
            mirror=config.data.mirror,
            dequantize=config.data.dequantize,
            clip=clipping.limits(config.clip, game),
            compile=config.compile,
            recorded=config.recorded,
            max_steps=config.max_steps,
            max_kimg=config.run.max_kimg,
            scheduled=scheduled,
        )
        return cls(game, regularizers, factories, setting, average, training, following, config.plain())

    # --- Lightning's hooks

    def configure_callbacks(self) -> list[L.Callback]:
        if self.reading is not None:
            lightning_check.options(self.trainer)
        lightning_check.scoring(self.trainer, self)  # here, since Lightning looks for the steps before `setup`
        return []

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.reading is not None:
            lightning_check.fit(self.trainer)
            record_check.check_trainer(self, self.trainer)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch if self.reading is None or self.trainer.predicting else self.reading.read(batch)

    def training_step(self, batch: Any, batch_idx: int = 0) -> None:
        if self.reading is None:
            super().training_step(batch, batch_idx)
            return
        options = self.training_options
        turns = plan(self.game, self.progress, options.batch_size).taken
        batches = self.reading.take(batch, turns * options.accumulate)
        if batches is not None:
            self.iterate(*own_loader.iteration(batches, cast(torch.dtype, self.dtype), options.accumulate))
            self._count_iteration()
            self._log()

    def on_validation_epoch_end(self) -> None:
        if self.scores is not None and not self.trainer.sanity_checking:
            self.log_dict(self.scores.compute())

    def on_test_epoch_end(self) -> None:
        self.on_validation_epoch_end()

    def _score_step(self, batch: Any, batch_idx: int = 0) -> None:
        """Take in real images, and as many samples of their classes; ``validation_step`` and ``test_step``."""
        if self.scores is not None and not self.trainer.sanity_checking:
            images, labels = batch["images"], batch["labels"]
            self.scores.update(images, labels, lambda numbers: self.samples(numbers, labels))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.arguments is not None:
            checkpoint["ganlab"]["of"] = self.arguments

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | os.PathLike[str], map_location: Any = None, **arguments: Any
    ) -> Self:
        """Load a module from a checkpoint of Lightning's, without unpickling any code.

        Args:
            checkpoint_path: The checkpoint.
            map_location: Where tensors are put; None: the CPU.
            arguments: Those of `of` that were objects, networks first of all, and others to change.

        Raises:
            GanlabError: If it is no checkpoint of this class, an object is missing, or the weights are of others.
        """
        path = files.named(checkpoint_path, "a checkpoint")
        try:
            stored = torch.load(path, map_location="cpu" if map_location is None else map_location, weights_only=True)
        except (OSError, RuntimeError, TypeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise GanlabError(f"{checkpoint_path} cannot be read as a checkpoint: {sentence(error)}") from error
        of = stored.get("ganlab", {}).get("of") if isinstance(stored, dict) else None
        if of is None:
            raise GanlabError(
                f"{checkpoint_path} is no checkpoint of ganlab.GANModule.of: a run's is loaded by ganlab.load(RUN)."
            )
        missing = [name for name in of["objects"] if name not in arguments]
        if missing:
            example = ", ".join(f"{name}=..." for name in missing)
            raise GanlabError(
                f"{checkpoint_path} keeps no objects: give {' and '.join(missing)} again, as {cls.__name__}."
                f"load_from_checkpoint(path, {example})."
            )
        module = cls.of(**{**of["arguments"], **arguments})
        try:
            module.load_state_dict(stored["state_dict"])
        except RuntimeError as error:
            raise GanlabError(f"{checkpoint_path} has weights of other networks: {sentence(error)}") from error
        module.on_load_checkpoint(stored)
        return module

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        """Make samples of the averaged generator.

        Args:
            batch: Numbers (B,) of samples, or these and labels: sample i depends on (seed, i) alone.

        Returns:
            Images (B, C, H, W), floats in [-1, 1].
        """
        numbers, labels = batch if isinstance(batch, (list, tuple)) else (batch, None)
        if not isinstance(numbers, Tensor) or numbers.ndim != 1 or numbers.is_floating_point():
            raise GanlabError(
                "predict takes the numbers of the samples to make: trainer.predict(module, DataLoader(range(64), "
                "batch_size=16)), or pairs of a number and a label."
            )
        return self.samples(numbers.tolist(), labels)

    def samples(self, numbers: Sequence[int], labels: Tensor | None = None) -> Tensor:
        """Make samples of the averaged generator by their numbers: sample i depends on (seed, i) alone.

        Args:
            numbers: Such as ``range(16)``.
            labels: One each; None: drawn from the seed, where there are classes.

        Returns:
            Images (B, C, H, W), floats in [-1, 1].
        """
        if (
            not isinstance(numbers, Sequence)
            or not numbers
            or not all(isinstance(number, int) and number >= 0 for number in numbers)
        ):
            raise GanlabError(
                f"Samples are made by their numbers, a list such as range(16) of whole numbers, got {shown(numbers)}."
            )
        maker: Any = self.average["generator"]
        seed, shares = self.training_options.seed, self.setting.label_shares
        z = torch.cat([generation.latents(self.setting.prior, seed, 1, maker.latent_dim, i) for i in numbers])
        if shares is None:
            labels = None
        elif labels is None:
            labels = torch.cat([generation.labels(seed, 1, len(shares), i) for i in numbers])
        return generation.generate(maker, z, labels, max(1, len(z)), seed=seed, start=numbers[0])

    def _log(self) -> None:
        """Hand the scalars of an iteration to Lightning; none of them is read here."""
        scalars = self.scalars
        size = self.progress.images_seen  # said, so that Lightning does not look for it in the batch
        self.log_dict(dict(scalars), batch_size=size)
        players = {player: _total(scalars, player, self.objective_names) for player in self.game.players}
        assert self._arriving is not None
        self._arriving.send({player: total for player, total in players.items() if total is not None})
        self.log_dict(dict(self._arriving.arrived), batch_size=size, prog_bar=True, logger=False)


def _total(scalars: Mapping[str, Tensor], player: str, objectives: Collection[str]) -> Tensor | None:
    """The sum of what a player minimised; None: it had no turn."""
    terms = [value for name, value in scalars.items() if name in objectives and name.startswith(f"{player}/")]
    return torch.stack(terms).sum() if terms else None
