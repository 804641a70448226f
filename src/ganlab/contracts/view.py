"""A view of one micro-batch of a turn: real and fake images, scores, gradients; lazy and cached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from ganlab.contracts.hooks import Hooks
from ganlab.contracts.passes import Passes, ViewedGame
from ganlab.contracts.pending import Pending
from ganlab.contracts.points import Points
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Objectives, Turn
from ganlab.core import distributed
from ganlab.core.randomness import Distribution, Stream, using


class View(Passes):
    """One micro-batch of one turn. Everything is computed when first asked for and kept until the
    turn ends, so penalties at the same points share one input gradient.

    Args:
        game: The game.
        hooks: The regularizers' hooks.
        turn: The turn.
        stream: Keyed randomness of this micro-batch.
        setting: The options that all views of the run share.
        reals: Real images of this micro-batch (None if the turn has none).
        batch: Number of fakes on this rank.
        iteration: Iterations done before this one.
        images_seen: Real images shown in counted turns before this iteration.
        pending: Takes the new values of buffers until the step.
        fakes: Fakes, with or without a graph, that somebody else made; None: the game's generator makes them.
        carried: Tensors without a graph that a turn of an iteration leaves for later ones on the same micro-batch;
            fakes take their latents ``z`` and ``labels`` from it, where it has them.
    """

    def __init__(
        self,
        game: ViewedGame,
        hooks: Hooks,
        turn: Turn,
        stream: Stream,
        setting: Setting,
        *,
        reals: Points | None,
        batch: int,
        iteration: int,
        images_seen: int,
        pending: Pending | None = None,
        fakes: Points | None = None,
        carried: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__(game, hooks, turn, setting)
        self.stream = stream
        self.batch, self.iteration, self.images_seen = batch, iteration, images_seen
        self.pending = Pending() if pending is None else pending
        self.carried = {} if carried is None else carried
        self.scalars: dict[str, Tensor] = {}
        self.notes: dict[Any, Any] = {}
        self._reals, self._given = reals, fakes
        if reals is not None and self._shares_pass("real"):
            reals.images.requires_grad_()

    # --- randomness and other ranks

    def draw(self, purpose: str, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
        """Return keyed numbers; ``shape[0]`` is this rank's batch, see `Stream.draw`."""
        return self.stream.draw(purpose, shape, distribution)

    @staticmethod
    def mean(x: Tensor) -> Tensor:
        """Return the mean over ranks, elementwise and differentiable."""
        return distributed.mean(x)

    @staticmethod
    def gather(x: Tensor) -> Tensor:
        """Return all ranks' ``x`` along dimension 0, differentiable."""
        return distributed.gather(x)

    @contextmanager
    def replayed(self, purpose: str) -> Iterator[None]:
        """Begin all draws inside the block anew, with a key of their own: blocks of one purpose draw the same numbers.

        Dropout's masks and augmentations are then the same in two passes that are to be compared.
        """
        before = self.stream
        self.stream = before.within(purpose)
        try:
            with using(self.stream):
                yield
        finally:
            self.stream = before

    def note(self, name: str, value: Tensor) -> None:
        """Keep a scalar of this micro-batch on the device, for the log."""
        self.scalars[name] = value.detach()

    def update(self, buffer: Tensor, value: Tensor) -> None:
        """Give a buffer a new value after the step: the mean over micro-batches and ranks."""
        self.pending.add(buffer, value)

    def objectives(self) -> Objectives:
        """Return what the turn's players minimise: the game's objective, and the terms that regularizers add."""
        found: Objectives = {}
        if self.game.owns(self.turn):
            found = {player: dict(terms) for player, terms in self.game.objective(self.turn, self).items()}
        for hook in self.hooks.terms:
            if hook.acts_in(self.turn):
                with self.setting.timer("penalty"):
                    terms, factor = hook.call(hook.player, self), self.setting.strength * hook.address.interval_steps
                    lazy = {name: factor * term for name, term in terms.items()} if factor != 1 else terms
                found.setdefault(hook.player, {}).update(lazy)
        return {player: terms for player, terms in found.items() if terms}

    def differentiates(self, player: str) -> bool:
        """Tell if this turn takes gradients by the player's parameters: it steps, or a regularizer asks for them."""
        return player in self.turn.players or player in self.hooks.player_gradients

    # --- images

    @property
    def reals(self) -> Points:
        if self._reals is None:
            raise RuntimeError(f"The turn of {'+'.join(self.turn.players)} has no real images.")
        reals = self._reals
        return self._once("reals", lambda: self.game.complete(reals, self))

    @property
    def z(self) -> Tensor:
        """Latents (B, Z) of the prior."""
        if "z" in self.carried:
            return self.carried["z"]
        return self._once("z", lambda: self.setting.prior(self.draw, self.batch, self.setting.latent_dim))

    @property
    def fake_labels(self) -> Tensor | None:
        """Labels (B,) for the fakes, as `Game.fake_labels` says; None: unconditional."""
        if self._given is not None:
            return self._given.labels
        if (shares := self.setting.label_shares) is None:
            return None
        if self.game.fake_labels == "reals" and self._reals is not None:
            return self._reals.labels
        if "labels" in self.carried:
            return self.carried["labels"]
        if self.game.fake_labels == "uniform":
            shares = torch.full_like(shares, 1 / len(shares))

        def sample() -> Tensor:
            uniform = self.draw("labels", (self.batch,), "uniform")
            return torch.searchsorted(shares.cumsum(0), uniform, right=True).clamp_(max=len(shares) - 1)

        return self._once("labels", sample)

    def fakes(self, grad: bool | None = None) -> Points:
        """G(z, y).

        Args:
            grad: Gradients reach the generator; by default they do if its player has this turn, or if a
                regularizer differentiates by the player's parameters.
        """
        if self.differentiates(self._owners.get("generator", "")) if grad is None else grad:
            return self._once("fakes with graph", lambda: self._fakes(self._generate()))
        return self._once("fakes", self._fakes_without_graph)

    def _fakes_without_graph(self) -> Points:
        made: Points | None = self._cache.get("fakes with graph")
        if made is not None:
            images = made.images.detach()
        elif self._given is not None:
            images = self._given.images.detach()
        else:
            with torch.no_grad():
                images = self._generate().detach()
        return self._fakes(images.requires_grad_(self._shares_pass("fake")))

    def _fakes(self, images: Tensor) -> Points:
        if self._given is not None:
            own = self._given if images is self._given.images else replace(self._given, images=images)
            return self.game.complete(own, self)
        return self.game.complete(Points(images, self.fake_labels, "fake"), self)

    def _generate(self) -> Tensor:
        if self._given is not None:
            return self._given.images
        return cast(Tensor, self.run("generator", self.z, self.fake_labels))

    def interpolated(self) -> Points:
        """x = a·real + (1 - a)·fake, a ~ U[0, 1) one an image, with the labels of the reals."""

        def make() -> Points:
            real, fake = self.reals, self.fakes(grad=False)
            a = self.draw("interpolation", (self.batch,), "uniform")

            def between(x: Tensor, y: Tensor) -> Tensor:
                dtype = torch.promote_types(y.dtype, torch.float32)  # fakes are bf16 under autocast
                share = a.to(dtype).view(-1, *[1] * (y.ndim - 1))
                return torch.lerp(x.detach().to(dtype), y.detach().to(dtype), share)

            pairs = fake.codes is not None and real.codes is not None
            codes = between(fake.codes, real.codes) if pairs else None  # type: ignore[arg-type]
            images = between(fake.images, real.images).requires_grad_()
            return replace(real, images=images, role="interpolated", codes=codes)

        return self._once("interpolated", make)

    # --- outputs of the discriminator

    def scores(self, *, reals: bool = True) -> tuple[Tensor | None, Tensor]:
        """Return the logits of reals and fakes for the adversarial loss; of one pass over both with `Game.one_pass`.

        Args:
            reals: False: the loss needs no logits of reals in this turn, which are then None.
        """

        def compute() -> tuple[Tensor | None, Tensor]:
            if reals and self.game.one_pass:
                self.judge_together(self.fakes(), self.reals)
            real = self.logits(self.reals) if reals else None
            fake = self.logits(self.fakes())
            for hook in self.hooks.scores:
                real, fake = hook(real, fake, self)
            return real, fake

        return self._once(("scores", reals), compute)

    def input_gradient(self, points: Points) -> Tensor:
        """d(sum of logits)/dx at ``points``, float32, differentiable; cached.

        Of several logits an image it is that of their mean, see `ganlab.contracts.game.Game.per_image`.

        In float32 with autocast off. It uses the main forward pass where that was made in float32
        and can be differentiated twice, and makes its own otherwise. A stage of growth may scale it.
        """

        def compute() -> Tensor:
            if self._serves_twice() and points.images.requires_grad:
                (gradient,) = torch.autograd.grad(self._total(self.logits(points)), points.images, create_graph=True)
                return gradient
            images = points.images.detach().requires_grad_()
            images = images.float() if images.dtype in (torch.bfloat16, torch.float16) else images
            compiled = self.setting.input_gradient
            hooked = self.hooks.images or self.hooks.features
            if compiled is not None and not hooked and points.codes is None:
                return compiled(images, *points.conditions)
            codes = points.codes if points.codes is None else points.codes.to(images.dtype)  # bf16 under autocast
            own = replace(points, images=images, codes=codes)
            with torch.autocast(images.device.type, enabled=False):
                (gradient,) = torch.autograd.grad(self._total(self.eager_logits(own)), own.images, create_graph=True)
            return gradient

        def scaled() -> Tensor:
            scale, gradient = self.setting.gradient_scale, compute()
            return gradient if scale == 1 else scale * gradient

        return self._once(("input_gradient", points), scaled)

    def player_gradient(self, player: str, create_graph: bool = False) -> list[Tensor]:
        """Return the gradient of a player's own objective (without regularizers) by its parameters."""

        def compute() -> list[Tensor]:
            terms = self.game.objective(Turn((player,), reals=self.turn.reals), self)[player]
            parameters = [p for p in self.game.players[player].parameters() if p.requires_grad]
            total = torch.stack(list(terms.values())).sum()
            gradients = torch.autograd.grad(
                total, parameters, create_graph=create_graph, retain_graph=True, allow_unused=True
            )
            return [g for g in gradients if g is not None]

        return self._once(("player_gradient", player, create_graph), compute)

    # --- inside

    def _total(self, logits: Tensor) -> Tensor:
        return self.game.per_image(logits).sum()

    def _serves_twice(self) -> bool:
        device = self._reals.images.device.type if self._reals is not None else self.stream.device.type
        return self.setting.double_backward and not torch.is_autocast_enabled(device)

    def _is_source(self, points: Points) -> bool:
        # fakes that somebody else made may end their graph here, without a penalty
        given = None if self._given is None else self._given.images
        return points.images is not given and super()._is_source(points)

    def _shares_pass(self, role: str) -> bool:
        wanted = role in self.hooks.input_gradients or role in self.game.input_gradients
        return wanted and self._plays("discriminator") and self._serves_twice()
