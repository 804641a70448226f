"""The mapping network of styles: from latents to w."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.equalized import GAIN, EqualizedLinear
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.pixel_norm import pixel_norm


class MappingNetwork(nn.Module):
    """[z, embed(y)] -> pixel norm -> [dense, leaky relu of slope 0.2] several times -> w.

    Source: Karras et al. 2019 (arXiv:1812.04948), sec. 2, fig. 1b and app. C; labels as in the authors' code, with an
    embedding as long as z that starts as N(0, 1).

    StyleGAN2's (``version=2``) embeds labels by a linear map with a bias, takes the pixel norms of z and of the
    embedding one by one, and learns biases √2 times as fast; without z it maps labels for a discriminator.

    Args:
        latent_dim: Length of z; 0 for none, in version 2.
        num_classes: 0 for none.
        w_dim: Length of w.
        layers: How many dense layers.
        width: Length of their outputs in between.
        lr_multiplier: Of their learning rate, see `ganlab.layers.equalized`.
        version: 1 or 2.
        embedding_dim: Length of a label's embedding in version 2; None: ``w_dim``.

    Shape: z (B, latent_dim), y (B,) -> (B, w_dim).

    Raises:
        ValueError: If a number is below 1; when called, if z or y do not fit.
    """

    def __init__(
        self,
        latent_dim: int,
        num_classes: int,
        w_dim: int,
        *,
        layers: int = 8,
        width: int = 512,
        lr_multiplier: float = 0.01,
        version: int = 1,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(w_dim=w_dim, mapping_layers=layers, mapping_width=width)
        if latent_dim or version == 1:
            check_positive(latent_dim=latent_dim)
        self.latent_dim, self.num_classes, self.w_dim = latent_dim, num_classes, w_dim
        self.embedding: nn.Module | None = None
        embedded = latent_dim if version == 1 else embedding_dim or w_dim
        check_positive(embedding_dim=embedded)
        if num_classes and version == 1:
            self.embedding = nn.Embedding(num_classes, embedded)
        elif num_classes:
            self.embedding = EqualizedLinear(num_classes, embedded, gain=1.0)
        lengths = [latent_dim + (embedded if num_classes else 0), *[width] * (layers - 1), w_dim]
        bias_gain = 1.0 if version == 1 else GAIN
        self.version = version
        self.layers = nn.ModuleList(
            [EqualizedLinear(n, m, lr_multiplier=lr_multiplier, bias_gain=bias_gain) for n, m in pairwise(lengths)]
        )

    def forward(self, z: Tensor | None, y: Tensor | None = None) -> Tensor:
        parts = []
        if z is not None:
            check_latents(z, self.latent_dim)
            parts.append(z)
        y = check_labels(y, self.num_classes)
        if self.embedding is not None and y is not None:
            like = next(self.embedding.parameters())
            parts.append(self.embedding(y if self.version == 1 else F.one_hot(y, self.num_classes).to(like)))
        if self.version == 1:
            x = pixel_norm(torch.cat(parts, 1))
        else:
            x = torch.cat([pixel_norm(part) for part in parts], 1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2, inplace=True)
        return x
