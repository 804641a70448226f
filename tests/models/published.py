"""The networks that are compared with published code: small, but with every part.

Weights and inputs are functions of names, so that a fixture is only what the published code made of
them: see fixtures/make_biggan.py and fixtures/make_mimicry.py, which wrote them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.layers import spectral_norm
from ganlab.models import biggan, biggan_deep, sagan, sngan

CLASSES = 5
BATCH = 3
SN_EPS = 1e-6
CIFAR_G = {"width": 8, "growth": 1, "upsampling": "bilinear"}
CIFAR_D = {"width": 8, "growth": 1, "halvings": 2, "plain_blocks": 2, "shortcut_activation": True}
# name: family, image size, classes, options of generator and of discriminator, whether sn is in (G, D)
Case = tuple[Any, int, int, dict[str, Any], dict[str, Any], tuple[bool, bool]]
CASES: dict[str, Case] = {
    "biggan_32": (
        biggan, 32, CLASSES,
        {"width": 2, "latent_dim": 21, "shared_dim": 6, "attention": 16},
        {"width": 2},
        (True, True),
    ),
    "biggan_64": (
        biggan, 64, CLASSES,
        {"width": 4, "latent_dim": 15, "shared_dim": 3, "attention": 64, "norm_eps": 1e-4, "stored_variance": "biased"},
        {"width": 8, "attention": 32},
        (True, True),
    ),
    "biggan_cifar": (
        biggan, 32, CLASSES,
        {"width": 2, "latent_dim": 7, "hierarchical": False, "shared_embedding": False},
        {"width": 2},
        (True, True),
    ),
    "biggan_deep_64": (
        biggan_deep, 64, CLASSES,
        {"width": 4, "latent_dim": 7, "shared_dim": 5, "attention": 32},
        {"width": 4, "attention": 32},
        (True, True),
    ),
    "thin_sngan_128": (sngan, 128, CLASSES, {"width": 1}, {"width": 2, "thin_first": True}, (True, True)),
    "wide_sagan_128": (
        sagan, 128, CLASSES,
        {"width": 1, "attention": 16},
        {"width": 2, "attention": 16},
        (True, True),
    ),
    "sngan_32": (sngan, 32, 0, CIFAR_G, CIFAR_D, (False, True)),
    "sngan_48": (
        sngan, 48, 0,
        {"width": 1, "upsampling": "bilinear"},
        {"width": 1, "halvings": 4, "shortcut_activation": True},
        (False, True),
    ),
    "wgan_gp_32": (sngan, 32, 0, CIFAR_G, {**CIFAR_D, "pooling": "mean"}, (False, False)),
    "cgan_pd_32": (sngan, 32, CLASSES, CIFAR_G, CIFAR_D, (False, True)),
    "sagan_32": (
        sagan, 32, CLASSES,
        {**CIFAR_G, "attention": 16},
        {**CIFAR_D, "attention": 8, "wide": False},
        (True, True),
    ),
    "sagan_128": (
        sagan, 128, CLASSES,
        {"width": 2, "upsampling": "bilinear"},
        {"width": 4, "wide": False, "shortcut_activation": True},
        (True, True),
    ),
}  # fmt: skip


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """N(0, 1), the same for a name everywhere: numpy keeps this stream as it is."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(np.asarray(values, np.float32))


def build(case: str) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of ``case`` with every parameter and buffer random."""
    family, size, classes, generator_options, discriminator_options, normalized = CASES[case]
    generator = family.Generator(size, 3, classes, **generator_options)
    discriminator = family.Discriminator(size, 3, classes, **discriminator_options)
    for network, has_sn in zip((generator, discriminator), normalized, strict=True):
        if has_sn:
            spectral_norm.attach(network, eps=SN_EPS)
        randomise(network, case)
    return generator, discriminator


@torch.no_grad()
def randomise(network: nn.Module, seed: str) -> None:
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        values = numbers(f"{seed}/{type(network).__module__}/{type(network).__name__}/{name}", tuple(tensor.shape))
        if name.endswith("running_var"):
            values = 0.5 + values.square()
        elif name.endswith("norm.weight"):
            values = 1 + 0.3 * values
        elif name.endswith(".u"):
            values = values / values.norm()
        elif tensor.ndim >= 2:
            values = values * (1.5 / max(1, tensor[0].numel()) ** 0.5)
        else:
            values = 0.2 * values
        tensor.copy_(values)


@torch.no_grad()
def converge(network: nn.Module) -> None:
    """Set every u to the leading left singular vector, where the ways to evaluate σ agree."""
    for parametrization in spectral_norm.attached(network):
        left, _, _ = torch.linalg.svd(parametrization.original.flatten(1).double())
        parametrization[0].u.copy_(left[:, 0])


def inputs(
    case: str, step: int, generator: Any, precision: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor | None]:
    """z, x and y of one forward pass."""
    z = numbers(f"{case}/z{step}", (BATCH, generator.latent_dim))
    x = torch.tanh(numbers(f"{case}/x{step}", (BATCH, *generator.image_shape)))
    y = (numbers(f"{case}/y{step}", (BATCH,)).abs() * 7).long() % CLASSES if generator.num_classes else None
    return z.to(precision), x.to(precision), y


STATE = (".u", "running_mean", "running_var")


def outputs(
    case: str, generator: Any, discriminator: Any, converge: Callable[[Any], None] | None = None
) -> dict[str, Tensor]:
    """What the fixtures hold: three passes in training mode, the state after these, evaluation.

    Args:
        converge: Called with each network before evaluation, where that takes stored vectors for σ.
    """
    found: dict[str, Tensor] = {}
    precision = next(generator.parameters()).dtype
    with torch.no_grad():
        for step in range(3):
            z, x, y = inputs(case, step, generator, precision)
            for name, network, given in (("G", generator, z), ("D", discriminator, x)):
                found[f"train{step}/{name}"] = network.train()(given, y)
        for name, network in (("G", generator), ("D", discriminator)):
            state = {key: value for key, value in network.state_dict().items() if key.endswith(STATE)}
            found.update({f"state/{name}/{key}": value.clone() for key, value in state.items()})
            if converge is not None:
                converge(network)
        z, x, y = inputs(case, 3, generator, precision)
        for name, network, given in (("G", generator, z), ("D", discriminator, x)):
            found[f"eval/{name}"] = network.eval()(given, y)
    return found
