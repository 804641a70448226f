"""StyleGAN: a mapping network, styles by adaptive instance normalization, and noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganlab.core import distributed, randomness
from ganlab.core.checks import share
from ganlab.core.errors import one_of
from ganlab.layers import state
from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.growing_discriminator import GrowingDiscriminator
from ganlab.layers.inputs import check_labels, check_positive
from ganlab.layers.mapping import MappingNetwork
from ganlab.layers.minibatch_stddev import MinibatchStddev
from ganlab.layers.noise import draw_noise
from ganlab.layers.widths import channels_of
from ganlab.models.stylegan_synthesis import Synthesis

CROSSOVERS = ("batch", "sample")


class Generator(nn.Module):
    """The generator of StyleGAN: z -> mapping -> w -> a style for each layer -> synthesis -> image.

    Training mixes styles: with probability ``style_mixing`` the layers from a random one on get the w of a second
    latent, drawn from N(0, 1). The layer is drawn uniformly from the second one to the last, once for the whole batch
    as published (a micro-batch over all ranks here; there each GPU's batch), or once for each image. Training also
    tracks the mean of w: w_avg <- β·w_avg + (1 − β)·(mean of w over the batch, all ranks), where running state moves.

    Evaluation can truncate: w_avg + ψ·(w − w_avg) for the first ``cutoff`` layers.

    Source: Karras et al. 2019 (arXiv:1812.04948), sec. 2, 3.1 and app. B; labels as in the authors' code. The paper's
    fixed-size network is this one at its last level; its growing one began at 8×8.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        w_dim: Length of w.
        width: Level l has min(width/2^(l+1), ``max_width``) channels (the paper's 8192, also called fmap_base); or
            the channels of each level, from the base on.
        max_width: Most channels of a map.
        mapping_layers: Layers of the mapping network.
        mapping_width: Its length in between.
        mapping_lr_multiplier: Of its learning rate.
        style_mixing: Probability, 0 to 1.
        crossover: ``batch`` (published) or ``sample``: what has a crossover of its own.
        w_avg_beta: β, 0 to 1.
        noise: Whether there is noise.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W) of ``image_size_at(level)``.

    Raises:
        ValueError: If a number is out of range; when called, if z, y, ψ, the cutoff or the noise do not fit.
    """

    image_sizes = Doublings()
    w_avg: Tensor

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 512,
        w_dim: int = 512,
        width: int | tuple[int, ...] = 8192,
        max_width: int = 512,
        mapping_layers: int = 8,
        mapping_width: int = 512,
        mapping_lr_multiplier: float = 0.01,
        style_mixing: float = 0.9,
        crossover: str = "batch",
        w_avg_beta: float = 0.995,
        noise: bool = True,
    ) -> None:
        super().__init__()
        check_positive(image_channels=image_channels)
        one_of(crossover, CROSSOVERS, "crossover")
        for name, number in (("style_mixing", style_mixing), ("w_avg_beta", w_avg_beta)):
            share(name, number)
        base, levels = doublings(image_size)
        channels = channels_of(levels, width, max_width)
        self.latent_dim, self.num_classes, self.w_dim = latent_dim, num_classes, w_dim
        self.style_mixing, self.crossover, self.w_avg_beta = style_mixing, crossover, w_avg_beta
        self.mapping = MappingNetwork(
            latent_dim,
            num_classes,
            w_dim,
            layers=mapping_layers,
            width=mapping_width,
            lr_multiplier=mapping_lr_multiplier,
        )
        self.synthesis = Synthesis(image_channels, base, channels, w_dim, noise)
        self.image_shape, self.levels = self.synthesis.image_shape, levels
        self.num_ws = self.num_ws_at(levels)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    @property
    def level(self) -> int:
        return self.synthesis.level

    @property
    def alpha(self) -> Tensor:
        return self.synthesis.alpha

    def set_stage(self, level: int, alpha: float) -> None:
        """See `Growing.set_stage`."""
        self.synthesis.set_stage(level, alpha)

    def image_size_at(self, level: int) -> tuple[int, int]:
        """(H, W) of the images at a level."""
        return self.synthesis.image_size_at(level)

    def num_ws_at(self, level: int) -> int:
        """Styles in use at a level."""
        return 2 * (level + 1)

    def styles(self, w: Tensor, psi: float | Tensor = 1.0, cutoff: int | None = None) -> Tensor:
        """(B, num_ws, w_dim): for each layer w, of the first ``cutoff`` ones truncated by ψ.

        Args:
            w: (B, w_dim).
            psi: ψ, any number: 1 leaves w as it is, 0 gives w_avg, below 0 is the opposite style; a tensor () is not
                looked at.
            cutoff: How many layers are truncated; None: all.

        Raises:
            ValueError: If ψ is no number, or the cutoff not 0 to ``num_ws``.
        """
        cutoff = self.num_ws if cutoff is None else cutoff
        if not isinstance(psi, Tensor) and not math.isfinite(psi):
            raise ValueError(f"expected psi to be a finite number, got {psi}")
        if not 0 <= cutoff <= self.num_ws:
            raise ValueError(f"expected cutoff to be 0 to {self.num_ws}, the number of layers, got {cutoff}")
        if not isinstance(psi, Tensor) and psi == 1.0:
            cutoff = 0
        truncated = self.w_avg.to(w.dtype).lerp(w, psi)
        first, rest = (x[:, None].expand(-1, n, -1) for x, n in ((truncated, cutoff), (w, self.num_ws - cutoff)))
        return torch.cat([first, rest], 1)

    def forward(
        self,
        z: Tensor,
        y: Tensor | None = None,
        *,
        psi: float = 1.0,
        cutoff: int | None = None,
        noise: str | Tensor = "random",
    ) -> Tensor:
        if self.training and psi != 1.0:
            raise ValueError(f"expected psi to be 1 in training, got {psi}: only evaluation truncates")
        # Drawn before anything is computed: compiled code has its only break here.
        mixing = self._draw_mixing(len(z)) if self.training and self.style_mixing else None
        if isinstance(noise, str) and noise == "random" and len(self.synthesis.noises):
            noise = draw_noise(z, self.synthesis.noise_positions)
        w = self.mapping(z, y)
        if self.training and state.moves():
            with torch.no_grad():
                self.w_avg.lerp_(distributed.mean(w.detach().float().mean(0)).to(self.w_avg.dtype), 1 - self.w_avg_beta)
        ws = self.styles(w, psi, cutoff) if mixing is None else self._mixed(w, self.mapping(mixing[0], y), mixing[1])
        return self.synthesis(ws, noise)

    def _draw_mixing(self, batch: int) -> tuple[Tensor, Tensor]:
        """Second latents (B, latent_dim), and U[0, 1) for place and chance of the crossover (B or 1, 2)."""
        like = self.w_avg  # float32 under autocast too
        latents = randomness.noise("style mixing", like, (batch, self.latent_dim))
        if self.crossover == "batch":
            return latents, randomness.shared_noise("crossover", like, (1, 2), "uniform")
        return latents, randomness.noise("crossover", like, (batch, 2), "uniform")

    def _mixed(self, w: Tensor, other: Tensor, crossover: Tensor) -> Tensor:
        """Styles of the layers in use, from a random layer on those of ``other``."""
        count = self.num_ws_at(self.level)
        place, chance = crossover.unbind(1)
        first = 1 + (place * (count - 1)).floor()  # uniform in 1..count-1
        first = torch.where(chance < self.style_mixing, first, count)
        mine = torch.arange(count, device=w.device) < first[:, None]
        return torch.where(mine[:, :, None], w[:, None], other[:, None])


class Discriminator(GrowingDiscriminator):
    """The discriminator of StyleGAN: Progressive GAN's with a blur before each halving convolution.

    1×1 conv from the image, lrelu -> [conv, lrelu, blur, conv and 2×2 mean, lrelu] for each level from the
    present one down -> minibatch standard deviation, conv, lrelu -> dense, lrelu -> dense

    Conditional: the last layer has a number for each class, and that of the image's class is the logit.

    Source: Karras et al. 2019 (arXiv:1812.04948), sec. 2 and app. C; labels as in the authors' code, after Mescheder
    et al. 2018 (arXiv:1801.04406).

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        width: Level l has min(width/2^(l+1), ``max_width``) channels (the paper's 8192, also called fmap_base); or
            the channels of each level, from the base on.
        max_width: Most channels of a map.
        stddev_group: Images of a group of the minibatch standard deviation, among the images of a micro-batch on all
            ranks, see `MinibatchStddev`; 0 for none.

    Shape: x (B, C, H, W) of ``image_size_at(level)``, y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the size or width cannot be; when called, if x does not fit or y is missing.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        width: int | tuple[int, ...] = 8192,
        max_width: int = 512,
        stddev_group: int = 4,
    ) -> None:
        check_positive(image_channels=image_channels)
        base, levels = doublings(image_size)
        channels = channels_of(levels, width, max_width)
        super().__init__(
            image_channels,
            base,
            channels,
            hidden=min(width, max_width) if isinstance(width, int) else channels[0],
            outputs=max(num_classes, 1),
            stddev=MinibatchStddev(stddev_group) if stddev_group else None,
            blur=True,
        )
        self.num_classes = num_classes

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        outputs = self.outputs(features)
        return outputs[:, 0] if y is None else outputs.gather(1, y[:, None])[:, 0]
