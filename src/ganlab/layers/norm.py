"""Batch normalization: across ranks, conditional, and with standing statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core import distributed
from ganlab.core.checks import positive
from ganlab.core.errors import one_of
from ganlab.layers import spectral_norm, state


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization over batch and positions, of (B, C) or (B, C, H, W).

    out = (x − μ)/√(σ² + ε)·weight + bias, with μ and the biased σ² of the batch in training and the
    running ones in evaluation; running ← (1 − momentum)·running + momentum·batch.

    Source: Ioffe & Szegedy 2015 (arXiv:1502.03167), algorithm 1. State-dict keys are those of
    ``torch.nn.BatchNorm2d``. Running statistics move only where `ganlab.layers.state.moves`.

    Batch statistics are those of the whole micro-batch over all ranks (Chan et al. 1979, eq. 2.1b,
    ranks having equally many images): μ = mean of μᵣ, σ² = mean of σᵣ² + mean of (μᵣ − μ)².

    Args:
        num_features: C.
        eps: ε.
        momentum: Weight of the batch in the running statistics.
        affine: Whether there are a weight and a bias.
        across_ranks: False takes each rank's own statistics.
        stored_variance: ``unbiased`` as torch stores it, or ``biased`` as TensorFlow and BigGAN's own
            batch norm do.

    Raises:
        ValueError: If ``stored_variance`` is neither or ε not positive; or, in training, if a channel has one
            value only.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        across_ranks: bool = True,
        stored_variance: str = "unbiased",
    ) -> None:
        one_of(stored_variance, ("unbiased", "biased"), "stored_variance")
        positive("eps of batch norm", eps)
        super().__init__(num_features, eps=eps, momentum=momentum, affine=affine)
        self.across_ranks = across_ranks
        self.stored_variance = stored_variance

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        if self.across_ranks and distributed.world_size() > 1:
            return self._across_ranks(x)
        if not state.moves():
            return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)
        momentum = self._next_momentum()
        if self.stored_variance == "unbiased":
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, True, momentum, self.eps
            )
        # torch stores σ²·n/(n−1): let it store into a copy that started at zero, and undo the factor.
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        out = F.batch_norm(x, mean, variance, self.weight, self.bias, True, 1.0, self.eps)
        count = x.numel() // x.shape[1]
        self._store(mean, variance * ((count - 1) / count), momentum)
        return out

    def _across_ranks(self, x: Tensor) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        out, mean, variance = _NormalizedAcrossRanks.apply(wide, self.weight, self.bias, self.eps)
        if state.moves():
            count = x.numel() // x.shape[1] * distributed.world_size()
            factor = 1.0 if self.stored_variance == "biased" else count / max(count - 1, 1)
            self._store(mean, variance * factor, self._next_momentum())
        return out.to(x.dtype)  # type: ignore[no-any-return]

    def _next_momentum(self) -> float:
        self.num_batches_tracked.add_(1)
        if self.momentum is None:  # a plain average over all batches so far
            return 1.0 / float(self.num_batches_tracked)
        return self.momentum

    @torch.no_grad()
    def _store(self, mean: Tensor, variance: Tensor, momentum: float) -> None:
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take points (B, C) as well as maps."""


