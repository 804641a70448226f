"""Small networks for an adversary, and a loop that plays it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganlab.adversary.adversary import Adversary
from ganlab.core import distributed

SHAPE = (3, 8, 8)
BATCH = 8


class Decoder(nn.Module):
    """x -> x, with a last layer ``out``."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.out = nn.Conv2d(4, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.first(x)))


class Patches(nn.Module):
    """A map of logits, (B, 1, 2, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(6, 1, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Judge(nn.Module):
    """A logit an image, (B,), with features, a head, dropout, blocks and a code: it can play with every regularizer."""

    num_classes = 3
    provides = ("energy", "code")
    image_shape = SHAPE

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 6, 4, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)])
        self.drop = nn.Dropout(0.1)
        self.classes = nn.Embedding(3, 6)
        self.linear = nn.Linear(6, 1)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = torch.nn.functional.leaky_relu(block(x), 0.2)
        return self.drop(x)

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        pooled = features.mean((2, 3))
        bias = 0 if y is None else (self.classes(y) * pooled).sum(1)
        return self.linear(pooled).squeeze(1) + bias

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


def seeded(make: Any, seed: int = 1) -> Any:
    """Make a network whose weights depend on a seed."""
    torch.manual_seed(seed)
    return make()


def samples(index: int, batch: int = BATCH) -> Tensor:
    """Return this rank's share of a global batch of images."""
    generator = torch.Generator().manual_seed(100 + index)
    return distributed.own(torch.rand(batch, *SHAPE, generator=generator) * 2 - 1)


def play(adversary: Adversary, decoder: nn.Module, steps: int, *, adaptive: bool = False, **given: Any) -> None:
    """Train an autoencoder with an adversary, as a user's loop does; gradients of all ranks are averaged by hand."""
    optimizer = torch.optim.SGD(decoder.parameters(), lr=0.05)
    last: Any = decoder.get_submodule("out").weight
    for index in range(steps):
        real = samples(index)
        fake = decoder(real)
        adversary.step(real, fake, **given)
        error = (fake - real).abs().mean()
        weighted = {"reconstruction": error, "last_layer": last} if adaptive else {}
        loss = error + adversary.generator_loss(fake, real, **given, **weighted)
        optimizer.zero_grad()
        loss.backward()
        distributed.average(p.grad for p in decoder.parameters() if p.grad is not None)
        optimizer.step()


def weights(*networks: nn.Module) -> Tensor:
    """Return all weights as one vector."""
    return torch.cat([p.detach().reshape(-1) for network in networks for p in network.parameters()])


CASES: dict[str, dict[str, Any]] = {
    "hinge": {},
    "relativistic_average": {"loss": "relativistic_average"},
    "r1, lecam and drift": {"loss": "non_saturating", "reg": {"r1": {"gamma": 0.5}, "lecam": {}, "drift": {}}},
    "finite differences": {"reg": {"r1": {"gamma": 0.5, "estimator": "finite_difference", "share": 0.5}}},
    "lazy penalty": {"reg": {"gradient_penalty": {"interval_steps": 2}}},
    "augmentation": {"augment": "diff_augment"},
    "gradient normalization": {"gradient_normalization": 0.5},
}


def play_cases() -> dict[str, Tensor]:
    """Return the weights after each case, which N processes and one must agree on."""
    found = {}
    for name, options in CASES.items():
        judge, decoder = seeded(Patches), seeded(Decoder)
        adversary = Adversary(judge, optimizer="sgd", lr=0.05, weight=0.5, **options)
        play(adversary, decoder, 4, adaptive=True)
        found[name] = weights(judge, decoder)
    return found
