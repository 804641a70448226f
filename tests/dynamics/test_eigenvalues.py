"""Eigenvalues of small games against closed forms.

Dirac-GAN: D = ψ·x, one real point 0, one fake θ. With slopes f' of the losses at a logit of 0, v = (dL_D/dψ, dL_G/dθ)
is (f'·θ + dR/dψ, -f'·ψ) to first order, with R what the regularizer adds. So dw/dt = -v has the matrix
[[-damping, -f'], [f', -damping of G]], and without the latter the eigenvalues -damping/2 ± √(damping²/4 - f'²).
The logistic losses have f' = 1/2 and the curvature 1/4, the Wasserstein loss f' = 1 and no curvature.
"""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganlab.dynamics import building, maps, trajectories
from ganlab.dynamics.field import Field

H = 0.05  # the step size of both players by default


def field(*words: str, problem: str = "dirac") -> Field:
    return Field(building.build(building.problem(problem), building.configuration(words)))


def spiral(damping: float, slope: float) -> list[complex]:
    """Eigenvalues of [[-damping, -slope], [slope, 0]]."""
    root = cmath.sqrt(damping**2 / 4 - slope**2)
    return [-damping / 2 + root, -damping / 2 - root]


def ordered(values: Sequence[complex] | Tensor) -> Tensor:
    values = values if isinstance(values, Tensor) else torch.tensor(values, dtype=torch.complex128)
    key = (values.real * 1e6).round() * 1e3 + values.imag  # rounding must not decide the order
    return values[torch.argsort(key)]


# gamma/2 ψ² at reals or fakes has the curvature gamma; weight·ψ² the curvature 2 weight
FLOWS: dict[str, tuple[list[str], list[complex]]] = {
    "minimax": (["loss=minimax"], spiral(0, 0.5)),
    "non_saturating": (["loss=non_saturating"], spiral(0, 0.5)),
    "wasserstein": (["loss=wasserstein"], spiral(0, 1)),
    "hinge": (["loss=hinge"], spiral(0, 1)),
    "relativistic": (["loss=relativistic"], spiral(0, 0.5)),
    "relativistic_average": (["loss=relativistic_average"], spiral(0, 1)),  # twice softplus(ψθ) for each player
    "r1": (["loss=non_saturating", "reg=r1", "reg.r1.gamma=0.6"], spiral(0.6, 0.5)),
    "r1, critical": (["loss=non_saturating", "reg=r1", "reg.r1.gamma=1"], spiral(1, 0.5)),
    "r2": (["loss=non_saturating", "reg=r2", "reg.r2.gamma=0.6"], spiral(0.6, 0.5)),
    "r1 and r2": (["loss=minimax", "reg=[r1,r2]", "reg.r1.gamma=0.2", "reg.r2.gamma=0.3"], spiral(0.5, 0.5)),
    # the discriminator's rate is 4/5 of what is asked for, since it has five steps in four iterations
    "lazy r1": (
        ["loss=minimax", "reg=r1", "reg.r1.gamma=0.6", "reg.r1.interval_steps=4"], spiral(0.6, 0.5 * (5 / 4) ** 0.5)
    ),
    "center 0": (
        ["loss=wgan_gp", "reg.gradient_penalty.center=0", "reg.gradient_penalty.weight=0.3"], spiral(0.6, 1)
    ),
    "wgan_div, p = 2": (["loss=wgan_div", "reg.wgan_div.k=0.3", "reg.wgan_div.p=2"], spiral(0.6, 1)),
    "wgan_div, p = 6": (["loss=wgan_div", "reg.wgan_div.k=0.3"], spiral(0, 1)),
    # the logistic weights of reals and fakes are sigmoid(0)² = 1/4 each: gamma/2·(ψ²/4 + ψ²/4)
    "roth": (["loss=non_saturating", "reg=roth", "reg.roth.gamma=0.6"], spiral(0.3, 0.5)),
    # E[softplus(-ψe) + softplus(ψe')] has the curvature (σ² + σ²)/4
    "instance noise": (["loss=minimax", "reg=instance_noise", "reg.instance_noise.std=1.2"], spiral(1.2**2 / 2, 0.5)),
    # |v|² = f'²(θ² + ψ²), so gamma/2·|v|² damps both players by gamma·f'²
    "consensus": (
        ["loss=minimax", "reg=consensus", "reg.consensus.gamma=2"], [-0.5 + 0.5j, -0.5 - 0.5j]
    ),
    # the generator minimises weight·f'²θ² in addition
    "locally stable": (
        ["loss=non_saturating", "reg=locally_stable", "reg.locally_stable.weight=1.5"], spiral(0.75, 0.5)
    ),
    # weight·2·ψ of L2's own gradient, which has no graph
    "l2": (["loss=minimax", "reg=l2", "reg.l2.weight=0.3"], spiral(0.6, 0.5)),
    # dψ/dt = -v_ψ, dθ/dt = -v_θ / 4 by a quarter of the rate: f'·√(1/4) takes the place of f'
    "two time scales": (
        ["loss=wasserstein", "optimizer.discriminator.lr=0.2", "optimizer.generator.lr=0.05"], spiral(0, 0.5)
    ),
}  # fmt: skip


