from pathlib import Path

import numpy as np
import pytest
import torch

from ganlab.contracts.point_set import PointSet
from ganlab.core.errors import GanlabError
from ganlab.data.gaussians import Gaussians
from ganlab.data.grid import Grid
from ganlab.data.mixture import Mixture
from ganlab.data.points import Points
from ganlab.data.prepare import prepare
from ganlab.data.ring import Ring
from ganlab.data.swiss_roll import SwissRoll

MIXTURES: dict[str, tuple[Mixture, int, int]] = {
    "gaussians": (Gaussians(count=4000), 2, 1),
    "gaussians of the plane": (Gaussians(dimensions=2, modes=3, count=6000), 3, 2),
    "ring": (Ring(count=16_000), 8, 2),
    "grid": (Grid(count=25_000), 25, 2),
    "grid of 100": (Grid(side=10, count=40_000), 100, 2),
}


@pytest.mark.parametrize(("points", "modes", "dimensions"), MIXTURES.values(), ids=MIXTURES)
def test_a_mixture_has_equal_shares_of_normal_numbers_around_its_modes(
    points: Mixture, modes: int, dimensions: int
) -> None:
    """With n points a mode, means are within 5 σ/√n and standard deviations within 5 σ/√(2n) of the truth."""
    assert points.modes is not None
    centres, std = points.modes.centres, points.modes.std
    assert centres.shape == (modes, dimensions)
    x = torch.from_numpy(points.points).double()
    nearest = torch.cdist(x, centres).argmin(1)
    each = len(x) // modes
    assert torch.equal(torch.bincount(nearest), torch.full((modes,), each))
    for mode in range(modes):
        own = x[nearest == mode] - centres[mode]
        assert own.mean(0).abs().max() < 5 * std / each**0.5
        assert (own.std(0) - std).abs().max() < 5 * std / (2 * each) ** 0.5


def test_centres_are_where_papers_have_them() -> None:
    ring, grid = Ring(count=8).modes, Grid(count=25).modes
    assert ring is not None
    assert grid is not None
    torch.testing.assert_close(ring.centres.norm(dim=1), torch.full((8,), 2.0, dtype=torch.float64))
    torch.testing.assert_close(torch.pdist(ring.centres).min(), torch.tensor(4 * np.sin(np.pi / 8)))
    assert sorted({float(x) for x in grid.centres.flatten()}) == [-4, -2, 0, 2, 4]


def test_a_spiral_has_its_radius_in_proportion_to_its_angle() -> None:
    x, y = SwissRoll(std=0.0, count=500).points.T.astype(np.float64)
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x)
    turns = radius / 2 * 2.25  # radius 2 at 2.25 turns
    np.testing.assert_allclose(np.cos(2 * np.pi * turns - angle), 1, atol=1e-6)
    assert (radius.min(), radius.max()) == pytest.approx((2 / 3, 2), abs=0.01)


def test_points_are_prepared_as_they_are() -> None:
    ring = Ring(count=80, labels="modes")
    images = prepare(ring, image_size=(1, 1), image_channels=2)
    assert images.are_points
    assert images.pixels.dtype == torch.float32
    assert np.array_equal(images.pixels[:, :, 0, 0], ring.points)
    assert images.labels is not None
    assert images.labels[:10].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    assert images.num_classes == 8


@pytest.mark.parametrize(
    ("one", "other"),
    [(Ring(count=80), Ring(count=80, seed=1)), (Grid(count=50), Grid(count=50, std=0.1)), (Ring(count=8), Ring(16))],
)
def test_the_fingerprint_and_the_points_depend_on_the_options(one: PointSet, other: PointSet) -> None:
    assert one.fingerprint() != other.fingerprint()
    assert not np.array_equal(one.points, other.points)


@pytest.mark.parametrize(
    "text", ["1,2\n3,4\n", "\ufeffx;y\n1;2\n\n3;4\n", "x\ty\r\n1\t2\r\n3.0\t4e0", "x,y,class\n1,2,0\n3,4,7\n"]
)
def test_a_file_has_a_point_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(text.encode())
    assert Points(str(path)).points.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no points"),
        ("x,y\n", "has no points"),
        ("a,b\nhello,world\n", "line 2 must hold two numbers, got 'hello,world'"),
        ("1,2,3\n", "has 3 columns"),
        ("x,y,classes\n1,2,3\n", "has 3 columns"),
        ("class\n1\n2\n", "has classes alone"),
        ("x,y,class\n1,2,0\n3,4\n", "line 3 must hold two numbers and a class, got '3,4'"),
        ("x,y,class\n1,2\n3,4\n", "line 2 must hold two numbers and a class, got '1,2'"),
        ("x,class\n1,0,5\n", "line 2 must hold one number and a class"),
        ("1\n2\nnan\n", "line 3 must hold one number, got 'nan'"),
        ("1,2\n\n3\n", "line 3 must hold two numbers, got '3'"),
        ("1,1e39\n", "line 1 must hold two numbers"),
        ("\udcff", "is no text"),
    ],
)
def test_a_file_that_holds_no_points_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(GanlabError, match=said):
        Points(str(path))


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match="is a folder; set"):
        Points(str(tmp_path))
    with pytest.raises(GanlabError, match="There is no file"):
        Points(str(tmp_path / "none.csv"))
