from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals, neighbours
from ganlab.metrics.prdc import PRDC, prdc
from ganlab.testing.metrics import score


def line(*points: float) -> Tensor:
    return torch.tensor(points, dtype=torch.float32).view(-1, 1)


def naive(real: Tensor, fake: Tensor, k: int, inclusive: bool) -> dict[str, float]:
    """The definitions, pair by pair in float64."""

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (a.double()[:, None] - b.double()[None]).square().sum(-1)

    real_radii, fake_radii = (distance(x, x).sort(1).values[:, k] for x in (real, fake))
    d = distance(real, fake)
    in_real = d <= real_radii[:, None] if inclusive else d < real_radii[:, None]
    in_fake = d <= fake_radii[None] if inclusive else d < fake_radii[None]
    return {
        "precision": float(in_real.any(0).double().mean()),
        "recall": float(in_fake.any(1).double().mean()),
        "density": float(in_real.sum(0).double().mean() / k),
        "coverage": float(in_real.any(1).double().mean()),
    }


def test_a_cloud_made_by_hand() -> None:
    """Real 0, 1, 10 have balls of radius 1, 1, 9; generated 2, 10.5, 30 have 8.5, 8.5, 19.5 (k = 1).

    2 lies on the surface of 1's ball and in 10's; 10.5 in 10's; 30 in none. 0 and 1 lie in 2's ball, 10 in 2's.
    """
    real, fake = line(0, 1, 10), line(2, 10.5, 30)
    assert prdc(real, fake, 1) == {
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "density": pytest.approx(2 / 3),
        "coverage": pytest.approx(1 / 3),
    }
    assert prdc(real, fake, 1, inclusive=True) == {
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "density": pytest.approx(1.0),
        "coverage": pytest.approx(2 / 3),
    }


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_clouds_full_of_ties_and_copies(k: int, inclusive: bool) -> None:
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        real = torch.randint(0, 4, (150, 3), generator=generator).float()
        fake = torch.randint(0, 4, (130, 3), generator=generator).float() + seed % 2
        fake[:10] = real[:10]
        assert prdc(real, fake, k, inclusive) == pytest.approx(naive(real, fake, k, inclusive), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1e4, 1e5])
def test_many_blocks_decide_as_all_pairs_do(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also far from the origin, where |x|^2 + |y|^2 - 2xy loses most of its digits, and near each other."""
    monkeypatch.setattr(neighbours, "ELEMENTS", 64 * 350)
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(350, 12, generator=generator) + shift for _ in range(2))
    fake[:100] = real[:100] + 1e-3 * torch.randn(100, 12, generator=generator)
    for inclusive in (False, True):
        assert prdc(real, fake, 5, inclusive) == pytest.approx(naive(real, fake, 5, inclusive), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_any_float_type_are_taken(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(120, 8, generator=generator).to(dtype) for _ in range(2))
    assert prdc(real, fake, 5) == pytest.approx(naive(real, fake, 5, False), abs=1e-12)


@pytest.mark.parametrize("inclusive", [False, True])
def test_collapsed_sets_and_far_points_are_decided_as_pair_by_pair(inclusive: bool) -> None:
    """A mode of many copies, nothing but copies, points far out."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(300, 6, generator=generator) for _ in range(2))
    real[::7] = real[0]
    fake[100:200], fake[::50] = real[3], fake[::50] * 1000
    for points in (fake, fake[:1].expand(40, -1)):
        assert prdc(real, points, 3, inclusive) == pytest.approx(naive(real, points, 3, inclusive), abs=1e-12)


def test_nothing_but_copies_of_one_point() -> None:
    """Balls of radius 0 at distance 0: each point lies on the surface of all."""
    points = torch.full((9, 3), 0.3)
    assert prdc(points, points, 2, inclusive=True) == {"precision": 1.0, "recall": 1.0, "density": 4.5, "coverage": 1.0}
    assert prdc(points, points, 2) == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}


def test_points_so_near_that_the_last_digits_of_float32_decide() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(80, 700, generator=generator)
    fake = real[:70] + 1e-4 * torch.randn(70, 700, generator=generator)
    assert prdc(real, fake, 2) == pytest.approx(naive(real, fake, 2, False), abs=1e-12)


def test_the_interval_of_density_is_that_of_the_mean_over_generated_images() -> None:
    """Also where a generated image comes more than once."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(150, 4, generator=generator)
    fake = torch.randn(90, 4, generator=generator)[torch.arange(120) % 90]
    radii = (real[:, None] - real).square().sum(-1).sort(1).values[:, 5]
    held = ((real[:, None] - fake).square().sum(-1) < radii[:, None]).double().sum(0) / 5
    value = score(PRDC(), fake={"features": fake}, real={"features": real}).values["density"]
    assert (value.high, value.low) == pytest.approx(
        [float(held.mean() + sign * 1.959964 * held.std() / 120**0.5) for sign in (1, -1)]
    )


@pytest.mark.parametrize("steps", [math.inf, 4])
def test_the_interval_of_coverage_leaves_out_each_generated_image(steps: float) -> None:
    """With the radii as they are; wider than Wilson's, since single images cover many real ones. Also on a grid, where
    half of the distances are ties."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(200, 2, generator=generator)
    fake = torch.randn(20, 2, generator=generator)[torch.arange(22) % 20]
    if steps < math.inf:
        real, fake = (real * steps).round() / steps, (fake * steps).round() / steps
    squared = (real.double()[:, None] - fake.double()).square().sum(-1)
    radii = (real.double()[:, None] - real.double()).square().sum(-1).sort(1).values[:, 3]
    inclusive = steps < math.inf
    value = score(PRDC(3, inclusive), fake={"features": fake}, real={"features": real}).values["coverage"]
    inside = squared <= radii[:, None] if inclusive else squared < radii[:, None]
    without = [inside[:, torch.arange(22) != j].any(1).double().mean() for j in range(22)]
    changes = inside.any(1).double().mean() - torch.stack(without)
    error = (changes - changes.mean()).square().sum().sqrt()
    expected = float(value.value - 1.959964 * error), float(value.value + 1.959964 * error)
    wilson = intervals.wilson(value.value, 200)
    assert inclusive or expected[0] < wilson[0]
    assert value.low == pytest.approx(min(max(expected[0], 0), wilson[0]))
    assert value.high == pytest.approx(max(min(expected[1], 1), wilson[1]))


