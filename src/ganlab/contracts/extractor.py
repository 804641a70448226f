"""Feature extractors: networks that turn images into features and class logits."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core.errors import GanlabError


@dataclass
class Examples:
    """The user's own data, for extractors that are trained on it.

    Args:
        images: uint8 (N, C, H, W), for training.
        labels: int64 (N,), or None.
        held_out: Images for measuring accuracy, with ``held_out_labels``.
        num_classes: 0 where there are no labels.
        fingerprint: Changes when the images, their order or their split change.
        cache: Folder where what was trained is kept.
    """

    images: Tensor
    labels: Tensor | None
    held_out: Tensor
    held_out_labels: Tensor | None
    num_classes: int
    fingerprint: str
    cache: Path


class Extractor(ABC):
    """A component of the group ``ganlab.features``; its constructor's signature is its options.

    The constructor is cheap: networks are loaded or trained in `prepare`, which is called once.

    Attributes:
        feature_dim: D; known after `prepare`.
        logits_dim: K; 0 if it classifies nothing.
        own_classes: Whether the logits are those of the data's own classes.
        needs_examples: Whether `prepare` trains on the user's data.
        image_size: (H, W) of the images that it will be given; set before `prepare` is called.
        cpu_images: Images that go through the network together on a CPU. Few for a large network: where the maps of all
            of them exceed some 30 MB, memory is taken from the system and zeroed anew for each layer, which can take
            longer than the layer. `extract` is then called from several threads at a time.
    """

    feature_dim: int
    logits_dim: int = 0
    own_classes: bool = False
    needs_examples: bool = False
    image_size: tuple[int, int] = (32, 32)
    cpu_images: int = 100
    network: nn.Module

    @abstractmethod
    def prepare(self, examples: Examples | None = None) -> None:
        """Load or train the network.

        Raises:
            GanlabError: If the weights cannot be loaded, in a sentence that says what to do.
        """

    @abstractmethod
    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features float32 (B, D), and logits float32 (B, K) or None, of uint8 images (B, C, H, W), grey or colour.

        Resizing and quantisation are the extractor's own. Called without gradients.
        """

    def maps(self, images: Tensor) -> list[Tensor]:
        """Maps (B, C, H, W) of several layers for a distance between images; differentiable.

        Args:
            images: float32 (B, C, H, W) of 0 to 255, grey or colour.

        Raises:
            GanlabError: If the network has none.
        """
        raise GanlabError(f"The features of {type(self).__name__} have no maps, and a projection compares maps.")

    def describe(self) -> dict[str, Any]:
        """Return what belongs to the protocol beside the options, as JSON: resizing, layer, accuracy."""
        return {}

    def to(self, device: torch.device) -> None:
        self.network.to(device)

    def weights_hash(self) -> str:
        """A hash of all parameters and buffers."""
        return hash_of(self.network)


def hash_of(module: nn.Module, names: Sequence[str] = ()) -> str:
    """16 hexadecimal digits that depend on every parameter and buffer, their names and shapes."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def in_colour(images: Tensor) -> Tensor:
    """(B, 3, H, W): grey images are repeated."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
