"""Projected discriminators: trainable heads on the maps of a frozen, pretrained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError, sentence

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for images in [0, 1]
SCALES = 4


class ProjectedDiscriminator(nn.Module):
    """A map of logits from each of the last four scales of a frozen network, for `ganlab.Adversary`.

    Images in [-1, 1] are resized, normalized as for ImageNet, and go through the network, whose weights and statistics
    never change; gradients pass through it to the images. At each scale channels are mixed by a fixed random 1x1
    convolution, coarser scales are added to finer ones through fixed random 3x3 convolutions, and a head of two
    convolutions judges the sum.

    Source: Sauer et al. 2021, Projected GANs Converge Faster (arXiv:2111.01007), sections 3 and 4. Its heads are
    deeper, with spectral normalization, and its network is EfficientNet-Lite1 at 256 pixels.

    Args:
        features: ``torchvision:NAME``, such as ``torchvision:efficientnet_b0``; ``timm:NAME``; or a module that gives a
            list of maps, from fine to coarse. The first two need that package.
        pretrained: Load the package's weights, which it may download; False: random ones.
        image_size: Side to which images are resized; None: they stay as they are.
        width: Channels of mixed maps and heads, at least 1.

    Raises:
        GanlabError: If the package is missing or has no such network, or it gives too few maps.
    """

    def __init__(
        self,
        features: str | nn.Module = "torchvision:efficientnet_b0",
        pretrained: bool = True,
        image_size: int | None = 224,
        width: int = 64,
    ) -> None:
        super().__init__()
        at_least("width", width, 1)
        self.image_size = image_size
        self.network = features if isinstance(features, nn.Module) else _network(features, pretrained)
        self.network.requires_grad_(False).eval()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        side = 64 if image_size is None else image_size
        try:
            channels = [one.shape[1] for one in self._maps(torch.zeros(1, 3, side, side))]
        except (AssertionError, AttributeError, IndexError, TypeError, ValueError, RuntimeError) as error:
            what = type(features).__name__ if isinstance(features, nn.Module) else features
            raise GanlabError(
                f"features: {what} gives no maps of images, as a convolutional network does: {sentence(error)}"
            ) from error
        self.mixers = nn.ModuleList([nn.Conv2d(count, width, 1, bias=False) for count in channels])
        self.crossings = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in channels[1:]])
        for fixed in (*self.mixers, *self.crossings):
            nn.init.kaiming_normal_(fixed.weight)  # type: ignore[arg-type]
            fixed.requires_grad_(False)
        self.heads = nn.ModuleList([
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 3, padding=1))
            for _ in channels
        ])  # fmt: skip

    def train(self, mode: bool = True) -> ProjectedDiscriminator:
        """Set the mode of all but the frozen network."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [mixer(one) for mixer, one in zip(self.mixers, self._maps(images), strict=True)]
        sums = maps[-1:]  # from coarse to fine
        for finer, crossing in zip(maps[-2::-1], self.crossings, strict=True):
            sums.append(finer + F.interpolate(crossing(sums[-1]), finer.shape[2:], mode="bilinear"))
        return [head(one) for head, one in zip(self.heads, sums, strict=True)]

    def _maps(self, images: Tensor) -> list[Tensor]:
        if self.image_size is not None:
            images = F.interpolate(images, (self.image_size, self.image_size), mode="bilinear", antialias=True)
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        maps: Sequence[Tensor] = self.network(((images + 1) / 2 - mean.to(images)) / std.to(images))
        if len(maps) < 2:
            raise GanlabError(f"features: {type(self.network).__name__} gives {len(maps)} maps, and two are the least.")
        return list(maps)[-SCALES:]


class Stages(nn.Module):
    """The last map of each size of a network whose parts follow one another.

    Args:
        parts: In order.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for part in self.parts:
            x = part(x)
            if maps and maps[-1].shape[2:] == x.shape[2:]:
                maps.pop()
            maps.append(x)
        return maps


def _network(features: str, pretrained: bool) -> nn.Module:
    package, _, name = features.partition(":")
    makers: dict[str, Callable[[str, bool], nn.Module]] = {"torchvision": _torchvision, "timm": _timm}
    if package not in makers or not name:
        raise GanlabError(f"features must be torchvision:NAME, timm:NAME or a module, got {features!r}.")
    try:
        return makers[package](name, pretrained)
    except ImportError as error:
        raise GanlabError(f"features={features} needs the package {package}: pip install {package}.") from error
    except (ValueError, RuntimeError, OSError) as error:
        raise GanlabError(f"features={features}: {package} cannot make it: {error}") from error


def _torchvision(name: str, pretrained: bool) -> nn.Module:
    import torchvision

    network: Any = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
    if isinstance(getattr(network, "features", None), nn.Sequential):
        return Stages(list(network.features))
    parts = []
    for child, module in network.named_children():
        if child == "avgpool":  # as in ResNet: what follows gives no maps
            break
        parts.append(module)
    return Stages(parts)


def _timm(name: str, pretrained: bool) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(name, pretrained=pretrained, features_only=True)
    return network
