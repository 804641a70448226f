"""Growing is a schedule: the authors' own, and one that a run follows whatever happens to it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.engine import Engine, images
from support.growing import WORDS, GrowingDiscriminator, GrowingGenerator, installed
from support.runs import TINY, assert_bit_equal, metrics, state

from ganlab.config import compose
from ganlab.contracts.plan import Progress
from ganlab.data.prepare import Images
from ganlab.engine.averaging import Average
from ganlab.engine.loader import shrunk
from ganlab.games.standard import Standard
from ganlab.growth import Progressive
from ganlab.layers.growing import blend_reals
from ganlab.losses.wasserstein import Wasserstein
from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.runs import session

PUBLISHED = json.loads(Path(__file__).with_name("fixtures").joinpath("growth.json").read_text())
BATCHES = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32}
RATES = {128: 1.5, 256: 2, 512: 3, 1024: 3}
SCHEDULES = {
    "pggan_1024": (1024, {}),
    "pggan_32_of_800_and_200_kimg": (32, {"stable_kimg": 800, "fade_kimg": 200}),
    "pggan_32_without_fades": (32, {"fade_kimg": 0}),
    "stylegan_1024": (1024, {"start_size": 8}),
}


def sizes(last: int, base: int = 4) -> list[tuple[int, int]]:
    return [(base * 2**level,) * 2 for level in range(int(math.log2(last // base)) + 1)]


def progressive(last: int = 32, batch: int = 8, **options: object) -> Progressive:
    return Progressive(sizes(last), ("generator", "discriminator"), batch, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedule_is_that_of_the_authors_code(name: str) -> None:
    """lod counts down from the last level; its fraction is the share of the old path."""
    last, options = SCHEDULES[name]
    tables = {size: batch for size, batch in BATCHES.items() if size <= last}
    rates = {size: rate for size, rate in RATES.items() if size <= last}
    schedule = progressive(last, 32, batch_sizes=tables, learning_rate_factors=rates, **options)
    rows = PUBLISHED[name]
    for images_seen, lod, size, batch, rate in rows:
        stage = schedule.stage(images_seen)
        assert (stage.image_size, stage.batch_size) == ((size, size), batch), images_seen
        assert stage.level == len(sizes(last)) - 1 - math.floor(lod), images_seen
        assert stage.alpha == pytest.approx(1 - (lod - math.floor(lod)), abs=1e-9), images_seen
        factors = stage.learning_rates
        assert factors.get("generator", 1) == factors.get("discriminator", 1) == pytest.approx(rate / 1e-3)
    for (before, lod_before, *_), (after, lod_after, *_) in itertools.pairwise(rows):
        forgets = any(edge(lod_before) != edge(lod_after) for edge in (math.floor, math.ceil))
        assert (schedule.stage(before).phase != schedule.stage(after).phase) == forgets, after


def test_durations_may_differ_from_level_to_level() -> None:
    schedule = progressive(16, stable_kimg=(1.0, 2.0, 3.0), fade_kimg=(0.5, 0.25))
    assert schedule.images == 6750
    assert [schedule.stage(start).level for start in schedule.starts] == [0, 1, 1, 2, 2]
    assert schedule.starts == [0, 1001, 1500, 3501, 3750]
    assert schedule.stage(1250).alpha == 0.5
    assert schedule.stage(3600).alpha == pytest.approx(0.4)
    assert schedule.stage(10**9) == schedule.stage(3750)


def test_without_a_reset_all_phases_are_one() -> None:
    schedule = progressive(8, stable_kimg=1, fade_kimg=1, reset_optimizers=False)
    assert {schedule.stage(start).phase for start in schedule.starts} == {0}


def test_the_state_may_be_kept_when_a_fade_ends_as_in_gan_zoo() -> None:
    schedule = progressive(16, stable_kimg=1, fade_kimg=1, reset_after_fade=False)
    assert [schedule.stage(start).phase for start in schedule.starts] == [0, 1, 1, 2, 2]
    assert {schedule.stage(start).average for start in schedule.starts} == {0}


def test_smaller_images_are_rounded_from_the_exact_mean_as_in_the_authors_data_sets() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (3, 2, 16, 16), dtype=np.uint8)
    for size in (2, 4, 8):
        box = 16 // size
        expected = np.empty((3, 2, size, size), dtype=np.uint8)
        for n, c, row, column in np.ndindex(expected.shape):
            part = pixels[n, c, row * box : (row + 1) * box, column * box : (column + 1) * box]
            expected[n, c, row, column] = np.rint(part.astype(np.float64).sum() / box**2)
        np.testing.assert_array_equal(shrunk(torch.from_numpy(pixels), (size, size)).numpy(), expected)
    halves = torch.tensor([[0, 1], [0, 1]], dtype=torch.uint8)[None, None]
    assert shrunk(halves, (1, 1)).item() == 0  # half to even
    assert shrunk(halves + 1, (1, 1)).item() == 2


def test_the_loader_delivers_each_stage_its_size_and_batch_from_one_copy_of_the_data() -> None:
    engine, data = played()
    seen = engine.reals("discriminator")
    engine.play(data, 4)
    assert [tuple(x.shape) for x in seen] == [(8, 1, 4, 4)] * 2 + [(4, 1, 8, 8)] * 2
    small = shrunk(data.pixels, (4, 4)).float() / 127.5 - 1
    for image in seen[0]:
        assert min((image - other).abs().max() for other in small) < 1e-6
    assert engine.module.progress == Progress(4, 24, 24)


def test_real_images_fade_in_with_the_networks_level() -> None:
    x = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    coarse = x.clone()
    for row, column in np.ndindex(2, 3):
        corner = (slice(None), slice(None), slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        coarse[corner] = x[corner].mean((2, 3), keepdim=True)
    torch.testing.assert_close(blend_reals(x, 0.3), x + (coarse - x) * 0.7)
    torch.testing.assert_close(blend_reals(x, 1e-6), coarse, atol=1e-5, rtol=0)


def test_interpolates_of_a_gradient_penalty_lie_between_faded_fakes_and_faded_reals() -> None:
    engine, data = played()
    engine.play(data, 2)
    real, points = engine.reals("discriminator"), []

    def look(turn: object, view: object) -> None:
        if turn.has("discriminator"):  # type: ignore[attr-defined]
            points.append((view.interpolated().images.detach(), view.fakes(grad=False).images.detach()))  # type: ignore[attr-defined]

    engine.watch(look)
    engine.play(data, 2)
    stage = engine.module.stage
    assert stage is not None
    assert 0 < stage.alpha < 1
    (mixed, fake), shown = points[-1], real[-1]
    share = ((mixed - fake) * (shown - fake)).sum((1, 2, 3)) / (shown - fake).square().sum((1, 2, 3))
    torch.testing.assert_close(mixed, fake + share.view(-1, 1, 1, 1) * (shown - fake))
    assert (shown - blend_reals(shown, 1e-9)).abs().max() > 1e-3
    quads = shown.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    spread = quads - quads.mean((3, 5), keepdim=True)
    assert spread.abs().max() < 2 * stage.alpha  # at full strength pixels of noise are up to 2 apart from the mean


def played(**options: Any) -> tuple[Engine, Images]:
    """Levels 4, 8 and 16: batches of 8 at 4 pixels and of 4 later; 8 images stable, 16 fading."""
    torch.manual_seed(0)
    generator, discriminator = GrowingGenerator(16, 1), GrowingDiscriminator(16, 1)
    game = Standard(generator=generator, discriminator=discriminator, loss=Wasserstein())
    game.growth = progressive(16, 4, stable_kimg=0.008, fade_kimg=0.016, batch_sizes={4: 8})
    average = Average({"generator": generator}, half_life_kimg=0.01, ramp_up=None)
    engine = Engine(game, {"gp": GradientPenalty(weight=0.1)}, rate=1e-3, average=average,
                    optimizer=torch.optim.Adam, **options)  # fmt: skip
    return engine, images(shape=(1, 16, 16))


def test_levels_that_are_not_in_use_have_no_gradient_no_optimizer_state_and_do_not_move() -> None:
    engine, data = played(clip={"generator": 0.5})
    networks: tuple[Any, ...] = (engine.game.generator, engine.module.average["generator"])
    generator, average = networks
    before = {name: p.detach().clone() for name, p in generator.named_parameters()}
    engine.play(data, 2)  # 4 pixels, stable
    unused = [name for name in before if ".1." in name or ".2." in name]
    assert len(unused) == 8
    for name, parameter in generator.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved == (name not in unused), name
        stepped = parameter in engine.module.player_optimizers.by_player["generator"].state
        assert stepped == (name not in unused), name
        assert torch.equal(average.get_parameter(name), before[name]) == (name in unused), name


def test_optimizers_forget_at_each_change_of_phase_and_the_average_goes_on() -> None:
    engine, data = played()
    networks: tuple[Any, ...] = (engine.game.generator, engine.module.average["generator"])
    generator, average = networks
    steps, averages, phases = [], [], []
    for _ in range(8):
        engine.play(data, 1)
        first = generator.first.weight  # in use at every stage
        steps.append(int(engine.module.player_optimizers.by_player["generator"].state[first]["step"]))
        averages.append(average.first.weight.detach().clone())
        phases.append(engine.module.stage.phase)  # type: ignore[union-attr]
    assert phases == [0, 0, 1, 1, 2, 2, 2, 3]  # after 0, 8 (an edge is stable), 16, 20, 24, 28, 32, 36 images
    assert steps == [1, 2, 1, 2, 1, 2, 3, 1]
    for one, other in itertools.pairwise(averages):
        assert 0 < (one - other).abs().max() < 0.01
    assert (averages[-1] - generator.first.weight).abs().max() > 1e-5


@pytest.mark.parametrize("full", [True, False])
def test_input_gradients_may_be_those_by_enlarged_images_as_in_the_authors_code(full: bool) -> None:
    """Theirs enlarges images to the final size, and the network takes the means of blocks: by those pixels."""
    engine, data = played()
    options = {"stable_kimg": 0.008, "fade_kimg": 0.016, "batch_sizes": {4: 8}, "full_size_gradients": full}
    engine.game.growth = progressive(16, 4, **options)
    lengths: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def look(turn: Any, view: Any) -> None:
        if not turn.has("discriminator"):
            return
        images = view.reals.images.detach()
        factor = 16 // images.shape[2] if full else 1
        large = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3).requires_grad_()
        scores = engine.game.get_submodule("discriminator")(torch.nn.functional.avg_pool2d(large, factor))
        (expected,) = torch.autograd.grad(scores.sum(), large)
        found = view.input_gradient(view.reals).detach()
        lengths.append((factor, found.flatten(1).norm(dim=1), expected.flatten(1).norm(dim=1)))

    engine.watch(look)
    engine.play(data, 8)
    assert {factor for factor, *_ in lengths} == ({1, 2, 4} if full else {1})
    for _, found, expected in lengths:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_averages_may_begin_anew_with_each_level_as_in_gan_zoo() -> None:
    """Copies before a level's first iteration, they follow it by a hundredth of Adam's step of 1e-3."""
    engine, data = played()
    engine.module.average.half_life_kimg = 1.0
    options = {"stable_kimg": 0.008, "fade_kimg": 0.016, "batch_sizes": {4: 8}, "restart_average": True}
    engine.game.growth = progressive(16, 4, **options)
    networks: tuple[Any, ...] = (engine.game.generator, engine.module.average["generator"])
    generator, average = networks
    apart, levels = [], []
    for _ in range(8):
        before = generator.first.weight.detach().clone()
        engine.play(data, 1)
        apart.append(float((average.first.weight.detach() - before).abs().max()))
        levels.append(engine.module.stage.level)  # type: ignore[union-attr]
    anew = [1, *(one != other for one, other in itertools.pairwise(levels))]
    assert sum(anew) == 3
    assert [distance < 1e-4 for distance in apart] == anew, apart


def test_at_a_change_of_phase_the_optimistic_update_forgets_its_last_step_too() -> None:
    """w <- w + 2·Δ_t - Δ_(t-1) begins anew with w + Δ_t, and the first step of an Adam is the rate or its negative,
    but for eps: no weight moves farther than that. Later on some do."""
    engine, data = played()
    engine.game.update = "optimistic"
    generator: Any = engine.game.generator
    farthest = []
    for _ in range(8):
        before = generator.first.weight.detach().clone()
        engine.play(data, 1)
        farthest.append(float((generator.first.weight.detach() - before).abs().max()))
    begins = [True, False, True, False, True, False, False, True]
    for moved, begin in zip(farthest, begins, strict=True):
        assert (moved == pytest.approx(1e-3, rel=0.01)) == begin, farthest


def test_the_average_has_the_level_of_the_networks() -> None:
    engine, data = played()
    networks: tuple[Any, ...] = (engine.game.generator, engine.module.average["generator"])
    one, other = networks
    for _ in range(12):
        engine.play(data, 1)
        assert (one.level, one.fading, one.alpha) == (other.level, other.fading, other.alpha)
        assert one.alpha == pytest.approx(engine.module.stage.alpha)  # type: ignore[union-attr]
        assert other(torch.zeros(1, 3)).shape[2:] == engine.module.stage.image_size  # type: ignore[union-attr]


@pytest.fixture(scope="module", autouse=True)
def _networks() -> Iterator[None]:
    with installed():
        yield


ENDURES = (*WORDS, "growth.batch_sizes={8:16}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stops, of 16 iterations: stable up to the fifth, then fading for three, stable for two ..."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return session.start(compose.read([*TINY, *ENDURES, "trainer.max_steps=16", f"run.dir={folder}"])).folder


@pytest.mark.parametrize("steps", [5, 7, 13], ids=["before a fade", "in a fade", "in the last fade"])
def test_a_run_that_stops_in_its_growth_goes_on_bit_for_bit(
    whole: Path, train: Callable[..., Path], steps: int
) -> None:
    parts = train(*ENDURES, steps=steps)
    session.resume(parts, {"trainer.max_steps": 16})
    assert_bit_equal(state(parts), state(whole))
    assert metrics(parts) == metrics(whole)
