"""Images find their latents, and paths go from seed to seed and from image to image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganlab import cli
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.models.stylegan import Generator
from ganlab.pictures import journeys, optimized_noise, projection
from ganlab.runs import session
from ganlab.runs.run import Run
from ganlab.sampling import generation, styles

BOUND = 0.03  # root mean square error of pixels, of a range of 2


@pytest.fixture
def run(finished: Path) -> Run:
    return Run(finished)


@pytest.fixture
def styled(finished: Path) -> Run:
    """A run whose generator has a w space, of random weights."""
    found = Run(finished)
    torch.manual_seed(0)
    network = Generator(8, 1, latent_dim=8, w_dim=8, width=64, max_width=8, mapping_layers=2, mapping_width=8).eval()
    for name, tensor in network.state_dict().items():
        if "to_image" in name:
            tensor.mul_(0.1)  # pixels stay within [-1, 1]
    found.module.average["generator"] = network
    found.config.data.__dict__["num_classes"] = 0
    return found


@pytest.fixture
def pictures(run: Run, tmp_path: Path) -> Path:
    """Two images of the run, of classes 3 and 5."""
    for i, image in enumerate(run.sample(2, [3, 5], seed=1)):
        generation.write_png(generation.to_uint8(image), tmp_path / "pictures" / f"{i}.png")
    return tmp_path / "pictures"


def test_pictures_of_a_generator_find_latents_that_make_them(
    run: Run, finished: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.png"
    words = ["kind=projection", f"images={pictures}", "labels=[3,5]", "features=none", "iterations=150", f"out={out}"]
    assert cli.dispatch(["sample", str(finished), *words]) == 0
    assert "z: root mean square error of pixels, of a range of 2: 0.0" in capsys.readouterr().out
    space, codes, labels = projection.load(run, out.with_suffix(".npz"))
    assert space == "z"
    assert labels is not None
    assert labels.tolist() == [3, 5]
    made = generation.generate(run.generator, codes, labels)
    assert float((made - run.sample(2, [3, 5], seed=1)).square().mean().sqrt()) < BOUND
    walk = tmp_path / "walk.png"
    words = ["kind=interpolation", "between=images", f"images={tmp_path / 'p.npz'}", "steps=4", f"out={walk}"]
    assert cli.dispatch(["sample", str(finished), *words]) == 0
    assert walk.exists()


def test_w_and_its_layers_come_near_a_picture_and_the_path_there_is_kept(styled: Run) -> None:
    torch.manual_seed(1)
    w = styles.in_w(styled.generator, torch.randn(2, 8), None)
    targets = generation.generate(styles.OfStyles(styled.generator), styled.generator.styles(w), None,
                                  style=styles.Style(noise="fixed"))  # fmt: skip
    distance = projection.distance_to(targets, "none")
    for space, shape in (("w", (2, 8)), ("w+", (2, 4, 8))):
        found = projection.project(styled, targets, None, space, distance, iterations=120, noise="fixed")
        assert found.codes.shape == shape
        first = (found.path[0] - targets).square().mean().sqrt()
        assert float(found.errors.max()) < 0.5 * float(first)
        assert torch.equal(found.path[-1], found.images)


def test_noise_that_is_optimized_comes_nearer_to_a_picture_with_noise_and_stays_noise(
    styled: Run, tmp_path: Path
) -> None:
    for layer in styled.generator.synthesis.noises:
        torch.nn.init.constant_(layer.weight, 0.5)
    targets = styled.sample(2, seed=1, noise="random")
    distance = projection.distance_to(targets, "none")
    fixed, found = (
        projection.project(styled, targets, None, "w", distance, iterations=100, noise=noise)
        for noise in ("fixed", "optimized")
    )
    assert fixed.noise is None
    assert found.noise is not None
    assert bool((found.errors < 0.7 * fixed.errors).all()), (found.errors, fixed.errors)
    synthesis = styled.generator.synthesis
    with torch.no_grad():
        again = synthesis(styled.generator.styles(found.codes), found.noise)
    torch.testing.assert_close(again.clamp(-1, 1), found.images, atol=1e-5, rtol=0)
    for part in found.noise.split([height * width for height, width in synthesis.noise_sizes], 1):
        torch.testing.assert_close(part.mean(1), torch.zeros(2), atol=1e-4, rtol=0)
        torch.testing.assert_close(part.square().mean(1), torch.ones(2), atol=1e-3, rtol=0)
    projection.save([found], tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as arrays:
        assert sorted(arrays) == ["noise_w", "w"]
    assert projection.load(styled, tmp_path / "p.npz")[0] == "w"


def test_each_image_has_noise_of_its_own_in_each_space(styled: Run, tmp_path: Path) -> None:
    for layer in styled.generator.synthesis.noises:
        torch.nn.init.constant_(layer.weight, 0.5)
    targets = styled.sample(2, seed=1, noise="random")
    distance = projection.distance_to(targets, "none")
    both = [projection.project(styled, targets, None, space, distance, iterations=5) for space in ("w", "w+")]
    for found in both:
        assert found.noise is not None
        for own in (0, 1):
            code, image = found.codes[own : own + 1], found.images[own]
            with torch.no_grad():
                made, other = (
                    projection.made(styled, code, None, found.space, found.noise[k : k + 1])[0] for k in (own, 1 - own)
                )
            torch.testing.assert_close(made.clamp(-1, 1), image, atol=1e-5, rtol=0)
            assert float((other.clamp(-1, 1) - image).abs().max()) > 0.01
    projection.save(both, tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as arrays:
        for found in both:
            assert found.noise is not None
            assert np.array_equal(arrays[f"noise_{found.space}"], found.noise.numpy())


def test_the_penalty_keeps_the_picture_out_of_the_noise(styled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours of a picture are alike: without the penalty so are those of the noise that helps to make it."""
    for layer in styled.generator.synthesis.noises:
        torch.nn.init.constant_(layer.weight, 0.5)
    targets = torch.linspace(-1, 1, 8).expand(2, 1, 8, 8)
    distance = projection.distance_to(targets, "none")
    alike = []
    for weight in (0.0, 1e8):
        monkeypatch.setattr(optimized_noise, "WEIGHT", weight)
        found = projection.project(styled, targets, None, "w", distance, iterations=40)
        assert found.noise is not None
        last = found.noise[:, -64:].unflatten(1, (1, 8, 8))
        alike.append(float(optimized_noise.autocorrelation(last).mean()))
    without, with_penalty = alike
    assert with_penalty < 0.2 * without, alike