def all_squared(x: Tensor, y: Tensor) -> Tensor:
    return (x.double()[:, None] - y.double()).square().sum(-1)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("far", [False, True])
def test_balls_are_those_of_all_distances(inclusive: bool, far: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a lattice, where many points lie on surfaces and products round to either side; block by block."""
    monkeypatch.setattr(neighbours, "ELEMENTS", 90 * 200)
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randint(0, 4, (n, 7), generator=generator) / 7 for n in (230, 200))
    rows[150] += 500 * far
    distances = all_squared(rows, columns)
    row_limits = torch.randint(0, 12, (230,), generator=generator).double() / 49
    row_limits[::3] = distances[::3, 5]  # the surface, to the last digit
    row_limits[1::5] = distances[1::5].sort(1).values[:, :2].mean(1)  # one column, or several as near
    column_limits = torch.zeros(200, dtype=torch.float64)
    column_limits[::7] = distances[:, ::7].min(0).values
    column_limits[14] = distances[150, 14]
    rounding = (1 + distances) * (
        1e-14 if inclusive else -1e-14
    )  # sums of the same numbers in another order are the same distance
    held, recalled = distances < row_limits[:, None] + rounding, distances < column_limits + rounding
    found = neighbours.balls(rows, columns, row_limits, column_limits, inclusive)
    assert torch.equal(found.held, held.double().sum(0))
    assert torch.equal(found.recalled, recalled.any(1))
    number = held.sum(1)
    assert torch.equal(found.covering, number.int())
    assert torch.equal(found.only[number == 1], held.to(torch.uint8).argmax(1)[number == 1].int())
    assert (found.only[number != 1] == -1).all()
    assert (number == 1).sum() > 8


SETS: dict[str, Callable[[torch.Generator], Tensor]] = {
    "normal": lambda generator: torch.randn(300, 40, generator=generator),
    "far out": lambda g: torch.randn(300, 3, generator=g) * torch.randn(300, 1, generator=g).exp() ** 4,
    "one cluster": lambda g: torch.cat(
        [1e-5 * torch.randn(50, 5, generator=g) + 300, torch.randn(250, 5, generator=g)]
    ),
    "lattice": lambda generator: torch.randint(0, 4, (300, 6), generator=generator).float(),
    "copies": lambda generator: torch.randn(20, 6, generator=generator)[torch.arange(300) % 20],
}


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("rows", [16, 5000])
def test_radii_are_those_of_all_distances(kind: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    points = SETS[kind](torch.Generator().manual_seed(0))
    monkeypatch.setattr(neighbours, "ELEMENTS", rows * len(points))
    everything = all_squared(points, points).fill_diagonal_(math.inf)
    for k in (1, 5):
        torch.testing.assert_close(neighbours.radii(points, k), everything.kthvalue(k, dim=1).values, rtol=1e-9, atol=0)


def test_nearest_neighbours_are_those_of_all_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "ELEMENTS", 32 * 300)
    points = torch.randint(0, 3, (300, 4), generator=torch.Generator().manual_seed(0)).float()
    found, places = neighbours.nearest(points, points, 3, same=True)
    everything = all_squared(points, points)
    assert torch.equal(everything.gather(1, places), found)
    everything.fill_diagonal_(float("inf"))
    assert torch.equal(everything.sort(1).values[:, :3], found)


def test_precision_and_recall_with_k_3_are_torch_fidelitys() -> None:
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc")
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(200, 8, generator=generator), 0.8 * torch.randn(180, 8, generator=generator) + 0.2
    options = {"prc_neighborhood": 3, "prc_batch_size": 100, "save_cpu_ram": False, "verbose": False}
    theirs = metric_prc.prc_features_to_metric(fake, real, **options)
    ours = score(PRDC(nearest=3, inclusive=True), fake={"features": fake}, real={"features": real}).values
    for name in ("precision", "recall"):
        assert ours[name].value == pytest.approx(theirs[name], abs=1e-6)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(GanlabError, match=r"more than 5 real and generated images, got 4 and 9.*raise samples"):
        score(PRDC(), fake={"features": torch.rand(9, 2)}, real={"features": torch.rand(4, 2)})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_features_of_any_floating_type_are_taken(dtype: torch.dtype) -> None:
    real, fake = (torch.randn(60, 6, generator=torch.Generator().manual_seed(seed)).to(dtype) for seed in (0, 1))
    found = prdc(real, fake)
    assert found == prdc(real.float(), fake.float())
    scored = score(PRDC(), fake={"features": fake}, real={"features": real}).values
    assert {name: value.value for name, value in scored.items()} == found
