"""Interpolations, rows by truncation and standing statistics."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.runs import Train
from torch import Tensor
from torch.testing import assert_close

import ganlab
from ganlab import cli
from ganlab.core.errors import GanlabError
from ganlab.layers.norm import BatchNorm
from ganlab.pictures import latent_space
from ganlab.runs.run import Run
from ganlab.runs.standing import standing
from ganlab.sampling import captions, generation


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("big") / "run"
    return ganlab.train(
        ["model=biggan", "data.image_size=32", "generator.width=2", "discriminator.width=2", "data.batch_size=8",
         "sample.count=10", "trainer.max_steps=2", "trainer.accelerator=cpu", f"run.dir={folder}"]
    )  # fmt: skip


def opened(path: Path) -> tuple[tuple[int, int], int, np.ndarray]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size, getattr(picture, "n_frames", 1), np.asarray(picture.convert("RGB"))


def test_a_spherical_path_keeps_the_length_and_moves_at_a_constant_angle() -> None:
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    points = latent_space.interpolate(a, b, 4)[0]
    angles = [i * math.pi / 6 for i in range(4)]
    assert_close(points, torch.tensor([[3 * math.cos(t), 3 * math.sin(t)] for t in angles]))


def test_a_linear_path_moves_at_a_constant_speed() -> None:
    a, b = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 6.0], [1.0, 4.0]])
    points = latent_space.interpolate(a, b, 4, "linear")
    assert_close(points[0], torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]))
    assert_close(points[1, 1], torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("end", [[2.0, 0.0], [-2.0, 0.0]])
def test_a_spherical_path_between_parallel_points_is_linear(end: list[float]) -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([end])
    assert_close(latent_space.interpolate(a, b, 5), latent_space.interpolate(a, b, 5, "linear"))


def test_rows_between_latents_begin_and_end_with_the_seeds_own_samples(big: Run) -> None:
    images = latent_space.interpolation(big, 2, 3, labels=4, seed=7)
    assert images.shape == (6, *big.generator.image_shape)
    samples = big.sample(4, 4, seed=7)
    assert_close(images[[0, 2, 3, 5]], samples, atol=1e-5, rtol=0)
    ends = generation.latents(big.module.setting.prior, 7, 2, big.generator.latent_dim)
    middle = latent_space.interpolate(ends[:1], ends[1:], 3)[0, 1:2]
    assert_close(images[1:2], generation.generate(big.generator, middle, torch.tensor([4])), atol=1e-5, rtol=0)


def test_rows_between_classes_keep_the_latent(big: Run) -> None:
    images = latent_space.interpolation(big, 2, 5, between="classes", labels=[3, 8], seed=7)
    assert_close(images[[0, 9]], big.sample(2, [3, 3], seed=7), atol=1e-5, rtol=0)
    assert_close(images[[4, 5]], big.sample(2, [8, 8], seed=7), atol=1e-5, rtol=0)
    assert (images[2] - images[0]).abs().max() > 1e-6


def test_a_row_by_truncation_is_what_sampling_at_it_makes(big: Run) -> None:
    images = latent_space.by_truncation(big, [2.0, 0.5], 3, labels=1, seed=3)
    assert_close(images[:3], big.sample(3, 1, truncation=2.0, seed=3))
    assert_close(images[3:], big.sample(3, 1, truncation=0.5, seed=3))


def test_standing_statistics_are_means_over_passes_of_fresh_latents_and_classes(big: Run) -> None:
    """mean = (1/k) Σ meanᵢ of the first norm's input, which is the linear layer's output; then all is as before."""
    layers = [layer for layer in big.generator.modules() if isinstance(layer, BatchNorm)]
    before = [layer.running_mean.clone() for layer in layers]
    inputs = []
    hook = layers[0].register_forward_pre_hook(lambda module, args: inputs.append(args[0].detach()))
    with standing(big, 3, 0.7):
        hook.remove()
        assert len(inputs) == 3
        assert_close(layers[0].running_mean, torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0))
        variances = torch.stack([x.var((0, 2, 3), correction=0) for x in inputs])
        assert_close(layers[0].running_var, variances.mean(0))
        assert not torch.equal(inputs[0], inputs[1])
        inside = big.sample(2, 1, truncation=0.7)
    assert all(torch.equal(layer.running_mean, mean) for layer, mean in zip(layers, before, strict=True))
    assert (big.sample(2, 1, truncation=0.7) - inside).abs().max() > 1e-4
    with standing(big, 3, 0.2):
        other = layers[0].running_mean.clone()
    with standing(big, 3, 0.7):  # kept
        assert not torch.equal(layers[0].running_mean, other)
        assert_close(big.sample(2, 1, truncation=0.7), inside)


def with_names(images: Tensor, columns: int, names: list[str]) -> np.ndarray:
    return captions.beside(generation.grid(images, columns), names)[0].numpy()


def test_the_command_line_draws_interpolations_and_truncations(
    big: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", str(big.folder), "kind=interpolation", "count=3", "steps=5", "between=classes", "labels=[3,8]"]
    assert cli.dispatch([*words, "standing_statistics=2", f"out={tmp_path / 'a.png'}"]) == 0
    assert "15 images of iteration 2" in capsys.readouterr().out
    with standing(big, 2):
        images = latent_space.interpolation(big, 3, 5, between="classes", labels=[3, 8])
    assert np.array_equal(opened(tmp_path / "a.png")[2][:, :, 0], with_names(images, 5, ["3 to 8", "8 to 3", "3 to 3"]))
    words = ["sample", str(big.folder), "kind=truncation", "count=5", "thresholds=[2,1,0.5]", "labels=[1,2]"]
    assert cli.dispatch([*words, f"out={tmp_path / 'b.png'}"]) == 0
    images = latent_space.by_truncation(big, [2.0, 1.0, 0.5], 5, labels=[1, 2])
    expected = with_names(images, 5, ["|z| < 2", "|z| < 1", "|z| < 0.5"])
    assert np.array_equal(opened(tmp_path / "b.png")[2][:, :, 0], expected)


def test_rows_of_an_interpolation_have_the_class_that_they_are_of(big: Run, tmp_path: Path) -> None:
    assert cli.dispatch(["sample", str(big.folder), "kind=interpolation", "count=2", "labels=[3,8]",
                         f"out={tmp_path / 'a.png'}"]) == 0  # fmt: skip
    images = latent_space.interpolation(big, 2, 8, labels=[3, 8])
    assert np.array_equal(opened(tmp_path / "a.png")[2][:, :, 0], with_names(images, 8, ["3", "8"]))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["kind=grids"],
            "kind must be one of grid, interpolation, truncation, mixing, reconstruction, projection, got 'grids'",
        ),
        (["steps=3"], "steps goes with kind=interpolation, not with kind=grid"),
        (["kind=truncation", "truncation=0.5"], "truncation goes with kind=grid or interpolation"),
        (["kind=interpolation", "steps=1"], "steps must be at least 2"),
        (["kind=interpolation", "path=round"], "path must be one of linear, spherical"),
        (["kind=interpolation", "between=pictures"], "between must be one of latents, classes"),
        (["kind=interpolation", "between=classes", "labels=[1,99]"], "classes from 0 to 9, got 99"),
        (["kind=interpolation", "between=classes", "labels=[3,3]"], "between=classes needs at least two classes"),
        (["labels=[]"], "labels must be a list of at least one class or null, got []"),
        (["kind=truncation", "thresholds=[]"], "thresholds must be a list of at least one number"),
        (["kind=truncation", "thresholds=[1,-2]"], "truncation must be a positive number, got -2"),
        (["standing_statistics=0"], "standing_statistics must be in [1, 10000], got 0"),
        (["out=x.webp"], "out must end in .png"),
        (["truncation=-1"], "truncation must be a positive number"),
    ],
)
def test_wrong_options_are_refused_in_one_sentence(big: Run, words: list[str], sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        cli.dispatch(["sample", str(big.folder), *words])
    assert sentence in str(caught.value)


def test_classes_are_interpolated_only_where_they_are_embedded(finished: Path, train: Train) -> None:
    with pytest.raises(GanlabError, match="needs a generator that embeds its classes, and dcgan"):
        latent_space.interpolation(ganlab.load(finished), between="classes")
    plain = ganlab.load(train("data.num_classes=0", steps=1))
    with pytest.raises(GanlabError, match="between=classes needs classes"):
        latent_space.interpolation(plain, between="classes")
    assert len(latent_space.interpolation(plain, 1, 2)) == 2
