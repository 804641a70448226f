"""Training on points in memory, and landscapes of energy."""

from __future__ import annotations

import pytest
import torch

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.data.grid import Grid
from ganlab.dynamics import energy, pits, training
from ganlab.dynamics.training import Training

SMALL = ["data.count=200", "generator.width=8", "generator.depth=1", "discriminator.width=8", "discriminator.depth=1",
         "data.batch_size=8"]  # fmt: skip


def of(*words: str, data: str = "ring") -> Training:
    return Training(training.configuration(data, [*SMALL, *words]))


@pytest.mark.parametrize("words", [["loss=non_saturating", "reg=[r1,sn]"], ["game.update=optimistic"]], ids=str)
def test_iterations_are_those_of_ganlab_train(words: list[str]) -> None:
    built = experiment.build(compose.read(["data=ring", "model=mlp", *SMALL, *words]))
    built.module.begin()
    batches = iter(experiment.loader(built, torch.device("cpu")))
    played = of(*words)
    for _ in range(3):
        built.module.iterate(next(batches))
        played.iterate()
    assert played.progress == built.module.progress
    expected = built.module.game.state_dict()
    for name, value in played.game.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("data", ["ring", "gaussians"])
def test_a_landscape_is_the_negative_logit_and_paths_go_down(data: str) -> None:
    played = of(data=data)
    found = list(energy.landscapes(played, 2, 2))
    assert [each.iteration for each in found] == [0, 2]
    first, last = found[0], found[-1]
    corner = torch.tensor([[low for low, _ in last.bounds][: last.samples.shape[1]]])
    network = played.game.get_submodule("discriminator")
    torch.testing.assert_close(last.energy[0, 0], -network(corner[..., None, None])[0].detach())
    with torch.no_grad():
        heights = torch.stack([played.energy(step) for step in last.paths])
    assert (heights[-1] < heights[0]).float().mean() > 0.9
    assert energy.picture(last, played.points, side=64).shape == (3, 64, 64)
    assert not torch.equal(first.energy, last.energy)


def test_the_slope_of_the_fixed_landscape_is_the_gradient_of_its_energy() -> None:
    modes = Grid(count=25).modes
    assert modes is not None
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    (expected,) = torch.autograd.grad(pits.energy(x, modes.centres).sum(), x)
    torch.testing.assert_close(pits.slope(x.detach(), modes.centres), expected)


def test_momentum_carries_samples_out_of_the_nearest_pit() -> None:
    still, half, most = pits.roll()
    assert 0 < still.left <= half.left
    assert most.left > 1.4 * still.left
    assert pits.picture(most).shape == (3, 512, 512)


def test_a_discriminator_of_pairs_has_no_energy() -> None:
    with pytest.raises(GanlabError, match="game=bigan has no discriminator of points"):
        next(energy.landscapes(of("game=bigan"), 1, 2))


def test_data_that_are_no_points_are_refused() -> None:
    with pytest.raises(GanlabError, match="digits is no data set of points"):
        training.configuration("digits", [])
