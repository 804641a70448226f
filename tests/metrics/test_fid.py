from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from ganlab.contracts.metric import Batch, Context, Stream
from ganlab.metrics import fid, intervals, moments
from ganlab.metrics.frechet import Frechet, frechet
from ganlab.testing.metrics import keep, score


def draw(count: int, dim: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) * scale + shift


@pytest.mark.parametrize("rows_at_once", [1024, 50])
def test_moments_of_a_stream_are_those_of_all_of_it_also_far_from_the_origin(
    rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "_ROWS", rows_at_once)
    monkeypatch.setattr(moments, "_COLUMNS", 2)
    features = draw(503, 5, 0, shift=3e5).double().float()
    part = moments.Moments(4).begin(Stream(503, 5))
    for start in range(0, 503, 19):
        rows = features[start : start + 19]
        part.update(Batch(start, torch.zeros(len(rows), 1, 1, 1), features=rows))
    kept = part.tensors()
    assert kept["count"].tolist() == [126, 126, 126, 125]
    whole = moments.combine([moments.part_of(kept, b) for b in range(4)])
    assert_close(whole["mean"], features.double().mean(0), rtol=1e-14, atol=0)
    assert_close(moments.covariance(whole), features.double().T.cov(), rtol=1e-9, atol=1e-9)


def test_the_interval_of_fid_does_not_depend_on_whether_images_are_sorted() -> None:
    """Two far clusters, by turns and one after the other: consecutive blocks would be of one cluster each."""
    fake, real = draw(400, 3, 1), draw(400, 3, 2)
    fake[200:] += 6
    real[::2] += 6
    turns = torch.arange(400).view(2, 200).T.flatten()
    orders = (turns, turns.sort().values)
    found = [score(fid.FID(), fake={"features": fake[o]}, real={"features": real}).values["fid"] for o in orders]
    widths = [value.high - value.low for value in found]  # type: ignore[operator]
    assert found[0].value == pytest.approx(found[1].value)
    assert 1 / 2.5 < widths[1] / widths[0] < 2.5  # ten blocks know it to a quarter each; consecutive ones gave 20


def test_moments_of_classes_are_those_of_the_images_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_ROWS", 32)
    features, labels = draw(100, 3, 1), torch.arange(100) % 7 % 3
    part = moments.ClassMoments().begin(Stream(100, 3, num_classes=4))
    for start in range(0, 100, 9):
        rows = slice(start, start + 9)
        part.update(Batch(start, torch.zeros(len(features[rows]), 1, 1, 1), labels[rows], features[rows]))
    kept = part.tensors()
    assert kept["count"].tolist() == [*labels.bincount().tolist(), 0]
    for label in range(3):
        own = features[labels == label].double()
        assert_close(kept["mean"][label], own.mean(0))
        assert_close(moments.covariance(moments.part_of(kept, label)), own.T.cov())


def test_frechet_distance_of_gaussians_with_common_axes() -> None:
    """Covariances that share their eigenvectors Q: d^2 = |m_1 - m_2|^2 + sum (sqrt a_i - sqrt b_i)^2."""
    q = torch.linalg.qr(draw(4, 4, 0).double()).Q
    a, b = torch.tensor([1.0, 4.0, 0.25, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0, 0.0]).double()
    mean, other = torch.tensor([1.0, 0, 0, 2]).double(), torch.tensor([0.0, 0, 0, 0]).double()
    expected = 5 + ((a.sqrt() - b.sqrt()) ** 2).sum()
    for left, right in ((a, b), (b, a)):
        found = frechet(mean, q @ left.diag() @ q.T, other, q @ right.diag() @ q.T)
        assert_close(found, float(expected), rtol=1e-7, atol=0)


def test_frechet_distance_of_gaussians_that_do_not_commute() -> None:
    """In two dimensions tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)), by Cayley and Hamilton."""
    a, b = torch.tensor([[2.0, 1.0], [1.0, 1.0]]).double(), torch.tensor([[1.0, -0.5], [-0.5, 3.0]]).double()
    product = a @ b
    root = (product.trace() + 2 * product.det().sqrt()).sqrt()
    zero = torch.zeros(2).double()
    assert_close(frechet(zero, a, zero, b), float(a.trace() + b.trace() - 2 * root), rtol=1e-12, atol=0)


def test_the_distance_is_exact_where_images_are_fewer_than_dimensions() -> None:
    """The points x_i of one set are those of the other, twice as far from their mean: S_2 = 4 S_1, so d^2 = tr S_1."""
    points = draw(7, 40, 1).double()
    points -= points.mean(0)
    covariance = points.T.cov()
    mean = points.mean(0)
    for rank in (None, 6):
        found = Frechet(mean, covariance, rank).distance(mean, 4 * covariance, rank)
        assert_close(found, float(covariance.trace()), rtol=1e-6, atol=0)
        assert 0 <= Frechet(mean, covariance, rank).distance(mean, covariance, rank) < 1e-5
    for dim in (5, 40):  # of which rounding would leave some below 0
        x = draw(400 if dim > 7 else 7, dim, 1).double()
        assert 0 <= frechet(x.mean(0), x.T.cov(), x.mean(0), x.T.cov()) < 1e-12


