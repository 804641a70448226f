"""Metrics: each chooses what to keep of a stream of images, and makes scores of it.

An evaluation passes over each stream once: the generated images (``fake``), the real images that
they are compared with (``real``) and, for metrics that ask for it, the images that the run was
trained on (``train``) and images that it never saw (``held_out``). What a metric keeps is a
`Summary`; metrics that want equal summaries share one. A summary is made of tensors whose size does
not depend on the batches, is merged over ranks, and is kept on disk for real images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor

from ganlab.contracts.figures import Figure
from ganlab.contracts.point_set import Modes

Tensors = dict[str, Tensor]
Role = Literal["fake", "real", "train", "held_out"]
Discriminator = Callable[[Tensor, Tensor | None, bool], Tensor]


@dataclass(frozen=True)
class Stream:
    """Facts about a stream that are known before its first batch.

    Args:
        count: Images in it, over all ranks.
        feature_dim: D of the features; 0 if no metric needs any.
        logits_dim: K of the classifier's logits; 0 if the extractor classifies nothing.
        image_shape: (C, H, W).
        num_classes: Classes of the labels; 0 if there are none.
        seed: Of whatever a summary chooses at random.
    """

    count: int
    feature_dim: int = 0
    logits_dim: int = 0
    image_shape: tuple[int, int, int] = (1, 1, 1)
    num_classes: int = 0
    seed: int = 0


@dataclass
class Batch:
    """Consecutive images of a stream, all but the labels on a device that has float64.

    Args:
        start: Place of the first of them in the stream; a batch has its place whatever rank sees it.
        images: uint8 (B, C, H, W); of points float32 (B, D, 1, 1).
        labels: int64 (B,), or None.
        features: float32 (B, D), or None.
        logits: float32 (B, K), or None.
    """

    start: int
    images: Tensor
    labels: Tensor | None = None
    features: Tensor | None = None
    logits: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


class Accumulator(ABC):
    """A summary in the making."""

    @abstractmethod
    def update(self, batch: Batch) -> None:
        """Take a batch in; without a wait for the device where it can be done."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """Return the summary of the batches so far."""


class Summary(ABC):
    """A recipe for a summary of a stream; of two that are equal (frozen dataclasses) one summary is made.

    Attributes:
        features: Whether it needs features.
        logits: Whether it needs logits.
        labels: Whether it needs labels.
    """

    features: ClassVar[bool] = False
    logits: ClassVar[bool] = False
    labels: ClassVar[bool] = False

    @abstractmethod
    def begin(self, stream: Stream) -> Accumulator: ...

    @abstractmethod
    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        """Return the summary that one process would have made, from those of the ranks in order."""

    def memory(self, stream: Stream) -> float:
        """Return the bytes that it allocates at the least: what no machine has is refused before the first image."""
        return 0.0


@dataclass(frozen=True)
class Value:
    """A number of a metric.

    Args:
        value: The number.
        low: Lower end of the 95 % confidence interval, None where there is none.
        high: Its upper end.
        better: ``lower``, ``higher``, or ``real``: the nearer to the real images' own number.
        real: The same number of the real images, where that says something.
        about: What it is, in a few words.
    """

    value: float
    low: float | None = None
    high: float | None = None
    better: Literal["lower", "higher", "real", "none"] = "none"
    real: float | None = None
    about: str = ""


@dataclass
class Score:
    """The outcome of a metric.

    Args:
        values: Numbers by name; the first one is the metric's own.
        details: JSON for those who compute with it.
        figures: Charts, tables and grids of images, which the page shows in this order.
        warnings: Sentences about what the numbers would mean.
    """

    values: dict[str, Value]
    details: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Kept:
    """The summaries of one stream, for one metric.

    Args:
        stream: What it was.
        summaries: Tensors by the names that the metric gave its summaries.
    """

    stream: Stream
    summaries: dict[str, Tensors]

    def __getitem__(self, name: str) -> Tensors:
        return self.summaries[name]


@dataclass
class Context:
    """Things that a metric may use beside the streams.

    Args:
        class_names: One a class.
        own_classifier: Whether the extractor's logits are those of the data's own classes.
        images: ``images(role, places)``: real images (n, C, H, W) uint8 of a stream; None if it has no pixels.
        features: ``features(images)``: (n, D) of uint8 images.
        discriminator: ``discriminator(images, labels, real)``: logits (n,) of uint8 images, which are ``real`` or
            generated; None if only images were given.
        generator: The generator that is evaluated; None if only images were given.
        latents: ``latents(start, stop)``: latents of the protocol's prior and seed; None if only images were given.
        labels: ``labels(start, stop)``: the labels that those samples have; None if they have none.
        truncation: Of those samples; None: not truncated.
        own: What `Metric.measure` gave for all of the metric's own samples, in order; None: it has not been asked.
        modes: The modes of real points; None: they are not known.
    """

    class_names: tuple[str, ...] = ()
    own_classifier: bool = False
    images: Callable[[Role, Tensor], Tensor] | None = None
    features: Callable[[Tensor], Tensor] | None = None
    discriminator: Discriminator | None = None
    generator: Any = None
    latents: Callable[[int, int], Tensor] | None = None
    labels: Callable[[int, int], Tensor] | None = None
    truncation: float | None = None
    own: Tensor | None = None
    modes: Modes | None = None


class Metric(ABC):
    """A component of the group ``ganlab.metrics``; its constructor's signature is its options.

    Attributes:
        roles: The streams that it looks at.
        meanings: What each of its numbers says, by name: a sentence for who meets the number for the first time.
        of_points: Whether it scores points, or else images.
        needs_run: Whether it needs the networks of a run, and not only images.
        own_samples: How many samples of its own it makes with these networks, beside the streams, see `measure`.
    """

    roles: ClassVar[tuple[Role, ...]] = ("fake", "real")
    meanings: ClassVar[Mapping[str, str]] = {}
    of_points: ClassVar[bool] = False
    needs_run: ClassVar[bool] = False
    own_samples: int = 0

    @abstractmethod
    def summaries(self, role: Role) -> Mapping[str, Summary]:
        """Return the summaries that it needs of a stream, by names of its own; empty: it does not use that stream."""

    def prepare(self, fake: Stream, context: Context) -> None:  # noqa: B027
        """Load what the score needs beside the streams, or refuse to score. Called on every rank before the first image
        is made, and not after an hour of sampling.

        Raises:
            GanlabError: If there can be no score of this stream, in a sentence that says what to do.
        """

    def memory(self, fake: Stream) -> float:
        """Return the bytes that a score of a stream allocates at the least; 0: they are not known."""
        summaries = self.summaries("fake").values() if "fake" in self.roles else ()
        return 8.0 * self.own_samples + sum(summary.memory(fake) for summary in summaries)

    def measure(self, start: int, stop: int, context: Context) -> Tensor:
        """A number or a row of numbers for each of its own samples ``start`` to ``stop``, which depend on the number of
        the sample alone: ranks measure different ones, and `score` is given all of them as ``context.own``. Called
        after the pass over the images, without gradients."""
        raise NotImplementedError(f"{type(self).__name__} has own_samples and no measure.")

    @abstractmethod
    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        """The scores, from the summaries of all ranks; called once, on the first rank.

        Raises:
            GanlabError: If the streams do not allow a score, in a sentence that says what to do.
        """
