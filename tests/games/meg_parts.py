"""Inputs for comparing MEG: small networks, images and codes that are functions of names."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.models import meg

BATCH, LATENTS, SIZE = 4, 5, 8
ORDER = [2, 0, 3, 1]  # of the codes that are not the images'
LAMBDA = 10.0


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """N(0, 1), the same for a name everywhere."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(random.standard_normal(shape).astype(np.float32))


def networks() -> tuple[nn.Module, nn.Module, nn.Module]:
    """Generator, energy (as -logit) and statistics network, with weights of an order at which every term is felt."""
    made = (
        meg.Generator(SIZE, 1, latent_dim=LATENTS, width=2),
        meg.Discriminator(SIZE, 1, width=2),
        meg.Statistics(SIZE, 1, LATENTS, width=2),
    )
    with torch.no_grad():
        for network in made:
            for name, parameter in network.named_parameters():
                fan_in = parameter[0].numel() if parameter.ndim > 1 else 25
                parameter.copy_(numbers(f"{type(network).__name__}/{name}", tuple(parameter.shape)) / fan_in**0.5)
    return made


def codes() -> Tensor:
    return numbers("z", (BATCH, LATENTS))


def images() -> Tensor:
    return torch.tanh(numbers("x", (BATCH, 1, SIZE, SIZE)))


def thinned(gradients: list[Tensor]) -> np.ndarray:
    """Every third entry of the whole concatenated vector."""
    return torch.cat([g.detach().flatten() for g in gradients])[::3].numpy()
