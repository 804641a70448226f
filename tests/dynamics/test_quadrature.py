import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from ganlab.core.randomness import Distribution
from ganlab.dynamics.quadrature import LEVELS, PAIRS, Quadrature, column, nodes

MOMENTS: dict[Distribution, list[float]] = {
    "normal": [0, 1, 0, 3, 0],
    "uniform": [1 / (k + 1) for k in range(1, 6)],
}


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_nodes_have_the_moments_of_their_distribution(distribution: Distribution) -> None:
    for count in (LEVELS, 9, 72, PAIRS):
        x = nodes(count, distribution)
        assert (x.diff() > 0).all()
        for k, moment in enumerate(MOMENTS[distribution], 1):
            assert_close(float((x**k).mean()), float(moment), rtol=1e-12, atol=1e-12)


def test_draws_of_other_purposes_are_independent_in_pairs() -> None:
    """E[x^i y^j] = E[x^i]·E[y^j] for all powers, since each pair of nodes comes once."""
    stream = Quadrature("test")
    columns = [column(0, "normal"), *(stream.draw(purpose, (PAIRS,)) for purpose in "abcd")]
    columns += stream.draw("e", (PAIRS, 3)).T
    for x, y in itertools.combinations(columns, 2):
        for i, j in itertools.product(range(1, 6), repeat=2):
            assert_close(float((x**i * y**j).mean()), float((x**i).mean() * (y**j).mean()), rtol=1e-10, atol=1e-9)


def test_draws_are_the_same_each_time_and_expectations() -> None:
    first, second = (Quadrature("test") for _ in range(2))
    for shape in ((PAIRS, 1), (2 * PAIRS,), (73, 1)):
        x, y = first.draw("noise", shape), second.draw("noise", shape)
        assert torch.equal(x, y)
        assert x.shape == shape
        assert math.isclose(float(x.square().mean()), 1, rel_tol=1e-12)
