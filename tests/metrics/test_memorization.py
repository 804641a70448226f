from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ganlab.contracts.figures import Grid
from ganlab.contracts.metric import Context
from ganlab.metrics import intervals
from ganlab.metrics.memorization import Memorization
from ganlab.testing.metrics import score


def stream(features: Tensor) -> dict[str, Tensor]:
    """Images that say which feature they belong to."""
    return {"features": features, "images": torch.arange(len(features)).to(torch.uint8).view(-1, 1, 1, 1)}


def draw(count: int, seed: int) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_a_line_of_training_images() -> None:
    """Training 0, 1, 3, 7: nearest others at 1, 1, 2, 4.

    Samples .49 (nearest to 0), 4.5 (to 3, 1.5 < 2), 9 (to 7, 2 < 4), 20 (to 7, 13 > 4).
    authenticity 1/4; nearer than {1, 1, 2, 4}: .49 beats 4, 1.5 beats 2, 2 beats 1 and ties with 1, 13 beats 0.
    """
    train = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    fake = torch.tensor([[0.49], [4.5], [9.0], [20.0]])
    values = score(Memorization(), fake=stream(fake), train=stream(train)).values
    assert values["authenticity"].value == pytest.approx(1 / 4)
    assert values["nearer_than_train"].value == pytest.approx((4 + 2 + 1.5 + 0) / 16)
    assert values["copies"].value == pytest.approx(1 / 4)  # 0.49 < 1/2


def test_copies_and_new_images_of_one_distribution() -> None:
    train = draw(600, 0)
    copied = score(Memorization(), fake=stream(train[:200]), train=stream(train), held_out=stream(draw(200, 1))).values
    assert (copied["authenticity"].value, copied["nearer_than_train"].value, copied["copies"].value) == (0, 1, 1)
    new = copied["authenticity"].real, copied["nearer_than_train"].real
    assert new == (pytest.approx(0.5, abs=0.1), pytest.approx(0.5, abs=0.1))


def test_the_interval_of_nearer_than_train_has_the_width_that_repetitions_have() -> None:
    """Of 100 draws of 100 samples against one training set; as shares of trials they would seem to scatter 1.7 times as
    much. Copies, which do not scatter at all, are taken for trials."""
    train = stream(draw(200, 0))
    found = [score(Memorization(), fake=stream(draw(100, seed)), train=train).values for seed in range(1, 101)]
    values = [v["nearer_than_train"] for v in found]
    halves = torch.tensor([(v.high - v.low) / 2 for v in values if v.low is not None and v.high is not None])
    deviation = torch.tensor([v.value for v in values]).std()
    assert float(halves.mean() / (1.96 * deviation)) == pytest.approx(1, abs=0.2)  # 100 repetitions know it to 7 %
    copied = score(Memorization(), fake=stream(train["features"][:100]), train=train).values["nearer_than_train"]
    assert (copied.value, copied.low, copied.high) == (1, pytest.approx(1 / (1 + 1.96**2 / 100), rel=1e-4), 1)


def test_the_interval_of_a_difference() -> None:
    """Newcombe 1998, table II, method 10: 56/70 - 48/80 is in [0.0524, 0.3339]."""
    first, other = ((k / n, *intervals.wilson(k / n, n)) for k, n in ((56, 70), (48, 80)))
    assert intervals.difference(first, other) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_the_picture_shows_the_nearest_samples_first_with_their_training_images() -> None:
    train, fake = draw(50, 0), draw(20, 1)
    fake[7] = train[3]
    tensors = stream(train)
    context = Context(images=lambda role, places: tensors["images"][places])
    found = score(Memorization(shown=2, neighbours=2), context, fake=stream(fake), train=tensors)
    (grid,) = found.figures
    assert isinstance(grid, Grid)
    tiles = grid.images[:, 0, 0, 0].tolist()
    assert tiles[:2] == [7, 3]
    assert len(tiles) == 2 * 3
    assert found.details["neighbours"][0]["distances"][0] == 0


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.5, 0.5), (3.0, -40.0)])
def test_the_discriminator_is_asked_about_training_held_out_and_generated_images(scale: float, offset: float) -> None:
    """A discriminator that knows the training images by their number alone; of least squares its logits would be 1 and
    0, and those of a critic have no zero."""
    streams = {"train": stream(draw(100, 0)), "held_out": stream(draw(50, 1)), "fake": stream(draw(40, 2))}
    for first, tensors in zip((0, 100, 200), streams.values(), strict=True):
        tensors["images"] = (torch.arange(len(tensors["features"])) + first).to(torch.uint8).view(-1, 1, 1, 1)

    def discriminator(images: Tensor, labels: Tensor | None, real: bool) -> Tensor:
        asked.append(real)
        return scale * torch.where(images.view(-1) < 125, 1.0, -1.0) + offset

    asked: list[bool] = []
    context = Context(images=lambda role, at: streams[role]["images"][at], discriminator=discriminator)
    values = score(Memorization(), context, batch=64, ranks=1, **streams).values
    assert {name: values[name].value for name in ("d_train", "d_held_out", "d_fake", "d_gap")} == {
        "d_train": 1.0,
        "d_held_out": 0.5,
        "d_fake": 1.0,
        "d_gap": 0.5,
    }
    assert asked == [True, True, False]
