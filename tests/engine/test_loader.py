"""Batches are a function of images consumed, and ranks share them."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from support.engine import Engine, NormalizedDiscriminator, NormalizedGenerator, images

from ganlab.contracts.game import Game
from ganlab.contracts.growth import Stage
from ganlab.contracts.plan import Progress, plan
from ganlab.core import distributed
from ganlab.data.prepare import Images
from ganlab.engine.loader import Loader, held_by_itself
from ganlab.engine.sampler import IndexedSampler
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating

COUNT, BATCH = 40, 12


def game(steps: int = 1) -> Standard:
    return Standard(
        generator=NormalizedGenerator(), discriminator=NormalizedDiscriminator(), loss=NonSaturating(),
        discriminator_steps=steps,
    )  # fmt: skip


def numbered(labels: bool = True) -> Images:
    """Image i is made of the number i, and so is its label."""
    pixels = torch.arange(COUNT, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    return Images(pixels, torch.arange(COUNT) if labels else None, COUNT if labels else 0, (), ())


def batches(loader: Loader, count: int) -> list[list[int]]:
    """Numbers of the images of each evaluation."""
    return [
        part[:, 0, 0, 0].tolist() for batch in islice(loader, count) for part in batch["images"] if part is not None
    ]


def loader(played: Game, progress: Progress | None = None, accumulate: int = 1, data: Images | None = None) -> Loader:
    progress = progress or Progress()
    return Loader(data or numbered(), played, lambda: progress, batch_size=BATCH, accumulate=accumulate, seed=3)


def test_every_epoch_shows_every_image_once_and_in_another_order() -> None:
    shown = [number for batch in batches(loader(game()), 10) for number in batch]
    epochs = [shown[i : i + COUNT] for i in range(0, 120, COUNT)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(COUNT))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_each_discriminator_step_gets_images_of_its_own() -> None:
    first, second, third, *_ = batches(loader(game(steps=3)), 1)
    assert len({*first, *second, *third}) == 3 * BATCH


def test_labels_stay_with_their_images_and_pixels_stay_bytes() -> None:
    batch = next(iter(loader(game())))
    (pixels,), (labels,) = batch["images"], batch["labels"]
    assert pixels is not None
    assert labels is not None
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels[:, 0, 0, 0].long(), labels)
    assert next(iter(loader(game(), data=numbered(labels=False))))["labels"] == [None]


def test_a_loader_that_starts_at_an_iteration_reads_on_as_if_it_had_never_stopped() -> None:
    played = game(steps=2)
    whole: list[dict[str, Any]] = list(islice(loader(played), 7))
    progress = Progress()
    for done in range(7):
        resumed: dict[str, Any] = next(iter(loader(played, progress)))
        assert all(torch.equal(a, b) for a, b in zip(resumed["images"], whole[done]["images"], strict=True)), done
        progress = plan(played, progress, BATCH).advance(progress)


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_micro_batches_of_all_ranks_together_are_those_of_one_process(
    monkeypatch: pytest.MonkeyPatch, world: int, accumulate: int
) -> None:
    expected = [torch.tensor(batch).view(accumulate, -1) for batch in batches(loader(game(), accumulate=accumulate), 5)]
    parts: list[list[torch.Tensor]] = []
    for rank in range(world):
        monkeypatch.setattr(distributed, "world_size", lambda: world)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append([torch.tensor(b).view(accumulate, -1) for b in batches(loader(game(), accumulate=accumulate), 5)])
    for step, whole in enumerate(expected):
        assert torch.equal(torch.cat([part[step] for part in parts], 1), whole)


def test_a_growing_game_gets_the_batches_of_its_stage() -> None:
    class Growing(Standard):
        def stage(self, images_seen: int) -> Stage:
            return Stage((8, 8), batch_size=BATCH if images_seen < 24 else BATCH // 2)

    played = Growing(generator=NormalizedGenerator(), discriminator=NormalizedDiscriminator(), loss=NonSaturating())
    found = batches(loader(played), 5)
    assert [len(batch) for batch in found] == [12, 12, 6, 6, 6]
    order = IndexedSampler(COUNT, 3).indices(0, 42).tolist()
    assert [number for batch in found for number in batch] == order


def test_the_engine_takes_the_images_that_the_loader_meant_for_each_micro_batch() -> None:
    """Byte 0 is −1 and byte 255 is 1; the second micro-batch holds the second half."""
    engine = Engine(game(steps=2), accumulate=2, batch_size=BATCH)
    seen = engine.reals("discriminator")
    data = images()
    engine.play(data)
    rows = IndexedSampler(len(data), 0).indices(0, 2 * BATCH)
    torch.testing.assert_close(torch.cat(seen), data.pixels[rows].float() / 127.5 - 1, rtol=0, atol=1e-6)
    assert [len(part) for part in seen] == [BATCH // 2] * 4


def test_mirroring_flips_about_half_of_the_images_left_to_right_and_no_others() -> None:
    engine = Engine(game(), batch_size=40, mirror=True)
    seen = engine.reals("discriminator")
    data = images()
    engine.play(data)
    plain = data.pixels[IndexedSampler(40, 0).indices(0, 40)].float() / 127.5 - 1
    same = (seen[0] - plain).abs().amax((1, 2, 3)) < 1e-6
    flipped = (seen[0] - plain.flip(3)).abs().amax((1, 2, 3)) < 1e-6
    assert bool((same ^ flipped).all())
    assert 10 <= int(flipped.sum()) <= 30


def test_dequantized_pixels_are_their_grey_level_and_uniform_noise_of_one() -> None:
    """(x + u)/128 - 1 with u ~ U[0, 1); the published codes write 2·(x/256 - 1/2) + U[0, 1/128)."""

    def reals(**options: Any) -> torch.Tensor:
        engine = Engine(game(steps=2), accumulate=2, batch_size=40, dequantize=True, **options)
        seen = engine.reals("discriminator")
        engine.play(data)
        return torch.cat(seen)

    data = images()
    rows = IndexedSampler(40, 0).indices(0, 80)
    levels = data.pixels[rows].double()
    noise = 128 * (reals().double() + 1) - levels
    assert -1e-4 < noise.min() < 0.01
    assert 0.99 < noise.max() < 1 + 1e-4
    values = noise.flatten()
    assert abs(float(values.mean()) - 1 / 2) < 5 * (1 / 12 / len(values)) ** 0.5
    assert abs(float(values.var()) - 1 / 12) < 5 * (1 / 180 / len(values)) ** 0.5  # E(u-1/2)⁴ - 1/144 = 1/180
    assert noise.unique().numel() > 0.9 * noise.numel()  # each pixel, image and micro-batch its own
    assert torch.equal(reals(), reals())
    assert torch.equal(reals(channels_last=False), reals())


@pytest.mark.parametrize(
    ("size", "free", "budget", "held"),
    [
        (2**30, 20 * 2**30, 2**31, True),  # a twentieth
        (2**30 + 1, 20 * 2**30, 2**31, False),
        (2**31 + 1, 80 * 2**30, 2**31, False),  # packed into a file
        (2**20, 0, 2**31, False),
    ],
)
def test_a_gpu_holds_a_set_by_itself_if_it_is_small_and_in_memory(
    size: int, free: int, budget: int, held: bool
) -> None:
    assert held_by_itself(size, free, budget) is held