BY_DIFFERENCES = ("l2", "wgan_div, p = 2")  # it changes gradients itself; the power of a norm at 0


def some(names: Sequence[str], plain: Sequence[str]) -> list[Any]:
    """All names; those that are not ``plain`` are slow tests."""
    return [name if name in plain else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", some([*FLOWS], ["r1", "consensus", "instance noise", "wgan_div, p = 2", "l2"]))
def test_the_flow_at_the_dirac_has_the_eigenvalues_of_the_closed_form(name: str) -> None:
    words, expected = FLOWS[name]
    of = field(*words)
    found = torch.linalg.eigvals(maps.flow(of, maps.rates(of)))
    # a double eigenvalue is known to the root of the precision of the matrix
    close = 1e-6 if name == "r1, critical" else 1e-9
    assert_close(ordered(found), ordered(expected), rtol=0, atol=close)
    assert of.exact == (name not in BY_DIFFERENCES)


def test_quadratic_discriminators_have_the_moments_of_the_normal_distribution() -> None:
    """With D = ψx² and x ~ N(0, 1) the logistic loss has in ψ the curvature 2·E[x⁴]/4 = 3/2, and with G = θz the slope
    of ψ·(θ² - 1)/2 in θ is ψ at θ = 1. R1 is gamma/2·E[(2ψx)²], of curvature 4 gamma. With D = a·x + b·x² the games of
    a and the mean, curvature 2·E[x²]/4 = 1/2 and slope 1/2, and of b and the scale, come apart.
    """
    plain = torch.linalg.eigvals(maps.flow(of := field("loss=minimax", problem="linear_quadratic"), maps.rates(of)))
    assert_close(ordered(plain), ordered(spiral(1.5, 1)), rtol=0, atol=1e-9)
    r1 = field("loss=wasserstein", "reg=r1", "reg.r1.gamma=0.3", problem="linear_quadratic")
    found = torch.linalg.eigvals(maps.flow(r1, maps.rates(r1)))
    assert_close(ordered(found), ordered(spiral(1.2, 2)), rtol=0, atol=1e-9)
    both = torch.linalg.eigvals(maps.flow(of := field("loss=minimax", problem="gaussian"), maps.rates(of)))
    assert_close(ordered(both), ordered(spiral(0.5, 0.5) + spiral(1.5, 1)), rtol=0, atol=1e-9)


def test_penalties_at_interpolates_have_the_moments_of_interpolates() -> None:
    """x^ = ux + (1 - u)z has E[x^] = 0 and E[x^²] = E[u²] + E[(1 - u)²] = 2/3. So weight·E[|D'(x^)|²] has in b of
    D = a·x + b·x² the curvature 2·weight·4·2/3, and in a 2·weight; the Wasserstein slopes are 2 and 1.
    """
    words = ("loss=wgan_gp", "reg.gradient_penalty.center=0", "reg.gradient_penalty.weight=0.3")
    found = torch.linalg.eigvals(maps.flow(of := field(*words, problem="linear_quadratic"), maps.rates(of)))
    assert_close(ordered(found), ordered(spiral(1.6, 2)), rtol=0, atol=1e-9)
    both = torch.linalg.eigvals(maps.flow(of := field(*words, problem="gaussian"), maps.rates(of)))
    assert_close(ordered(both), ordered(spiral(0.6, 1) + spiral(1.6, 2)), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("words", "size"), [([], 2), (["optimizer.generator.momentum=0.5"], 4), (["game.update=optimistic"], 4)], ids=str
)
def test_the_map_has_momenta_and_last_steps_only_where_there_are_some(words: list[str], size: int) -> None:
    """Eigenvalues 0 of a momentum that is none would be told as those of the game."""
    matrix, _ = maps.iteration(of := field("loss=wasserstein", *words), maps.rates(of) or {})
    assert matrix.shape == (size, size)


MAPS = {
    "simultaneous": ["game.update=simultaneous"],
    "alternating, three steps": ["game.discriminator_steps=3"],
    "simultaneous, three steps": ["game.discriminator_steps=3", "game.update=simultaneous"],
    "heavy ball": ["optimizer.generator.momentum=0.5", "optimizer.discriminator.momentum=0.3"],
    "negative momentum": ["optimizer.generator.momentum=-0.3", "optimizer.discriminator.momentum=-0.3"],
    "nesterov": ["optimizer.generator.momentum=0.5", "optimizer.generator.nesterov=true", "game.update=simultaneous"],
    "decay": ["optimizer.discriminator.weight_decay=0.1"],
    "extragradient": ["game.update=extragradient", "optimizer.generator.momentum=0.4"],
    "extragradient with L2, which changes gradients": [
        "game.update=extragradient",
        "reg=l2",
        "reg.l2.weight=0.9",
        "optimizer.discriminator.lr=0.3",
    ],
    "optimistic": ["game.update=optimistic", "optimizer.generator.momentum=0.4"],
    "lazy": ["reg=r1", "reg.r1.interval_steps=3", "reg.r1.gamma=1"],
    "lazy, optimistic": ["reg=r1", "reg.r1.interval_steps=3", "reg.r1.gamma=1", "game.update=optimistic"],
}


@pytest.mark.parametrize(
    "name",
    some([*MAPS], ["alternating, three steps", "extragradient with L2, which changes gradients", "lazy, optimistic"]),
)
def test_the_map_predicts_the_iterations_of_the_engine(name: str) -> None:
    """Near the equilibrium, where the game is linear, state_k = M^k state_0; momenta and last steps begin with 0."""
    of = field("loss=relativistic_average", *MAPS[name])
    found = maps.rates(of)
    assert found is not None
    matrix, count = maps.iteration(of, found)
    begin = torch.tensor([[2e-5, -3e-5]], dtype=torch.float64)
    played = trajectories.simulate(of, begin, 6 * count)[::count, 0]
    state = torch.cat([begin[0], torch.zeros(len(matrix) - 2, dtype=torch.float64)])
    if of.play.game.update == "optimistic":  # the engine takes nothing back in the first iteration
        first = played[1] - begin[0]
        assert first.norm() > 0
        momenta, lasts = _memory(of, begin[0], count)
        state = torch.cat([played[1], *([momenta] if len(matrix) == 6 else []), lasts])
        played = played[1:]
    for weights in played:
        assert_close(weights, state[:2], rtol=1e-6, atol=1e-13)
        state = matrix @ state


def _memory(of: Field, begin: Tensor, count: int) -> list[Tensor]:
    """Momenta and last steps after ``count`` iterations of the engine."""
    play = of.play
    play.begin(begin)
    for _ in range(count):
        play.iterate()
    momenta, lasts = [], []
    for player, group in play.optimizers.parameters.items():
        state = play.optimizers.by_player[player].state
        for p in group:
            buffer = state[p].get("momentum_buffer")
            momenta.append(torch.zeros(p.numel(), dtype=torch.float64) if buffer is None else buffer.reshape(-1))
        lasts += [step.reshape(-1) for step in play.optimizers.last_steps[player]]
    return [torch.cat(momenta), torch.cat(lasts)]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4])
def test_alternating_and_simultaneous_maps_have_the_published_moduli(steps: int) -> None:
    """Mescheder et al. 2018, sec. 2: √(1 + h²f'²) when all step together; in turns, with n steps of the
    discriminator and α² = n h² f'², the eigenvalues 1 - α²/2 ± √((1 - α²/2)² - 1), of modulus 1 for α < 2.
    """
    together = field("loss=minimax", "game.update=simultaneous", f"game.discriminator_steps={steps}")
    values = torch.linalg.eigvals(maps.iteration(together, maps.rates(together) or {})[0]).abs()
    assert_close(float(values.max()), (1 + H**2 / 4) ** 0.5, rtol=1e-12, atol=0)
    turns = field("loss=minimax", f"game.discriminator_steps={steps}")
    found = torch.linalg.eigvals(maps.iteration(turns, maps.rates(turns) or {})[0][:2, :2])
    middle = 1 - steps * H**2 / 8
    root = cmath.sqrt(middle**2 - 1)
    assert_close(ordered(found), ordered([middle + root, middle - root]), rtol=0, atol=1e-9)
