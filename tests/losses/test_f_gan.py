"""f-GAN: arXiv:1606.00709, tab. 2."""

import math

import pytest
import torch
from logits import FAR, sigmoid, softplus, value_and_slopes
from torch import Tensor
from torch.testing import assert_close

from ganlab.losses.f_gan import FGAN
from ganlab.losses.minimax import Minimax
from ganlab.testing import check_loss

# tab. 2 with exponents that rise: f, its derivative, the activation, the conjugate
TABLE = {
    "kl": (lambda u: u * math.log(u), lambda u: 1 + math.log(u), lambda v: v, lambda t: math.exp(t - 1)),
    "reverse_kl": (
        lambda u: -math.log(u), lambda u: -1 / u, lambda v: -math.exp(-v), lambda t: -1 - math.log(-t)
    ),
    "js": (
        lambda u: u * math.log(u) - (u + 1) * math.log((u + 1) / 2),
        lambda u: math.log(2 * u / (u + 1)),
        lambda v: math.log(2) - math.log(1 + math.exp(-v)),
        lambda t: -math.log(2 - math.exp(t)),
    ),
    "pearson": (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), lambda v: v, lambda t: t * t / 4 + t),
    "hellinger": (
        lambda u: (math.sqrt(u) - 1) ** 2, lambda u: 1 - 1 / math.sqrt(u), lambda v: 1 - math.exp(-v),
        lambda t: t / (1 - t),
    ),
    "total_variation": (
        lambda u: abs(u - 1) / 2, lambda u: math.copysign(0.5, u - 1), lambda v: math.tanh(v) / 2, lambda t: t
    ),
}  # fmt: skip
# g^-1, to make the best discriminator's logits
INVERSE = {
    "kl": lambda t: t,
    "reverse_kl": lambda t: -math.log(-t),
    "js": lambda t: -math.log(math.expm1(math.log(2) - t)),
    "pearson": lambda t: t,
    "hellinger": lambda t: -math.log(1 - t),
    "total_variation": lambda t: math.copysign(25.0, t),  # |t| = 1/2 is reached at infinity
}


@pytest.mark.parametrize("non_saturating", [False, True])
@pytest.mark.parametrize("name", TABLE)
def test_it_keeps_the_contract(name: str, non_saturating: bool) -> None:
    check_loss(FGAN(name, non_saturating))


@pytest.mark.parametrize("name", TABLE)
def test_it_equals_the_table(name: str) -> None:
    """D: E[f*(g(v_fake))] - E[g(v_real)]; G: -E[f*(g(v))], or -E[g(v)]. Activations rise with v."""
    _, _, g, conjugate = TABLE[name]
    real, fake = [-1.3, 0.2, 2.0], [-0.7, 0.4]
    value, *slopes = value_and_slopes(FGAN(name).discriminator, real, fake)
    assert_close(value.item(), sum(conjugate(g(v)) for v in fake) / 2 - sum(map(g, real)) / 3)
    assert (slopes[0] < 0).all()
    assert (slopes[1] > 0).all()
    value, *_ = value_and_slopes(FGAN(name).generator, [0.0], fake)
    assert_close(value.item(), -sum(conjugate(g(v)) for v in fake) / 2)
    value, *_ = value_and_slopes(FGAN(name, non_saturating=True).generator, [0.0], fake)
    assert_close(value.item(), -sum(map(g, fake)) / 2)


@pytest.mark.parametrize("name", TABLE)
def test_the_best_discriminator_gives_minus_the_divergence_and_no_other_gives_less(name: str) -> None:
    """D_f(P||Q) = sum of q f(p/q) = max over T of E_P[T] - E_Q[f*(T)], at T = f'(p/q); over three points."""
    f, slope, _, _ = TABLE[name]
    p, q = [0.2, 0.5, 0.3], [0.4, 0.25, 0.35]
    best = torch.tensor([INVERSE[name](slope(a / b)) for a, b in zip(p, q, strict=True)], dtype=torch.float64)
    loss = FGAN(name)

    def expectation(v: Tensor) -> Tensor:
        rows = [(loss.discriminator(real_logits=t[None], fake_logits=0 * t[None]),
                 loss.discriminator(real_logits=0 * t[None], fake_logits=t[None])) for t in v]  # fmt: skip
        zero = loss.discriminator(real_logits=torch.zeros(1).double(), fake_logits=torch.zeros(1).double())
        at_zero = {"kl": math.exp(-1), "reverse_kl": -1.0}.get(name, 0.0)  # f*(g(0)), apart from -g(0)
        terms = zip(p, q, rows, strict=True)
        return torch.stack([a * (x - at_zero) + b * (y - zero + at_zero) for a, b, (x, y) in terms]).sum()

    divergence = sum(b * f(a / b) for a, b in zip(p, q, strict=True))
    assert_close(-expectation(best).item(), divergence, rtol=1e-9, atol=1e-12)
    for shift in (-0.1, 0.1):
        assert expectation(best + shift * torch.tensor([1.0, -1.0, 0.5]).double()) >= expectation(best)


@pytest.mark.parametrize("t", FAR)
def test_js_is_the_original_game_less_a_constant_and_exact_at_any_logit(t: float) -> None:
    """-log(2 - e^g) with g = log 2 - softplus(-v) is softplus(v) - log 2: no logarithm of a difference is taken."""
    value, real, fake = value_and_slopes(FGAN("js").discriminator, [t], [-t])
    assert_close(value.item(), 2 * softplus(-t) - 2 * math.log(2), rtol=1e-13, atol=1e-15)
    assert_close((real.item(), fake.item()), (-sigmoid(-t), sigmoid(-t)), rtol=1e-13, atol=0.0)
    logits = {"real_logits": torch.tensor([t]), "fake_logits": torch.tensor([-t])}
    assert_close(FGAN("js").discriminator(**logits), Minimax().discriminator(**logits) - 2 * math.log(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("v", [-80.0, -40.0, -30.0, 30.0, 40.0, 80.0])
def test_slopes_do_not_round_to_zero_or_infinity_far_out(v: float, dtype: torch.dtype) -> None:
    """kl: f* = e^(v-1); reverse_kl: g = -e^-v; hellinger: g = 1 - e^-v, f* = e^v - 1; tv: (1/2) sech^2 = 2 e^-2|v|."""
    if abs(v) == 80 and dtype is torch.float32:
        v = math.copysign(43.0, v)  # e^-2v is a float32 number (a subnormal one) until there
    expected = {
        "kl": (-1.0, math.exp(v - 1)),
        "reverse_kl": (-math.exp(-v), 1.0),
        "pearson": (-1.0, v / 2 + 1),
        "hellinger": (-math.exp(-v), math.exp(v)),
        "total_variation": (-2 * math.exp(-2 * abs(v)), 2 * math.exp(-2 * abs(v))),
    }
    for name, slopes in expected.items():
        logits = [torch.full((1,), v, dtype=dtype, requires_grad=True) for _ in range(2)]
        value = FGAN(name).discriminator(real_logits=logits[0], fake_logits=logits[1])
        for found, slope in zip(torch.autograd.grad(value, logits), slopes, strict=True):
            assert_close(found.item(), slope, rtol=2e-4 if dtype is torch.float32 else 1e-12, atol=0.0)


def test_an_unknown_divergence_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"divergence must be one of kl, .* Did you mean 'pearson'"):
        FGAN("person")
