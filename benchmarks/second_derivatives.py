"""Time the gradient of a penalty on an input gradient through one convolution: torch's own, and ganlab's.

    OMP_NUM_THREADS=1 python benchmarks/second_derivatives.py [cpu|cuda] [batch]

A line a layer: the forward pass, torch's second derivative, ganlab's, and their ratio; medians of ten, interleaved, in
processor time on a CPU and in wall time with the device waited for on a GPU. Floor: two passes (see
`ganlab.layers.convolution`).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ganlab.layers.second_derivatives import differentiated_twice

LAYERS = [(3, 16, 64), (16, 16, 64), (16, 32, 32), (64, 64, 16), (128, 256, 8), (256, 256, 4)]
ROUNDS = 10


def second(layer: nn.Conv2d, x: Tensor, cheap: bool) -> Callable[[], object]:
    with differentiated_twice(cheap):
        y = layer(x)
    direction = torch.randn_like(y).requires_grad_()
    (gradient,) = torch.autograd.grad(y, x, direction, create_graph=True)
    along = torch.randn_like(gradient)
    return lambda: torch.autograd.grad(gradient, (layer.weight, direction), along, retain_graph=True)


def main(device: str = "cpu", batch: str = "16") -> None:
    def seconds(work: Callable[[], object]) -> float:
        clock = time.process_time if device == "cpu" else time.perf_counter
        started = clock()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        return clock() - started

    for channels, out, size in LAYERS:
        layer = nn.Conv2d(channels, out, 3, padding=1, device=device).to(memory_format=torch.channels_last)
        x = torch.randn(int(batch), channels, size, size, device=device).to(memory_format=torch.channels_last)
        x.requires_grad_()
        works: list[Callable[[], object]] = [
            partial(layer, x),
            second(layer, x, cheap=False),
            second(layer, x, cheap=True),
        ]
        times = [[seconds(work) for work in works] for _ in range(ROUNDS + 2)][2:]
        forward, own, cheap = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(row[2] / row[1] for row in times)
        print(
            f"{channels:>4} -> {out:<4} {size:>3} pixels: forward {forward:6.2f} ms, second derivative "
            f"{own:6.2f} ms by torch, {cheap:6.2f} here, ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
