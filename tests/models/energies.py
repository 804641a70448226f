"""The networks of GAN_stability (R1, VDB), IntroVAE and MEG that are compared with the authors' code.

Small, but with every part; weights and inputs are functions of names, see fixtures/make_energies.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.models import gan_stability, introvae, meg

BATCH, CLASSES = 3, 5
SIZE, LATENTS = 16, 6
STABLE = {"width": 3, "largest_width": 6}
INTRO: dict[str, Any] = {"width": 3, "largest_width": 6}
# name: ours, and what it takes: z, x, labels
NETWORKS: dict[str, tuple[Callable[[], Any], str]] = {
    "gan_stability_generator": (
        lambda: gan_stability.Generator(SIZE, 3, 0, latent_dim=LATENTS, embedding_dim=2, **STABLE), "z",
    ),
    "gan_stability_generator_with_classes": (
        lambda: gan_stability.Generator(SIZE, 3, CLASSES, latent_dim=LATENTS, embedding_dim=2, **STABLE), "zy",
    ),
    "gan_stability_discriminator": (lambda: gan_stability.Discriminator(SIZE, 3, 0, **STABLE), "x"),
    "gan_stability_discriminator_with_classes": (lambda: gan_stability.Discriminator(SIZE, 3, CLASSES, **STABLE), "xy"),
    "introvae_generator": (lambda: introvae.Generator(2 * SIZE, 3, latent_dim=LATENTS, **INTRO), "z"),
    "introvae_encoder": (lambda: introvae.Encoder(2 * SIZE, 3, LATENTS, **INTRO), "x"),
    "meg_generator": (lambda: meg.Generator(2 * SIZE, 3, latent_dim=LATENTS, width=2), "z"),
    "meg_energy": (lambda: meg.Discriminator(2 * SIZE, 3, width=2), "x"),
    "meg_statistics": (lambda: meg.Statistics(2 * SIZE, 3, LATENTS, width=2), "xz"),
}  # fmt: skip


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """N(0, 1), the same for a name everywhere: numpy keeps this stream as it is."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(np.asarray(values, np.float32))


@torch.no_grad()
def randomise(network: nn.Module, seed: str) -> None:
    """Fill every parameter and running statistic."""
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        values = numbers(f"{seed}/{type(network).__module__}/{type(network).__name__}/{name}", tuple(tensor.shape))
        if name.endswith("running_var"):
            values = 0.5 + values.square()
        elif name.endswith("norm.weight"):
            values = 1 + 0.3 * values
        elif tensor.ndim >= 2:
            values = values * (1.5 / max(1, tensor[0].numel()) ** 0.5)
        else:
            values = 0.2 * values
        tensor.copy_(values)


def build(name: str) -> Any:
    """Ours, with every parameter and buffer random."""
    network = NETWORKS[name][0]()
    randomise(network, name)
    return network


def given(name: str, image_shape: tuple[int, ...], step: int) -> list[Tensor]:
    """Return the inputs of one pass of the network."""
    of = {
        "z": lambda: numbers(f"{name}/z{step}", (BATCH, LATENTS)),
        "x": lambda: torch.tanh(numbers(f"{name}/x{step}", (BATCH, *image_shape))),
        "y": lambda: (numbers(f"{name}/y{step}", (BATCH,)).abs() * 7).long() % CLASSES,
    }
    return [of[letter]() for letter in NETWORKS[name][1]]


def outputs(name: str, network: nn.Module, image_shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Two passes in training mode, and then one in evaluation, thinned out; images' gradient of the last."""
    found = {}
    for step, mode in enumerate((True, True, False)):
        inputs = given(name, image_shape, step)
        inputs[0].requires_grad_()
        made = network.train(mode)(*inputs)
        made = torch.cat(made, 1) if isinstance(made, tuple) else made
        found[f"output{step}"] = made.detach().flatten()[:: 1 if made.ndim < 4 else 31]
        (made * torch.linspace(-1, 1, made.numel()).view_as(made)).sum().backward()
        assert inputs[0].grad is not None
        found[f"gradient{step}"] = inputs[0].grad.flatten()[:: 1 if inputs[0].ndim < 4 else 31]
    return found
