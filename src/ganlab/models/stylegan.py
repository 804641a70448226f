"""StyleGAN: a mapping network, styles by adaptive instance normalization, and noise."""

from __future__ import annotations

from torch import Tensor

from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.growing_discriminator import GrowingDiscriminator
from ganlab.layers.inputs import check_labels, check_positive
from ganlab.layers.mapping import MappingNetwork
from ganlab.layers.minibatch_stddev import MinibatchStddev
from ganlab.layers.style_generator import StyleGenerator
from ganlab.layers.widths import channels_of
from ganlab.models.stylegan_synthesis import Synthesis


class Generator(StyleGenerator):
    """The generator of StyleGAN: mixing, the mean of w and truncation are those of `StyleGenerator`.

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
        check_positive(image_channels=image_channels)
        base, levels = doublings(image_size)
        channels = channels_of(levels, width, max_width)
        mapping = MappingNetwork(
            latent_dim,
            num_classes,
            w_dim,
            layers=mapping_layers,
            width=mapping_width,
            lr_multiplier=mapping_lr_multiplier,
        )
        super().__init__(
            mapping,
            Synthesis(image_channels, base, channels, w_dim, noise),
            2 * (levels + 1),
            style_mixing=style_mixing,
            crossover=crossover,
            w_avg_beta=w_avg_beta,
        )
        self.image_shape, self.levels = self.synthesis.image_shape, levels

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

    @property
    def used_ws(self) -> int:
        return self.num_ws_at(self.level)


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
