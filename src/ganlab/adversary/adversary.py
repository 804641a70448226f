"""The adversary as an object: a discriminator with its loss, regularizers, augmentation and optimizer."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from ganlab.adversary import inputs, numbers
from ganlab.adversary.guard import Guard
from ganlab.adversary.loop import Loop, detached
from ganlab.adversary.opponent import DISCRIMINATOR, Opponent
from ganlab.adversary.optimizer import factory_of
from ganlab.adversary.parts import parts_of
from ganlab.adversary.slopes import GradientNormalization, Known, adaptive_weight, finite_or_zero
from ganlab.contracts.plan import Progress
from ganlab.contracts.regularizer import hooks_of
from ganlab.contracts.setting import Setting
from ganlab.core import distributed, kinds
from ganlab.core.errors import GanlabError, sentence
from ganlab.core.ranges import NotNegative, Positive, Range, at_least
from ganlab.engine.compilation import compile_networks, refuse_double_backward
from ganlab.engine.player_optimizers import PlayerOptimizers
from ganlab.engine.turns import Turns

LOSS, OPTIMIZER = (kinds.KINDS[kind].default for kind in ("loss", "optimizer"))


class Adversary(nn.Module):
    """A GAN loss for a loop of one's own: no Trainer, no configuration, no run folder.

        adversary = ganlab.Adversary(discriminator, loss="hinge", reg={"r1": {"gamma": 0.1}, "lecam": {}}, lr=2e-4)
        ...
        scalars = adversary.step(real=x, fake=x_hat)
        g = adversary.generator_loss(fake=x_hat, real=x, reconstruction=error, last_layer=decoder.out.weight)
        (error + g).backward()

    It plays the turns of ``ganlab train`` with the same engine. The discriminator is called as ``(x)`` or as
    ``(x, condition)``, with samples of any shape (B, ...). It gives logits, high for real: one a sample, (B,) or
    (B, 1); a map, (B, 1, H, W) or (B, N); or a list of these, of several scales or sub-discriminators. The loss is
    averaged over the positions of each map and then over the maps. A tuple ``(logits, [feature, ...])`` has features
    for ``feature_matching``.

    Args:
        discriminator: A network, or a list of networks that judge together; or the name of one of ganlab's with its
            options: ``{"dcgan": {"image_size": 64}}``.
        loss: Name of a loss, ``{name: options}``, or a loss.
        reg: Regularizers: a name, a list of names, ``{name: options, ...}``, or objects.
        augment: An augmentation, given as ``loss`` is.
        optimizer: Name of an optimizer, ``{name: options}``, a function ``(params, lr=...)``, or an optimizer of the
            discriminator's parameters.
        lr: Learning rate, or a schedule; None: the optimizer's own.
        weight: Factor of the generator's term, at least 0, or a schedule.
        start_step: Calls of `step` before which the discriminator does not step and the generator's term is 0.
        ramp_steps: Calls from ``start_step`` on in which the weight rises from 0.
        total_steps: Calls of `step` of the whole training: where schedules end that do not say it.
        clip: Largest norm of the discriminator's gradient, positive; None: any.
        accumulate: Calls of `step` for one step of the optimizer, on the mean of their gradients.
        reduction: ``mean`` over maps, or ``sum`` as in HiFi-GAN.
        feature_matching: Weight of E|f(x) - f(fake)| over features of layers, in the generator's term; at least 0.
        gradient_normalization: Decay of `GradientNormalization` of the generator's term, in [0, 1); None: without.
        guard: Steps and terms whose gradients are not finite change nothing.
        compile: Compile the discriminator.
        seed: Of the draws of regularizers and augmentations.
        image_shape: Shape of a sample without the batch, which some regularizers must know beforehand.

    Schedules are ``{"from": 2e-4, "to": 0, "end_steps": 50000, "shape": "cosine"}``, for options of components too;
    they count calls of `step`.

    Raises:
        GanlabError: If a name or an option is wrong, or parts do not go together.
    """

    adaptive: Tensor

    def __init__(
        self,
        discriminator: nn.Module | Sequence[nn.Module] | str | Mapping[str, Any],
        loss: Any = LOSS,
        reg: Any = None,
        augment: Any = None,
        *,
        optimizer: Any = OPTIMIZER,
        lr: float | Mapping[str, Any] | None = None,
        weight: float | Mapping[str, Any] = 1.0,
        start_step: Annotated[int, at_least(0)] = 0,
        ramp_steps: Annotated[int, at_least(0)] = 0,
        total_steps: Annotated[int, at_least(1)] | None = None,
        clip: Positive | None = None,
        accumulate: Annotated[int, at_least(1)] = 1,
        reduction: Literal["mean", "sum"] = "mean",
        feature_matching: NotNegative = 0.0,
        gradient_normalization: Annotated[float, Range(least=0, below=1)] | None = None,
        guard: bool = True,
        compile: bool = False,
        seed: int = 0,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        given = {
            "start_step": start_step, "ramp_steps": ramp_steps, "total_steps": total_steps, "clip": clip,
            "accumulate": accumulate, "guard": guard, "compile": compile, "seed": seed,
            "gradient_normalization": gradient_normalization,
        }  # fmt: skip
        of_game = {"reduction": reduction, "feature_matching": feature_matching, "image_shape": image_shape}
        checked = inputs.check_options(Adversary, {**given, **of_game})
        self.start_step, self.ramp_steps = checked["start_step"], checked["ramp_steps"]
        decay, total_steps = checked["gradient_normalization"], checked["total_steps"]
        self.normalization = None if decay is None else GradientNormalization(decay)
        self._weight = numbers.scheduled(weight, "weight", total_steps)
        parts = parts_of(discriminator, loss, reg, augment, total_steps, **{name: checked[name] for name in of_game})
        self.game: Opponent = parts.game
        self.regularizers = nn.ModuleDict(parts.regularizers)
        self._scheduled, self._sharded = parts.scheduled, parts.sharded
        self.register_buffer("adaptive", torch.ones(()))  # the last adaptive weight
        self._prepare(optimizer, lr, {**checked, "compile": checked["compile"] or parts.compiled})

    def _prepare(self, optimizer: Any, lr: Any, options: Mapping[str, Any]) -> None:
        """Make what plays the game."""
        regularizers: dict[str, Any] = dict(self.regularizers.items())
        self._hooks = hooks_of(self.game, list(regularizers.values()))
        self._setting = Setting(prior=_no_latents, latent_dim=0)
        factory, rate = factory_of(optimizer, lr, options["total_steps"], self.game.players[DISCRIMINATOR])
        rates = {} if rate is None else {DISCRIMINATOR: {"lr": rate}}
        clip = {} if options["clip"] is None else {DISCRIMINATOR: options["clip"]}
        self.player_optimizers = PlayerOptimizers(
            self.game, {DISCRIMINATOR: factory}, self._hooks, self._setting, rates, clip, averages=not self._sharded
        )
        self.player_optimizers.take(self.player_optimizers.make())
        inputs.check_precision(regularizers, self._like)
        self.guard = Guard(self.player_optimizers) if options["guard"] else None
        if options["compile"]:
            refuse_double_backward(regularizers)
            compile_networks(self.game, self._setting)
        turns = Turns(
            self.game,
            self._hooks,
            self._setting,
            self.player_optimizers,
            compiled=options["compile"],
            sharded=self._sharded,
        )
        self._loop = Loop(self.game, turns, self.player_optimizers, options["seed"], options["accumulate"])
        self.calls, self._began = 0, False

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The discriminator's optimizer."""
        return self.player_optimizers.by_player[DISCRIMINATOR]

    @property
    def device(self) -> torch.device:
        """The discriminator's device."""
        return self._like.device

    @property
    def _like(self) -> Tensor:
        return self.player_optimizers.parameters[DISCRIMINATOR][0]

    @property
    def scalars(self) -> dict[str, Tensor]:
        """The numbers of the last calls of `step` and `generator_loss` by name, on the device."""
        return self._loop.scalars

    # --- the discriminator

    @torch.enable_grad()
    def step(self, real: Tensor, fake: Tensor, condition: Any = None) -> dict[str, Tensor]:
        """Step the discriminator on real and fake samples, and return its scalars.

        Nothing of it reaches the graph of ``fake``. With ``accumulate`` every k-th call steps. If the discriminator
        raises, out of memory say, the call and those that it accumulates with do not count: the next one begins anew.

        Args:
            real: (B, ...), floats as the networks see them.
            fake: Of the same shape.
            condition: What the discriminator is given beside the samples: a tensor (B, ...), or a list, tuple or
                mapping of them.

        Returns:
            Scalars on the device: the terms of the loss and of regularizers as ``discriminator/adversarial`` and so on,
            the mean logits; nothing before ``start_step``.

        Raises:
            GanlabError: If samples are not what the discriminator can judge.
        """
        inputs.check_samples({"fake": fake, "real": real}, self._like, "step")
        inputs.check_condition(condition, self.game, fake, "step")
        call, self.calls = self.calls, self.calls + 1
        if call < self.start_step:
            return {}
        micro = (call - self.start_step) % self._loop.accumulate
        try:
            if micro == 0:
                self._begin(call, len(fake) * self._loop.accumulate * distributed.world_size())
            return self._loop.play(micro, (detached(fake), detached(real), detached(condition)))
        except BaseException:
            self.calls = call - micro
            self._loop.restart(self._loop.progress)
            raise

    def _begin(self, call: int, batch: int) -> None:
        """Begin an iteration."""
        if not self._began:
            self._began = True
            if not self._sharded:
                distributed.broadcast(self)
        self._loop.begin(batch)
        for number in self._scheduled:
            number.follow(call)
        for hook in self._hooks.before_iteration:
            hook(self._loop.progress)
        self.player_optimizers.follow(call, {})

    # --- the generator

    def generator_loss(
        self,
        fake: Tensor,
        real: Tensor | None = None,
        condition: Any = None,
        *,
        reconstruction: Tensor | None = None,
        last_layer: Tensor | None = None,
    ) -> Tensor:
        """Return the generator's term, a scalar to add to a loss; 0 before ``start_step``.

        Its gradient by ``fake`` is found here, in one pass through the discriminator and back, whose weights get none.
        Under ``torch.no_grad`` the value alone is returned.

        Args:
            fake: (B, ...), with its graph.
            real: Of the same shape, for losses that compare with real samples and for ``feature_matching``.
            condition: As in `step`; no gradient goes through it.
            reconstruction: The loss that the term is added to, with its graph; for ``last_layer``.
            last_layer: Weights of the generator's last layer: the term is multiplied by `adaptive_weight`, so that its
                gradient there is as large as that of ``reconstruction``. None: by ``weight`` alone.

        Raises:
            GanlabError: If something that is needed is not given, or has no graph.
        """
        samples = {"fake": fake} if real is None else {"fake": fake, "real": real}
        inputs.check_samples(samples, self._like, "generator_loss")
        inputs.check_condition(condition, self.game, fake, "generator_loss")
        inputs.check_term(self.game, fake, real, reconstruction, last_layer)
        factor = self._factor()
        if factor == 0:
            return fake.new_zeros((), dtype=torch.float32)
        differentiate = torch.is_grad_enabled()
        with torch.enable_grad():
            shown = detached(fake).requires_grad_()
            value, found = self._loop.term((shown, detached(real), detached(condition)), differentiate)
        if not differentiate:
            return factor * value * (1 if last_layer is None else self.adaptive)
        slope = inputs.check_slope(found)
        if self.guard is not None:
            value, slope = finite_or_zero(value, slope)
        if self.normalization is not None:
            slope = self.normalization(slope)
        weight: float | Tensor = factor
        if last_layer is not None and reconstruction is not None:
            self.adaptive.copy_(adaptive_weight(reconstruction, fake, slope, last_layer))
            weight = factor * self.adaptive
            self._loop.scalars["generator/adaptive_weight"] = self.adaptive.clone()
        term: Tensor = Known.apply(fake, value, slope, weight)
        return term

    def _factor(self) -> float:
        """Return the weight of the generator's term after the last call of `step`."""
        since = max(self.calls - 1, 0) - self.start_step
        if since < 0 or self.calls <= self.start_step:
            return 0.0
        ramp = min(since / self.ramp_steps, 1.0) if self.ramp_steps else 1.0
        return ramp * self._weight(self.calls - 1)

    # --- state

    def get_extra_state(self) -> dict[str, Any]:
        """Return what `state_dict` holds beside weights and buffers."""
        return {
            "calls": self.calls,
            "progress": dataclasses.asdict(self._loop.progress),
            "optimizer": self.optimizer.state_dict(),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take what `get_extra_state` gave; an iteration that accumulates begins anew."""
        since = max(state["calls"] - self.start_step, 0)
        self.calls = state["calls"] - since % self._loop.accumulate
        self._loop.restart(Progress(**state["progress"]))
        try:
            self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # which takes tensors as they are
        except (ValueError, KeyError) as error:
            raise GanlabError(f"The state is that of another discriminator or optimizer: {sentence(error)}") from error

    def _apply(self, fn: Any, recurse: bool = True) -> Adversary:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        inputs.check_precision(dict(self.regularizers.items()), self._like)
        if self.optimizer.state:  # moments follow their weights
            self.optimizer.load_state_dict(self.optimizer.state_dict())
        return self


def _no_latents(draw: Any, batch: int, dim: int) -> Tensor:
    raise GanlabError("A regularizer asks for latents, which your own loop draws: train with `ganlab train` instead.")
