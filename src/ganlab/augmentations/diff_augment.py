"""DiffAugment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.augmentations.images import require_batch, require_images
from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.view import View
from ganlab.core.checks import share
from ganlab.core.errors import one_of

POLICIES = ("color", "translation", "cutout")


class DiffAugment(Regularizer):
    """DiffAugment: every image that the discriminator sees is changed at random, real or fake, in all turns.

    color: x + b, b ~ U[-0.5, 0.5); then c' + s (x - c'), s ~ U[0, 2), c' the mean over channels of a pixel;
        then m + k (x - m), k ~ U[0.5, 1.5), m the mean of the image
    translation: by whole pixels, up to ``shift`` of each side, uniformly; zeros come in
    cutout: a square of ``hole`` of each side is 0, its middle anywhere in the image

    Everything is a differentiable function of the images, so the generator learns through it, and
    penalties on the input gradient are those at the images before the change. Draws are made for the
    global batch, anew for each pass.

    Source: Zhao et al. 2020 (arXiv:2006.10738), sec. 3.2 and its code (mit-han-lab/data-efficient-gans).

    Args:
        policy: Of ``color``, ``translation`` and ``cutout``; they act in this order, as in the paper.
        shift: Largest translation, as a share of the side, in [0, 1]; rounded to pixels.
        hole: Side of the square, as a share of the side, in [0, 1]; rounded to pixels.

    Raises:
        ValueError: If an option is out of range.
    """

    addresses = (Address("discriminator"),)

    def __init__(
        self, policy: tuple[str, ...] = ("color", "translation", "cutout"), shift: float = 0.125, hole: float = 0.5
    ) -> None:
        super().__init__()
        self.policy = (policy,) if isinstance(policy, str) else tuple(policy)
        for name in self.policy:
            one_of(name, POLICIES, "policy")
        if not self.policy or len(set(self.policy)) < len(self.policy):
            raise ValueError(f"policy must name at least one of {', '.join(POLICIES)}, each once, got {[*self.policy]}")
        self.shift, self.hole = share("shift", shift), share("hole", hole)

    def attach(self, game: Game) -> None:
        super().attach(game)
        require_images(game, "diff_augment")

    def images(self, images: Tensor, role: str, view: View) -> Tensor:
        require_batch(images, "diff_augment")
        # a column each whatever the policy, so that no part of it shifts the draws of another
        uniform = view.draw(f"diff_augment of {role}", (len(images), 7), "uniform").to(images.device)
        brightness, saturation, contrast, *places = uniform.unbind(1)
        if "color" in self.policy:
            images = recolored(images, brightness - 0.5, 2 * saturation, contrast + 0.5)
        if "translation" in self.policy:
            most = [_pixels(side, self.shift) for side in images.shape[2:]]
            steps = [_whole(u, 2 * m + 1) - m for u, m in zip(places[:2], most, strict=True)]
            images = shifted(images, *steps)
        if "cutout" in self.policy:
            height, width = (_pixels(side, self.hole) for side in images.shape[2:])
            row = _whole(places[2], images.shape[2] + 1 - height % 2)
            column = _whole(places[3], images.shape[3] + 1 - width % 2)
            images = cut(images, row, column, height, width)
        return images


def recolored(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Brightness, saturation, contrast, one of each an image: see `DiffAugment`."""
    b, s, k = (factor.to(images.dtype).view(-1, 1, 1, 1) for factor in (brightness, saturation, contrast))
    images = images + b
    grey = images.mean(1, keepdim=True)
    images = grey + s * (images - grey)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + k * (images - mean)


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """out[i, j] = images[i + down, j + right], 0 outside; whole numbers (B,) of pixels."""
    channels, height, width = images.shape[1:]
    rows = (torch.arange(height, device=images.device) + down[:, None] + 1).clamp(0, height + 1)  # (B, H)
    columns = (torch.arange(width, device=images.device) + right[:, None] + 1).clamp(0, width + 1)  # (B, W)
    framed = F.pad(images, (1, 1, 1, 1))
    framed = framed.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width + 2))
    return framed.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def cut(images: Tensor, row: Tensor, column: Tensor, height: int, width: int) -> Tensor:
    """Zeros in rows [row - height // 2, row - height // 2 + height), and so for columns; (B,) whole numbers."""

    def inside(side: int, middle: Tensor, size: int) -> Tensor:
        place = torch.arange(side, device=images.device) - (middle - size // 2)[:, None]
        return (place >= 0) & (place < size)

    hole = inside(images.shape[2], row, height)[:, :, None] & inside(images.shape[3], column, width)[:, None, :]
    return images.masked_fill(hole[:, None], 0)


def _pixels(side: int, share: float) -> int:
    return int(side * share + 0.5)


def _whole(uniform: Tensor, count: int) -> Tensor:
    """Whole numbers in [0, count) from U[0, 1); the product may round up to ``count``."""
    return (uniform * count).long().clamp(max=count - 1)
