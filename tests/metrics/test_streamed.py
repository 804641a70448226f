"""ganlab's metrics as those of torchmetrics, and the other way round, held against torchmetrics' own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance
from torchmetrics.image.psnr import PeakSignalNoiseRatio

import ganlab
from ganlab.contracts.metric import Context, Kept, Stream
from ganlab.core import registry
from ganlab.evaluation import protocol
from ganlab.metrics import as_torchmetric
from ganlab.metrics.streamed import StreamMetric
from ganlab.metrics.torchmetrics import Torchmetrics

pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features:UserWarning"),
    pytest.mark.filterwarnings("ignore:std.*degrees of freedom:UserWarning"),  # of one split
]
WIDTH, CLASSES, COUNT = 6, 4, 200


class Network(nn.Module):
    """Features (B, 6) of bytes, a fixed projection; as torchmetrics wants them, and with logits."""

    num_features = WIDTH

    def __init__(self, logits: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(WIDTH + CLASSES, 3 * 8 * 8, generator=generator) / 20)
        self.logits = logits

    def forward(self, images: Tensor) -> Any:
        found = (images.float().flatten(1) / 127.5 - 1) @ self.weight.T
        return (found[:, :WIDTH], found[:, WIDTH:]) if self.logits else found[:, :WIDTH]


class Logits(Network):
    num_features = CLASSES

    def forward(self, images: Tensor) -> Tensor:
        return Network(logits=True)(images)[1].detach()


def images(seed: int, spread: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (127.5 + spread * torch.randn(COUNT, 3, 8, 8, generator=generator)).clamp(0, 255).to(torch.uint8)


REAL, FAKE = images(0, 40.0), images(1, 60.0)


def updated(metric: Any, batch: int = 64) -> Any:
    for real, group in ((True, REAL), (False, FAKE)):
        for part in group.split(batch):
            metric.update(part, real=real)
    return metric


def of(name: str, **options: Any) -> StreamMetric:
    return as_torchmetric(name, Network(logits=True), **options)


def test_fid_is_that_of_torchmetrics_on_the_same_features() -> None:
    found = updated(of("fid")).compute()
    assert float(found["fid"]) == pytest.approx(float(updated(FrechetInceptionDistance(Network())).compute()), rel=1e-4)
    assert float(found["fid_low"]) < float(found["fid"]) < float(found["fid_high"])


def test_kid_is_that_of_torchmetrics_on_the_same_features() -> None:
    """One subset of all images, so that neither code's draw matters."""
    theirs = KernelInceptionDistance(Network(), subsets=1, subset_size=COUNT)
    found = updated(of("kid", subsets=1, subset_size=COUNT)).compute()
    assert float(found["kid"]) == pytest.approx(float(updated(theirs).compute()[0]), rel=1e-3)


def test_inception_score_is_that_of_torchmetrics_on_the_same_logits() -> None:
    theirs = InceptionScore(Logits(), splits=1)
    theirs.update(FAKE)
    expected = float(theirs.compute()[0])
    assert float(updated(of("is", splits=1)).compute()["is"]) == pytest.approx(expected, rel=1e-5)


def test_mifid_of_torchmetrics_is_fid_of_ganlab_where_nothing_is_memorised() -> None:
    """MiFID is FID over the distance to the nearest real image, and 1 where that is above a threshold."""
    theirs = MemorizationInformedFrechetInceptionDistance(Network(), cosine_distance_eps=1e-9)
    assert float(updated(theirs).compute()) == pytest.approx(float(updated(of("fid")).compute()["fid"]), rel=1e-4)


@pytest.mark.parametrize("name", sorted(registry.names("metric")))
def test_every_metric_of_the_one_pass_is_one_of_torchmetrics(name: str) -> None:
    metric = registry.load("metric", name)()
    if metric.needs_run:
        with pytest.raises(ganlab.GanlabError, match="needs the generator itself"):
            of(name)
        return
    found = as_torchmetric(name, Network(logits=True), num_classes=2)
    for real, group in ((True, REAL), (False, FAKE)):
        found.update(group, real=real, labels=torch.arange(COUNT) % 2)
    if name == "modes":
        with pytest.raises(ganlab.GanlabError, match="needs data whose modes are known"):
            found.compute()
        return
    numbers = found.compute()
    assert found.last_score is not None
    kept = [n for v in found.last_score.values.values() for n in (v.value, v.low, v.high) if n is not None]
    assert len(numbers) == len(kept) > 0  # no end of an interval has the name of another number
    assert all(torch.isfinite(number) for number in numbers.values())
    found.reset()
    found.update(REAL[:8], real=True, labels=torch.arange(8) % 2)
    with pytest.raises(ganlab.GanlabError, match=r"has seen no|needs at least"):
        found.compute()


