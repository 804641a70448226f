from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.metric import Context, Stream
from ganlab.core.errors import GanlabError
from ganlab.metrics.ppl import PPL, _error_of_trimmed


class Linear(nn.Module):
    """Images that are linear in w, and w that is 2 z."""

    num_classes = 0

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))

    def mapping(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return 2 * z

    def styles(self, w: Tensor, psi: float = 1.0) -> Tensor:
        return psi * w[:, None]

    def synthesis(self, ws: Tensor, noise: str) -> Tensor:
        assert noise == "fixed"
        return (ws[:, 0] @ self.matrix.T)[:, None, None]


def latents(start: int, stop: int) -> Tensor:
    return torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))[start:stop]


@pytest.mark.parametrize("ends", [True, False])
def test_along_a_line_a_linear_generator_changes_by_its_own_matrix(ends: bool) -> None:
    """d / eps^2 = mean of (A (w_1 - w_0))^2, whatever t and eps; the mean over pairs within the percentiles."""
    generator = Linear()
    found = PPL(samples=1000, epsilon=1e-2, ends=ends, distance="pixels").score(
        {}, Context(generator=generator, latents=latents)
    )
    z = latents(0, 2000)
    steps = (2 * (z[1::2] - z[0::2]) @ generator.matrix.detach().T).square().mean(1)
    # the 1st percentile of 1,000 lies between the 10th and the 11th, and what is there is kept
    expected = float(steps.sort().values[9:991].mean())
    assert found.values["ppl"].value == pytest.approx(expected, rel=1e-3)
    truncated = Context(generator=generator, latents=latents, truncation=0.5)
    found = PPL(samples=1000, epsilon=1e-2, ends=ends, distance="pixels").score({}, truncated)
    assert found.values["ppl"].value == pytest.approx(expected / 4, rel=1e-3)


class Classes(Linear):
    """w is the one of the class, and the second end goes further by t."""

    num_classes = 3

    def mapping(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        return z * 10.0 ** y[:, None]


def test_a_pair_depends_on_its_number_and_the_seed_and_has_the_label_of_its_first_sample() -> None:
    """d / eps^2 = mean of (10^y A (z_1 - z_0))^2 for a generator that scales z by its class."""
    generator, labels = Classes(), torch.arange(2000) % 3
    context = Context(generator=generator, latents=latents, labels=lambda start, stop: labels[start:stop])
    metric = PPL(samples=100, epsilon=1e-2, ends=False, distance="pixels")
    metric.prepare(Stream(10, image_shape=(1, 8, 8), seed=3), context)
    found = metric.measure(0, 100, context)
    z = latents(0, 200)
    steps = ((z[1::2] - z[0::2]) * 10.0 ** labels[:200:2, None]) @ generator.matrix.detach().T
    assert_close(found.float(), steps.square().mean(1), rtol=1e-2, atol=0)
    assert_close(torch.cat([metric.measure(a, a + 25, context) for a in (0, 25, 50, 75)]), found, rtol=0, atol=0)
    places = [float(metric._place(pair)) for pair in range(3)]
    metric.prepare(Stream(10, image_shape=(1, 8, 8), seed=4), context)
    assert len({*places, *(float(metric._place(pair)) for pair in range(3))}) == 6


def test_the_interval_has_the_width_that_repetitions_have() -> None:
    """Of 300 sets of 400 pairs; their deviation without what is left out would be too small by a tenth."""
    values = torch.randn(300, 400, generator=torch.Generator().manual_seed(0)).double().exp().sort(1).values
    inner = values[:, 3:397]
    errors = torch.tensor([_error_of_trimmed(v, i) for v, i in zip(values, inner, strict=True)])
    assert float(errors.mean() / inner.mean(1).std()) == pytest.approx(1, abs=0.07)  # 300 sets know it to 4 %


def test_what_allows_no_path_length_is_refused_before_the_first_image() -> None:
    stream = Stream(10, image_shape=(1, 8, 8))
    with pytest.raises(GanlabError, match="ppl needs a generator with a w space"):
        PPL().prepare(stream, Context(generator=nn.Linear(2, 2), latents=latents))
    with pytest.raises(GanlabError, match=r"at least 16 pixels, and these have 8: set ppl\.distance=pixels"):
        PPL().prepare(stream, Context(generator=Linear(), latents=latents))


def test_options_out_of_range_are_refused() -> None:
    for options in ({"samples": 1}, {"epsilon": 0.0}, {"distance": "lpps"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            PPL(**options)  # type: ignore[arg-type]