class _NormalizedAcrossRanks(torch.autograd.Function):
    """out = (x − μ)/√(σ² + ε)·weight + bias, μ and σ² with μ and σ² of all ranks' x.

    With g = dL/dout of the sum L of all ranks' losses, x̂ = (x − μ)/√(σ² + ε), and means over images, positions and
    ranks: dL/dx = weight/√(σ² + ε)·(g − mean of g − x̂·mean of g·x̂) (arXiv:1502.03167, sec. 3).

    The passes over x are torch's kernels of batch norm, which take half the time of the same in elementary operations.
    One message crosses the ranks in each direction. A gradient that is differentiated again is made of elementary
    operations.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _of_all_ranks(*torch.batch_norm_update_stats(x, None, None, 0.0))
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        count = x.numel() // x.shape[1]
        if torch.is_grad_enabled():
            over = [d for d in range(x.ndim) if d != 1]
            shape = (1, -1, *[1] * (x.ndim - 2))
            variance, mean = torch.var_mean(x, over, correction=0)
            mean, variance = _of_all_ranks(mean, variance)
            scale = torch.rsqrt(variance + ctx.eps)
            normal = (x - mean.view(shape)) * scale.view(shape)
            by_weight, by_bias = (grad * normal).sum(over), grad.sum(over)
            along, level = distributed.mean(torch.stack([by_weight, by_bias])) / count
            by_x = grad - level.view(shape) - normal * along.view(shape)
            by_x = by_x * (scale if weight is None else scale * weight).view(shape)
        else:
            by_x, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
                grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
            )
            along, level = distributed.mean(torch.stack([by_weight, by_bias])) / count
            scale = torch.rsqrt(variance + ctx.eps)
            scale = scale if weight is None else scale * weight
            by_x -= F.batch_norm(x, mean, variance, along * scale, level * scale, False, 0.0, ctx.eps)
        return (by_x, None, None, None) if weight is None else (by_x, by_weight, by_bias, None)


def _of_all_ranks(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return μ and σ² of all ranks' values, of those of each (Chan et al. 1979, eq. 2.1b); one message."""
    ranks = distributed.gather(torch.stack([mean, variance])[None])  # (ranks, 2, C)
    between, mean = torch.var_mean(ranks[:, 0], 0, correction=0)
    return mean, ranks[:, 1].mean(0) + between


class ConditionalBatchNorm(BatchNorm):
    """Batch normalization whose gain and offset are maps of a condition.

    out = (x − μ)/√(σ² + ε)·(1 + gain(c)) + offset(c)

    Source: Dumoulin et al. 2017 (arXiv:1610.07629), sec. 2.2; with a vector as the condition, BigGAN
    (Brock et al. 2019, arXiv:1809.11096), app. B.

    Args:
        num_features: C.
        num_classes: c is one of so many labels (B,): both maps are embeddings, which spectral norm
            leaves alone. Exactly one of this and ``condition_dim`` is given.
        condition_dim: c is a vector (B, condition_dim): both maps are linear, without bias.
        eps: As in `BatchNorm`, like the other options.

    Raises:
        ValueError: If not exactly one kind of condition is given.
    """

    def __init__(
        self,
        num_features: int,
        *,
        num_classes: int = 0,
        condition_dim: int = 0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        across_ranks: bool = True,
        stored_variance: str = "unbiased",
    ) -> None:
        if (num_classes > 0) == (condition_dim > 0):
            raise ValueError(f"expected num_classes or condition_dim, got {num_classes} and {condition_dim}")
        super().__init__(
            num_features,
            eps=eps,
            momentum=momentum,
            affine=False,
            across_ranks=across_ranks,
            stored_variance=stored_variance,
        )

        def condition_map() -> nn.Module:
            if condition_dim:
                return nn.Linear(condition_dim, num_features, bias=False)
            return spectral_norm.exempt(nn.Embedding(num_classes, num_features))

        self.gain = condition_map()
        self.offset = condition_map()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # type: ignore[override]
        shape = (*condition.shape[:1], -1, *[1] * (x.ndim - 2))
        gain, offset = self.gain(condition).view(shape), self.offset(condition).view(shape)  # (B, C, 1, 1)
        normal = super().forward(x)
        # an embedding is float32 under autocast too, and would make the map float32
        return torch.addcmul(offset.to(normal.dtype), normal, (1 + gain).to(normal.dtype))


@contextmanager
def standing_statistics(network: nn.Module) -> Iterator[None]:
    """Replace running statistics by averages over the passes that are made inside the block.

    mean = (1/k) Σ meanᵢ, variance = (1/k) Σ varianceᵢ over the k passes, each variance biased and
    within its batch. Everything but batch norm is in evaluation mode, so spectral-norm vectors stay.

    Source: BigGAN (Brock et al. 2019, arXiv:1809.11096), app. B, which draws fresh z and y each time.

        with standing_statistics(generator):
            for _ in range(16):
                generator(draw_latents(), draw_labels())
    """
    modes = {module: module.training for module in network.modules()}
    layers = [module for module in network.modules() if isinstance(module, BatchNorm)]
    options = [(layer.momentum, layer.stored_variance) for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.training, layer.momentum, layer.stored_variance = True, None, "biased"
    try:
        with torch.no_grad(), state.passing(moves=True):
            yield
    finally:
        for layer, (momentum, stored) in zip(layers, options, strict=True):
            layer.momentum, layer.stored_variance = momentum, stored
        for module, training in modes.items():
            module.training = training
