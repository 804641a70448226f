"""A plain Trainer of Lightning's, as its users write it, without what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn


def quiet(folder: Path, steps: int, **options: Any) -> L.Trainer:
    """A Trainer on the CPU that writes to ``folder`` alone."""
    plain = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return L.Trainer(
        **{
            "accelerator": "cpu",
            "max_steps": steps,
            "default_root_dir": folder,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            **plain,
            **options,
        }
    )


class G(nn.Module):
    """G(z), of nothing that ganlab knows but the width of z."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 3 * 8 * 8), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z).view(-1, 3, 8, 8)


class D(nn.Module):
    """D(x), one logit (B, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class LabelledG(G):
    """G(z, y)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, 4)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(z + self.embedding(y))


class LabelledD(D):
    """D(x, y)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, 3 * 8 * 8)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x) + (x.flatten(1) * self.embedding(y)).mean(1, keepdim=True)


def images(count: int, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Images (count, 3, 8, 8), bytes or floats in [-1, 1]."""
    pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return pixels if dtype is torch.uint8 else pixels.to(dtype) / 127.5 - 1


def labels(count: int) -> Tensor:
    """Labels (count,) of three classes."""
    return torch.arange(count) % 3
