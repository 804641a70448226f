"""The one pass, on toy images: what the evaluation of a run, of images and of a plug-in's metric share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from ganlab.contracts.extractor import Extractor
from ganlab.contracts.metric import (
    Accumulator,
    Batch,
    Context,
    Kept,
    Metric,
    Role,
    Score,
    Stream,
    Summary,
    Tensors,
    Value,
)
from ganlab.core import distributed, memory, registry
from ganlab.core.errors import GanlabError
from ganlab.data import progress
from ganlab.data.prepare import Images
from ganlab.data.run_images import RunData
from ganlab.data.splits import split
from ganlab.evaluation import engine, one_pass, sources
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.protocol import preset
from ganlab.priors import Normal
from ganlab.sampling import generation, styles
from ganlab.sampling.styles import Style

LABELS = torch.arange(300) % 3


def pictures(seed: int, count: int = 300) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


class Pooled(Extractor):
    """Means of quarters of the image, and two logits."""

    feature_dim, logits_dim = 4, 2
    calls: ClassVar[list[int]] = []

    def __init__(self, fail: bool = False) -> None:
        self.network = torch.nn.Identity()

    def prepare(self, examples: Any = None) -> None:
        pass

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        self.calls.append(len(images))
        features = torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)
        return features, features[:, :2] / 50

    def weights_hash(self) -> str:
        return "pooled"


@dataclass(frozen=True)
class Brightness(Summary):
    """A plug-in's summary: sum and count of pixels."""

    def begin(self, stream: Stream) -> Accumulator:
        return _Sum()

    def merge(self, parts: Any) -> Tensors:
        return {name: sum(part[name] for part in parts) for name in parts[0]}


class _Sum(Accumulator):
    def __init__(self) -> None:
        self.kept = {"sum": torch.zeros(()).double(), "count": torch.zeros(()).double()}

    def update(self, batch: Batch) -> None:
        self.kept["sum"] += batch.images.double().sum()
        self.kept["count"] += batch.images.numel()

    def tensors(self) -> Tensors:
        return self.kept


class Brighter(Metric):
    """Mean brightness of generated images minus that of real ones."""

    def __init__(self, unit: float = 1.0) -> None:
        self.unit = unit

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"brightness": Brightness()}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        means = {role: k["brightness"]["sum"] / k["brightness"]["count"] for role, k in kept.items()}
        return Score({"brighter": Value(float(means["fake"] - means["real"]) / self.unit)})


class Own(Metric):
    """Measures 37 samples of its own, each of which is its number."""

    roles: ClassVar[tuple[Role, ...]] = ("fake",)
    needs_run: ClassVar[bool] = True
    own_samples = 37
    measured: ClassVar[list[int]] = []

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {}

    def measure(self, start: int, stop: int, context: Context) -> Tensor:
        assert not torch.is_grad_enabled()
        self.measured.extend(range(start, stop))
        return torch.arange(start, stop).double()

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        assert context.own is not None
        assert torch.equal(context.own, torch.arange(37).double())
        return Score({"own": Value(float(context.own.sum()))})


class Latents(Metric):
    """The first latent of a run."""

    roles: ClassVar[tuple[Role, ...]] = ("fake",)
    needs_run: ClassVar[bool] = True

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {}

    def prepare(self, fake: Stream, context: Context) -> None:
        assert context.latents is not None

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        assert context.latents is not None
        return Score({"latent": Value(float(context.latents(0, 1)))})


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> RunData:
    known = {("metric", "brighter"): Brighter, ("metric", "latents"): Latents, ("metric", "own"): Own}
    known["features", "pooled"] = Pooled  # type: ignore[assignment]
    monkeypatch.setattr(registry, "_registered", known)
    Pooled.calls.clear()
    images = Images(pictures(0), LABELS, 3, ("a", "b", "c"), ())
    return RunData(images, split(300, 0.4), lambda: "toy")