@pytest.mark.slow
def test_a_trained_generator_recovers_its_own_digits(tmp_path: Path) -> None:
    """The distance ends below 0.15 of the start's, and the error of pixels below a bound."""
    options = ["data=digits", "trainer.accelerator=cpu", "trainer.max_steps=150", "sample.every_steps=1000"]
    run = Run(session.start(compose.read([*options, f"run.dir={tmp_path / 'run'}"])).folder)
    labels = run.labels(None, 3, 5)
    targets = run.sample(3, labels, seed=5)
    distance = projection.distance_to(targets, "none")
    found = projection.project(run, targets, labels, "z", distance)
    start, end = (distance(images) for images in (found.path[0], found.images))
    assert bool((end < 0.15 * start).all()), (start, end)
    assert float(found.errors.max()) < 0.04


def test_features_that_ship_in_a_package_have_maps_that_can_be_differentiated() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    targets = torch.zeros(2, 1, 8, 8)
    distance = projection.distance_to(targets, None)
    x = (0.1 * torch.randn(2, 1, 8, 8)).requires_grad_()
    (slope,) = torch.autograd.grad(distance(x).sum(), [x])
    assert float(distance(targets).abs().max()) < 1e-6
    assert bool((slope.flatten(1).norm(dim=1) > 0).all())


def test_a_path_goes_through_the_images_of_its_seeds(run: Run, finished: Path, tmp_path: Path) -> None:
    space, codes, labels = journeys.of_seeds(run, [4, 7, 9], [1, 2, 3], None)
    images = journeys.between(run, space, codes, labels, 5, "spherical", None)
    assert len(images) == 10
    for place, seed, label in ((0, 4, 1), (4, 7, 2), (5, 7, 2), (9, 9, 3)):
        torch.testing.assert_close(images[place], run.sample(1, label, seed=seed)[0], atol=1e-4, rtol=0)
    out = tmp_path / "walk.webp"
    words = ["kind=interpolation", "between=seeds", "seeds=[4,7,9]", "steps=3", f"out={out}"]
    assert cli.dispatch(["sample", str(finished), *words]) == 0
    with Image.open(out) as moving:
        assert getattr(moving, "n_frames", 1) >= 6


WRONG = {
    "kind=projection": "kind=projection takes images=FOLDER",
    "kind=projection images={tmp}/none": "there is no such folder",
    "kind=projection images={tmp}/small labels=0": "has 5 x 5 pixels, and the model makes 8 x 8",
    "kind=projection images={tmp}/colour labels=0": "is in colour, and the model makes grey images: give grey ones",
    "kind=projection images={tmp}/text labels=0": "cannot be read",
    "kind=projection images={tmp}/good": "The model has 10 classes",
    "kind=projection images={tmp}/good labels=0 space=w": "space=w needs a generator with a w space",
    "kind=projection images={tmp}/good labels=0 features=clasifier": "Did you mean 'classifier'?",
    "kind=projection images={tmp}/good labels=0 noise=fixed": "noise=fixed needs a generator with a w space",
    "noise=optimized": "noise=optimized goes with kind=projection.",
    "kind=interpolation between=seeds": "between=seeds takes seeds=, what it goes between.",
    "kind=interpolation seeds=[1,2]": "seeds goes with between=seeds, not with between=latents.",
    "kind=interpolation between=seeds seeds=[1]": "A path goes between two ends at least, got 1",
    "kind=interpolation between=images": "between=images takes images=",
    "kind=interpolation between=images images={tmp}/x.npz": "has no codes of a projection",
    "kind=interpolation between=images images={tmp}/y.npz": "has no codes that fit dcgan",
}


@pytest.mark.parametrize("line", WRONG)
def test_bad_input_is_one_sentence(line: str, finished: Path, tmp_path: Path) -> None:
    for name, size, mode in (("small", 5, "L"), ("colour", 8, "RGB"), ("good", 8, "L")):
        (tmp_path / name).mkdir()
        Image.new(mode, (size, size)).save(tmp_path / name / "a.png")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.png").write_text("no picture")
    (tmp_path / "x.npz").write_text("no arrays")
    np.savez(tmp_path / "y.npz", z=np.zeros((2, 5), np.float32))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(GanlabError) as caught:
        cli.dispatch(["sample", str(finished), *line.format(tmp=tmp_path).split(), f"out={tmp_path / 'o.png'}"])
    assert WRONG[line] in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
