"""Eigenvalues by Arnoldi's iteration, against full decompositions."""

from __future__ import annotations

import torch

from ganlab.layers.arnoldi import eigenpairs


def test_as_many_products_as_dimensions_give_all_eigenvalues() -> None:
    matrix = torch.randn(12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = eigenpairs(lambda x: matrix @ x, torch.ones(12, dtype=torch.float64), 30)
    expected = torch.linalg.eigvals(matrix)
    expected = expected[torch.argsort(expected.abs(), descending=True)]
    torch.testing.assert_close(found.values.abs(), expected.abs())
    torch.testing.assert_close(found.values.real.sort().values, expected.real.sort().values)
    x = found.basis.to(found.vectors) @ found.vectors
    torch.testing.assert_close(matrix.to(x) @ x, x * found.values)
    torch.testing.assert_close(x.norm(dim=0), torch.ones(12, dtype=torch.float64))


def test_outer_eigenvalues_come_first_and_the_errors_are_those_of_the_pairs() -> None:
    """A rotation by 10i and 8, beside a hundred values below 1 in size."""
    matrix = torch.diag(torch.linspace(-1, 1, 103, dtype=torch.float64))
    matrix[:3, :3] = torch.tensor([[0.0, 10.0, 0.0], [-10.0, 0.0, 0.0], [0.0, 0.0, 8.0]])
    matrix[0, 50] = 3.0  # not normal
    found = eigenpairs(lambda x: matrix @ x, torch.ones(103, dtype=torch.float64), 12)
    assert found.basis.shape == (103, 12)
    torch.testing.assert_close(found.values[:3].abs(), torch.tensor([10.0, 10.0, 8.0], dtype=torch.float64))
    assert found.errors[:3].max() < 1e-6 < found.errors[-1]
    x = found.basis.to(found.vectors) @ found.vectors
    torch.testing.assert_close((matrix.to(x) @ x - x * found.values).norm(dim=0), found.errors)


def test_an_invariant_space_ends_it_and_numbers_that_are_not_finite_give_none() -> None:
    found = eigenpairs(lambda x: 2 * x, torch.ones(5), 4)
    assert found.values.tolist() == [2.0]
    assert found.errors.tolist() == [0.0]
    assert eigenpairs(lambda x: x / 0, torch.ones(5), 4).values.isnan().all()
