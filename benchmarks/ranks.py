"""Time two ranks on one core each against one rank on two threads: the same iterations of the same run.

    python benchmarks/ranks.py                                      # the default job
    python benchmarks/ranks.py experiment=emoji_biggan data.path=emoji64.zip rounds=20 iterations=3
    python benchmarks/ranks.py threads=1                            # on a busy machine, for the processor's seconds
    OMP_WAIT_POLICY=passive python benchmarks/ranks.py              # on a busy machine, for images/s

Both play in turns: while the first process plays alone, the second one waits. It is the engine with its loader, without
Lightning and callbacks. The ratio is images/s of two ranks over those of one, the median of pairs: 1 is as fast. On a
busy machine two threads wait for each other; there the processor's seconds tell more, those of both ranks together
against those of one rank on one thread, and the messages of an iteration, which do not depend on the load. The cost of
one all-reduce over gloo between the two processes, by bytes, times the messages is what an iteration with ranks waits
at least. The last line is JSON.

Options: rounds, iterations (of a round), warmup, threads (of one rank), and those of ``ganlab train``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from ganlab.assembly import experiment
from ganlab.bench.regularizer_cost import Engine
from ganlab.config import compose
from ganlab.core import distributed

RANKS = 2
SIZES = (256, 1024, 4096, 65_536, 1_048_576)  # bytes
OPTIONS = {"rounds": 10, "iterations": 5, "warmup": 5, "threads": RANKS}


def floor(repeats: int = 200) -> dict[int, float]:
    """Median microseconds of an all-reduce, by bytes."""
    found = {}
    for size in SIZES:
        tensor, seconds = torch.zeros(size // 4), []
        for _ in range(repeats):
            started = time.perf_counter()
            dist.all_reduce(tensor)
            seconds.append(time.perf_counter() - started)
        found[size] = round(1e6 * statistics.median(seconds), 1)
    return found


def messages(iterate: Callable[[], Any]) -> list[tuple[str, int]]:
    """Name and bytes of each message of one iteration."""
    sent: list[tuple[str, int]] = []
    originals = {name: getattr(dist, name) for name in ("all_reduce", "all_gather")}

    def counting(name: str) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            tensor: Tensor = next(each for each in given if isinstance(each, Tensor))
            sent.append((name, tensor.numel() * tensor.element_size()))
            return originals[name](*given, **options)

        return call

    for name in originals:
        setattr(dist, name, counting(name))
    try:
        iterate()
    finally:
        for name, original in originals.items():
            setattr(dist, name, original)
    return sent


def main_of_rank(rank: int, rendezvous: str, words: list[str], options: dict[str, int]) -> None:
    """One process; the first one also plays alone, and prints."""
    torch.set_num_threads(1)
    with distributed.alone():
        alone = Engine(experiment.build(compose.read(words))) if rank == 0 else None
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=RANKS)
    together = Engine(experiment.build(compose.read(words)))
    distributed.broadcast(together.module)

    def play_alone(iterations: int) -> tuple[float, float]:
        torch.set_num_threads(options["threads"])
        with distributed.alone():
            found = timed(alone.iterate, iterations) if alone is not None else (0.0, 0.0)
        torch.set_num_threads(1)
        dist.barrier()
        return found

    def play_together(iterations: int) -> tuple[float, float]:
        found = timed(together.iterate, iterations)
        dist.barrier()
        return found

    play_alone(options["warmup"]), play_together(options["warmup"])
    walls: list[list[float]] = [[], []]
    processor: list[list[float]] = [[], []]
    for _ in range(options["rounds"]):
        for play, wall, own in zip((play_alone, play_together), walls, processor, strict=True):
            seconds, mine = play(options["iterations"])
            wall.append(seconds)
            total = torch.tensor(mine)
            dist.all_reduce(total)
            own.append(float(total))
    sent, waits = messages(together.iterate), floor()
    if rank == 0:
        report(together, walls, processor, sent, waits, words, options)
    dist.barrier()
    dist.destroy_process_group()


def timed(iterate: Callable[[], Any], iterations: int) -> tuple[float, float]:
    """Seconds and processor seconds of an iteration."""
    started, own = time.perf_counter(), time.process_time()
    for _ in range(iterations):
        iterate()
    return (time.perf_counter() - started) / iterations, (time.process_time() - own) / iterations


def report(
    engine: Engine, walls: list[list[float]], processor: list[list[float]], sent: list[tuple[str, int]],
    waits: dict[int, float], words: list[str], options: dict[str, int],
) -> None:  # fmt: skip
    ratios = sorted(one / two for one, two in zip(*walls, strict=True))
    batch = engine.module.training_options.batch_size
    one, two = (statistics.median(wall) for wall in walls)
    shares = sorted(both / single for single, both in zip(*processor, strict=True))
    found = {
        "options": words, "batch": batch, **options, "torch": torch.__version__,
        "one_rank_images_per_second": batch / one, "two_ranks_images_per_second": batch / two,
        "ratio": statistics.median(ratios), "ratio_from": ratios[0], "ratio_to": ratios[-1],
        "ratio_of_fastest": min(walls[0]) / min(walls[1]),
        "one_rank_processor_seconds": statistics.median(processor[0]),
        "two_ranks_processor_seconds": statistics.median(processor[1]),
        "processor_ratio": statistics.median(shares), "processor_ratio_from": shares[0],
        "processor_ratio_to": shares[-1],
        "messages": len(sent), "bytes": sum(size for _, size in sent),
        "floor": waits, "load": os.getloadavg()[0],
    }  # fmt: skip
    for (name, size), times in sorted(Counter(sent).items()):
        print(f"{times:4d} {name} of {size:,} bytes")
    print("an all-reduce: " + ", ".join(f"{size:,} bytes {wait:.0f} µs" for size, wait in waits.items()))
    print(
        f"two ranks {batch / two:.0f} images/s, one rank on {options['threads']} threads {batch / one:.0f}, ratio "
        f"{found['ratio']:.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f}; of the fastest {found['ratio_of_fastest']:.3f}); "
        f"processor seconds {found['two_ranks_processor_seconds']:.3f} and {found['one_rank_processor_seconds']:.3f}, "
        f"ratio {found['processor_ratio']:.3f} ({shares[0]:.2f} to {shares[-1]:.2f}); load {found['load']:.1f}"
    )
    print(json.dumps(found), flush=True)


def main(words: list[str]) -> None:
    options, others = dict(OPTIONS), []
    for word in words:
        name, _, value = word.partition("=")
        if name in options:
            options[name] = int(value)
        else:
            others.append(word)
    if "-h" in others or "--help" in others:
        raise SystemExit(__doc__)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        given = (f"{folder}/rendezvous", others, options)
        processes = [context.Process(target=main_of_rank, args=(rank, *given)) for rank in range(RANKS)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
