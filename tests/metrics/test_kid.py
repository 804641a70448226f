from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from ganlab.metrics import kid
from ganlab.metrics.kid import KID, Spread, mmd, subset_distances
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


def test_the_variance_is_that_of_the_closed_form() -> None:
    """x ~ N(0, 1), y = 1 + u, u ~ N(0, 1), k = (xy + 1)^3 = 1 + 3xy + 3x^2 y^2 + x^3 y^3.

    h(x) = 1 + 3x^2 - (1 + 3x + 6x^2 + 4x^3): variance 9 + 72 + 240 + 18 = 339; h(y) = 10 + 21u + 15u^2 + 4u^3: 1635.
    E k~^2 = sum_ab c_a c_b cov(a, b) cov(a, b) over the powers, c = (3, 3, 1): of two x, whose powers have the
    covariances 1, 2, 15 and 3 (of the 1st and 3rd), 9 + 36 + 225 + 54 = 324; of two y, with 1, 6, 60, 2, 6 and 18,
    9 + 324 + 3600 + 72 + 216 + 1944 = 6165; of an x and a y 9 + 108 + 900 + 108 = 1125.
    """
    found = []
    for seed in range(60):
        x, y = draw(400, 1, seed).double(), draw(400, 1, 1000 + seed, 1.0).double()
        parts = Spread.of(x, y, seed)
        found.append([*parts.linear, *parts.within, parts.between])
    values = torch.tensor(found)
    error = values.std(0) / len(values) ** 0.5
    expected = torch.tensor([339.0, 1635, 324, 6165, 1125])
    assert ((values.mean(0) - expected).abs() < 3 * error).all()
    assert (error < 0.1 * expected).all()
    assert_close(Spread((3.0, 5.0), (7.0, 11.0), 13.0).variance(4, 5), 3 + 4 + 7 / 6 + 11 / 10 + 13 / 5)


def test_the_variance_of_few_images_is_unbiased() -> None:
    """x = -+1, y = 1 with 3/4 and -1 with 1/4: k = 4 + 4xy, so k~ = 4 (x - E x)(y - E y), of mean squares 16, 9 and
    12; h(x) = 4 - (4 + 2x) has variance 4, and h(y) = 4 + 2y - 4 has 3."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(500, 2, 10, 1, generator=generator).double()
    found = []
    for seed, (of_x, of_y) in enumerate(draws):
        parts = Spread.of(torch.where(of_x < 1 / 2, 1.0, -1.0), torch.where(of_y < 3 / 4, 1.0, -1.0), seed)
        found.append([*parts.linear, *parts.within, parts.between])
    values = torch.tensor(found)
    error = values.std(0) / len(values) ** 0.5
    expected = torch.tensor([4.0, 3, 16, 9, 12])
    assert ((values.mean(0) - expected).abs() < 3 * error).all()
    assert (error < 0.08 * expected).all()


@pytest.mark.parametrize("subsets", [40, 2])
def test_the_interval_has_the_width_that_repetitions_have(subsets: int) -> None:
    """Of 100 draws of both sets; the deviation over subsets would be several times too large."""
    values, halves = [], []
    for seed in range(100):
        fake, real = {"features": draw(100, 4, seed, 0.4)}, {"features": draw(100, 4, 500 + seed)}
        value = score(KID(subsets, subset_size=20), fake=fake, real=real).values["kid"]
        assert value.low is not None
        values.append(value.value)
        halves.append((value.value - value.low) / 1.96)
    deviation = torch.tensor(values).std()
    assert_close(torch.tensor(halves).mean(), deviation, rtol=0.2, atol=0)  # 100 repetitions know it to 7 %


def test_blocks_of_the_kernels_matrix_give_the_sums_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = draw(60, 4, 0).double(), draw(50, 4, 1).double()
    whole = mmd(fake, real), subset_distances(fake, real, 200, 20, 7)
    monkeypatch.setattr(kid, "_ELEMENTS", 350)
    assert_close((mmd(fake, real), subset_distances(fake, real, 200, 20, 7)), whole, rtol=1e-12, atol=1e-14)


def test_few_images_are_said() -> None:
    found = score(KID(), fake={"features": draw(50, 4, 0)}, real={"features": draw(60, 4, 1)})
    assert "subsets of 25" in found.warnings[0]
    with pytest.raises(ValueError, match="subset_size"):
        KID(subset_size=1)
