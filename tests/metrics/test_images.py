"""Metrics that look at pixels: the radial spectrum and MS-SSIM; and scores a class."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganlab.contracts.metric import Context, Stream
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals, ms_ssim, per_class, spectrum
from ganlab.metrics.frechet import Frechet
from ganlab.metrics.ms_ssim import MSSSIM
from ganlab.metrics.per_class import PerClass
from ganlab.metrics.spectrum import RadialSpectrum
from ganlab.testing.metrics import score


def noise(count: int, size: int, seed: int = 0, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_a_wave_has_power_at_its_own_frequency_alone(size: tuple[int, int]) -> None:
    """cos(2 pi f x / W): |F|^2 = H W / 4 at two frequencies (norm ortho), shared by the ring of its radius."""
    height, width = size
    cycles = 3  # an image height
    x = torch.arange(height) / height
    wave = torch.cos(2 * math.pi * cycles * x).view(1, 1, -1, 1).expand(1, 1, height, width)
    power = spectrum.radial_power(wave)
    short = min(size)
    ring = sum(
        round(math.hypot(v * short / height, u * short / width)) == round(cycles * short / height)
        for v in range(-(height // 2), (height + 1) // 2)
        for u in range(-(width // 2), (width + 1) // 2)
    )
    expected = torch.zeros(short // 2 + 1).double()
    expected[round(cycles * short / height)] = 2 * height * width / 4 / ring
    assert_close(power[0], expected, rtol=1e-6, atol=1e-6)  # a float32 wave


def test_the_distance_of_spectra_is_in_decibels() -> None:
    """Twice the contrast is four times the power at every frequency but 0: 10 log10 4 = 6.02 dB."""
    images = noise(64, 8) // 2
    found = score(RadialSpectrum(), fake={"images": 2 * images}, real={"images": images}).values
    assert_close(found["spectrum"].value, 10 * math.log10(4), rtol=1e-3, atol=0)
    assert_close(found["spectrum_high"].value, 10 * math.log10(4), rtol=1e-3, atol=0)


def test_the_intervals_of_the_spectrum_have_the_width_that_repetitions_have() -> None:
    """Of 100 draws of 60 images, whose contrasts scatter, against the same 45; a jackknife of 20 blocks, t = 2.093."""
    found = []
    for seed in range(100):
        contrasts = torch.rand(60, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
        fake = (noise(60, 8, seed) * contrasts).byte() // 2
        found.append(score(RadialSpectrum(), fake={"images": fake}, real={"images": noise(45, 8, 1000)}).values)
    for name in ("spectrum", "spectrum_high"):
        values = [v[name] for v in found]
        halves = torch.tensor([v.value - v.low for v in values if v.low is not None])
        deviation = torch.tensor([v.value for v in values]).std()
        assert len(halves) == 100
        assert_close(halves.mean(), 2.093 * deviation, rtol=0.2, atol=0)  # 100 repetitions know it to 7 %


def test_intervals_do_not_depend_on_whether_images_are_sorted() -> None:
    """Forty dark and forty bright ones, by turns and one kind after the other."""
    images = torch.cat([noise(40, 8) // 4, noise(40, 8, 1)])
    turns = torch.arange(80).view(2, 40).T.flatten()
    widths = []
    for order in (turns, turns.sort().values):
        found = score(RadialSpectrum(), fake={"images": images[order]}, real={"images": noise(80, 8, 2)}).values
        assert found["spectrum"].high is not None
        widths.append(found["spectrum"].high - found["spectrum"].value)
    assert widths[1] == pytest.approx(widths[0], rel=0.4)  # 20 blocks know it to 16 %; sorted ones it would be twice


def test_a_jackknife_of_means_is_the_error_of_the_mean() -> None:
    """Of blocks of one value each: s / sqrt(n), times Student's t of 11 degrees of freedom."""
    x = torch.randn(12, generator=torch.Generator().manual_seed(0))
    without = [float((x.sum() - one) / 11) for one in x]
    assert intervals.jackknife(1.0, without)[1] == pytest.approx(1 + 2.201 * float(x.std()) / 12**0.5)


def test_fewer_images_than_blocks_have_a_spectrum_and_no_interval() -> None:
    found = score(RadialSpectrum(), fake={"images": noise(5, 8)}, real={"images": noise(30, 8)}).values
    assert (found["spectrum"].low, found["spectrum_high"].high) == (None, None)


