"""The batches of each iteration, in an order that is indexed by images consumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts.game import Game
from ganlab.contracts.plan import Progress, plan
from ganlab.core import distributed
from ganlab.data.prepare import Images
from ganlab.engine.sampler import IndexedSampler

# Share of the free memory of a GPU up to which a set is held there by itself: networks, their moments and activations
# are most of what a run needs.
_SHARE = 0.05
_PIECE_BYTES = 16 * 2**20  # images are shrunk in pieces of this size, so a large batch of them takes no more memory


def held_by_itself(size: int, free: int, budget: int) -> bool:
    """Tell if a GPU holds a data set that nobody asked it to hold.

    Args:
        size: Bytes of the set.
        free: Bytes of the GPU that are free.
        budget: Bytes up to which a set is in memory and not in a file.
    """
    return size <= min(budget, _SHARE * free)


class Loader:
    """An endless iterable: for each iteration the real images of every turn that takes new ones.

    Each rank gets its slice of each micro-batch, so N ranks together see what one process sees.
    A growing game's images are shrunk on the way, from the one copy of the data set. There is no state
    to save: the next batch is a function of ``progress``. No worker processes: the data is decoded
    before training, so a batch is one gather of rows.

    Args:
        images: The prepared data set.
        game: Says what each iteration needs.
        progress: Returns the run's progress when iteration starts.
        batch_size: Global batch of one discriminator turn.
        accumulate: Micro-batches of one evaluation.
        seed: Of the order; or what returns it when iteration starts.
        device: Where batches are made: where the data set is held.
        rows: The images of the training split, int64; None: all.
    """

    def __init__(
        self,
        images: Images,
        game: Game,
        progress: Callable[[], Progress],
        *,
        batch_size: int,
        accumulate: int,
        seed: int | Callable[[], int],
        device: torch.device | str = "cpu",
        rows: Tensor | None = None,
    ) -> None:
        self.images, self.game, self.progress = images, game, progress
        self.batch_size, self.accumulate = batch_size, accumulate
        self.rows = rows
        self.seed = seed if callable(seed) else lambda: seed
        self.device = torch.device(device)

    def __iter__(self) -> Iterator[dict[str, list[Tensor | None]]]:
        progress = self.progress()
        sampler = IndexedSampler(len(self.images.pixels) if self.rows is None else len(self.rows), self.seed())
        pixels, labels = self.images.pixels, self.images.labels
        if self.device.type != "cpu":
            pixels = pixels.to(self.device)
            labels = labels.to(self.device) if labels is not None else None
        # a copy from pinned memory does not make the host wait for the GPU
        pin = self.device.type == "cpu" and torch.cuda.is_available()
        while True:
            iteration = plan(self.game, progress, self.batch_size)
            batch: dict[str, list[Tensor | None]] = {"images": [], "labels": []}
            position = progress.images_consumed
            for slot in iteration.slots:
                if slot.fresh:
                    rows = self._own(sampler.indices(position, slot.batch))
                    if self.device.type == "cuda":
                        rows = rows.pin_memory()  # as below
                    rows = rows.to(self.device, non_blocking=True)
                    chosen = _taken(pixels, rows, iteration.image_size), labels[rows] if labels is not None else None
                    images, classes = (t.pin_memory() if pin and t is not None else t for t in chosen)
                    batch["images"].append(images)
                    batch["labels"].append(classes)
                    position += slot.batch
            yield batch
            progress = iteration.advance(progress)

    def _own(self, rows: Tensor) -> Tensor:
        rows = rows if self.rows is None else self.rows[rows]
        world, rank = distributed.world_size(), distributed.rank()
        return rows.view(self.accumulate, world, -1)[:, rank].reshape(-1)  # (micro-batches · own rows,)


def _taken(pixels: Tensor, rows: Tensor, image_size: tuple[int, int] | None) -> Tensor:
    """Rows of the data set, at the size of the stage."""
    if image_size is None or pixels.ndim != 4 or image_size == tuple(pixels.shape[2:]):
        return pixels[rows]
    pieces = rows.split(max(1, _PIECE_BYTES // pixels[0].numel()))
    return torch.cat([shrunk(pixels[piece], image_size) for piece in pieces])


def shrunk(images: Tensor, image_size: tuple[int, int]) -> Tensor:
    """uint8 images (B, C, H, W) at a size (h, w) that divides theirs: the mean of each box, rounded half to even.

    As the data sets of Karras et al. 2018 (arXiv:1710.10196) hold their smaller copies: each is rounded from the
    exact mean, not from the next larger copy. Sums of boxes up to 256x256 are exact in float32.
    """
    (height, width), (h, w) = images.shape[2:], image_size
    return F.avg_pool2d(images.float(), (height // h, width // w)).round_().to(torch.uint8)
