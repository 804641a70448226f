"""Multilayer perceptrons: for points, and the smallest networks for images."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganlab.core.checks import at_least, positive
from ganlab.layers.geometry import ANY, Size, height_and_width
from ganlab.layers.initialization import initialize
from ganlab.layers.inputs import check_labels, check_latents, check_positive


def _layers(inputs: int, width: int, depth: int, activation: nn.Module) -> nn.Sequential:
    sizes = [inputs] + [width] * depth
    return nn.Sequential(*[layer for n, m in pairwise(sizes) for layer in (nn.Linear(n, m), activation)])


class FourierFeatures(nn.Module):
    """Random Fourier features of x: of them a network learns functions that change fast, which it learns late of x.

    gamma(x) = [cos(2 pi B x), sin(2 pi B x)]        B_ij ~ N(0, scale^2)

    gamma(x)·gamma(y) / count tends to the Gaussian kernel exp(-2 pi^2 scale^2 ||x - y||^2): points farther from each
    other than 1 / (2 pi scale) look unlike to the network. B is drawn once, and stays: it is a buffer.

    Source: Tancik et al. 2020 (arXiv:2006.10739), eq. 5 with a_j = 1, the Gaussian mapping of sec. 6; the kernel is
    that of Rahimi & Recht 2007.

    Args:
        inputs: Length of x.
        count: Rows of B.
        scale: Standard deviation of B's entries, in periods by unit of x.

    Shape: x (B, inputs) -> (B, 2 * count).
    """

    frequencies: Tensor

    def __init__(self, inputs: int, count: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", scale * torch.randn(inputs, count))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # angles of many turns have no digits to lose
            angles = 2 * math.pi * (x.to(self.frequencies) @ self.frequencies)  # (B, count)
        return torch.cat([angles.cos(), angles.sin()], 1)


class Generator(nn.Module):
    """A multilayer perceptron from latents to points or small images.

    x = [tanh](W relu(... relu(W [z, embed(y)])))

    Source: the fully connected generator of Goodfellow et al. 2014 (arXiv:1406.2661), sec. 5. A point
    with D coordinates is an image of size 1 with D channels.

    Args:
        image_size: H, or (H, W); 1 for points. Any.
        image_channels: C; the number of coordinates for points.
        num_classes: A label's embedding, of ``embedding_dim``, is appended to z; 0 for none.
        latent_dim: Length of z.
        width: Units a hidden layer.
        depth: Hidden layers, at least 1.
        bounded: Whether a tanh ends it; null: where it makes images, and not points.
        embedding_dim: Length of a label's embedding.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If an option is out of range; when called, if z or y do not fit.
    """

    image_sizes = ANY

    def __init__(
        self,
        image_size: Size = 8,
        image_channels: int = 1,
        num_classes: int = 0,
        *,
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
        bounded: bool | None = None,
        embedding_dim: int = 32,
        initialization: str = "xavier",
    ) -> None:
        super().__init__()
        check_positive(width=width, latent_dim=latent_dim, image_channels=image_channels, depth=depth)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.bounded = self.image_shape[1:] != (1, 1) if bounded is None else bounded
        self.embedding = nn.Embedding(num_classes, embedding_dim) if num_classes else None
        inputs = latent_dim + (embedding_dim if num_classes else 0)
        self.hidden = _layers(inputs, width, depth, nn.ReLU())
        self.output = nn.Linear(width, math.prod(self.image_shape))
        initialize(self, initialization)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        h = z if self.embedding is None else torch.cat([z, self.embedding(y)], 1)
        x = self.output(self.hidden(h)).unflatten(1, self.image_shape)  # (B, *image_shape)
        return torch.tanh(x) if self.bounded else x


class Discriminator(nn.Module):
    """A multilayer perceptron from points or small images to logits.

    f = lrelu(W ... lrelu(W [x, embed(y)]))        logit = w·f + b

    Source: the fully connected discriminator of Goodfellow et al. 2014 (arXiv:1406.2661), sec. 5, with
    leaky relus of slope 0.2 in place of maxout. With ``fourier_features`` it sees [x, gamma(x)] in place of x, see
    `FourierFeatures`; x stays, since gamma alone tells places far apart from each other badly.

    Args:
        image_size: H, or (H, W); 1 for points. Any.
        image_channels: C; the number of coordinates for points.
        num_classes: A label's embedding, of ``embedding_dim``, is appended to x; 0 for none.
        width: Units a hidden layer, and the length of the features.
        depth: Hidden layers, at least 1.
        embedding_dim: Length of a label's embedding.
        fourier_features: Frequencies whose cosine and sine the network sees beside x; 0 for none.
        fourier_scale: Standard deviation of their frequencies, in periods by unit of x; positive.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.

    Shape: x (B, C, H, W), y (B,) -> features (B, width), logits (B,).

    Raises:
        ValueError: If an option is out of range; when called, if y is missing.
    """

    image_sizes = ANY

    def __init__(
        self,
        image_size: Size = 8,
        image_channels: int = 1,
        num_classes: int = 0,
        *,
        width: int = 128,
        depth: int = 2,
        embedding_dim: int = 32,
        fourier_features: int = 0,
        fourier_scale: float = 1.0,
        initialization: str = "xavier",
    ) -> None:
        super().__init__()
        check_positive(width=width, image_channels=image_channels, depth=depth)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.num_classes, self.feature_channels = num_classes, width
        self.embedding = nn.Embedding(num_classes, embedding_dim) if num_classes else None
        inputs = math.prod(self.image_shape)
        at_least("fourier_features", fourier_features, 0)
        positive("fourier_scale", fourier_scale)
        self.fourier = FourierFeatures(inputs, fourier_features, fourier_scale) if fourier_features else None
        inputs += 2 * fourier_features + (embedding_dim if num_classes else 0)
        self.hidden = _layers(inputs, width, depth, nn.LeakyReLU(0.2))
        self.output = nn.Linear(width, 1)
        initialize(self, initialization)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        h = x.flatten(1)  # (B, numbers of an image)
        h = h if self.fourier is None else torch.cat([h, self.fourier(h)], 1)
        return self.hidden(h if self.embedding is None else torch.cat([h, self.embedding(y)], 1))

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return self.output(features).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class Encoder(nn.Module):
    """A multilayer perceptron from points or small images to codes.

    mean, log-variance = W lrelu(... lrelu(W x))

    Source: the discriminator of this family with another end.

    Args:
        image_size: H, or (H, W); 1 for points. Any.
        image_channels: C; the number of coordinates for points.
        latent_dim: Length of the code.
        width: Units a hidden layer.
        depth: Hidden layers, at least 1.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.

    Shape: x (B, C, H, W) -> mean and log-variance, each (B, latent_dim). Labels are ignored.

    Raises:
        ValueError: If an option is out of range.
    """

    image_sizes = ANY

    def __init__(
        self,
        image_size: Size = 8,
        image_channels: int = 1,
        latent_dim: int = 16,
        *,
        width: int = 128,
        depth: int = 2,
        initialization: str = "xavier",
    ) -> None:
        super().__init__()
        check_positive(width=width, depth=depth, latent_dim=latent_dim, image_channels=image_channels)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.latent_dim = latent_dim
        self.hidden = _layers(math.prod(self.image_shape), width, depth, nn.LeakyReLU(0.2))
        self.output = nn.Linear(width, 2 * latent_dim)
        initialize(self, initialization)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.output(self.hidden(x.flatten(1))).chunk(2, 1)  # (B, Z) each
        return mean, log_variance


class Statistics(nn.Module):
    """A multilayer perceptron that judges pairs of a point or small image and a code.

    T = w·lrelu(... lrelu(W [x, z])) + b

    Source: the discriminator of this family with a code beside the image, for MEG (arXiv:1901.08508).

    Args:
        image_size: H, or (H, W); 1 for points. Any.
        image_channels: C; the number of coordinates for points.
        latent_dim: Length of z.
        width: Units a hidden layer.
        depth: Hidden layers, at least 1.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.

    Shape: x (B, C, H, W), z (B, latent_dim) -> (B,). Labels are ignored.

    Raises:
        ValueError: If an option is out of range.
    """

    image_sizes = ANY

    def __init__(
        self,
        image_size: Size = 8,
        image_channels: int = 1,
        latent_dim: int = 16,
        *,
        width: int = 128,
        depth: int = 2,
        initialization: str = "xavier",
    ) -> None:
        super().__init__()
        check_positive(width=width, depth=depth, latent_dim=latent_dim, image_channels=image_channels)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.latent_dim = latent_dim
        self.hidden = _layers(math.prod(self.image_shape) + latent_dim, width, depth, nn.LeakyReLU(0.2))
        self.output = nn.Linear(width, 1)
        initialize(self, initialization)

    def forward(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.output(self.hidden(torch.cat([x.flatten(1), z], 1))).squeeze(1)  # (B,)
