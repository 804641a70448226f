"""Decoding a whole set, chunk by chunk, in order and in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ganlab.contracts.dataset import Dataset
from ganlab.data.pixels import pixels

_CHUNK_BYTES = 4 * 2**20
# Two threads decode 256x256 PNGs and JPEGs 1.5 to 1.9 times as fast as one, and 64x64 PNGs no faster: what
# PIL does in Python is serial, so many more do not pay.
_MOST_WORKERS = 8


@dataclass(frozen=True)
class Failure:
    """An image that could not be decoded.

    Attributes:
        index: Its place in the set.
        name: Its name in the set.
        reason: The decoder's message.
    """

    index: int
    name: str
    reason: str


@dataclass(frozen=True)
class Chunk:
    """The decodable images of ``total`` consecutive ones.

    Attributes:
        pixels: uint8 ``(n, C, H, W)``.
        failures: The others.
    """

    pixels: np.ndarray
    failures: list[Failure]
    total: int


def decode(
    dataset: Dataset, image_size: tuple[int, int], image_channels: int, num_workers: int | None = None
) -> Iterator[Chunk]:
    """Decode all images of ``dataset`` in order; a few chunks of about 4 MiB are in memory at a time.

    Args:
        num_workers: Threads that decode (PIL lets go of the interpreter's lock while it decodes and
            resizes); 0 decodes in the calling thread, None uses one a core, up to 8.
    """
    length = max(1, min(64, _CHUNK_BYTES // (image_channels * image_size[0] * image_size[1])))
    starts = range(0, len(dataset), length)

    def chunk(start: int) -> Chunk:
        return _decode_chunk(dataset, start, min(start + length, len(dataset)), image_size, image_channels)

    workers = min(_cores(), _MOST_WORKERS) if num_workers is None else num_workers
    return map(chunk, starts) if workers < 2 or len(starts) < 2 else _in_threads(chunk, starts, workers)


def _decode_chunk(dataset: Dataset, start: int, stop: int, image_size: tuple[int, int], image_channels: int) -> Chunk:
    decoded = np.empty((stop - start, image_channels, *image_size), dtype=np.uint8)
    failures: list[Failure] = []
    count = 0
    for index in range(start, stop):
        try:
            decoded[count] = pixels(dataset.image(index), image_size, image_channels)
        except MemoryError:
            raise
        except Exception as error:  # decoders meet damaged files with nearly any exception
            failures.append(Failure(index, dataset.name(index), str(error) or type(error).__name__))
        else:
            count += 1
    return Chunk(decoded[:count], failures, stop - start)


def _in_threads(chunk: Callable[[int], Chunk], starts: range, workers: int) -> Iterator[Chunk]:
    executor = ThreadPoolExecutor(workers, thread_name_prefix="ganlab-decode")
    try:
        remaining = iter(starts)
        pending: deque[Future[Chunk]] = deque(executor.submit(chunk, start) for start in islice(remaining, 2 * workers))
        while pending:
            done = pending.popleft().result()
            pending.extend(executor.submit(chunk, start) for start in islice(remaining, 1))
            yield done
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    """Cores that this process may use (a container or a scheduler may grant fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
