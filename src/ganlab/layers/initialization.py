"""Initial weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from ganlab.core.errors import one_of

SCHEMES: dict[str, Callable[[Tensor], object]] = {
    "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2014 (arXiv:1312.6120); BigGAN's choice
    "normal": lambda weight: nn.init.normal_(weight, 0.0, 0.02),  # DCGAN's N(0, 0.02)
    "xavier": nn.init.xavier_uniform_,  # Glorot & Bengio 2010; SNGAN's and SAGAN's choice
}
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)


def initialize(network: nn.Module, scheme: str) -> None:
    """Fill the weight of every convolution, linear map and embedding; biases keep torch's default.

    Args:
        network: Filled in place.
        scheme: ``orthogonal``, ``normal`` (N(0, 0.02)) or ``xavier`` (uniform, gain 1).

    Raises:
        ValueError: If the scheme is unknown.
    """
    one_of(scheme, SCHEMES, "initialization")
    # On the meta device there is nothing to fill, and an orthogonal matrix takes long to make.
    weights = [m.weight for m in network.modules() if isinstance(m, WEIGHTED) and not m.weight.is_meta]
    if scheme == "orthogonal" and all(weight.device.type == "cpu" for weight in weights):
        _orthogonal(weights)
        return
    for weight in weights:
        SCHEMES[scheme](weight)


@torch.no_grad()
def _orthogonal(weights: Sequence[Tensor]) -> None:
    """Do what `torch.nn.init.orthogonal_` does, with the same draws, each weight on one thread and several at a time.

    Threads of one decomposition wait for each other in loops: where other processes want the cores too, two threads
    took 7 to 100 times the processor time of one.
    """
    threads = torch.get_num_threads()
    drawn = (weight.new_empty(weight.shape[0], weight[0].numel()).normal_() for weight in weights)  # (out, rest)
    try:
        torch.set_num_threads(1)
        if threads == 1:
            for weight, matrix in zip(weights, drawn, strict=True):
                _fill(weight, matrix)
        else:  # a draw is made while those before are decomposed
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                for done in [pool.submit(_fill, *each) for each in zip(weights, drawn, strict=True)]:
                    done.result()
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _fill(weight: Tensor, matrix: Tensor) -> None:
    """Fill a weight with Q of the QR decomposition of a matrix, with the signs for which R's diagonal is positive."""
    wide = matrix.shape[0] < matrix.shape[1]
    q, r = torch.linalg.qr(matrix.t() if wide else matrix)
    q *= r.diagonal().sign()
    weight.copy_((q.t() if wide else q).reshape(weight.shape))
