"""Metrics of points against closed forms and scipy."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganlab.contracts.metric import Batch, Context, Kept, Metric, Score, Stream
from ganlab.contracts.point_set import Modes
from ganlab.core.errors import GanlabError
from ganlab.metrics import energy_distance, sliced_wasserstein
from ganlab.metrics.energy_distance import EnergyDistance
from ganlab.metrics.modes import ModeCoverage, assigned, found_again, reverse_kl
from ganlab.metrics.sliced_wasserstein import SlicedWasserstein


def scored(metric: Metric, fake: Tensor, real: Tensor, **context: Any) -> Score:
    kept: dict[Any, Kept] = {}
    for role, points in (("fake", fake), ("real", real)):
        stream = Stream(len(points), image_shape=(points.shape[1], 1, 1))
        found = {}
        for name, summary in metric.summaries(role).items():  # type: ignore[arg-type]
            accumulator = summary.begin(stream)
            for start in range(0, len(points), 100):
                accumulator.update(Batch(start, points[start : start + 100, :, None, None].float()))
            found[name] = summary.merge([accumulator.tensors()])
        kept[role] = Kept(stream, found)
    return metric.score(kept, Context(**context))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sizes", [(200, 300), (257, 100)])
def test_the_energy_distance_of_numbers_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    """scipy's is the root, of means over all pairs, those of a point with itself among them."""
    x, y = normal(1, sizes[0], 1), 0.5 + 2 * normal(2, sizes[1], 1)
    value = scored(EnergyDistance(), x, y).values["energy_distance"].value
    n, m = sizes
    within = [float(energy_distance.between(z, z).sum()) for z in (x.double(), y.double())]
    with_itself = value + within[0] / (n * (n - 1)) - within[0] / n**2 + within[1] / (m * (m - 1)) - within[1] / m**2
    expected = stats.energy_distance(x.flatten().numpy(), y.flatten().numpy()) ** 2
    assert with_itself == pytest.approx(expected, rel=1e-6)


def test_the_energy_distance_of_two_normal_distributions_is_the_closed_form_within_its_interval() -> None:
    """X ~ N(0, 1), Y ~ N(m, 1): X - X' ~ N(0, 2) has E|.| = 2/√π; X - Y ~ N(-m, 2) has
    E|.| = 2/√π exp(-m²/4) + m erf(m/2)."""
    m = 1.0
    apart = 2 / math.sqrt(math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)
    expected = 2 * apart - 4 / math.sqrt(math.pi)
    value = scored(EnergyDistance(), normal(3, 1500, 1), m + normal(4, 1500, 1)).values["energy_distance"]
    assert value.low is not None
    assert value.high is not None
    assert value.low < value.value < value.high
    assert value.value == pytest.approx(expected, abs=3 * (value.high - value.low) / 2)
    assert value.high - value.low < 0.4 * expected


def test_the_energy_distance_of_two_draws_of_one_distribution_is_zero_on_the_average() -> None:
    found = [scored(EnergyDistance(), normal(2 * i, 300, 2), normal(2 * i + 1, 300, 2)) for i in range(30)]
    values = torch.tensor([score.values["energy_distance"].value for score in found])
    assert values.min() < 0 < values.max()
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(len(values))


def test_a_jackknife_leaves_out_one_block_after_the_other() -> None:
    """Against the same numbers from all distances, block by block."""
    x, y = normal(5, 60, 2).double(), normal(6, 50, 2).double()

    def naive(x: Tensor) -> float:
        n, m = len(x), len(y)
        within = [float(torch.cdist(z, z).sum()) / (len(z) * (len(z) - 1)) for z in (x, y)]
        return 2 * float(torch.cdist(x, y).sum()) / (n * m) - within[0] - within[1]

    x, y = x.float().double(), y.float().double()
    block = torch.arange(60) % 20
    left_out = [naive(x[block != b]) for b in range(20)]
    half = stats.t.ppf(0.975, 19) * math.sqrt(19 / 20 * sum((v - np.mean(left_out)) ** 2 for v in left_out))
    value = scored(EnergyDistance(), x, y).values["energy_distance"]
    assert value.value == pytest.approx(naive(x), rel=1e-9)
    assert (value.low, value.high) == (
        pytest.approx(naive(x) - half, rel=2e-3),
        pytest.approx(naive(x) + half, rel=2e-3),
    )


@pytest.mark.parametrize("sizes", [(200, 200), (200, 317)])
def test_the_wasserstein_distance_of_numbers_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    x, y = normal(1, sizes[0], 1), 0.5 + 2 * normal(2, sizes[1], 1)
    value = scored(SlicedWasserstein(), x, y).values["sliced_wasserstein"].value
    assert value == pytest.approx(stats.wasserstein_distance(x.flatten(), y.flatten()), rel=1e-6)


def test_the_sliced_distance_of_a_shift_is_two_over_pi_of_its_length() -> None:
    """Along θ a shift by s moves everything by |s·θ|, whose mean over the circle is 2/π |s|. With P even directions the
    mean of |cos| is 1 / (P sin(π/2P)) at the best angle and tends to 2/π."""
    x = normal(7, 500, 2)
    shift = torch.tensor([0.3, -0.4])
    value = scored(SlicedWasserstein(directions=256, blocks=2), x, x + shift).values["sliced_wasserstein"].value
    assert value == pytest.approx(2 / math.pi * 0.5, rel=1e-3)


