"""Networks of one's own, with ganlab's signatures (z, y) and (x, y)."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganlab.core.errors import GanlabError, sentence

NAMES_OF_LATENT_DIM = ("latent_dim", "z_dim", "dim_z", "nz", "latent_size")


class OwnGenerator(nn.Module):
    """A generator of one's own, G(z) or G(z, y), as ganlab calls it.

    Args:
        network: G.
        latent_dim: Width of z.
        num_classes: Classes of y; 0: G is called as G(z).
    """

    def __init__(self, network: nn.Module, latent_dim: int, num_classes: int = 0) -> None:
        super().__init__()
        self.network = network
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.image_shape: tuple[int, ...] = ()

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return cast(Tensor, self.network(z, y) if self.num_classes else self.network(z))


class OwnDiscriminator(nn.Module):
    """A discriminator of one's own, D(x) or D(x, y), as ganlab calls it; logits (B, 1) become (B,).

    Logits of patches, (B, 1, ...), stay as they are: a loss takes its mean over all of them.

    Args:
        network: D.
        num_classes: Classes of y; 0: D is called as D(x).
    """

    def __init__(self, network: nn.Module, num_classes: int = 0) -> None:
        super().__init__()
        self.network, self.num_classes = network, num_classes

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return _without_channel(self.network(x, y) if self.num_classes else self.network(x))


class OwnFeatures(OwnDiscriminator):
    """The same of a network with ``features(x)`` and ``head(features)``, for regularizers that act on features."""

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        network = cast(Any, self.network)
        return cast(Tensor, network.features(x, y) if _takes_labels(network.features) else network.features(x))

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        network = cast(Any, self.network)
        return _without_channel(network.head(features, y) if _takes_labels(network.head) else network.head(features))


def generator(network: Any, latent_dim: int | None, num_classes: int | None) -> nn.Module:
    """Return a network as the generator of a game.

    Raises:
        GanlabError: If it is no module, the width of z is not known, or the number of classes is missing.
    """
    _refuse_no_module("generator", network)
    own = next((getattr(network, n) for n in NAMES_OF_LATENT_DIM if isinstance(getattr(network, n, None), int)), None)
    width = own if latent_dim is None else latent_dim
    if width is None:
        raise GanlabError(
            f"The width of z is not known: {type(network).__name__} has no latent_dim; give it as latent_dim=128."
        )
    if _is_ganlabs(network) and hasattr(network, "latent_dim") and latent_dim in (None, own):
        return cast(nn.Module, network)
    return OwnGenerator(network, width, _classes("generator", network, num_classes))


def discriminator(network: Any, num_classes: int | None) -> nn.Module:
    """Return a network as the discriminator of a game.

    Raises:
        GanlabError: If it is no module, or the number of classes is missing.
    """
    _refuse_no_module("discriminator", network)
    if _is_ganlabs(network):
        return cast(nn.Module, network)
    parts = callable(getattr(network, "features", None)) and callable(getattr(network, "head", None))
    return (OwnFeatures if parts else OwnDiscriminator)(network, _classes("discriminator", network, num_classes))


def fitted(
    networks: Mapping[str, Any], own: Collection[str], shape: tuple[int, int, int], num_classes: int
) -> dict[str, Any]:
    """Networks of a run by their kinds, those of one's own with ganlab's signatures, tried with two images.

    Args:
        own: The kinds of those that are.
        shape: (C, H, W) of the run's images.
        num_classes: The run's.

    Raises:
        GanlabError: If one cannot be called, or makes other images.
    """
    found = dict(networks)
    if "generator" in own:
        found["generator"] = generator(found["generator"], None, num_classes)
    if "discriminator" in own:
        found["discriminator"] = discriminator(found["discriminator"], num_classes)
    if "generator" in found:
        judge = found.get("discriminator")
        try_out(found["generator"], judge if hasattr(judge, "head") or "discriminator" in own else None, num_classes)
        made = tuple(found["generator"].image_shape)
        if made != tuple(shape):
            raise GanlabError(f"The generator makes images {made}, and the data's are {tuple(shape)} (C, H, W).")
    return found


@torch.no_grad()
def try_out(maker: Any, judge: Any, num_classes: int) -> None:
    """Make two images and judge them once, in evaluation mode, and note the shape of an image.

    Raises:
        GanlabError: If a network cannot be called, or its output is no images or no logits.
    """
    device = next((p.device for p in maker.parameters()), torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        z = torch.randn(2, maker.latent_dim, device=device)
        y = torch.zeros(2, dtype=torch.int64, device=device) if num_classes else None
        images = _called("generator", maker, z, y)
        if not isinstance(images, Tensor) or len(images) != 2 or not images.is_floating_point():
            raise GanlabError(
                f"The generator must make a tensor of images (B, ...), one for each z; got {_is(images)}."
            )
        if isinstance(maker, OwnGenerator):
            maker.image_shape = tuple(images.shape[1:])
        if judge is None:
            return
        logits = _called("discriminator", judge, images, y)
    if not isinstance(logits, Tensor) or len(logits) != 2 or not logits.is_floating_point() or _has_columns(logits):
        raise GanlabError(
            f"The discriminator's output is no logits: they are (B,), (B, 1), or (B, 1, h, w) of patches, high for "
            f"real; got {_is(logits)} for two images {tuple(images.shape)}. Several maps go to ganlab.Adversary."
        )


def _called(role: str, network: nn.Module, *inputs: Tensor | None) -> Any:
    was_training = network.training
    network.eval()
    try:
        return network(*inputs)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        given = ", ".join(str(tuple(x.shape)) for x in inputs if x is not None)
        raise GanlabError(f"The {role} cannot be called with inputs of shape {given}: {sentence(error)}") from error
    finally:
        network.train(was_training)


def _has_columns(logits: Tensor) -> bool:
    """Tell if there are several numbers an image that are no map of patches."""
    return logits.ndim == 2 or (logits.ndim > 2 and logits.shape[1] != 1)


def _without_channel(logits: Any) -> Any:
    return logits.squeeze(1) if isinstance(logits, Tensor) and logits.ndim == 2 and logits.shape[1] == 1 else logits


def _is(found: Any) -> str:
    return (
        f"a tensor {tuple(found.shape)} of {found.dtype}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
    )


def _is_ganlabs(network: Any) -> bool:
    """Tell if a network is one of ganlab's or a plug-in's, which take (x, y=None) and know their classes."""
    known = hasattr(network, "num_classes") and hasattr(network, "image_shape")
    return known or isinstance(network, OwnDiscriminator)


def _takes_labels(call: Any) -> bool:
    return len(_positional(call)) > 1


def _classes(role: str, network: nn.Module, num_classes: int | None) -> int:
    parameters = _positional(network.forward)
    if len(parameters) < 2:
        return 0
    needs = parameters[1].default is inspect.Parameter.empty
    own = getattr(network, "num_classes", 0) if num_classes is None else num_classes
    classes = own if isinstance(own, int) else 0
    if needs and not classes:
        raise GanlabError(
            f"The {role} {type(network).__name__} takes labels ({', '.join(p.name for p in parameters[:2])}): give the "
            f"number of classes, as num_classes=10."
        )
    return classes


def _positional(call: Any) -> Sequence[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in inspect.signature(call).parameters.values() if p.kind in kinds]


def _refuse_no_module(role: str, network: Any) -> None:
    if not isinstance(network, nn.Module):
        raise GanlabError(f"{role} must be a torch.nn.Module, got a {type(network).__name__}.")