def made(real: RunData, tmp_path: Path, *metrics: str, **values: Any) -> Evaluator:
    chosen = {"features": "pooled", "metrics": list(metrics) or ["fid"], "samples": 120, "prdc.nearest": 2, **values}
    chosen = {k: v for k, v in chosen.items() if "." not in k or k.partition(".")[0] in chosen["metrics"]}
    return Evaluator(preset("digits").changed(chosen), real, cache=tmp_path)


def fakes(seed: int = 5, count: int = 120) -> sources.Source:
    images = Images(pictures(seed, count), torch.arange(count) % 3, 3, ("a", "b", "c"), ())
    return sources.of_images(images, torch.arange(count))


ALL = ("fid", "fid_infinity", "kid", "is", "prdc", "per_class", "ms_ssim", "spectrum", "memorization", "brighter")


def test_one_pass_serves_all_metrics_a_plug_ins_too(real: RunData, tmp_path: Path) -> None:
    evaluator = made(real, tmp_path, *ALL)
    result = evaluator.score(fakes())
    # generated 120, and the splits that are looked at: test 60 (as held-out images too), train 180
    assert sum(Pooled.calls) == 120 + 60 + 180
    assert {*result.scores} == {*ALL}
    test = real.images.pixels[real.splits["test"]].double().mean()
    assert result.scores["brighter"].values["brighter"].value == pytest.approx(
        float(pictures(5, 120).double().mean() - test)
    )
    before = sum(Pooled.calls)
    evaluator.score(fakes(6))
    assert sum(Pooled.calls) == before + 120  # what is kept of real images is kept


def test_a_network_that_is_large_for_a_cpu_sees_a_batch_in_parts(real: RunData) -> None:
    extractor, images = Pooled(), pictures(1, 11)
    features, logits = one_pass.extract(extractor, images)
    extractor.cpu_images = 4
    torch.set_num_threads(2)
    parts = one_pass.extract(extractor, images)
    assert torch.get_num_threads() == 2
    assert sorted(Pooled.calls) == [3, 4, 4, 11]
    assert torch.equal(parts[0], features)
    assert logits is not None
    assert parts[1] is not None
    assert torch.equal(parts[1], logits)


