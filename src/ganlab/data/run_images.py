"""The images of one run: a whole data set at one size, and the rows of each split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ganlab.contracts.dataset import Dataset
from ganlab.data.prepare import Images


@dataclass
class RunData:
    """The images of a run, or the real images of an evaluation.

    Args:
        images: All of them, at one size, with the labels that the data set has.
        splits: Rows of ``images`` by the name of the split.
        make_fingerprint: See `fingerprint`.
        source: The data set, not decoded; None: it is not known.
    """

    images: Images
    splits: Mapping[str, Tensor]
    make_fingerprint: Callable[[], str]
    source: Dataset | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A text that changes when the images, their order, size or splits change; computed once, on first use."""
        return self.make_fingerprint()
