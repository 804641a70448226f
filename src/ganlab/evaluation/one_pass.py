"""The one pass: every image is made once and looked at by the extractor once, for all metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from ganlab.contracts.extractor import Extractor
from ganlab.contracts.metric import Batch, Context, Metric, Stream, Summary, Tensors
from ganlab.core import distributed
from ganlab.core.errors import GanlabError
from ganlab.data.progress import Progress
from ganlab.evaluation.sources import Source

BATCH = 100
OWN_BATCH = 16  # of a metric's own samples, which may be pairs of large images


@torch.no_grad()
def collect(
    source: Source,
    stream: Stream,
    summaries: Sequence[Summary],
    extractor: Extractor | None,
    device: torch.device,
    what: str = "images",
) -> tuple[dict[Any, Tensors], Tensor]:
    """Return the summaries of a stream, merged on the first rank, and its first images.

    Ranks take batches in turn. Batches have the same bounds for any number of ranks.

    Args:
        source: The images.
        stream: What is known of them.
        summaries: The summaries to make.
        extractor: None: no summary needs features.
        device: Where features are extracted; for where they are kept see `where_kept`.
        what: Their name in the line of progress.

    Raises:
        GanlabError: If images or their features are NaN; on all ranks.
    """
    kept_on = where_kept(device)
    accumulators = {summary: summary.begin(stream) for summary in summaries}
    wants = any(s.features or s.logits for s in summaries)
    first = torch.empty(0, *source.shape, dtype=source.dtype)
    finite, sound = [], []
    world, rank = distributed.world_size(), distributed.rank()
    with Progress(f"evaluating {what}", source.count) as progress:
        for start, stop in own_batches(source.count, BATCH):
            with distributed.alone():  # other ranks have other batches, and perhaps fewer
                images, labels, all_finite = source.rows(start, stop)
                images = images.to(device)
                features, logits = extract(extractor, images) if wants and extractor is not None else (None, None)
                sound += [torch.isfinite(x).all() for x in (features, logits) if x is not None]
                features, logits = (None if x is None else x.to(kept_on) for x in (features, logits))
                batch = Batch(start, images.to(kept_on), labels, features, logits)
                for accumulator in accumulators.values():
                    accumulator.update(batch)
            finite.append(all_finite)
            if start == 0:
                first = images.cpu()
            if rank == 0:  # the others have done about as many
                progress.update(min(world * BATCH, source.count - start))
    _refuse_nan(finite, sound, device, what)
    parts = {summary: accumulator.tensors() for summary, accumulator in accumulators.items()}
    gathered = _gathered([{n: t.cpu() for n, t in part.items()} for part in parts.values()]) if world > 1 else None
    if world == 1:
        return {summary: summary.merge([part]) for summary, part in parts.items()}, first
    if gathered is None:  # not the first rank
        return dict(parts), first
    merged = {summary: summary.merge([g[i] for g in gathered]) for i, summary in enumerate(parts)}
    return {summary: {n: t.to(kept_on) for n, t in found.items()} for summary, found in merged.items()}, first


def where_kept(device: torch.device) -> torch.device:
    """Return the device of features and sums: that of the extractor, or the CPU for MPS, which has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


@torch.no_grad()
def measure(metric: Metric, context: Context, what: str) -> Tensor | None:
    """Return what a metric measures of its own samples, in order, on the first rank; None on the others.

    Args:
        what: What the line of progress calls them.
    """
    rank, world, parts = distributed.rank(), distributed.world_size(), []
    with Progress(f"measuring {what}", metric.own_samples) as progress:
        for start, stop in own_batches(metric.own_samples, OWN_BATCH):
            with distributed.alone():
                parts.append(metric.measure(start, stop, context).cpu())
            if rank == 0:
                progress.update(min(world * OWN_BATCH, metric.own_samples - start))
    if world == 1:
        return torch.cat(parts)
    of_ranks = _gathered(parts)
    if of_ranks is None:
        return None
    batches = -(-metric.own_samples // OWN_BATCH)
    return torch.cat([of_ranks[number % world][number // world] for number in range(batches)])


def own_batches(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of this rank's batches, the end excluded. Ranks take batches in turn, whose bounds do not
    depend on the number of ranks."""
    starts = range(0, count, size)[distributed.rank() :: distributed.world_size()]
    return ((start, min(start + size, count)) for start in starts)


def extract(extractor: Extractor, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return features and logits of a batch.

    A GPU takes it whole. On a CPU it is cut into parts of ``extractor.cpu_images`` images, one thread each.
    """
    if images.device.type != "cpu" or len(images) <= extractor.cpu_images:
        return extractor.extract(images)

    @torch.no_grad()  # a thread has a mode of its own
    def one(part: Tensor) -> tuple[Tensor, Tensor | None]:
        return extractor.extract(part)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(one, images.split(extractor.cpu_images)))
    finally:
        torch.set_num_threads(threads)
    logits = [found for _, found in parts if found is not None]
    return torch.cat([features for features, _ in parts]), torch.cat(logits) if logits else None


def _refuse_nan(finite: list[Tensor], sound: list[Tensor], device: torch.device, what: str) -> None:
    bad = torch.tensor([not all(bool(flag) for flag in flags) for flags in (finite, sound)], dtype=torch.float32)
    if distributed.world_size() > 1:
        bad = bad.to(device)
        dist.all_reduce(bad)
    if bad[0]:
        raise GanlabError(
            "The generator makes NaN or infinite numbers: it has diverged, and there is nothing to score. Evaluate "
            "an older checkpoint."
        )
    if bad[1]:
        raise GanlabError(
            f"The feature extractor gives NaN or infinite numbers for the {what}: there is nothing to score. Take "
            f"another one with features=NAME, or repair its weights."
        )


def _gathered(parts: list[Any]) -> list[list[Any]] | None:
    """Return the parts of all ranks on the first rank, None on the others."""
    found: list[Any] | None = [None] * distributed.world_size() if distributed.rank() == 0 else None
    dist.gather_object(parts, found)
    return found