def test_points_are_no_bytes() -> None:
    points = torch.linspace(-3, 3, 40).view(40, 1, 1, 1)
    found = as_torchmetric("sliced_wasserstein")
    found.update(points, real=True)
    found.update(points + 0.1, real=False)
    assert float(found.compute()["sliced_wasserstein"]) == pytest.approx(0.1, rel=1e-5)


def test_batches_and_a_copy_do_not_matter_and_floats_are_bytes() -> None:
    whole = updated(of("kid"), COUNT).compute()
    parts = updated(copy.deepcopy(of("kid")), 7).compute()
    torch.testing.assert_close(parts, whole)
    floats = of("kid")
    for real, group in ((True, REAL), (False, FAKE)):
        floats.update(group.float() / 127.5 - 1, real=real)
    torch.testing.assert_close(floats.compute(), whole)


def test_metrics_stand_in_a_collection() -> None:
    collection = MetricCollection({"fid": of("fid"), "kid": of("kid", subsets=5)})
    found = updated(collection).compute()
    assert {"fid", "fid_low", "fid_high", "kid"} <= set(found)
    assert float(found["fid"]) == pytest.approx(float(updated(of("fid")).compute()["fid"]))


def test_states_of_processes_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with half of the images each: torchmetrics gathers lists and joins them, and FID has no order."""
    halves = [of("fid"), of("fid")]
    for i, metric in enumerate(halves):
        for real, group in ((True, REAL), (False, FAKE)):
            metric.update(group[i::2], real=real)
    states = [f"{side}_{what}" for side in ("real", "fake") for what in halves[0]._kept]
    for name in states:
        joined = torch.cat([torch.cat(getattr(metric, name)) for metric in halves])
        setattr(halves[0], name, joined)  # one tensor, as after a synchronisation
        assert halves[0]._reductions[name] is halves[1]._reductions[name]
    assert float(halves[0].compute()["fid"]) == pytest.approx(float(updated(of("fid")).compute()["fid"]), rel=1e-6)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "fd"}, "Did you mean 'fid'"),
    ({"name": "fid", "features": None}, "name an extractor, as features='inception'"),
    ({"name": "fid", "features": "classifier"}, "trained on a data set"),
    ({"name": "fid", "block": 3}, "Did you mean 'blocks'"),
    ({"name": "per_class"}, "give num_classes=10"),
    ({"name": "fid", "features": {}}, "features must be one extractor"),
    ({"name": "fid", "num_classes": "3"}, "num_classes must be a whole number, got '3'"),
]


@pytest.mark.parametrize(("given", "sentence"), WRONG)
def test_what_is_wrong_is_said_at_once(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ganlab.GanlabError, match=sentence):
        as_torchmetric(**{"features": Network(), **given})


@pytest.mark.parametrize(
    ("images", "real", "sentence"),
    [(None, True, "must be a tensor"), (REAL, 1, "real= must be True or False"), (REAL[0], True, "must be a tensor")],
)
def test_images_that_are_none_are_refused(images: Any, real: Any, sentence: str) -> None:
    with pytest.raises(ganlab.GanlabError, match=sentence):
        of("fid").update(images, real=real)


def scored(name: str, **options: Any) -> dict[str, float]:
    (metric,) = protocol.Protocol(metrics={name: options}).make_metrics().values()
    stream = Stream(COUNT, image_shape=(3, 8, 8))
    places = torch.arange(COUNT)
    kept: Any = {
        role: Kept(stream, {"images": {"images": rows, "places": places}})
        for role, rows in (("fake", FAKE), ("real", REAL))
    }
    return {n: value.value for n, value in metric.score(kept, Context()).values.items()}


def test_any_image_metric_of_torchmetrics_is_one_of_ganlab() -> None:
    theirs = PeakSignalNoiseRatio(data_range=1.0)
    theirs.update(FAKE / 255, REAL / 255)
    assert scored("torchmetrics:PeakSignalNoiseRatio")["PeakSignalNoiseRatio"] == pytest.approx(float(theirs.compute()))
    assert set(scored("torchmetrics:TotalVariation")) == {"TotalVariation"}
    own = scored("torchmetrics:StructuralSimilarityIndexMeasure", options={"kernel_size": 3})
    assert 0 < own["StructuralSimilarityIndexMeasure"] < 1
    with pytest.raises(ganlab.GanlabError, match="gives no score"):
        scored("torchmetrics:MultiScaleStructuralSimilarityIndexMeasure")  # of images of 8 pixels
    for name, sentence in (("PeakSignalNoise", "Did you mean 'PeakSignalNoiseRatio'"), ("PerceptualPathLength", "got")):
        with pytest.raises(ganlab.GanlabError, match=sentence):
            scored(f"torchmetrics:{name}")
    with pytest.raises(ganlab.GanlabError, match="refuses its options"):
        scored("torchmetrics:PeakSignalNoiseRatio", options={"margin": 3})
    assert Torchmetrics("PeakSignalNoiseRatio").roles == ("fake", "real")
