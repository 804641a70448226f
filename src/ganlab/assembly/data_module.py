"""`ganlab.DataModule`: ganlab's data sets for any LightningModule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ganlab.assembly import given, run_data
from ganlab.config import arguments
from ganlab.core import kinds
from ganlab.core.ranges import Range
from ganlab.data.prepare import Images
from ganlab.data.run_images import RunData
from ganlab.engine.sampler import IndexedSampler

Item = Tensor | tuple[Tensor, Tensor]


class DataModule(L.LightningDataModule):
    """A data set of ganlab's or a plug-in's, decoded once, cropped and resized as for ``ganlab train``.

    Batches are images (B, C, H, W), with labels (B,) where there are classes: ``x`` or ``(x, y)``. Loaders are those
    of the splits ``train``, ``validation`` and ``test``; the first is shuffled anew in each epoch, as a function of the
    seed. A split that is empty has no loader.

    Args:
        data: Name of the data set, as ``data=`` on the command line.
        batch_size: Images of one batch of one process.
        image_size: H or [H, W]; None: the images' own.
        image_channels: 1 or 3; None: the data's own.
        num_classes: 0: no labels; None: the data's own.
        held_out: Share that is not trained on, half validation and half test; None: the data's own.
        as_bytes: Give uint8, a quarter of the memory, instead of floats in [-1, 1]; GANModule takes both.
        seed: Of the order.
        num_workers: Processes that read batches; images are in memory, so that 0 is usually fastest.
        options: The data set's own options, such as ``path``.

    Raises:
        GanlabError: If there is no such data set, or an option is wrong.
    """

    def __init__(
        self,
        data: str = kinds.KINDS["data"].default,
        *,
        batch_size: int = 64,
        image_size: int | Sequence[int] | None = None,
        image_channels: int | None = None,
        num_classes: int | None = None,
        held_out: float | None = None,
        as_bytes: bool = False,
        seed: int = 0,
        num_workers: Annotated[int, Range(least=0, most=256)] = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        wanted = {"image_size": image_size, "image_channels": image_channels, "num_classes": num_classes}
        self.config = given.of_data(data, options, batch_size=batch_size, held_out=held_out, **wanted)
        own = arguments.checked(DataModule, {"as_bytes": as_bytes, "seed": seed, "num_workers": num_workers})
        self.batch_size, self.as_bytes, self.seed, self.num_workers = self.config.data.batch_size, *own.values()
        self._opened: RunData | None = None

    @property
    def opened(self) -> RunData:
        """The decoded images and their splits; they are decoded when first asked for."""
        if self._opened is None:
            self._opened = run_data.open_data(self.config)
        return self._opened

    def setup(self, stage: str) -> None:
        _ = self.opened

    def train_dataloader(self) -> DataLoader[Item]:
        rows = self.opened.splits["train"]
        return self._loader("train", _Order(len(rows), self.seed))

    def val_dataloader(self) -> DataLoader[Item] | list[Any]:
        return self._loader("validation") if len(self.opened.splits["validation"]) else []

    def test_dataloader(self) -> DataLoader[Item] | list[Any]:
        return self._loader("test") if len(self.opened.splits["test"]) else []

    def _loader(self, split: str, order: Sampler[int] | None = None) -> DataLoader[Item]:
        rows = Rows(self.opened.images, self.opened.splits[split], self.as_bytes, self.config.data.num_classes != 0)
        return DataLoader(
            rows, batch_size=self.batch_size, sampler=order, num_workers=self.num_workers, collate_fn=_as_it_is
        )


class Rows(Dataset[Item]):
    """Some images of a set, by their numbers; a whole batch is taken at once."""

    def __init__(self, images: Images, rows: Tensor, as_bytes: bool, labelled: bool) -> None:
        self.images, self.rows, self.as_bytes = images, rows, as_bytes
        self.labels = images.labels if labelled else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Item:
        batch = self.__getitems__([index])
        return batch[0] if isinstance(batch, Tensor) else (batch[0][0], batch[1][0])

    def __getitems__(self, indices: Sequence[int]) -> Item:
        """Return a whole batch, which is how a DataLoader asks for it."""
        rows = self.rows[torch.as_tensor(indices)]
        images = self.images.pixels[rows]
        images = images if self.as_bytes else images.float().mul_(1 / 127.5).sub_(1)
        return images if self.labels is None else (images, self.labels[rows])


class _Order(Sampler[int]):
    """The order of one epoch after the other, see `ganlab.engine.sampler.IndexedSampler`."""

    def __init__(self, size: int, seed: int) -> None:
        self.order, self.epoch = IndexedSampler(size, seed), 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.order.size

    def __iter__(self) -> Iterator[int]:
        size = self.order.size
        return iter(cast(list[int], self.order.indices(self.epoch * size, size).tolist()))


def _as_it_is(batch: Any) -> Any:
    return batch
