"""The LightningModule: runs a game's turns by manual optimization and knows no GAN by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from ganlab import distributed
from ganlab.averaging import Average
from ganlab.compilation import compile_networks
from ganlab.contract import Game, Player, Regularizer, Stage, Turn, stand
from ganlab.errors import GanlabError
from ganlab.layers import state
from ganlab.plan import Plan, Progress, Slot, plan
from ganlab.randomness import Stream, using
from ganlab.reals import Batch, Reals
from ganlab.schedules import Schedule, Scheduled
from ganlab.view import Hooks, Setting, View

OptimizerFactory = Callable[[Iterator[nn.Parameter]], Optimizer]


@dataclass
class Training:
    """How the game is played, whatever it is.

    Args:
        seed: First part of every key of randomness.
        batch_size: Global batch of one discriminator turn.
        accumulate: Micro-batches of one evaluation.
        channels_last: Memory format of images.
        mirror: Whether half of the real images are flipped.
        dequantize: Whether real pixels get uniform noise of one grey level.
        clip: Maximal gradient norm of a player, by name.
        compile: Whether networks and input gradients are compiled.
        log_every_steps: Scalars are kept in iterations divisible by this.
        scheduled: Numbers of losses, regularizers and so on that follow schedules.
    """

    seed: int = 0
    batch_size: int = 64
    accumulate: int = 1
    channels_last: bool = True
    mirror: bool = False
    dequantize: bool = False
    clip: Mapping[str, float] = field(default_factory=dict)
    compile: bool = False
    log_every_steps: int = 50
    scheduled: Sequence[Scheduled] = ()


class GANModule(L.LightningModule):
    """Plays one iteration a ``training_step``: every turn once, or as often as it repeats.

    Args:
        game: Who plays; regularizers are attached already.
        regularizers: By name.
        optimizers: A factory a player.
        setting: What views share: prior, labels, policies.
        average: The moving averages.
        training: How the game is played.
        learning_rates: Schedules of players' learning rates.
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
        learning_rates: Mapping[str, Schedule] | None = None,
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
        self.progress = Progress()
        self.scalars: dict[str, Tensor] = {}
        self.objective_names: set[str] = set()  # those of the scalars that players minimise
        self._factories = optimizers
        self._learning_rates = dict(learning_rates or {})
        self._hooks = Hooks(list(regularizers.values()))
        self._parameters_of = {n: [p for p in pl.parameters() if p.requires_grad] for n, pl in game.players.items()}
        self._playing: tuple[str, ...] | None = None
        self._stage: Stage | None = None
        self._phase: int | None = None
        self._rates: dict[str, list[float]] = {}
        self._options: dict[str, list[dict[str, Any]]] = {}
        self._kept: dict[str, list[Tensor]] | None = None
        self._steps_before: dict[str, list[Tensor]] = {}  # optimistic: each player's last step
        self._parametrized = any(parametrize.is_parametrized(m) for m in game.modules())
        if training.compile:
            twice = [name for name, regularizer in regularizers.items() if regularizer.player_gradients]
            if twice:
                raise GanlabError(
                    f"reg={twice[0]} differentiates the networks twice, which torch.compile refuses: set compile=false."
                )
            compile_networks(game, setting)

    # --- Lightning's hooks

    def configure_optimizers(self) -> list[Optimizer]:
        optimizers = []
        for name, player in self.game.players.items():
            optimizer = self._factories[name](iter(self._parameters_of[name]))
            _correct_for_lazy_steps(optimizer, player)
            self._rates[name] = [group["lr"] for group in optimizer.param_groups]
            self._options[name] = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
            optimizers.append(optimizer)
        return optimizers

    def on_fit_start(self) -> None:
        if self.setting.label_shares is not None:
            self.setting.label_shares = self.setting.label_shares.to(self.device)
        self.take(self.trainer.optimizers)

    def take(self, optimizers: Sequence[Optimizer]) -> None:
        """Use these, in the order of the players, as `configure_optimizers` made them."""
        self._optimizers = dict(zip(self.game.players, optimizers, strict=True))

    def on_train_start(self) -> None:
        # a checkpoint brings the numbers of its optimizers along; those of the configuration count
        for name, optimizer in self._optimizers.items():
            for group, options in zip(optimizer.param_groups, self._options[name], strict=True):
                group.update(options)
        self._steps_before = {n: [step.to(self.device) for step in s] for n, s in self._steps_before.items()}

    @property
    def stage(self) -> Stage | None:
        """Where networks that grow stand; None: the game does not grow, or has not begun."""
        return self._stage

    @property
    def optimizers_by_player(self) -> dict[str, Optimizer]:
        return self._optimizers

    def training_step(self, batch: Batch, batch_idx: int = 0) -> None:
        self.iterate(batch)
        self._count_iteration()

    def iterate(self, batch: Batch) -> None:
        """One iteration, without what Lightning wants to know about it."""
        options, before = self.training_options, self.progress
        iteration = plan(self.game, before, options.batch_size)
        self._enter_stage(before.images_seen)
        for scheduled in options.scheduled:
            scheduled.assign(scheduled.schedule(before.images_seen))
        self._set_learning_rates(before.images_seen)
        self._kept = {} if (before.iteration + 1) % options.log_every_steps == 0 else None
        reals = Reals(
            batch,
            accumulate=options.accumulate,
            channels_last=options.channels_last,
            mirror=options.mirror,
            dequantize=options.dequantize,
            alpha=self._stage.alpha if self._stage is not None else 1.0,
        )
        self._play(iteration, reals)
        with self.setting.timer("EMA"):
            self.average.follow(before.images_seen, iteration.counted)
        self.progress = iteration.advance(before)
        if self._kept is not None:
            self.scalars = {name: torch.stack(values).mean() for name, values in self._kept.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ganlab"] = {
            "progress": dataclasses.asdict(self.progress),
            "config": self.config,
            "phase": self._phase,
            "stage": dataclasses.asdict(self._stage) if self._stage is not None else None,
            "optimistic": self._steps_before,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        stored = checkpoint["ganlab"]
        self.progress = Progress(**stored["progress"])
        self._phase = stored["phase"]
        self._steps_before = dict(stored["optimistic"])
        if stored.get("stage") is not None:
            self._stand(Stage(**{**stored["stage"], "image_size": tuple(stored["stage"]["image_size"])}))

    # --- one iteration

    def _play(self, iteration: Plan, reals: Reals) -> None:
        """All turns of an iteration, by the game's update rule."""
        slots, update = iteration.slots, self.game.update
        if update == "alternating":
            for slot in slots:
                self._evaluate(slot, reals)
                self._step(slot.turn)
            return
        together = Turn(tuple(dict.fromkeys(player for slot in slots for player in slot.turn.players)))
        if update == "extragradient":
            # look ahead with the optimizers' own steps, then step from where we were with the
            # gradients found there (ExtraAdam; the moments move in both)
            origin = {player: [p.detach().clone() for p in self._parameters_of[player]] for player in together.players}
            self._evaluate_all(slots, reals)
            self._step(together, final=False)
            self._evaluate_all(slots, reals)
            for player, values in origin.items():
                torch._foreach_copy_([p.detach() for p in self._parameters_of[player]], values)
            self._step(together)
            return
        self._evaluate_all(slots, reals)
        if update == "optimistic":
            self._optimistic_step(together)
        else:
            self._step(together)

    def _evaluate_all(self, slots: Sequence[Slot], reals: Reals) -> None:
        reals.rewind()
        for slot in slots:
            self._evaluate(slot, reals)

    def _evaluate(self, slot: Slot, reals: Reals) -> None:
        """Add the gradients of a turn's players to their parameters' ``.grad``."""
        options, turn = self.training_options, slot.turn
        self._require_grad(turn.players)
        if slot.fresh:
            reals.next()
        local = slot.batch // (options.accumulate * distributed.world_size())
        for micro in range(options.accumulate):
            key = (options.seed, self.progress.images_seen, slot.index, micro)
            stream = Stream(*key, device=self.device)
            with using(stream), state.moving(False), self._weights_held(turn):
                with self.setting.timer("data"):
                    points = reals.points(micro, local, stream, cast(torch.dtype, self.dtype)) if turn.reals else None
                view = View(
                    self.game,
                    self._hooks,
                    turn,
                    stream,
                    self.setting,
                    reals=points,
                    batch=local,
                    iteration=self.progress.iteration,
                    images_seen=self.progress.images_seen,
                    logged=self._kept is not None,
                )
                objectives = self._objectives(turn, view)
            with self.setting.timer("backward"):
                last = len(objectives) - 1
                # leaves other than the players' parameters exist only where penalties made them; without any,
                # the plain call saves a walk over the graph
                plain = last == 0 and not self._hooks.terms and not self._hooks.features
                # repetitions of a turn that are evaluated at one point are one larger batch, not a larger rate
                parts = options.accumulate * (1 if self.game.update == "alternating" else turn.repeat)
                for i, (player, terms) in enumerate(objectives.items()):
                    total = _sum(terms.values())
                    total = total / parts if parts > 1 else total
                    if total.requires_grad:
                        inputs = None if plain else self._parameters_of[player]
                        total.backward(inputs=inputs, retain_graph=i < last)
            self._keep(view, objectives)

    @contextmanager
    def _weights_held(self, turn: Turn) -> Iterator[None]:
        """Within one micro-batch weights do not change: parametrized ones are computed once."""
        if not self._parametrized or self.setting.every_forward or self.training_options.compile:
            yield
            return
        with ExitStack() as stack:
            for regularizer in self._hooks.during:
                stack.enter_context(regularizer.during(turn))
            stack.enter_context(parametrize.cached())
            yield

    def _objectives(self, turn: Turn, view: View) -> dict[str, dict[str, Tensor]]:
        objectives = {player: dict(terms) for player, terms in self.game.objective(turn, view).items()}
        for regularizer in self._hooks.terms:
            with self.setting.timer("penalty"):
                for player, terms in regularizer.terms(turn, view).items():
                    if player in turn.players:
                        objectives.setdefault(player, {}).update(terms)
        return {player: terms for player, terms in objectives.items() if terms}

    def _step(self, turn: Turn, final: bool = True) -> None:
        """Average gradients over ranks, let regularizers change them, clip, step the turn's players."""
        gradients = {player: self._gradients(player) for player in turn.players}
        distributed.average(g for group in gradients.values() for g in group)
        for regularizer in self._hooks.gradients:
            with self.setting.timer("penalty"):
                regularizer.gradients(turn, gradients)
        with self.setting.timer("optimizer"):
            for player in turn.players:
                limit = self.training_options.clip.get(player)
                if limit is not None:
                    nn.utils.clip_grads_with_norm_(
                        self._parameters_of[player], limit, nn.utils.get_total_norm(gradients[player])
                    )
                self._optimizers[player].step()
                self._optimizers[player].zero_grad(set_to_none=True)
        if final:
            for regularizer in self._hooks.after_step:
                regularizer.after_step(turn)

    def _optimistic_step(self, turn: Turn) -> None:
        """w <- w + 2·Δ_t - Δ_(t-1), Δ the optimizer's own step (arXiv:1711.00141, algorithm 1)."""
        lists = {player: [p.detach() for p in self._parameters_of[player]] for player in turn.players}
        origin = {player: [w.clone() for w in weights] for player, weights in lists.items()}
        self._step(turn)
        for player, weights in lists.items():
            step = torch._foreach_sub(weights, origin[player])
            before = self._steps_before.get(player) or step
            torch._foreach_add_(weights, step)
            torch._foreach_sub_(weights, before)
            self._steps_before[player] = list(step)

    # --- inside

    def _gradients(self, player: str) -> list[Tensor]:
        # the only Python loop over parameters in a step; optimizers make the same one
        return [p.grad for p in self._parameters_of[player] if p.grad is not None]

    def _require_grad(self, players: tuple[str, ...]) -> None:
        """Only who plays needs gradients, and by whose weights regularizers differentiate: the other networks then
        keep no activations for weights.

        A loop over parameters (about 0.1 microseconds each), run when the players change.
        """
        if players != self._playing:
            for name, parameters in self._parameters_of.items():
                for parameter in parameters:
                    parameter.requires_grad_(name in players or name in self._hooks.player_gradients)
            self._playing = players

    def _enter_stage(self, images_seen: int) -> None:
        stage = self.game.stage(images_seen)
        if stage is None or stage == self._stage:
            return
        if self._phase is not None and stage.phase != self._phase:
            for optimizer in self._optimizers.values():
                optimizer.state.clear()
            self._steps_before.clear()
        self._phase = stage.phase
        self._stand(stage)

    def _stand(self, stage: Stage) -> None:
        before, self._stage = self._stage, stage
        self.game.set_stage(stage)
        stand(self.average.values(), stage)
        if self.training_options.compile and before is not None and _way(before) != _way(stage):
            # another way through the networks is other code, which torch compiles anew a few times only (8); the
            # old one is not needed again
            torch.compiler.reset()

    def _set_learning_rates(self, images_seen: int) -> None:
        factors = self._stage.learning_rates if self._stage is not None else {}
        for player in {*self._learning_rates, *factors}:
            schedule, factor = self._learning_rates.get(player), factors.get(player, 1.0)
            share = _lazy_share(self.game.players[player])
            for group, rate in zip(self._optimizers[player].param_groups, self._rates[player], strict=True):
                group["lr"] = factor * (rate if schedule is None else share * schedule(images_seen))

    def _keep(self, view: View, objectives: Mapping[str, Mapping[str, Tensor]]) -> None:
        if self._kept is None:
            return
        for player, terms in objectives.items():
            prefix = player if view.turn.name == "main" else f"{player}/{view.turn.name}"
            for name, value in terms.items():
                self.objective_names.add(f"{prefix}/{name}")
                self._kept.setdefault(f"{prefix}/{name}", []).append(value.detach().float())
        for name, value in view.scalars.items():
            self._kept.setdefault(name, []).append(value.float())

    def _count_iteration(self) -> None:
        """Make Lightning's ``global_step`` grow by one.

        Lightning counts every ``step`` of every wrapped optimizer (issue 17958). The optimizers are
        stepped unwrapped, so nothing is counted; then the hooks that Lightning put on the first
        wrapper for this batch are called once. They are private names: a test pins them.
        """
        wrapped = self.optimizers()
        first = wrapped[0] if isinstance(wrapped, list) else wrapped
        first._on_before_step()  # type: ignore[union-attr]
        first._on_after_step()  # type: ignore[union-attr]


def _way(stage: Stage) -> tuple[int, bool]:
    """What decides which layers are evaluated."""
    return stage.level, stage.alpha < 1


def _sum(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalars, in float32 at least."""
    scalars = [term.float() if term.dtype is torch.bfloat16 else term for term in terms]
    return scalars[0] if len(scalars) == 1 else torch.stack(scalars).sum()


def _correct_for_lazy_steps(optimizer: Optimizer, player: Player) -> None:
    """lr <- c·lr, beta <- beta^c with c of `_lazy_share` (StyleGAN2, arXiv:1912.04958, appendix B)."""
    share = _lazy_share(player)
    if share < 1:
        for group in optimizer.param_groups:
            group["lr"] *= share
            if "betas" in group:
                group["betas"] = tuple(beta**share for beta in group["betas"])


def _lazy_share(player: Player) -> float:
    """c = 1 / (1 + extra steps an iteration): k / (k + 1) for one lazy turn every k iterations."""
    return 1 / (1 + player.lazy_steps)
