"""Image metrics of torchmetrics as metrics of ganlab: ``metrics=torchmetrics:PeakSignalNoiseRatio``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Value
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError, sentence, suggestion
from ganlab.metrics.stored import StoredImages

BATCH = 100


class Torchmetrics(Metric):
    """An image metric of torchmetrics, of the class that ``metric`` names.

    It is given what its ``update`` takes. Images and ``real``: all generated and all real images, as bytes. ``preds``
    and ``target``: pairs, the i-th generated and the i-th real image, as numbers in [0, 1]. Images alone: the generated
    ones, and the real ones for their own value. An option for the range or the form of images is set to this. There is
    no interval, as torchmetrics has none.

    Args:
        metric: Name of a class of torchmetrics.image.
        options: Its own options, such as ``{kernel_size: 7}``.
        limit: Images that are kept of each set, a random choice of more; memory is limit C H W bytes.

    Raises:
        ValueError: If there is no such class, or it refuses its options.
    """

    def __init__(
        self,
        metric: str = "StructuralSimilarityIndexMeasure",
        options: Mapping[str, Any] | None = None,
        limit: int = 10_000,
    ) -> None:
        self.metric, self.limit = metric, at_least("limit", limit, 2)
        self.options = dict(options or {})
        self._class = _image_metric(metric)
        self._takes = [name for name in inspect.signature(self._class.update).parameters if name != "self"]
        known = inspect.signature(self._class.__init__).parameters
        forms: dict[str, Any] = {}
        if not self._of_bytes and "data_range" in known:
            forms["data_range"] = 1.0
        if not self._of_bytes and "normalize" in known and isinstance(known["normalize"].default, bool):
            forms["normalize"] = True
        self._own = {**forms, **self.options}
        if metric not in _LOADS:  # networks are loaded when there is a score to make
            self._made()

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"images": StoredImages(self.limit)}

    def prepare(self, fake: Stream, context: Context) -> None:
        self._made()

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = kept["fake"]["images"]["images"], kept["real"]["images"]["images"]
        one = self._made().to(fake.device)
        try:
            if self._of_bytes:
                for images, is_real in ((real, True), (fake, False)):
                    for part in images.split(BATCH):
                        one.update(part.expand(-1, 3, -1, -1), real=is_real)
                return self._score(one.compute())
            if len(self._takes) > 1:
                count = min(len(fake), len(real))
                for x, y in zip(fake[:count].split(BATCH), real[:count].split(BATCH), strict=True):
                    one.update(_unit(x), _unit(y))
                return self._score(one.compute())
            own = [self._of_images(images) for images in (fake, real)]
            return self._score(own[0], own[1])
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            raise GanlabError(f"torchmetrics:{self.metric} gives no score: {sentence(error)}") from error

    # --- inside

    @property
    def _of_bytes(self) -> bool:
        """Tell if it compares two sets, which its extractor takes as bytes."""
        return "real" in self._takes

    def _made(self) -> Any:
        try:
            return self._class(**{"sync_on_compute": False, **self._own})  # one rank has the images of all
        except (TypeError, ValueError) as error:
            raise ValueError(f"metric {self.metric} of torchmetrics refuses its options: {sentence(error)}") from error
        except Exception as error:  # a missing package, or weights that cannot be downloaded
            raise GanlabError(f"torchmetrics:{self.metric} cannot be made: {sentence(error)}") from error

    def _of_images(self, images: Tensor) -> Any:
        one = self._made().to(images.device)
        bytes_wanted = "normalize" not in self._own and self.metric in _LOADS
        for part in images.split(BATCH):
            one.update(part.expand(-1, 3, -1, -1) if bytes_wanted else _unit(part))
        return one.compute()

    def _score(self, found: Any, real: Any = None) -> Score:
        numbers, of_real = _numbers(found, self.metric), _numbers(real, self.metric)
        first = next(iter(numbers))
        order: dict[bool | None, Literal["higher", "lower", "none"]] = {True: "higher", False: "lower", None: "none"}
        better = order[self._class.higher_is_better]
        return Score(
            {
                name: Value(number, better=better if name == first else "none", real=of_real.get(name))
                for name, number in numbers.items()
            }
        )


_LOADS = (  # of the classes, those that load a network when they are made
    "FrechetInceptionDistance", "KernelInceptionDistance", "MemorizationInformedFrechetInceptionDistance",
    "InceptionScore", "LearnedPerceptualImagePatchSimilarity", "DeepImageStructureAndTextureSimilarity", "ARNIQA",
)  # fmt: skip


def _image_metric(name: str) -> Any:
    """Return a class of torchmetrics.image.

    Raises:
        ValueError: If there is none of this name that sees images alone.
    """
    try:
        images = importlib.import_module("torchmetrics.image")
    except ImportError as error:
        raise ValueError("metric needs torchmetrics: pip install torchmetrics") from error
    known = [one for one in images.__all__ if one != "PerceptualPathLength"]
    if name not in known:
        raise ValueError(f"metric must be a class of torchmetrics.image, got {name!r}.{suggestion(name, known)}")
    return getattr(images, name)


def _numbers(found: Any, name: str) -> dict[str, float]:
    """The numbers of what `compute` returned: one, a tuple such as (mean, deviation), or a dictionary."""
    if found is None:
        return {}
    if isinstance(found, Mapping):
        return {f"{name}_{key}": float(value) for key, value in found.items()}
    parts: Iterable[Any] = found if isinstance(found, (tuple, list)) else (found,)
    names = (name, f"{name}_std", *(f"{name}_{i}" for i in range(2, 9)))
    return {key: float(value.mean()) for key, value in zip(names, parts, strict=False)}


def _unit(images: Tensor) -> Tensor:
    """Bytes as floats in [0, 1]."""
    return images.to(torch.float32) / 255