def test_the_sliced_distance_along_each_direction_is_that_of_scipy() -> None:
    x, y = normal(8, 150, 2).double(), (normal(9, 120, 2) * torch.tensor([2.0, 0.5])).double()
    along = sliced_wasserstein.directions(2, 5)
    expected = [stats.wasserstein_distance(x @ along[:, i], y @ along[:, i]) for i in range(5)]
    torch.testing.assert_close(
        sliced_wasserstein.wasserstein((x @ along).T, (y @ along).T), torch.tensor(expected, dtype=torch.float64)
    )


def test_an_interval_of_the_sliced_distance_covers_another_draw() -> None:
    """Of 40 draws of one distribution at distance 1 from the other, at least 34 intervals hold the mean of all."""
    real = normal(0, 200, 2)
    found = [
        scored(SlicedWasserstein(directions=4), normal(i, 200, 2) + 1, real).values["sliced_wasserstein"]
        for i in range(1, 41)
    ]
    mean = sum(value.value for value in found) / len(found)
    covered = sum(value.low < mean < value.high for value in found)  # type: ignore[operator]
    assert covered >= 34


MODES = Modes(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]], dtype=torch.float64), 1.0)


def test_samples_count_for_their_nearest_mode_and_are_good_within_three_deviations() -> None:
    points = torch.tensor([[0.0, 0.0], [2.9, 0.0], [3.1, 0.0], [10.0, 0.0], [7.0, 0.0], [10.0, 5.1]])
    counts, good = assigned(points, MODES, 3.0)
    assert counts.tolist() == [3, 2, 0, 1]
    assert good.tolist() == [2, 2, 0, 0]


def test_modes_and_quality_of_a_mixture_are_the_closed_forms() -> None:
    """A share exp(-9/2) of a normal distribution of the plane lies beyond three deviations. Of four modes two are hit,
    with shares 3/4 and 1/4: KL(q || p) = 3/4 log 3 + 1/4 log 1."""
    count = 4000
    real = MODES.centres[torch.arange(count) % 4] + normal(1, count, 2)
    hit = MODES.centres[(torch.arange(count) % 4 == 0).long()] + normal(2, count, 2)
    values = scored(ModeCoverage(), hit, real, modes=MODES).values
    assert (values["modes"].value, values["modes"].low) == (2, 2)
    quality = 1 - math.exp(-4.5)
    for value in (values["good_samples"].value, values["good_samples"].real):
        assert value == pytest.approx(quality, abs=4 * math.sqrt(quality * (1 - quality) / count))
    kl = values["modes_reverse_kl"]
    assert kl.value == pytest.approx(0.75 * math.log(3), abs=1e-6)
    assert kl.low is not None
    assert kl.high is not None
    assert kl.low < kl.value < kl.high


def test_the_reverse_kl_is_the_entropy_of_scipy() -> None:
    fake, real = torch.tensor([50, 30, 0, 20]), torch.tensor([25, 25, 25, 25])
    assert reverse_kl(fake, real)[0] == pytest.approx(stats.entropy([50, 30, 0, 20], [25, 25, 25, 25]))


def test_an_interval_of_the_reverse_kl_covers_another_draw() -> None:
    q = torch.tensor([0.6, 0.2, 0.15, 0.05], dtype=torch.float64)
    real = torch.full((4,), 10_000)
    truth = float((q * (q * 4).log()).sum())
    random = torch.Generator().manual_seed(0)
    draws = [torch.bincount(torch.multinomial(q, 1000, True, generator=random), minlength=4) for _ in range(200)]
    covered = sum(low < truth < high for _, (low, high) in (reverse_kl(draw, real) for draw in draws))
    assert 180 <= covered <= 199


def test_a_number_of_modes_has_the_quantile_of_another_draw() -> None:
    """Of three modes two are found for sure. The third has one sample in a thousand, and is missed by another draw with
    probability (1 - 1/1000)^1000 = 0.37, far above 0.025."""
    assert found_again(torch.tensor([500, 499, 1]), 1000) == 2
    assert found_again(torch.tensor([500, 490, 10]), 1000) == 3  # missed with probability 4e-5
    assert found_again(torch.tensor([0, 0, 0]), 1000) == 0


def test_modes_of_points_without_modes_are_refused() -> None:
    with pytest.raises(GanlabError, match="modes needs data whose modes are known"):
        ModeCoverage().prepare(Stream(10), Context())


OPTIONS: Mapping[type[Metric], Mapping[str, Any]] = {
    ModeCoverage: {"deviations": 0.0},
    SlicedWasserstein: {"directions": 0},
    EnergyDistance: {"limit": 1},
}


@pytest.mark.parametrize("metric", OPTIONS)
def test_an_option_out_of_range_is_refused(metric: type[Metric]) -> None:
    (name,) = OPTIONS[metric]
    with pytest.raises(ValueError, match=name):
        metric(**OPTIONS[metric])
