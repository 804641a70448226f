"""Pictures of a w space: each image is the synthesis of the styles that it should have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.runs import picture

import ganlab
from ganlab import cli
from ganlab.config import compose
from ganlab.pictures import style_space
from ganlab.runs import session
from ganlab.runs.run import Run
from ganlab.sampling import captions, generation

SIZE = 32
WORDS = ["model=stylegan", "loss=r1", "generator.width=64", "generator.latent_dim=6", "generator.w_dim=5",
         "generator.mapping_layers=2", "generator.mapping_width=7", "discriminator.width=32", "data.batch_size=2",
         f"data.image_size={SIZE}", "sample.count=2", "trainer.max_steps=1", "trainer.accelerator=cpu"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [*WORDS, f"run.dir={tmp_path_factory.mktemp('styled') / 'run'}"]
    return session.start(compose.read(words)).folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """Its generator feels every style, noise and class."""
    loaded = ganlab.load(folder)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in loaded.generator.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=random))
        loaded.generator.w_avg.copy_(torch.randn(5, generator=random))
    return loaded


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to the rounding that another batch size brings."""
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


@torch.no_grad()
def ws_of(run: Run, number: int, label: int, psi: float = 1.0) -> torch.Tensor:
    """By hand: w of latent ``number`` of seed 0, truncated, for each layer."""
    z = generation.latents(run.module.setting.prior, 0, number + 1, 6)[number:]
    w = run.generator.mapping(z, torch.tensor([label]))
    w = run.generator.w_avg + psi * (w - run.generator.w_avg)
    return w[:, None].repeat(1, run.generator.num_ws, 1)


@torch.no_grad()
def image(run: Run, ws: torch.Tensor) -> torch.Tensor:
    return run.generator.synthesis(ws, "fixed")[0]


