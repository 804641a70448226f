"""Path length regularization."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganlab.contracts.address import Address
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero, share
from ganlab.layers.second_derivatives import differentiated_twice
from ganlab.regularizers.gradient_norm import power_of_norm


class PathLength(Regularizer):
    """Path length regularization: a step in latent space is to move the image by the same length everywhere.

    weight * interval_steps * E[(||J^T y|| - a)^2],  J = dG/dw,  y ~ N(0, 1) / sqrt(H * W) for each number of an image

    in a turn of its own of the generator's player, every ``interval_steps`` iterations on a share of the batch
    (the engine corrects Adam's rates for the additional steps). With styles of L layers ||J^T y|| is
    the root of the mean over layers of the squared length. a <- a + decay * (mean ||J^T y|| - a), over
    ranks, before it is used; as in the authors' code gradients go through that new share of a.

    Generators with a w space are taken by the styles of their layers, mixed as in every pass of training (those with
    ``ws``) or the same for all layers (``mapping`` and ``styles``); others by their latents z, which the paper does not
    do.
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
    needs = ("generator",)

    def __init__(self, weight: float = 2.0, decay: float = 0.01, interval_steps: int = 4, batch: float = 0.5) -> None:
        super().__init__()
        self.weight, self.decay = at_least_zero("weight", weight), share("decay", decay, zero=False)
        self.addresses = (Address("generator", "path_length", interval_steps, batch, reals=None),)
        self.register_buffer("length", torch.zeros(()))  # a

    def terms(self, player: str, view: View) -> Terms:
        lengths = path_lengths(view)
        mean = view.mean(lengths.mean())
        average = torch.lerp(self.length.to(mean), mean, self.decay)
        view.update(self.length, average)
        view.note(f"{player}/path_length", mean)
        return {"path_length": self.weight * (lengths - average).square().mean()}


def path_lengths(view: View) -> Tensor:
    """||J^T y||, (B,) in float32 at least, of this micro-batch's latents."""
    generator = view.game.get_submodule("generator")
    z, labels = view.z.detach(), view.fake_labels
    with torch.autocast(z.device.type, enabled=False):
        # not by calling the network: a compiled call cannot be differentiated twice
        if all(callable(getattr(generator, name, None)) for name in ("mapping", "styles", "synthesis")):
            if callable(getattr(generator, "ws", None)):
                steps = view.run("generator", z, labels, method="ws")[:, : generator.used_ws]  # type: ignore[misc]
            else:
                steps = generator.styles(generator.mapping(z, labels))  # type: ignore[operator]
            with differentiated_twice():
                images = generator.synthesis(steps)  # type: ignore[operator]
        else:
            steps = z.requires_grad_()
            with differentiated_twice():
                images = generator.forward(steps, labels)  # type: ignore[operator]
        noise = view.stream.draw_on_rank("path_length", images.shape, "normal").to(images)
        noise = noise / math.sqrt(math.prod(images.shape[2:]))
        (slope,) = torch.autograd.grad((images * noise).sum(), steps, create_graph=True, allow_unused=True)
    if slope is None:
        raise ValueError("the generator's images do not depend on its latents, and path lengths are slopes over these")
    squared = slope.square().sum(-1)
    return power_of_norm(squared.mean(1) if squared.ndim > 1 else squared, 1)
