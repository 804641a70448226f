"""Logits far out, and sums of exact logarithms to compare with."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

FAR = (-1e4, -300.0, -88.0, -30.0, -20.5, -1.0, 0.0, 0.7, 19.0, 20.5, 30.0, 88.0, 300.0, 1e4)


def softplus(t: float) -> float:
    """log(1 + e^t) in double precision, by the branch that loses nothing."""
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))


def sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t)) if t >= 0 else math.exp(t) / (1 + math.exp(t))


def value_and_slopes(
    function: Callable[..., Tensor], real_logits: list[float], fake_logits: list[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """The value, and its gradients by the real and by the fake logits."""
    real = torch.tensor(real_logits, dtype=torch.float64, requires_grad=True)
    fake = torch.tensor(fake_logits, dtype=torch.float64, requires_grad=True)
    value = function(real_logits=real, fake_logits=fake)
    of_real, of_fake = torch.autograd.grad(value, (real, fake), allow_unused=True)
    return value.detach(), of_real, of_fake
