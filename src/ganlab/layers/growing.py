"""Networks that grow: one module that holds all levels from the start and runs those up to its present one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.checks import share
from ganlab.layers.resample import upsample


class Growing(nn.Module):
    """A generator or discriminator of ``levels`` doublings above its base map, of which one is the present one.

    At ``level`` it makes or takes images of ``image_size_at(level)``. While a level fades in its path has the
    share ``alpha`` and the one of the level below the rest; at 1 the old path is left out. Levels above are
    not run and get no gradient. Level and alpha are saved with the weights, so a network that is loaded
    is at the same level.

    Source: Karras et al. 2018 (arXiv:1710.10196), sec. 2 and fig. 2.

    Args:
        image_channels: C of the final images.
        base: (H, W) of the base map.
        levels: How often it is doubled.

    Attributes:
        image_shape: (C, H, W) of the final images.
        levels: Levels above the base.
        level: The present one, 0 to ``levels``; at ``levels`` from the start.
        alpha: Share of the newest level, a buffer: compiled code is not built again when it changes.
    """

    alpha: Tensor

    def __init__(self, image_channels: int, base: tuple[int, int], levels: int) -> None:
        super().__init__()
        self.base, self.levels, self.level = base, levels, levels
        self.image_shape = (image_channels, *self.image_size_at(levels))
        self._fades = False
        self.register_buffer("alpha", torch.ones(()))

    def image_size_at(self, level: int) -> tuple[int, int]:
        """(H, W) of the images at a level."""
        return self.base[0] * 2**level, self.base[1] * 2**level

    def set_stage(self, level: int, alpha: float) -> None:
        """Use ``level``, with the share ``alpha`` of its path; level 0 has nothing to blend with.

        Raises:
            ValueError: If the level is none of 0 to ``levels``, or alpha not in [0, 1].
        """
        if not 0 <= level <= self.levels:
            raise ValueError(f"expected a level of 0 to {self.levels}, got {level}")
        self.alpha.fill_(share("alpha", alpha))
        self._use(level, alpha)

    def _use(self, level: int, alpha: float) -> None:
        self.level, self._fades = level, level > 0 and alpha < 1.0

    def blend(self, old: Tensor, new: Tensor) -> Tensor:
        """old + alpha·(new − old)."""
        return old + (new - old) * self.alpha

    def check_images(self, x: Tensor) -> None:
        """Raise ``ValueError`` unless ``x`` is (B, C, H, W) of the level's size."""
        expected = (self.image_shape[0], *self.image_size_at(self.level))
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:
            size = ", ".join(map(str, expected))
            raise ValueError(f"expected images of shape (batch, {size}) at level {self.level}, got {tuple(x.shape)}")

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.level)

    def set_extra_state(self, state: Tensor) -> None:
        self._use(min(int(state), self.levels), float(self.alpha))


def blend_reals(images: Tensor, alpha: float | Tensor) -> Tensor:
    """Real images as a fade wants them: old + alpha·(images − old), old their 2×2 means, doubled (nearest).

    Source: Karras et al. 2018 (arXiv:1710.10196), sec. 2: real images are interpolated as the generator's are.

    Args:
        images: (B, C, H, W) of the newest level's size, H and W even.
        alpha: Share of the newest level, in [0, 1]; the number 1 returns the images as they are.
    """
    if isinstance(alpha, float | int) and alpha == 1:
        return images
    old = upsample(F.avg_pool2d(images, 2))
    return old + (images - old) * alpha
