"""ganlab's metrics as metrics of torchmetrics: updated with batches, computed at the end over all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import torch
import torchmetrics
from torch import Tensor, nn

from ganlab.config import arguments, component
from ganlab.config.schema import COMPONENT
from ganlab.contracts.extractor import Extractor
from ganlab.contracts.metric import Batch, Context, Kept, Metric, Role, Score, Stream, Summary, Tensors
from ganlab.core import kinds
from ganlab.core.errors import GanlabError, sentence, shown
from ganlab.core.ranges import at_least
from ganlab.sampling.generation import to_uint8

BATCH = 100
SIDES = ("real", "fake")


def as_torchmetric(
    name: str | Metric,
    features: Any = None,
    *,
    num_classes: Annotated[int, at_least(0)] = 0,
    seed: Annotated[int, at_least(0)] = 0,
    **options: Any,
) -> StreamMetric:
    """A metric of ganlab's, or a plug-in's, as a `torchmetrics.Metric`.

    Args:
        name: Such as ``fid``, ``kid``, ``is`` or ``prdc``, or a metric object.
        features: The extractor: a name such as ``inception``, a name with options, an `Extractor` that is prepared, or
            a module that gives features (B, D), or (features, logits), of uint8 images.
        num_classes: Classes of the labels that `StreamMetric.update` is given; 0: none.
        seed: Of whatever the metric chooses at random.
        options: The metric's own.

    Raises:
        GanlabError: If there is none of this name, it needs a generator and not only images, an option is wrong, or
            the metric needs features and none are named.
    """
    num_classes, seed = arguments.checked(as_torchmetric, {"num_classes": num_classes, "seed": seed}).values()
    metric = name if isinstance(name, Metric) else _made("metric", name, options)
    called = name if isinstance(name, str) else type(name).__name__
    if metric.needs_run or metric.own_samples:
        raise GanlabError(f"{called} needs the generator itself, and a torchmetrics.Metric sees only images.")
    summaries = [s for role in metric.roles for s in metric.summaries(role).values()]
    if any(s.labels for s in summaries) and not num_classes:
        raise GanlabError(f"{called} needs labels: give num_classes=10, and labels= with each update.")
    extractor = None
    if any(s.features or s.logits for s in summaries):
        if features is None:
            raise GanlabError(f"{called} needs features: name an extractor, as features='inception'.")
        extractor = _extractor(features)
        if extractor.needs_examples:
            raise GanlabError(
                f"features={features} is trained on a data set, which a torchmetrics.Metric does not have: give an "
                f"Extractor that is prepared."
            )
    return StreamMetric(called, metric, extractor, num_classes, seed)


class StreamMetric(torchmetrics.Metric):
    """A metric of real and generated images, see `as_torchmetric`.

    It keeps the features of each image, float32, and the images themselves where the metric looks at them: both are
    needed once all are counted. `compute` returns a dictionary: each number under its name, and the ends of its 95 %
    interval, where it has one, under ``NAME_low`` and ``NAME_high``; of ``spectrum``, which has a number
    ``spectrum_high``, under ``NAME_lower`` and ``NAME_upper``.

    Attributes:
        last_score: The whole score of the last `compute`, with its figures and warnings; None before.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(
        self, name: str, metric: Metric, extractor: Extractor | None, num_classes: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        self.name, self.metric, self.extractor = name, metric, extractor
        self.num_classes, self.seed = num_classes, seed
        self.last_score: Score | None = None
        self._prepared_for: tuple[int, int] | None = None
        needed = [s for role in metric.roles for s in metric.summaries(role).values()]
        self._kept = ["places"]
        self._kept += ["images"] if any(not (s.features or s.logits) for s in needed) else []
        self._kept += ["features"] if any(s.features for s in needed) else []
        self._kept += ["logits"] if any(s.logits for s in needed) else []
        self._kept += ["labels"] if num_classes else []
        for side in SIDES:
            for what in self._kept:
                self.add_state(f"{side}_{what}", [], dist_reduce_fx="cat")
        self._shape: tuple[int, int, int] | None = None

    def update(self, images: Tensor, real: bool, labels: Tensor | None = None) -> None:
        """Take in a batch.

        Args:
            images: uint8, or floats in [-1, 1], (B, C, H, W); for metrics of points floats (B, D, 1, 1).
            real: Whether they are real or generated.
            labels: Their classes (B,), where the metric has ``num_classes``.

        Raises:
            GanlabError: If they are none of this.
        """
        if not isinstance(real, bool):
            raise GanlabError(f"real= must be True or False, got {shown(real)}.")
        images = self._bytes(images)
        self._shape = cast(tuple[int, int, int], tuple(images.shape[1:]))
        found = {"images": images, "places": torch.arange(len(images), device=images.device)}
        if self.extractor is not None:
            features, logits = self._extracted(self.extractor, images)
            found["features"] = features
            if logits is not None:
                found["logits"] = logits
        if self.num_classes:
            if not isinstance(labels, Tensor) or labels.shape != (len(images),):
                raise GanlabError(f"{self.name} needs a label of each image: update(images, real=..., labels=y).")
            found["labels"] = labels.long()
        for what in self._kept:
            if what not in found:
                raise GanlabError(f"{self.name} needs class probabilities, and these features have none.")
            getattr(self, f"{'real' if real else 'fake'}_{what}").append(found[what])

    def compute(self) -> dict[str, Tensor]:
        """Return the numbers of all images so far.

        Raises:
            GanlabError: If the images do not allow a score.
        """
        streams = {side: self._stream(side) for side in SIDES}
        of_role: dict[Role, str] = {"fake": "fake", "real": "real", "train": "real"}
        kept: dict[Role, Kept] = {}
        for role in self.metric.roles:
            named = self.metric.summaries(role) if role in of_role else {}
            if named:
                side = of_role[role]
                if not streams[side].count:
                    raise GanlabError(f"{self.name} has seen no {'real' if side == 'real' else 'generated'} images.")
                kept[role] = Kept(streams[side], {n: self._summary(side, streams[side], s) for n, s in named.items()})
        own = self.extractor is not None and self.extractor.own_classes
        self.metric.prepare(streams["fake"], Context(own_classifier=own))
        self.last_score = self.metric.score(kept, Context(own_classifier=own))
        found: dict[str, float] = {}
        values = self.last_score.values
        taken = any(f"{name}{end}" in values for name in values for end in ("_low", "_high"))
        low, high = ("_lower", "_upper") if taken else ("_low", "_high")
        for name, value in values.items():
            ends = {"": value.value, low: value.low, high: value.high}
            found.update({name + end: number for end, number in ends.items() if number is not None})
        return {name: torch.tensor(number, device=self.device) for name, number in found.items()}

    def reset(self) -> None:
        """Forget all images."""
        super().reset()

    # --- inside

    def _bytes(self, images: Tensor) -> Tensor:
        if not isinstance(images, Tensor) or images.ndim != 4 or not len(images):
            got = tuple(images.shape) if isinstance(images, Tensor) else f"a {type(images).__name__}"
            raise GanlabError(f"Images must be a tensor (B, C, H, W), got {got}.")
        if images.dtype is torch.uint8:
            return images
        if not images.is_floating_point():
            raise GanlabError(f"Images must be uint8 or floats in [-1, 1], got {images.dtype}.")
        return images.float() if self.metric.of_points else to_uint8(images.float())

    @torch.no_grad()
    def _extracted(self, extractor: Extractor, images: Tensor) -> tuple[Tensor, Tensor | None]:
        height, width = images.shape[2:]
        if self._prepared_for is None:
            extractor.image_size = (height, width)
            extractor.prepare(None)
            self._prepared_for = (height, width)
        extractor.to(images.device)
        parts = images.split(extractor.cpu_images) if images.device.type == "cpu" else [images]
        found = [extractor.extract(part) for part in parts]
        logits = [one for _, one in found if one is not None]
        return torch.cat([one for one, _ in found]), torch.cat(logits) if logits else None

    def _state(self, side: str, what: str) -> Tensor | None:
        """Return a state; after a synchronisation it is one tensor, and a list before."""
        parts = getattr(self, f"{side}_{what}", None)
        if isinstance(parts, list):
            return torch.cat(parts) if parts else None
        return cast(Tensor | None, parts)

    def _stream(self, side: str) -> Stream:
        places, features, logits = (self._state(side, what) for what in ("places", "features", "logits"))
        width, classes = (0 if x is None else x.shape[1] for x in (features, logits))
        count = 0 if places is None else len(places)
        return Stream(count, width, classes, self._shape or (1, 1, 1), self.num_classes, self.seed)

    def _summary(self, side: str, stream: Stream, summary: Summary) -> Tensors:
        accumulator = summary.begin(stream)
        rows = {what: self._state(side, what) for what in self._kept}
        for start in range(0, stream.count, BATCH):
            part = {what: None if x is None else x[start : start + BATCH] for what, x in rows.items()}
            size = min(BATCH, stream.count - start)
            images = part.get("images")
            labels = part.get("labels")
            accumulator.update(
                Batch(
                    start,
                    torch.empty(size, 0, dtype=torch.uint8, device=self.device) if images is None else images,
                    None if labels is None else labels.cpu(),
                    part.get("features"),
                    part.get("logits"),
                )
            )
        return summary.merge([accumulator.tensors()])


class _OfModule(Extractor):
    """A module of one's own that gives features, or (features, logits), of uint8 images."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def prepare(self, examples: Any = None) -> None:
        """Do nothing: the module is as it was given."""

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        found = self.network(images)
        features, logits = found if isinstance(found, tuple) else (found, None)
        return features.float(), None if logits is None else logits.float()


def _extractor(features: Any) -> Extractor:
    if isinstance(features, Extractor):
        return features
    if isinstance(features, nn.Module):
        return _OfModule(features)
    if isinstance(features, Mapping):
        if len(features) != 1 or not isinstance(options := next(iter(features.values())), Mapping | None):
            raise GanlabError(f"features must be one extractor, as {{'inception': {{}}}}, got {shown(dict(features))}.")
        return cast(Extractor, _made("features", str(next(iter(features))), options or {}))
    return cast(Extractor, _made("features", str(features), {}))


def _made(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    key = kinds.of(kind).word or kind
    try:
        return component.checked(kind, key, {**options, COMPONENT: name}).make()
    except ImportError as error:
        raise GanlabError(f"{key}={name}: {sentence(error)}") from error
