"""The contract of adversarial losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.testing.comparison import close, require

CONFIDENT = 30.0  # logits at which sigmoid is 0 or 1 in float32


@torch.random.fork_rng(devices=[])
def check_loss(loss: Any) -> None:
    """Check an adversarial loss: two pure functions of logits, a mean over images each.

    Both are finite scalars of the logits' dtype; duplicating the batch changes neither; they agree
    with themselves in double precision, and with their derivatives. Where the discriminator is wrong, its
    loss falls as real logits rise and fake logits fall; the generator's falls as fake logits rise where they
    are low. At logits of 30 on the wrong side these gradients are alive, unless the player is named in the
    loss's ``saturates``, a tuple of players whose gradients vanish there by definition.
    """
    saturates = getattr(loss, "saturates", ())
    for player in ("discriminator", "generator"):
        function = getattr(loss, player, None)
        require(callable(function), f"a loss needs a method {player}(*, real_logits, fake_logits)")
        for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
            require(
                parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD),
                f"{player}: {parameter.name} must be keyword-only",
            )
        _check_loss_of(player, function, alive=player not in saturates)  # type: ignore[arg-type]


def _check_loss_of(player: str, function: Callable[..., Tensor], alive: bool) -> None:
    low, high = torch.linspace(-0.6, -0.4, 6), torch.linspace(0.4, 0.6, 6)
    for dtype in (torch.float32, torch.float64):
        wrong = (low, high) if player == "discriminator" else (high, low)
        value, gradients = _slopes(function, *(logits.to(dtype) for logits in wrong))
        require(value.dtype == dtype, f"{player} must keep {dtype}, returned {value.dtype}")
        _check_signs(player, gradients, at="logits of 0.5 on the wrong side")
        for real, fake in ((CONFIDENT, -CONFIDENT), (-CONFIDENT, CONFIDENT)):
            value, gradients = _slopes(
                function, torch.full((6,), real, dtype=dtype), torch.full((6,), fake, dtype=dtype)
            )
            finite = [value, *gradients.values()]
            where = f"real logits of {real:g} and fake logits of {fake:g} in {dtype}"
            require(all(bool(t.isfinite().all()) for t in finite), f"{player} is not finite at {where}")
            if alive and (real < fake if player == "discriminator" else fake < real):
                _check_signs(player, gradients, at=where)
    for reals, fakes in ((low, high), (high, low), (60 * high, 60 * low), (60 * low, 60 * high)):
        single, double = _slopes(function, reals, fakes), _slopes(function, reals.double(), fakes.double())
        # logits of 0.5 may cancel, and then what is left of them is rounding
        close(f"{player} in float32", single[0].double(), double[0], 1e-5, least=0.1)
        for name, gradient in single[1].items():
            close(f"{player}'s gradient by {name} in float32", gradient.double(), double[1][name], 1e-4)
    once, _ = _slopes(function, low.double(), high.double())
    twice, _ = _slopes(function, low.double().repeat(2), high.double().repeat(2))
    close(f"{player} of a batch that holds every image twice (a loss is a mean over images)", twice, once, 1e-9)
    _check_derivatives(player, function)


def _check_signs(player: str, gradients: Mapping[str, Tensor], at: str) -> None:
    wanted = {"fake_logits": -1} if player == "generator" else {"real_logits": -1, "fake_logits": 1}
    for name, sign in wanted.items():
        require(name in gradients, f"{player} does not depend on {name}")
        slope = float(gradients[name].sum())
        way = "fall" if sign < 0 else "rise"
        require(sign * slope > 1e-3, f"{player}'s loss must {way} as {name} rise: its gradient is {slope:.3g} at {at}")


def _check_derivatives(player: str, function: Callable[..., Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def value(real: Tensor, fake: Tensor) -> Tensor:
        return _call(function, real, fake) + 0 * (real.sum() + fake.sum())

    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        try:
            check(value, (real, fake))  # type: ignore[operator]
        except RuntimeError as error:
            raise AssertionError(f"{player} does not agree with its derivatives: {error}") from error


def _slopes(function: Callable[..., Tensor], real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    value = _call(function, real, fake)
    require(value.shape == (), f"a loss must return a scalar, got shape {tuple(value.shape)}")
    gradients = torch.autograd.grad(value, (real, fake), allow_unused=True)
    named = zip(("real_logits", "fake_logits"), gradients, strict=True)
    return value.detach(), {name: gradient for name, gradient in named if gradient is not None}


def _call(function: Callable[..., Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Call with what the game would give: the arguments that have no default."""
    generator = torch.Generator().manual_seed(1)
    given = {"real_logits": real, "fake_logits": fake}
    for name, shape in (("images", (6, 3, 4, 4)), ("features", (6, 8, 2, 2))):
        for kind in ("real", "fake"):
            given[f"{kind}_{name}"] = torch.randn(shape, generator=generator).to(real)[torch.arange(len(real)) % 6]
    parameters = inspect.signature(function).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in needed if name not in given]
    require(not unknown, f"a loss may ask for {', '.join(given)}, not for {', '.join(unknown)}")
    return function(**{name: given[name] for name in needed})
