"""The LightningModule: runs a game's turns by manual optimization and knows no GAN by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganlab.contracts.game import Game
from ganlab.contracts.growth import Stage, grow_to
from ganlab.contracts.plan import Progress, Slot, plan
from ganlab.contracts.regularizer import Regularizer, hooks_of
from ganlab.contracts.setting import Setting
from ganlab.core import distributed, randomness
from ganlab.core.randomness import NEW, Stream
from ganlab.core.schedules import Scheduled
from ganlab.engine.averaging import Average
from ganlab.engine.compilation import compile_networks, refuse_double_backward
from ganlab.engine.cuda_graphs import CudaGraphs
from ganlab.engine.player_optimizers import OptimizerFactory, PlayerOptimizers
from ganlab.engine.reals import Batch, Reals
from ganlab.engine.recording import Graphs, Recordings
from ganlab.engine.turns import Kept, Turns
from ganlab.engine.updates import RULES


@dataclass
class Training:
    """Options of training that do not depend on the game.

    Args:
        seed: First part of every key of randomness.
        batch_size: Global batch of one discriminator turn.
        accumulate: Micro-batches of one evaluation.
        channels_last: Memory format of images.
        mirror: Flip half of the real images.
        dequantize: Add uniform noise of one grey level to real pixels.
        clip: Maximal gradient norm of a player, by name.
        compile: Compile networks and input gradients; a text: in this mode of torch.compile.
        recorded: Record turns and play them again, see `ganlab.engine.recording`; ``auto``: where
            `ganlab.engine.record_check.check` finds that they can be.
        max_steps: Iterations of the run; below 0: unlimited.
        max_kimg: Its images, in thousands, or None.
        scheduled: Numbers of losses, regularizers and so on that follow schedules.
    """

    seed: int = 0
    batch_size: int = 64
    accumulate: int = 1
    channels_last: bool = True
    mirror: bool = False
    dequantize: bool = False
    clip: Mapping[str, float] = field(default_factory=dict)
    compile: bool | str = False
    recorded: bool | Literal["auto"] = False
    max_steps: int = -1
    max_kimg: float | None = None
    scheduled: Sequence[Scheduled] = ()

    def ends(self, progress: Progress) -> bool:
        """Tell if a run is complete at this progress."""
        shown = self.max_kimg is not None and progress.images_seen >= 1000 * self.max_kimg
        return shown or 0 <= self.max_steps <= progress.iteration


class GameModule(L.LightningModule):
    """Plays one iteration a ``training_step``: every turn once, or as often as it repeats.

    Args:
        game: The game, with regularizers attached.
        regularizers: By name.
        optimizers: A factory a player.
        setting: What views share: prior, labels, policies.
        average: The moving averages.
        training: How the game is played.
        following: Schedules of players' options, ``lr`` and ``betas``, by player and option.
        config: The run's configuration, stored in checkpoints.
    """

    def __init__(
        self,
        game: Game,
        regularizers: Mapping[str, Regularizer],
        optimizers: Mapping[str, OptimizerFactory],
        setting: Setting,
        average: Average,
        training: Training,
        following: Mapping[str, Mapping[str, Any]] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.game = game
        self.regularizers = nn.ModuleDict(regularizers)
        self.average = average
        self.training_options = training
        self.setting = setting
        self.config = dict(config or {})
        self.trained_on: Mapping[str, Any] | None = None  # see `ganlab.data.contents`; stored in checkpoints too
        self.progress = Progress()
        self.attempt = 0  # how often the run was taken back: its draws are others then, see `draw_seed`
        self.rate_factor = 1.0  # on all learning rates
        self.objective_names: set[str] = set()  # those of the scalars that players minimise
        self._hooks = hooks_of(game, list(regularizers.values()))
        self.player_optimizers = PlayerOptimizers(game, optimizers, self._hooks, setting, following, training.clip)
        self._stage: Stage | None = None
        self._phase: int | None = None
        self._kept = Kept(self.objective_names)
        if training.compile:
            refuse_double_backward(regularizers)
            compile_networks(game, setting, training.compile if isinstance(training.compile, str) else None)
        self.turns = Turns(game, self._hooks, setting, self.player_optimizers, compiled=bool(training.compile))
        self.to_record = training.recorded is True  # decided by `ganlab.engine.record_check`
        self.unrecorded: list[str] = []  # why not, where ``auto`` asks for it on this device
        self.recordings: Recordings | None = None

    # --- Lightning's hooks

    def configure_optimizers(self) -> list[Optimizer]:
        return self.player_optimizers.make()

    def on_fit_start(self) -> None:
        self.begin(self.trainer.optimizers)

    def on_train_start(self) -> None:
        self.player_optimizers.start(self.device)
        self._ready_optimizers()

    def on_fit_end(self) -> None:
        if self.recordings is not None:
            self.recordings.forget()

    @property
    def stage(self) -> Stage | None:
        """The stage of networks that grow; None: the game does not grow, or has not begun."""
        return self._stage

    @property
    def draw_seed(self) -> int:
        """The first part of the keys of latents, labels and the order of images: the seed, or another one in each
        attempt to go on from a checkpoint."""
        seed = self.training_options.seed
        return randomness.key(seed, "attempt", self.attempt) if self.attempt else seed

    @property
    def scalars(self) -> dict[str, Tensor]:
        """The last iteration's terms and notes by name, means over its turns and micro-batches, on the device.

        They are kept in every iteration, because a run does not know its last one beforehand. Reading this property
        takes the means and waits for the device.
        """
        return self._kept.means()

    def training_step(self, batch: Batch, batch_idx: int = 0) -> None:
        self.iterate(batch)
        self._count_iteration()

    def begin(self, optimizers: Sequence[Optimizer] | None = None) -> None:
        """Take what `iterate` needs on the module's device; without a Trainer it takes optimizers of its own."""
        if self.setting.label_shares is not None:
            self.setting.label_shares = self.setting.label_shares.to(self.device)
        self.player_optimizers.take(self.configure_optimizers() if optimizers is None else optimizers)
        if self.to_record and self.device.type == "cuda":
            self.record(CudaGraphs(self.device))
        self._ready_optimizers()

    def record(self, graphs: Graphs) -> None:
        """Have turns recorded from the next iteration on."""
        self.recordings = Recordings(graphs, self._play, self.turns, self.player_optimizers)
        for scheduled in self.training_options.scheduled:
            if not scheduled.between:  # a recording reads a tensor anew
                scheduled.hold(torch.zeros((), dtype=cast(torch.dtype, self.dtype), device=self.device))
        self.make_recordable()

    def make_recordable(self) -> None:
        """Have turns compute as they do where they are recorded."""
        for before_recording in self._hooks.before_recording:
            before_recording()
        self.player_optimizers.record(grows=self.game.growth is not None)

    def iterate(self, batch: Batch, sizes: Sequence[int] = ()) -> None:
        """Play one iteration, without counting it for Lightning.

        Args:
            batch: The real images.
            sizes: Global sizes of the batches in it; empty: as the options say.
        """
        before = self.progress
        iteration = plan(self.game, before, self.training_options.batch_size)
        if sizes:
            iteration = iteration.of_sizes(sizes)
        self._enter_stage(before.images_seen)
        self.prepare(before)
        factors = dict(self._stage.learning_rates) if self._stage is not None else {}
        if self.rate_factor != 1:
            factors = {player: self.rate_factor * factors.get(player, 1.0) for player in self.game.players}
        self.player_optimizers.follow(before.images_seen, factors)
        kept = Kept(self.objective_names)
        self._play_all(iteration.slots, self.reals(batch), kept)
        self._kept = kept
        with self.setting.timer("EMA"):
            self.average.follow(before.images_seen, iteration.counted)
        self.progress = iteration.advance(before)

    def prepare(self, progress: Progress) -> None:
        """Set numbers that follow schedules, and have regularizers change their state, before an iteration."""
        for scheduled in self.training_options.scheduled:
            scheduled.follow(progress.images_seen)
        for before_iteration in self._hooks.before_iteration:
            before_iteration(progress)

    def reals(self, batch: Batch) -> Reals:
        """Return the real images of an iteration, as networks see them at the present stage of growth."""
        options = self.training_options
        return Reals(
            batch,
            accumulate=options.accumulate,
            channels_last=options.channels_last,
            mirror=options.mirror,
            dequantize=options.dequantize,
            alpha=self._stage.alpha if self._stage is not None else 1.0,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ganlab"] = {
            "progress": dataclasses.asdict(self.progress),
            "config": self.config,
            "data": self.trained_on,
            "phase": self._phase,
            "stage": dataclasses.asdict(self._stage) if self._stage is not None else None,
            "optimistic": self.player_optimizers.last_steps,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        stored = checkpoint["ganlab"]
        self.progress = Progress(**stored["progress"])
        self._phase = stored["phase"]
        self.turns.forget()
        if self.recordings is not None:
            self.recordings.forget()
        self.player_optimizers.last_steps = dict(stored["optimistic"])
        if stored.get("stage") is not None:
            self.grow_to(Stage(**{**stored["stage"], "image_size": tuple(stored["stage"]["image_size"])}))

    def grow_to(self, stage: Stage) -> None:
        """Set the networks and their averages to a stage of growth."""
        before, self._stage = self._stage, stage
        self.game.set_stage(stage)
        self.setting.gradient_scale = stage.gradient_scale
        grow_to(self.average.values(), stage)
        if self.training_options.compile and before is not None and _way(before) != _way(stage):
            # another way through the networks is other code, which torch compiles anew a few times only (8); the
            # old one is not needed again
            torch.compiler.reset()

    # --- one turn

    def _play_all(self, slots: Sequence[Slot], reals: Reals, kept: Kept) -> None:
        """Play the turns of an iteration."""
        if self.recordings is None:
            self._play(slots, reals, kept)
            return
        # other rules step once, after the last turn
        together = [(slot,) for slot in slots] if self.game.update == "alternating" else [slots]
        for part in together:
            self.recordings.play(part, reals, kept, seed=self.draw_seed, progress=self.progress)

    def _play(self, slots: Sequence[Slot], reals: Reals, kept: Kept) -> None:
        """Play turns, of which `kept` keeps the scalars."""
        self._kept = kept
        RULES[self.game.update](slots, reals, self.evaluate, self.player_optimizers)

    def evaluate(self, slot: Slot, reals: Reals) -> None:
        """Add the gradients of a turn's players to their parameters' ``.grad``."""
        options, turn = self.training_options, slot.turn
        if slot.fresh:
            reals.next()
        generators = NEW if self.recordings is None else self.recordings.generators
        local = slot.batch // (options.accumulate * distributed.world_size())
        # repetitions of a turn that are evaluated at one point are one larger batch, not a larger rate
        parts = options.accumulate * (1 if self.game.update == "alternating" else turn.repeat)
        for micro in range(options.accumulate):
            key = (self.draw_seed, self.progress.images_seen, slot.index, micro)
            stream = Stream(*key, device=self.device, generators=generators)
            dtype = cast(torch.dtype, self.dtype)
            points = partial(reals.points, micro, local, stream, dtype) if turn.reals else None
            view, objectives = self.turns.objectives(
                turn, stream, self.progress, batch=local, reals=points, carried=reals.carried[micro]
            )
            self.turns.backward(objectives, parts)
            self._kept.add(turn, objectives, view.scalars)

    # --- inside

    def _ready_optimizers(self) -> None:
        """Have optimizers step on a GPU as recordings do, recorded or not; and wherever turns are recorded."""
        if self.recordings is not None or self.device.type == "cuda":
            self.player_optimizers.record(grows=self.game.growth is not None)

    def _enter_stage(self, images_seen: int) -> None:
        stage = self.game.stage(images_seen)
        if stage is None or stage == self._stage:
            return
        if self.recordings is not None and self._stage is not None and _other_tensors(self._stage, stage):
            self.recordings.forget()
        if self._phase is not None and stage.phase != self._phase:
            self.player_optimizers.forget()
        self._phase = stage.phase
        if self._stage is not None and stage.average != self._stage.average:
            self.average.restart()
        self.grow_to(stage)

    def _count_iteration(self) -> None:
        """Make Lightning's ``global_step`` grow by one.

        Lightning counts every ``step`` of every wrapped optimizer (issue 17958). The optimizers are
        stepped unwrapped, so nothing is counted; then the hooks that Lightning put on the first
        wrapper for this batch are called once. They are private names: a test pins them.
        """
        wrapped = self.optimizers()
        first = wrapped[0] if isinstance(wrapped, list) else wrapped
        first._on_before_step()
        first._on_after_step()


def _way(stage: Stage) -> tuple[int, bool]:
    """Return a key of the layers that are evaluated."""
    return stage.level, stage.alpha < 1


def _other_tensors(before: Stage, stage: Stage) -> bool:
    """Tell if turns of a stage read or write other tensors than those of the stage before."""
    return (*_way(before), before.phase) != (*_way(stage), stage.phase)
