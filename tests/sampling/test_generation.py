"""Samples are functions of (seed, number); pictures of them can be opened and are laid out by class."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.runs import TINY, picture
from torch import Tensor
from torch.testing import assert_close

import ganlab
from ganlab import cli
from ganlab.core.errors import GanlabError
from ganlab.priors import Normal
from ganlab.runs.run import Run
from ganlab.sampling import captions, generation


@pytest.fixture(scope="module")
def run(finished: Path) -> Run:
    return ganlab.load(finished)


@pytest.fixture(scope="module")
def unconditional(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("unconditional") / "run"
    return ganlab.train([*TINY, "data.num_classes=0", "trainer.max_steps=2", f"run.dir={folder}"])


def test_a_run_is_loaded_from_its_folder_or_taken_as_it_is(run: Run, finished: Path) -> None:
    assert ganlab.load(run) is run
    assert ganlab.load(str(finished)).iteration == run.iteration == 4
    assert run.num_classes == 10


def test_an_image_is_the_same_alone_in_a_batch_and_in_batches_of_other_sizes(run: Run) -> None:
    images = run.sample(7, seed=5)
    assert images.shape == (7, *run.generator.image_shape)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1
    assert_close(run.sample(1, seed=5)[0], images[0], atol=1e-5, rtol=0)
    for batch in (1, 3, 64):
        assert_close(run.sample(7, seed=5, batch=batch), images, atol=1e-5, rtol=0)
    assert_close(run.sample(12, seed=5)[:7], images, atol=1e-5, rtol=0)
    assert (run.sample(7, seed=6) - images).abs().max() > 1e-3


def test_image_17_of_seed_0_is_the_same_alone_and_in_a_batch(run: Run, finished: Path, tmp_path: Path) -> None:
    alone = run.sample(1, start=17)
    assert_close(alone[0], run.sample(20)[17], atol=1e-5, rtol=0)  # its class is drawn by its number too
    assert_close(run.sample(3, 4, start=16)[1], run.sample(18, 4)[17], atol=1e-5, rtol=0)
    out = tmp_path / "17.png"
    assert cli.dispatch(["sample", str(finished), "start=17", "count=1", "labels=4", f"out={out}"]) == 0
    expected = generation.grid(run.sample(18, 4)[17:], 1).int()
    assert (torch.from_numpy(np.asarray(picture(out)).copy()).int() - expected[0]).abs().max() <= 1  # a grey level


def test_a_latent_is_the_same_whatever_was_asked_for_before() -> None:
    whole = generation.latents(Normal(), 3, 6, 16)
    assert torch.equal(generation.latents(Normal(), 3, 2, 16, start=4), whole[4:])
    assert len(whole.unique()) == whole.numel()


def test_sampling_changes_nothing_in_the_run(run: Run) -> None:
    before = {name: tensor.clone() for name, tensor in run.module.state_dict().items()}
    run.sample(9)
    assert all(torch.equal(before[name], tensor) for name, tensor in run.module.state_dict().items())
    assert not run.generator.training


def test_samples_come_from_the_averaged_weights(run: Run) -> None:
    z, y = generation.latents(Normal(), 0, 3, run.generator.latent_dim), torch.tensor([1, 2, 3])
    assert torch.equal(generation.generate(run.module.average["generator"], z, y), run.sample(3, [1, 2, 3]))
    raw = generation.generate(run.module.game.get_submodule("generator"), z, y)
    assert not torch.equal(raw, run.sample(3, [1, 2, 3]))


def test_labels_are_one_class_a_list_or_a_tensor(run: Run) -> None:
    threes = run.sample(4, 3)
    assert_close(run.sample(4, [3, 3, 3, 3]), threes)
    assert_close(run.sample(4, torch.tensor([3, 3, 3, 3])), threes)
    assert_close(run.sample(4, np.array([3])), threes)  # type: ignore[arg-type]
    assert (run.sample(4, 4) - threes).abs().max() > 1e-4
    drawn = generation.labels(0, 4, 10)
    assert_close(run.sample(4), run.sample(4, drawn))


def test_drawn_labels_are_uniform_over_the_classes() -> None:
    """The count of a class is binomial(n, 1/4); five standard deviations."""
    counts = torch.bincount(generation.labels(0, 2000, 4), minlength=4)
    assert (counts - 500).abs().max() < 5 * (2000 * 0.25 * 0.75) ** 0.5
    assert torch.equal(generation.labels(0, 2000, 4)[:10], generation.labels(0, 10, 4))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (10, "classes from 0 to 9, got 10"),
        (-1, "classes from 0 to 9, got -1"),
        ([1, 2], "one class or 4 classes, got 2"),
        ([], "one class or 4 classes, got 0"),
        (0.5, "must be whole numbers"),
        (True, "must be whole numbers"),
        ("three", "one class or a list of classes, got 'three'"),
        ([[1, 2], 3], "one class or a list"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    run: Run, labels: bool | float | list[int | list[int]] | list[int] | str, words: str
) -> None:
    with pytest.raises(GanlabError, match=words):
        run.sample(4, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 0},
        {"count": "3"},
        {"count": True},
        {"seed": -1},
        {"batch": 0},
        {"truncation": 0},
        {"truncation": -1},
        {"truncation": "a"},
        {"truncation": float("nan")},
    ],
)
def test_arguments_out_of_range_are_refused(run: Run, arguments: dict[str, bool | float | str]) -> None:
    with pytest.raises(GanlabError, match=f"{next(iter(arguments))} must be|cannot be truncated"):
        run.sample(**{"count": 4, **arguments})  # type: ignore[arg-type]


def test_an_unconditional_model_takes_no_labels(unconditional: Run) -> None:
    assert unconditional.sample(3).shape[0] == 3
    with pytest.raises(GanlabError, match="labels were given, but the model is unconditional"):
        unconditional.sample(3, labels=1)


def test_truncated_latents_stay_within_the_threshold() -> None:
    z = generation.latents(Normal().truncated(0.5), 0, 50, 20)
    assert z.abs().max() <= 0.5
    # the middle of the normal density is nearly flat: a twentieth of the mass in each outer 2.5 per cent and more
    assert z.abs().max() > 0.45
    assert_close(z.mean(), torch.tensor(0.0), atol=5 * 0.29 / 1000**0.5, rtol=0)


def test_truncation_changes_the_images(run: Run) -> None:
    assert (run.sample(4, 1, truncation=0.3) - run.sample(4, 1)).abs().max() > 1e-4


def test_a_generator_that_makes_nan_is_reported(run: Run) -> None:
    class Broken(torch.nn.Linear):
        def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
            return z.new_full((len(z), 1, 8, 8), float("nan"))

    with pytest.raises(GanlabError, match="makes NaN or infinite pixels"):
        generation.generate(Broken(1, 1), torch.zeros(2, 4), None)


# --- pictures


def test_pixels_are_the_inverse_of_what_the_data_path_does() -> None:
    levels = torch.arange(256)
    assert torch.equal(generation.to_uint8(levels / 127.5 - 1), levels.to(torch.uint8))
    assert generation.to_uint8(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 40), (64, 33)])
def test_a_grid_holds_every_image_at_its_place(tmp_path: Path, channels: int, height: int, width: int) -> None:
    images = torch.rand(5, channels, height, width) * 2 - 1
    canvas = generation.grid(images, columns=3)
    generation.write_png(canvas, tmp_path / "grid.png")
    shown = np.asarray(picture(tmp_path / "grid.png"))
    assert shown.ndim == (2 if channels == 1 else 3)
    scale = -(-32 // min(height, width))
    assert shown.shape[:2] == (2 + 2 * (height * scale + 2), 2 + 3 * (width * scale + 2))
    for number, image in enumerate(generation.to_uint8(images)):
        top, left = 2 + (number // 3) * (height * scale + 2), 2 + (number % 3) * (width * scale + 2)
        tile = shown[top : top + height * scale : scale, left : left + width * scale : scale]
        expected = image.permute(1, 2, 0).numpy()
        assert np.array_equal(tile, expected[:, :, 0] if channels == 1 else expected)
    assert (shown[:2] == 255).all()
    assert not [p for p in tmp_path.iterdir() if p.name != "grid.png"]


@pytest.mark.parametrize(
    ("count", "classes", "rows", "columns"),
    [(100, 10, 10, 10), (64, 10, 10, 6), (5, 10, 5, 1), (9, 0, 3, 3), (10, 0, 3, 4)],
)
def test_a_training_grid_has_one_row_a_class(count: int, classes: int, rows: int, columns: int) -> None:
    labels, found = generation.rows_by_class(count, classes)
    assert found == columns
    if classes:
        assert labels == list(range(rows)) * columns  # each class has its turn
    else:
        assert labels is None


def test_shorter_rows_end_in_white() -> None:
    labels = generation.in_turn([7, 2], 0, 5)
    assert labels == [7, 2, 7, 2, 7]
    images = torch.arange(5.0).view(5, 1, 1, 1)
    laid, columns, classes = generation.rows(images, labels)
    assert (columns, classes) == (3, [7, 2])
    assert laid.flatten().tolist() == [0, 2, 4, 1, 3, 1]


def test_the_class_of_an_image_is_that_of_its_number_however_many_there_are() -> None:
    assert generation.in_turn([7, 2, 4], 5, 9) == generation.in_turn([7, 2, 4], 0, 100)[5:9]


def test_the_command_line_writes_what_it_was_asked_for(
    run: Run, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "grid.png"
    words = ["sample", str(finished), "count=64", "truncation=0.7", "labels=3", "seed=1", f"out={out}"]
    assert cli.dispatch(words) == 0
    assert f"64 images of iteration 4: {out}" in capsys.readouterr().out
    expected = generation.grid(run.sample(64, 3, truncation=0.7, seed=1), 8)
    assert np.array_equal(np.asarray(picture(out)), expected[0].numpy())


def test_without_labels_the_command_line_makes_one_row_a_class(run: Run, copied: Path) -> None:
    assert cli.dispatch(["sample", str(copied), "count=64"]) == 0
    shown = np.asarray(picture(copied / "samples" / "sample_seed0.png"))
    images = run.sample(64, [number % 10 for number in range(64)])
    white = torch.ones_like(images[0])
    tiles = [images[c + 10 * j] if c + 10 * j < 64 else white for c in range(10) for j in range(7)]
    expected = generation.grid(torch.stack(tiles), 7)[0].numpy()
    beside = shown.shape[1] - expected.shape[1]  # the names
    assert beside > 0
    assert np.array_equal(shown[:, beside:], expected)


def test_ten_images_of_ten_classes_are_one_row_a_class_too(copied: Path) -> None:
    assert cli.dispatch(["sample", str(copied), "count=10"]) == 0
    assert picture(copied / "samples" / "sample_seed0.png").height == 2 + 10 * 34


def test_the_class_of_one_image_alone_is_that_of_its_number(run: Run, copied: Path) -> None:
    assert cli.dispatch(["sample", str(copied), "count=1", "start=17", "columns=1"]) == 0
    shown = np.asarray(picture(copied / "samples" / "sample_seed0.png")).astype(int)
    assert abs(shown - generation.grid(run.sample(1, 7, start=17), 1)[0].numpy()).max() <= 1


def test_a_list_of_classes_makes_one_row_each(copied: Path) -> None:
    assert cli.dispatch(["sample", str(copied), "count=6", "labels=[1,0,2]", "seed=3"]) == 0
    shown = picture(copied / "samples/sample_seed3.png")
    names = captions.beside(generation.grid(torch.ones(6, 1, 8, 8), 2), ["1", "0", "2"])
    assert shown.size == (names.shape[2], 2 + 3 * 34)
    assert np.array_equal(np.asarray(shown)[:, : -(2 + 2 * 34)], names[0, :, : -(2 + 2 * 34)].numpy())
    assert cli.dispatch(["sample", str(copied), "count=6", "labels=[1,0,2]", "seed=4", "columns=6"]) == 0
    assert picture(copied / "samples/sample_seed4.png").size == (2 + 6 * 34, 2 + 34)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["labels=12"], "classes from 0 to 9, got 12"),
        (["labels=[1,99]"], "classes from 0 to 9, got 99"),
        (["labels=cat"], "labels must be"),
        (["count=0"], "count must be at least 1"),
        (["count=many"], "count must be a whole number"),
        (["seed=-1"], "seed must be at least 0"),
        (["start=-1"], "start must be at least 0"),
        (["kind=truncation", "start=2"], "start goes with kind=grid"),
        (["columns=0"], "columns must be at least 1"),
        (["truncation=-0.5"], "truncation must be a positive number"),
        (["out=grid.jpg"], "out must end in .png, in .npz, or in / for a folder of PNGs, got 'grid.jpg'"),
        (["out=many.npz", "columns=3"], "columns=3 is of a picture, and out=many.npz has images"),
        (["out=/proc/grid.png"], "/proc/grid.png cannot be written"),
        (["coutn=3"], "no option 'coutn'. Did you mean 'count'"),
        (["labels=1,2"], "a list is written labels=[A,B]"),
        (["another_run"], "takes one run folder, got 2"),
        (["--fast"], "no flag --fast"),
    ],
)
def test_wrong_options_of_sample_are_refused_in_one_sentence(
    copied: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(copied.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        cli.main(["sample", str(copied), *words])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert expected in err
    assert "Traceback" not in err
    assert sorted(copied.rglob("*")) == before


def test_training_grids_show_the_same_latents_every_time(finished: Path, run: Run) -> None:
    pictures = sorted((finished / "samples").iterdir())
    assert [p.name for p in pictures] == ["iteration_000000002.png", "iteration_000000004.png"]
    expected = captions.beside(generation.grid(run.sample(10, list(range(10))), 1), list("0123456789"))
    assert np.array_equal(np.asarray(picture(pictures[-1])), expected[0].numpy())


def test_training_returns_a_run(tmp_path: Path) -> None:
    made = ganlab.train(
        [*TINY, "data.image_size=[32,64]", "data.image_channels=3", "trainer.max_steps=1", f"run.dir={tmp_path / 'r'}"]
    )
    assert made.folder == tmp_path / "r"
    assert made.sample(2, labels=[0, 9]).shape == (2, 3, 32, 64)
    assert picture(tmp_path / "r/samples/iteration_000000001.png").mode == "RGB"
