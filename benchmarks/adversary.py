"""Cost of `ganlab.Adversary` against the same lines by hand, in processor time.

Iterations of both are made in pairs, in turn one and the other first. The median of the pairs' ratios, and its
interval, are little changed by what else the machine does.

python benchmarks/adversary.py [batch] [iterations] [image size]
"""

from __future__ import annotations

import copy
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ganlab

WIDTH, WARM = 32, 10


def discriminator() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * WIDTH, 1, 4, 1, 1),
    )  # fmt: skip


def generator() -> nn.Sequential:
    inner = [nn.Conv2d(3, WIDTH, 3, 1, 1), nn.SiLU(), nn.Conv2d(WIDTH, WIDTH, 3, 1, 1), nn.SiLU()]
    return nn.Sequential(*inner, nn.Conv2d(WIDTH, 3, 3, 1, 1))


def with_ganlab(judge: nn.Module, model: nn.Sequential, adaptive: bool) -> Callable[[Tensor], None]:
    adversary = ganlab.Adversary(judge, "hinge", lr=2e-4, weight=0.8)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def iterate(x: Tensor) -> None:
        fake = model(x)
        adversary.step(real=x, fake=fake)
        error = (x - fake).abs().mean()
        weighed: Any = {"reconstruction": error, "last_layer": model[4].weight} if adaptive else {}
        loss = error + adversary.generator_loss(fake=fake, **weighed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return iterate


def by_hand(judge: nn.Module, model: nn.Sequential, adaptive: bool) -> Callable[[Tensor], None]:
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    other = torch.optim.Adam(judge.parameters(), 2e-4, betas=(0.0, 0.999), fused=True)

    def iterate(x: Tensor) -> None:
        fake = model(x)
        judge.requires_grad_(True)
        loss = F.relu(1 - judge(x)).mean() + F.relu(1 + judge(fake.detach())).mean()
        other.zero_grad()
        loss.backward()
        other.step()
        judge.requires_grad_(False)
        error, term, weight = (x - fake).abs().mean(), -judge(fake).mean(), torch.tensor(0.8)
        if adaptive:
            last: Any = model[4].weight
            both = [torch.autograd.grad(one, last, retain_graph=True)[0].norm() for one in (error, term)]
            weight = 0.8 * (both[0] / (both[1] + 1e-4)).clamp(0, 1e4).detach()
        optimizer.zero_grad()
        (error + weight * term).backward()
        optimizer.step()

    return iterate


def main(batch: int, iterations: int, size: int) -> None:
    for adaptive in (True, False):
        torch.manual_seed(0)
        networks = discriminator(), generator()
        loops = with_ganlab(*copy.deepcopy(networks), adaptive), by_hand(*networks, adaptive)
        pairs: list[list[float]] = []
        for index in range(WARM + iterations):
            x, pair = torch.randn(batch, 3, size, size), [0.0, 0.0]
            for which in (index % 2, 1 - index % 2):
                start = time.process_time()
                loops[which](x)
                pair[which] = time.process_time() - start
            pairs.append(pair)
        ratio, low, high = median([ours / theirs for ours, theirs in pairs[WARM:]])
        more, *between = (1000 * x for x in median([ours - theirs for ours, theirs in pairs[WARM:]]))
        theirs = 1000 * statistics.median(theirs for _, theirs in pairs[WARM:])
        kind = "adaptive" if adaptive else "constant"
        print(
            f"{kind} weight: by hand {theirs:.2f} ms, ratio {ratio:.3f} [{low:.3f}, {high:.3f}], difference "
            f"{more:.2f} ms [{between[0]:.2f}, {between[1]:.2f}]",
            flush=True,
        )


def median(values: list[float]) -> tuple[float, float, float]:
    """Return the median and its 95 % interval by order statistics: about n/2 +- sqrt(n)."""
    ordered, half = sorted(values), math.sqrt(len(values))
    low, high = (round(len(values) / 2 + sign * half) for sign in (-1, 1))
    return statistics.median(ordered), ordered[max(low, 0)], ordered[min(high, len(ordered) - 1)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = [int(word) for word in sys.argv[1:]]
    main(*given, *(8, 200, 64)[len(given) :])
