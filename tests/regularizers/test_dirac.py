"""The Dirac GAN of Mescheder et al. 2018 (arXiv:1801.04406): what must converge does, and what must not does not.

Data is a point at 0, the generator a point at theta, the discriminator D(x) = psi x. Near (0, 0) a simultaneous
step of size h multiplies (psi, theta) by 1 + h J; theory gives the eigenvalues of J. Where their real parts are
negative small steps converge; where they are imaginary none does. The logistic loss has the slope
1/2 and the curvature 1/4 at 0, the Wasserstein loss 1 and 0.
"""

import cmath
from collections.abc import Callable

import pytest
import torch
from support.engine import Engine
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.regularizer import Regularizer
from ganlab.games.standard import Standard
from ganlab.losses.f_gan import FGAN
from ganlab.losses.non_saturating import NonSaturating
from ganlab.losses.wasserstein import Wasserstein
from ganlab.regularizers.consensus import Consensus
from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.regularizers.instance_noise import InstanceNoise
from ganlab.regularizers.locally_stable import LocallyStable
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.r2 import R2
from ganlab.regularizers.roth import Roth
from ganlab.regularizers.wgan_div import WGANDiv

RATE, NEAR = 0.05, 1e-4


Make = Callable[[], Regularizer]


class Point(nn.Module):
    latent_dim, num_classes = 3, 0

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([[theta]], dtype=torch.float64))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(z), 1)


class Line(nn.Module):
    num_classes = 0

    def __init__(self, psi: float) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor([[psi]], dtype=torch.float64))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (x @ self.psi).squeeze(1)


def after(psi: float, theta: float, loss: object, regularizer: Make | None, steps: int = 1, batch: int = 4) -> Tensor:
    """(psi, theta) after simultaneous steps, at least to the first order in both."""
    generator, line = Point(theta), Line(psi)
    game = Standard(generator=generator, discriminator=line, loss=loss, update="simultaneous")
    engine = Engine(game, {} if regularizer is None else {"r": regularizer()}, rate=RATE, batch_size=batch)
    engine.module.double()
    for _ in range(steps):
        engine.iterate(torch.zeros(batch, 1, dtype=torch.float64))
    return torch.stack([line.psi.detach().squeeze(), generator.theta.detach().squeeze()])


def eigenvalues(loss: object, regularizer: Make | None, **options: int) -> Tensor:
    """Of J, by differences of one step."""
    origin = after(0.0, 0.0, loss, regularizer, **options)
    columns = [(after(*at, loss, regularizer, **options) - origin) / NEAR for at in ((NEAR, 0.0), (0.0, NEAR))]
    return torch.linalg.eigvals((torch.stack(columns, 1) - torch.eye(2)) / RATE)


def spiral(damping: float, slope: float) -> list[complex]:
    """Eigenvalues of [[-damping, -slope], [slope, 0]]."""
    root = cmath.sqrt(damping**2 / 4 - slope**2)
    return [-damping / 2 + root, -damping / 2 - root]


CASES: dict[str, tuple[object, Make | None, list[complex]]] = {
    "nothing": (NonSaturating(), None, spiral(0, 0.5)),
    "wasserstein": (Wasserstein(), None, spiral(0, 1.0)),
    "r1": (NonSaturating(), lambda: R1(gamma=0.6), spiral(0.6, 0.5)),
    "r2": (NonSaturating(), lambda: R2(gamma=0.6), spiral(0.6, 0.5)),
    "center 0": (Wasserstein(), lambda: GradientPenalty(weight=0.3, center=0.0), spiral(0.6, 1.0)),
    "wgan_div, p = 2": (Wasserstein(), lambda: WGANDiv(k=0.3, p=2), spiral(0.6, 1.0)),
    # p > 2: the penalty has no curvature where the slope is 0, and the game turns for ever
    "wgan_div, p = 6": (Wasserstein(), lambda: WGANDiv(k=0.3), spiral(0, 1.0)),
    # both kinds of images have the weight sigmoid(0)^2: gamma/2 (psi^2 / 4 + psi^2 / 4)
    "roth": (NonSaturating(), lambda: Roth(gamma=0.6), spiral(0.3, 0.5)),
    # pearson: f*(v) = v^2/4 + v, so D's own curvature at 0 fakes is 0 (x = 0), and the weight is 1/2
    "roth, pearson": (FGAN("pearson"), lambda: Roth(gamma=0.6), spiral(0.3, 1.0)),
    # ||v||^2 = (theta^2 + psi^2) / 4, so that both coordinates shrink by gamma / 4
    "consensus": (NonSaturating(), lambda: Consensus(gamma=2.0), [-0.5 + 0.5j, -0.5 - 0.5j]),
    # the generator's own penalty is weight · theta^2 / 4
    "locally_stable": (NonSaturating(), lambda: LocallyStable(weight=1.5), spiral(0.75, 0.5)),
    "locally_stable, wasserstein": (Wasserstein(), lambda: LocallyStable(weight=0.5), spiral(1.0, 1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_field_has_the_eigenvalues_of_theory(name: str) -> None:
    loss, regularizer, expected = CASES[name]
    found = sorted(eigenvalues(loss, regularizer).tolist(), key=lambda e: (e.real, e.imag))
    expected = sorted(map(complex, expected), key=lambda e: (e.real, e.imag))
    assert_close(torch.tensor(found), torch.tensor(expected), rtol=0, atol=2e-4, check_dtype=False)


def test_instance_noise_damps_the_discriminator_by_its_variance_times_the_loss_curvature() -> None:
    """d^2/dpsi^2 E[softplus(-psi e) + softplus(psi e')] = (std^2 + std^2) / 4."""
    found = eigenvalues(NonSaturating(), lambda: InstanceNoise(std=1.2), batch=40_000).tolist()
    expected = spiral(1.2**2 / 2, 0.5)
    assert_close(sum(found).real, sum(expected).real, rtol=0.03, atol=0)
    assert_close((found[0] * found[1]).real, (expected[0] * expected[1]).real, rtol=0.03, atol=0)


@pytest.mark.parametrize("regularizer", [lambda: GradientPenalty(weight=1.0), None], ids=["wgan_gp", "wgan"])
def test_wgan_and_wgan_gp_do_not_converge(regularizer: Make | None) -> None:
    """WGAN-GP pushes the slope |psi| away from 0 to its center, and theta with it."""
    assert after(0.01, 0.01, Wasserstein(), regularizer, steps=80).norm() > 0.0145
