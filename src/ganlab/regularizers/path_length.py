"""Path length regularization."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core import distributed
from ganlab.regularizers.attachment import owner
from ganlab.regularizers.gradient_norm import power_of_norm
from ganlab.regularizers.input_penalty import checked_weight

TURN = "path_length"


class PathLength(Regularizer):
    """Path length regularization: a step in latent space is to move the image by the same length everywhere.

    weight * interval_steps * E[(||J^T y|| - a)^2],  J = dG/dw,  y ~ N(0, 1) / sqrt(H * W) for each number of an image

    in a turn of its own of the generator's player, every ``interval_steps`` iterations on a share of the batch
    (the engine corrects Adam's rates for the additional steps). With styles of L layers ||J^T y|| is
    the root of the mean over layers of the squared length. a <- a + decay * (mean ||J^T y|| - a), over
    ranks, before it is used; as in the authors' code gradients go through that new share of a.

    Generators with a w space (``mapping``, ``styles``, ``synthesis``) are taken by their styles, the same for all
    layers, where the authors' code mixes some; others by their latents z, which the paper does not do.
    Under accumulation a is that of each micro-batch, and moves by their mean. y keys on the rank.

    Source: Karras et al. 2020 (arXiv:1912.04958), sec. 3.2, eq. 4, and appendix B; the root of the mean over
    layers and the order of the update of a are those of its code.

    Args:
        weight: At least 0; the paper's is 2 (its gamma).
        decay: Share of the new mean in a, in (0, 1].
        interval_steps: Iterations from one turn to the next, at least 1.
        batch: Its batch as a share of ``data.batch_size``, in (0, 1].

    Raises:
        ValueError: If an option is out of range.
    """

    length: Tensor

    def __init__(self, weight: float = 2.0, decay: float = 0.01, interval_steps: int = 4, batch: float = 0.5) -> None:
        super().__init__()
        if interval_steps < 1:
            raise ValueError(f"interval_steps must be at least 1, got {interval_steps}")
        for name, share in (("decay", decay), ("batch", batch)):
            if not 0 < share <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {share}")
        self.weight, self.decay = checked_weight("weight", weight), decay
        self.interval_steps, self.batch = interval_steps, batch
        self.player = "generator"
        self.register_buffer("length", torch.zeros(()))  # a
        self._means: list[Tensor] = []  # of the micro-batches since the last step

    def attach(self, game: Game) -> None:
        self.player = owner(game, "generator", "path_length")
        game.add_turn(Turn((self.player,), every=self.interval_steps, batch=self.batch, reals=None, name=TURN))

    def terms(self, turn: Turn, view: View) -> Objectives:
        if turn.name != TURN:
            return {}
        lengths = path_lengths(view)
        mean = view.mean(lengths.mean())
        self._means.append(mean.detach())
        average = torch.lerp(self.length.to(mean), mean, self.decay)
        if view.logged:
            view.note(f"{self.player}/path_length", mean)
        penalty = (lengths - average).square().mean()
        return {self.player: {"path_length": self.interval_steps * self.weight * penalty}}

    @torch.no_grad()
    def after_step(self, turn: Turn) -> None:
        if self._means:
            self.length.lerp_(distributed.mean(torch.stack(self._means).mean()).to(self.length), self.decay)
            self._means.clear()


def path_lengths(view: View) -> Tensor:
    """||J^T y||, (B,) in float32 at least, of this micro-batch's latents."""
    generator = view.game.get_submodule("generator")
    z, labels = view.z.detach(), view.fake_labels
    with torch.autocast(z.device.type, enabled=False):
        # not by calling the network: a compiled call cannot be differentiated twice
        if all(callable(getattr(generator, name, None)) for name in ("mapping", "styles", "synthesis")):
            steps = generator.styles(generator.mapping(z, labels))  # type: ignore[operator]
            level = getattr(generator, "level", None)
            if level is not None:
                steps = steps[:, : generator.num_ws_at(level)]  # type: ignore[operator]
            images = generator.synthesis(steps)  # type: ignore[operator]
        else:
            steps = z.requires_grad_()
            images = generator.forward(steps, labels)  # type: ignore[operator]
        noise = view.stream.draw_on_rank("path_length", images.shape, "normal").to(images)
        noise = noise / math.sqrt(math.prod(images.shape[2:]))
        (slope,) = torch.autograd.grad((images * noise).sum(), steps, create_graph=True)
    squared = slope.square().sum(-1)
    return power_of_norm(squared.mean(1) if squared.ndim > 1 else squared, 1)