@pytest.mark.parametrize("dims", [(60, 500), (200, 120)])
def test_fid_is_torch_fidelitys(dims: tuple[int, int]) -> None:
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    dim, count = dims
    real, fake = draw(count, dim, 2), draw(count + 50, dim, 3, 0.8, 0.1)
    statistics = [metric_fid.fid_features_to_statistics(x.double()) for x in (fake, real)]
    theirs = metric_fid.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    ours = score(fid.FID(), fake={"features": fake}, real={"features": real})
    assert_close(ours.values["fid"].value, theirs, rtol=1e-6, atol=1e-6)
    assert bool(ours.warnings) == (count <= dim)


def test_the_interval_of_fid_covers_as_often_as_it_says() -> None:
    """FID of n samples scatters around its mean; intervals of repetitions must hold it about 95 times of 100."""
    real = {"features": draw(2000, 2, 0)}
    repetitions = [
        score(fid.FID(), fake={"features": draw(400, 2, 10 + i, 1.2, 0.3)}, real=real, batch=400) for i in range(60)
    ]
    values = [s.values["fid"] for s in repetitions]
    mean = sum(v.value for v in values) / len(values)
    covered = sum(v.low <= mean <= v.high for v in values if v.low is not None and v.high is not None)
    assert covered >= 52  # of 60; below with probability 1 % at a level of 95 %


def test_the_derivative_of_the_distance_is_that_of_its_formula() -> None:
    """By central differences of |m - m_1|^2 + tr S_1 + tr S - 2 tr (S_1 S)^(1/2), the root by eigenvalues of S_1 S."""
    a, b = (x.T.cov() for x in (draw(50, 4, 1).double(), draw(50, 4, 2, 1.5).double()))
    mean, other = draw(1, 4, 3).double()[0], draw(1, 4, 4).double()[0]

    def formula(m: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        root = torch.linalg.eigvals(a @ s).real.clamp(min=0).sqrt().sum()
        return (m - mean).square().sum() + a.trace() + s.trace() - 2 * root

    value, by_mean, by_covariance = Frechet(mean, a).expanded(other, b)
    assert_close(value, float(formula(other, b)), rtol=1e-12, atol=0)
    direction, turn = draw(1, 4, 5).double()[0], draw(4, 4, 6).double()
    turn, step = turn + turn.T, 1e-6
    along_mean = (formula(other + step * direction, b) - formula(other - step * direction, b)) / (2 * step)
    along_covariance = (formula(other, b + step * turn) - formula(other, b - step * turn)) / (2 * step)
    assert_close(by_mean @ direction, along_mean, rtol=1e-7, atol=0)
    assert_close((by_covariance * turn).sum(), along_covariance, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("count", "most"), [(40, 1.6), (100, 1.25), (1000, 1.1)])
def test_the_interval_is_as_wide_as_that_of_a_jackknife_that_makes_every_distance_anew(count: int, most: float) -> None:
    """Fewer samples than dimensions, hardly more, and many more."""
    scale = torch.arange(1, 65).float() ** -0.5
    real, ratios = {"features": draw(2000, 64, 0) * scale}, []
    kept = keep(fid.FID(), "real", real)
    reference = fid.gaussian(kept["moments"])
    for seed in range(8):
        fake = draw(count, 64, 1 + seed, 1.1, 0.1) * scale
        found = score(fid.FID(), fake={"features": fake}, real=real).values["fid"]
        assert found.low is not None
        assert found.high is not None
        block = torch.arange(count) * 10 // count
        without = []
        for left_out in range(10):
            rows = fake[block != left_out].double()
            without.append(reference.distance(rows.mean(0), rows.T.cov(), len(rows) - 1))
        low, high = intervals.jackknife(0.0, without)
        ratios.append((found.high - found.low) / (high - low))
    assert 0.9 < sum(ratios) / len(ratios) < most


def test_the_interval_of_fid_infinity_covers_as_often_as_it_says() -> None:
    """Both sets from N(0, 1) and N(0.3, 1.2^2) in 4 dimensions: the distance is 4 (0.3^2 + 0.2^2), against a reference
    of so many samples that its own error is small."""
    real = keep(fid.FIDInfinity(), "real", {"features": draw(200_000, 4, 0)}, batch=20_000)
    covered = 0
    for i in range(60):
        fake = keep(fid.FIDInfinity(), "fake", {"features": draw(1000, 4, 10 + i, 1.2, 0.3)}, batch=1000)
        found = fid.FIDInfinity().score({"fake": fake, "real": real}, Context()).values["fid_infinity"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 4 * (0.3**2 + 0.2**2) <= found.high
    assert covered >= 52  # of 60; below with probability 1 % at a level of 95 %


def test_fid_infinity_takes_the_bias_of_few_samples_away() -> None:
    """Both sets from one Gaussian: FID_n is far above 0, and its extrapolation is near 0."""
    real = keep(fid.FIDInfinity(), "real", {"features": draw(50_000, 8, 0)}, batch=5000)
    plain, extrapolated = 0.0, 0.0
    for i in range(20):
        fake = keep(fid.FIDInfinity(), "fake", {"features": draw(400, 8, 1 + i)}, batch=400)
        found = fid.FIDInfinity().score({"fake": fake, "real": real}, Context())
        plain += found.details["curve"][0]["fid"] / 20
        extrapolated += found.values["fid_infinity"].value / 20
    assert plain > 0.05
    assert abs(extrapolated) < plain / 5


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks"):
        fid.FID(blocks=0)
    with pytest.raises(ValueError, match="multiple of 10"):
        fid.FIDInfinity(blocks=12)