@pytest.mark.parametrize("psi", [None, 0.5])
def test_a_mixing_grid_puts_the_sources_styles_into_a_range_of_layers(run: Run, psi: float | None) -> None:
    columns, rows = 3, 2
    made, width, names = style_space.mixing(run, columns, rows, labels=4, psi=psi)
    grid = made.unflatten(0, (-1, width))
    assert grid.shape[:2] == (1 + 3 * rows, 1 + columns)
    assert (grid[0, 0] == 1).all()
    assert names == ["", *(["layers 0 to 1"] * 2), *(["layers 2 to 3"] * 2), *(["layers 4 to 7"] * 2)]
    styles = [ws_of(run, n, 4, 1.0 if psi is None else psi) for n in range(columns + 3 * rows)]
    for column in range(columns):
        close(grid[0, 1 + column], image(run, styles[column]))
    for row in range(3 * rows):
        mine = styles[columns + row]
        close(grid[1 + row, 0], image(run, mine))
        first, last = [(0, 2), (2, 4), (4, 8)][row // rows]
        for column in range(columns):
            mixed = mine.clone()
            mixed[:, first:last] = styles[column][:, first:last]
            close(grid[1 + row, 1 + column], image(run, mixed))
            assert (grid[1 + row, 1 + column] - grid[1 + row, 0]).abs().max() > 1e-3


def test_coarse_middle_and_fine_layers_are_the_published_ones_where_there_are_so_many() -> None:
    assert style_space.thirds(18) == [(0, 4), (4, 8), (8, 18)]  # 1024 pixels
    assert [style_space.thirds(n) for n in (12, 10, 4, 2)] == [
        [(0, 4), (4, 8), (8, 12)], [(0, 2), (2, 4), (4, 10)], [(0, 2), (2, 4)], [(0, 2)]
    ]  # fmt: skip


def test_rows_by_psi_go_from_the_image_itself_to_that_of_the_mean_style(run: Run) -> None:
    made = style_space.by_psi(run, [1.0, 0.25, 0.0], 3, labels=2).unflatten(0, (3, 3))
    close(made[0], run.sample(3, 2, noise="fixed"))
    for column in range(3):
        close(made[1, column], image(run, ws_of(run, column, 2, 0.25)))
    close(made[2], made[2, :1].expand(3, -1, -1, -1))
    assert (made[0, 0] - made[0, 1]).abs().max() > 1e-2


def test_psi_may_truncate_the_first_layers_only(run: Run) -> None:
    ws = ws_of(run, 0, 2)
    ws[:, :3] = ws_of(run, 0, 2, 0.5)[:, :3]
    close(run.sample(1, 2, psi=0.5, cutoff=3, noise="fixed")[0], image(run, ws))


def test_a_path_between_styles_is_straight_in_w(run: Run) -> None:
    made = style_space.between_styles(run, 2, 5, labels=1).unflatten(0, (2, 5))
    ends = run.sample(4, 1, noise="fixed")
    close(made[:, 0], ends[0::2])
    close(made[:, -1], ends[1::2])
    between = 0.75 * ws_of(run, 2, 1) + 0.25 * ws_of(run, 3, 1)
    close(made[1, 1], image(run, between))


def test_noise_is_a_function_of_seed_and_number_or_the_same_for_all_or_none(run: Run) -> None:
    three = run.sample(3, 1)
    close(run.sample(3, 1, batch=2), three)
    close(run.sample(1, 1), three[:1])
    others = [run.sample(3, 1, noise=noise) for noise in ("fixed", "off")] + [run.sample(3, 1, seed=1)]
    assert all((other - three).abs().max() > 1e-2 for other in others)
    same = run.module.setting.prior
    z = generation.latents(same, 0, 1, 6).repeat(2, 1)
    one, other = generation.generate(run.generator, z, torch.tensor([1, 1]))
    assert (one - other).abs().max() > 1e-3  # the same latent, another number
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run.sample(1, 1)
    assert torch.equal(torch.get_rng_state(), before)


MIXED = ["", *(f"layers {ends}" for ends in ("0 to 1", "0 to 1", "2 to 3", "2 to 3", "4 to 7", "4 to 7"))]
KINDS = {
    "kind=mixing": (7, MIXED),
    "kind=mixing rows=1 count=2 layers=[[0,8]] psi=0.5 noise=off": (3, ["", "layers 0 to 7"]),
    "kind=truncation count=2": (2, [f"psi {psi}" for psi in ("1", "0.7", "0.5", "0", "-0.5", "-1")]),
    "kind=truncation count=2 psis=[1,0.5] cutoff=4": (2, ["psi 1", "psi 0.5"]),
    "kind=truncation count=2 thresholds=[1]": (2, ["|z| < 1"]),
    "kind=interpolation between=w count=1 steps=3 labels=2": (3, ["2"]),
    "kind=interpolation count=2 steps=3 psi=0.5 labels=[1,2]": (3, ["1", "2"]),
    "count=4 psi=0.7 labels=1 noise=fixed": (2, ["", ""]),
}


@pytest.mark.parametrize("words", KINDS)
def test_the_command_line_writes_each_kind(folder: Path, tmp_path: Path, words: str) -> None:
    assert cli.dispatch(["sample", str(folder), *words.split(), f"out={tmp_path / 'out.png'}"]) == 0
    columns, names = KINDS[words]
    rows = len(names)
    shown = picture(tmp_path / "out.png").convert("L")
    expected = captions.beside(torch.full((1, 2 + rows * (SIZE + 2), 2 + columns * (SIZE + 2)), 255).byte(), names)
    assert shown.size == (expected.shape[2], expected.shape[1])
    beside = shown.width - (2 + columns * (SIZE + 2))
    assert np.array_equal(np.asarray(shown)[:, :beside], expected[0, :, :beside].numpy())


REFUSED = {
    "psi=inf": "psi must be a finite number",
    "cutoff=9": "cutoff must be 0 to 8, the layers of stylegan, got 9",
    "noise=loud": "noise must be one of random, fixed, off",
    "kind=mixing layers=[[4,9]]": "layers must be ranges [from,to] within 0 to 8",
    "kind=mixing layers=[]": "layers must be a list of at least one range",
    "kind=mixing steps=3": "steps goes with kind=interpolation, not with kind=mixing",
    "kind=truncation psis=[1] thresholds=[1]": "leave one of them out",
    "kind=interpolation between=w path=linear": "from w to w the path is linear",
}
WITHOUT_W = {
    "psi=0.5": "psi=0.5 needs a generator with a w space, and dcgan has none: truncation=1.0 truncates its latents",
    "cutoff=1": "cutoff=1 needs a generator with a w space, and dcgan has none",
    "noise=off": "noise=off needs a generator with a w space",
    "kind=mixing": "kind=mixing needs a generator with a w space, and dcgan has none: leave it out.",
    "kind=truncation psis=[1]": "psis needs a generator with a w space",
    "kind=interpolation between=w": "between=w needs a generator with a w space",
}


@pytest.mark.parametrize("words", [*REFUSED, *WITHOUT_W])
def test_what_cannot_be_shown_is_refused_in_one_sentence(
    folder: Path, finished: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder if words in REFUSED else finished
    before = sorted(where.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        cli.main(["sample", str(where), *words.split()])
    assert caught.value.code == 2
    assert {**REFUSED, **WITHOUT_W}[words] in capsys.readouterr().err
    assert sorted(where.rglob("*")) == before
