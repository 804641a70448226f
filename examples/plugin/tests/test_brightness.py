import pytest
import torch
from ganlab_example_plugin.brightness import Brightness

from ganlab.contracts import Chart
from ganlab.testing.metrics import check_metric, score


def images(*brightness: int) -> dict[str, torch.Tensor]:
    return {"images": torch.tensor(brightness, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)}


def test_the_metric_keeps_ganlabs_contract() -> None:
    generator = torch.Generator().manual_seed(0)
    fake, real = (torch.randint(0, 256, (200, 1, 8, 8), generator=generator, dtype=torch.uint8) for _ in range(2))
    check_metric(Brightness(), fake={"images": fake}, real={"images": real})


def test_the_distance_is_how_far_brightness_moves() -> None:
    """All from black to white is a move over all bins but one; half of them over half of that."""
    assert score(Brightness(bins=10), fake=images(255, 255), real=images(0, 0)).values["brightness"].value == 0.9
    assert score(Brightness(bins=10), fake=images(255, 0), real=images(0, 0)).values["brightness"].value == 0.45


def test_the_figure_has_both_histograms() -> None:
    (chart,) = score(Brightness(bins=2), fake=images(255, 0), real=images(0, 0)).figures
    assert isinstance(chart, Chart)
    assert {line.name: list(line.points) for line in chart.lines} == {
        "generated": [(0.25, 50.0), (0.75, 50.0)],
        "real": [(0.25, 100.0), (0.75, 0.0)],
    }


def test_one_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="bins must be at least 2"):
        Brightness(bins=1)