def test_structural_similarity_is_the_naive_sum_over_a_window() -> None:
    """A 13 x 12 image has 3 x 2 windows of 11 x 11; each by its definition."""
    x, y = noise(1, 13)[..., :12].double(), noise(1, 13, 1)[..., :12].double()
    line = torch.exp(-(torch.arange(11.0) - 5).square() / (2 * 1.5**2)).double()
    window = torch.outer(line, line) / torch.outer(line, line).sum()
    expected = []
    for top in range(3):
        for left in range(2):
            a, b = (image[0, 0, top : top + 11, left : left + 11] for image in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = 2.55**2, 7.65**2
            luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
            expected.append(luminance * (2 * cov + c2) / (var_a + var_b + c2))
    assert_close(ms_ssim.ms_ssim(x.float(), y.float())[0], torch.stack(expected).mean().float(), rtol=1e-4, atol=1e-5)


def test_ms_ssim_is_torchmetrics_but_for_what_it_pads_at_the_last_scale() -> None:
    functional = pytest.importorskip("torchmetrics.functional.image")
    x, y = noise(2, 180, 0).float(), noise(2, 180, 1).float()
    y = (0.7 * x + 0.3 * y).round()
    theirs = functional.multiscale_structural_similarity_index_measure(
        x, y, data_range=255.0, reduction="none", normalize="relu"
    )
    assert_close(ms_ssim.ms_ssim(x, y), theirs, rtol=3e-3, atol=0)


@pytest.mark.parametrize("size", [6, 16, 40])
def test_ms_ssim_of_small_images_is_one_for_equal_ones_and_less_for_others(size: int) -> None:
    x = noise(3, size).float()
    assert_close(ms_ssim.ms_ssim(x, x), torch.ones(3))
    assert ms_ssim.ms_ssim(x, noise(3, size, 1).float()).max() < 0.9


def test_ms_ssim_pairs_images_of_one_class_only() -> None:
    """Two pictures, one a class: within a class all are alike, across classes they are not."""
    images = noise(2, 12).repeat(20, 1, 1, 1)
    tensors = {"images": images, "labels": torch.arange(40) % 2}
    collapsed = score(MSSSIM(), fake=tensors, real={"images": noise(40, 12, 1), "labels": tensors["labels"]}).values
    assert_close(collapsed["ms_ssim"].value, 1.0)
    assert collapsed["ms_ssim"].real is not None
    assert collapsed["ms_ssim"].real < 0.5
    mixed = score(MSSSIM(), fake={"images": images}, real={"images": images}).values
    assert mixed["ms_ssim"].value < 0.9


def test_the_variance_of_a_mean_over_pairs_is_that_of_repetitions() -> None:
    """Values a_i + a_j + e_ij of 12 members: pairs that share one are not independent.

    Var of the mean over P pairs = (sum_i c_i^2 Var a + sum over distinct pairs of m^2 Var e) / P^2, with c_i the number
    of pairs that i is in and m how often a pair was drawn."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(12, (60,), generator=generator)
    other = (first + 1 + torch.randint(11, (60,), generator=generator)) % 12
    counts = torch.bincount(torch.cat([first, other]), minlength=12).double()
    found = []
    for _ in range(400):
        members, pairs = torch.randn(12, generator=generator), torch.randn(12, 12, generator=generator)
        values = members[first] + members[other] + pairs[torch.minimum(first, other), torch.maximum(first, other)]
        found.append(ms_ssim.variance_of_mean(values, first, other))
    _, drawn = torch.stack([torch.minimum(first, other), torch.maximum(first, other)]).unique(dim=1, return_counts=True)
    expected = float(counts.square().sum() + drawn.square().sum()) / 60**2
    estimates = torch.tensor(found)
    assert abs(float(estimates.mean()) / expected - 1) < 0.1
    assert float(estimates.std()) / 400**0.5 < 0.04 * expected


def test_pairs_of_three_images_have_no_interval() -> None:
    """Any two of their pairs share an image."""
    found = score(MSSSIM(), fake={"images": noise(3, 12)}, real={"images": noise(5, 12, 1)}).values["ms_ssim"]
    assert (found.low, found.high) == (None, None)


def test_scores_of_each_class() -> None:
    """Class 1's images are those of the data moved by (3, 4): its FID is 25, the other's 0."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(200, 2, generator=generator)
    labels = torch.arange(200) % 2
    fake = real + labels[:, None] * torch.tensor([3.0, 4.0])
    logits = 50 * torch.nn.functional.one_hot(torch.zeros_like(labels), 2).float()  # everything is taken for class 0
    context = Context(class_names=("left", "right"), own_classifier=True)
    found = score(
        PerClass(),
        context,
        fake={"features": fake, "labels": labels, "logits": logits},
        real={"features": real, "labels": labels, "logits": logits},
    )
    rows = found.details["classes"]
    assert [row["class"] for row in rows] == ["left", "right"]
    assert rows[0]["fid"] == pytest.approx(0, abs=1e-6)
    assert rows[1]["fid"] == pytest.approx(25, rel=1e-6)
    assert [row["recognised"] for row in rows] == pytest.approx([1, 0])
    assert found.values["per_class_fid"].value == pytest.approx(12.5)
    assert found.values["per_class_is"].value == pytest.approx(1)
    assert found.warnings == []
    few = {"features": torch.randn(4, 2, generator=generator), "labels": torch.arange(4) % 2, "logits": logits[:4]}
    many = {"features": fake, "labels": labels, "logits": logits}
    said = score(PerClass(), context, fake=many, real=few).warnings
    assert [w[:74] for w in said] == ["per_class: 2 of 2 classes have no more real images than the 2 feature dime"]


def test_the_error_of_a_class_is_the_jackknife_of_its_distance() -> None:
    """Leaving out one of 400 images at a time, by the whole distance; to first order the same."""
    generator = torch.Generator().manual_seed(0)
    fake, real = (
        torch.randn(400, 3, generator=generator).double() + 0.5,
        torch.randn(50, 3, generator=generator).double(),
    )
    reference = Frechet(real.mean(0), real.T.cov())

    def part(x: Tensor) -> dict[str, Tensor]:
        return {"count": torch.tensor(float(len(x))), "mean": x.mean(0), "scatter": x.T.cov() * (len(x) - 1)}

    value, squared_error = per_class.with_error(reference, part(fake), fake)
    assert value == pytest.approx(reference.distance(fake.mean(0), fake.T.cov()))
    without = [torch.cat([fake[:i], fake[i + 1 :]]) for i in range(400)]
    distances = torch.tensor([reference.distance(x.mean(0), x.T.cov()) for x in without]).double()
    jackknife = 399 / 400 * float((distances - distances.mean()).square().sum())
    assert squared_error == pytest.approx(jackknife, rel=0.01)
    assert per_class.with_error(reference, part(fake[:2]), fake[:2])[1] == math.inf


def test_the_intervals_of_classes_have_the_width_that_repetitions_have() -> None:
    """Of 100 draws of 200 images of two classes, against the same real ones; of a jackknife of 10 blocks, t = 2.262."""
    labels = torch.arange(200) % 2

    def draw(seed: int) -> dict[str, Tensor]:
        features = torch.randn(200, 4, generator=torch.Generator().manual_seed(seed)) + (seed > 0) * labels[:, None]
        return {"features": features, "labels": labels, "logits": 2 * features[:, :2]}

    context = Context(own_classifier=True)
    found = [score(PerClass(), context, fake=draw(seed), real=draw(0)).values for seed in range(1, 101)]
    quantiles = {"per_class_fid": 1.96, "worst_class_fid": 1.96, "per_class_is": 2.262, "recognised": 2.262}
    for name, quantile in quantiles.items():
        values = [v[name] for v in found]
        halves = torch.tensor([v.value - v.low for v in values if v.low is not None])
        deviation = torch.tensor([v.value for v in values]).std()
        assert_close(halves.mean(), quantile * deviation, rtol=0.25, atol=0)  # 100 repetitions know it to 7 %


def test_one_image_a_class_is_refused() -> None:
    rows = {"features": torch.rand(3, 2), "labels": torch.arange(3)}
    with pytest.raises(GanlabError, match="no class has two"):
        score(PerClass(), fake=rows, real=rows)


def test_covariances_that_memory_does_not_hold_are_refused_before_the_first_image() -> None:
    stream = Stream(10, feature_dim=2048, num_classes=1000)
    with pytest.raises(GanlabError, match=r"1,000 classes in 2,048 feature dimensions, 67\.1 GB.*gigabytes=68"):
        PerClass().prepare(stream, Context())
    PerClass(gigabytes=68).prepare(stream, Context())
