import pytest
import torch

from ganlab.sampling import scatter

BOUNDS = ((-1.0, 1.0), (-1.0, 1.0))


def colour(canvas: torch.Tensor, x: float, y: float) -> list[int]:
    """Of the pixel of a point in a picture of [-1, 1]^2."""
    side = canvas.shape[1] - 1
    return [int(value) for value in canvas[:, round((1 - y) / 2 * side), round((x + 1) / 2 * side)]]


def test_points_are_where_they_belong_above_real_ones() -> None:
    points, reals = torch.tensor([[0.5, 0.25]]), torch.tensor([[-0.5, 0.5], [0.5, 0.25]])
    canvas = scatter.picture(points, reals, bounds=BOUNDS, side=101)
    assert canvas.shape == (3, 101, 101)
    assert canvas.dtype is torch.uint8
    real, fake = colour(canvas, -0.5, 0.5), colour(canvas, 0.5, 0.25)
    assert len(set(real)) == 1
    assert real[0] < 255
    assert fake[2] - fake[0] > 80, "blue"
    assert colour(canvas, 0.0, -0.5) == [255, 255, 255]


def test_a_point_outside_is_red_at_the_border() -> None:
    canvas = scatter.picture(torch.tensor([[5.0, 0.0]]), bounds=BOUNDS, side=101)
    red, _, blue = (int(value) for value in canvas[:, 50, 99])
    assert red - blue > 80


def test_classes_have_different_colours() -> None:
    points = torch.tensor([[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0]])
    canvas = scatter.picture(points, labels=[0, 1, 2], bounds=BOUNDS, side=101)
    assert len({tuple(colour(canvas, x, 0.0)) for x in (-0.5, 0.0, 0.5)}) == 3


def test_real_points_decide_what_is_shown() -> None:
    reals = torch.tensor([[-1.0, 0.0], [1.0, 0.5]])
    (left, right), (bottom, top) = scatter.around(reals)
    assert (left, right) == pytest.approx((-1.3, 1.3))
    assert (bottom, top) == pytest.approx((-1.05, 1.55))


def test_numbers_are_a_histogram() -> None:
    """All points in one bin: a line of full height; the real ones spread over all bins: low and grey."""
    points, reals = torch.zeros(100, 1, 1, 1) + 0.505, torch.linspace(-0.99, 0.99, 1000)[:, None]
    canvas = scatter.picture(points, reals, bounds=BOUNDS, side=400)
    blue = (canvas[2, :380].int() - canvas[0, :380].int() > 80).any(0).nonzero().flatten()
    assert 298 <= blue.min() <= blue.max() <= 306
    grey = (canvas == 165).all(0)
    assert grey[398].float().mean() > 0.9
    assert not grey[:380].any()
