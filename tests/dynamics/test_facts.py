"""Known facts about the convergence of GANs, by `ganlab.dynamics`: theory and simulation of the very components.

Mescheder et al. 2017, 2018 (arXiv:1705.10461, 1801.04406); Gidel et al. 2019 (arXiv:1807.04740, 1802.10551); Daskalakis
et al. 2018 (arXiv:1711.00141); Heusel et al. 2017 (arXiv:1706.08500).
"""

from __future__ import annotations

import pytest

from ganlab.dynamics import building, laboratory, theory, verdicts
from ganlab.dynamics.field import Field
from ganlab.dynamics.verdicts import CONVERGES, CYCLES, DIVERGES, SUBLINEAR, UNDECIDED

BOTH_MOMENTUM = "optimizer.generator.momentum={0} optimizer.discriminator.momentum={0}"
QUICK = "optimizer.generator.lr=0.2 optimizer.discriminator.lr=0.2"
# words, and the verdict of both theory and simulation
FACTS = {
    "unregularized play in turns cycles": (f"loss=minimax {QUICK}", CYCLES),
    "together it leaves": (f"loss=minimax game.update=simultaneous {QUICK}", DIVERGES),
    "the critic without a penalty cycles": ("loss=wasserstein", CYCLES),
    "the non-saturating loss converges like a power": (f"loss=non_saturating {QUICK}", SUBLINEAR),
    "r1 converges": ("loss=non_saturating reg=r1 reg.r1.gamma=1", CONVERGES),
    "momentum hurts play in turns": ("loss=wasserstein " + BOTH_MOMENTUM.format(0.2), DIVERGES),
    "negative momentum helps it": ("loss=wasserstein " + BOTH_MOMENTUM.format(-0.3), CONVERGES),
    "extragradient converges": (f"loss=wasserstein game.update=extragradient {QUICK}", CONVERGES),
    "optimistic play converges": (f"loss=wasserstein game.update=optimistic {QUICK}", CONVERGES),
    "two time scales alone do not": (
        "loss=wasserstein optimizer.discriminator.lr=0.2 optimizer.generator.lr=0.05", CYCLES
    ),
    "two time scales do under consensus": (
        "loss=wasserstein reg=consensus reg.consensus.gamma=1 optimizer.discriminator.lr=0.2"
        " optimizer.generator.lr=0.05",
        CONVERGES,
    ),
}  # fmt: skip


QUICK_ONES = "r1 converges", "momentum hurts play in turns"


@pytest.mark.parametrize(
    "name", [name if name in QUICK_ONES else pytest.param(name, marks=pytest.mark.slow) for name in FACTS]
)
def test_theory_says_that(name: str) -> None:
    words, expected = FACTS[name]
    built = building.build(building.problem("dirac"), building.configuration(words.split()))
    found = theory.theory(Field(built)).verdict
    assert found.word == expected, found.reason


@pytest.mark.parametrize(
    "name", [name if name in QUICK_ONES[:1] else pytest.param(name, marks=pytest.mark.slow) for name in FACTS]
)
def test_simulation_agrees_that(name: str) -> None:
    words, expected = FACTS[name]
    found = laboratory.study("dirac", words.split(), iterations=300 if name in QUICK_ONES[:1] else 1500)
    assert found.simulation.word == expected, found.simulation.reason
    assert verdicts.disagreement(found.theory.verdict, found.simulation) is None
    if (rate := found.theory.verdict.rate) is not None:
        assert found.simulation.rate == pytest.approx(rate, abs=max(2e-4, 0.1 * abs(1 - rate)))


def test_steps_that_are_too_large_are_told_from_a_game_that_diverges() -> None:
    """D = ψx² with R1 has 4 gamma = 40 in ψ: the factor of an iteration is about 1 - 0.05 · 40 = -1, and a bit beyond.

    Two Wasserstein players that step together leave with steps of any size.
    """
    words = ["loss=wasserstein", "reg=r1"]
    large = theory.theory(Field(building.build(building.problem("linear_quadratic"), building.configuration(words))))
    assert large.verdict.word == DIVERGES
    assert large.verdict.reason.endswith("smaller steps converge, as the flow does")
    words = ["loss=wasserstein", "game.update=simultaneous"]
    leaves = theory.theory(Field(building.build(building.problem("dirac"), building.configuration(words))))
    assert leaves.verdict.word == DIVERGES
    assert "smaller" not in leaves.verdict.reason


def test_steps_beyond_all_numbers_have_no_eigenvalues() -> None:
    words = ["loss=wasserstein", *QUICK.replace("0.2", "1e308").split()]
    found = theory.theory(Field(building.build(building.problem("dirac"), building.configuration(words))))
    assert (found.verdict.word, found.map) == (UNDECIDED, None)
    assert "take smaller steps" in found.verdict.reason


def test_the_hinge_is_linear_near_the_equilibrium_alone() -> None:
    """Within |ψθ| < 1 its slopes are 1; the logistic loss bends everywhere."""
    for loss, linear in (("hinge", True), ("wasserstein", True), ("minimax", False)):
        words = [f"loss={loss}"]
        of = Field(building.build(building.problem("dirac"), building.configuration(words)))
        assert theory.theory(of).verdict.reason.startswith("the map is linear nearby") == linear


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("loss=wgan_gp reg.gradient_penalty.weight=0.3", CYCLES),
        pytest.param("loss=wgan_gp reg.gradient_penalty.weight=1", DIVERGES, marks=pytest.mark.slow),
        pytest.param("loss=wgan_clip", CYCLES, marks=pytest.mark.slow),
    ],
)
def test_wgan_with_a_penalty_around_1_or_clipping_does_not_converge(words: str, expected: str) -> None:
    """Sec. 3 of 1801.04406. For ψ > 0 the penalty w(|ψ| - 1)² makes ψ' = -θ - 2w(ψ - 1), θ' = ψ, a motion
    about ψ = 0, θ = 2w with the eigenvalues -w ± √(w² - 1): from w = 1 on it comes to rest there, with the fake
    point at 2w; below it crosses ψ = 0, where the same happens on the other side, and so on.
    """
    rates = "optimizer.generator.lr=0.2 optimizer.discriminator.lr=0.2"
    found = laboratory.study("dirac", [*words.split(), *rates.split()], iterations=400)
    assert found.simulation.word == found.verdict.word == expected, found.simulation.reason
    if "weight=1" in words:
        assert abs(found.paths[-1, 0]).tolist() == pytest.approx([0, 2], abs=1e-6)  # on either side
