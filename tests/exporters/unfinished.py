"""Runs without training: every parameter and buffer of the averaged generator is random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.runs.run import Run

NARROW = {
    "biggan": ("width=4", "latent_dim=20", "shared_dim=8", "attention=8"),
    "biggan_deep": ("width=4", "latent_dim=8", "shared_dim=8", "attention=8"),
    "dcgan": ("width=4", "latent_dim=8"),
    "gan_stability": ("width=4", "latent_dim=8", "embedding_dim=4"),
    "introvae": ("width=4", "latent_dim=8"),
    "meg": ("width=4", "latent_dim=8"),
    "mlp": ("width=16", "latent_dim=8"),
    "pggan": ("width=256", "max_width=16", "latent_dim=8"),
    "r3gan": ("width=128", "latent_dim=8", "embedding_dim=4", "blocks=1", "group_width=4"),
    "sagan": ("width=8", "latent_dim=8"),
    "sngan": ("width=4", "latent_dim=8"),
    "stylegan": ("width=32", "latent_dim=8", "w_dim=8", "mapping_layers=2", "mapping_width=8"),
    "stylegan2": ("width=64", "max_width=16", "latent_dim=8", "w_dim=8", "mapping_layers=2"),
}
UNLABELLED = ("introvae", "meg")


def run(folder: Path, family: str, classes: int, *words: str) -> Run:
    """A run of a family, 32 pixels, with spectral norm where the generator can have it."""
    options = [f"generator.{word}" for word in NARROW[family]]
    config = compose.read(
        ["model=dcgan", f"generator={family}", *options, "discriminator.width=4", "data.image_size=32",
         "data.image_channels=3", f"data.num_classes={classes}", *words]
    )  # fmt: skip
    made = Run.of(folder / family, experiment.build(config, with_data=False))
    made.standing, made.messages = {}, []
    fill(made.generator)
    made.module.eval()
    return made


@torch.no_grad()
def fill(generator: Any) -> None:
    """Draw every parameter and buffer."""
    torch.manual_seed(0)
    for name, tensor in generator.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name.endswith(("alpha", ".u", ".v")):
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.ndim < 2:
            tensor.add_(0.2 * torch.randn_like(tensor))
        else:
            tensor.mul_(1 + 0.2 * torch.randn_like(tensor))
