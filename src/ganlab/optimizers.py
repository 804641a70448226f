"""Optimizers: functions ``(params, **options) -> torch.optim.Optimizer``; the signature is the configuration.

Adam and AdamW are torch's fused ones: on 100 tensors of SNGAN's shapes (8.1 M numbers) on two CPU
cores a step takes 8 to 11 ms, against 20 to 25 ms for foreach and the loop; on 100 small tensors 1 ms
against 12 to 26. Fused SGD gains nothing and RMSprop has no fused form, so torch chooses for them:
foreach on a GPU, a loop on a CPU (3.3 ms and 13 ms there).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core.checks import at_least_zero, checked, share
from ganlab.core.ranges import Range


def adam(
    params: Iterable[nn.Parameter],
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.0, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), as torch computes it: eps outside the corrected root.

    The defaults are those of most GANs with spectral normalization (SNGAN, SAGAN, BigGAN: beta1 = 0).

    Args:
        lr: Learning rate; at least 0.
        betas: Decay of the first and the second moment, each in [0, 1).
        eps: Added to the root of the second moment; at least 0.
        weight_decay: L2 penalty that is added to the gradient; at least 0.

    Raises:
        ValueError: If a number is out of range.
    """
    _at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    return _fused(torch.optim.Adam, params, lr=lr, betas=_betas(betas), eps=eps, weight_decay=weight_decay)


def adamw(
    params: Iterable[nn.Parameter],
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.0, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Args:
        lr: Learning rate; at least 0.
        betas: Decay of the first and the second moment, each in [0, 1).
        eps: Added to the root of the second moment; at least 0.
        weight_decay: Share by which weights shrink in a step, times ``lr``; at least 0.

    Raises:
        ValueError: If a number is out of range.
    """
    _at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    return _fused(torch.optim.AdamW, params, lr=lr, betas=_betas(betas), eps=eps, weight_decay=weight_decay)


def rmsprop(
    params: Iterable[nn.Parameter],
    lr: float = 1e-4,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """RMSprop, as torch computes it; the defaults are GAN_stability's (arXiv:1801.04406).

    Args:
        lr: Learning rate; at least 0.
        alpha: Decay of the mean square, in [0, 1).
        eps: Added to the root of the mean square; at least 0.
        momentum: At least 0.
        weight_decay: L2 penalty that is added to the gradient; at least 0.

    Raises:
        ValueError: If a number is out of range.
    """
    _at_least_zero(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay)
    share("alpha", alpha, one=False)
    return torch.optim.RMSprop(params, float(lr), float(alpha), float(eps), float(weight_decay), float(momentum))


def sgd(
    params: Iterable[nn.Parameter],
    lr: float = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent.

    Args:
        lr: Learning rate; at least 0.
        momentum: Above -1. Negative momentum is for two players in turns (Gidel et al. 2019, arXiv:1807.04740).
        nesterov: Look ahead along the momentum, which must then be positive.
        weight_decay: L2 penalty that is added to the gradient; at least 0.

    Raises:
        ValueError: If a number is out of range.
    """
    _at_least_zero(lr=lr, weight_decay=weight_decay)
    checked("momentum", momentum, Range(above=-1, below=math.inf))
    if nesterov and momentum <= 0:
        raise ValueError(f"nesterov must come with a positive momentum, got momentum={momentum:g}")
    positive = max(float(momentum), 0.0)
    made = torch.optim.SGD(params, float(lr), positive, weight_decay=float(weight_decay), nesterov=nesterov)
    if momentum < 0:  # torch's constructor refuses it, and its steps are right for it
        for group in made.param_groups:
            group["momentum"] = float(momentum)
    return made


def _fused(
    optimizer_class: Callable[..., torch.optim.Optimizer],
    params: Iterable[nn.Parameter],
    *,
    betas: tuple[float, float],
    **numbers: float,
) -> torch.optim.Optimizer:
    """The fused form where the devices have one."""
    parameters = list(params)
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    options: dict[str, Any] = {name: float(value) for name, value in numbers.items()}
    optimizer = optimizer_class(parameters, betas=betas, fused=fused, **options)
    if fused:
        optimizer.register_step_pre_hook(_align_gradients)
        optimizer.register_load_state_dict_post_hook(_align_state)
    return optimizer


def _align_gradients(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    """Give gradients the strides of their parameters.

    The fused kernels walk through parameter, gradient and moments in the order of memory: where
    strides differ (a channels-last weight with a contiguous gradient) the CPU's updates the wrong
    weights without an error, in torch 2.11 and 2.15. The check costs a microsecond a parameter.
    """
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None and p.grad.stride() != p.stride():
                if p.is_contiguous() and p.grad.is_contiguous():  # they differ where a side is 1: no copy
                    p.grad = p.grad.as_strided(p.shape, p.stride())
                else:
                    p.grad = torch.empty_like(p).copy_(p.grad)


def _align_state(optimizer: torch.optim.Optimizer) -> None:
    """Do the same for the moments of a checkpoint with another memory format."""
    for p, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == p.shape and value.stride() != p.stride():
                state[name] = torch.empty_like(p).copy_(value)


def _at_least_zero(**numbers: float) -> None:
    for name, value in numbers.items():
        at_least_zero(name, value)


def _betas(betas: tuple[float, float]) -> tuple[float, float]:
    """Two floats: torch 2.15 refuses an integer 0."""
    if len(betas) != 2:
        raise ValueError(f"betas must be two numbers, got {list(betas)}")
    return share("betas[0]", betas[0], one=False), share("betas[1]", betas[1], one=False)
