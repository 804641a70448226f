from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from ganlab.metrics.kid import KID, mmd, subset_distances
from ganlab.testing.metrics import score


def draw(count: int, dim: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) + shift


def test_mmd_is_the_naive_sum_over_pairs() -> None:
    x, y = draw(5, 3, 0).double(), draw(4, 3, 1).double()

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a @ b / 3 + 1) ** 3)

    within = [sum(k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j) for s in (x, y)]
    between = sum(k(a, b) for a in x for b in y)
    expected = within[0] / (5 * 4) + within[1] / (4 * 3) - 2 * between / (5 * 4)
    assert_close(float(mmd(x, y)), expected, rtol=1e-12, atol=0)


def test_mmd_is_unbiased() -> None:
    """For x ~ N(0, 1), y ~ N(1, 1) in one dimension E (xx' + 1)^3 = 1 + 3 E[x^2]^2 and so on, by moments:

    E(ab + 1)^3 = 1 + 3 ab_1 + 3 ab_2 + ab_3 with ab_n = E[a^n] E[b^n]; moments (0, 1, 0) and (1, 2, 4).
    xx: 1 + 3 = 4; yy: 1 + 3 + 12 + 16 = 32; xy: 1 + 0 + 6 + 0 = 7. So MMD^2 = 4 + 32 - 14 = 22, at any n.
    """
    for count in (4, 20):
        x, y = draw(1500 * count, 1, 0).double(), draw(1500 * count, 1, 1, 1.0).double()
        values = torch.stack([mmd(a, b) for a, b in zip(x.split(count), y.split(count), strict=True)])
        error = float(values.std() / 1500**0.5)
        assert abs(float(values.mean()) - 22) < 3 * error
        assert error < 3  # tight enough to see the bias of counting pairs (i, i)


@pytest.mark.parametrize(("subsets", "size"), [(30, 100), (4, 20)])
def test_kid_is_torch_fidelitys_by_either_way_of_summing(subsets: int, size: int) -> None:
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    fake, real = draw(210, 16, 0, 0.2), draw(180, 16, 1)
    options = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 2020, "verbose": False}
    theirs = metric_kid.kid_features_to_metric(fake, real, **options)
    ours = score(KID(subsets, size), fake={"features": fake}, real={"features": real}).values
    assert_close(ours["kid"].value, theirs["kernel_inception_distance_mean"], rtol=1e-5, atol=1e-6)
    assert_close(ours["kid_std"].value, theirs["kernel_inception_distance_std"], rtol=1e-4, atol=1e-6)


def test_both_ways_of_summing_over_subsets_agree() -> None:
    fake, real = draw(60, 4, 0).double(), draw(50, 4, 1).double()
    many = subset_distances(fake, real, 200, 20, 7)  # all kernel values once
    few = subset_distances(fake, real, 5, 20, 7)  # subset by subset
    assert_close(many[:5], few, rtol=1e-10, atol=1e-12)


def test_few_images_are_said() -> None:
    found = score(KID(), fake={"features": draw(50, 4, 0)}, real={"features": draw(60, 4, 1)})
    assert "subsets of 25" in found.warnings[0]
    with pytest.raises(ValueError, match="subset_size"):
        KID(subset_size=1)
