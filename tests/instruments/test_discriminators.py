"""Instruments of the discriminator: known accuracies and known slopes."""

from __future__ import annotations

import pytest
import torch
from support.instruments import Network, Parts, measured, subject
from torch import Tensor, nn

from ganlab.games.bigan import Pairs
from ganlab.instruments.lipschitz import Lipschitz
from ganlab.instruments.memorization import Memorization
from ganlab.models.sngan import Discriminator
from ganlab.testing import ToyDiscriminator


class Constant(nn.Module):
    """Maps every latent to one point."""

    def __init__(self, *point: float) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor(point))

    def forward(self, z: Tensor) -> Tensor:
        return self.point.expand(len(z), -1)


class First(nn.Module):
    """The first coordinate."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def points(*values: float) -> Tensor:
    """Points of the plane with these first coordinates."""
    return torch.tensor([[value, 7.0] for value in values])


def test_the_shares_of_a_discriminator_whose_logits_are_known() -> None:
    """D(x) is x's first coordinate. The median of the training images is 2 and the fakes are all -2: the boundary is 0.
    Three of four training images lie above it; of the held-out ones one, and one upon it."""
    game = Parts(generator=Network(Constant(-2.0, 1.0), latent_dim=2), discriminator=Network(First()))
    splits = {"train": points(2, 2, 5, -1, 3), "validation": points(0, 1, -1, -5)}
    found = measured(Memorization(samples=5), subject(game, splits))
    assert found == pytest.approx({"d_train": 0.8, "d_held_out": 1.5 / 4, "d_fake": 1.0, "d_gap": 0.8 - 1.5 / 4})


def test_no_more_images_are_judged_than_are_asked_for() -> None:
    game = Parts(generator=Network(Constant(-2.0, 1.0), latent_dim=2), discriminator=Network(First()))
    splits = {"train": points(2, 2, -9, -9), "validation": points(1, 1, -9)}
    assert measured(Memorization(samples=2), subject(game, splits))["d_held_out"] == 1.0


def test_a_linear_discriminator_has_its_slope_everywhere() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[3.0, -4.0]])
    game = Parts(generator=Network(Constant(1.0, 2.0), latent_dim=2), discriminator=Network(layer))
    found = measured(Lipschitz(samples=3), subject(game, {"train": points(1, 2, 3)}))
    assert found == pytest.approx(dict.fromkeys(found, 5.0))
    assert [*found] == [f"{r}_{k}" for r in ("real", "fake", "between") for k in ("max", "mean")] + ["sigma_product"]


def test_a_stack_of_diagonal_maps_is_as_steep_as_their_product_at_most() -> None:
    """D(x) = (3, 1) relu(diag(2, 5) x): (6, 5) where both are positive, 6 or 5 where one is. Reals: (1, 1), (1, -1);
    the fake is (-1, 1). Half-way and beyond: |(6, 5)|, 6, 5, or 0. The product of norms is |(3, 1)|·5."""
    first, last = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    first.weight.data, last.weight.data = torch.diag(torch.tensor([2.0, 5.0])), torch.tensor([[3.0, 1.0]])
    game = Parts(
        generator=Network(Constant(-1.0, 1.0), latent_dim=2), discriminator=Network(first, nn.ReLU(), last, First())
    )
    found = measured(Lipschitz(samples=2), subject(game, {"train": torch.tensor([[1.0, 1.0], [1.0, -1.0]])}))
    both = 61**0.5
    assert found["real_max"] == pytest.approx(both)
    assert found["real_mean"] == pytest.approx((both + 6) / 2)
    assert found["fake_max"] == found["fake_mean"] == pytest.approx(5.0)
    assert found["sigma_product"] == pytest.approx(10**0.5 * 5)
    assert found["between_max"] <= both + 1e-4
    assert found["real_max"] <= found["sigma_product"]


def test_the_norm_of_spectral_normalization_is_seen_in_the_product() -> None:
    from ganlab.layers.spectral_norm import attach

    layer = nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[3.0, -4.0]])
    attach(layer)
    game = Parts(generator=Network(Constant(1.0, 2.0), latent_dim=2), discriminator=Network(layer))
    found = measured(Lipschitz(samples=3), subject(game, {"train": points(1, 2, 3)}))
    assert found == pytest.approx(dict.fromkeys(found, 1.0))


@pytest.mark.parametrize("instrument", [Memorization(), Lipschitz()])
def test_a_run_without_what_they_look_at_is_refused(instrument: Memorization | Lipschitz) -> None:
    generator, judge = Network(Constant(1.0, 2.0), latent_dim=2), Network(First())
    with pytest.raises(ValueError, match="the game has no discriminator"):
        instrument.prepare(subject(Parts(generator=generator)))
    with pytest.raises(ValueError, match="the game has no generator"):
        instrument.prepare(subject(Parts(discriminator=judge), {"train": points(1)}))
    with pytest.raises(ValueError, match=r"it needs (held-out|real) images, and the run has none"):
        instrument.prepare(subject(Parts(generator=generator, discriminator=judge)))
    pairs = Pairs(ToyDiscriminator(), 2, 3)
    with pytest.raises(ValueError, match="is a Pairs, which judges no image alone"):
        instrument.prepare(subject(Parts(generator=generator, discriminator=pairs)))
    with pytest.raises(ValueError, match="is a Linear, which judges no image alone"):
        instrument.prepare(subject(Parts(generator=generator, discriminator=nn.Linear(2, 1))))


def test_measuring_leaves_modes_buffers_gradients_and_generators_as_they_were() -> None:
    torch.manual_seed(0)
    judge = Discriminator(8, image_channels=1, num_classes=0, width=2)
    maker = Network(nn.Linear(2, 64), nn.BatchNorm1d(64), nn.Unflatten(1, (1, 8, 8)), latent_dim=2)
    game = Parts(generator=maker, discriminator=judge)
    images = torch.rand(4, 1, 8, 8)
    before, draws = {k: v.clone() for k, v in game.state_dict().items()}, torch.get_rng_state()
    for instrument in (Memorization(samples=4), Lipschitz(samples=4)):
        measured(instrument, subject(game, {"train": images, "validation": images}))
    assert all(torch.equal(v, before[k]) for k, v in game.state_dict().items())
    assert all(module.training for module in game.modules())
    assert all(parameter.grad is None for parameter in game.parameters())
    assert torch.equal(torch.get_rng_state(), draws)