def test_a_long_evaluation_says_how_far_it_is_and_a_short_one_nothing(
    real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made(real, tmp_path, "brighter").score(fakes())
    assert capsys.readouterr() == ("", "")
    seconds = iter(range(0, 1000, 15))  # fifteen for each batch
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    made(real, tmp_path / "other", "brighter").score(fakes(count=350))
    out, err = capsys.readouterr()
    lines = [line.replace("evaluating ", "") for line in err.splitlines()]
    assert lines == [
        "test images: 60 of 60, 4 images/s, 0:00 left",
        "samples: 100 of 350, 7 images/s, 0:38 left",
        "samples: 300 of 350, 7 images/s, 0:08 left",  # half a minute later
    ]
    assert out == ""
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    for columns, begins in ((100, "[######                  ] evaluating"), (60, "evaluating"), (20, "evaluating")):
        monkeypatch.setenv("COLUMNS", str(columns))
        made(real, tmp_path, "brighter").score(fakes(count=350))
        shown = capsys.readouterr().err.split("\r\033[K")
        assert shown[1].startswith(begins)
        assert max(map(len, shown)) < columns
        assert shown[1].endswith("left") == (columns > 20)
        assert shown[-1] == ""


def test_a_metric_of_a_run_is_left_out_of_the_scores_of_images_beside_it(real: RunData, tmp_path: Path) -> None:
    evaluator = made(real, tmp_path, "fid", "latents")
    of_run = evaluator.score(fakes(), Context(latents=lambda start, stop: torch.full((stop - start, 1), 0.25)))
    assert of_run.scores["latents"].values["latent"].value == 0.25
    assert {*evaluator.score(fakes()).scores} == {"fid"}


def test_summaries_from_the_cache_are_put_where_those_of_generated_images_are(real: RunData, tmp_path: Path) -> None:
    """On a GPU the two are compared there; the meta device plays the GPU."""
    made(real, tmp_path, "fid", "kid", "prdc").score(fakes())
    second = made(real, tmp_path, "fid", "kid", "prdc")
    second.device = torch.device("meta")
    kept = second._real_kept()["real"].summaries
    assert {tensor.device.type for tensors in kept.values() for tensor in tensors.values()} == {"meta"}


def test_summaries_of_real_images_come_from_the_cache_and_give_the_same_score(
    real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(real, tmp_path, "fid", "kid").score(fakes())
    before = sum(Pooled.calls)
    second = made(real, tmp_path, "fid", "kid").score(fakes())
    assert sum(Pooled.calls) == before + 120
    assert second.record({})["values"] == first.record({})["values"]
    for path in (tmp_path / "statistics").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    assert made(real, tmp_path, "fid", "kid").score(fakes()).record({})["values"] == first.record({})["values"]
    real.fingerprint = "other data"
    before = sum(Pooled.calls)
    made(real, tmp_path, "fid", "kid").score(fakes())
    assert sum(Pooled.calls) > before + 120
    monkeypatch.setattr(Pooled, "weights_hash", lambda self: "other weights")
    before = sum(Pooled.calls)
    made(real, tmp_path, "fid", "kid").score(fakes())
    assert sum(Pooled.calls) > before + 120


def test_generated_image_i_is_that_of_latent_i_truncated_in_w_with_labels_by_their_shares() -> None:
    torch.manual_seed(0)
    options = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "w_dim": 4, "mapping_width": 4, "width": 32}
    generator = registry.load("generator", "stylegan")(**options, num_classes=3).eval()
    prior, shares = Normal(), torch.tensor([0.0, 0.9, 0.1])
    source = sources.of_generator(generator, prior, 60, 7, shares, (1, 8, 8), truncation=0.5)
    images, labels, _ = source.rows(20, 60)
    assert labels is not None
    assert torch.equal(source.rows(0, 60)[1][20:], labels)  # type: ignore[index]
    assert torch.equal(labels.bincount(minlength=3) > 0, shares > 0)
    assert int((labels == 1).sum()) > 29
    z = generation.latents(prior, 7, 60, 4)[20:]
    with torch.no_grad():
        expected, other = (styles.images(generator, z, labels, Style(psi=psi), 7, 20) for psi in (0.5, 1.0))
    assert torch.equal(images, generation.to_uint8(expected))
    assert not torch.equal(images, generation.to_uint8(other))
    assert bool(source.rows(0, 2)[2])
    next(generator.synthesis.parameters()).data.fill_(torch.nan)
    assert not source.rows(0, 2)[2]


def seeing(answer: Callable[..., Any], look: Callable[..., object]) -> Callable[..., Any]:
    """``answer``, with a look at what it is given."""

    def looked_at(*given: Any) -> Any:
        look(*given)
        return answer(*given)

    return looked_at


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_give_the_scores_of_one_without_padding_or_repetition(
    world: int, real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks one after the other in this process; `tests/support/distributed` has real ones."""
    monkeypatch.setattr(one_pass, "BATCH", 7)
    one = made(real, tmp_path / "one", *ALL, "own").score(fakes(), Context())
    parts: dict[tuple[int, int], list[Any]] = {}
    evaluator = made(real, tmp_path / "many", *ALL, "own")
    evaluator._real_kept()
    Own.measured.clear()
    monkeypatch.setattr(engine.distributed, "world_size", lambda: world)
    seen: list[int] = []
    original = sources.Source.__init__
    assert original is not None
    for rank in reversed(range(world)):  # the first rank last: it merges
        monkeypatch.setattr(engine.distributed, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(one_pass.dist, "all_reduce", lambda tensor: None)

        def gather(own: list[Any], rank: int = rank, calls: Iterator[int] = itertools.count()) -> Any:  # noqa: B008
            call = next(calls)  # the pass, and then what a metric measures itself
            parts[call, rank] = own
            return [parts[call, r] for r in range(world)] if rank == 0 else None

        monkeypatch.setattr(one_pass, "_gathered", gather)
        source = fakes()
        source.rows = seeing(source.rows, lambda start, stop: seen.extend(range(start, stop)))
        many = evaluator.score(source, Context())
    assert sorted(seen) == list(range(120))
    assert sorted(Own.measured) == list(range(37))
    for name, score in one.scores.items():
        for key, value in score.values.items():
            assert many.scores[name].values[key].value == pytest.approx(value.value, rel=1e-9, abs=1e-9)


def test_nothing_is_kept_on_a_device_without_float64(
    real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On MPS, which is not available here, batches for metrics are moved to the CPU; the meta device plays the CPU."""
    where = {name: one_pass.where_kept(torch.device(name)).type for name in ("mps", "cuda", "cpu")}
    assert where == {"mps": "cpu", "cuda": "cuda", "cpu": "cpu"}
    evaluator, source = made(real, tmp_path, "kid", "is", "brighter"), fakes(count=20)
    seen: list[str] = []
    monkeypatch.setattr(one_pass, "where_kept", lambda device: torch.device("meta"))
    monkeypatch.setattr(
        _Sum, "update", lambda self, b: seen.extend(x.device.type for x in (b.images, b.features, b.logits))
    )
    one_pass.collect(source, evaluator._stream(source), evaluator._summaries("fake"), Pooled(), torch.device("cpu"))
    assert seen == ["meta"] * 3
    assert {t.device.type for t in evaluator._on_device({"a": torch.zeros(1).double()}).values()} == {"meta"}


def test_networks_are_asked_by_one_rank_alone(real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that looks at the batches of all ranks would wait for ranks that score nothing, or have no batch left."""
    for name, value in {"is_initialized": True, "get_world_size": 2, "get_rank": 0, "barrier": None}.items():
        monkeypatch.setattr(one_pass.dist, name, lambda value=value: value)
    monkeypatch.setattr(one_pass.dist, "all_reduce", lambda tensor: None)
    monkeypatch.setattr(one_pass, "_gathered", lambda own: [own, own])
    assert distributed.world_size() == 2
    seen: list[int] = []
    source = fakes()
    source.rows = seeing(source.rows, lambda *_: seen.append(distributed.world_size()))
    original = Brighter.score

    def score(self: Brighter, kept: Mapping[Role, Kept], context: Context) -> Score:
        seen.append(distributed.world_size())
        return original(self, kept, context)

    monkeypatch.setattr(Brighter, "score", score)
    monkeypatch.setattr(Own, "score", lambda self, kept, context: Score({}))
    monkeypatch.setattr(
        Own, "measure", seeing(lambda *_: torch.zeros(1), lambda *_: seen.append(distributed.world_size()))
    )
    made(real, tmp_path, "brighter", "own").score(source, Context())
    assert seen == [1, 1, 1, 1]  # two batches of 37
    assert (distributed.world_size(), distributed.rank()) == (2, 0)


@pytest.mark.parametrize(("chosen", "held_out"), [("train", "test"), ("validation", "validation"), ("test", "test")])
def test_held_out_images_are_those_of_the_reference_or_of_the_test_split(
    chosen: str, held_out: str, real: RunData, tmp_path: Path
) -> None:
    rows = made(real, tmp_path, "fid", reference=chosen)._rows
    assert {role: split for role, (split, _) in rows.items()} == {
        "real": chosen,
        "train": "train",
        "held_out": held_out,
    }
    assert all(torch.equal(rows[role][1], real.splits[rows[role][0]]) for role in rows)


@pytest.mark.parametrize("own", [False, True])
def test_metrics_know_if_the_classes_are_the_datas_own(
    own: bool, real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(Pooled, "own_classes", own)
    score = seeing(lambda *_: Score({}), lambda self, kept, context: seen.append(context.own_classifier))
    monkeypatch.setattr(Brighter, "score", score)
    made(real, tmp_path, "fid", "brighter").score(fakes())
    assert seen == [own]


def test_nan_images_are_refused(real: RunData, tmp_path: Path) -> None:
    source = fakes()
    rows = source.rows
    source.rows = lambda start, stop: (*rows(start, stop)[:2], torch.tensor(start < 100))
    with pytest.raises(GanlabError, match="it has diverged"):
        made(real, tmp_path, "fid").score(source)


def test_an_extractor_that_gives_nan_is_refused(real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(real, tmp_path, "fid").score(fakes())
    extract = Pooled.extract
    for place in (0, 1):  # features, logits

        def broken(self: Pooled, images: Tensor, place: int = place) -> Any:
            found: Any = extract(self, images)
            found[place][-1] = torch.inf
            return found

        monkeypatch.setattr(Pooled, "extract", broken)
        with pytest.raises(GanlabError, match="gives NaN or infinite numbers for the samples: there is nothing"):
            made(real, tmp_path, "fid").score(fakes())
        with pytest.raises(GanlabError, match="infinite numbers for the test images"):
            made(real, tmp_path / "empty", "fid").score(fakes())


def test_labels_that_are_missing_are_named(real: RunData, tmp_path: Path) -> None:
    source = fakes()
    source.num_classes = 0
    with pytest.raises(GanlabError, match="per_class needs labels, and these images have none"):
        made(real, tmp_path, "per_class").score(source)
    real.images = Images(real.images.pixels, None, 0, (), ())
    with pytest.raises(GanlabError, match="per_class needs labels, and the data has none"):
        made(real, tmp_path, "per_class")


def test_an_extractor_that_classifies_nothing_gives_no_inception_score(
    real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pooled, "logits_dim", 0)
    with pytest.raises(GanlabError, match="is needs class probabilities, and features=pooled classifies nothing"):
        made(real, tmp_path, "is")


def test_a_set_without_held_out_images_is_compared_with_its_training_images_and_says_so(
    real: RunData, tmp_path: Path
) -> None:
    real.splits = split(300, 0.0)
    result = made(real, tmp_path, "fid").score(fakes())
    assert result.protocol["reference"]["split"] == "train"
    assert "no test split" in result.record({})["warnings"][0]


def test_splits_are_disjoint_and_a_larger_share_only_adds() -> None:
    small, large = split(1000, 0.1), split(1000, 0.3)
    assert [len(small[name]) for name in ("train", "validation", "test")] == [900, 50, 50]
    for rows in (small, large):
        assert torch.equal(torch.cat(list(rows.values())).sort().values, torch.arange(1000))
    assert set(small["test"].tolist()) <= set(large["test"].tolist())
    assert set(small["validation"].tolist()) <= set(large["validation"].tolist())
    with pytest.raises(GanlabError, match=r"leaves a split empty: give a share between 0\.2 and 1"):
        split(10, 0.1)
    with pytest.raises(GanlabError, match="of 3 points leaves"):
        split(3, 0.2, "points")
    with pytest.raises(GanlabError, match="leaves a split empty: give 0 to train"):
        split(2, 0.9)


def test_numbers_that_need_more_memory_than_there_is_are_refused_before_images_are_looked_at(
    real: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the protocol asks for when an evaluator is made, and again by the images of a source."""
    with pytest.raises(GanlabError, match=f"from 120 samples and kid.subsets={10**12} need "):
        made(real, tmp_path, "kid", **{"kid.subsets": 10**12})
    evaluator = made(real, tmp_path, "prdc")
    monkeypatch.setattr(memory, "total", lambda: 1000)
    with pytest.raises(GanlabError, match="The numbers of prdc from 120 samples need "):
        evaluator.score(fakes())
    assert Pooled.calls == []
