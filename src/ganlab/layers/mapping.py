"""The mapping network of styles: from latents to w."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.equalized import EqualizedLinear
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.pixel_norm import pixel_norm


class MappingNetwork(nn.Module):
    """[z, embed(y)] -> pixel norm -> [dense, leaky relu of slope 0.2] several times -> w.

    Source: Karras et al. 2019 (arXiv:1812.04948), sec. 2, fig. 1b and app. C; labels as in the authors' code, with an
    embedding as long as z that starts as N(0, 1).

    Args:
        latent_dim: Length of z.
        num_classes: 0 for none.
        w_dim: Length of w.
        layers: How many dense layers.
        width: Length of their outputs in between.
        lr_multiplier: Of their learning rate, see `ganlab.layers.equalized`.

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
    ) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim, w_dim=w_dim, mapping_layers=layers, mapping_width=width)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.embedding = nn.Embedding(num_classes, latent_dim) if num_classes else None
        lengths = [latent_dim * (2 if num_classes else 1), *[width] * (layers - 1), w_dim]
        self.layers = nn.ModuleList([EqualizedLinear(n, m, lr_multiplier=lr_multiplier) for n, m in pairwise(lengths)])

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(y)], 1)
        x = pixel_norm(z)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2, inplace=True)
        return x
